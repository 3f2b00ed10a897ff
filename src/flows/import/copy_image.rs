//! More copies of the data that an image has (images-v2.md §14.2, `copy-image`).

use std::cmp::Reverse;

use crate::blobs::Store;
use crate::catalog::blobs::BlobState;
use crate::catalog::import_tasks::{Begun, Held};
use crate::domain::image::Image;
use crate::error::{Error, Result};
use crate::flows::Flows;

use super::run::{Run, is_of_store, of_store};

impl Flows {
    /// Copies the data into every store that was named. The image stays as it is but for the copies.
    pub(super) async fn copy_image(&self, run: &Run<'_>, begun: Begun) -> Result<()> {
        let Begun { image, held } = begun;
        // an earlier attempt may have made some
        let mut any = held.iter().any(|held| held.task == Some(run.task.id));
        let sources = self.sources(held);
        for store in image.importing_to.iter().flatten() {
            match self.copy_to(run, &image, &sources, store).await {
                Ok(()) => any = true,
                Err(error) if run.all_must_succeed || !is_of_store(&error) => {
                    return Err(of_store(store, error));
                }
                Err(error) => self.tolerate(run, store, &error).await?,
            }
        }
        if !any {
            return Err(Error::invalid("The image data could not be copied into any store."));
        }
        self.finish_import(run, None).await
    }

    /// Copies from the first source that can be read.
    async fn copy_to(&self, run: &Run<'_>, image: &Image, sources: &[Held], store: &str) -> Result<()> {
        let mut last = Error::invalid("The image has no data in any store.");
        for source in sources {
            match self.place(run, image, source, store, false).await {
                Err(error) if is_of_store(&error) => last = error,
                ended => return ended,
            }
        }
        Err(last)
    }

    /// The copies that an image has, the preferred ones first.
    fn sources(&self, held: Vec<Held>) -> Vec<Held> {
        let mut live: Vec<Held> =
            held.into_iter().filter(|held| held.blob.state == BlobState::Live).collect();
        live.sort_by_key(|held| Reverse(self.stores.get(&held.blob.store).map(Store::weight)));
        live
    }
}
