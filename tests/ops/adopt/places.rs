//! Where data lie: which store a location leads to, and which object it is.

use vitrine::config;

use super::*;

/// A location leads to a store by its address, or by what `--store` says of Glance's store or host.
#[tokio::test]
async fn images_may_lie_in_several_stores() {
    let (service, second) = Service::start_with_two_stores(|_| {}).await;
    let mut config = crate::support::config(&service.database, &service.bucket);
    config.stores.insert("second".to_owned(), second.store());
    let glance = GlanceTables::create(Typing::Postgres).await;
    let id = image(&glance, &service.bucket, json!({}), DATA).await;
    put(&second, &id, DATA).await;
    let elsewhere = format!("s3+https://rgw.internal/{}/{id}", second.name);
    glance.location(&id, &elsewhere, json!({"store": "fast", "colour": "red"})).await;
    glance.location(&id, &format!("file:///var/lib/glance/{id}"), json!({"store": "disk"})).await;

    let told = adopt(&config, &glance, 1, &[]);
    assert!(told.said(&id, "left_out").contains("no store is configured for s3+https://rgw.internal/"));
    let told = adopt(&config, &glance, 1, &["--store", "fast=main"]);
    assert!(told.said(&id, "left_out").contains("not in the bucket of store `main`"));
    let unknown = run(&config, &["adopt", "--from", glance.url(), "--store", "fast=third"]).expect(1);
    assert!(unknown.stderr.contains("there is no store `third`"), "{}", unknown.stderr);
    for name in ["fast=second", "rgw.internal=second"] {
        let told = adopt(&config, &glance, 0, &["--store", name]);
        assert_eq!(told.summary["objects"], json!(2));
        assert!(told.said(&id, "note").contains("store of kind `file`"));
    }
    adopt(&config, &glance, 0, &["--apply", "--store", "fast=second"]);
    assert_eq!(service.show(OWNER, &id).await["stores"], json!("second,main"));
    // each copy is enough
    for store in ["second", "main"] {
        let path = format!("/v2/images/{id}/file?prefer={store}");
        assert_eq!(service.get(&path).by(ADMIN).send().await.expect(200).body, DATA);
    }
    service.delete(&format!("/v2/stores/second/{id}")).by(ADMIN).send().await.expect(204);
    assert_eq!(second.keys().await, Vec::<String>::new());
    assert_eq!(service.download(OWNER, &id).await.expect(200).body, DATA);
    let document = json!({ "method": { "name": "copy-image" }, "stores": ["second"] });
    let path = format!("/v2/images/{id}/import");
    service.post(&path).by(ADMIN).json(&document).send().await.expect(202);
    crate::support::eventually("the copy is made", async || {
        (service.show(OWNER, &id).await["stores"] == json!("second,main")).then_some(())
    })
    .await;
    let path = format!("/v2/images/{id}/file?prefer=second");
    assert_eq!(service.get(&path).by(ADMIN).send().await.expect(200).body, DATA);
}

/// An image with two locations of one object, as texts that Glance takes for two.
async fn twice(glance: &GlanceTables, bucket: &TestBucket) -> String {
    let id = image(glance, bucket, json!({}), DATA).await;
    glance.location(&id, &url(bucket, &id), json!({"store": "fast", "a": "b"})).await;
    glance.location(&id, &with_secret(bucket, &id), json!({})).await;
    id
}

#[tokio::test]
async fn an_object_that_is_named_twice_is_taken_over_once() {
    let (service, config) = service().await;
    let glance = GlanceTables::create(Typing::Postgres).await;
    let id = twice(&glance, &service.bucket).await;
    let expected = json!({"applied": true, "images": 1, "adopted": 1, "objects": 1, "bytes": 16});
    for (arguments, applied) in [(&[][..], false), (&["--apply"], true)] {
        let told = adopt(&config, &glance, 0, arguments);
        assert_eq!(told.counts(), with(expected.clone(), &json!({ "applied": applied })), "{}", told.output);
        assert!(told.said(&id, "note").contains("taken over once"));
    }
    assert_eq!(service.count("SELECT count(*) FROM blobs").await, 1);
    assert_eq!(adopt(&config, &glance, 0, &["--apply"]).counts()["known"], json!(1));
}

/// Two stores over one bucket are two ids of one place: an image with one object has no copy to spare.
#[tokio::test]
async fn stores_of_one_bucket_hold_one_object() {
    let (service, mut config) = service().await;
    let other = config::Store { prefix: "other".to_owned(), ..service.bucket.store() };
    config.stores.insert("other".to_owned(), other);
    config.default_store = Some("main".to_owned());
    let glance = GlanceTables::create(Typing::Postgres).await;
    let id = image(&glance, &service.bucket, json!({}), DATA).await;
    glance.sql("UPDATE image_locations SET meta_data = '{\"store\": \"fast\"}'").await;
    glance.location(&id, &url(&service.bucket, &id), json!({"store": "slow"})).await;
    let mapped = ["--store", "fast=other", "--store", "slow=main", "--apply"];
    for arguments in [&mapped[..4], &mapped] {
        let told = adopt(&config, &glance, 0, arguments);
        assert_eq!(
            (&told.summary["objects"], &told.summary["bytes"]),
            (&json!(1), &json!(16)),
            "{}",
            told.output
        );
    }
    assert_eq!(service.count("SELECT count(*) FROM blobs WHERE store = 'other'").await, 1);
    assert_eq!(service.count("SELECT sum(size)::bigint FROM blobs").await, 16, "it is charged once");
    // by whatever store a later run comes to it, it is the same object
    let told = adopt(&config, &glance, 0, &["--store", "fast=main", "--store", "slow=main", "--apply"]);
    assert_eq!(told.counts(), json!({"applied": true, "images": 1, "known": 1}), "{}", told.output);
    let service = Service::start_over(service.database, service.bucket, config).await;
    service.delete(&format!("/v2/stores/main/{id}")).by(ADMIN).send().await.expect(403);
    service.delete(&format!("/v2/stores/other/{id}")).by(ADMIN).send().await.expect(403);
    assert_eq!(service.download(OWNER, &id).await.expect(200).body, DATA);
}

/// An object of the ledger belongs to its image, whatever store of the bucket it was entered under.
#[tokio::test]
async fn an_object_of_another_image_here_is_not_taken() {
    let (service, mut config) = service().await;
    let other = config::Store { prefix: "other".to_owned(), ..service.bucket.store() };
    config.stores.insert("other".to_owned(), other);
    config.default_store = Some("main".to_owned());
    let glance = GlanceTables::create(Typing::Postgres).await;
    let holder = service.active(OWNER, json!({}), b"own").await;
    let mut ids = Vec::new();
    for store in ["main", "other", "elsewhere"] {
        let id = image(&glance, &service.bucket, json!({}), DATA).await;
        service
            .sql(&format!(
                "INSERT INTO blobs (id, image_id, store, key, state, size, on_failure, created_at)
                 VALUES (gen_random_uuid(), '{holder}', '{store}', '{id}', 'live', 16, 'queued', now())"
            ))
            .await;
        ids.push(id);
    }
    let [main, other, elsewhere] = &ids[..] else { panic!("three images") };
    for arguments in [&["--store", "127.0.0.1=main"][..], &["--store", "127.0.0.1=main", "--apply"]] {
        let told = adopt(&config, &glance, 1, arguments);
        for id in [main, other] {
            let reason = told.said(id, "left_out");
            assert!(reason.ends_with(&format!("belongs to image {holder} here")), "{reason}");
        }
        assert_eq!((&told.summary["adopted"], &told.summary["left_out"]), (&json!(1), &json!(2)));
    }
    assert_eq!(service.status(elsewhere).await, "active", "a store of another bucket does not matter");
}
