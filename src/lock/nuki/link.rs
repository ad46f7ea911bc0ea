//! What a radio has to do for this family.

use std::future::Future;

use uuid::Uuid;

/// How locks of this family differ on the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// Generations 1 to 4.
    Classic,
    /// Smart Lock Ultra.
    Ultra,
}

/// A door of the lock for bytes: written with response, and told by indications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Characteristic {
    /// Plain messages of the pairing service; which one exists tells the model.
    Pairing(Model),
    /// Sealed messages of the everyday service.
    Everyday,
}

impl Characteristic {
    /// Its name on the air.
    #[must_use]
    pub fn uuid(self) -> Uuid {
        match self {
            Characteristic::Pairing(Model::Classic) => nuki(0xa92e_e101),
            Characteristic::Pairing(Model::Ultra) => nuki(0xa92e_e301),
            Characteristic::Everyday => nuki(0xa92e_e202),
        }
    }
}

/// A name of the vendor's: all end alike.
pub(super) const fn nuki(head: u32) -> Uuid {
    Uuid::from_fields(
        head,
        0x5501,
        0x11e4,
        &[0x91, 0x6c, 0x08, 0x00, 0x20, 0x0c, 0x9a, 0x66],
    )
}

/// The link is gone, or no link came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the link to the lock was lost")]
pub struct LinkLost;

/// A link to one lock on which the indications of one characteristic are switched on. All writes of a talk go to
/// that characteristic. A radio need not keep time: whoever talks gives up by itself.
pub trait Link: Send {
    /// Writes a whole message with response; the radio cuts it as it must.
    ///
    /// # Errors
    /// The lock did not confirm the write. It may have got it all the same.
    fn write(
        &mut self,
        to: Characteristic,
        message: &[u8],
    ) -> impl Future<Output = Result<(), LinkLost>> + Send;

    /// The next indication, a message or any part of one.
    ///
    /// # Errors
    /// None will come any more.
    fn next(&mut self) -> impl Future<Output = Result<Vec<u8>, LinkLost>> + Send;
}
