//! Requests of the Images API v2 that tests make again and again.

use serde_json::{Value, json};
use vitrine::config::{Config, IdentityMode};

use super::api::{Answer, OCTETS, Request, Service};
use super::config;
use super::db::test_database;
use super::s3::{TestBucket, test_bucket};

/// Media types of patches.
pub const V21: &str = "application/openstack-images-v2.1-json-patch";
/// The older one.
pub const V20: &str = "application/openstack-images-v2.0-json-patch";

/// `{"op": "add", …}`
pub fn add(path: &str, value: impl Into<Value>) -> Value {
    json!({ "op": "add", "path": path, "value": value.into() })
}

/// `{"op": "replace", …}`
pub fn replace(path: &str, value: impl Into<Value>) -> Value {
    json!({ "op": "replace", "path": path, "value": value.into() })
}

/// `{"op": "remove", …}`
pub fn remove(path: &str) -> Value {
    json!({ "op": "remove", "path": path })
}

/// Percent-encodes one part of a query or path.
pub fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

impl Service {
    /// `PATCH path`
    pub fn patch(&self, path: &str) -> Request {
        self.request("PATCH", path)
    }

    /// `POST /v2/images`, whatever comes of it.
    pub async fn try_create(&self, caller: &str, document: &Value) -> Answer {
        self.post("/v2/images").by(caller).json(document).send().await
    }

    /// Creates a v2 image that must succeed.
    pub async fn create(&self, caller: &str, document: Value) -> Value {
        self.try_create(caller, &document).await.expect(201).json()
    }

    /// Creates a v2 image that must succeed; its id.
    pub async fn create_id(&self, caller: &str, document: Value) -> String {
        id_of(&self.create(caller, document).await)
    }

    /// A queued raw image in a bare container; its id.
    pub async fn queued(&self, caller: &str) -> String {
        self.create_id(caller, raw(json!({}))).await
    }

    /// An active image with these attributes, `raw` and `bare` unless they say otherwise; its id.
    pub async fn active(&self, caller: &str, document: Value, data: &[u8]) -> String {
        let id = self.create_id(caller, raw(document)).await;
        self.upload(caller, &id, data).await.expect(204);
        id
    }

    /// `PUT …/file`, whatever comes of it.
    pub async fn upload(&self, caller: &str, id: &str, data: &[u8]) -> Answer {
        let request = self.put(&format!("/v2/images/{id}/file")).by(caller);
        request.header("Content-Type", OCTETS).body(data).send().await
    }

    /// `GET /v2/images/{id}`, which must succeed.
    pub async fn show(&self, caller: &str, id: &str) -> Value {
        self.get(&format!("/v2/images/{id}")).by(caller).send().await.expect(200).json()
    }

    /// `GET …/file`, whatever comes of it.
    pub async fn download(&self, caller: &str, id: &str) -> Answer {
        self.get(&format!("/v2/images/{id}/file")).by(caller).send().await
    }

    /// A patch of these operations in the newer form, whatever comes of it.
    pub async fn change(&self, caller: &str, id: &str, operations: &[Value]) -> Answer {
        let request = self.patch(&format!("/v2/images/{id}")).by(caller);
        request.header("Content-Type", V21).body(json!(operations).to_string()).send().await
    }

    /// A list, which must succeed.
    pub async fn list(&self, caller: &str, query: &str) -> Value {
        self.get(&format!("/v2/images?{query}")).by(caller).send().await.expect(200).json()
    }

    /// Ids of a list in its order.
    pub async fn listed(&self, caller: &str, query: &str) -> Vec<String> {
        ids_of(&self.list(caller, query).await)
    }

    /// Names of a list in its order; a null is empty.
    pub async fn names(&self, caller: &str, query: &str) -> Vec<String> {
        let list = self.list(caller, query).await;
        let images = list["images"].as_array().unwrap();
        images.iter().map(|image| image["name"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The tasks of an image, the newest first; must succeed.
    pub async fn tasks_of(&self, caller: &str, id: &str) -> Vec<Value> {
        let answer = self.get(&format!("/v2/images/{id}/tasks")).by(caller).send().await.expect(200);
        answer.json()["tasks"].as_array().unwrap().clone()
    }

    /// Sets columns of an image behind the back of the service, `columns` as in SQL.
    pub async fn set(&self, id: &str, columns: &str) {
        self.sql(&format!("UPDATE images SET {columns} WHERE id = '{id}'")).await;
    }

    /// Shares an image; with `answer`, the member gives it.
    pub async fn share_with(&self, owner: &str, id: &str, member: &str, answer: Option<&str>) {
        let project = member.split(':').nth(1).unwrap();
        let path = format!("/v2/images/{id}/members");
        self.post(&path).by(owner).json(&json!({ "member": project })).send().await.expect(200);
        if let Some(status) = answer {
            let path = format!("{path}/{project}");
            self.put(&path).by(member).json(&json!({ "status": status })).send().await.expect(200);
        }
    }
}

/// The document with the formats that data need, where it says nothing of them.
pub fn raw(mut document: Value) -> Value {
    for (name, value) in [("disk_format", "raw"), ("container_format", "bare")] {
        if document.get(name).is_none() {
            document[name] = value.into();
        }
    }
    document
}

/// The secure hash of data, in hex.
pub fn sha512(data: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha512::digest(data))
}

/// Id of an image.
pub fn id_of(image: &Value) -> String {
    image["id"].as_str().unwrap().to_owned()
}

/// Ids of a list in its order.
pub fn ids_of(list: &Value) -> Vec<String> {
    list["images"].as_array().unwrap().iter().map(id_of).collect()
}

/// A service with the stores `main`, which is the default, and `second`; and the bucket of the latter.
pub async fn two_stores() -> (Service, TestBucket) {
    let (database, bucket, second) = (test_database().await, test_bucket().await, test_bucket().await);
    let mut settings = config(&database, &bucket);
    settings.stores.insert("second".to_owned(), second.store());
    (Service::start_over(database, bucket, settings).await, second)
}

/// Identity comes in headers that tests write; see [`confirmed`].
pub fn behind_proxy(config: &mut Config) {
    config.identity.mode = IdentityMode::Header;
    config.identity.header.trusted_networks = vec!["127.0.0.0/8".parse().unwrap()];
}

/// The request of a caller whom the proxy has checked; without a project if that is empty.
pub fn confirmed(request: Request, user: &str, project: &str, roles: &str) -> Request {
    let request = request.header("X-Identity-Status", "Confirmed").header("X-User-Id", user);
    request.header("X-Project-Id", project).header("X-Roles", roles)
}
