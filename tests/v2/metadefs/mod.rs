//! The catalogue of metadata definitions, assertion by assertion (metadefs.md §15). A number such as MD-038 names the
//! row of the specification that a test stands for; the loader's have their tests beside the commands.

mod bodies;
mod create;
mod front;
mod namespace_lists;
mod namespaces;
mod objects;
mod order;
mod paging;
mod personas;
mod properties;
mod protection;
mod races;
mod resource_types;
mod rules;
mod schemas;
mod tags;
mod text;
mod validity;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::support::api::{Answer, Request, Service};
use crate::support::v2::encoded;

pub use super::{ADMIN, ALIEN, OWNER, READER};

/// Where namespaces are.
pub const ROOT: &str = "/v2/metadefs/namespaces";
/// Where all resource types are.
pub const TYPES: &str = "/v2/metadefs/resource_types";
/// Somebody of the project `alpha` without a role that means anything.
pub const NOBODY: &str = "nora:alpha:nothing";
/// A character outside the Basic Multilingual Plane.
pub const EMOJI: &str = "\u{1f600}";
/// Letters that are not ASCII, but in the Basic Multilingual Plane.
pub const LETTERS: &str = "Größe 日本";
/// A time that a client might send back.
pub const STAMP: &str = "2020-01-01T00:00:00Z";
/// The media type of every document.
pub const JSON: &str = "application/json; charset=UTF-8";
/// A resource type whose association in [`full`] has the prefix `pre_`.
pub const PREFIXED: &str = "OS::Test::Server";
/// A resource type whose association in [`full`] has no prefix.
pub const BARE: &str = "OS::Test::Bare";
/// The members of a namespace document that hold its contents.
pub const COLLECTIONS: [&str; 4] = ["objects", "properties", "tags", "resource_type_associations"];

/// Path of a namespace.
pub fn at(namespace: &str) -> String {
    format!("{ROOT}/{}", encoded(namespace))
}

/// Path of one kind of its contents.
pub fn kind(namespace: &str, kind: &str) -> String {
    format!("{}/{kind}", at(namespace))
}

/// Path of one thing in it.
pub fn child(namespace: &str, kind: &str, name: &str) -> String {
    format!("{}/{kind}/{}", at(namespace), encoded(name))
}

/// A document with the members of another one on top.
pub fn merged(mut document: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        document[name] = value.clone();
    }
    document
}

/// The shortest property document, with more.
pub fn property(name: &str, more: Value) -> Value {
    let mut document = json!({ "name": name, "title": "T", "type": "string" });
    let Value::Object(more) = more else { panic!("not an object: {more}") };
    document.as_object_mut().unwrap().extend(more);
    document
}

/// The shortest schema of a property that has its name elsewhere.
pub fn schema() -> Value {
    json!({ "title": "T", "type": "string" })
}

/// Sends a request and asserts what is so of every answer (§2.2): no server error, a media type that clients know, and
/// nothing where nothing is to be said.
pub async fn asked(request: Request) -> Answer {
    let answer = request.send().await;
    let media = answer.header("Content-Type");
    match answer.status {
        204 => assert_eq!((answer.body.len(), media), (0, None)),
        200 | 201 => assert_eq!(media.as_deref(), Some(JSON), "{}", answer.text()),
        400..500 => {
            let media = media.unwrap_or_default().to_lowercase();
            let plain = media.strip_suffix("; charset=utf-8").unwrap_or(&media);
            let known = ["application/json", "text/html", "text/plain"].contains(&plain);
            assert!(known || answer.body.is_empty(), "{} as {media:?}", answer.status);
        }
        status => panic!("{status}: {}", answer.text()),
    }
    answer
}

/// A request by `caller`, with a document where there is one, whatever comes of it.
pub async fn ask(service: &Service, caller: &str, call: &Call) -> Answer {
    let request = service.request(call.method, &call.path).by(caller);
    let request = if let Some(document) = &call.document { request.json(document) } else { request };
    asked(request).await
}

/// What a request does.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its method.
    pub method: &'static str,
    /// Its path and query.
    pub path: String,
    /// Its body.
    pub document: Option<Value>,
}

/// `GET path`
pub fn get(path: impl Into<String>) -> Call {
    Call { method: "GET", path: path.into(), document: None }
}

/// `POST path` with a document.
pub fn post(path: impl Into<String>, document: Value) -> Call {
    Call { method: "POST", path: path.into(), document: Some(document) }
}

/// `POST path` with nothing, as one tag is made.
pub fn post_nothing(path: impl Into<String>) -> Call {
    Call { method: "POST", path: path.into(), document: None }
}

/// `PUT path` with a document.
pub fn put(path: impl Into<String>, document: Value) -> Call {
    Call { method: "PUT", path: path.into(), document: Some(document) }
}

/// `DELETE path`
pub fn delete(path: impl Into<String>) -> Call {
    Call { method: "DELETE", path: path.into(), document: None }
}

/// What an administrator reads there; must succeed.
pub async fn read(service: &Service, path: &str) -> Value {
    read_by(service, ADMIN, path).await
}

/// What `caller` reads there; must succeed.
pub async fn read_by(service: &Service, caller: &str, path: &str) -> Value {
    ask(service, caller, &get(path)).await.expect(200).json()
}

/// What an administrator makes there; must succeed.
pub async fn made(service: &Service, path: &str, document: Value) -> Value {
    ask(service, ADMIN, &post(path, document)).await.expect(201).json()
}

/// A namespace of an administrator, with more attributes; must succeed.
pub async fn space(service: &Service, name: &str, more: Value) -> Value {
    made(service, ROOT, merged(json!({ "namespace": name }), &more)).await
}

/// A namespace with something of every kind in it.
pub async fn full(service: &Service, name: &str, more: Value) -> Value {
    let contents = json!({
        "resource_type_associations": [{ "name": PREFIXED, "prefix": "pre_" }, { "name": BARE }],
        "properties": { "size": { "title": "S", "type": "integer" } },
        "objects": [{ "name": "obj", "required": ["a"], "properties": { "a": schema() } }],
        "tags": [{ "name": "t1" }],
    });
    space(service, name, merged(contents, &more)).await
}

/// The tag of this name; must succeed.
pub async fn tag(service: &Service, namespace: &str, name: &str) -> Value {
    ask(service, ADMIN, &post_nothing(child(namespace, "tags", name))).await.expect(201).json()
}

/// Names of a list under `member`, in its order.
pub fn names(list: &Value, member: &str) -> Vec<String> {
    let key = if member == "namespaces" { "namespace" } else { "name" };
    list[member].as_array().unwrap().iter().map(|item| item[key].as_str().unwrap().to_owned()).collect()
}

/// Names of namespaces in the order of a list that `caller` asks for.
pub async fn listed(service: &Service, caller: &str, query: &str) -> Vec<String> {
    names(&read_by(service, caller, &format!("{ROOT}?{query}")).await, "namespaces")
}

/// Names of the tags of a namespace in the order of a list.
pub async fn tags_of(service: &Service, namespace: &str, query: &str) -> Vec<String> {
    names(&read(service, &format!("{}?{query}", kind(namespace, "tags"))).await, "tags")
}

/// Members of a document.
pub fn keys(document: &Value) -> BTreeSet<&str> {
    document.as_object().unwrap().keys().map(String::as_str).collect()
}

/// A document without some of its members.
pub fn without(mut document: Value, names: &[&str]) -> Value {
    for name in names {
        document.as_object_mut().unwrap().remove(*name);
    }
    document
}

/// All there is, as an administrator sees it: equal as long as nothing changed.
pub async fn snapshot(service: &Service) -> Value {
    let mut all = Map::new();
    let list = read(service, &format!("{ROOT}?limit=1000&sort_key=namespace&sort_dir=asc")).await;
    for name in names(&list, "namespaces") {
        all.insert(name.clone(), read(service, &at(&name)).await);
    }
    json!({ "namespaces": all, "resource_types": read(service, TYPES).await["resource_types"] })
}

/// Asserts that a request is refused with this status, and that nothing changed.
pub async fn refused(service: &Service, caller: &str, call: &Call, status: u16) {
    let before = snapshot(service).await;
    let answer = ask(service, caller, call).await;
    assert_eq!(answer.status, status, "{caller}: {call:?}: {}", answer.text());
    assert_eq!(snapshot(service).await, before, "{caller}: {call:?}");
}

/// Asserts that each of these is refused with this status, and that nothing changed.
pub async fn all_refused(service: &Service, caller: &str, calls: &[Call], status: u16) {
    let before = snapshot(service).await;
    for call in calls {
        let answer = ask(service, caller, call).await;
        assert_eq!(answer.status, status, "{caller}: {call:?}: {}", answer.text());
    }
    assert_eq!(snapshot(service).await, before, "by {caller}");
}

/// Every way to read a namespace of [`full`] or something in it.
pub fn reads(namespace: &str) -> Vec<Call> {
    let kinds = ["objects", "properties", "tags", "resource_types"].map(|name| kind(namespace, name));
    let children = [("objects", "obj"), ("properties", "size"), ("tags", "t1")];
    let children = children.map(|(kind, name)| child(namespace, kind, name));
    std::iter::once(at(namespace)).chain(kinds).chain(children).map(get).collect()
}

/// Every way to change a namespace of [`full`] or something in it; each fits by itself.
pub fn writes(namespace: &str) -> Vec<Call> {
    let within = |name: &str| kind(namespace, name);
    let one = |kind: &str, name: &str| child(namespace, kind, name);
    let mut all = vec![
        put(at(namespace), json!({ "namespace": namespace })),
        post(within("objects"), json!({ "name": "new" })),
        put(one("objects", "obj"), json!({ "name": "obj" })),
        post(within("properties"), property("new", json!({}))),
        put(one("properties", "size"), property("size", json!({}))),
        post(within("tags"), json!({ "tags": [{ "name": "new" }] })),
        post_nothing(one("tags", "new")),
        put(one("tags", "t1"), json!({ "name": "t2" })),
        post(within("resource_types"), json!({ "name": "OS::Test::New" })),
    ];
    all.extend(deletes(namespace));
    all
}

/// Every way to delete a namespace of [`full`] or something in it.
pub fn deletes(namespace: &str) -> Vec<Call> {
    let children = [("objects", "obj"), ("properties", "size"), ("tags", "t1"), ("resource_types", PREFIXED)];
    let children = children.map(|(kind, name)| child(namespace, kind, name));
    let kinds = ["objects", "properties", "tags"].map(|name| kind(namespace, name));
    children.into_iter().chain(kinds).chain([at(namespace)]).map(delete).collect()
}

/// Makes everything in the catalogue look as if it was made at one and the same moment.
pub async fn level_times(service: &Service) {
    for table in ["namespaces", "objects", "tags"] {
        let sql = format!("UPDATE metadef_{table} SET created_at = '{STAMP}', updated_at = '{STAMP}'");
        service.sql(&sql).await;
    }
}
