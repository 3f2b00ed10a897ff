//! Data of an image of another region, with some of its metadata (images-v2.md §14.2, §14.5, `glance-download`).
//!
//! The other image service is one that the caller's own catalogue names, and it is asked with the caller's own token:
//! whoever may not read an image there cannot import it here (A13, A36). What comes along is kept with the staged data
//! and becomes that of the image in the moment in which it becomes active, so a failed import has nothing to undo.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tracing::info;
use uuid::Uuid;

use crate::domain::caller::Caller;
use crate::domain::image::{Image, Properties};
use crate::domain::inherited::Inherited;
use crate::domain::policy::Dialect;
use crate::domain::protection::Operation;
use crate::domain::task::Task;
use crate::domain::{attributes, text};
use crate::error::{Error, Result};
use crate::fetch::{FetchError, FetchErrorKind, Fetcher, Target};
use crate::flows::copy_from::source_error;
use crate::flows::{Call, Flows};

use super::fetch::{Origin, Promise};
use super::run::Run;

/// Most bytes of the record of an image that are read.
const LARGEST_RECORD: u64 = 1 << 20;

/// What a task has to know to read from another image service in the caller's name. [`PeerSecret::to_secret`] is what
/// belongs into `NewTask::secret`.
#[derive(Debug, Deserialize)]
pub struct PeerSecret {
    /// Where that service is, as the catalogue has it.
    endpoint: String,
    /// The caller's token.
    token: SecretString,
    /// The caller, whose rights decide which properties are copied.
    caller: Caller,
}

impl PeerSecret {
    /// As the task keeps it until it ends.
    pub fn to_secret(&self) -> SecretString {
        let Self { endpoint, token, caller } = self;
        let kept = json!({ "endpoint": endpoint, "token": token.expose_secret(), "caller": caller });
        kept.to_string().into()
    }

    /// What [`PeerSecret::to_secret`] made. Why it cannot be read is not told: that might repeat the token.
    fn of(task: &Task) -> Result<Self> {
        let kept = task.secret.as_ref().and_then(|kept| serde_json::from_str(kept.expose_secret()).ok());
        kept.ok_or_else(|| Error::invalid("The image service of that region is not known."))
    }
}

/// An image service that is asked for one image.
struct Peer {
    fetcher: Fetcher,
    record: Target,
    data: Target,
}

/// The record of an image there, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Record {
    status: String,
    size: Option<i64>,
    checksum: Option<String>,
    os_hash_algo: Option<String>,
    os_hash_value: Option<String>,
    disk_format: Option<String>,
    container_format: Option<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl Flows {
    /// What an import by `glance-download` has to keep (row 21 of §14.2): the image service that the caller's
    /// catalogue names for `region` and `interface`, and the caller's token. Sends nothing.
    ///
    /// # Errors
    /// `Invalid` where the catalogue names none, or none that can be called.
    pub fn peer_of(&self, call: &Call, region: &str, interface: &str) -> Result<PeerSecret> {
        let peers = call.caller.peers.as_ref();
        let found = peers.and_then(|peers| Some((peers.url(region, interface)?, peers.token().clone())));
        let (endpoint, token) = found.ok_or_else(|| {
            let (region, interface) =
                (text::clip(region, text::MAX_NAME), text::clip(interface, text::MAX_NAME));
            Error::invalid(format!(
                "Your service catalog has no {interface} endpoint of an image service in region {region}."
            ))
        })?;
        self.peer(endpoint, &token, Uuid::nil())?;
        Ok(PeerSecret { endpoint: endpoint.to_owned(), token, caller: call.caller.clone() })
    }

    /// Opens the data of the image that the import is of.
    ///
    /// # Errors
    /// Those of the other service, and `Invalid`, `TooLarge` and `LimitExceeded` where the image there cannot become
    /// ours.
    pub(super) async fn open_image(&self, run: &Run<'_>, image: &Image, id: &str) -> Result<Origin> {
        let secret = PeerSecret::of(run.task)?;
        let unknown = |error| Error::invalid("The glance_image_id must be a UUID.").with_source(error);
        let peer = self.peer(&secret.endpoint, &secret.token, Uuid::parse_str(id).map_err(unknown)?)?;
        let record = peer.record().await?;
        if record.status != "active" {
            let status = text::clip(&record.status, text::MAX_NAME);
            return Err(Error::invalid(format!("The image of the other region is {status} and not active.")));
        }
        self.check_cap(record.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default())?;
        let inherited = self.inherited(&record, image, &secret.caller)?;
        inherited.check_quota(&image.properties, self.config.limits.image_property_quota)?;
        let cap = self.config.limits.image_size_cap.0;
        let promise = Promise {
            size: record.size,
            checksum: record.checksum,
            secure_hash: record.os_hash_algo.zip(record.os_hash_value),
            inherited: Some(inherited),
        };
        let source = match promise.has_digest(self.config.images.hash_algorithm.as_str()) {
            // image services give no validators, and the data of an image never change
            true => peer.fetcher.open_proven(&peer.data, cap).await,
            false => peer.fetcher.open(&peer.data, cap).await,
        };
        Ok(Origin { source: source.map_err(peer_error)?, promise })
    }

    /// One image of the image service at an endpoint of a catalogue, which may or may not name the version.
    fn peer(&self, endpoint: &str, token: &SecretString, image: Uuid) -> Result<Peer> {
        let useless = || Error::invalid("The image service of that region cannot be called.");
        let base = endpoint.trim_end_matches('/');
        let base = base.strip_suffix("/v2").unwrap_or(base);
        if base.contains('?') {
            return Err(useless());
        }
        let target = |tail: &str| {
            let url = format!("{base}/v2/images/{}{tail}", image.hyphenated());
            self.peers.parse(&url).map_err(|refusal| useless().with_source(refusal))
        };
        let (record, data) = (target("")?, target("/file")?);
        Ok(Peer { fetcher: self.peers.with_token(&record, token)?, record, data })
    }

    /// What the image takes over. Properties that the caller may not give it, and those of the service, are left out.
    fn inherited(&self, record: &Record, image: &Image, caller: &Caller) -> Result<Inherited> {
        let images = &self.config.images;
        for (what, format, known) in [
            ("disk", &record.disk_format, &images.disk_formats),
            ("container", &record.container_format, &images.container_formats),
        ] {
            if let Some(format) = format.as_ref().filter(|format| !known.contains(format)) {
                let format = text::clip(format, text::MAX_NAME);
                return Err(Error::invalid(format!("The {what} format {format} is not supported here.")));
            }
        }
        let mut properties = Properties::new();
        for (name, value) in record.others.iter().filter(|(name, _)| self.is_copied(name)) {
            let Some(value) = value.as_str() else { continue };
            if !self.may_set(caller, image, name, value) {
                info!(property = name, "a protected property is not copied");
                continue;
            }
            text::check_property_name(name)?;
            text::check_property(name, Some(value))?;
            properties.insert(name.clone(), Some(value.to_owned()));
        }
        let (disk_format, container_format) = (record.disk_format.clone(), record.container_format.clone());
        Ok(Inherited { disk_format, container_format, properties })
    }

    fn is_copied(&self, name: &str) -> bool {
        let beginnings = &self.config.import.glance_download_properties;
        let is_wanted = beginnings.iter().any(|beginning| name.starts_with(beginning.as_str()));
        is_wanted && !self.schema.is_base(name) && !attributes::is_reserved(name)
    }

    fn may_set(&self, caller: &Caller, image: &Image, name: &str, value: &str) -> bool {
        let operation = match image.properties.get(name) {
            Some(own) if own.as_deref() == Some(value) => return true,
            Some(_) => Operation::Update,
            None => Operation::Create,
        };
        let rules = self.policy.rules();
        self.policy.protections().allows(operation, name, caller, &rules, Dialect::V2)
    }
}

impl Peer {
    async fn record(&self) -> Result<Record> {
        let body = self.fetcher.read(&self.record, LARGEST_RECORD).await.map_err(peer_error)?;
        let unreadable = |error| {
            Error::invalid("The image service of that region gave an answer that cannot be read.")
                .with_source(error)
        };
        serde_json::from_slice(&body).map_err(unreadable)
    }
}

/// What a failure of the other service means for the task, in words that help its user.
fn peer_error(error: FetchError) -> Error {
    let message = match error.kind() {
        FetchErrorKind::NotFound => "The image was not found in the other region.",
        FetchErrorKind::BadStatus(401 | 403) => "The image service of the other region refused the request.",
        FetchErrorKind::Refused(_) => {
            "The image service of the other region sent the request elsewhere, where it may not go."
        }
        FetchErrorKind::TooLarge => "The image of the other region is larger than allowed.",
        _ => return source_error(error),
    };
    Error::invalid(message).with_source(error)
}
