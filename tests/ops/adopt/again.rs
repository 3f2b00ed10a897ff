//! Runs over what is here already.

use vitrine::catalog::Catalog;
use vitrine::catalog::adoption::{Adopted, KnownId, KnownImage, NewAdoption};
use vitrine::domain::image::Image;

use super::*;
use crate::support::eventually;
use crate::support::v2::two_stores;

/// What was done here stays, and what Glance did meanwhile is told of.
#[tokio::test]
async fn a_repeated_run_overwrites_nothing_of_users() {
    let (service, config) = service().await;
    let glance = GlanceTables::create(Typing::MySql).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(image(&glance, &service.bucket, json!({"name": "then"}), DATA).await);
    }
    adopt(&config, &glance, 0, &["--apply"]);
    let [renamed, removed, changed, deleted] = &ids[..] else { panic!("four images") };
    service.change(OWNER, renamed, &[replace("/name", "now")]).await.expect(200);
    service.delete(&format!("/v2/images/{removed}")).by(OWNER).send().await.expect(204);
    // the ids of images deleted long ago are all that is left of them
    run(&config, &["purge", "--older-than", "0s"]).expect(0);
    let later = "updated_at = now() + interval '1 day'";
    glance.sql(&format!("UPDATE images SET name = 'glance', {later} WHERE id = '{changed}'")).await;
    glance
        .sql(&format!("UPDATE images SET deleted = 1, status = 'deleted', {later} WHERE id = '{deleted}'"))
        .await;
    let new = image(&glance, &service.bucket, json!({"name": "new"}), DATA).await;
    let squatted = image(&glance, &service.bucket, json!({"name": "theirs"}), DATA).await;
    let squatter = json!({"id": squatted, "name": "mine"}).to_string();
    let request = service.post("/v2/images").by(OWNER).header("Content-Type", "application/json");
    request.body(squatter).send().await.expect(201);

    let told = adopt(&config, &glance, 1, &["--apply"]);
    let counts = json!({"applied": true, "images": 6, "adopted": 1, "known": 3, "changed": 2, "refreshed": 1, "left_out": 1,
        "objects": 1, "bytes": 16});
    assert_eq!(told.counts(), counts, "{}", told.output);
    assert!(told.said(renamed, "changed").starts_with("not as in Glance: name; left alone"));
    assert_eq!(told.said(changed, "refreshed"), "name");
    assert!(told.said(deleted, "changed").contains("deleted in Glance"));
    assert_eq!(told.said(&squatted, "left_out"), "another image has its id here");
    assert_eq!(service.show(OWNER, &squatted).await["name"], json!("mine"));
    assert_eq!(service.show(OWNER, renamed).await["name"], json!("now"));
    assert_eq!(service.show(OWNER, changed).await["name"], json!("glance"));
    assert_eq!(service.show(OWNER, &new).await["name"], json!("new"));
    service.get(&format!("/v2/images/{removed}")).by(OWNER).send().await.expect(404);
    assert_eq!(service.download(OWNER, deleted).await.expect(200).body, DATA);
}

/// Members of an image with their answers, in the order of joining.
async fn answers(service: &Service, id: &str) -> Vec<(String, String)> {
    let record = service.record(id).await;
    let text = |member: &Value, name: &str| member[name].as_str().unwrap().to_owned();
    let members = record["members"].as_array().unwrap();
    members.iter().map(|member| (text(member, "member"), text(member, "status"))).collect()
}

fn pairs(members: &[(&str, &str)]) -> Vec<(String, String)> {
    members.iter().map(|(name, answer)| ((*name).to_owned(), (*answer).to_owned())).collect()
}

/// A shared image with the members beta, who accepted it, and gamma.
async fn shared(glance: &GlanceTables, bucket: &TestBucket) -> String {
    let id = image(glance, bucket, json!({"visibility": "shared"}), DATA).await;
    for (member, status) in [("beta", "accepted"), ("gamma", "pending")] {
        let row = json!({"image_id": id, "member": member, "status": status});
        glance.insert("image_members", &row).await;
    }
    id
}

/// Glance does not note in an image that its members change. Who is none any more must not read it here.
#[tokio::test]
async fn members_that_changed_in_glance_change_here() {
    let (service, config) = service().await;
    let glance = GlanceTables::create(Typing::Postgres).await;
    let id = shared(&glance, &service.bucket).await;
    adopt(&config, &glance, 0, &["--apply"]);
    service.download(OTHER, &id).await.expect(200);
    glance
        .sql(&format!(
            "UPDATE image_members SET deleted = true, deleted_at = now() WHERE image_id = '{id}' AND member = 'beta';
             UPDATE image_members SET status = 'accepted' WHERE image_id = '{id}' AND member = 'gamma'"
        ))
        .await;
    glance.insert("image_members", &json!({"image_id": id, "member": "delta"})).await;

    let dry = adopt(&config, &glance, 0, &[]);
    assert_eq!(dry.said(&id, "refreshed"), "member `beta`, member `delta`, member `gamma`");
    assert_eq!(answers(&service, &id).await, pairs(&[("beta", "accepted"), ("gamma", "pending")]));
    let told = adopt(&config, &glance, 0, &["--apply"]);
    assert_eq!(told.counts(), json!({"applied": true, "images": 1, "refreshed": 1}), "{}", told.output);
    assert_eq!(answers(&service, &id).await, pairs(&[("gamma", "accepted"), ("delta", "pending")]));
    service.get(&format!("/v2/images/{id}/file")).by(OTHER).send().await.expect(404);

    // as often as Glance changes
    glance.insert("image_members", &json!({"image_id": id, "member": "epsilon"})).await;
    assert_eq!(adopt(&config, &glance, 0, &["--apply"]).said(&id, "refreshed"), "member `epsilon`");
    assert_eq!(adopt(&config, &glance, 0, &["--apply"]).counts()["known"], json!(1));
    assert_eq!(service.count("SELECT count(*) FROM blobs").await, 1);
}

/// What users did with members here is theirs, also where nothing of it is left to see.
#[tokio::test]
async fn members_that_changed_here_stay() {
    let (service, config) = service().await;
    let glance = GlanceTables::create(Typing::Postgres).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(shared(&glance, &service.bucket).await);
    }
    adopt(&config, &glance, 0, &["--apply"]);
    let [removed, answered, back] = &ids[..] else { panic!("three images") };
    let member = |id: &str, name: &str| format!("/v2/images/{id}/members/{name}");
    service.delete(&member(removed, "gamma")).by(OWNER).send().await.expect(204);
    let answer = service.put(&member(answered, "beta")).by(OTHER).json(&json!({"status": "rejected"}));
    answer.send().await.expect(200);
    for status in ["rejected", "accepted"] {
        let answer = service.put(&member(back, "beta")).by(OTHER).json(&json!({ "status": status }));
        answer.send().await.expect(200);
    }
    let mine = [answers(&service, removed).await, answers(&service, answered).await];
    let told = adopt(&config, &glance, 1, &["--apply"]);
    assert_eq!(told.counts(), json!({"applied": true, "images": 3, "known": 3, "changed": 2}));
    assert!(told.said(removed, "changed").contains("member `gamma`; left alone"));
    assert!(told.said(answered, "changed").contains("member `beta`; left alone"));
    glance.sql(&format!("UPDATE image_members SET can_share = true WHERE image_id = '{back}'")).await;
    let told = adopt(&config, &glance, 1, &["--apply"]);
    assert!(told.said(back, "changed").contains("member `beta`, member `gamma`; left alone"));
    assert_eq!([answers(&service, removed).await, answers(&service, answered).await], mine);
}

/// What differs counts, and not what Glance says of times: it writes the image when it merely reads old locations.
#[tokio::test]
async fn attributes_tags_and_properties_are_compared() {
    let (service, config) = service().await;
    let glance = GlanceTables::create(Typing::MySql).await;
    let (same, other) = (
        image(&glance, &service.bucket, json!({}), DATA).await,
        image(&glance, &service.bucket, json!({"status": "deactivated"}), DATA).await,
    );
    for id in [&same, &other] {
        glance.insert("image_tags", &json!({"image_id": id, "value": "a"})).await;
        glance.insert("image_properties", &json!({"image_id": id, "name": "p", "value": "1"})).await;
    }
    adopt(&config, &glance, 0, &["--apply"]);
    glance.sql("UPDATE images SET updated_at = now() + interval '1 day'").await;
    assert_eq!(adopt(&config, &glance, 0, &["--apply"]).counts()["known"], json!(2));
    let id = &other;
    glance
        .sql(&format!(
            "UPDATE images SET status = 'active', min_ram = 5, owner = 'beta' WHERE id = '{id}';
             UPDATE image_tags SET deleted = 1 WHERE image_id = '{id}';
             UPDATE image_properties SET value = '2' WHERE image_id = '{id}'"
        ))
        .await;
    let told = adopt(&config, &glance, 0, &["--apply"]);
    assert_eq!(told.said(id, "refreshed"), "owner, status, min_ram, tags, property `p`");
    let shown = service.show(OTHER, id).await;
    assert_eq!((&shown["status"], &shown["min_ram"]), (&json!("active"), &json!(5)));
    assert_eq!((&shown["tags"], &shown["p"]), (&json!([]), &json!("2")));
    assert_eq!(service.download(OTHER, id).await.expect(200).body, DATA);
    assert_eq!(adopt(&config, &glance, 0, &["--apply"]).counts()["known"], json!(2));
}

/// An image without data gets them, and one with a copy in another store gets that.
#[tokio::test]
async fn data_that_came_later_are_taken_over() {
    let (service, second) = two_stores().await;
    let mut config = crate::support::config(&service.database, &service.bucket);
    config.stores.insert("second".to_owned(), second.store());
    let glance = GlanceTables::create(Typing::Postgres).await;
    let (queued, given) = (new_id(), new_id());
    for id in [&queued, &given] {
        glance.image(id, json!({"status": "queued", "name": "later"})).await;
    }
    let copied = image(&glance, &service.bucket, json!({}), DATA).await;
    adopt(&config, &glance, 0, &["--apply"]);
    service.upload(OWNER, &given, b"mine").await.expect(204);
    for id in [&queued, &given] {
        let (size, checksum, value) = (DATA.len(), md5(DATA), sha512(DATA));
        glance
            .sql(&format!(
                "UPDATE images SET status = 'active', size = {size}, checksum = '{checksum}', os_hash_algo = 'sha512',
                   os_hash_value = '{value}' WHERE id = '{id}'"
            ))
            .await;
        glance.location(id, &url(&service.bucket, id), json!({})).await;
    }
    glance.location(&copied, &url(&second, &copied), json!({})).await;
    put(&second, &copied, DATA).await;
    put(&service.bucket, &given, DATA).await;

    let told = adopt(&config, &glance, 1, &["--apply"]);
    assert!(told.said(&queued, "changed").ends_with("is not there"), "{}", told.output);
    assert_eq!(service.status(&queued).await, "queued");
    put(&service.bucket, &queued, &DATA[1..]).await;
    assert!(
        adopt(&config, &glance, 1, &["--apply"]).said(&queued, "changed").contains("15 bytes instead of 16")
    );
    put(&service.bucket, &queued, DATA).await;
    for arguments in [&["--verify", "hash"][..], &["--verify", "hash", "--apply"]] {
        let told = adopt(&config, &glance, 1, arguments);
        assert!(told.said(&queued, "refreshed").contains("status, size"), "{}", told.output);
        assert!(told.said(&given, "changed").contains("data in store `main` (only here); left alone"));
        assert_eq!((&told.summary["objects"], &told.summary["bytes"]), (&json!(1), &json!(16)));
    }
    assert_eq!(service.download(OWNER, &queued).await.expect(200).body, DATA);
    assert_eq!(service.download(OWNER, &given).await.expect(200).body, b"mine");
    assert_eq!(service.show(OWNER, &copied).await["stores"], json!("main,second"));
    let path = format!("/v2/images/{copied}/file?prefer=second");
    assert_eq!(service.get(&path).by(ADMIN).send().await.expect(200).body, DATA);
    service.delete(&format!("/v2/images/{queued}")).by(OWNER).send().await.expect(204);
    assert_eq!(service.bucket.content(&queued).await, None, "its object is one of the ledger");
}

/// Data are never given up for what Glance says now.
#[tokio::test]
async fn data_that_glance_gave_up_stay() {
    let (service, second) = two_stores().await;
    let mut config = crate::support::config(&service.database, &service.bucket);
    config.stores.insert("second".to_owned(), second.store());
    let glance = GlanceTables::create(Typing::Postgres).await;
    let copied = image(&glance, &service.bucket, json!({}), DATA).await;
    glance.location(&copied, &url(&second, &copied), json!({})).await;
    put(&second, &copied, DATA).await;
    let other = image(&glance, &service.bucket, json!({}), DATA).await;
    adopt(&config, &glance, 0, &["--apply"]);
    glance
        .sql(&format!(
            "UPDATE image_locations SET deleted = true WHERE image_id = '{copied}' AND value LIKE '%{}%';
             UPDATE images SET checksum = '{}' WHERE id = '{other}'",
            second.name,
            md5(b"x")
        ))
        .await;
    let told = adopt(&config, &glance, 1, &["--apply"]);
    assert!(told.said(&copied, "changed").contains("data in store `second` (only here); left alone"));
    assert!(told.said(&other, "changed").contains("checksum; left alone, as its data"));
    assert_eq!(service.count("SELECT count(*) FROM blobs WHERE state = 'live'").await, 3);
    // the way out that the documentation names
    service.delete(&format!("/v2/stores/second/{copied}")).by(ADMIN).send().await.expect(204);
    assert_eq!(adopt(&config, &glance, 1, &["--apply"]).counts()["changed"], json!(1));
}

/// What is here under an id that is in use.
async fn known(catalog: &Catalog, id: &str) -> KnownImage {
    let id = id.parse().unwrap();
    match catalog.known_images(&[id]).await.unwrap().remove(&id) {
        Some(KnownId::Used(image)) => *image,
        other => panic!("{other:?}"),
    }
}

fn renamed(image: &KnownImage, name: &str) -> NewAdoption {
    let members = image.members.clone();
    let image = Image { name: Some(name.to_owned()), ..image.image.clone() };
    NewAdoption { image, members, objects: Vec::new(), urls: Vec::new() }
}

/// Whether anybody has changed an image is judged again where it is written, and who has read it before loses.
#[tokio::test]
async fn a_change_that_comes_between_wins() {
    let (service, config) = service().await;
    let glance = GlanceTables::create(Typing::Postgres).await;
    let id = shared(&glance, &service.bucket).await;
    adopt(&config, &glance, 0, &["--apply"]);
    let catalog = &service.flows.catalog;
    let before = known(catalog, &id).await;
    assert!(before.untouched);
    let refresh = async |name: &str, revision: i64| {
        catalog.refresh(&renamed(&before, name), revision, &json!({})).await.unwrap()
    };
    let revision = before.image.revision;
    assert_eq!(refresh("one", revision).await, Adopted::Done);
    assert!(known(catalog, &id).await.untouched);
    assert!(catalog.update_image(&before.image).await.unwrap().is_none(), "it was read before the refresh");
    assert_eq!(refresh("late", revision).await, Adopted::Known, "another run was first");
    assert_eq!(refresh("two", revision + 1).await, Adopted::Done);
    service.delete(&format!("/v2/images/{id}/members/gamma")).by(OWNER).send().await.expect(204);
    assert_eq!(refresh("three", revision + 2).await, Adopted::Known);
    let now = known(catalog, &id).await;
    assert_eq!((now.image.name.as_deref(), now.members.len(), now.untouched), (Some("two"), 1, false));
}

/// A member that is removed while the image is being brought up to date is a member no more.
#[tokio::test]
async fn a_removal_that_waits_for_a_refresh_takes_place() {
    let (service, config) = service().await;
    let glance = GlanceTables::create(Typing::Postgres).await;
    let id = shared(&glance, &service.bucket).await;
    adopt(&config, &glance, 0, &["--apply"]);
    let catalog = &service.flows.catalog;
    let before = known(catalog, &id).await;
    let (mut holder, watcher) = (service.database.client().await, service.database.client().await);
    let note = holder.transaction().await.unwrap();
    note.execute("SELECT FROM adoptions WHERE image_id = $1 FOR UPDATE", &[&before.image.id.0])
        .await
        .unwrap();
    let waiting = async |many: i64| {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let counted = watcher.query_one(waits, &[]).await.unwrap().get::<_, i64>(0);
        (counted == many).then_some(())
    };
    let (new, digests) = (renamed(&before, "new"), json!({}));
    let refresh = catalog.refresh(&new, before.image.revision, &digests);
    let remove = async {
        eventually("the refresh waits for its note", async || waiting(1).await).await;
        let removal = service.delete(&format!("/v2/images/{id}/members/gamma")).by(OWNER).send();
        let release = async {
            eventually("the removal waits for the refresh", async || waiting(2).await).await;
            note.commit().await.unwrap();
        };
        tokio::join!(removal, release).0.expect(204);
    };
    let (refreshed, ()) = tokio::join!(refresh, remove);
    assert_eq!(refreshed.unwrap(), Adopted::Done);
    let now = known(catalog, &id).await;
    assert_eq!((now.image.name.as_deref(), now.members.len(), now.untouched), (Some("new"), 1, false));
}

/// The id of a purged image is known if that image was taken over; else somebody else had it.
#[tokio::test]
async fn a_purged_id_of_another_origin_is_told_of() {
    let (service, config) = service().await;
    let glance = GlanceTables::create(Typing::Postgres).await;
    let id = image(&glance, &service.bucket, json!({}), DATA).await;
    let squatter = service.post("/v2/images").by(OWNER).header("Content-Type", "application/json");
    squatter.body(json!({"id": id, "name": "mine"}).to_string()).send().await.expect(201);
    service.delete(&format!("/v2/images/{id}")).by(OWNER).send().await.expect(204);
    run(&config, &["purge", "--older-than", "0s"]).expect(0);
    let told = adopt(&config, &glance, 1, &["--apply"]);
    assert_eq!(told.said(&id, "left_out"), "another image had its id here, and was purged");
    assert_eq!(told.counts(), json!({"applied": true, "images": 1, "left_out": 1}));
}

/// Digests that Glance has found out since are known of the objects too.
#[tokio::test]
async fn digests_that_become_known_are_known_of_the_objects() {
    let (service, config) = service().await;
    let glance = GlanceTables::create(Typing::Postgres).await;
    let unknown = json!({"checksum": null, "os_hash_algo": null, "os_hash_value": null});
    let id = image(&glance, &service.bucket, unknown, DATA).await;
    adopt(&config, &glance, 0, &["--apply"]);
    glance.sql(&format!("UPDATE images SET checksum = '{}' WHERE id = '{id}'", md5(DATA))).await;
    adopt(&config, &glance, 0, &["--apply"]);
    let digests = "SELECT digests FROM blobs WHERE state = 'live'";
    let digests: Value = service.database.client().await.query_one(digests, &[]).await.unwrap().get(0);
    assert_eq!(digests, json!({"md5": md5(DATA)}));
}
