//! Taking over the images of a Glance in place: its database is read, its objects stay where they are.
//!
//! What can be taken over is found out for one page of images at a time, and each image is then written in a transaction
//! of its own; a run that broke is simply repeated. An image that is known here is left alone, whatever has become of it.

mod place;
mod verify;

use std::collections::{BTreeMap, HashMap};

use futures_util::{StreamExt, stream};
use secrecy::SecretString;
use serde::Serialize;

use crate::catalog;
use crate::catalog::adoption::{Adopted, KnownImage, NewAdoption};
use crate::catalog::glance::Glance;
use crate::catalog::metadefs::{Loaded, MergeMode};
use crate::catalog::migrate::SchemaVersion;
use crate::domain::adoption::{self, Adoption, NamespaceRecord, Record, Verdict};
use crate::domain::image::{ImageId, Status};
use crate::error::{Error, Result};

use super::Flows;

pub use verify::Verification;

/// Images judged at a time.
const PAGE: usize = 64;
/// Images verified and written at a time.
const PARALLEL: usize = 8;

/// What is to be taken over, and how.
#[derive(Debug, Clone)]
pub struct AdoptOptions {
    /// URL of Glance's database.
    pub from: SecretString,
    /// Schema of its tables.
    pub schema: String,
    /// Our store by Glance's id of it, or by the `host` or `host:port` of its locations; the address says for others.
    pub stores: BTreeMap<String, String>,
    /// Whether anything is written; else everything is only looked at.
    pub apply: bool,
    /// How data is verified.
    pub verify: Verification,
}

/// What a run came to. Without `applied` it is what a run would come to.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct AdoptReport {
    /// Whether anything was written.
    pub applied: bool,
    /// Images of Glance, deleted ones among them.
    pub images: u64,
    /// Taken over.
    pub adopted: u64,
    /// Ids of deleted images taken over, so that they stay taken.
    pub deleted: u64,
    /// Known here, so left alone.
    pub known: u64,
    /// Of these, changed in Glance since; the changes are not taken over.
    pub changed: u64,
    /// Left out, each for a reason.
    pub left_out: u64,
    /// Objects of what was taken over.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Namespaces of metadata definitions.
    pub namespaces: NamespaceCount,
}

/// What became of the namespaces.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct NamespaceCount {
    /// Taken over with all that is in them.
    pub adopted: u64,
    /// Known here, so left alone.
    pub known: u64,
    /// Left out, each for a reason.
    pub left_out: u64,
}

impl AdoptReport {
    /// Whether all that Glance has is here.
    pub fn is_complete(&self) -> bool {
        self.left_out == 0 && self.changed == 0 && self.namespaces.left_out == 0
    }
}

/// What there is to say of one image or namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which.
    #[serde(flatten)]
    pub subject: Subject,
    /// Why it is left out, what is not taken over with it, or what has changed.
    #[serde(flatten)]
    pub text: FindingText,
}

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// An image, by its id as Glance spells it.
    Image(String),
    /// A namespace of metadata definitions, by its name.
    Namespace(String),
}

/// The kinds of findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingText {
    /// Why it is left out.
    LeftOut(String),
    /// What has changed in Glance since it was taken over.
    Changed(String),
    /// What is not taken over with it.
    Note(String),
}

/// Who is told something while a run goes on.
pub type Told<'a, T> = &'a (dyn Fn(&T) + Send + Sync);

/// What became of one image that is not known here.
enum Outcome {
    /// Taken over, with so many objects and bytes.
    Adopted {
        objects: u64,
        bytes: u64,
    },
    Known,
    LeftOut(String),
}

impl Flows {
    /// Takes over what Glance has, or says what would come of it. `found` is told of every image there is something to
    /// say of, `progress` of the count so far.
    ///
    /// # Errors
    /// When a database or a store is out of reach, the schema is not there, or an option names an unknown store. What
    /// was taken over until then stays.
    pub async fn adopt(
        &self,
        options: &AdoptOptions,
        found: Told<'_, Finding>,
        progress: Told<'_, AdoptReport>,
    ) -> Result<AdoptReport> {
        self.check_adopt_options(options).await?;
        let mut glance = Glance::open(&options.from, &options.schema)
            .await
            .map_err(|error| Error::invalid("cannot read the database of Glance").with_source(error))?;
        let mut report = AdoptReport { applied: options.apply, ..AdoptReport::default() };
        loop {
            let records = glance.images(PAGE).await.map_err(broke_off)?;
            if records.is_empty() {
                break;
            }
            self.adopt_page(options, records, found, &mut report).await?;
            progress(&report);
        }
        while let Some(record) = glance.namespace().await.map_err(broke_off)? {
            self.adopt_namespace(options, &record, found, &mut report.namespaces).await?;
        }
        Ok(report)
    }

    async fn check_adopt_options(&self, options: &AdoptOptions) -> Result<()> {
        if let Some(unknown) = options.stores.values().find(|store| self.stores.get(store).is_none()) {
            return Err(Error::invalid(format!("there is no store `{unknown}`")));
        }
        match self.catalog.schema_version().await? {
            SchemaVersion::Usable => Ok(()),
            _ => Err(Error::invalid("the schema is not that of this release: run `vitrine migrate`")),
        }
    }

    /// Takes a page of images over, those that are not known here.
    async fn adopt_page(
        &self,
        options: &AdoptOptions,
        records: Vec<Record>,
        found: Told<'_, Finding>,
        report: &mut AdoptReport,
    ) -> Result<()> {
        report.images += records.len() as u64;
        let page = judge_page(records, found, report);
        let ids: Vec<ImageId> = page.iter().map(|(_, adoption)| adoption.image.id).collect();
        let known = self.catalog.known_images(&ids).await?;
        let known: HashMap<ImageId, KnownImage> = known.into_iter().map(|image| (image.id, image)).collect();
        let mut unknown = Vec::new();
        for (image, adoption) in page {
            let Some(known) = known.get(&adoption.image.id) else {
                unknown.push((image, adoption));
                continue;
            };
            // an adopted image keeps its time of creation; one that somebody made here under its id has another
            if known.created_at.is_some_and(|at| at != adoption.image.created_at) {
                report.left_out += 1;
                tell(found, &image, FindingText::LeftOut("another image has its id here".to_owned()));
                continue;
            }
            report.known += 1;
            if let Some(change) = change_since(known, &adoption) {
                report.changed += 1;
                tell(found, &image, FindingText::Changed(change.to_owned()));
            }
        }
        let work = unknown.into_iter().map(|(image, adoption)| async move {
            let outcome = self.adopt_image(options, &adoption).await?;
            Ok::<_, Error>((image, adoption, outcome))
        });
        let mut work = stream::iter(work).buffer_unordered(PARALLEL);
        while let Some(done) = work.next().await {
            let (image, adoption, outcome) = done?;
            report.count(&adoption, &outcome);
            let texts = match outcome {
                Outcome::LeftOut(reason) => vec![FindingText::LeftOut(reason)],
                Outcome::Adopted { .. } => adoption.notes.into_iter().map(FindingText::Note).collect(),
                Outcome::Known => Vec::new(),
            };
            for text in texts {
                tell(found, &image, text);
            }
        }
        Ok(())
    }

    /// Finds out where the data of one image lies and whether it is what it should be; writes the image if asked to.
    async fn adopt_image(&self, options: &AdoptOptions, adoption: &Adoption) -> Result<Outcome> {
        let placed = match self.locate_data(options, adoption).await? {
            Ok(placed) => placed,
            Err(reason) => return Ok(Outcome::LeftOut(reason)),
        };
        let (objects, urls) = match self.verify_data(options.verify, &adoption.image, placed).await? {
            Ok(verified) => verified,
            Err(reason) => return Ok(Outcome::LeftOut(reason)),
        };
        let bytes = objects.iter().map(|object| u64::try_from(object.size).unwrap_or_default()).sum();
        let adopted = Outcome::Adopted { objects: objects.len() as u64, bytes };
        if !options.apply {
            return Ok(adopted);
        }
        let (image, members) = (adoption.image.clone(), adoption.members.clone());
        let new = NewAdoption { image, members, objects, urls };
        Ok(match self.catalog.adopt(&new).await {
            Ok(Adopted::Done) => adopted,
            Ok(Adopted::Known) => Outcome::Known,
            Ok(Adopted::ObjectTaken) => {
                Outcome::LeftOut("its object belongs to another image here".to_owned())
            }
            Err(error) if error.kind == catalog::ErrorKind::OutOfRange => {
                Outcome::LeftOut("a text or number of it is larger than can be stored".to_owned())
            }
            Err(error) => return Err(error.into()),
        })
    }
}

impl Flows {
    /// Takes a namespace over with all that is in it, unless there is one of its name.
    async fn adopt_namespace(
        &self,
        options: &AdoptOptions,
        record: &NamespaceRecord,
        found: Told<'_, Finding>,
        count: &mut NamespaceCount,
    ) -> Result<()> {
        if self.catalog.namespace(record.name()).await?.is_some() {
            count.known += 1;
            return Ok(());
        }
        let outcome = match record.judge() {
            Ok(_) if !options.apply => Ok(Loaded::Created),
            Ok(definitions) => match self.catalog.load_definitions(&definitions, MergeMode::Skip).await {
                Err(error) if error.kind == catalog::ErrorKind::Duplicate => {
                    Err("it has a name twice".to_owned())
                }
                loaded => Ok(loaded?),
            },
            Err(reason) => Err(reason),
        };
        match outcome {
            Ok(Loaded::Created) => count.adopted += 1,
            Ok(_) => count.known += 1,
            Err(reason) => {
                count.left_out += 1;
                let subject = Subject::Namespace(record.name().to_owned());
                found(&Finding { subject, text: FindingText::LeftOut(reason) });
            }
        }
        Ok(())
    }
}

/// The images of a page that can be taken over as far as their rows tell; the others are told of.
fn judge_page(
    records: Vec<Record>,
    found: Told<'_, Finding>,
    report: &mut AdoptReport,
) -> Vec<(String, Adoption)> {
    let mut page = Vec::new();
    for record in records {
        let image = record.image.text("id").unwrap_or_default().to_owned();
        match adoption::judge(&record) {
            Verdict::Adopt(adoption) => page.push((image, *adoption)),
            Verdict::LeaveOut(reason) => {
                report.left_out += 1;
                tell(found, &image, FindingText::LeftOut(reason));
            }
            Verdict::Nothing => {}
        }
    }
    page
}

fn tell(found: Told<'_, Finding>, image: &str, text: FindingText) {
    found(&Finding { subject: Subject::Image(image.to_owned()), text });
}

fn broke_off(error: catalog::Error) -> Error {
    Error::invalid("the database of Glance broke off").with_source(error)
}

impl AdoptReport {
    fn count(&mut self, adoption: &Adoption, outcome: &Outcome) {
        match outcome {
            Outcome::Adopted { .. } if adoption.image.status == Status::Deleted => self.deleted += 1,
            Outcome::Adopted { objects, bytes } => {
                self.adopted += 1;
                self.objects += objects;
                self.bytes += bytes;
            }
            Outcome::Known => self.known += 1,
            Outcome::LeftOut(_) => self.left_out += 1,
        }
    }
}

/// What Glance has done to an image after it was taken over, as far as its record tells.
fn change_since(known: &KnownImage, adoption: &Adoption) -> Option<&'static str> {
    match (known.deleted, adoption.image.status == Status::Deleted) {
        (true, _) => None,
        (false, true) => Some("deleted in Glance after it was taken over; delete it here too"),
        (false, false) => known
            .updated_at
            .is_some_and(|here| adoption.image.updated_at > here)
            .then_some("changed in Glance after it was taken over; the change is not here"),
    }
}
