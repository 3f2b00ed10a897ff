//! Requests for an interoperable import: what they ask for, and where the data are to go (images-v2.md §14.2).

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::error::{Error, Result};

use super::image::Status;
use super::text;

/// Names of all methods.
pub const METHODS: [&str; 4] = ["glance-direct", "web-download", "copy-image", GLANCE_DOWNLOAD];
/// The method that needs the caller's service catalogue.
pub const GLANCE_DOWNLOAD: &str = "glance-download";
/// Most stores that a request may name, be it some of them twice.
const MOST_STORES: usize = 100;
/// Interface of another image service that is asked unless the request names one.
const USUAL_INTERFACE: &str = "public";

/// A way to get data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// The data that were staged.
    GlanceDirect,
    /// The data at a URL.
    WebDownload {
        /// The URL, not judged yet.
        uri: Option<String>,
    },
    /// Copies of the data that the image has, for more stores.
    CopyImage,
    /// The data of an image of another region.
    GlanceDownload {
        /// Region, as the caller's service catalogue names it.
        glance_region: Option<String>,
        /// Id of the image there.
        glance_image_id: Option<String>,
        /// Interface of the image service there.
        glance_service_interface: String,
    },
}

impl Method {
    /// A method with its parameters; those of other methods are ignored, as is a `uri` that is no source of data.
    fn read(name: &str, members: &Map<String, Value>) -> Option<Self> {
        let text = |member: &str| members.get(member).and_then(Value::as_str).map(str::to_owned);
        Some(match name {
            "glance-direct" => Self::GlanceDirect,
            "web-download" => Self::WebDownload { uri: text("uri").filter(|uri| !uri.is_empty()) },
            "copy-image" => Self::CopyImage,
            GLANCE_DOWNLOAD => Self::GlanceDownload {
                glance_region: text("glance_region").filter(|region| !region.is_empty()),
                glance_image_id: text("glance_image_id"),
                glance_service_interface: text("glance_service_interface")
                    .unwrap_or_else(|| USUAL_INTERFACE.to_owned()),
            },
            _ => return None,
        })
    }

    /// The word for it in requests and in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::GlanceDirect => "glance-direct",
            Self::WebDownload { .. } => "web-download",
            Self::CopyImage => "copy-image",
            Self::GlanceDownload { .. } => GLANCE_DOWNLOAD,
        }
    }

    /// The state of the image that it starts from.
    pub fn starts_from(&self) -> Status {
        match self {
            Self::GlanceDirect => Status::Uploading,
            Self::WebDownload { .. } | Self::GlanceDownload { .. } => Status::Queued,
            Self::CopyImage => Status::Active,
        }
    }

    /// The policy that governs it (row 12).
    pub fn policy(&self) -> &'static str {
        match self {
            Self::CopyImage => "copy_image",
            Self::GlanceDirect | Self::WebDownload { .. } | Self::GlanceDownload { .. } => "modify_image",
        }
    }

    /// Row 11: what `glance-download` cannot do without.
    ///
    /// # Errors
    /// `Invalid`, naming the parameter.
    pub fn check(&self) -> Result<()> {
        let Self::GlanceDownload { glance_region, glance_image_id, .. } = self else { return Ok(()) };
        if glance_region.is_none() {
            return Err(Error::invalid("The method glance-download needs a glance_region."));
        }
        match glance_image_id.as_deref().map(Uuid::parse_str) {
            Some(Ok(_)) => Ok(()),
            Some(Err(_)) => Err(Error::invalid("The glance_image_id must be a UUID.")),
            None => Err(Error::invalid("The method glance-download needs a glance_image_id.")),
        }
    }

    fn document(&self) -> Value {
        match self {
            Self::GlanceDirect | Self::CopyImage => json!({ "name": self.name() }),
            Self::WebDownload { uri } => json!({ "name": self.name(), "uri": uri }),
            Self::GlanceDownload { glance_region, glance_image_id, glance_service_interface } => json!({
                "name": self.name(),
                "glance_region": glance_region,
                "glance_image_id": glance_image_id,
                "glance_service_interface": glance_service_interface,
            }),
        }
    }
}

/// `POST /v2/images/{id}/import`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportRequest {
    /// Where the data come from.
    pub method: Method,
    /// Stores that are to hold them, as named.
    pub stores: Option<Vec<String>>,
    /// Whether every store is to hold them.
    pub all_stores: bool,
    /// Whether the failure of one store is that of the import.
    pub all_stores_must_succeed: bool,
}

impl ImportRequest {
    /// Reads a request, in the order of rows 1 to 3 of §14.2.
    ///
    /// # Errors
    /// `Invalid` for what is malformed, and for a method that is not among those `enabled`.
    pub fn parse(body: &Value, enabled: &[String]) -> Result<Self> {
        Self::read(body, |name| enabled.iter().any(|known| known == name))
    }

    /// Reads a request that was accepted before, as [`ImportRequest::document`] gives it.
    ///
    /// # Errors
    /// `Invalid` for anything else.
    pub fn accepted(document: &Value) -> Result<Self> {
        Self::read(document, |_| true)
    }

    fn read(body: &Value, is_enabled: impl Fn(&str) -> bool) -> Result<Self> {
        let members = body.get("method").and_then(Value::as_object);
        let members =
            members.ok_or_else(|| Error::invalid("An import needs a method, which must be an object."))?;
        let name = members.get("name").and_then(Value::as_str);
        let name =
            name.ok_or_else(|| Error::invalid("An import method needs a name, which must be a string."))?;
        let method = Method::read(name, members).filter(|_| is_enabled(name)).ok_or_else(|| {
            let name = text::clip(name, text::MAX_NAME);
            Error::invalid(format!("The import method '{name}' is not available at this site."))
        })?;
        Ok(Self {
            method,
            all_stores: flag(body, "all_stores")?.unwrap_or(false),
            all_stores_must_succeed: flag(body, "all_stores_must_succeed")?.unwrap_or(true),
            stores: stores(body)?,
        })
    }

    /// The request as its task keeps it: all that was asked for and understood, and nothing else that was sent.
    pub fn document(&self) -> Value {
        let mut document = json!({
            "method": self.method.document(),
            "all_stores": self.all_stores,
            "all_stores_must_succeed": self.all_stores_must_succeed,
        });
        if let Some(stores) = &self.stores {
            document["stores"] = json!(stores);
        }
        document
    }

    /// Ids of the stores to fill, in order and each once (rows 14 to 19). None at all: every store has the data.
    ///
    /// Where there is one store there is nothing to choose, so what is said of stores is ignored.
    ///
    /// # Errors
    /// `Invalid` for choices that exclude each other or are empty, and for copies that are there already; `Conflict`
    /// for a store that is not known or takes no data.
    pub fn targets(&self, stores: &Choice<'_>) -> Result<Vec<String>> {
        let copies = self.method == Method::CopyImage;
        let everywhere = self.all_stores && stores.several;
        let wanted = if stores.several { self.wanted(stores)? } else { vec![stores.default] };
        if let Some(unknown) = wanted.iter().find(|id| !stores.writable.contains(id)) {
            let id = text::clip(unknown, text::MAX_NAME);
            return Err(Error::conflict(format!("Store {id} is not known, or takes no data.")));
        }
        let held = |id: &&str| copies && stores.held.iter().any(|store| store == id);
        if let Some(id) = wanted.iter().copied().find(held).filter(|_| !everywhere) {
            return Err(Error::invalid(format!("The image is already present at store {id}.")));
        }
        if !stores.several && !self.all_stores_must_succeed {
            return Err(Error::invalid(
                "all_stores_must_succeed can only be set where there are several stores.",
            ));
        }
        Ok(wanted.into_iter().filter(|id| !held(id)).map(str::to_owned).collect())
    }

    /// What the request says of several stores; the default store where it says nothing.
    fn wanted<'a>(&'a self, stores: &Choice<'a>) -> Result<Vec<&'a str>> {
        match (self.all_stores, &self.stores, stores.header) {
            (true, Some(_), _) | (true, _, Some(_)) => Err(Error::invalid(
                "all_stores goes without stores and without the header X-Image-Meta-Store.",
            )),
            (_, Some(_), Some(_)) => {
                Err(Error::invalid("stores goes without the header X-Image-Meta-Store."))
            }
            (true, None, None) => {
                let mut all = stores.writable.to_vec();
                all.sort_unstable();
                Ok(all)
            }
            (false, Some(named), None) if named.is_empty() => {
                Err(Error::invalid("stores must name a store, or be left out."))
            }
            (false, Some(named), None) => {
                let mut once: Vec<&str> = Vec::new();
                for id in named {
                    if !once.contains(&id.as_str()) {
                        once.push(id);
                    }
                }
                Ok(once)
            }
            (false, None, header) => Ok(vec![header.unwrap_or(stores.default)]),
        }
    }
}

/// What the choice of stores depends on, besides the request itself.
#[derive(Debug, Clone, Copy)]
pub struct Choice<'a> {
    /// Whether there are several stores, be they writable or not.
    pub several: bool,
    /// Ids of those that take data.
    pub writable: &'a [&'a str],
    /// The one that is used unless another is named.
    pub default: &'a str,
    /// The one that the header of the request names.
    pub header: Option<&'a str>,
    /// Those that hold the image already.
    pub held: &'a [String],
}

fn flag(body: &Value, name: &str) -> Result<Option<bool>> {
    match body.get(name) {
        None => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(Error::invalid(format!("{name} must be true or false."))),
    }
}

fn stores(body: &Value) -> Result<Option<Vec<String>>> {
    let malformed = || Error::invalid("stores must be a list of store ids.");
    match body.get("stores") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(ids)) if ids.len() > MOST_STORES => {
            Err(Error::invalid(format!("stores must name at most {MOST_STORES} stores.")))
        }
        Some(Value::Array(ids)) => {
            let ids: Option<Vec<String>> = ids.iter().map(|id| id.as_str().map(str::to_owned)).collect();
            ids.map(Some).ok_or_else(malformed)
        }
        Some(_) => Err(malformed()),
    }
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
