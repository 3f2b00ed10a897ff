//! Metadata definitions (metadefs.md): each method, what is protected, and what happens at the same time.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use vitrine::catalog::metadefs::{Changed, Loaded, MergeMode};
use vitrine::catalog::{Catalog, ErrorKind};
use vitrine::config::Notifications;
use vitrine::domain::metadef::{
    AssociationFields, Contents, Definitions, Namespace, NamespaceFields, ObjectFields, Property,
    ResourceType, TagQuery, TagSortKey, Visibility,
};
use vitrine::domain::query::SortDirection;

use super::{World, world};

async fn contents_of(catalog: &Catalog, namespace: i64) -> Contents {
    catalog.whole_namespace(namespace).await.unwrap().unwrap().1
}

pub fn fields(name: &str) -> NamespaceFields {
    NamespaceFields {
        namespace: name.to_owned(),
        display_name: None,
        description: None,
        visibility: Some(Visibility::Private),
        protected: Some(false),
        owner: "alpha".to_owned(),
    }
}

pub fn empty(fields: NamespaceFields) -> Definitions {
    Definitions {
        namespace: fields,
        associations: Vec::new(),
        objects: Vec::new(),
        tags: Vec::new(),
        properties: Vec::new(),
    }
}

pub fn map(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

pub fn object(name: &str) -> ObjectFields {
    ObjectFields {
        name: name.to_owned(),
        description: Some(format!("about {name}")),
        required: vec!["b".to_owned(), "a,c".to_owned()],
        properties: map(&json!({ "b": { "title": "B", "type": "integer", "minimum": 1.5 } })),
    }
}

pub fn property(name: &str) -> Property {
    Property {
        name: name.to_owned(),
        schema: map(&json!({ "title": name, "type": "string", "enum": ["x", "y"] })),
    }
}

pub fn association(name: &str, prefix: Option<&str>) -> AssociationFields {
    AssociationFields {
        name: name.to_owned(),
        prefix: prefix.map(str::to_owned),
        properties_target: Some("image".to_owned()),
    }
}

/// A namespace with two of everything, not in the order of names.
pub fn full(name: &str) -> Definitions {
    Definitions {
        associations: vec![association("OS::Second", Some("hw_")), association("OS::First", None)],
        objects: vec![object("second"), object("first")],
        tags: vec!["second".to_owned(), "first".to_owned()],
        properties: vec![property("second"), property("first")],
        ..empty(fields(name))
    }
}

fn done<T: std::fmt::Debug>(changed: Changed<T>) -> T {
    match changed {
        Changed::Done(value) => value,
        other => panic!("not done: {other:?}"),
    }
}

impl World {
    pub async fn namespace(&self, name: &str) -> Namespace {
        self.catalog.create_namespace(&empty(fields(name))).await.unwrap()
    }

    async fn protect(&self, namespace: &Namespace, protected: bool) {
        let fields = NamespaceFields { protected: Some(protected), ..namespace.fields.clone() };
        done(self.catalog.update_namespace(namespace.id, &fields).await.unwrap());
    }

    async fn number(&self, query: &str) -> i64 {
        self.sql.query_one(query, &[]).await.unwrap().get(0)
    }
}

/// Names of everything, in the order that is given.
fn names(contents: &Contents) -> [Vec<&str>; 4] {
    [
        contents.associations.iter().map(|one| one.fields.name.as_str()).collect(),
        contents.objects.iter().map(|one| one.fields.name.as_str()).collect(),
        contents.tags.iter().map(|one| one.name.as_str()).collect(),
        contents.properties.iter().map(|one| one.name.as_str()).collect(),
    ]
}

async fn tag_names(catalog: &Catalog, namespace: i64) -> Vec<String> {
    let query = TagQuery {
        sort: TagSortKey::CreatedAt,
        direction: SortDirection::Ascending,
        marker: None,
        limit: None,
    };
    let tags = catalog.tags(namespace, &query).await.unwrap().unwrap();
    tags.into_iter().map(|tag| tag.name).collect()
}

/// MD-020
#[tokio::test]
async fn a_namespace_is_created_with_all_that_is_in_it() {
    let world = world().await;
    let definitions = full("one");
    let created = world.catalog.create_namespace(&definitions).await.unwrap();
    assert_eq!(created.fields, definitions.namespace);
    assert_eq!(created.updated_at, Some(created.created_at));
    assert_eq!(world.catalog.namespace("one").await.unwrap(), Some(created.clone()));
    assert_eq!(world.catalog.namespace("One").await.unwrap(), None, "names are case-sensitive");
    assert_eq!(world.catalog.namespace("o\0ne").await.unwrap(), None);
    let contents = contents_of(&world.catalog, created.id).await;
    let order = vec!["second", "first"];
    assert_eq!(names(&contents), [vec!["OS::Second", "OS::First"], order.clone(), order.clone(), order]);
    assert_eq!(contents.objects[1].fields, definitions.objects[1]);
    assert_eq!(contents.properties, definitions.properties);
    assert_eq!(contents.associations[0].fields, definitions.associations[0]);
    for (created_at, updated_at) in [
        (contents.objects[0].created_at, contents.objects[0].updated_at),
        (contents.tags[0].created_at, contents.tags[0].updated_at),
        (contents.associations[0].created_at, contents.associations[0].updated_at),
    ] {
        assert_eq!(updated_at, Some(created_at));
    }
    let catalog = &world.catalog;
    assert_eq!(catalog.objects(created.id).await.unwrap(), contents.objects);
    assert_eq!(catalog.properties(created.id).await.unwrap(), contents.properties);
    assert_eq!(catalog.associations(created.id).await.unwrap(), contents.associations);
    assert_eq!(catalog.object(created.id, "first").await.unwrap().as_ref(), contents.objects.last());
    assert_eq!(catalog.property(created.id, "first").await.unwrap().as_ref(), contents.properties.last());
    assert_eq!(catalog.tag(created.id, "first").await.unwrap().as_ref(), contents.tags.last());
    let found = catalog.association(created.id, "OS::First").await.unwrap();
    assert_eq!(found.as_ref(), contents.associations.last());
    assert_eq!(catalog.object(created.id, "fir\0st").await.unwrap(), None);
    assert_eq!(catalog.whole_namespace(created.id + 1).await.unwrap(), None);
}

/// MD-021
#[tokio::test]
async fn a_duplicate_within_leaves_nothing_of_a_namespace() {
    let world = world().await;
    let twice: [fn(&mut Definitions); 4] = [
        |d| d.associations.push(d.associations[0].clone()),
        |d| d.objects.push(d.objects[0].clone()),
        |d| d.tags.push(d.tags[0].clone()),
        |d| d.properties.push(d.properties[0].clone()),
    ];
    for add in twice {
        let mut definitions = full("one");
        add(&mut definitions);
        let error = world.catalog.create_namespace(&definitions).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Duplicate);
        assert_eq!(world.catalog.namespace("one").await.unwrap(), None);
    }
    assert!(world.catalog.resource_types().await.unwrap().is_empty());
}

#[tokio::test]
async fn md_016_a_name_that_is_taken_is_a_duplicate() {
    let world = world().await;
    let (one, _) = (world.namespace("one").await, world.namespace("two").await);
    let again = world.catalog.create_namespace(&empty(fields("one"))).await.unwrap_err();
    assert_eq!(again.kind, ErrorKind::Duplicate);
    let renamed = world.catalog.update_namespace(one.id, &fields("two")).await.unwrap_err();
    assert_eq!(renamed.kind, ErrorKind::Duplicate);
}

/// MD-039, MD-045
#[tokio::test]
async fn a_change_replaces_every_field_and_keeps_what_is_within() {
    let world = world().await;
    let created = world.catalog.create_namespace(&full("one")).await.unwrap();
    let contents = contents_of(&world.catalog, created.id).await;
    let new = NamespaceFields {
        namespace: "two".to_owned(),
        display_name: Some("Two".to_owned()),
        description: Some("the second".to_owned()),
        visibility: Some(Visibility::Public),
        protected: Some(true),
        owner: "beta".to_owned(),
    };
    let changed = done(world.catalog.update_namespace(created.id, &new).await.unwrap());
    assert_eq!((&changed.fields, changed.created_at), (&new, created.created_at));
    assert!(changed.updated_at > created.updated_at);
    assert_eq!(world.catalog.namespace("two").await.unwrap(), Some(changed));
    assert_eq!(world.catalog.namespace("one").await.unwrap(), None);
    assert_eq!(contents_of(&world.catalog, created.id).await, contents);
    let gone = world.catalog.update_namespace(created.id + 1, &new).await.unwrap();
    assert_eq!(gone, Changed::NoNamespace);
}

/// MD-043, MD-044
#[tokio::test]
async fn a_namespace_goes_with_all_that_is_in_it_unless_it_is_protected() {
    let world = world().await;
    let created = world.catalog.create_namespace(&full("one")).await.unwrap();
    world.namespace("two").await;
    world.protect(&created, true).await;
    assert_eq!(world.catalog.delete_namespace(created.id).await.unwrap(), Changed::Protected);
    assert!(world.catalog.namespace("one").await.unwrap().is_some());
    world.protect(&created, false).await;
    assert_eq!(world.catalog.delete_namespace(created.id).await.unwrap(), Changed::Done(()));
    assert_eq!(world.catalog.delete_namespace(created.id).await.unwrap(), Changed::NoNamespace);
    for table in ["objects", "properties", "tags", "namespace_resource_types"] {
        assert_eq!(world.number(&format!("SELECT count(*) FROM metadef_{table}")).await, 0, "{table}");
    }
    let types = world.catalog.resource_types().await.unwrap();
    let types: Vec<_> = types.into_iter().map(|one| one.name).collect();
    assert_eq!(types, ["OS::First", "OS::Second"]);
    assert!(world.catalog.namespace("two").await.unwrap().is_some());
}

/// MD-046, MD-048, MD-049, MD-050, MD-053
#[tokio::test]
async fn objects_are_created_replaced_and_deleted() {
    let world = world().await;
    let (catalog, id) = (&world.catalog, world.namespace("one").await.id);
    let created = done(catalog.create_object(id, &object("a")).await.unwrap());
    assert_eq!((&created.fields, created.updated_at), (&object("a"), Some(created.created_at)));
    assert_eq!(catalog.create_object(id, &object("a")).await.unwrap_err().kind, ErrorKind::Duplicate);
    assert_eq!(catalog.create_object(id + 1, &object("a")).await.unwrap(), Changed::NoNamespace);
    done(catalog.create_object(id, &object("b")).await.unwrap());
    let bare = ObjectFields {
        name: "c".to_owned(),
        description: None,
        required: Vec::new(),
        properties: Map::new(),
    };
    let changed = done(catalog.update_object(id, "a", &bare).await.unwrap());
    assert_eq!((&changed.fields, changed.created_at), (&bare, created.created_at));
    assert!(changed.updated_at > created.updated_at);
    assert_eq!(catalog.object(id, "a").await.unwrap(), None);
    assert_eq!(catalog.update_object(id, "a", &bare).await.unwrap(), Changed::NotFound);
    assert_eq!(catalog.update_object(id + 1, "c", &bare).await.unwrap(), Changed::NoNamespace);
    let taken = catalog.update_object(id, "b", &bare).await.unwrap_err();
    assert_eq!(taken.kind, ErrorKind::Duplicate);
    done(catalog.delete_object(id, "c").await.unwrap());
    assert_eq!(catalog.delete_object(id, "c").await.unwrap(), Changed::NotFound);
    assert_eq!(catalog.delete_object(id + 1, "c").await.unwrap(), Changed::NoNamespace);
    done(catalog.delete_objects(id).await.unwrap());
    assert!(catalog.objects(id).await.unwrap().is_empty());
    done(catalog.delete_objects(id).await.unwrap());
    assert_eq!(catalog.delete_objects(id + 1).await.unwrap(), Changed::NoNamespace);
}

/// MD-055, MD-064, MD-066
#[tokio::test]
async fn properties_are_created_replaced_and_deleted() {
    let world = world().await;
    let (catalog, id) = (&world.catalog, world.namespace("one").await.id);
    assert_eq!(done(catalog.create_property(id, &property("a")).await.unwrap()), property("a"));
    assert_eq!(catalog.create_property(id, &property("a")).await.unwrap_err().kind, ErrorKind::Duplicate);
    assert_eq!(catalog.create_property(id + 1, &property("a")).await.unwrap(), Changed::NoNamespace);
    done(catalog.create_property(id, &property("b")).await.unwrap());
    let new = Property {
        schema: map(&json!({ "type": "number", "title": "n", "default": null })),
        ..property("c")
    };
    assert_eq!(done(catalog.update_property(id, "a", &new).await.unwrap()), new);
    assert_eq!(catalog.properties(id).await.unwrap(), [new.clone(), property("b")]);
    assert_eq!(catalog.update_property(id, "a", &new).await.unwrap(), Changed::NotFound);
    assert_eq!(catalog.update_property(id + 1, "c", &new).await.unwrap(), Changed::NoNamespace);
    let taken = catalog.update_property(id, "b", &new).await.unwrap_err();
    assert_eq!(taken.kind, ErrorKind::Duplicate);
    done(catalog.delete_property(id, "c").await.unwrap());
    assert_eq!(catalog.delete_property(id, "c").await.unwrap(), Changed::NotFound);
    done(catalog.delete_properties(id).await.unwrap());
    assert!(catalog.properties(id).await.unwrap().is_empty());
}

/// MD-067, MD-068, MD-070, MD-071
#[tokio::test]
async fn associations_create_resource_types_that_stay() {
    let world = world().await;
    let (catalog, id) = (&world.catalog, world.namespace("one").await.id);
    let fields = association("OS::Thing", Some("p_"));
    let created = done(catalog.create_association(id, &fields).await.unwrap());
    assert_eq!((&created.fields, created.updated_at), (&fields, Some(created.created_at)));
    assert_eq!(catalog.create_association(id, &fields).await.unwrap_err().kind, ErrorKind::Duplicate);
    assert_eq!(catalog.create_association(id + 1, &fields).await.unwrap(), Changed::NoNamespace);
    let types: Vec<ResourceType> = catalog.resource_types().await.unwrap();
    assert_eq!((types.len(), types[0].name.as_str()), (1, "OS::Thing"));
    assert_eq!(types[0].updated_at, Some(types[0].created_at));
    assert_eq!(world.number("SELECT count(*) FROM metadef_resource_types WHERE protected").await, 0);
    done(catalog.delete_association(id, "OS::Thing").await.unwrap());
    assert_eq!(catalog.delete_association(id, "OS::Thing").await.unwrap(), Changed::NotFound);
    assert_eq!(catalog.resource_types().await.unwrap(), types);
}

/// MD-072, MD-074, MD-075, MD-076, MD-077, MD-079, MD-081
#[tokio::test]
async fn tags_are_created_one_by_one_and_together() {
    let world = world().await;
    let (catalog, id) = (&world.catalog, world.namespace("one").await.id);
    let list = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    let tag = done(catalog.create_tag(id, "z").await.unwrap());
    assert_eq!((tag.name.as_str(), tag.updated_at), ("z", Some(tag.created_at)));
    assert_eq!(catalog.create_tag(id, "z").await.unwrap_err().kind, ErrorKind::Duplicate);
    done(catalog.create_tags(id, &list(&["c", "a"]), true).await.unwrap());
    assert_eq!(tag_names(catalog, id).await, ["z", "c", "a"]);
    for (names, append) in [(["b", "b"], true), (["b", "b"], false), (["b", "a"], true)] {
        let error = catalog.create_tags(id, &list(&names), append).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Duplicate);
        assert_eq!(tag_names(catalog, id).await, ["z", "c", "a"]);
    }
    done(catalog.create_tags(id, &[], false).await.unwrap());
    assert_eq!(tag_names(catalog, id).await, ["z", "c", "a"]);
    done(catalog.create_tags(id, &list(&["d", "a"]), false).await.unwrap());
    assert_eq!(tag_names(catalog, id).await, ["d", "a"]);
    assert_eq!(catalog.create_tags(id + 1, &list(&["d"]), true).await.unwrap(), Changed::NoNamespace);
    assert_eq!(done(catalog.rename_tag(id, "d", "d").await.unwrap()).name, "d");
    assert_eq!(catalog.rename_tag(id, "d", "a").await.unwrap_err().kind, ErrorKind::Duplicate);
    let renamed = done(catalog.rename_tag(id, "d", "e").await.unwrap());
    assert!(renamed.name == "e" && renamed.updated_at > Some(renamed.created_at));
    assert_eq!(catalog.rename_tag(id, "d", "f").await.unwrap(), Changed::NotFound);
    done(catalog.delete_tag(id, "e").await.unwrap());
    assert_eq!(catalog.delete_tag(id, "e").await.unwrap(), Changed::NotFound);
    done(catalog.delete_tags(id).await.unwrap());
    assert!(tag_names(catalog, id).await.is_empty());
}

/// MD-093; a missing thing is missing first (§2.1 steps 11 and 12).
#[tokio::test]
async fn nothing_of_a_protected_namespace_is_deleted() {
    let world = world().await;
    let namespace = world.catalog.create_namespace(&full("one")).await.unwrap();
    let (catalog, id) = (&world.catalog, namespace.id);
    world.protect(&namespace, true).await;
    let contents = contents_of(catalog, id).await;
    for (known, missing) in [
        (catalog.delete_object(id, "first").await, catalog.delete_object(id, "none").await),
        (catalog.delete_property(id, "first").await, catalog.delete_property(id, "none").await),
        (catalog.delete_tag(id, "first").await, catalog.delete_tag(id, "none").await),
        (catalog.delete_association(id, "OS::First").await, catalog.delete_association(id, "none").await),
    ] {
        assert_eq!((known.unwrap(), missing.unwrap()), (Changed::Protected, Changed::NotFound));
    }
    assert_eq!(catalog.delete_objects(id).await.unwrap(), Changed::Protected);
    assert_eq!(catalog.delete_properties(id).await.unwrap(), Changed::Protected);
    assert_eq!(catalog.delete_tags(id).await.unwrap(), Changed::Protected);
    assert_eq!(contents_of(catalog, id).await, contents);
    done(catalog.create_object(id, &object("new")).await.unwrap());
    done(catalog.update_property(id, "first", &property("renamed")).await.unwrap());
    done(catalog.create_tags(id, &["only".to_owned()], false).await.unwrap());
    done(catalog.create_association(id, &association("OS::New", None)).await.unwrap());
}

#[tokio::test]
async fn md_103_concurrent_creates_of_one_name_make_one() {
    let world = world().await;
    let catalog = &world.catalog;
    let id = world.namespace("shared").await.id;
    let judge = |results: Vec<Result<(), ErrorKind>>| {
        let made = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(made, 1, "{results:?}");
        assert!(
            results.iter().all(|result| matches!(result, Ok(()) | Err(ErrorKind::Duplicate))),
            "{results:?}"
        );
    };
    for round in 0..5 {
        let name = format!("n{round}");
        let (all, object, property) = (full(&name), object(&name), property(&name));
        let kind = |e: vitrine::catalog::Error| e.kind;
        let made = (0..8).map(|_| catalog.create_namespace(&all));
        judge(join_all(made).await.into_iter().map(|r| r.map(drop).map_err(kind)).collect());
        let made = (0..8).map(|_| catalog.create_object(id, &object));
        judge(join_all(made).await.into_iter().map(|r| r.map(drop).map_err(kind)).collect());
        let made = (0..8).map(|_| catalog.create_property(id, &property));
        judge(join_all(made).await.into_iter().map(|r| r.map(drop).map_err(kind)).collect());
        let made = (0..8).map(|_| catalog.create_tag(id, &name));
        judge(join_all(made).await.into_iter().map(|r| r.map(drop).map_err(kind)).collect());
    }
}

/// Several namespaces name the same new resource types, each in another order: all are made, and nothing waits in a
/// circle.
#[tokio::test]
async fn resource_types_are_created_by_several_at_a_time() {
    let world = world().await;
    let catalog = &world.catalog;
    let creations = (0..24).map(|n| {
        let mut definitions = empty(fields(&format!("n{n}")));
        definitions.associations = (0..20).map(|t| association(&format!("T{t:02}"), None)).collect();
        definitions.associations.rotate_left(n % 20);
        if n % 2 == 0 {
            definitions.associations.reverse();
        }
        async move { catalog.create_namespace(&definitions).await.map(drop) }
    });
    for created in join_all(creations).await {
        created.unwrap();
    }
    assert_eq!(catalog.resource_types().await.unwrap().len(), 20);
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(world.number(deadlocks).await, 0);
}

/// Changes of different things of one namespace, its rename, and its end: each is done or finds it gone.
#[tokio::test]
async fn changes_of_one_namespace_come_one_after_another() {
    let world = world().await;
    let catalog = &world.catalog;
    for round in 0..6 {
        let id = world.namespace(&format!("n{round}")).await.id;
        let (a, b, c) = (object("a"), property("b"), association("OS::C", None));
        let new = fields(&format!("m{round}"));
        let (object, property, tag, association, renamed, deleted) = tokio::join!(
            catalog.create_object(id, &a),
            catalog.create_property(id, &b),
            catalog.create_tag(id, "t"),
            catalog.create_association(id, &c),
            catalog.update_namespace(id, &new),
            catalog.delete_namespace(id),
        );
        assert!(matches!(object.unwrap(), Changed::Done(_) | Changed::NoNamespace));
        assert!(matches!(property.unwrap(), Changed::Done(_) | Changed::NoNamespace));
        assert!(matches!(tag.unwrap(), Changed::Done(_) | Changed::NoNamespace));
        assert!(matches!(association.unwrap(), Changed::Done(_) | Changed::NoNamespace));
        assert!(matches!(renamed.unwrap(), Changed::Done(_) | Changed::NoNamespace));
        assert_eq!(deleted.unwrap(), Changed::Done(()));
    }
    let left = "SELECT (SELECT count(*) FROM metadef_namespaces) + (SELECT count(*) FROM metadef_objects)
        + (SELECT count(*) FROM metadef_properties) + (SELECT count(*) FROM metadef_tags)";
    assert_eq!(world.number(left).await, 0);
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(world.number(deadlocks).await, 0);
}

/// One statement a table, each by an index: the time is that of the rows, and somebody is told of the namespace alone.
#[tokio::test]
async fn a_namespace_of_ten_thousand_things_goes_within_a_second() {
    let world = world().await;
    let listened = Notifications { log: true, ..Notifications::default() };
    let telling = Catalog::telling(&world.database.config(), &listened).unwrap();
    for name in ["other", "large"] {
        let id = world.namespace(name).await.id;
        let many = format!(
            "INSERT INTO metadef_objects (namespace_id, name, required, properties, created_at)
             SELECT {id}, 'object-' || n, '[]', '{{\"a\": {{\"type\": \"string\", \"title\": \"A\"}}}}', now()
             FROM generate_series(1, 10000) AS n;
             INSERT INTO metadef_properties (namespace_id, name, schema, created_at)
             SELECT {id}, 'property-' || n, '{{\"type\": \"string\", \"title\": \"A\"}}', now()
             FROM generate_series(1, 10000) AS n;"
        );
        world.execute(&many).await;
    }
    world.execute("ANALYZE").await;
    let id = world.catalog.namespace("large").await.unwrap().unwrap().id;
    let begun = Instant::now();
    done(telling.delete_namespace(id).await.unwrap());
    let took = begun.elapsed();
    assert_eq!(world.number("SELECT count(*) FROM events").await, 1);
    println!("a namespace of 20,000 things is deleted in {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(world.number("SELECT count(*) FROM metadef_objects").await, 10_000);
    for key in ["objects", "properties", "tags", "namespace_resource_types"] {
        let indexed = format!(
            "SELECT count(*) FROM pg_index WHERE indrelid = 'metadef_{key}'::regclass AND indkey[0] =
             (SELECT attnum FROM pg_attribute WHERE attrelid = indrelid AND attname = 'namespace_id')"
        );
        assert!(world.number(&indexed).await > 0, "{key}");
    }
}

/// Names that change hands: whoever is late is told so, and nobody waits for a name that waits for theirs.
#[tokio::test]
async fn renames_onto_each_other_are_refused() {
    let world = world().await;
    let (one, two) = (world.namespace("one").await.id, world.namespace("two").await.id);
    let (onto_two, onto_one) = (fields("two"), fields("one"));
    let renames = join_all((0..100).flat_map(|_| {
        [world.catalog.update_namespace(one, &onto_two), world.catalog.update_namespace(two, &onto_one)]
    }));
    for renamed in renames.await {
        assert_eq!(renamed.unwrap_err().kind, ErrorKind::Duplicate);
    }
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(world.number(deadlocks).await, 0);
}

/// What a reader sees of a namespace is never half of a change.
#[tokio::test]
async fn contents_are_those_of_one_moment() {
    let world = world().await;
    let catalog = &world.catalog;
    let mut definitions = full("one");
    let id = catalog.create_namespace(&definitions).await.unwrap().id;
    let (writer, reader) = (catalog.clone(), catalog.clone());
    definitions.namespace.description = Some("0".to_owned());
    definitions.tags = vec!["0".to_owned()];
    definitions.properties = vec![property("0")];
    catalog.load_definitions(&definitions, MergeMode::Overwrite).await.unwrap();
    // a whole replacement is one transaction
    let writing = async move {
        for round in 0..20 {
            definitions.namespace.description = Some(round.to_string());
            definitions.tags = (0..round % 5 + 1).map(|n| n.to_string()).collect();
            definitions.properties = definitions.tags.iter().map(|name| property(name)).collect();
            writer.load_definitions(&definitions, MergeMode::Overwrite).await.unwrap();
        }
    };
    let reading = async move {
        let mut seen = 0;
        while seen < 20 {
            let current = reader.namespace("one").await.unwrap().map_or(id, |namespace| namespace.id);
            let Some((namespace, contents)) = reader.whole_namespace(current).await.unwrap() else {
                continue;
            };
            assert_eq!(contents.tags.len(), contents.properties.len(), "{contents:?}");
            let round: usize = namespace.fields.description.unwrap().parse().unwrap();
            assert_eq!(contents.tags.len(), round % 5 + 1);
            seen += 1;
        }
    };
    tokio::join!(writing, reading);
}

#[tokio::test]
async fn unloading_leaves_nothing_and_waits_for_who_adds() {
    let world = world().await;
    let catalog = &world.catalog;
    let mut protected = full("kept");
    protected.namespace.protected = Some(true);
    catalog.create_namespace(&protected).await.unwrap();
    assert_eq!(catalog.load_definitions(&full("more"), MergeMode::Skip).await.unwrap(), Loaded::Created);
    assert_eq!(catalog.unload_definitions().await.unwrap(), 2);
    for table in ["namespaces", "objects", "properties", "tags", "namespace_resource_types", "resource_types"]
    {
        assert_eq!(world.number(&format!("SELECT count(*) FROM metadef_{table}")).await, 0, "{table}");
    }
    assert_eq!(catalog.unload_definitions().await.unwrap(), 0);
    let created: Vec<Definitions> = (0..30).map(|n| full(&format!("n{n}"))).collect();
    let creating = join_all(created.iter().map(|definitions| catalog.create_namespace(definitions)));
    let unloading = join_all((0..5).map(|_| catalog.unload_definitions()));
    let (created, unloaded) = tokio::join!(creating, unloading);
    assert!(created.iter().all(Result::is_ok), "{created:?}");
    assert!(unloaded.iter().all(Result::is_ok), "{unloaded:?}");
}
