//! Create, show, list and update image records.

use time::OffsetDateTime;
use tracing::Span;
use tracing::field::display;

use crate::catalog;
use crate::domain::attributes::Attributes;
use crate::domain::image::{Access, Image, ImageId, Properties, Status, Visibility, access, is_visible};
use crate::domain::policy::{Dialect, Target};
use crate::domain::protection::Operation;
use crate::domain::query::ImageQuery;
use crate::domain::quota;
use crate::error::{Error, Result};
use crate::faultpoint;

use super::quotas::name_limit;
use super::sources::Sources;
use super::{CHANGE_TRIES, Call, Flows, Found, lost_race, may_write, refuse_stranger};

/// An image to create.
#[derive(Default)]
pub struct NewImage {
    /// What the client sent, settled.
    pub attributes: Attributes,
    /// Where its data comes from.
    pub sources: Sources,
    /// What is recorded as its size while that is not known (v1: 0, v2: nothing).
    pub size_unless_known: Option<i64>,
    /// Why the attributes are refused, where that is judged only after everything else that may forbid the request.
    pub refused: Option<Error>,
}

/// A change of an image.
#[derive(Default)]
pub struct ImageChange {
    /// What the client sent, settled.
    pub attributes: Attributes,
    /// Where data for a queued image comes from.
    pub sources: Sources,
    /// Whether properties that were not sent are removed.
    pub purge_properties: bool,
}

impl Flows {
    /// Creates a record and fills it if a source is named, in the order of images-v1.md §5.3 and images-v2.md §6.
    pub async fn create_image(&self, call: &Call, new: NewImage) -> Result<Image> {
        let NewImage { mut attributes, sources, size_unless_known, refused } = new;
        may_write(&call.caller)?;
        self.allow_new(call, &attributes)?;
        self.allow_sources(call, &sources)?;
        self.allow_content(call, &attributes, refused)?;
        self.check_store(&sources)?;
        let mut sources = self.check_sources(call, sources, attributes.size)?;
        self.measure_remote(&mut sources).await?;
        if sources.remote_size.is_some() {
            attributes.size = sources.remote_size;
        }
        let id = wanted_id(attributes.id.as_deref())?;
        // no route names what is only being made: the span of the request learns of it here
        Span::current().record("image.id", display(id));
        attributes.check_ranges()?;
        let born_empty = attributes.size == Some(0) && !sources.any();
        let status = if born_empty { Status::Active } else { Status::Queued };
        attributes.size = attributes.size.or(size_unless_known);
        let image = self.insert(call, id, attributes, status).await?;
        faultpoint::pass("image.inserted");
        self.fill(call, image, sources).await
    }

    /// The record that [`Flows::create_image`] would make of a document without sources, for who makes it later. It is
    /// not stored.
    ///
    /// # Errors
    /// As [`Flows::create_image`], as far as they do not depend on other images.
    pub(super) fn judge_new(
        &self,
        call: &Call,
        attributes: Attributes,
        refused: Option<Error>,
    ) -> Result<Image> {
        self.allow_new(call, &attributes)?;
        self.allow_content(call, &attributes, refused)?;
        attributes.check_ranges()?;
        let id = wanted_id(attributes.id.as_deref())?;
        record(id, attributes, call.caller.project.clone(), Status::Queued)
    }

    /// What an image may hold: protections and quotas, and what its document was refused for.
    fn allow_content(&self, call: &Call, attributes: &Attributes, refused: Option<Error>) -> Result<()> {
        for name in attributes.properties.keys() {
            self.allow_property(call, Operation::Create, name)?;
        }
        self.check_quotas(attributes)?;
        refused.map_or(Ok(()), Err)
    }

    /// Policies for the creation of an image with these attributes.
    fn allow_new(&self, call: &Call, attributes: &Attributes) -> Result<()> {
        let project = &call.caller.project;
        let image = match call.dialect {
            Dialect::V1 => None,
            Dialect::V2 => Some(outline(attributes, project.clone())?),
        };
        let id = attributes.id.as_deref();
        let target = image.as_ref().map_or_else(Target::none, |image| {
            Target::of_image(image).with("project_id", project.as_deref()).with("id", id).with("image_id", id)
        });
        self.allow_on(call, "add_image", &target)?;
        self.allow_publicity(call, attributes.visibility, &target)
    }

    fn check_quotas(&self, attributes: &Attributes) -> Result<()> {
        let tags = attributes.tags.as_ref().map_or(0, Vec::len);
        quota::check_count("tags", tags, self.config.limits.image_tag_quota)?;
        self.check_property_quota(attributes.properties.len())
    }

    async fn insert(
        &self,
        call: &Call,
        id: ImageId,
        attributes: Attributes,
        status: Status,
    ) -> Result<Image> {
        let image = record(id, attributes, call.caller.project.clone(), status)?;
        let inserted = self.catalog.insert_image(&image, self.config.limits.image_count_total).await;
        inserted.map_err(|error| match error.kind {
            catalog::ErrorKind::Duplicate => {
                Error::conflict(format!("An image with identifier {id} already exists")).with_source(error)
            }
            catalog::ErrorKind::OverLimit(_) if call.dialect == Dialect::V2 => {
                name_limit(error.into(), image.owner.as_deref())
            }
            _ => error.into(),
        })
    }

    /// Metadata of one image.
    pub async fn show_image(&self, call: &Call, id: &str) -> Result<Image> {
        self.find_for(call, id, "get_image").await.map(|found| found.image)
    }

    /// Whether the caller may list at all.
    pub fn allow_list(&self, call: &Call) -> Result<()> {
        let own = Target::of_project(call.caller.project.as_deref());
        self.allow_on(call, "get_images", &call.target(own))
    }

    /// One page of images. The marker must be an image the caller may see, and a deleted one only counts where the
    /// list can hold it.
    pub async fn list_images(&self, call: &Call, query: &ImageQuery) -> Result<Vec<Image>> {
        self.allow_list(call)?;
        let marker = match query.marker {
            Some(marker) => Some(self.marker(call, marker, query.include_deleted).await?),
            None => None,
        };
        Ok(self.catalog.list_images_after(query, marker.as_ref()).await?)
    }

    /// The image after which a page begins.
    async fn marker(&self, call: &Call, marker: ImageId, include_deleted: bool) -> Result<Image> {
        let invalid = || Error::invalid("Invalid marker. Image could not be found.");
        let row = self.catalog.image(marker, call.caller.project.as_deref()).await?.ok_or_else(invalid)?;
        let mut image = row.image;
        if include_deleted {
            image.deleted_at = None;
        }
        let known = match call.dialect {
            Dialect::V1 => access(&call.caller, &image, row.membership.as_ref()) != Access::None,
            Dialect::V2 => is_visible(&call.caller, &image, row.membership.as_ref()),
        };
        if known { Ok(image) } else { Err(invalid()) }
    }

    /// Changes a record and fills it if a source is named, in the order of images-v1.md §6.1. A record that changed
    /// between read and write is read and judged again. So are the data where other formats put them to another use.
    pub async fn update_image(&self, call: &Call, id: &str, change: ImageChange) -> Result<Image> {
        let ImageChange { attributes, sources, purge_properties } = change;
        may_write(&call.caller)?;
        self.allow(call, "modify_image")?;
        self.allow_publicity(call, attributes.visibility, &Target::none())?;
        self.allow_sources(call, &sources)?;
        let mut found = self.find(call, id).await?;
        check_state(call, &found.image, &attributes, sources.has_data())?;
        let sources = self.check_sources(call, sources, attributes.size)?;
        for _ in 0..CHANGE_TRIES {
            check_state(call, &found.image, &attributes, sources.has_data())?;
            if sources.names_url() && found.image.status != Status::Queued {
                return Err(Error::invalid(
                    "Attempted to update Location field for an image not in queued status.",
                ));
            }
            let changed = self.changed(call, &found, &attributes, purge_properties)?;
            self.judge_formats(call, &found.image, &changed).await?;
            if let Some(image) = self.store_changed(&found.image, &changed).await? {
                return if image.status == Status::Queued {
                    self.fill(call, image, sources).await
                } else {
                    Ok(image)
                };
            }
            found = self.find(call, id).await?;
        }
        Err(lost_race(call))
    }

    /// Writes a record that was `before`. None: somebody was faster.
    pub(super) async fn store_changed(&self, before: &Image, changed: &Image) -> Result<Option<Image>> {
        Ok(if before.owner == changed.owner {
            self.catalog.update_image(changed).await?
        } else {
            self.catalog.give_image(changed).await?
        })
    }

    /// The record as it will be.
    fn changed(&self, call: &Call, found: &Found, sent: &Attributes, purge: bool) -> Result<Image> {
        let image = &found.image;
        let properties = self.changed_properties(call, &image.properties, &sent.properties, purge)?;
        if found.access != Access::Write {
            return Err(refuse_stranger(image, "update"));
        }
        sent.check_ranges().map_err(|error| {
            Error::invalid(format!("Failed to update image metadata. Got error: {}", error.message()))
        })?;
        let mut changed = Image { properties, ..image.clone() };
        apply(&mut changed, sent);
        if let (Some(owner), true) = (&sent.owner, call.caller.is_admin) {
            changed.owner.clone_from(owner);
        }
        Ok(changed)
    }

    /// New set of properties under protections, purge and quota (images-v1.md §6.3, §10.5).
    fn changed_properties(
        &self,
        call: &Call,
        old: &Properties,
        sent: &Properties,
        purge: bool,
    ) -> Result<Properties> {
        let mut result = sent.clone();
        for (name, value) in sent {
            match old.get(name) {
                None => self.allow_property(call, Operation::Create, name)?,
                Some(present) => {
                    self.allow_property(call, Operation::Read, name)?;
                    if present != value {
                        self.allow_property(call, Operation::Update, name)?;
                    }
                }
            }
        }
        for (name, value) in old.iter().filter(|(name, _)| !sent.contains_key(*name)) {
            if !purge || !self.property_allowed(call, Operation::Read, name) {
                result.insert(name.clone(), value.clone());
            } else {
                self.allow_property(call, Operation::Delete, name)?;
            }
        }
        if !sent.is_empty() {
            self.check_property_quota(result.len())?;
        }
        Ok(result)
    }

    /// The properties of an image that the caller may read.
    pub fn readable_properties(&self, call: &Call, image: &Image) -> Properties {
        let mut properties = image.shown_properties();
        let (protections, rules) = (self.policy.protections(), self.policy.rules());
        properties
            .retain(|name, _| protections.allows(Operation::Read, name, &call.caller, &rules, call.dialect));
        properties
    }

    pub(crate) fn property_allowed(&self, call: &Call, operation: Operation, name: &str) -> bool {
        self.policy.protections().allows(operation, name, &call.caller, &self.policy.rules(), call.dialect)
    }

    fn allow_property(&self, call: &Call, operation: Operation, name: &str) -> Result<()> {
        if self.property_allowed(call, operation, name) {
            return Ok(());
        }
        Err(Error::forbidden(format!("Property '{name}' is protected")))
    }

    /// Policies for showing an image to everybody.
    pub(crate) fn allow_publicity(
        &self,
        call: &Call,
        wanted: Option<Visibility>,
        target: &Target<'_>,
    ) -> Result<()> {
        match wanted {
            Some(Visibility::Public) => self.allow_on(call, "publicize_image", target),
            Some(Visibility::Community) => self.allow_on(call, "communitize_image", target),
            Some(Visibility::Shared | Visibility::Private) | None => Ok(()),
        }
    }

    fn check_property_quota(&self, attempted: usize) -> Result<()> {
        quota::check_count("properties", attempted, self.config.limits.image_property_quota)
    }
}

/// A new record; `project` owns it unless its attributes say otherwise. Its times and revision are the database's.
pub(super) fn record(
    id: ImageId,
    attributes: Attributes,
    project: Option<String>,
    status: Status,
) -> Result<Image> {
    Ok(Image {
        id,
        owner: attributes.owner.unwrap_or(project),
        name: attributes.name.flatten(),
        status,
        visibility: attributes.visibility.unwrap_or(Visibility::Shared),
        os_hidden: attributes.os_hidden.unwrap_or_default(),
        protected: attributes.protected.unwrap_or_default(),
        disk_format: attributes.disk_format.flatten(),
        container_format: attributes.container_format.flatten(),
        min_disk: attributes.min_disk.map_or(Ok(0), i32::try_from).map_err(Error::internal)?,
        min_ram: attributes.min_ram.map_or(Ok(0), i32::try_from).map_err(Error::internal)?,
        size: attributes.size,
        virtual_size: attributes.virtual_size.flatten(),
        checksum: attributes.checksum.flatten(),
        os_hash_algo: None,
        os_hash_value: None,
        tags: attributes.tags.unwrap_or_default(),
        properties: attributes.properties,
        created_at: OffsetDateTime::UNIX_EPOCH,
        updated_at: OffsetDateTime::UNIX_EPOCH,
        deleted_at: None,
        revision: 0,
        importing_to: None,
        failed_import: None,
    })
}

/// The record to be made as rules see it (images-v2.md §23.2), before its id and its numbers were judged.
fn outline(attributes: &Attributes, project: Option<String>) -> Result<Image> {
    let fit = |number: i64| number.clamp(i32::MIN.into(), i32::MAX.into());
    let attributes = Attributes {
        min_disk: attributes.min_disk.map(fit),
        min_ram: attributes.min_ram.map(fit),
        ..attributes.clone()
    };
    record(ImageId::random(), attributes, project, Status::Queued)
}

fn wanted_id(sent: Option<&str>) -> Result<ImageId> {
    let Some(sent) = sent else { return Ok(ImageId::random()) };
    sent.parse()
        .map_err(|_| Error::invalid(format!("Invalid image id format: {sent}. Invalid image id format")))
}

/// What the state of the image forbids, whoever asks (images-v1.md §6.1 rows 8 to 11).
fn check_state(call: &Call, image: &Image, sent: &Attributes, has_data: bool) -> Result<()> {
    if image.is_deleted() {
        return Err(Error::forbidden("Forbidden to update deleted image."));
    }
    let status = image.status.as_str();
    let locked = matches!(image.status, Status::Active | Status::Deactivated) && !call.caller.is_admin;
    let size_differs = sent.size.is_some() && sent.size != image.size;
    let checksum_differs = sent.checksum.as_ref().is_some_and(|sent| *sent != image.checksum);
    for (name, differs) in [("size", size_differs), ("checksum", checksum_differs)] {
        if locked && differs {
            return Err(Error::forbidden(format!("Forbidden to modify '{name}' of {status} image.")));
        }
    }
    let status_differs = sent.status.as_ref().is_some_and(|sent| sent.as_deref() != Some(status));
    let id_differs = sent.id.as_ref().is_some_and(|sent| sent.parse() != Ok(image.id));
    for (name, differs) in [("status", status_differs), ("id", id_differs)] {
        if differs {
            return Err(Error::forbidden(format!("Forbidden to modify '{name}' of image.")));
        }
    }
    if has_data && image.status != Status::Queued {
        return Err(Error::conflict("Cannot upload to an unqueued image"));
    }
    Ok(())
}

fn apply(image: &mut Image, sent: &Attributes) {
    fn set<T: Clone>(field: &mut T, sent: Option<&T>) {
        if let Some(value) = sent {
            field.clone_from(value);
        }
    }
    set(&mut image.name, sent.name.as_ref());
    set(&mut image.visibility, sent.visibility.as_ref());
    set(&mut image.protected, sent.protected.as_ref());
    set(&mut image.disk_format, sent.disk_format.as_ref());
    set(&mut image.container_format, sent.container_format.as_ref());
    set(&mut image.virtual_size, sent.virtual_size.as_ref());
    set(&mut image.checksum, sent.checksum.as_ref());
    if sent.size.is_some() {
        image.size = sent.size;
    }
    // both were checked to fit
    set(&mut image.min_disk, sent.min_disk.and_then(|n| n.try_into().ok()).as_ref());
    set(&mut image.min_ram, sent.min_ram.and_then(|n| n.try_into().ok()).as_ref());
}
