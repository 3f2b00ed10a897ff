//! Imports by `glance-download`: rows 11 and 21 of images-v2.md §14.2, what §14.5 says of metadata, A13, A36 and A54.
//!
//! The other region is a whole service of its own, or a server that does as it is told.

use serde_json::{Value, json};
use uuid::Uuid;
use vitrine::catalog::tasks::NewTask;
use vitrine::config::{Config, Import};
use vitrine::domain::caller::Caller;
use vitrine::domain::import::ImportRequest;
use vitrine::domain::peers::{Peers, endpoints};
use vitrine::error::ErrorKind;
use vitrine::flows::Call;
use vitrine::flows::import::IMAGE_IMPORT;

use super::{ADMIN, ALIEN, OWNER};
use crate::support::api::{Service, new_id};
use crate::support::eventually;
use crate::support::file::ScratchFile;
use crate::support::peer::{Data, Peer};
use crate::support::server::Server;
use crate::support::v2::raw;

const DATA: &[u8] = b"far away";

/// A caller of project `alpha` in the region, whose catalogue names an image service for region `R2`.
fn roaming(endpoint: &str, token: &str) -> Call {
    let catalogue = json!([{ "type": "image", "endpoints": [
        { "region_id": "R2", "interface": "public", "url": endpoint },
    ]}]);
    let caller = Caller {
        user: Some("olga".to_owned()),
        project: Some("alpha".to_owned()),
        roles: vec!["member".to_owned(), "reader".to_owned()],
        peers: Peers::new(endpoints(&catalogue), token),
        ..Caller::default()
    };
    super::call(caller)
}

/// URL of a service, as a catalogue names it.
fn url(service: &Service) -> String {
    format!("http://{}", service.address)
}

/// Enqueues the import of the image `theirs` of region `R2` into a queued one, as a request would.
async fn enqueue(service: &Service, call: &Call, id: &str, theirs: &str, stores: &[&str]) -> Uuid {
    let request = json!({ "method": {
        "name": "glance-download", "glance_region": "R2", "glance_image_id": theirs,
    }});
    let import = ImportRequest::accepted(&request).unwrap();
    import.method.check().unwrap();
    let peer = service.flows.peer_of(call, "R2", "public").unwrap();
    let task = NewTask {
        id: Uuid::new_v4(),
        kind: IMAGE_IMPORT,
        owner: call.caller.project.clone(),
        user_id: call.caller.user.clone(),
        request_id: Some(call.request_id.clone()),
        image_id: Some(id.parse().unwrap()),
        input: json!({ "image_id": id, "import_req": import.document(), "backend": stores }),
        secret: Some(peer.to_secret()),
    };
    let stores = stores.join(",");
    service
        .set(id, &format!("status = 'importing', importing_to = '{{{stores}}}', failed_import = '{{}}'"))
        .await;
    service.flows.catalog.insert_task(&task).await.unwrap();
    service.flows.task_added.notify_one();
    task.id
}

/// Imports, and waits for the end. Gives status and message of the task.
async fn import(service: &Service, call: &Call, id: &str, theirs: &str) -> (String, String) {
    let task = enqueue(service, call, id, theirs, &["main"]).await;
    ended(service, task).await
}

async fn ended(service: &Service, task: Uuid) -> (String, String) {
    let database = service.database.client().await;
    eventually("the task ends", async || {
        let sql =
            "SELECT status::text, coalesce(message, '') FROM tasks WHERE id = $1 AND expires_at IS NOT NULL";
        database.query_opt(sql, &[&task]).await.unwrap().map(|row| (row.get(0), row.get(1)))
    })
    .await
}

/// Attributes that an import changes beside the data.
fn metadata(image: &Value) -> Value {
    let mut image = image.clone();
    for name in ["updated_at", "os_glance_failed_import", "os_glance_importing_to_stores"] {
        image.as_object_mut().unwrap().remove(name);
    }
    image
}

/// The import ends in failure with this text, and leaves the image as it was.
async fn assert_fails(service: &Service, call: &Call, theirs: &str, text: &str) {
    let id = service.create_id(OWNER, raw(json!({ "hw_own": "1", "own": "2" }))).await;
    let before = metadata(&service.show(OWNER, &id).await);
    assert_eq!(before["status"], "queued");
    let (status, message) = import(service, call, &id, theirs).await;
    assert_eq!(status, "failure");
    assert!(message.contains(text), "{message}");
    assert_eq!(metadata(&service.show(OWNER, &id).await), before);
    service.assert_settled().await;
}

/// A record as an image service shows it.
fn record(data: &[u8]) -> Value {
    use sha2::Digest as _;
    json!({
        "status": "active", "size": data.len(), "disk_format": "raw", "container_format": "bare",
        "checksum": hex::encode(md5::Md5::digest(data)),
        "os_hash_algo": "sha512", "os_hash_value": hex::encode(sha2::Sha512::digest(data)),
    })
}

#[tokio::test]
async fn data_and_some_metadata_come_from_the_other_region() {
    let (there, here) = (Service::start().await, Service::start().await);
    let theirs = json!({
        "disk_format": "iso", "container_format": "ovf", "name": "theirs", "min_ram": 5, "tags": ["t"],
        "hw_disk_bus": "scsi", "hw_own": "theirs", "trait:X": "required", "os_type": "linux", "os_distro": "d",
        "os_secure_boot": "optional", "os_version": "1", "other": "x",
    });
    let theirs = there.active(OWNER, theirs, DATA).await;
    for endpoint in [url(&there), format!("{}/v2/", url(&there))] {
        let ours = json!({ "name": "ours", "hw_own": "ours", "own": "ours" });
        let id = here.create_id(OWNER, raw(ours)).await;
        let (status, message) = import(&here, &roaming(&endpoint, OWNER), &id, &theirs).await;
        assert_eq!((status.as_str(), message.as_str()), ("success", ""));
        let image = here.show(OWNER, &id).await;
        let original = there.show(OWNER, &theirs).await;
        for name in ["size", "checksum", "os_hash_algo", "os_hash_value", "disk_format", "container_format"] {
            assert_eq!(image[name], original[name], "{name}");
        }
        for (name, value) in [
            ("status", "active"),
            ("name", "ours"),
            ("hw_disk_bus", "scsi"),
            ("hw_own", "theirs"),
            ("trait:X", "required"),
            ("os_type", "linux"),
            ("os_distro", "d"),
            ("os_secure_boot", "optional"),
            ("own", "ours"),
        ] {
            assert_eq!(image[name], value, "{name}");
        }
        assert_eq!((&image["min_ram"], &image["tags"]), (&json!(0), &json!([])));
        assert!(image.get("os_version").is_none() && image.get("other").is_none());
        assert_eq!(here.download(OWNER, &id).await.expect(200).body, DATA);
    }
    here.assert_settled().await;
    let secrets = "SELECT count(*) FROM tasks WHERE secret IS NOT NULL";
    assert_eq!(here.count(secrets).await, 0);
    let kept = "SELECT count(*) FROM blobs WHERE inherited IS NOT NULL";
    assert_eq!(here.count(kept).await, 0);
}

#[tokio::test]
async fn which_properties_are_copied_is_configured() {
    let there = Service::start().await;
    let here = Service::start_with(|settings| {
        settings.import.glance_download_properties = ["os_", "n", "ot"].map(str::to_owned).to_vec();
    })
    .await;
    let theirs = json!({ "name": "theirs", "os_hidden": true, "os_version": "1", "other": "x", "hw_x": "1" });
    let theirs = there.active(OWNER, theirs, DATA).await;
    let id = here.create_id(OWNER, raw(json!({ "name": "ours" }))).await;
    assert_eq!(import(&here, &roaming(&url(&there), OWNER), &id, &theirs).await.0, "success");
    let image = here.show(OWNER, &id).await;
    assert_eq!((&image["name"], &image["os_hidden"]), (&json!("ours"), &json!(false)));
    assert_eq!((&image["os_version"], &image["other"]), (&json!("1"), &json!("x")));
    assert!(image.get("hw_x").is_none());
}

#[tokio::test]
async fn protections_hold_for_what_is_copied() {
    let rules = "[^hw_licence$]\ncreate = admin\nread = member,admin\nupdate = admin\ndelete = admin\n\
                 [.*]\ncreate = @\nread = @\nupdate = @\ndelete = @\n";
    let file = ScratchFile::new("protections.conf", rules);
    let there = Service::start().await;
    let here = Service::start_with(|settings| {
        settings.policy.property_protection_file = Some(file.path.clone());
    })
    .await;
    let theirs = there.active(OWNER, json!({ "hw_licence": "all", "hw_other": "x" }), DATA).await;
    let id = here.queued(OWNER).await;
    assert_eq!(import(&here, &roaming(&url(&there), OWNER), &id, &theirs).await.0, "success");
    let image = here.show(ADMIN, &id).await;
    assert_eq!(image["hw_other"], "x");
    assert!(image.get("hw_licence").is_none(), "{image}");
}

#[tokio::test]
async fn a13_peers_are_those_of_the_catalogue() {
    let service = Service::start().await;
    let call = roaming("http://127.0.0.1:1/image", OWNER);
    service.flows.peer_of(&call, "R2", "public").unwrap();
    let without = super::call(Caller::default());
    for (call, region, interface) in [
        (&call, "R1", "public"),
        (&call, "R2", "internal"),
        (&call, "", "public"),
        (&without, "R2", "public"),
    ] {
        let error = service.flows.peer_of(call, region, interface).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    for endpoint in ["", "x", "ftp://h/", "http://u:p@h/", "http://169.254.169.254/", "http://h/?x="] {
        let error = service.flows.peer_of(&roaming(endpoint, OWNER), "R2", "public").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{endpoint}");
    }
}

#[test]
fn it_is_offered_only_where_it_is_enabled() {
    let region = json!({ "name": "glance-download", "glance_region": "R2", "glance_image_id": new_id() });
    let request = json!({ "method": region });
    let usual = Import::default();
    assert!(!usual.offers("glance-download"));
    let refused = ImportRequest::parse(&request, &usual.methods).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    ImportRequest::parse(&request, &["glance-download".to_owned()]).unwrap();
}

#[tokio::test]
async fn a36_what_the_caller_may_not_read_there_is_not_imported() {
    let (there, here) = (Service::start().await, Service::start().await);
    let theirs = there.active(OWNER, json!({}), DATA).await;
    let not_found = "The image was not found in the other region.";
    assert_fails(&here, &roaming(&url(&there), ALIEN), &theirs, not_found).await;
    assert_fails(&here, &roaming(&url(&there), OWNER), &new_id(), not_found).await;
    assert_fails(&here, &roaming(&url(&there), "nonsense"), &theirs, "refused the request").await;
}

#[tokio::test]
async fn images_without_data_are_not_imported() {
    let (there, here) = (Service::start().await, Service::start().await);
    let queued = there.queued(OWNER).await;
    let call = roaming(&url(&there), OWNER);
    assert_fails(&here, &call, &queued, "is queued and not active").await;
    let theirs = there.active(OWNER, json!({}), DATA).await;
    there.set(&theirs, "status = 'deactivated'").await;
    assert_fails(&here, &call, &theirs, "is deactivated and not active").await;
}

#[tokio::test]
async fn data_that_differ_from_their_record_are_refused() {
    let here = Service::start().await;
    let digest = json!("a".repeat(128));
    for (name, wrong, text) in [
        ("os_hash_value", digest, "The sha512 digest of the data"),
        ("checksum", json!("a".repeat(32)), "checksum"),
        ("size", json!(9), "Supplied size"),
        ("size", json!(7), "Supplied size"),
    ] {
        let mut record = record(DATA);
        record[name] = wrong;
        record["hw_disk_bus"] = json!("scsi");
        record["disk_format"] = json!("iso");
        let peer = Peer::start(record, Data::Pieces(DATA.to_vec(), 100)).await;
        assert_fails(&here, &roaming(&peer.url(), OWNER), &new_id(), text).await;
    }
}

/// A digest of a kind that is not computed here proves nothing, and is no reason to refuse.
#[tokio::test]
async fn other_digests_are_not_compared() {
    let here = Service::start().await;
    let mut record = record(DATA);
    record["os_hash_algo"] = json!("sha3_512");
    let peer = Peer::start(record, Data::Pieces(DATA.to_vec(), 100)).await;
    let id = here.queued(OWNER).await;
    assert_eq!(import(&here, &roaming(&peer.url(), OWNER), &id, &new_id()).await.0, "success");
    assert_eq!(here.show(OWNER, &id).await["os_hash_algo"], "sha512");
}

#[tokio::test]
async fn content_is_judged_by_the_format_of_the_source() {
    let here = Service::start().await;
    let mut record = record(DATA);
    record["disk_format"] = json!("qcow2");
    let peer = Peer::start(record, Data::Pieces(DATA.to_vec(), 100)).await;
    let call = roaming(&peer.url(), OWNER);
    assert_fails(&here, &call, &new_id(), "does not match the declared disk_format qcow2").await;
}

#[tokio::test]
async fn records_that_cannot_become_ours_fail_before_any_data_are_read() {
    let mut settings = |settings: &mut Config| {
        settings.limits.image_property_quota = 4;
        settings.limits.image_size_cap.0 = 100;
    };
    let here = Service::start_with(&mut settings).await;
    for (name, value, text) in [
        ("disk_format", json!("tape"), "The disk format tape is not supported here."),
        ("container_format", json!("box"), "The container format box is not supported here."),
        ("size", json!(101), "larger than 100 bytes"),
        ("hw_c", json!("v\0"), "null characters"),
    ] {
        let mut record = record(DATA);
        record[name] = value;
        let peer = Peer::start(record, Data::Pieces(DATA.to_vec(), 100)).await;
        assert_fails(&here, &roaming(&peer.url(), OWNER), &new_id(), text).await;
        assert_eq!(peer.heads().len(), 1, "{name}");
    }
    let mut crowded = record(DATA);
    for name in ["hw_a", "hw_b", "hw_own"] {
        crowded[name] = json!("theirs");
    }
    let peer = Peer::start(crowded.clone(), Data::Pieces(DATA.to_vec(), 100)).await;
    let id = here.create_id(OWNER, raw(json!({ "hw_own": "1", "own": "2" }))).await;
    assert_eq!(import(&here, &roaming(&peer.url(), OWNER), &id, &new_id()).await.0, "success", "that is 4");
    crowded["hw_c"] = json!("theirs");
    let peer = Peer::start(crowded, Data::Pieces(DATA.to_vec(), 100)).await;
    let call = roaming(&peer.url(), OWNER);
    assert_fails(&here, &call, &new_id(), "Attempted: 5, Maximum: 4").await;
    assert_eq!(peer.heads().len(), 1);
}

#[tokio::test]
async fn a13_a_redirect_of_the_peer_is_refused() {
    let (elsewhere, here) =
        (Peer::start(record(DATA), Data::Pieces(DATA.to_vec(), 100)).await, Service::start().await);
    let target = format!("{}/v2/images/x/file", elsewhere.url());
    let peer = Peer::start(record(DATA), Data::Moved(target)).await;
    assert_fails(&here, &roaming(&peer.url(), OWNER), &new_id(), "sent the request elsewhere").await;
    assert_eq!(peer.heads().len(), 2);
    assert!(elsewhere.heads().is_empty(), "the token would go there");
}

#[tokio::test]
async fn r28_a13_a_broken_body_is_resumed_with_the_token() {
    let data: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let here = Service::start().await;
    let peer = Peer::start(record(&data), Data::Pieces(data.clone(), 150_000)).await;
    let id = here.queued(OWNER).await;
    assert_eq!(import(&here, &roaming(&peer.url(), OWNER), &id, &new_id()).await.0, "success");
    assert_eq!(here.download(OWNER, &id).await.expect(200).body, data);
    let heads = peer.heads();
    assert_eq!(heads.len(), 4, "a record and three pieces");
    for head in &heads {
        assert!(head.contains(&format!("x-auth-token: {OWNER}\r\n")), "{head}");
    }
    assert!(heads[3].contains("range: bytes=300000-"), "{}", heads[3]);
}

/// The runner died after the data were staged: what comes along with them is not asked for again.
#[tokio::test]
async fn the_next_attempt_needs_the_peer_no_more() {
    let here = Service::start_with(|settings| settings.jobs.enabled = false).await;
    let mut theirs = record(DATA);
    theirs["hw_disk_bus"] = json!("scsi");
    theirs["disk_format"] = json!("iso");
    theirs["container_format"] = json!("ovf");
    let peer = Peer::start(theirs, Data::Pieces(DATA.to_vec(), 100)).await;
    let id = here.queued(OWNER).await;
    // the second store is not there, so the attempt ends after the first one
    enqueue(&here, &roaming(&peer.url(), OWNER), &id, &new_id(), &["main", "second"]).await;
    let lease = std::time::Duration::from_secs(60);
    let task = here.flows.catalog.claim_task(lease, &[]).await.unwrap().unwrap();
    let error = here.flows.import(&task, &Default::default()).await.unwrap_err();
    assert_eq!(error.message(), "Store second is not known.");
    let image = here.show(OWNER, &id).await;
    assert_eq!((&image["status"], &image["disk_format"]), (&json!("importing"), &json!("raw")));
    assert!(image.get("hw_disk_bus").is_none(), "not before the image is active");
    drop(peer);
    here.set(&id, "importing_to = '{main}'").await;
    here.flows.import(&task, &Default::default()).await.unwrap();
    let image = here.show(OWNER, &id).await;
    assert_eq!((&image["status"], &image["disk_format"]), (&json!("active"), &json!("iso")));
    assert_eq!(image["hw_disk_bus"], "scsi");
}

#[tokio::test]
async fn properties_that_came_meanwhile_count() {
    let here = Service::start_with(|settings| {
        settings.jobs.enabled = false;
        settings.limits.image_property_quota = 2;
    })
    .await;
    let mut theirs = record(DATA);
    theirs["hw_disk_bus"] = json!("scsi");
    let peer = Peer::start(theirs, Data::Pieces(DATA.to_vec(), 100)).await;
    let id = here.queued(OWNER).await;
    enqueue(&here, &roaming(&peer.url(), OWNER), &id, &new_id(), &["main", "second"]).await;
    let lease = std::time::Duration::from_secs(60);
    let task = here.flows.catalog.claim_task(lease, &[]).await.unwrap().unwrap();
    let error = here.flows.import(&task, &Default::default()).await.unwrap_err();
    assert_eq!(error.message(), "Store second is not known.");
    here.set(&id, "importing_to = '{main}', properties = '{\"a\": \"1\", \"b\": \"2\"}'").await;
    let error = here.flows.import(&task, &Default::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    assert!(here.flows.fail_import(&task, &error).await.unwrap());
    let image = here.show(OWNER, &id).await;
    assert_eq!((&image["status"], &image["a"]), (&json!("queued"), &json!("1")));
    assert!(image.get("hw_disk_bus").is_none());
}

#[tokio::test]
async fn a54_the_token_is_in_no_log_and_no_list_and_goes_with_the_task() {
    const TOKEN: &str = "canary:alpha:member";
    let there = Service::start().await;
    let theirs = there.active(OWNER, json!({}), DATA).await;
    let here = Service::start_with(|settings| settings.jobs.enabled = false).await;
    let call = roaming(&url(&there), TOKEN);
    assert!(!format!("{call:?} {:?}", here.flows.peer_of(&call, "R2", "public").unwrap()).contains(TOKEN));
    let (good, bad) = (here.queued(OWNER).await, here.queued(OWNER).await);
    let kept = "SELECT count(*) FROM tasks WHERE secret LIKE '%canary:alpha:member%'";
    let elsewhere = "SELECT count(*) FROM tasks WHERE tasks::text LIKE '%canary:alpha:member%'";
    let tasks = [
        enqueue(&here, &call, &good, &theirs, &["main"]).await,
        enqueue(&here, &call, &bad, &new_id(), &["main"]).await,
    ];
    assert_eq!(here.count(kept).await, 2);
    for id in [&good, &bad] {
        let shown = here.get(&format!("/v2/images/{id}/tasks")).by(ADMIN).send().await.expect(200);
        assert_eq!(shown.json()["tasks"].as_array().unwrap().len(), 1);
        assert!(!String::from_utf8_lossy(&shown.body).contains("canary"));
    }
    let mut settings = Config::clone(&here.flows.config);
    settings.jobs.enabled = true;
    let mut runner = Server::start_with_env(&settings, &[("RUST_LOG", "trace")]).await;
    assert_eq!(ended(&here, tasks[0]).await.0, "success");
    assert_eq!(ended(&here, tasks[1]).await.0, "failure");
    assert_eq!((here.count(kept).await, here.count(elsewhere).await), (0, 0));
    assert!(runner.terminate().await.success());
    assert!(runner.log().contains("import finished") && !runner.log().contains("canary"), "{}", runner.log());
}
