//! Withhold the data of an image from download, and release it again (images-v2.md §19).

use crate::domain::image::Status;
use crate::error::{Error, Result};

use super::{Call, Flows, may_write};

/// How often the move is judged anew when somebody else changed the image meanwhile.
const TRIES: usize = 4;

impl Flows {
    /// `active → deactivated`.
    ///
    /// # Errors
    /// `Forbidden` in any other status.
    pub async fn deactivate_image(&self, call: &Call, id: &str) -> Result<()> {
        self.switch(call, id, "deactivate", Status::Active, Status::Deactivated).await
    }

    /// `deactivated → active`.
    ///
    /// # Errors
    /// `Forbidden` in any other status.
    pub async fn reactivate_image(&self, call: &Call, id: &str) -> Result<()> {
        self.switch(call, id, "reactivate", Status::Deactivated, Status::Active).await
    }

    async fn switch(&self, call: &Call, id: &str, action: &str, from: Status, to: Status) -> Result<()> {
        may_write(&call.caller)?;
        for _ in 0..TRIES {
            let image = self.find_for(call, id, action).await?.image;
            if image.status == to {
                return Ok(());
            }
            if image.status != from {
                let status = image.status.as_str();
                return Err(Error::forbidden(format!(
                    "Not allowed to {action} an image in status '{status}'."
                )));
            }
            if self.catalog.set_status(image.id, &[from], to).await?.is_some() {
                return Ok(());
            }
        }
        Err(Error::conflict("The image was changed by others again and again."))
    }
}
