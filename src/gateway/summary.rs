//! All of the gateway in one look: what an operator watches, and what tells whether somebody is needed.

use super::Gateway;
use super::device::Code;
use super::look::is_past;
use super::records::Aim;
use super::view::{RadioView, Summary};
use crate::model::{CodeId, Now};

impl Gateway {
    /// How everything is. It goes through all codes once, and copies none of them.
    #[must_use]
    pub fn summary(&self, now: Now) -> Summary {
        let codes = self.devices.values().flat_map(|device| device.codes.values());
        let due = |code: &&Code| code.row.as_ref().is_some_and(|row| row.aim == Aim::Set);
        let has_unproven = |members: &&Vec<CodeId>| self.members(members).any(|code| due(&code));
        let overdue = |members: &Vec<CodeId>| {
            let mut members = self.members(members);
            members.any(|code| code.overdue_since(now.wall).is_some())
        };
        Summary {
            at: now.wall,
            devices: self.device_ids().filter_map(|id| self.device(id, now)).collect(),
            radios: self
                .radios
                .iter()
                .map(|(id, radio)| RadioView {
                    radio: id.clone(),
                    away: radio.away,
                })
                .collect(),
            clock: self.clock(),
            codes: codes.filter(|code| !is_past(code, now)).count(),
            groups: self.groups.len(),
            groups_unproven: self.groups.values().filter(has_unproven).count(),
            groups_overdue: self
                .groups
                .iter()
                .filter(|(_, members)| overdue(members))
                .map(|(key, _)| key.clone())
                .collect(),
            jobs_open: self.open_jobs(),
            replies_waiting: self.replies.len(),
            last_event: self.last_event(),
            events_sent: self.events_sent(),
        }
    }

    fn members(&self, members: &[CodeId]) -> impl Iterator<Item = &Code> {
        let find = |id: &CodeId| self.owner(*id)?.codes.get(id).map(|code| &**code);
        members.iter().filter_map(find)
    }
}
