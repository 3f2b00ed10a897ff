//! Where the data of images lies: what is shown of it (images-v2.md §4.2), the locations API (§16), and the one
//! judgement on every URL that a user wants to register (hardening.md A07).
//!
//! Only `http(s)` URLs can be registered, and only where `import.allow_http_locations` is on. An `s3://` URL never can:
//! every object in our buckets belongs to the ledger and to one image, so naming one could only mean to get hold of
//! somebody else's data, or to have one object deleted by two images.

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::catalog;
use crate::catalog::locations::{Place, Placement};
use crate::domain::digest;
use crate::domain::image::{Image, Status};
use crate::error::{Error, Result};
use crate::fetch::Target as Url;

use super::location_import::{Claim, LOCATION_IMPORT, LocationImport};
use super::quotas::name_limit;
use super::{Call, Flows, may_write};

/// Metadata key that names the store of a location; the service's own.
pub(super) const STORE: &str = "store";
/// Role of other services.
const SERVICE: &str = "service";

/// A location as callers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownLocation {
    /// Its row.
    pub id: Uuid,
    /// Where the data lies.
    pub url: String,
    /// Free data, and the store where there are several.
    pub metadata: Value,
    /// The store it lies in, if it is an object of ours.
    pub store: Option<String>,
    /// Copies of higher weight are preferred.
    pub weight: i32,
}

/// A URL to register by the locations API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLocation {
    /// Where the data lies.
    pub url: String,
    /// What the data must be.
    pub claim: Option<Claim>,
}

impl Flows {
    /// A place as callers see it; none where its store is not configured any more.
    pub(super) fn shown_location(&self, placement: &Placement) -> Option<ShownLocation> {
        let mut metadata = placement.metadata.clone();
        let (url, store, weight) = match &placement.place {
            Place::Url(url) => (url.clone(), None, i32::MIN),
            Place::Object { store, key } => {
                let known = self.stores.get(store)?;
                if let (Value::Object(metadata), true) = (&mut metadata, self.stores.are_several()) {
                    metadata.insert(STORE.to_owned(), store.as_str().into());
                }
                (known.url(key), Some(store.clone()), known.weight())
            }
        };
        Some(ShownLocation { id: placement.id, url, metadata, store, weight })
    }

    /// Where the data of an image lies, for other services (images-v2.md §16.2).
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn list_locations(&self, call: &Call, id: &str) -> Result<Vec<ShownLocation>> {
        let call = &with_service_role(call);
        let image = self.find_for(call, id, "fetch_image_location").await?.image;
        let placements = self.catalog.placements(&[image.id]).await?;
        Ok(placements.iter().filter_map(|placement| self.shown_location(placement)).collect())
    }

    /// Registers a URL as the data of a queued image, in the background, in the order of images-v2.md §16.1. The
    /// image is `importing` when this returns.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`, `Forbidden` and `Invalid` by the rows there. API parity goes without: a URL that is
    /// visibly none of those that may be registered is `Invalid` at once and not a task that fails (A08).
    pub async fn add_location(&self, call: &Call, id: &str, new: NewLocation) -> Result<()> {
        may_write(&call.caller)?;
        let call = &with_service_role(call);
        let found = self.find_visible(call, id).await?;
        let image = &found.image;
        if image.status != Status::Queued {
            return Err(self
                .allow_found(call, &found, "get_image")
                .err()
                .unwrap_or_else(|| not_queued(image)));
        }
        self.allow_found(call, &found, "add_image_location")?;
        self.allow_scheme(call, &new.url)?;
        if let Some(claim) = &new.claim {
            claim.check()?;
        }
        let url = self.check_location_url(&new.url)?;
        self.enqueue_location(call, image, &url, new.claim).await
    }

    /// Only services may name what is not at a public place (images-v2.md §16.1 row 5).
    fn allow_scheme(&self, call: &Call, url: &str) -> Result<()> {
        let scheme = url.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase()).unwrap_or_default();
        let is_http = matches!(scheme.as_str(), "http" | "https");
        if call.caller.has_role(SERVICE) || (is_http && self.config.import.allow_http_locations) {
            return Ok(());
        }
        Err(Error::forbidden("Locations of this kind may only be added by services."))
    }

    /// Judges a URL that a user wants to register, before anything is sent: the rules of the fetcher, behind the
    /// switch for locations. One text for all refusals, so that nobody learns the rules by trying (A10).
    pub(super) fn check_location_url(&self, url: &str) -> Result<Url> {
        if !self.config.import.allow_http_locations {
            return Err(invalid_location());
        }
        self.fetcher.parse(url).map_err(|refusal| invalid_location().with_source(refusal))
    }

    async fn enqueue_location(
        &self,
        call: &Call,
        image: &Image,
        url: &Url,
        claim: Option<Claim>,
    ) -> Result<()> {
        let input = LocationImport {
            image_id: image.id.to_string(),
            loc_url: url.url().to_string(),
            validation_data: claim,
        };
        let input = serde_json::to_value(input).map_err(Error::internal)?;
        let task = call.task(LOCATION_IMPORT, Some(image.id), input);
        let limit = self.config.limits.image_count_uploading;
        match self.catalog.start_location_import(image.id, &task, limit).await {
            Ok(true) => {
                self.task_added.notify_one();
                Ok(())
            }
            Ok(false) => Err(Error::conflict("Image operation conflicts")),
            Err(error) if error.kind == catalog::ErrorKind::Duplicate => {
                Err(Error::conflict("The image has a task that is not finished.").with_source(error))
            }
            Err(error) => Err(name_limit(error.into(), image.owner.as_deref())),
        }
    }
}

impl Claim {
    /// Row 6 of images-v2.md §16.1: hexadecimal, of the length that the algorithm has.
    pub(super) fn check(&self) -> Result<()> {
        let is_hex = self.os_hash_value.bytes().all(|b| b.is_ascii_hexdigit());
        if is_hex && digest::claimable(&self.os_hash_algo) == Some(self.os_hash_value.len()) {
            return Ok(());
        }
        let text = "os_hash_value must be hexadecimal and of the length that os_hash_algo gives.";
        Err(Error::invalid(text))
    }
}

fn not_queued(image: &Image) -> Error {
    let status = image.status.as_str();
    Error::conflict(format!("A location can only be added to a queued image; the image is {status}."))
}

/// The one text for every location that cannot be registered, whatever is wrong with it.
pub(super) fn invalid_location() -> Error {
    Error::invalid("Invalid location")
}

/// Deactivated images hide where their data lies from all but administrators (images-v2.md §4.2).
pub(super) fn may_see_locations(call: &Call, image: &Image) -> bool {
    image.status != Status::Deactivated || call.caller.is_admin
}

/// The call as the locations API judges it: the role of a service that forwards it counts (images-v2.md §23.2), and
/// no other role of that service does.
fn with_service_role(call: &Call) -> Call {
    let mut call = call.clone();
    let forwarded = call.caller.service_roles.iter().any(|role| role == SERVICE);
    if forwarded && !call.caller.has_role(SERVICE) {
        call.caller.roles.push(SERVICE.to_owned());
    }
    call
}

/// Metadata without what the service itself puts in.
pub(super) fn own_metadata(metadata: &Value) -> Value {
    let mut own: Map<String, Value> = metadata.as_object().cloned().unwrap_or_default();
    own.remove(STORE);
    Value::Object(own)
}
