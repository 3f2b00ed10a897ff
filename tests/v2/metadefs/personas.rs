//! Who may do what under the default rules (metadefs.md §9.1, §9.3).

use serde_json::json;

use super::{
    ADMIN, ALIEN, Call, NOBODY, OWNER, READER, ROOT, TYPES, all_refused, ask, asked, at, full, get, kind,
    listed, post, put, read, reads, snapshot, writes,
};
use crate::support::api::{LONELY, ROOT as UNSCOPED, Service};
use crate::support::v2::{behind_proxy, confirmed};

#[tokio::test]
async fn md_082_private_namespaces_of_others_are_not_there() {
    let service = Service::start().await;
    full(&service, "Ns", json!({ "owner": "alpha" })).await;
    for caller in [ALIEN, "rolf:beta:reader", "max:gamma:member,reader,manager"] {
        all_refused(&service, caller, &reads("Ns"), 404).await;
        all_refused(&service, caller, &writes("Ns"), 404).await;
        assert_eq!(listed(&service, caller, "").await, [""; 0]);
    }
    // and the answer is the one of what really is not there
    let text = |name: &'static str| {
        let service = &service;
        async move { ask(service, ALIEN, &get(at(name))).await.text().replace(name, "…") }
    };
    assert_eq!(text("Ns").await, text("Nx").await);
}

#[tokio::test]
async fn md_083_the_owning_project_reads_and_administrators_write() {
    let service = Service::start().await;
    for (name, visibility) in [("Private", "private"), ("Public", "public")] {
        full(&service, name, json!({ "owner": "alpha", "visibility": visibility })).await;
        for caller in [OWNER, READER, "mia:alpha:member", "RITA:alpha:READER"] {
            for call in reads(name) {
                let answer = ask(&service, caller, &call).await;
                assert_eq!(answer.status, 200, "{caller}: {call:?}");
            }
            all_refused(&service, caller, &writes(name), 403).await;
        }
    }
    // each by itself
    for (n, admin) in [ADMIN, "ada:alpha:admin", UNSCOPED, "adam:delta:ADMIN"].iter().enumerate() {
        for m in 0..writes("").len() {
            let name = format!("Ns{n}-{m}");
            full(&service, &name, json!({ "owner": "alpha" })).await;
            let mut call = writes(&name).remove(m);
            if call.path == at(&name) && call.document.is_some() {
                // an administrator without a project has none to give
                call.document = Some(json!({ "namespace": name, "owner": "alpha" }));
            }
            let answer = ask(&service, admin, &call).await;
            assert!(answer.status < 300, "{admin}: {call:?}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn md_084_other_projects_read_what_is_public() {
    let service = Service::start().await;
    full(&service, "Ns", json!({ "owner": "alpha", "visibility": "public" })).await;
    for caller in [ALIEN, "rolf:beta:reader"] {
        for call in reads("Ns") {
            let answer = ask(&service, caller, &call).await;
            assert_eq!(answer.status, 200, "{caller}: {call:?}");
            assert_eq!(answer.body, ask(&service, ADMIN, &call).await.body, "{call:?}");
        }
        all_refused(&service, caller, &writes("Ns"), 403).await;
    }
}

#[tokio::test]
async fn without_the_role_of_a_reader_nothing_is_there() {
    let service = Service::start().await;
    full(&service, "Own", json!({ "owner": "alpha" })).await;
    full(&service, "Public", json!({ "visibility": "public" })).await;
    for name in ["Own", "Public"] {
        all_refused(&service, NOBODY, &reads(name), 404).await;
        all_refused(&service, NOBODY, &writes(name), 404).await;
    }
    for call in [get(ROOT), get(TYPES), post(ROOT, json!({ "namespace": "new" }))] {
        let answer = ask(&service, NOBODY, &call).await;
        assert!(matches!(answer.status, 403 | 404), "{call:?}: {}", answer.status);
    }
    // the schemas are for everybody
    ask(&service, NOBODY, &get("/v2/schemas/metadefs/namespace")).await.expect(200);
}

#[tokio::test]
async fn callers_without_a_project_own_nothing() {
    let service = Service::start().await;
    full(&service, "Nobody's", json!({ "owner": "" })).await;
    full(&service, "None's", json!({ "owner": "none" })).await;
    full(&service, "Public", json!({ "visibility": "public" })).await;
    let before = snapshot(&service).await;
    for name in ["Nobody's", "None's"] {
        for call in reads(name).into_iter().chain(writes(name)) {
            let answer = ask(&service, LONELY, &call).await;
            assert_eq!(answer.status, 404, "{call:?}");
        }
    }
    for call in writes("Public") {
        let answer = ask(&service, LONELY, &call).await;
        assert!(matches!(answer.status, 403 | 404), "{call:?}: {}", answer.status);
    }
    assert_eq!(snapshot(&service).await, before);
}

#[tokio::test]
async fn tokens_that_are_scoped_to_the_system_get_nowhere() {
    let service = Service::start_with(behind_proxy).await;
    let send = |project: &'static str, system: bool, call: &Call| {
        let request =
            confirmed(service.request(call.method, &call.path), "sara", project, "admin,member,reader");
        let request = if system { request.header("OpenStack-System-Scope", "all") } else { request };
        asked(if let Some(document) = &call.document { request.json(document) } else { request })
    };
    let document = json!({
        "namespace": "Ns", "visibility": "public", "objects": [{ "name": "obj" }], "tags": [{ "name": "t1" }],
        "properties": { "size": super::schema() },
    });
    send("alpha", false, &post(ROOT, document)).await.expect(201);
    let before = send("alpha", false, &get(at("Ns"))).await.expect(200);
    for call in reads("Ns").into_iter().chain(writes("Ns")) {
        let answer = send("", true, &call).await;
        assert!(matches!(answer.status, 403 | 404), "{call:?}: {}", answer.status);
    }
    for call in [get(ROOT), get(TYPES), post(ROOT, json!({ "namespace": "new" }))] {
        let answer = send("", true, &call).await;
        assert!(matches!(answer.status, 403 | 404), "{call:?}: {}", answer.status);
    }
    assert_eq!(send("alpha", false, &get(at("Ns"))).await.body, before.body);
    send("alpha", false, &get(at("new"))).await.expect(404);
}

#[tokio::test]
async fn handing_over_changes_who_sees() {
    let service = Service::start().await;
    full(&service, "Ns", json!({ "owner": "alpha" })).await;
    let sees = async |caller: &str| ask(&service, caller, &get(kind("Ns", "objects"))).await.status;
    assert_eq!((sees(OWNER).await, sees(ALIEN).await), (200, 404));
    let change = |more| put(at("Ns"), super::merged(json!({ "namespace": "Ns" }), &more));
    ask(&service, ADMIN, &change(json!({ "owner": "beta" }))).await.expect(200);
    assert_eq!((sees(OWNER).await, sees(ALIEN).await), (404, 200));
    ask(&service, ADMIN, &change(json!({ "owner": "beta", "visibility": "public" }))).await.expect(200);
    assert_eq!((sees(OWNER).await, sees(ALIEN).await), (200, 200));
    // an administrator who leaves the owner out takes it over
    ask(&service, ADMIN, &change(json!({}))).await.expect(200);
    assert_eq!((sees(OWNER).await, sees(ALIEN).await), (404, 404));
    assert_eq!(read(&service, &at("Ns")).await["owner"], json!("delta"));
}
