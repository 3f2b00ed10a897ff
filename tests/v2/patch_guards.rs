//! Who may patch what, and when: V2-179, V2-180, A20, A22 and A23.

use futures_util::future::join_all;
use serde_json::json;

use super::READER;
use super::patch::assert_refused;
use crate::support::api::{ADMIN, OTHER, OWNER, Service, new_id};
use crate::support::v2::{add, encoded, remove, replace};

/// A22 by the other API: headers that claim what the service keeps.
#[tokio::test]
async fn a22_v1_headers_set_no_state_either() {
    let service = Service::start().await;
    let id = service.active(OWNER, json!({}), b"data").await;
    let kept = [
        "status",
        "size",
        "virtual_size",
        "checksum",
        "owner",
        "os_hash_algo",
        "os_hash_value",
        "created_at",
    ];
    let before = service.show(OWNER, &id).await;
    for (name, value) in [
        ("status", "queued"),
        ("size", "1"),
        ("checksum", "0cc175b9c0f1b6a831c399e269772661"),
        ("owner", "beta"),
        ("created_at", "2020-01-01T00:00:00"),
        ("location", "http://192.0.2.1/other"),
        ("copy_from", "http://192.0.2.1/other"),
        ("property-os_hash_value", "00"),
        ("property-direct_url", "file:///etc/passwd"),
        ("property-locations", "[]"),
    ] {
        let request = service.put(&format!("/v1/images/{id}")).by(OWNER).meta(name, value);
        let status = request.send().await.status;
        assert!([200, 400, 403, 409].contains(&status), "{name}: {status}");
        let after = service.show(OWNER, &id).await;
        for kept in kept {
            assert_eq!(after[kept], before[kept], "{kept} by {name}");
        }
    }
    assert_eq!(service.download(OWNER, &id).await.expect(200).body, b"data");
    service.assert_settled().await;
}

/// A23: where locations are not shown, no patch replaces or removes data that an image has.
#[tokio::test]
async fn a23_no_patch_takes_the_data_of_an_active_image() {
    let service = Service::start().await;
    let id = service.active(OWNER, json!({}), b"data").await;
    let other = json!({ "url": "http://192.0.2.1/other", "metadata": {} });
    let operations = [
        remove("/locations/0"),
        replace("/locations", json!([])),
        replace("/locations", json!([other.clone()])),
        add("/locations/-", other.clone()),
        add("/locations/0", other),
    ];
    for caller in [OWNER, ADMIN] {
        assert_refused(&service, caller, &id, 403, &operations).await;
    }
    assert_eq!(service.download(OWNER, &id).await.expect(200).body, b"data");
}

/// V2-179, V2-180 and A20.
#[tokio::test]
async fn v2_179_180_and_a20_strangers_and_readers_change_nothing() {
    let service = Service::start().await;
    let with = async |visibility: &str| {
        service.create_id(ADMIN, json!({ "visibility": visibility, "owner": "alpha", "p": "1" })).await
    };
    let shared = with("shared").await;
    service.share(&shared, OWNER, "beta", Some(true)).await;
    let ownerless = service.create_id(ADMIN, json!({ "visibility": "public" })).await;
    service.sql(&format!("UPDATE images SET owner = NULL WHERE id = '{ownerless}'")).await;
    let operations = [replace("/name", "x"), replace("/protected", true), replace("/p", "2"), remove("/p")];
    for (caller, id, status) in [
        (OTHER, &with("public").await, 403),
        (OTHER, &with("community").await, 403),
        (OTHER, &with("private").await, 404),
        (OTHER, &with("shared").await, 404),
        // who was let in may look
        (OTHER, &shared, 403),
        (OTHER, &ownerless, 403),
        (OWNER, &ownerless, 403),
        // V2-180
        (READER, &with("private").await, 403),
        (READER, &with("public").await, 403),
    ] {
        assert_refused(&service, caller, id, status, &operations).await;
    }
    for unknown in [new_id(), "x".to_owned(), encoded("a b")] {
        service.change(ADMIN, &unknown, &[replace("/name", "x")]).await.expect(404);
    }
}

/// Twenty clients change one image at once: each of them takes effect as a whole, or is told that it did not.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn patches_at_one_time_all_take_effect_or_are_refused() {
    let service = Service::start().await;
    let id = service.create_id(OWNER, json!({ "last": "-", "last_too": "-" })).await;
    let before = service.record(&id).await["revision"].as_i64().unwrap();
    let patches = (0..20).map(|n| {
        let operations = [
            add(&format!("/a{n}"), "v"),
            replace("/last", n.to_string()),
            add(&format!("/b{n}"), "v"),
            replace("/last_too", n.to_string()),
        ];
        let (service, id) = (&service, &id);
        async move { service.change(OWNER, id, &operations).await }
    });
    let answers = join_all(patches).await;
    let image = service.show(OWNER, &id).await;
    let mut effective = 0;
    for (n, answer) in answers.iter().enumerate() {
        let took_effect = match answer.status {
            200 => true,
            409 => false,
            _ => panic!("{}: {}", answer.status, answer.text()),
        };
        effective += i64::from(took_effect);
        for name in [format!("a{n}"), format!("b{n}")] {
            assert_eq!(image.get(&name).is_some(), took_effect, "{name}: {image}");
        }
        // what a client was told is what it did, and is whole
        if took_effect {
            let told = answer.json();
            assert_eq!((&told["last"], &told["last_too"]), (&json!(n.to_string()), &json!(n.to_string())));
        }
    }
    assert!(effective > 0);
    assert_eq!(image["last"], image["last_too"]);
    assert_eq!(service.record(&id).await["revision"].as_i64().unwrap(), before + effective);
}
