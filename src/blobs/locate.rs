//! Which store an object lies in that somebody else wrote, and what is known of such an object.

use url::Url;

use super::client::Store;
use super::{ErrorKind, Result, Stores};
use crate::domain::adoption::Address;

/// What a store tells of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Validator.
    pub etag: Option<String>,
    /// Bytes.
    pub size: Option<u64>,
}

impl Store {
    /// What the store tells of an object; none where there is none.
    ///
    /// # Errors
    /// `Denied` or `Unavailable`.
    pub async fn stat(&self, key: &str) -> Result<Option<Stat>> {
        match self.head(key).await {
            Ok((etag, size)) => Ok(Some(Stat { etag, size })),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether this is the name of the store's bucket.
    pub fn has_bucket(&self, bucket: &str) -> bool {
        self.bucket() == bucket
    }

    /// Whether an address leads to the bucket of this store: same bucket, same endpoint, the bucket in the path or in
    /// the host name.
    pub fn is_at(&self, address: &Address) -> bool {
        let virtual_host = address.host.strip_prefix(&format!("{}.", address.bucket));
        self.has_bucket(&address.bucket)
            && [Some(address.host.as_str()), virtual_host].into_iter().flatten().any(|host| {
                match self.endpoint() {
                    Some(endpoint) => {
                        let port = endpoint.port_or_known_default();
                        // TLS may have been put in front, or taken away, at the usual ports
                        let usual = endpoint.port().is_none() && address.port.is_none();
                        endpoint.host_str() == Some(host) && (usual || port == Some(address.effective_port()))
                    }
                    None => is_amazon(host),
                }
            })
    }

    /// Whether the other store keeps its objects in the same bucket, so that a key means the same object in both. An
    /// endpoint that goes by two names counts as two.
    pub fn shares_bucket_with(&self, other: &Store) -> bool {
        let same_endpoint = match (self.endpoint(), other.endpoint()) {
            (None, None) => true,
            (Some(named), None) | (None, Some(named)) => named.host_str().is_some_and(is_amazon),
            (Some(one), Some(two)) => {
                let amazon = |url: &Url| url.host_str().is_some_and(is_amazon);
                let usual = one.port().is_none() && two.port().is_none();
                amazon(one) && amazon(two)
                    || one.host_str() == two.host_str()
                        && (usual || one.port_or_known_default() == two.port_or_known_default())
            }
        };
        same_endpoint && self.has_bucket(other.bucket())
    }

    /// How many characters of the key are the prefix of this store; none where the key lies outside of it.
    fn prefix_of(&self, key: &str) -> Option<usize> {
        let prefix = self.folder().strip_suffix("images/").unwrap_or_default();
        key.starts_with(prefix).then_some(prefix.len())
    }
}

impl Stores {
    /// The stores that keep their objects in the bucket of `store`, itself among them.
    pub fn in_bucket_of(&self, store: &Store) -> Vec<&Store> {
        self.iter().filter(|other| other.shares_bucket_with(store)).collect()
    }

    /// The stores that an address may lead to: those of its bucket, and of these the ones whose prefix fits best. More
    /// than one where several are configured alike.
    pub fn at(&self, address: &Address) -> Vec<&Store> {
        let fitting = |store: &&Store| store.prefix_of(&address.key);
        let stores: Vec<&Store> = self.iter().filter(|store| store.is_at(address)).collect();
        let best = stores.iter().filter_map(fitting).max();
        match best {
            Some(best) => stores.into_iter().filter(|store| fitting(store) == Some(best)).collect(),
            // a prefix is where new objects go; old ones may lie anywhere in the bucket
            None => stores,
        }
    }
}

/// Whether a host is one of the regional or global endpoints of AWS, whose buckets have names of their own in all.
fn is_amazon(host: &str) -> bool {
    let name = host.strip_suffix(".amazonaws.com").or_else(|| host.strip_suffix(".amazonaws.com.cn"));
    name.is_some_and(|name| name == "s3" || name.starts_with("s3.") || name.starts_with("s3-"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::collections::BTreeMap;

    use super::*;
    use crate::config;
    use crate::domain::adoption::Location;
    use crate::telemetry::metrics;

    fn store(endpoint: Option<&str>, prefix: &str) -> config::Store {
        let mut store = config::Store { bucket: "glance".to_owned(), ..config::Store::default() };
        store.endpoint = endpoint.map(str::to_owned);
        store.prefix = prefix.to_owned();
        store
    }

    async fn found(stores: &[(&str, config::Store)], url: &str) -> Vec<String> {
        let stores: BTreeMap<_, _> = stores.iter().map(|(id, s)| ((*id).to_owned(), s.clone())).collect();
        let first = stores.keys().next().cloned();
        let stores = Stores::new(&stores, first.as_deref(), &metrics::local().0).await.unwrap();
        let Location::Object(address) = Location::parse(url) else { panic!("{url}") };
        stores.at(&address).iter().map(|store| store.id.to_string()).collect()
    }

    #[tokio::test]
    async fn a_store_is_known_by_endpoint_and_bucket() {
        let near = [("near", store(Some("https://s3.example"), ""))];
        for url in [
            "s3://s3.example/glance/id",
            "s3+https://s3.example/glance/id",
            "s3+https://S3.EXAMPLE:443/glance/id",
            "s3+https://glance.s3.example/glance/id",
        ] {
            assert_eq!(found(&near, url).await, ["near"], "{url}");
        }
        for url in [
            "s3://s3.example:80/glance/id",
            "s3+https://s3.example:8443/glance/id",
            "s3+https://other.example/glance/id",
            "s3+https://other.s3.example/glance/id",
            "s3+https://s3.example/other/id",
        ] {
            assert!(found(&near, url).await.is_empty(), "{url}");
        }
        let ported = [("near", store(Some("http://10.0.0.1:9000"), ""))];
        assert_eq!(found(&ported, "s3://10.0.0.1:9000/glance/id").await, ["near"]);
        assert!(found(&ported, "s3://10.0.0.1/glance/id").await.is_empty());
    }

    #[tokio::test]
    async fn endpoints_of_aws_are_one() {
        let aws = [("aws", store(None, ""))];
        for host in ["s3.amazonaws.com", "s3.eu-west-1.amazonaws.com", "s3-eu-west-1.amazonaws.com"] {
            assert_eq!(found(&aws, &format!("s3+https://{host}/glance/id")).await, ["aws"], "{host}");
        }
        for host in ["s3.amazonaws.com.evil.example", "evils3.amazonaws.com", "amazonaws.com"] {
            assert!(found(&aws, &format!("s3+https://{host}/glance/id")).await.is_empty(), "{host}");
        }
    }

    #[tokio::test]
    async fn of_several_stores_in_a_bucket_the_prefix_decides() {
        let at = Some("http://h:1");
        let two = [("plain", store(at, "")), ("sub", store(at, "eu"))];
        assert_eq!(found(&two, "s3://h:1/glance/id").await, ["plain"]);
        let prefixed = [("sub", store(at, "eu"))];
        assert_eq!(found(&prefixed, "s3://h:1/glance/id").await, ["sub"]);
        let alike = [("a", store(at, "eu")), ("b", store(at, "us"))];
        assert_eq!(found(&alike, "s3://h:1/glance/id").await, ["a", "b"]);
    }

    #[tokio::test]
    async fn stores_of_one_bucket_are_known() {
        for (one, two, same) in [
            (Some("http://h:1"), Some("http://h:1"), true),
            (Some("http://h"), Some("https://H"), true),
            (Some("http://h:80"), Some("http://h"), true),
            (Some("http://h:1"), Some("http://h:2"), false),
            (Some("http://h"), Some("http://i"), false),
            (None, None, true),
            (None, Some("https://s3.eu-west-1.amazonaws.com"), true),
            (Some("https://s3.amazonaws.com"), Some("https://s3.eu-west-1.amazonaws.com"), true),
            (None, Some("https://s3.example"), false),
        ] {
            let mut settings: BTreeMap<_, _> =
                [("one".to_owned(), store(one, "")), ("two".to_owned(), store(two, "eu"))].into();
            let other = config::Store { bucket: "other".to_owned(), ..store(one, "") };
            settings.insert("other".to_owned(), other);
            let stores = Stores::new(&settings, Some("one"), &metrics::local().0).await.unwrap();
            let found = stores.in_bucket_of(stores.get("one").unwrap());
            let found: Vec<_> = found.iter().map(|store| store.id.to_string()).collect();
            let expected = if same { &["one", "two"][..] } else { &["one"] };
            assert_eq!(found, expected, "{one:?} {two:?}");
        }
    }
}
