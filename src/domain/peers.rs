//! Other image services that a caller may go on to, as their service catalogue names them (hardening A13).

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// Type under which image services stand in a catalogue.
const SERVICE: &str = "image";
/// Most endpoints that are kept of one catalogue.
const MOST: usize = 256;
/// How the catalogues of Keystone v2, which proxies still hand on, spell the interfaces of an endpoint.
const OLD_MEMBERS: [&str; 3] = ["publicURL", "internalURL", "adminURL"];

/// Where one image service is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Region it serves.
    pub region: String,
    /// Who it is meant for: `public`, `internal` or `admin`.
    pub interface: String,
    /// Its URL, not judged yet.
    pub url: String,
}

/// The image services of a caller's catalogue, with the token to present there.
#[derive(Debug, Clone)]
pub struct Peers {
    endpoints: Arc<[Endpoint]>,
    token: SecretString,
}

impl PartialEq for Peers {
    fn eq(&self, other: &Self) -> bool {
        self.endpoints == other.endpoints && self.token.expose_secret() == other.token.expose_secret()
    }
}

impl Eq for Peers {}

impl Peers {
    /// None where the catalogue names no image service.
    pub fn new(endpoints: Arc<[Endpoint]>, token: &str) -> Option<Self> {
        (!endpoints.is_empty()).then(|| Self { endpoints, token: token.to_owned().into() })
    }

    /// The caller's token.
    pub fn token(&self) -> &SecretString {
        &self.token
    }

    /// URL of the image service of a region. Interfaces may be named in the old way, too.
    pub fn url(&self, region: &str, interface: &str) -> Option<&str> {
        let interface = interface.strip_suffix("URL").unwrap_or(interface);
        let is_wanted = |endpoint: &&Endpoint| endpoint.region == region && endpoint.interface == interface;
        self.endpoints.iter().find(is_wanted).map(|endpoint| endpoint.url.as_str())
    }
}

/// Endpoints of the image services in a catalogue, be it in the form of Keystone v3 or v2. What is malformed is left
/// out: no request may fail for want of what hardly any request needs.
pub fn endpoints(catalogue: &Value) -> Arc<[Endpoint]> {
    let services = catalogue.as_array().into_iter().flatten();
    let images = services.filter(|service| text(service, "type") == Some(SERVICE));
    let listed = images.flat_map(|service| service["endpoints"].as_array().into_iter().flatten());
    listed.flat_map(spread).take(MOST).collect()
}

/// One entry of a catalogue, which in the old form stands for several endpoints.
fn spread(entry: &Value) -> Vec<Endpoint> {
    let region = text(entry, "region_id").or_else(|| text(entry, "region")).unwrap_or_default();
    let plain = text(entry, "interface").zip(text(entry, "url"));
    let old = OLD_MEMBERS.iter().filter_map(|member| Some((*member, text(entry, member)?)));
    let endpoint = |(interface, url): (&str, &str)| Endpoint {
        region: region.to_owned(),
        interface: interface.strip_suffix("URL").unwrap_or(interface).to_owned(),
        url: url.to_owned(),
    };
    plain.into_iter().chain(old).map(endpoint).collect()
}

fn text<'a>(value: &'a Value, member: &str) -> Option<&'a str> {
    value.get(member).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;

    fn peers(catalogue: &Value) -> Option<Peers> {
        Peers::new(endpoints(catalogue), "t0ken")
    }

    #[test]
    fn a13_peers_are_what_the_catalogue_names_in_either_form() {
        let v3 = json!([
            { "type": "identity", "endpoints": [{ "region": "R1", "interface": "public", "url": "http://keystone" }] },
            { "type": "image", "name": "glance", "id": "x", "endpoints": [
                { "id": "1", "region": "R1", "region_id": "R1", "interface": "public", "url": "http://one" },
                { "id": "2", "region": "R2", "region_id": "R2", "interface": "public", "url": "http://two" },
                { "id": "3", "region": "R2", "region_id": "R2", "interface": "internal", "url": "http://two:9292" },
            ]},
        ]);
        let v2 = json!([{ "type": "image", "name": "glance", "endpoints": [
            { "region": "R1", "publicURL": "http://one" },
            { "region": "R2", "publicURL": "http://two", "internalURL": "http://two:9292", "id": "5" },
        ]}]);
        for catalogue in [v3, v2] {
            let peers = peers(&catalogue).unwrap();
            assert_eq!(peers.url("R1", "public"), Some("http://one"));
            assert_eq!(peers.url("R2", "publicURL"), Some("http://two"));
            assert_eq!(peers.url("R2", "internal"), Some("http://two:9292"));
            assert_eq!(peers.url("R1", "internal"), None);
            assert_eq!(peers.url("R2", "admin"), None);
            assert_eq!(peers.url("r1", "public"), None);
        }
    }

    #[test]
    fn what_is_malformed_is_left_out() {
        let region = json!({ "region": "R", "interface": "public" });
        for catalogue in [
            json!(null),
            json!({}),
            json!([5, { "type": "image" }, { "type": 5, "endpoints": [] }]),
            json!([{ "type": "image", "endpoints": [5, null, {}, region, { "publicURL": 5 }] }]),
        ] {
            assert_eq!(peers(&catalogue), None, "{catalogue}");
        }
    }

    #[test]
    fn a54_the_token_is_not_shown() {
        let catalogue =
            json!([{ "type": "image", "endpoints": [{ "region": "R", "publicURL": "http://one" }] }]);
        let shown = format!("{:?}", peers(&catalogue).unwrap());
        assert!(shown.contains("http://one") && !shown.contains("t0ken"), "{shown}");
    }
}
