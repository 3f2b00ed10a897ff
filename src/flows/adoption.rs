//! Taking over the images of a Glance in place: its database is read, its objects stay where they are.
//!
//! What can be taken over is found out for one page of images at a time, and each image is then written in a transaction
//! of its own; a run that broke is simply repeated. An image that is known here is compared with what Glance has now, and
//! brought up to date where nobody has changed it here.

mod place;
mod revisit;
mod verify;

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use secrecy::SecretString;
use serde::Serialize;

use crate::catalog;
use crate::catalog::adoption::{Adopted, AdoptedObject, KnownId, NewAdoption};
use crate::catalog::glance::Glance;
use crate::catalog::metadefs::{Loaded, MergeMode};
use crate::catalog::migrate::SchemaVersion;
use crate::domain::adoption::{self, Adoption, NamespaceRecord, Record, Verdict};
use crate::domain::image::{ImageId, Status};
use crate::error::{Error, Result};

use super::Flows;

pub use verify::Verification;

/// An object went to somebody else while its image was looked at.
const OBJECT_TAKEN: &str = "its object belongs to another image here";
/// The id is that of an image of another origin.
const ID_TAKEN: &str = "another image has its id here";
/// The database cannot keep a value.
const TOO_LARGE: &str = "a text or number of it is larger than can be stored";
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
    /// Known here, and left alone.
    pub known: u64,
    /// Of these, not as in Glance now.
    pub changed: u64,
    /// Known here, and brought up to date.
    pub refreshed: u64,
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
    /// What is not as in Glance, and stays so.
    Changed(String),
    /// What was not as in Glance, and is now.
    Refreshed(String),
    /// What is not taken over with it.
    Note(String),
}

/// Who is told something while a run goes on.
pub type Told<'a, T> = &'a (dyn Fn(&T) + Send + Sync);

/// What became of one image.
enum Outcome {
    /// Taken over, with these notes besides those of its rows.
    Adopted {
        data: Weight,
        notes: Vec<String>,
    },
    /// Brought up to date, with what was added.
    Refreshed {
        what: String,
        data: Weight,
    },
    Known,
    /// Known, but not as in Glance.
    Changed(String),
    LeftOut(String),
}

/// Objects and their bytes.
struct Weight {
    objects: u64,
    bytes: u64,
}

impl Weight {
    fn of(objects: &[AdoptedObject]) -> Self {
        let bytes = objects.iter().map(|object| u64::try_from(object.size).unwrap_or_default()).sum();
        Self { objects: objects.len() as u64, bytes }
    }
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

    /// Takes a page of images over, or brings them up to date.
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
        let mut known = self.catalog.known_images(&ids).await?;
        let work = page.into_iter().map(|(image, adoption)| {
            let here = known.remove(&adoption.image.id);
            async move {
                let outcome = match here {
                    None => self.adopt_image(options, &adoption).await?,
                    Some(KnownId::Used(here)) => self.revisit_image(options, &adoption, &here).await?,
                    Some(KnownId::Purged { adopted }) => purged(&adoption, adopted),
                };
                Ok::<_, Error>((image, adoption, outcome))
            }
        });
        let mut work = stream::iter(work).buffer_unordered(PARALLEL);
        while let Some(done) = work.next().await {
            let (image, adoption, outcome) = done?;
            report.count(&adoption, &outcome);
            let texts = match outcome {
                Outcome::LeftOut(reason) => vec![FindingText::LeftOut(reason)],
                Outcome::Changed(what) => vec![FindingText::Changed(what)],
                Outcome::Refreshed { what, .. } => vec![FindingText::Refreshed(what)],
                Outcome::Adopted { notes, .. } => {
                    adoption.notes.into_iter().chain(notes).map(FindingText::Note).collect()
                }
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
        let located = match self.locate_data(options, adoption).await? {
            Ok(located) => located,
            Err(reason) => return Ok(Outcome::LeftOut(reason)),
        };
        let (objects, urls) = match self.verify_data(options.verify, &adoption.image, located.placed).await? {
            Ok(verified) => verified,
            Err(reason) => return Ok(Outcome::LeftOut(reason)),
        };
        let adopted = Outcome::Adopted { data: Weight::of(&objects), notes: located.notes };
        if !options.apply {
            return Ok(adopted);
        }
        let (image, members) = (adoption.image.clone(), adoption.members.clone());
        let new = NewAdoption { image, members, objects, urls };
        Ok(match self.catalog.adopt(&new).await {
            Ok(Adopted::Done) => adopted,
            Ok(Adopted::Known) => {
                Outcome::LeftOut("its id came into use while it was looked at: run this again".to_owned())
            }
            Ok(Adopted::ObjectTaken) => Outcome::LeftOut(OBJECT_TAKEN.to_owned()),
            Err(error) if error.kind == catalog::ErrorKind::OutOfRange => {
                Outcome::LeftOut(TOO_LARGE.to_owned())
            }
            Err(error) => return Err(error.into()),
        })
    }
}

/// What becomes of an image whose id was purged here.
fn purged(adoption: &Adoption, adopted: bool) -> Outcome {
    // the ids of images deleted long ago are all that is left of them
    if adopted || adoption.image.status == Status::Deleted {
        return Outcome::Known;
    }
    Outcome::LeftOut("another image had its id here, and was purged".to_owned())
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
            Outcome::Adopted { data, .. } => {
                self.adopted += 1;
                self.add(data);
            }
            Outcome::Refreshed { data, .. } => {
                self.refreshed += 1;
                self.add(data);
            }
            Outcome::Known => self.known += 1,
            Outcome::Changed(_) => {
                self.known += 1;
                self.changed += 1;
            }
            Outcome::LeftOut(_) => self.left_out += 1,
        }
    }

    fn add(&mut self, data: &Weight) {
        self.objects += data.objects;
        self.bytes += data.bytes;
    }
}
