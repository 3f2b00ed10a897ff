//! Where the data of an image of Glance lies, in terms of our stores.

use serde_json::Value;

use crate::blobs::Store;
use crate::catalog::blobs::{Blob, BlobState};
use crate::domain::adoption::{Address, Adoption, Location, Place, is_named_after};
use crate::domain::image::ImageId;
use crate::error::Result;
use crate::fetch::Target;

use super::super::Flows;
use super::AdoptOptions;

/// A place that we can reach.
pub(super) enum Placed {
    /// An object in a store of ours.
    Object { store: Store, address: Address, metadata: Value },
    /// A URL that may be fetched.
    Url { target: Target, metadata: Value },
}

/// Why an image is left out.
pub(super) type Reason = String;

/// Where the data of an image lies.
pub(super) struct Located {
    /// Each object and URL once.
    pub placed: Vec<Placed>,
    /// What there is to say of it.
    pub notes: Vec<String>,
}

impl Flows {
    /// The places of an image, or why it has to be left out. Stores of other kinds do no harm to an image that lies in
    /// one of ours as well.
    pub(super) async fn locate_data(
        &self,
        options: &AdoptOptions,
        adoption: &Adoption,
    ) -> Result<Result<Located, Reason>> {
        let (mut placed, mut notes) = (Vec::new(), Vec::new());
        let mut elsewhere = None;
        for place in &adoption.places {
            let one = match &place.location {
                Location::Object(address) => {
                    self.place_object(options, adoption.image.id, place, address).await?
                }
                Location::Url(url) => self.place_url(url, &place.metadata),
                Location::Elsewhere(scheme) => {
                    elsewhere = Some(scheme);
                    continue;
                }
                Location::Unreadable => {
                    Err("a location of it is no URL: encrypted (metadata_encryption_key) or damaged"
                        .to_owned())
                }
            };
            match one {
                Ok(one) if placed.iter().any(|known| same_object(known, &one)) => {
                    notes
                        .push("two of its locations lead to one object, which is taken over once".to_owned());
                }
                Ok(one) => placed.push(one),
                Err(reason) => return Ok(Err(reason)),
            }
        }
        Ok(match elsewhere {
            Some(scheme) if placed.is_empty() => Err(format!(
                "its data lies in a store of kind `{scheme}`; copy it to an S3 store in Glance first"
            )),
            _ => Ok(Located { placed, notes }),
        })
    }

    async fn place_object(
        &self,
        options: &AdoptOptions,
        id: ImageId,
        place: &Place,
        address: &Address,
    ) -> Result<Result<Placed, Reason>> {
        let store = match self.store_of(options, place, address) {
            Ok(store) => store,
            Err(reason) => return Ok(Err(reason)),
        };
        if !is_named_after(&address.key, id) {
            return Ok(Err(format!(
                "{address} is not named after the image, so it may be data of another one"
            )));
        }
        if let Some(reason) = self.taken(id, store, address).await? {
            return Ok(Err(reason));
        }
        Ok(Ok(Placed::Object {
            store: store.clone(),
            address: address.clone(),
            metadata: place.metadata.clone(),
        }))
    }

    /// Why an object cannot be the image's, by what the ledger has at its key in whatever store over the same bucket.
    async fn taken(&self, id: ImageId, store: &Store, address: &Address) -> Result<Option<Reason>> {
        let stores: Vec<&str> = self.stores.in_bucket_of(store).iter().map(|store| &*store.id).collect();
        let rows = self.catalog.blobs_at(&stores, &address.key).await?;
        let reason = |row: &Blob| match row.state {
            _ if row.image_id != id => Some(format!("{address} belongs to image {} here", row.image_id)),
            BlobState::Live => None,
            _ => Some(format!("{address} is being removed here")),
        };
        Ok(rows.iter().find_map(reason))
    }

    /// The store an address lies in: the one that is named for it, else the one that is configured at its endpoint.
    fn store_of(&self, options: &AdoptOptions, place: &Place, address: &Address) -> Result<&Store, Reason> {
        let with_port = address.port.map(|port| format!("{}:{port}", address.host));
        let names = [place.store.as_deref(), with_port.as_deref(), Some(address.host.as_str())];
        let named = names.into_iter().flatten().find_map(|name| options.stores.get(name));
        if let Some(store) = named.and_then(|id| self.stores.get(id)) {
            let same_bucket = store.has_bucket(&address.bucket);
            return if same_bucket {
                Ok(store)
            } else {
                Err(format!("{address} is not in the bucket of store `{}`", store.id))
            };
        }
        match &self.stores.at(address)[..] {
            [store] => Ok(store),
            [] => Err(format!("no store is configured for {address}; see --store")),
            [..] => Err(format!("several stores are configured for {address}; name one by --store")),
        }
    }

    fn place_url(&self, url: &str, metadata: &Value) -> Result<Placed, Reason> {
        if !self.config.import.allow_http_locations {
            return Err("its data lies at an http(s) URL, and import.allow_http_locations is off".to_owned());
        }
        // neither the URL nor the refusal is repeated: both may show a secret
        let target = self.fetcher.parse(url);
        let target =
            target.map_err(|_| "its data lies at an http(s) URL that `import` does not allow".to_owned())?;
        Ok(Placed::Url { target, metadata: metadata.clone() })
    }
}

/// Whether two places are one object: the bucket counts, and not which store leads to it.
fn same_object(one: &Placed, two: &Placed) -> bool {
    match (one, two) {
        (Placed::Object { store, address, .. }, Placed::Object { store: other, address: at, .. }) => {
            address.key == at.key && store.shares_bucket_with(other)
        }
        (Placed::Url { target, .. }, Placed::Url { target: other, .. }) => target.url() == other.url(),
        _ => false,
    }
}
