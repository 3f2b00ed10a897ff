//! Where Glance says that data lies (operations.md §11-12).
//!
//! The text of a location may hold credentials. They end here: nothing that is made of it has them, and whoever reports
//! a location reports what was made of it.

use std::fmt;

/// A location of Glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// An object in an S3 bucket.
    Object(Address),
    /// An `http(s)` URL, which may hold credentials; not fit for logs.
    Url(String),
    /// A store of another kind, by its scheme.
    Elsewhere(String),
    /// No URL: encrypted by `metadata_encryption_key`, or damaged.
    Unreadable,
}

/// An object as its location names it, without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Whether the endpoint is spoken to by TLS.
    pub secure: bool,
    /// Host of the endpoint in lower case, without port.
    pub host: String,
    /// Port, where it is written.
    pub port: Option<u16>,
    /// Bucket.
    pub bucket: String,
    /// Key in the bucket.
    pub key: String,
}

impl Address {
    /// The port that is connected to.
    pub fn effective_port(&self) -> u16 {
        self.port.unwrap_or(if self.secure { 443 } else { 80 })
    }

    /// Reads what follows the scheme: `[key:secret@]host[:port]/bucket/key`. A secret may hold slashes, and before the
    /// bucket there may be a path that belongs to the endpoint.
    fn parse(secure: bool, rest: &str) -> Option<Self> {
        let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
        if rest.contains(['?', '#', ' ']) || rest.contains("://") {
            return None;
        }
        let (place, key) = rest.rsplit_once('/')?;
        let (endpoint, bucket) = place.rsplit_once('/')?;
        let (host, port) = split_port(endpoint.split('/').next()?)?;
        if [host, bucket, key].iter().any(|part| part.is_empty()) {
            return None;
        }
        let (host, bucket, key) = (host.to_ascii_lowercase(), bucket.to_owned(), key.to_owned());
        Some(Self { secure, host, port, bucket, key })
    }
}

/// As Glance writes it.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "s3+https" } else { "s3" };
        write!(f, "{scheme}://{}", self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "/{}/{}", self.bucket, self.key)
    }
}

impl Location {
    /// Reads the value of a location.
    pub fn parse(value: &str) -> Self {
        let Some((scheme, rest)) = value.trim().split_once("://") else { return Self::Unreadable };
        let scheme = scheme.to_ascii_lowercase();
        let is_word = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        match scheme.as_str() {
            "s3" | "s3+http" => Address::parse(false, rest).map_or(Self::Unreadable, Self::Object),
            "s3+https" => Address::parse(true, rest).map_or(Self::Unreadable, Self::Object),
            "http" | "https" => Self::Url(value.trim().to_owned()),
            other if (1..=20).contains(&other.len()) && other.chars().all(is_word) => Self::Elsewhere(scheme),
            _ => Self::Unreadable,
        }
    }
}

/// Host and port; the brackets of an IPv6 address stay.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let after_host = authority.rfind(']').map_or(0, |end| end + 1);
    match authority.get(after_host..)?.rfind(':') {
        Some(colon) => {
            let (host, port) = authority.split_at(after_host + colon);
            Some((host, Some(port.get(1..)?.parse().ok()?)))
        }
        None => Some((authority, None)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(value: &str) -> Option<String> {
        match Location::parse(value) {
            Location::Object(address) => Some(address.to_string()),
            _ => None,
        }
    }

    #[test]
    fn objects_lose_their_credentials() {
        for (value, shown) in [
            ("s3://s3.example/glance/id", "s3://s3.example/glance/id"),
            ("s3+http://S3.example:8080/glance/id", "s3://s3.example:8080/glance/id"),
            ("s3+https://s3.example/glance/id", "s3+https://s3.example/glance/id"),
            ("s3://key:canary@s3.example/glance/id", "s3://s3.example/glance/id"),
            ("s3+https://KEY:can/ar+y=@s3.example:1/glance/id", "s3+https://s3.example:1/glance/id"),
            ("s3://s3.example/path/of/it/glance/id", "s3://s3.example/glance/id"),
            ("s3://[fd00::1]:9000/glance/id", "s3://[fd00::1]:9000/glance/id"),
            ("s3://[fd00::1]/glance/id", "s3://[fd00::1]/glance/id"),
        ] {
            assert_eq!(address(value).as_deref(), Some(shown), "{value}");
        }
    }

    #[test]
    fn what_is_no_object_is_none() {
        for value in [
            "s3://glance/id",
            "s3://host//id",
            "s3://host/glance/",
            "s3:///glance/id",
            "s3://host:port/glance/id",
            "s3://https://host/glance/id",
            "s3://host/glance/id?versionId=1",
            "gAAAAABencrypted-with_a-key==",
            "",
        ] {
            assert_eq!(Location::parse(value), Location::Unreadable, "{value}");
        }
        assert_eq!(Location::parse("file:///var/lib/glance/id"), Location::Elsewhere("file".to_owned()));
        assert_eq!(Location::parse("swift+config://r/c/id"), Location::Elsewhere("swift+config".to_owned()));
        assert_eq!(Location::parse(" https://h/p "), Location::Url("https://h/p".to_owned()));
    }

    proptest! {
        #[test]
        fn whatever_follows_a_secret_it_is_not_kept(secret in "[A-Za-z0-9/+=:]{0,40}", rest in "\\PC{0,60}") {
            let location = Location::parse(&format!("s3://key:canary{secret}@{rest}"));
            let shown = format!("{location:?}");
            prop_assert!(!shown.contains("canary"), "{}", shown);
        }
    }
}
