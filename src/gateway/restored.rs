//! A gateway whose store came out of an export: the locks may know better.
//!
//! The export is older than what the locks hold. So each lock is read before it is written
//! (`device::restored`), the clock's mark counts as the least that can be, and events go on at numbers
//! that were never given out. All of that is one batch, with the removal of the row that asked for it:
//! a power cut finds it done or still to be done.

use serde::{Deserialize, Serialize};

use super::Gateway;
use super::records::encode;
use super::timekeeper::MARK_KEY;
use crate::model::{Detail, EventKind, Now, Timestamp};
use crate::store::{Head, Tree};

/// Key in [`Tree::Meta`] of what an import leaves for the first start.
pub(super) const RESTORED_KEY: &[u8] = b"restored";
/// More events than a gateway has in years.
const LEAP: u64 = 1_000_000;

/// What an import leaves for the first start.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Restored {
    /// The number of the next event.
    next_event: u64,
    /// As of when the export was made; an import by an earlier version did not say.
    #[serde(default)]
    made_at: Option<Timestamp>,
}

/// The row that an import at `now` adds to the values of an export with this head.
///
/// Events go on at the milliseconds since 1970, as far as those are ahead: who imports the same export
/// twice gives no number out twice, for no gateway has an event every millisecond.
#[must_use]
pub fn restored_row(head: &Head, now: Timestamp) -> (Tree, Vec<u8>, Vec<u8>) {
    let by_clock = u64::try_from(now.0).unwrap_or(0);
    let restored = Restored {
        next_event: head.last_event.saturating_add(LEAP).max(by_clock),
        made_at: Some(head.made_at),
    };
    (Tree::Meta, RESTORED_KEY.to_vec(), encode(&restored))
}

impl Gateway {
    /// Takes up that the store came out of an export.
    pub(super) fn take_up_restored(&mut self, restored: &Restored, now: Now) {
        self.ledger.remove(Tree::Meta, RESTORED_KEY);
        for device in self.devices.values_mut() {
            device.record.unread = true;
            // It may not have been read since an earlier import.
            device.record.exported_at = device.record.exported_at.or(restored.made_at);
            // What stands by now where they stood is most likely another guest's.
            device.record.gone.clear();
            device.store(&mut self.ledger);
        }
        if let Some(kept) = self.timekeeper.take_for_the_least() {
            self.ledger.put(Tree::Meta, MARK_KEY, &kept);
        }
        self.ledger.leap_to(restored.next_event);
        let kind = EventKind::Restored;
        self.ledger.tell(now.wall, kind, None, None, None, Detail::None);
    }
}
