//! `vitrine metadefs`: definitions in files (metadefs.md §13).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio_postgres::Client;
use vitrine::catalog::Catalog;
use vitrine::config::Config;
use vitrine::dev::metadefs::FILES;
use vitrine::domain::metadef::{Namespace, NamespaceScope, NamespaceSortKey, Visibility};

use super::{Ended, run};
use crate::support::config;
use crate::support::db::{TestDatabase, test_database};
use crate::support::file::ScratchFile;
use crate::support::s3::{TestBucket, test_bucket};

/// A database with definitions, and a directory of files.
struct World {
    config: Config,
    sql: Client,
    catalog: Catalog,
    scratch: ScratchFile,
    _database: TestDatabase,
    _bucket: TestBucket,
}

impl World {
    async fn new() -> Self {
        let (database, bucket) = (test_database().await, test_bucket().await);
        Self {
            config: config(&database, &bucket),
            sql: database.client().await,
            catalog: Catalog::new(&database.config()).unwrap(),
            scratch: ScratchFile::absent("unused"),
            _database: database,
            _bucket: bucket,
        }
    }

    /// A file or directory of this test.
    fn path(&self, name: &str) -> PathBuf {
        self.scratch.dir().join(name)
    }

    fn write(&self, name: &str, document: &Value) {
        self.write_text(name, &document.to_string());
    }

    fn write_text(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn load(&self, options: &[&str], path: &Path) -> Ended {
        let mut arguments = vec!["metadefs", "load"];
        arguments.extend(options);
        arguments.push(path.to_str().unwrap());
        run(&self.config, &arguments)
    }

    async fn namespace(&self, name: &str) -> Option<Namespace> {
        self.catalog.namespace(name).await.unwrap()
    }

    /// Names of the properties of a namespace with their titles.
    async fn titles(&self, name: &str) -> BTreeMap<String, String> {
        let id = self.namespace(name).await.unwrap().id;
        let properties = self.catalog.properties(id).await.unwrap();
        let title = |schema: &Value| schema.as_str().unwrap().to_owned();
        properties.into_iter().map(|one| (one.name, title(&one.schema["title"]))).collect()
    }

    /// Every row of the catalogue, with internal ids and times.
    async fn rows(&self) -> Vec<String> {
        let mut all = Vec::new();
        for table in
            ["namespaces", "objects", "properties", "tags", "namespace_resource_types", "resource_types"]
        {
            let rows = format!("SELECT t::text FROM metadef_{table} AS t ORDER BY 1");
            let rows = self.sql.query(&rows, &[]).await.unwrap();
            all.extend(rows.iter().map(|row| format!("{table} {}", row.get::<_, String>(0))));
        }
        all
    }
}

fn titles(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, title)| ((*name).to_owned(), (*title).to_owned())).collect()
}

fn definitions(description: &str, properties: &[(&str, &str)]) -> Value {
    let schema = |title: &str| json!({ "title": title, "type": "string" });
    let properties: serde_json::Map<String, Value> =
        properties.iter().map(|(name, title)| ((*name).to_owned(), schema(title))).collect();
    json!({
        "namespace": "n", "description": description, "visibility": "public", "properties": properties,
        "objects": [{ "name": "o", "description": description, "required": ["a"] }],
        "tags": [{ "name": "t" }], "resource_type_associations": [{ "name": "T", "prefix": description }],
    })
}

#[tokio::test]
async fn md_099_plain_mode_skips_what_exists_and_merge_adds_what_is_missing() {
    let world = World::new().await;
    world.write("d/n.json", &definitions("old", &[("a", "old"), ("b", "old")]));
    let path = world.path("d");
    assert_eq!(world.load(&[], &path).expect(0).stdout, "n: created\n");
    let loaded = world.namespace("n").await.unwrap();
    assert_eq!((loaded.updated_at, loaded.fields.owner.as_str()), (None, "admin"));
    let object = world.catalog.object(loaded.id, "o").await.unwrap().unwrap();
    assert_eq!((object.fields.required, object.updated_at), (vec!["a".to_owned()], None));
    let protected = "SELECT count(*) FROM metadef_resource_types WHERE protected AND updated_at IS NULL";
    assert_eq!(world.sql.query_one(protected, &[]).await.unwrap().get::<_, i64>(0), 1);

    let before = world.rows().await;
    let mut new = definitions("new", &[("a", "new"), ("c", "new")]);
    new["tags"] = json!([{ "name": "t" }, { "name": "u" }]);
    world.write("d/n.json", &new);
    assert_eq!(world.load(&[], &path).expect(0).stdout, "n: unchanged\n");
    assert_eq!(world.rows().await, before);

    assert_eq!(world.load(&["--merge"], &path).expect(0).stdout, "n: merged\n");
    assert_eq!(world.namespace("n").await.unwrap(), loaded);
    assert_eq!(world.titles("n").await, titles(&[("a", "old"), ("b", "old"), ("c", "new")]));
    let association = world.catalog.association(loaded.id, "T").await.unwrap().unwrap();
    assert_eq!(association.fields.prefix.as_deref(), Some("old"));
    assert!(world.catalog.tag(loaded.id, "u").await.unwrap().is_some());
    assert_eq!(world.load(&["--merge"], &path).expect(0).stdout, "n: unchanged\n");
}

#[tokio::test]
async fn md_100_prefer_new_keeps_what_is_extra_and_overwrite_removes_it() {
    let world = World::new().await;
    let file = world.path("n.json");
    world.write("n.json", &definitions("old", &[("a", "old"), ("b", "old")]));
    world.load(&[], &file).expect(0);
    world.write("n.json", &definitions("new", &[("a", "new"), ("c", "new")]));
    assert_eq!(world.load(&["--merge", "--prefer-new"], &file).expect(0).stdout, "n: merged\n");
    let namespace = world.namespace("n").await.unwrap();
    assert_eq!(namespace.fields.description.as_deref(), Some("new"));
    assert!(namespace.updated_at.is_some());
    assert_eq!(world.titles("n").await, titles(&[("a", "new"), ("b", "old"), ("c", "new")]));
    let object = world.catalog.object(namespace.id, "o").await.unwrap().unwrap();
    assert_eq!(object.fields.description.as_deref(), Some("new"));
    assert!(object.updated_at.is_some());
    let association = world.catalog.association(namespace.id, "T").await.unwrap().unwrap();
    assert_eq!(association.fields.prefix.as_deref(), Some("new"));

    // the same values again change nothing, not even a time
    let before = world.rows().await;
    assert_eq!(world.load(&["--merge", "--prefer-new"], &file).expect(0).stdout, "n: unchanged\n");
    assert_eq!(world.rows().await, before);

    assert_eq!(world.load(&["--merge", "--overwrite"], &file).expect(0).stdout, "n: created\n");
    assert_eq!(world.titles("n").await, titles(&[("a", "new"), ("c", "new")]));
    let afresh = world.namespace("n").await.unwrap();
    assert!(afresh.id != namespace.id && afresh.updated_at.is_none());
}

#[tokio::test]
async fn md_101_modes_that_make_no_sense_load_nothing() {
    let world = World::new().await;
    world.write("n.json", &definitions("d", &[]));
    let file = world.path("n.json");
    let wrong: [&[&str]; 4] = [
        &["--prefer-new"],
        &["--overwrite"],
        &["--prefer-new", "--overwrite"],
        &["--merge", "--prefer-new", "--overwrite"],
    ];
    for options in wrong {
        let ended = world.load(options, &file).expect(2);
        assert!(ended.stderr.contains("--help"), "{}", ended.stderr);
        assert_eq!(world.namespace("n").await, None);
    }
}

#[tokio::test]
async fn md_101_bad_files_are_named_with_their_lines_and_the_others_load() {
    let world = World::new().await;
    let good = |name: &str| json!({ "namespace": name });
    world.write("d/0.json", &good("first"));
    world.write_text("d/1.json", "{\n  \"namespace\": \"broken\",\n}\n");
    world.write_text(
        "d/2.json",
        "{\n  \"namespace\": \"misfit\",\n  \"properties\": {\n    \"p\": {\n      \"title\": \"P\",\n      \
         \"type\": \"colour\"\n    }\n  }\n}\n",
    );
    world.write("d/3.json", &good("first"));
    world.write("d/4.json", &json!({ "namespace": "twice", "tags": [{ "name": "t" }, { "name": "t" }] }));
    world.write_text("d/5.json", &format!("{{\"namespace\": \"large\"{}}}", " ".repeat(8 * 1024 * 1024)));
    fs::create_dir(world.path("d/6.json")).unwrap();
    fs::write(world.path("d/7.json"), b"{\n\"namespace\": \"\xff\"}").unwrap();
    world.write("d/8.json", &good("last"));
    world.write_text("d/notes.txt", "not a file of definitions");
    let ended = world.load(&[], &world.path("d")).expect(1);
    assert_eq!(ended.stdout, "first: created\nlast: created\n");
    let lines: Vec<&str> = ended.stderr.lines().filter(|line| line.contains("/d/")).collect();
    let expected = [
        ("1.json:3: is not JSON: ", ""),
        ("2.json:6: /properties/p/type: ", ""),
        ("3.json:1: namespace first is in ", "/d/0.json already"),
        ("4.json:1: /tags/1: there is another of the same name", ""),
        ("5.json: is larger than 8 MiB", ""),
        ("6.json: is no file", ""),
        ("7.json:2: is not UTF-8", ""),
    ];
    assert_eq!(lines.len(), expected.len(), "{}", ended.stderr);
    for (line, (begin, end)) in lines.iter().zip(expected) {
        let (_, told) = line.split_once("/d/").unwrap();
        assert!(told.starts_with(begin) && line.ends_with(end), "{line}");
    }
    for name in ["misfit", "twice"] {
        assert_eq!(world.namespace(name).await, None);
    }
    assert!(world.catalog.resource_types().await.unwrap().is_empty());
}

#[tokio::test]
async fn md_102_a_namespace_without_visibility_is_for_administrators() {
    let world = World::new().await;
    world.write("n.json", &json!({ "namespace": "n" }));
    world.load(&[], &world.path("n.json")).expect(0);
    let namespace = world.namespace("n").await.unwrap();
    assert_eq!((namespace.fields.visibility, namespace.fields.protected), (None, None));
    let listed = async |scope, visibility| {
        let query = vitrine::domain::metadef::NamespaceQuery {
            scope,
            visibility,
            resource_types: Vec::new(),
            sort: NamespaceSortKey::Namespace,
            direction: vitrine::domain::query::SortDirection::Ascending,
            marker: None,
            limit: 10,
        };
        world.catalog.namespaces(&query).await.unwrap().unwrap().len()
    };
    let project = |name: &str| NamespaceScope::Project(Some(name.to_owned()));
    assert_eq!(listed(NamespaceScope::All, None).await, 1);
    assert_eq!(listed(NamespaceScope::All, Some(Visibility::Private)).await, 1, "it counts as private");
    assert_eq!(listed(NamespaceScope::All, Some(Visibility::Public)).await, 0);
    assert_eq!(listed(project("alpha"), None).await, 0);
    assert_eq!(listed(NamespaceScope::Project(None), None).await, 0);
}

/// Every definition that `vitrine dev` brings comes back as it was, and again from what was exported.
#[tokio::test]
async fn what_is_loaded_is_exported_as_it_was() {
    let world = World::new().await;
    for (name, text) in FILES {
        world.write_text(&format!("in/{name}.json"), text);
    }
    let mut sparse = json!({ "namespace": "sparse/../:", "owner": "somebody", "protected": false });
    sparse["objects"] = json!([{ "name": "o", "required": ["x,y", "a"], "properties": { "p": { "title": "", "type": "number",
        "minimum": 1.5, "default": null } } }]);
    world.write("in/sparse.json", &sparse);
    let loaded = world.load(&[], &world.path("in")).expect(0).stdout;
    assert_eq!(loaded.matches(": created\n").count(), FILES.len() + 1, "{loaded}");
    let again = world.load(&[], &world.path("in")).expect(0).stdout;
    assert_eq!(again.matches(": unchanged\n").count(), FILES.len() + 1, "{again}");

    let documents = |directory: &str| -> BTreeMap<String, Value> {
        let files = fs::read_dir(world.path(directory)).unwrap();
        let documents = files.map(|file| {
            let text = fs::read_to_string(file.unwrap().path()).unwrap();
            let document: Value = serde_json::from_str(&text).unwrap();
            (document["namespace"].as_str().unwrap().to_owned(), document)
        });
        documents.collect()
    };
    let export = |directory: &str| {
        run(&world.config, &["metadefs", "export", world.path(directory).to_str().unwrap()])
    };
    let told = export("out/deep").expect(0).stdout;
    assert_eq!(told.lines().count(), FILES.len() + 1, "{told}");
    assert_eq!(documents("out/deep"), documents("in"));
    assert!(world.path("out/deep/sparse.json").exists(), "named after its namespace");

    // nothing that exists is overwritten
    world.write_text("out/deep/sparse.json", "{\"namespace\": \"mine\"}");
    let refused = export("out/deep").expect(1);
    assert!(refused.stderr.contains("exists already; nothing was exported"), "{}", refused.stderr);
    world.write_text("half/sparse.json", "{}");
    export("half").expect(1);
    assert_eq!(fs::read_dir(world.path("half")).unwrap().count(), 1);

    assert_eq!(
        run(&world.config, &["metadefs", "unload"]).expect(0).stdout,
        format!("deleted {} namespaces\n", FILES.len() + 1)
    );
    assert!(world.rows().await.is_empty());
    world.write("out/deep/sparse.json", &sparse);
    world.load(&[], &world.path("out/deep")).expect(0);
    export("third").expect(0);
    assert_eq!(documents("third"), documents("in"));
}

#[tokio::test]
async fn paths_with_nothing_to_load_are_mistakes() {
    let world = World::new().await;
    fs::create_dir(world.path("empty")).unwrap();
    let ended = world.load(&[], &world.path("empty")).expect(1);
    assert!(ended.stderr.contains("there is no *.json file in"), "{}", ended.stderr);
    let ended = world.load(&[], &world.path("none")).expect(1);
    assert!(ended.stderr.contains("cannot read"), "{}", ended.stderr);
    assert!(world.rows().await.is_empty());
    // an export of nothing is a directory
    run(&world.config, &["metadefs", "export", world.path("out").to_str().unwrap()]).expect(0);
    assert_eq!(fs::read_dir(world.path("out")).unwrap().count(), 0);
}

/// `vitrine dev` brings its definitions at every start, and leaves alone what its users made of them.
#[tokio::test]
async fn development_begins_with_definitions() {
    let world = World::new().await;
    vitrine::dev::metadefs::load(&world.config).await.unwrap();
    let namespace = world.namespace("OS::Compute::LibvirtImage").await.unwrap();
    assert_eq!(namespace.fields.visibility, Some(Visibility::Public));
    let bus = world.catalog.property(namespace.id, "hw_disk_bus").await.unwrap().unwrap();
    assert!(bus.schema["enum"].as_array().unwrap().contains(&json!("virtio")));
    world.sql.batch_execute("DELETE FROM metadef_properties WHERE name = 'hw_disk_bus'").await.unwrap();
    let changed = world.rows().await;
    vitrine::dev::metadefs::load(&world.config).await.unwrap();
    assert_eq!(world.rows().await, changed);
    let types: Vec<_> =
        world.catalog.resource_types().await.unwrap().into_iter().map(|one| one.name).collect();
    for known in [
        "OS::Cinder::Volume",
        "OS::Glance::Image",
        "OS::Nova::Aggregate",
        "OS::Nova::Flavor",
        "OS::Nova::Server",
    ] {
        assert!(types.iter().any(|name| name == known), "{known}");
    }
}
