//! `adopt`: the images of a Glance are taken over where they lie (operations.md §11-12).

mod again;
mod places;
mod sizes;

use secrecy::SecretString;
use serde_json::{Value, json};
use vitrine::config::Config;

use super::ledger::service;
use super::run;
use crate::support::api::{ADMIN, OTHER, OWNER, Service, new_id};
use crate::support::glance::{GlanceTables, Typing};
use crate::support::s3::TestBucket;
use crate::support::source::{Source, allow};
use crate::support::v2::{replace, sha512};

const DATA: &[u8] = b"0123456789abcdef";

/// What a run printed.
struct Told {
    summary: Value,
    findings: Vec<Value>,
    output: String,
}

impl Told {
    /// Why an image or namespace was left out, or what else was said of it under `kind`.
    #[track_caller]
    fn said(&self, subject: &str, kind: &str) -> String {
        let of = |finding: &&Value| finding["image"] == subject || finding["namespace"] == subject;
        let finding = self.findings.iter().filter(of).find_map(|finding| finding[kind].as_str());
        finding.unwrap_or_else(|| panic!("nothing of {subject} is {kind}: {}", self.output)).to_owned()
    }

    /// The members of the summary that are not zero.
    fn counts(&self) -> Value {
        let mut counts = self.summary.clone();
        counts.as_object_mut().unwrap().retain(|name, count| *count != json!(0) && name != "namespaces");
        counts
    }
}

/// Runs `vitrine adopt`, which must end with `code`.
fn adopt(config: &Config, glance: &GlanceTables, code: i32, arguments: &[&str]) -> Told {
    let mut all = vec!["adopt", "--from", glance.url(), "--schema", glance.schema];
    all.extend(arguments);
    let ended = run(config, &all).expect(code);
    let mut findings: Vec<Value> =
        ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = findings.pop().unwrap()["summary"].clone();
    let output = format!("{}{}", ended.stdout, ended.stderr);
    assert!(!output.contains("canary"), "{output}");
    Told { summary, findings, output }
}

/// Location of a key in a bucket as Glance wrote it until 2026, with the secret `can/ary`.
fn with_secret(bucket: &TestBucket, key: &str) -> String {
    let endpoint = bucket.endpoint.strip_prefix("http://").unwrap();
    format!("s3://access:can/ary@{endpoint}/{}/{key}", bucket.name)
}

/// Location of a key in a bucket as Glance writes it today.
fn url(bucket: &TestBucket, key: &str) -> String {
    with_secret(bucket, key).replace("access:can/ary@", "")
}

async fn put(bucket: &TestBucket, key: &str, data: &[u8]) {
    let put = bucket.client().put_object().bucket(&bucket.name).key(key).body(data.to_vec().into());
    put.send().await.unwrap();
}

fn md5(data: &[u8]) -> String {
    use md5::Digest as _;
    hex::encode(md5::Md5::digest(data))
}

/// The columns that data leave in an image.
fn stored(data: &[u8]) -> Value {
    json!({ "size": data.len(), "checksum": md5(data), "os_hash_algo": "sha512", "os_hash_value": sha512(data) })
}

fn with(mut document: Value, more: &Value) -> Value {
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    document
}

/// An active image of Glance with data in `bucket`; its id.
async fn image(glance: &GlanceTables, bucket: &TestBucket, columns: Value, data: &[u8]) -> String {
    let id = new_id();
    glance.image(&id, with(stored(data), &columns)).await;
    glance.location(&id, &url(bucket, &id), json!({})).await;
    put(bucket, &id, data).await;
    id
}

/// The images of the first test.
struct Cast {
    public: String,
    shared: String,
    withheld: String,
    empty: String,
    queued: String,
    killed: String,
    deleted: String,
    pending: String,
}

async fn cast(glance: &GlanceTables, bucket: &TestBucket) -> Cast {
    let public = json!({"name": "Größe 'x'", "visibility": "public", "min_disk": 3, "min_ram": 64, "protected": true,
        "virtual_size": 4096, "created_at": "2020-02-29 23:59:59", "updated_at": "2021-03-04 05:06:07.890123"});
    let public = image(glance, bucket, public, DATA).await;
    for (name, value, deleted) in [
        ("os_distro", Some("debian"), false),
        ("empty", None, false),
        ("gone", Some("x"), true),
        ("os_glance_importing_to_stores", Some(""), false),
        ("os_glance_stage_host", Some("http://worker-1"), false),
    ] {
        let row = json!({"image_id": public, "name": name, "value": value, "deleted": deleted});
        glance.insert("image_properties", &row).await;
    }
    for (tag, deleted) in [("zeta", false), ("alpha", false), ("gone", true)] {
        glance.insert("image_tags", &json!({"image_id": public, "value": tag, "deleted": deleted})).await;
    }
    let shared = image(glance, bucket, json!({"visibility": "shared"}), b"shared").await;
    for (member, status, can_share, deleted) in [
        ("beta", "accepted", true, false),
        ("gamma", "rejected", false, false),
        ("gone", "pending", false, true),
    ] {
        let row = json!({"image_id": shared, "member": member, "status": status, "can_share": can_share,
                         "deleted": deleted});
        glance.insert("image_members", &row).await;
    }
    let withheld = json!({"visibility": "private", "status": "deactivated", "os_hidden": true});
    let withheld = image(glance, bucket, withheld, b"withheld").await;
    let empty = image(glance, bucket, json!({"visibility": "community"}), b"").await;
    let [queued, killed, deleted, pending] = [(); 4].map(|()| new_id());
    glance.image(&queued, json!({"status": "queued", "name": "later"})).await;
    glance.image(&killed, json!({"status": "killed"})).await;
    let end =
        json!({"status": "deleted", "deleted": true, "deleted_at": "2023-01-01 00:00:00", "name": "old"});
    glance.image(&deleted, end).await;
    glance.image(&pending, json!({"status": "pending_delete", "deleted": true})).await;
    let location = json!({"image_id": pending, "value": url(bucket, &pending), "status": "pending_delete",
                          "deleted": true});
    glance.insert("image_locations", &location).await;
    Cast { public, shared, withheld, empty, queued, killed, deleted, pending }
}

async fn images_are_taken_over_where_they_lie(typing: Typing) {
    let (service, config) = service().await;
    let glance = GlanceTables::create(typing).await;
    let cast = cast(&glance, &service.bucket).await;
    let (rows, keys) = (glance.content().await, service.bucket.keys().await);

    let dry = adopt(&config, &glance, 0, &["--verify", "hash"]);
    let expected =
        json!({"applied": false, "images": 8, "adopted": 6, "deleted": 2, "objects": 4, "bytes": 30});
    assert_eq!(dry.counts(), expected, "{}", dry.output);
    assert_eq!(service.count_images().await, 0, "a dry run writes nothing");
    assert_eq!(service.count("SELECT count(*) FROM blobs").await, 0);

    let applied = adopt(&config, &glance, 0, &["--apply"]);
    assert_eq!(applied.counts(), with(expected, &json!({"applied": true})));
    let note = applied.said(&cast.pending, "note");
    assert!(
        note.contains("glance-scrubber") && note.contains(&url(&service.bucket, &cast.pending)),
        "{note}"
    );
    assert_eq!((glance.content().await, service.bucket.keys().await), (rows, keys), "Glance is only read");
    check_public(&service, &cast).await;
    check_shared(&service, &cast).await;
    check_others(&service, &cast).await;

    let again = adopt(&config, &glance, 0, &["--apply"]);
    assert_eq!(again.counts(), json!({"applied": true, "images": 8, "known": 8}));

    let scrubbed = run(&config, &["scrub"]).expect(0).json();
    assert_eq!((&scrubbed[0]["rows"], &scrubbed[0]["objects"]), (&json!(4), &json!(0)), "{scrubbed}");
    // the image goes, and its object with it
    service.delete(&format!("/v2/images/{}", cast.shared)).by(OWNER).send().await.expect(204);
    assert_eq!(service.bucket.content(&cast.shared).await, None);
    service.assert_settled().await;
}

async fn check_public(service: &Service, cast: &Cast) {
    let shown = service.show(OTHER, &cast.public).await;
    let expected = with(
        json!({"id": cast.public, "name": "Größe 'x'", "status": "active", "visibility": "public", "owner": "alpha",
            "min_disk": 3, "min_ram": 64, "protected": true, "os_hidden": false, "virtual_size": 4096,
            "disk_format": "raw", "container_format": "bare", "tags": ["zeta", "alpha"], "os_distro": "debian",
            "created_at": "2020-02-29T23:59:59Z", "updated_at": "2021-03-04T05:06:07Z",
            "os_glance_importing_to_stores": ""}),
        &stored(DATA),
    );
    for (name, value) in expected.as_object().unwrap() {
        if name == "os_glance_importing_to_stores" {
            continue;
        }
        assert_eq!(shown[name], *value, "{name}: {shown}");
    }
    for absent in ["gone", "os_glance_stage_host", "os_glance_import_task"] {
        assert_eq!(shown.get(absent), None, "{shown}");
    }
    assert_eq!(service.download(OTHER, &cast.public).await.expect(200).body, DATA);
    let part = service.get(&format!("/v2/images/{}/file", cast.public)).by(OTHER);
    assert_eq!(part.header("Range", "bytes=3-5").send().await.expect(206).body, b"345");
    let v1 = service.get(&format!("/v1/images/{}", cast.public)).by(OTHER).send().await.expect(200);
    assert_eq!((v1.meta("property-os_distro").as_deref(), v1.body.as_slice()), (Some("debian"), DATA));
    service.delete(&format!("/v2/images/{}", cast.public)).by(OWNER).send().await.expect(403);
}

async fn check_shared(service: &Service, cast: &Cast) {
    let path = format!("/v2/images/{}/members", cast.shared);
    let members = service.get(&path).by(OWNER).send().await.expect(200).json()["members"].clone();
    let members: Vec<_> =
        members.as_array().unwrap().iter().map(|m| (&m["member_id"], &m["status"])).collect();
    assert_eq!(
        format!("{members:?}"),
        "[(String(\"beta\"), String(\"accepted\")), (String(\"gamma\"), String(\"rejected\"))]"
    );
    assert_eq!(
        service.members(&cast.shared, ADMIN).await,
        [("beta".to_owned(), true), ("gamma".to_owned(), false)]
    );
    assert!(
        service.listed(OTHER, "visibility=shared").await.contains(&cast.shared),
        "the member accepted it"
    );
    assert_eq!(service.download(OTHER, &cast.shared).await.expect(200).body, b"shared");
}

async fn check_others(service: &Service, cast: &Cast) {
    service.download(OWNER, &cast.withheld).await.expect(403);
    assert_eq!(service.download(ADMIN, &cast.withheld).await.expect(200).body, b"withheld");
    service.get(&format!("/v2/images/{}", cast.withheld)).by(OTHER).send().await.expect(404);
    assert!(!service.listed(OWNER, "").await.contains(&cast.withheld), "it is hidden");
    assert_eq!(service.download(OTHER, &cast.empty).await.expect(200).body, b"");
    assert_eq!(service.show(OWNER, &cast.queued).await["status"], json!("queued"));
    assert_eq!(service.status(&cast.killed).await, "killed");
    for gone in [&cast.deleted, &cast.pending] {
        service.get(&format!("/v2/images/{gone}")).by(ADMIN).send().await.expect(404);
        service.try_create(OWNER, &json!({"id": gone})).await.expect(409);
    }
    assert!(service.record(&cast.deleted).await["deleted_at"].as_str().unwrap().starts_with("2023-01-01"));
    // an image that had no data can be given some
    service.upload(OWNER, &cast.queued, b"later").await.expect(204);
    service.delete(&format!("/v2/images/{}", cast.queued)).by(OWNER).send().await.expect(204);
}

#[tokio::test]
async fn images_of_postgresql_are_taken_over_where_they_lie() {
    images_are_taken_over_where_they_lie(Typing::Postgres).await;
}

#[tokio::test]
async fn images_of_a_mysql_dump_are_taken_over_where_they_lie() {
    images_are_taken_over_where_they_lie(Typing::MySql).await;
}

/// Everything there may be against an image; none of it is written, and no secret is told.
#[tokio::test]
async fn what_cannot_be_taken_over_is_left_out_with_its_reason() {
    let (service, config) = service().await;
    let glance = GlanceTables::create(Typing::Postgres).await;
    let bucket = &service.bucket;
    let victim = image(&glance, bucket, json!({}), DATA).await;
    let mut expected = Vec::new();
    for (location, reason) in [
        ("file:///var/lib/glance/images/x", "store of kind `file`"),
        ("rbd://fsid/pool/image/snap", "store of kind `rbd`"),
        ("swift+config://ref/container/x", "store of kind `swift+config`"),
        ("https://canary:canary@h.example/x?sig=canary", "allow_http_locations"),
        ("canary-AAAAAGencrypted==", "encrypted"),
        (
            "s3://key:canary@s3.other.example/bucket/ID",
            "no store is configured for s3://s3.other.example/bucket/ID",
        ),
        (&with_secret(bucket, &victim), "not named after the image"),
        (&with_secret(bucket, "images/ID"), "no store is configured"),
        (&with_secret(bucket, "ID"), "is not there"),
    ] {
        let id = new_id();
        glance.image(&id, stored(DATA)).await;
        glance.location(&id, &location.replace("ID", &id), json!({})).await;
        expected.push((id.clone(), reason.replace("ID", &id)));
    }
    for (columns, reason) in [
        (json!({"status": "saving"}), "on its way"),
        (json!({"status": "uploading"}), "on its way"),
        (json!({"status": "importing"}), "on its way"),
        (json!({"status": "odd"}), "status is unknown"),
        (json!({"size": 15}), "has 16 bytes instead of 15"),
        (json!({"size": null}), "does not know its size"),
        (json!({"size": -1}), "`size` is -1"),
        (json!({"min_ram": -1}), "min_ram"),
        (json!({"created_at": "infinity"}), "`created_at`"),
    ] {
        expected.push((image(&glance, bucket, columns, DATA).await, reason.to_owned()));
    }
    let nowhere = new_id();
    glance.image(&nowhere, stored(DATA)).await;
    expected.push((nowhere, "no location".to_owned()));
    glance.image("old-style-id", stored(DATA)).await;
    expected.push(("old-style-id".to_owned(), "no UUID".to_owned()));
    let greedy = image(&glance, bucket, json!({}), DATA).await;
    glance
        .sql(&format!(
            "INSERT INTO image_tags (image_id, value) SELECT '{greedy}', n FROM generate_series(1, 10001) n"
        ))
        .await;
    expected.push((greedy, "more properties".to_owned()));

    for arguments in [&[][..], &["--apply"]] {
        let told = adopt(&config, &glance, 1, arguments);
        for (id, reason) in &expected {
            let found = told.said(id, "left_out");
            assert!(found.contains(reason), "{reason}: {found}");
        }
        assert_eq!(told.summary["left_out"], json!(expected.len()), "{}", told.output);
        assert_eq!(told.summary["adopted"], json!(1), "{}", told.output);
    }
    assert_eq!(service.count_images().await, 1);
    assert_eq!(service.count("SELECT count(*) FROM blobs").await, 1);
    assert_eq!(service.count("SELECT count(*) FROM image_locations").await, 0);
    let rows = service.count("SELECT count(*) FROM images AS r WHERE to_jsonb(r)::text LIKE '%ary%'").await;
    assert_eq!(rows, 0, "no credentials are kept");
    assert_eq!(service.download(OWNER, &victim).await.expect(200).body, DATA);
}

#[tokio::test]
async fn digests_are_verified_where_that_is_asked_for() {
    let (service, config) = service().await;
    let glance = GlanceTables::create(Typing::Postgres).await;
    let sound = image(&glance, &service.bucket, json!({}), DATA).await;
    let sha256 = json!({"os_hash_algo": "sha256", "os_hash_value": "0".repeat(64)});
    let other_hash = image(&glance, &service.bucket, sha256, DATA).await;
    let other_sum = image(&glance, &service.bucket, json!({"checksum": md5(b"x")}), DATA).await;
    let none = json!({"checksum": null, "os_hash_algo": null, "os_hash_value": null});
    let unknown = image(&glance, &service.bucket, none.clone(), DATA).await;
    assert_eq!(adopt(&config, &glance, 0, &[]).summary["adopted"], json!(4), "their sizes are right");
    let told = adopt(&config, &glance, 1, &["--apply", "--verify", "hash"]);
    assert!(told.said(&other_hash, "left_out").contains("another sha256"));
    assert!(told.said(&other_sum, "left_out").contains("another md5"));
    assert_eq!(told.summary["adopted"], json!(2));
    for id in [&sound, &unknown] {
        let client = service.database.client().await;
        let digests: Value = client
            .query_one(
                &format!("SELECT digests FROM blobs WHERE image_id = '{id}' AND etag IS NOT NULL"),
                &[],
            )
            .await
            .unwrap()
            .get(0);
        assert_eq!(digests, json!({"md5": md5(DATA), "sha512": sha512(DATA)}));
    }
    assert_eq!(
        service.show(OWNER, &unknown).await["checksum"],
        Value::Null,
        "what Glance did not tell stays untold"
    );

    // without verification an object is believed to be there
    service
        .bucket
        .client()
        .delete_object()
        .bucket(&service.bucket.name)
        .key(&other_hash)
        .send()
        .await
        .unwrap();
    assert_eq!(adopt(&config, &glance, 1, &[]).summary["left_out"], json!(1));
    assert_eq!(adopt(&config, &glance, 0, &["--verify", "none"]).summary["adopted"], json!(2));
}

// the source has to answer while the command runs
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn urls_are_taken_over_where_the_configuration_allows_them() {
    let (service, mut config) = service().await;
    let glance = GlanceTables::create(Typing::Postgres).await;
    let source = Source::start().await;
    let (good, short) = (new_id(), new_id());
    for (id, path) in [(&good, "/good"), (&short, "/short")] {
        glance.image(id, stored(DATA)).await;
        glance.location(id, &source.url(path), json!({"a": "b"})).await;
    }
    source.put("/good", DATA);
    source.put("/short", &DATA[1..]);
    assert_eq!(adopt(&config, &glance, 1, &[]).summary["left_out"], json!(2));
    allow(&mut config);
    for verify in ["size", "hash"] {
        let told = adopt(&config, &glance, 1, &["--verify", verify]);
        assert_eq!(told.summary["adopted"], json!(1), "{}", told.output);
        told.said(&short, "left_out");
    }
    adopt(&config, &glance, 1, &["--apply"]);
    let kept = format!(
        "SELECT count(*) FROM image_locations WHERE image_id = '{good}' AND url = '{}'",
        source.url("/good")
    );
    assert_eq!(service.count(&kept).await, 1);
    assert_eq!(service.count("SELECT count(*) FROM image_locations").await, 1);
    assert_eq!(adopt(&config, &glance, 1, &["--apply"]).counts()["known"], json!(1), "the same URL");
    source.put("/second", DATA);
    glance.location(&good, &source.url("/second"), json!({})).await;
    let told = adopt(&config, &glance, 1, &["--apply"]);
    assert_eq!(told.said(&good, "refreshed"), "data at a URL (only in Glance)");
    assert_eq!(service.count("SELECT count(*) FROM image_locations").await, 2);
}

/// Bytes that were taken over count; nobody is told of images as if they were new.
#[tokio::test]
async fn adopted_bytes_are_charged_and_no_event_is_sent() {
    let (service, mut config) = service().await;
    config.notifications.log = true;
    let glance = GlanceTables::create(Typing::Postgres).await;
    image(&glance, &service.bucket, json!({}), &vec![0; 3 << 20]).await;
    adopt(&config, &glance, 0, &["--apply"]);
    glance.sql("UPDATE images SET name = 'other'").await;
    assert_eq!(adopt(&config, &glance, 0, &["--apply"]).summary["refreshed"], json!(1));
    assert_eq!(service.count("SELECT sum(size)::bigint FROM blobs WHERE owner = 'alpha'").await, 3 << 20);
    assert_eq!(service.count("SELECT count(*) FROM events").await, 0);
    config.limits.user_storage_quota = vitrine::config::units::ByteSize(3 << 20);
    let limited = Service::start_over(service.database, service.bucket, config).await;
    let id = limited.queued(OWNER).await;
    limited.upload(OWNER, &id, b"one more").await.expect(413);
}

#[tokio::test]
async fn metadata_definitions_are_taken_over() {
    let (service, config) = service().await;
    let glance = GlanceTables::create(Typing::MySql).await;
    for (name, visibility) in [("OS::Mine", "public"), ("OS::Odd", "private"), ("OS::Known", "public")] {
        let row = json!({"namespace": name, "display_name": "n", "visibility": visibility, "protected": true,
                         "owner": "alpha"});
        glance.insert("metadef_namespaces", &row).await;
    }
    let cores = json!({"title": "Cores", "type": "integer", "default": 1});
    glance
        .insert(
            "metadef_properties",
            &json!({"namespace_id": 1, "name": "cores", "json_schema": cores.to_string()}),
        )
        .await;
    let object = json!({"namespace_id": 1, "name": "cpu", "required": "cores", "json_schema": json!({"cores": cores}).to_string()});
    glance.insert("metadef_objects", &object).await;
    glance.insert("metadef_tags", &json!({"namespace_id": 1, "name": "fast"})).await;
    glance.insert("metadef_resource_types", &json!({"name": "OS::Glance::Image"})).await;
    glance
        .insert(
            "metadef_namespace_resource_types",
            &json!({"namespace_id": 1, "resource_type_id": 1, "prefix": "hw_"}),
        )
        .await;
    glance.insert("metadef_properties", &json!({"namespace_id": 2, "name": "bad", "json_schema": "{"})).await;
    let namespace = vitrine::domain::metadef::document::of_file(&json!({"namespace": "OS::Known"})).unwrap();
    let mode = vitrine::catalog::metadefs::MergeMode::Skip;
    service.flows.catalog.load_definitions(&namespace, mode).await.unwrap();

    let counts = json!({"adopted": 1, "known": 1, "left_out": 1});
    for arguments in [&[][..], &["--apply"]] {
        let told = adopt(&config, &glance, 1, arguments);
        assert_eq!(told.summary["namespaces"], counts);
        assert!(told.said("OS::Odd", "left_out").contains("no JSON"));
    }
    let found = service.flows.catalog.namespace("OS::Mine").await.unwrap().unwrap();
    assert_eq!((found.fields.owner.as_str(), found.is_protected()), ("alpha", true));
    let (_, contents) = service.flows.catalog.whole_namespace(found.id).await.unwrap().unwrap();
    assert_eq!(contents.properties[0].schema["default"], json!("1"));
    assert_eq!(contents.objects[0].fields.required, ["cores"]);
    assert_eq!(contents.tags[0].name, "fast");
    assert_eq!(contents.associations[0].fields.prefix.as_deref(), Some("hw_"));
    assert!(!service.flows.catalog.namespace("OS::Known").await.unwrap().unwrap().is_protected());
    assert_eq!(
        adopt(&config, &glance, 1, &["--apply"]).summary["namespaces"],
        json!({"adopted": 0, "known": 2, "left_out": 1})
    );
}

/// Databases from before Ocata have neither `visibility` nor hashes; those before Juno no metadata definitions.
#[tokio::test]
async fn an_old_database_is_read_as_far_as_it_goes() {
    let (service, config) = service().await;
    let glance = GlanceTables::create(Typing::MySql).await;
    glance
        .sql(
            "ALTER TABLE images DROP visibility, DROP os_hidden, DROP os_hash_algo, DROP os_hash_value, DROP virtual_size,
               ADD is_public smallint NOT NULL DEFAULT 0;
             ALTER TABLE image_members DROP status;
             ALTER TABLE image_locations DROP status, DROP meta_data;
             DROP TABLE metadef_namespaces, metadef_objects, metadef_properties, metadef_tags, metadef_resource_types,
               metadef_namespace_resource_types",
        )
        .await;
    let [open, closed] = [new_id(), new_id()];
    for (id, is_public) in [(&open, 1), (&closed, 0)] {
        let columns = json!({"size": DATA.len(), "checksum": md5(DATA), "is_public": is_public});
        glance.image(id, columns).await;
        let row = json!({"image_id": id, "value": with_secret(&service.bucket, id)});
        glance.insert("image_locations", &row).await;
        put(&service.bucket, id, DATA).await;
    }
    glance.insert("image_members", &json!({"image_id": closed, "member": "beta"})).await;
    let told = adopt(&config, &glance, 0, &["--apply", "--verify", "hash"]);
    assert_eq!(told.summary["adopted"], json!(2), "{}", told.output);
    assert_eq!(service.show(OTHER, &open).await["visibility"], json!("public"));
    assert_eq!(service.show(OTHER, &closed).await["visibility"], json!("shared"));
    assert_eq!(service.download(OTHER, &closed).await.expect(200).body, DATA);
}

#[tokio::test]
async fn what_is_no_database_of_glance_is_said() {
    let (service, mut config) = service().await;
    let from = |url: &str| run(&config, &["adopt", "--from", url]).expect(1).stderr;
    let own = from(&service.database.url);
    assert!(own.contains("no database of Glance"), "{own}");
    let nowhere = from("postgres://u:canary@127.0.0.1:1/glance");
    assert!(
        nowhere.contains("cannot read the database of Glance") && !nowhere.contains("canary"),
        "{nowhere}"
    );
    let malformed = from("mysql://u:canary@h/d");
    assert!(!malformed.contains("canary"), "{malformed}");
    let glance = GlanceTables::create(Typing::Postgres).await;
    let empty = crate::support::db::empty_database().await;
    config.database.url = Some(SecretString::from(empty.url.clone()));
    let old = run(&config, &["adopt", "--from", glance.url()]).expect(1);
    assert!(old.stderr.contains("vitrine migrate"), "{}", old.stderr);
}

/// Many images, more than any page; rows that belong to none of them.
#[tokio::test]
async fn tables_are_walked_side_by_side() {
    let (service, config) = service().await;
    let glance = GlanceTables::create(Typing::Postgres).await;
    glance
        .sql(
            "INSERT INTO images (id, status, name) SELECT gen_random_uuid(), 'queued', n FROM generate_series(1, 700) n;
             INSERT INTO image_tags (image_id, value) SELECT id, 't' || name FROM images WHERE name::int % 2 = 0;
             INSERT INTO image_properties (image_id, name, value)
               SELECT id, 'p' || k, name FROM images, generate_series(1, 3) k;
             INSERT INTO image_tags (image_id, value) SELECT gen_random_uuid(), 'stray' FROM generate_series(1, 700)",
        )
        .await;
    let told = adopt(&config, &glance, 0, &["--apply"]);
    assert_eq!(told.counts(), json!({"applied": true, "images": 700, "adopted": 700}));
    let right =
        "SELECT count(*) FROM images WHERE (tags = '{}') = (name::int % 2 = 1) AND tags <@ ARRAY['t' || name]
                 AND properties = jsonb_build_object('p1', name, 'p2', name, 'p3', name)";
    assert_eq!(service.count(right).await, 700);
}
