//! Plans of lists of namespaces: a page reads one page, whoever asks and however many there are.

use serde_json::Value;
use vitrine::catalog::Catalog;
use vitrine::domain::metadef::{
    NamespaceQuery, NamespaceScope, NamespaceSortKey, TagQuery, TagSortKey, Visibility,
};
use vitrine::domain::query::SortDirection;

use super::total;
use crate::support::db::test_database;

/// 40,000 namespaces of 500 projects, one of which has a tenth of them; a third is public, a fifth was never changed. Of
/// the resource types one has all namespaces, one every tenth, one twenty.
const SEED: &str = "
    INSERT INTO metadef_namespaces (namespace, visibility, protected, owner, created_at, updated_at)
    SELECT 'n' || lpad((n * 7919 % 40000)::text, 5, '0'), (ARRAY['public', 'private', NULL])[1 + n % 3], false,
      CASE WHEN n % 10 = 0 THEN 'busy' ELSE 'project-' || n % 499 END, now() - n * interval '1 second',
      CASE WHEN n % 5 > 0 THEN now() + n * 31 % 40000 * interval '1 second' END
    FROM generate_series(1, 40000) AS n;
    INSERT INTO metadef_resource_types (name, protected, created_at)
    SELECT name, false, now() FROM unnest(ARRAY['all', 'some', 'rare', 'unused']) AS name;
    INSERT INTO metadef_namespace_resource_types (namespace_id, resource_type_id, created_at)
    SELECT n.id, t.id, now() FROM metadef_namespaces AS n, metadef_resource_types AS t
    WHERE t.name = 'all' OR (t.name = 'some' AND abs(hashint8(n.id) % 10) = 3)
      OR (t.name = 'rare' AND abs(hashint8(n.id) % 2000) = 5);
    ANALYZE metadef_namespaces, metadef_resource_types, metadef_namespace_resource_types;";

const LIMIT: u32 = 25;

/// What a plan does with namespaces.
#[derive(Debug, Default)]
struct Work {
    /// Rows that were read.
    read: f64,
    /// Most rows that were sorted at once.
    sorted: f64,
    /// Whether the whole table was.
    scanned: bool,
}

impl Work {
    fn of(node: &Value) -> Self {
        let mut work = Self::default();
        work.add(node);
        work
    }

    fn add(&mut self, node: &Value) {
        let inner = node["Plans"].as_array().map_or(&[][..], Vec::as_slice);
        match node["Node Type"].as_str().unwrap() {
            "Seq Scan" => self.scanned = true,
            "Sort" | "Incremental Sort" => {
                self.sorted =
                    inner.iter().map(|below| total(below, "Actual Rows")).fold(self.sorted, f64::max);
            }
            _ => {}
        }
        if node["Relation Name"] == "metadef_namespaces" {
            self.read += total(node, "Actual Rows") + total(node, "Rows Removed by Filter");
        }
        for below in inner {
            self.add(below);
        }
    }
}

fn project(name: &str) -> NamespaceScope {
    NamespaceScope::Project(Some(name.to_owned()))
}

fn lists() -> Vec<NamespaceQuery> {
    let mut lists = Vec::new();
    let marker = |n: u32| Some(format!("n{n:05}"));
    // public ones, whose numbers divide by three; near both ends and in the middle, by name and by time of creation
    let numbers = [3, 20_001, 39_999];
    let by_time = numbers.map(|n| marker(n * 7919 % 40_000));
    let mut markers = vec![None];
    markers.extend(by_time);
    for scope in [
        NamespaceScope::All,
        project("busy"),
        project("project-7"),
        project("nobody"),
        NamespaceScope::Project(None),
    ] {
        for visibility in [None, Some(Visibility::Public), Some(Visibility::Private)] {
            for sort in
                [NamespaceSortKey::CreatedAt, NamespaceSortKey::Namespace, NamespaceSortKey::UpdatedAt]
            {
                for direction in [SortDirection::Ascending, SortDirection::Descending] {
                    for marker in &markers {
                        lists.push(NamespaceQuery {
                            scope: scope.clone(),
                            visibility,
                            resource_types: Vec::new(),
                            sort,
                            direction,
                            marker: marker.clone(),
                            limit: LIMIT,
                        });
                    }
                }
            }
        }
    }
    lists
}

/// A page in one of the usual orders reads that page: one from each piece, and who has few namespaces may have all of
/// them sorted.
#[tokio::test]
async fn a_page_of_namespaces_reads_one_page() {
    let database = test_database().await;
    let sql = database.client().await;
    sql.batch_execute(SEED).await.unwrap();
    let catalog = Catalog::new(&database.config()).unwrap();
    let mut faults = Vec::new();
    let (mut plans, mut most) = (0, 0.0_f64);
    for query in lists() {
        let Some(plan) = catalog.explain_namespaces(&query).await.unwrap() else { continue };
        let work = Work::of(&plan[0]["Plan"]);
        plans += 1;
        most = most.max(work.read);
        if work.scanned || work.read > 130.0 || work.sorted > 130.0 {
            faults.push(format!("{query:?}: {work:?}"));
        }
    }
    println!("{plans} plans, none read more than {most} namespaces");
    assert!(plans > 300, "{plans}");
    assert!(faults.is_empty(), "{} of {plans} plans:\n{}", faults.len(), faults.join("\n"));
    // the check must be able to fail
    sql.batch_execute("DROP INDEX metadef_namespaces_other_by_updated").await.unwrap();
    let query = lists().into_iter().find(|query| query.sort == NamespaceSortKey::UpdatedAt).unwrap();
    let work = Work::of(&catalog.explain_namespaces(&query).await.unwrap().unwrap()[0]["Plan"]);
    assert!(work.read > 20_000.0, "{work:?}");
}

/// A type that is common is met while the list is walked. The namespaces of a rare one are found first, or those of the
/// project are looked through, of which the busy one has 2,667 that are not public.
#[tokio::test]
async fn a_page_of_one_resource_type_reads_little_more() {
    let database = test_database().await;
    database.client().await.batch_execute(SEED).await.unwrap();
    let catalog = Catalog::new(&database.config()).unwrap();
    let mut faults = Vec::new();
    for (types, most) in [
        (vec!["all"], 130.0),
        (vec!["some"], 1_000.0),
        (vec!["rare", "unused"], 3_000.0),
        (vec!["unused"], 3_000.0),
    ] {
        for query in lists().into_iter().filter(|query| {
            query.visibility.is_none()
                && [NamespaceScope::All, project("busy"), NamespaceScope::Project(None)]
                    .contains(&query.scope)
        }) {
            let resource_types = types.iter().map(|name| (*name).to_owned()).collect();
            let query = NamespaceQuery { resource_types, ..query };
            let work = Work::of(&catalog.explain_namespaces(&query).await.unwrap().unwrap()[0]["Plan"]);
            if work.scanned || work.read > most || work.sorted > 130.0 {
                faults.push(format!("{query:?}: {work:?}"));
            }
        }
    }
    assert!(faults.is_empty(), "{} plans:\n{}", faults.len(), faults.join("\n"));
}

/// However many tags a namespace has.
#[tokio::test]
async fn a_page_of_tags_reads_one_page() {
    const TAGS: &str = "
        INSERT INTO metadef_tags (namespace_id, name, created_at, updated_at)
        SELECT id, 'tag-' || n, now() - n % 100 * interval '1 second', CASE WHEN n % 3 > 0 THEN now() END
        FROM metadef_namespaces, generate_series(1, 20000) AS n WHERE namespace IN ('n00001', 'n00002');
        ANALYZE metadef_tags";
    let database = test_database().await;
    let sql = database.client().await;
    sql.batch_execute(SEED).await.unwrap();
    sql.batch_execute(TAGS).await.unwrap();
    let catalog = Catalog::new(&database.config()).unwrap();
    let namespace = catalog.namespace("n00001").await.unwrap().unwrap().id;
    for sort in [TagSortKey::Name, TagSortKey::CreatedAt, TagSortKey::UpdatedAt] {
        for direction in [SortDirection::Ascending, SortDirection::Descending] {
            for marker in [None, Some("tag-10".to_owned()), Some("tag-19990".to_owned())] {
                let query = TagQuery { sort, direction, marker, limit: Some(LIMIT) };
                let plan = catalog.explain_tags(namespace, &query).await.unwrap().unwrap();
                let (read, astray) = tags_read(&plan[0]["Plan"]);
                assert!(!astray && read <= f64::from(LIMIT), "{query:?}: {read}\n{plan:#}");
            }
        }
    }
}

/// Rows of tags that were read, and whether the table was scanned or rows were sorted.
fn tags_read(node: &Value) -> (f64, bool) {
    let mut astray = ["Seq Scan", "Sort"].iter().any(|kind| node["Node Type"] == *kind);
    let mut read = 0.0;
    if node["Relation Name"] == "metadef_tags" {
        read += total(node, "Actual Rows") + total(node, "Rows Removed by Filter");
    }
    for below in node["Plans"].as_array().into_iter().flatten() {
        let (rows, wrong) = tags_read(below);
        (read, astray) = (read + rows, astray || wrong);
    }
    (read, astray)
}
