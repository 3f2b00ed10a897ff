//! Lists of namespaces and of tags: complete and without duplicates in every order (metadefs.md §4.3, §8).

use vitrine::catalog::Catalog;
use vitrine::domain::metadef::{
    NamespaceQuery, NamespaceScope, NamespaceSortKey, TagQuery, TagSortKey, Visibility,
};
use vitrine::domain::query::SortDirection;

use super::metadefs::{association, empty, fields};
use super::world;

const DIRECTIONS: [SortDirection; 2] = [SortDirection::Ascending, SortDirection::Descending];
const KEYS: [NamespaceSortKey; 9] = [
    NamespaceSortKey::Namespace,
    NamespaceSortKey::DisplayName,
    NamespaceSortKey::Description,
    NamespaceSortKey::Visibility,
    NamespaceSortKey::Protected,
    NamespaceSortKey::Owner,
    NamespaceSortKey::CreatedAt,
    NamespaceSortKey::UpdatedAt,
    NamespaceSortKey::Id,
];

/// 120 namespaces with ties in everything but name and id, and with everything that may be left open.
const SEED: &str = "
    INSERT INTO metadef_namespaces (namespace, display_name, description, visibility, protected, owner, created_at,
      updated_at)
    SELECT 'n' || n * 7 % 120, CASE WHEN n % 3 > 0 THEN 'd' || n % 4 END, CASE WHEN n % 4 > 0 THEN 'text' END,
      (ARRAY['public', 'private', NULL])[1 + n % 3], (ARRAY[true, false, NULL])[1 + n % 5 % 3],
      (ARRAY['alpha', 'beta', 'gamma', ''])[1 + n % 4], timestamptz '2026-01-01 00:00:00.000001' + n % 5 * interval '1 us',
      CASE WHEN n % 2 = 0 THEN timestamptz '2026-01-02' + n % 3 * interval '1 us' END
    FROM generate_series(1, 120) AS n;
    INSERT INTO metadef_resource_types (name, protected, created_at)
    SELECT name, false, now() FROM unnest(ARRAY['even', 'third', 'unused']) AS name;
    INSERT INTO metadef_namespace_resource_types (namespace_id, resource_type_id, created_at)
    SELECT n.id, t.id, now() FROM metadef_namespaces AS n, metadef_resource_types AS t
    WHERE (t.name = 'even' AND n.id % 2 = 0) OR (t.name = 'third' AND n.id % 3 = 0);";

fn query(sort: NamespaceSortKey, direction: SortDirection) -> NamespaceQuery {
    NamespaceQuery {
        scope: NamespaceScope::All,
        visibility: None,
        resource_types: Vec::new(),
        sort,
        direction,
        marker: None,
        limit: 1000,
    }
}

async fn names(catalog: &Catalog, query: &NamespaceQuery) -> Vec<String> {
    let page = catalog.namespaces(query).await.unwrap().unwrap();
    page.into_iter().map(|(namespace, _)| namespace.fields.namespace).collect()
}

/// Pages of `limit` put together.
async fn paged(catalog: &Catalog, query: &NamespaceQuery, limit: u32) -> Vec<String> {
    let mut query = NamespaceQuery { limit, ..query.clone() };
    let mut all: Vec<String> = Vec::new();
    loop {
        let page = names(catalog, &query).await;
        let full = page.len() == usize::try_from(limit).unwrap();
        all.extend(page);
        if !full {
            return all;
        }
        query.marker = all.last().cloned();
    }
}

fn project(name: &str) -> NamespaceScope {
    NamespaceScope::Project(Some(name.to_owned()))
}

/// Condition on the rows of a scope, and of a visibility.
fn expected(scope: &NamespaceScope, visibility: Option<Visibility>) -> String {
    let scope = match scope {
        NamespaceScope::All => "true".to_owned(),
        NamespaceScope::Project(None) => "visibility IS NOT DISTINCT FROM 'public'".to_owned(),
        NamespaceScope::Project(Some(project)) => {
            format!("(visibility IS NOT DISTINCT FROM 'public' OR owner = '{project}')")
        }
    };
    match visibility {
        None => scope,
        Some(visibility) => {
            format!("{scope} AND coalesce(visibility, 'private') = '{}'", visibility.as_str())
        }
    }
}

/// The order of a key, written apart from the code.
fn order(key: NamespaceSortKey, direction: SortDirection) -> String {
    let word = if direction == SortDirection::Ascending { "ASC" } else { "DESC" };
    let key = match key {
        NamespaceSortKey::Namespace => "namespace",
        NamespaceSortKey::DisplayName => "coalesce(display_name, '')",
        NamespaceSortKey::Description => "coalesce(description, '')",
        NamespaceSortKey::Visibility => "coalesce(visibility, 'private')",
        NamespaceSortKey::Protected => "coalesce(protected, false)",
        NamespaceSortKey::Owner => "owner",
        NamespaceSortKey::CreatedAt => "created_at",
        NamespaceSortKey::UpdatedAt => "coalesce(updated_at, timestamptz '1900-01-01')",
        NamespaceSortKey::Id => "id",
    };
    format!("{key} {word}, created_at {word}, id {word}")
}

/// MD-026, MD-027, MD-031, MD-085: every key, direction, scope, and visibility.
#[tokio::test]
async fn pages_put_together_are_the_list_in_every_order() {
    let world = world().await;
    world.execute(SEED).await;
    let scopes = [NamespaceScope::All, project("alpha"), project("nobody"), NamespaceScope::Project(None)];
    for scope in scopes {
        for visibility in [None, Some(Visibility::Public), Some(Visibility::Private)] {
            for key in KEYS {
                for direction in DIRECTIONS {
                    let query = NamespaceQuery { scope: scope.clone(), visibility, ..query(key, direction) };
                    let sql = format!(
                        "SELECT namespace FROM metadef_namespaces WHERE {} ORDER BY {}",
                        expected(&scope, visibility),
                        order(key, direction)
                    );
                    let rows = world.sql.query(&sql, &[]).await.unwrap();
                    let right: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
                    assert_eq!(names(&world.catalog, &query).await, right, "{query:?}");
                    assert_eq!(paged(&world.catalog, &query, 7).await, right, "{query:?}");
                }
            }
        }
    }
}

/// MD-032
#[tokio::test]
async fn resource_types_narrow_the_list() {
    let world = world().await;
    world.execute(SEED).await;
    let ids = async |types: &[&str], scope| -> Vec<i64> {
        let types = types.iter().map(|name| (*name).to_owned()).collect();
        let query = NamespaceQuery {
            resource_types: types,
            scope,
            ..query(NamespaceSortKey::Id, SortDirection::Ascending)
        };
        let page = world.catalog.namespaces(&query).await.unwrap().unwrap();
        page.iter().map(|(namespace, _)| namespace.id).collect()
    };
    let all = |matches: fn(i64) -> bool| -> Vec<i64> { (1..=120).filter(|n| matches(*n)).collect() };
    assert_eq!(ids(&["even"], NamespaceScope::All).await, all(|n| n % 2 == 0));
    assert_eq!(ids(&["even", "third", "odd"], NamespaceScope::All).await, all(|n| n % 2 == 0 || n % 3 == 0));
    for nothing in [["unused"], ["unknown"], ["a\0b"]] {
        assert!(ids(&nothing, NamespaceScope::All).await.is_empty());
    }
    // public ones are those whose number divides by three
    assert_eq!(ids(&["even"], NamespaceScope::Project(None)).await, all(|n| n % 6 == 0));
}

/// MD-024: associations come with the list, in their order; MD-030: limits and markers.
#[tokio::test]
async fn a_page_has_associations_and_begins_after_the_marker() {
    let world = world().await;
    let catalog = &world.catalog;
    let mut one = empty(fields("one"));
    one.associations = vec![association("Z", Some("z_")), association("A", None)];
    catalog.create_namespace(&one).await.unwrap();
    catalog.create_namespace(&empty(fields("two"))).await.unwrap();
    let list = query(NamespaceSortKey::CreatedAt, SortDirection::Descending);
    let page = catalog.namespaces(&list).await.unwrap().unwrap();
    assert_eq!(page[0].0.fields.namespace, "two");
    assert!(page[0].1.is_empty());
    let associations: Vec<_> = page[1].1.iter().map(|one| one.fields.clone()).collect();
    assert_eq!(associations, one.associations);
    let after =
        |marker: &str, scope| NamespaceQuery { marker: Some(marker.to_owned()), scope, ..list.clone() };
    assert_eq!(names(catalog, &after("two", NamespaceScope::All)).await, ["one"]);
    assert_eq!(names(catalog, &after("one", NamespaceScope::All)).await, [""; 0]);
    assert_eq!(names(catalog, &after("two", project("alpha"))).await, ["one"]);
    assert_eq!(catalog.namespaces(&after("two", project("beta"))).await.unwrap(), None, "invisible");
    assert_eq!(catalog.namespaces(&after("two", NamespaceScope::Project(None))).await.unwrap(), None);
    for unknown in ["three", "t\0wo"] {
        assert_eq!(catalog.namespaces(&after(unknown, NamespaceScope::All)).await.unwrap(), None);
    }
    let none = NamespaceQuery { limit: 0, ..list.clone() };
    assert_eq!(names(catalog, &none).await, [""; 0]);
    let none = NamespaceQuery { limit: 0, ..after("three", NamespaceScope::All) };
    assert_eq!(catalog.namespaces(&none).await.unwrap(), None);
    let nobody = NamespaceQuery { scope: project("a\0b"), ..list };
    assert_eq!(names(catalog, &nobody).await, [""; 0]);
}

#[tokio::test]
async fn md_104_a_namespace_deleted_during_a_list_does_not_fail_it() {
    let world = world().await;
    let catalog = &world.catalog;
    let list = query(NamespaceSortKey::Namespace, SortDirection::Ascending);
    let churn = async {
        for n in 0..40 {
            let mut definitions = empty(fields(&format!("n{n}")));
            definitions.associations = vec![association("T", None)];
            let id = catalog.create_namespace(&definitions).await.unwrap().id;
            catalog.delete_namespace(id).await.unwrap();
        }
    };
    let lists = async {
        for _ in 0..80 {
            assert!(catalog.namespaces(&list).await.unwrap().unwrap().len() <= 1);
        }
    };
    tokio::join!(churn, lists);
}

/// MD-080; tags that were created together come in the order of the request, and the other way round.
#[tokio::test]
async fn pages_of_tags_put_together_are_the_list() {
    let world = world().await;
    let catalog = &world.catalog;
    let id = catalog.create_namespace(&empty(fields("one"))).await.unwrap().id;
    let mut given: Vec<String> = (0..23).map(|n| format!("t{}", n * 5 % 23)).collect();
    catalog.create_tags(id, &given, false).await.unwrap();
    world.execute("UPDATE metadef_tags SET updated_at = NULL WHERE id % 3 = 0").await;
    let query = |sort, direction| TagQuery { sort, direction, marker: None, limit: None };
    let newest = query(TagSortKey::CreatedAt, SortDirection::Descending);
    let tags = catalog.tags(id, &newest).await.unwrap().unwrap();
    given.reverse();
    assert_eq!(tags.iter().map(|tag| tag.name.clone()).collect::<Vec<_>>(), given);
    for sort in [TagSortKey::Name, TagSortKey::CreatedAt, TagSortKey::UpdatedAt] {
        for direction in DIRECTIONS {
            let all = catalog.tags(id, &query(sort, direction)).await.unwrap().unwrap();
            assert_eq!(all.len(), 23);
            let mut paged = Vec::new();
            loop {
                let marker = paged.last().map(|tag: &vitrine::domain::metadef::Tag| tag.name.clone());
                let page = TagQuery { marker, limit: Some(4), ..query(sort, direction) };
                let page = catalog.tags(id, &page).await.unwrap().unwrap();
                if page.is_empty() {
                    break;
                }
                paged.extend(page);
            }
            assert_eq!(paged, all, "{sort:?} {direction:?}");
            if sort == TagSortKey::Name {
                let sorted = paged.is_sorted_by(|a, b| match direction {
                    SortDirection::Ascending => a.name < b.name,
                    SortDirection::Descending => a.name > b.name,
                });
                assert!(sorted, "{paged:?}");
            }
        }
    }
    for unknown in ["t99", "t\u{0}1"] {
        let page = TagQuery { marker: Some(unknown.to_owned()), ..newest.clone() };
        assert_eq!(catalog.tags(id, &page).await.unwrap(), None);
    }
    let none = TagQuery { limit: Some(0), ..newest };
    assert_eq!(catalog.tags(id, &none).await.unwrap(), Some(Vec::new()));
}
