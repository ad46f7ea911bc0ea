//! A link that stands.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use btleplug::api::{Characteristic as Door, Peripheral as _, WriteType};
use btleplug::platform::Peripheral;
use tokio::sync::mpsc;
use tokio::time::timeout;
use uuid::Uuid;

use super::desk::Ticket;

/// For one write with response.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// Indications that may come meanwhile. A lock that says more loses its link.
const CAME: usize = 256;

/// The link is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the link was lost")]
pub struct Lost;

/// A link to one lock. Dropped, it is taken down, and others get their turn when it is down.
pub struct BleLink {
    pub(super) peripheral: Peripheral,
    pub(super) doors: BTreeMap<Uuid, Door>,
    pub(super) coming: mpsc::Receiver<Vec<u8>>,
    /// What came while something was written.
    pub(super) came: VecDeque<Vec<u8>>,
    pub(super) ticket: Ticket,
    pub(super) leave: mpsc::UnboundedSender<Ticket>,
}

impl BleLink {
    /// Writes with response, up to 512 bytes whatever the air takes at once.
    ///
    /// # Errors
    /// The lock did not confirm it in ten seconds, or the link ended. The lock may have got it all the same.
    pub async fn write_to(&mut self, characteristic: Uuid, bytes: &[u8]) -> Result<(), Lost> {
        let door = self.doors.get(&characteristic).ok_or(Lost)?;
        let write = self.peripheral.write(door, bytes, WriteType::WithResponse);
        let ended = async {
            while let Some(value) = self.coming.recv().await.filter(|_| self.came.len() < CAME) {
                self.came.push_back(value);
            }
        };
        let written = tokio::select! {
            written = timeout(WRITE_WITHIN, write) => written,
            // Nobody may ever answer a call to a daemon that is gone.
            () = ended => return Err(Lost),
        };
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a write to a lock failed");
                Err(Lost)
            }
            Err(_) => Err(Lost),
        }
    }

    /// The next indication of the characteristic that the link was made for.
    ///
    /// # Errors
    /// None will come any more.
    pub async fn indicated(&mut self) -> Result<Vec<u8>, Lost> {
        match self.came.pop_front() {
            Some(value) => Ok(value),
            None => self.coming.recv().await.ok_or(Lost),
        }
    }
}

impl Drop for BleLink {
    fn drop(&mut self) {
        // A radio that has ended has no links to take down.
        let _ = self.leave.send(self.ticket);
    }
}
