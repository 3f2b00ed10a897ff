//! Images that are known here: what of them is not as in Glance, and whether they can be brought up to date.

use crate::catalog;
use crate::catalog::adoption::{Adopted, KnownImage, NewAdoption};
use crate::catalog::locations::Place;
use crate::domain::adoption::Adoption;
use crate::domain::image::Status;
use crate::error::Result;

use super::super::Flows;
use super::place::Placed;
use super::verify::recorded;
use super::{AdoptOptions, ID_TAKEN, OBJECT_TAKEN, Outcome, TOO_LARGE, Weight};

/// Most differences that are named.
const MOST_NAMED: usize = 20;

impl Flows {
    /// Compares an image with what is here under its id. What differs is taken over where nobody has changed the image
    /// here, unless data would have to be given up for it.
    pub(super) async fn revisit_image(
        &self,
        options: &AdoptOptions,
        adoption: &Adoption,
        here: &KnownImage,
    ) -> Result<Outcome> {
        if let Some(outcome) = settled(adoption, here) {
            return Ok(outcome);
        }
        let placed = match self.locate_data(options, adoption).await? {
            Ok(located) => located.placed,
            Err(reason) => {
                return Ok(Outcome::Changed(format!("it cannot be compared with Glance any more: {reason}")));
            }
        };
        let gone = here.places.iter().filter(|place| !placed.iter().any(|new| self.is_at(new, place)));
        let gone: Vec<String> = gone.map(name_of).collect();
        let new = |place: &Placed| !here.places.iter().any(|known| self.is_at(place, known));
        let new: Vec<Placed> = placed.into_iter().filter(new).collect();
        let mut differing = adoption.differences(&here.image, &here.members);
        differing.extend(new.iter().map(|place| format!("{} (only in Glance)", name_of_new(place))));
        differing.extend(gone.iter().map(|place| format!("{place} (only here)")));
        if differing.is_empty() {
            return Ok(Outcome::Known);
        }
        let what = named(&differing);
        if let Some(why) = stays_because(adoption, here, !gone.is_empty()) {
            return Ok(stays(&what, why));
        }
        self.refresh_image(options, adoption, here, new, what).await
    }

    async fn refresh_image(
        &self,
        options: &AdoptOptions,
        adoption: &Adoption,
        here: &KnownImage,
        added: Vec<Placed>,
        what: String,
    ) -> Result<Outcome> {
        let (objects, urls) = match self.verify_data(options.verify, &adoption.image, added).await? {
            Ok(verified) => verified,
            Err(reason) => return Ok(stays(&what, &reason)),
        };
        let data = Weight::of(&objects);
        if options.apply {
            let (image, members) = (adoption.image.clone(), adoption.members.clone());
            let digests = recorded(&adoption.image);
            let new = NewAdoption { image, members, objects, urls };
            match self.catalog.refresh(&new, here.image.revision, &digests).await {
                Ok(Adopted::Done) => {}
                Ok(Adopted::Known) => {
                    return Ok(stays(&what, "left alone, as it was changed here meanwhile"));
                }
                Ok(Adopted::ObjectTaken) => return Ok(stays(&what, OBJECT_TAKEN)),
                Err(error) if error.kind == catalog::ErrorKind::OutOfRange => {
                    return Ok(stays(&what, TOO_LARGE));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Outcome::Refreshed { what, data })
    }

    /// Whether a place of Glance is one that is known here, by whatever store of the same bucket.
    fn is_at(&self, new: &Placed, known: &Place) -> bool {
        match (new, known) {
            (Placed::Object { store, address, .. }, Place::Object { store: id, key }) => {
                let same_bucket = || self.stores.get(id).is_some_and(|other| other.shares_bucket_with(store));
                *key == address.key && (**id == *store.id || same_bucket())
            }
            (Placed::Url { target, .. }, Place::Url(url)) => target.url().as_str() == url,
            _ => false,
        }
    }
}

/// What can be told of an image without a comparison.
fn settled(adoption: &Adoption, here: &KnownImage) -> Option<Outcome> {
    // an adopted image keeps its time of creation; one that somebody made here under its id has another
    if here.image.created_at != adoption.image.created_at {
        return Some(Outcome::LeftOut(ID_TAKEN.to_owned()));
    }
    match (here.image.deleted_at.is_some(), adoption.image.status == Status::Deleted) {
        (true, _) => Some(Outcome::Known),
        (false, true) => {
            let what = "deleted in Glance after it was taken over; delete it here too";
            Some(Outcome::Changed(what.to_owned()))
        }
        (false, false) => None,
    }
}

/// Why an image that differs is not brought up to date.
fn stays_because(adoption: &Adoption, here: &KnownImage, gives_up_data: bool) -> Option<&'static str> {
    if !here.untouched {
        Some("left alone, as it may have been changed here")
    } else if gives_up_data {
        Some("left alone, as Glance has given up a place of its data")
    } else if !here.places.is_empty() && adoption.is_of_other_data(&here.image) {
        Some("left alone, as its data would be others")
    } else {
        None
    }
}

fn stays(what: &str, why: &str) -> Outcome {
    Outcome::Changed(format!("not as in Glance: {what}; {why}"))
}

/// A place as findings name it; a URL may hold a secret.
fn name_of(place: &Place) -> String {
    match place {
        Place::Object { store, .. } => format!("data in store `{store}`"),
        Place::Url(_) => "data at a URL".to_owned(),
    }
}

fn name_of_new(place: &Placed) -> String {
    match place {
        Placed::Object { store, .. } => format!("data in store `{}`", store.id),
        Placed::Url { .. } => "data at a URL".to_owned(),
    }
}

/// Differences as one list that is not too long.
fn named(differing: &[String]) -> String {
    let shown: Vec<&str> = differing.iter().take(MOST_NAMED).map(String::as_str).collect();
    let shown = shown.join(", ");
    match differing.len().saturating_sub(MOST_NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
