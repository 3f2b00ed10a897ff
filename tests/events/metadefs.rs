//! Events of metadata definitions, as the catalog writes them (operations.md §7).

use serde_json::{Value, json};
use vitrine::catalog::Catalog;
use vitrine::catalog::metadefs::{Changed, MergeMode};
use vitrine::config::Notifications;
use vitrine::domain::metadef::{
    AssociationFields, Definitions, NamespaceFields, ObjectFields, Property, Visibility,
};

use crate::support::db::{TestDatabase, test_database};

struct World {
    catalog: Catalog,
    database: TestDatabase,
}

/// An event as it waits in the outbox.
#[derive(Debug)]
struct Told {
    kind: String,
    subject: String,
    payload: Value,
}

impl World {
    async fn new(notifications: Notifications) -> Self {
        let database = test_database().await;
        let catalog = Catalog::telling(&database.config(), &notifications).unwrap();
        Self { catalog, database }
    }

    async fn telling() -> Self {
        Self::new(Notifications { log: true, ..Notifications::default() }).await
    }

    /// Takes what waits in the outbox.
    async fn told(&self) -> Vec<Told> {
        let take = "WITH taken AS (DELETE FROM events RETURNING id, event_type, subject, payload, priority)
            SELECT event_type, subject, payload FROM taken WHERE priority = 'INFO' ORDER BY id";
        let rows = self.database.client().await.query(take, &[]).await.unwrap();
        rows.iter().map(|row| Told { kind: row.get(0), subject: row.get(1), payload: row.get(2) }).collect()
    }

    async fn kinds(&self) -> Vec<String> {
        self.told().await.into_iter().map(|told| told.kind).collect()
    }

    /// A namespace that nothing is told of.
    async fn quiet(&self, definitions: &Definitions) -> i64 {
        let id = self.catalog.create_namespace(definitions).await.unwrap().id;
        self.told().await;
        id
    }

    /// The only event, which is of this type and about namespace `n`.
    async fn only(&self, kind: &str) -> Value {
        let mut told = self.told().await;
        assert_eq!(told.len(), 1, "{told:?}");
        let told = told.remove(0);
        assert_eq!((told.kind.as_str(), told.subject.as_str()), (kind, "n"));
        told.payload
    }
}

fn done<T: std::fmt::Debug>(changed: Changed<T>) {
    match changed {
        Changed::Done(value) => drop(value),
        other => panic!("not done: {other:?}"),
    }
}

fn fields(name: &str) -> NamespaceFields {
    NamespaceFields {
        namespace: name.to_owned(),
        display_name: None,
        description: Some("text".to_owned()),
        visibility: Some(Visibility::Public),
        protected: Some(false),
        owner: "alpha".to_owned(),
    }
}

fn object(name: &str) -> ObjectFields {
    let schema = json!({ "z": { "type": "string", "title": "Z" }, "aa": { "type": "integer", "title": "A", "minimum": 2 } });
    ObjectFields {
        name: name.to_owned(),
        description: None,
        required: vec!["z".to_owned()],
        properties: schema.as_object().unwrap().clone(),
    }
}

fn property(name: &str) -> Property {
    let schema = json!({ "type": "array", "title": "P", "items": { "type": "string" }, "default": null });
    Property { name: name.to_owned(), schema: schema.as_object().unwrap().clone() }
}

fn association(name: &str) -> AssociationFields {
    AssociationFields { name: name.to_owned(), prefix: Some("p_".to_owned()), properties_target: None }
}

fn full() -> Definitions {
    Definitions {
        namespace: fields("n"),
        associations: vec![association("T")],
        objects: vec![object("o")],
        tags: vec!["t".to_owned(), "s".to_owned()],
        properties: vec![property("p")],
    }
}

/// Takes the timestamps out of a payload after a look at them; `deleted_at` is one exactly where `deleted` says so.
#[track_caller]
fn without_times(mut payload: Value, deleted: bool, with_times: bool) -> Value {
    let is_time = |value: &Value| {
        let text = value.as_str().unwrap_or_default();
        text.len() == 20 && text.ends_with('Z') && vitrine::domain::timestamp::parse(text).is_some()
    };
    let object = payload.as_object_mut().unwrap();
    assert_eq!(object.remove("deleted"), Some(json!(deleted)));
    let deleted_at = object.remove("deleted_at").unwrap();
    assert!(if deleted { is_time(&deleted_at) } else { deleted_at.is_null() }, "{deleted_at}");
    if with_times {
        for key in ["created_at", "updated_at"] {
            assert!(is_time(&object.remove(key).unwrap()), "{key}");
        }
    }
    payload
}

/// A schema with every key (metadefs.md §6), of which these are set.
fn schema(set: Value) -> Value {
    let mut all = json!({
        "name": null, "type": null, "title": null, "description": null, "operators": null, "default": null,
        "readonly": null, "minimum": null, "maximum": null, "enum": null, "pattern": null, "minLength": null,
        "maxLength": null, "items": null, "minItems": null, "maxItems": null, "uniqueItems": null,
        "additionalItems": null,
    });
    let Value::Object(set) = set else { panic!("no object: {set}") };
    all.as_object_mut().unwrap().extend(set);
    all
}

#[tokio::test]
async fn a_namespace_is_created_changed_and_deleted() {
    let world = World::telling().await;
    let created = world
        .catalog
        .create_namespace(&Definitions {
            associations: vec![],
            objects: vec![],
            tags: vec![],
            properties: vec![],
            ..full()
        })
        .await
        .unwrap();
    let payload = json!({
        "namespace": "n", "namespace_old": "n", "display_name": null, "description": "text",
        "visibility": "public", "protected": false, "owner": "alpha",
    });
    let told = world.only("metadef_namespace.create").await;
    assert_eq!(without_times(told, false, true), payload);

    let new = NamespaceFields {
        display_name: Some("N".to_owned()),
        visibility: Some(Visibility::Private),
        ..fields("m")
    };
    done(world.catalog.update_namespace(created.id, &new).await.unwrap());
    let mut told = world.told().await;
    let told = told.remove(0);
    assert_eq!((told.kind.as_str(), told.subject.as_str()), ("metadef_namespace.update", "m"));
    let mut renamed = payload.clone();
    renamed["namespace"] = json!("m");
    renamed["display_name"] = json!("N");
    renamed["visibility"] = json!("private");
    assert_eq!(without_times(told.payload, false, true), renamed);

    done(world.catalog.update_namespace(created.id, &fields("n")).await.unwrap());
    world.told().await;
    done(world.catalog.delete_namespace(created.id).await.unwrap());
    let told = world.only("metadef_namespace.delete").await;
    assert_eq!(without_times(told, true, true), payload);
}

/// All that is created with a namespace is told of, in the order of creation; its end is told once.
#[tokio::test]
async fn what_is_created_with_a_namespace_is_told_of_one_by_one() {
    let world = World::telling().await;
    let id = world.catalog.create_namespace(&full()).await.unwrap().id;
    let expected = [
        "metadef_namespace.create",
        "metadef_resource_type.create",
        "metadef_object.create",
        "metadef_tag.create",
        "metadef_tag.create",
        "metadef_property.create",
    ];
    assert_eq!(world.kinds().await, expected);
    let again = world.catalog.create_namespace(&full()).await;
    assert!(again.is_err() && world.kinds().await.is_empty(), "what did not happen is not told");
    done(world.catalog.delete_namespace(id).await.unwrap());
    assert_eq!(world.kinds().await, ["metadef_namespace.delete"]);
}

#[tokio::test]
async fn an_object_is_created_changed_and_deleted() {
    let world = World::telling().await;
    let id = world.quiet(&full()).await;
    done(world.catalog.create_object(id, &object("new")).await.unwrap());
    let mut payload = json!({
        "namespace": "n", "name": "new", "name_old": "new", "description": null, "required": ["z"],
        "properties": [
            schema(json!({ "name": "aa", "type": "integer", "title": "A", "minimum": 2 })),
            schema(json!({ "name": "z", "type": "string", "title": "Z" })),
        ],
    });
    assert_eq!(without_times(world.only("metadef_object.create").await, false, true), payload);
    let bare = ObjectFields {
        name: "bare".to_owned(),
        description: Some("d".to_owned()),
        required: vec![],
        properties: serde_json::Map::new(),
    };
    done(world.catalog.update_object(id, "new", &bare).await.unwrap());
    payload["name"] = json!("bare");
    payload["description"] = json!("d");
    payload["required"] = json!([]);
    payload["properties"] = json!([]);
    assert_eq!(without_times(world.only("metadef_object.update").await, false, true), payload);
    done(world.catalog.delete_object(id, "bare").await.unwrap());
    payload["name_old"] = json!("bare");
    assert_eq!(without_times(world.only("metadef_object.delete").await, true, true), payload);
}

#[tokio::test]
async fn a_property_is_created_changed_and_deleted() {
    let world = World::telling().await;
    let id = world.quiet(&full()).await;
    done(world.catalog.create_property(id, &property("new")).await.unwrap());
    let mut payload = schema(json!({
        "namespace": "n", "name": "new", "name_old": "new", "type": "array", "title": "P",
        "items": { "type": "string" },
    }));
    assert_eq!(without_times(world.only("metadef_property.create").await, false, false), payload);
    done(world.catalog.update_property(id, "new", &property("newer")).await.unwrap());
    payload["name"] = json!("newer");
    assert_eq!(without_times(world.only("metadef_property.update").await, false, false), payload);
    done(world.catalog.delete_property(id, "newer").await.unwrap());
    payload["name_old"] = json!("newer");
    assert_eq!(without_times(world.only("metadef_property.delete").await, true, false), payload);
}

#[tokio::test]
async fn an_association_is_created_and_deleted() {
    let world = World::telling().await;
    let id = world.quiet(&full()).await;
    done(world.catalog.create_association(id, &association("U")).await.unwrap());
    let payload = json!({
        "namespace": "n", "name": "U", "name_old": "U", "prefix": "p_", "properties_target": null,
    });
    assert_eq!(without_times(world.only("metadef_resource_type.create").await, false, true), payload);
    done(world.catalog.delete_association(id, "U").await.unwrap());
    assert_eq!(without_times(world.only("metadef_resource_type.delete").await, true, true), payload);
}

#[tokio::test]
async fn a_tag_is_created_renamed_and_deleted() {
    let world = World::telling().await;
    let id = world.quiet(&full()).await;
    done(world.catalog.create_tag(id, "new").await.unwrap());
    let mut payload = json!({ "namespace": "n", "name": "new", "name_old": "new" });
    assert_eq!(without_times(world.only("metadef_tag.create").await, false, true), payload);
    done(world.catalog.rename_tag(id, "new", "newer").await.unwrap());
    payload["name"] = json!("newer");
    assert_eq!(without_times(world.only("metadef_tag.update").await, false, true), payload);
    done(world.catalog.delete_tag(id, "newer").await.unwrap());
    payload["name_old"] = json!("newer");
    assert_eq!(without_times(world.only("metadef_tag.delete").await, true, true), payload);
}

/// One event for each tag, those that make place for others too.
#[tokio::test]
async fn tags_that_come_together_are_told_of_one_by_one() {
    let world = World::telling().await;
    let id = world.quiet(&full()).await;
    let told = async || -> Vec<(String, Value)> {
        world.told().await.into_iter().map(|told| (told.kind, told.payload["name"].clone())).collect()
    };
    let event = |change: &str, name: &str| (format!("metadef_tag.{change}"), json!(name));
    let names = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    done(world.catalog.create_tags(id, &names(&["z", "a"]), true).await.unwrap());
    assert_eq!(told().await, [event("create", "z"), event("create", "a")]);
    assert!(world.catalog.create_tags(id, &names(&["y", "y"]), false).await.is_err());
    assert_eq!(told().await, []);
    done(world.catalog.create_tags(id, &names(&["y", "t"]), false).await.unwrap());
    let mut all = told().await;
    assert_eq!(all.split_off(4), [event("create", "y"), event("create", "t")]);
    all.sort_by_key(|(_, name)| name.to_string());
    assert_eq!(all, [event("delete", "a"), event("delete", "s"), event("delete", "t"), event("delete", "z")]);
}

/// What is deleted together is told once, whether there was anything or not.
#[tokio::test]
async fn deleting_all_things_of_a_kind_is_one_event() {
    let world = World::telling().await;
    let id = world.quiet(&full()).await;
    for _ in 0..2 {
        done(world.catalog.delete_objects(id).await.unwrap());
        let payload = without_times(world.only("metadef_namespace.delete_objects").await, false, true);
        let expected = json!({
            "namespace": "n", "namespace_old": "n", "display_name": null, "description": "text",
            "visibility": "public", "protected": false, "owner": "alpha",
        });
        assert_eq!(payload, expected);
        done(world.catalog.delete_properties(id).await.unwrap());
        world.only("metadef_namespace.delete_properties").await;
        done(world.catalog.delete_tags(id).await.unwrap());
        world.only("metadef_namespace.delete_tags").await;
    }
    // the connection tells again what comes after
    done(world.catalog.create_tag(id, "t").await.unwrap());
    world.only("metadef_tag.create").await;
}

#[tokio::test]
async fn what_is_refused_is_not_told() {
    let world = World::telling().await;
    let mut definitions = full();
    definitions.namespace.protected = Some(true);
    let id = world.quiet(&definitions).await;
    let catalog = &world.catalog;
    assert_eq!(catalog.delete_object(id, "o").await.unwrap(), Changed::Protected);
    assert_eq!(catalog.delete_tag(id, "t").await.unwrap(), Changed::Protected);
    assert_eq!(catalog.delete_objects(id).await.unwrap(), Changed::Protected);
    assert_eq!(catalog.delete_namespace(id).await.unwrap(), Changed::Protected);
    assert!(catalog.create_property(id, &property("p")).await.is_err());
    assert!(world.kinds().await.is_empty());
}

/// Files are the operator's own doing; and nothing but files is silent on that connection.
#[tokio::test]
async fn loading_and_unloading_tell_nothing() {
    let world = World::new(Notifications { log: true, ..Notifications::default() }).await;
    let catalog = &world.catalog;
    for mode in [MergeMode::Skip, MergeMode::Merge, MergeMode::PreferNew, MergeMode::Overwrite] {
        let mut definitions = full();
        definitions.namespace.description = Some(format!("{mode:?}"));
        definitions.objects.push(object(&format!("{mode:?}")));
        catalog.load_definitions(&definitions, mode).await.unwrap();
    }
    assert!(world.kinds().await.is_empty());
    let id = catalog.namespace("n").await.unwrap().unwrap().id;
    done(catalog.create_tag(id, "loud").await.unwrap());
    assert_eq!(world.kinds().await, ["metadef_tag.create"]);
    catalog.unload_definitions().await.unwrap();
    assert!(world.kinds().await.is_empty());
}

#[tokio::test]
async fn nothing_is_written_without_a_sink_and_nothing_that_is_disabled() {
    let world = World::new(Notifications::default()).await;
    let id = world.catalog.create_namespace(&full()).await.unwrap().id;
    done(world.catalog.delete_objects(id).await.unwrap());
    done(world.catalog.delete_namespace(id).await.unwrap());
    assert!(world.kinds().await.is_empty());
    let disabled = vec!["metadef_object".to_owned(), "metadef_namespace.create".to_owned()];
    let world = World::new(Notifications { log: true, disabled, ..Notifications::default() }).await;
    let id = world.catalog.create_namespace(&full()).await.unwrap().id;
    done(world.catalog.delete_objects(id).await.unwrap());
    let expected = [
        "metadef_resource_type.create",
        "metadef_tag.create",
        "metadef_tag.create",
        "metadef_property.create",
        "metadef_namespace.delete_objects",
    ];
    assert_eq!(world.kinds().await, expected);
}
