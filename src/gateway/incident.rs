//! What happened since a moment, with all that it takes to understand it: for somebody who was not there.

use std::collections::{BTreeMap, BTreeSet};

use super::Gateway;
use super::records::{Answer, Confirmed};
use super::view::{ClockView, CodeView, DeviceView};
use crate::model::{CodeId, Detail, Edit, Event, EventKind, Now, RadioId, Settings, Timestamp};

/// What happened since a moment. Holds PINs and names, which stay here: the door leaves them out.
pub struct Incident {
    /// The moment.
    pub since: Timestamp,
    /// What time it is.
    pub now: Timestamp,
    /// Whether that is certain.
    pub clock: ClockView,
    /// The storage is below its reserve.
    pub storage_low: bool,
    /// What the operator has set.
    pub settings: Settings,
    /// How many links each radio has.
    pub radios: BTreeMap<RadioId, usize>,
    /// Every device with its radio, by id.
    pub devices: Vec<(RadioId, DeviceView)>,
    /// The access codes that are on record and were not over by then.
    pub codes: Vec<CodeView>,
    /// Those that were, and are on record no more: as their callers were told of them, with their last windows.
    pub gone: Vec<CodeView>,
    /// Events before this moment, which is later than the one asked for, are kept no more.
    pub pruned_before: Option<Timestamp>,
    /// What happened, oldest first.
    pub events: Vec<Event>,
}

impl Gateway {
    /// What happened since a moment. Of a clock that went back everything that came after counts.
    #[must_use]
    pub fn incident(&self, since: Timestamp, now: Now) -> Incident {
        let all = self.ledger.events();
        let events: Vec<Event> = all.iter().skip_while(|event| event.at < since).cloned().collect();
        let mentioned: BTreeSet<CodeId> = events.iter().filter_map(|event| event.code).collect();
        let pruned = all.front().filter(|oldest| oldest.seq > 1 && since < oldest.at);
        let devices = self.devices.iter();
        Incident {
            since,
            now: now.wall,
            clock: self.clock(),
            storage_low: self.storage_low,
            settings: self.settings.clone(),
            radios: self
                .radios
                .iter()
                .map(|(id, radio)| (id.clone(), radio.links))
                .collect(),
            devices: devices
                .filter_map(|(id, device)| Some((device.spec.radio.clone(), self.device(*id, now)?)))
                .collect(),
            codes: self.codes_since(since, &mentioned, now),
            gone: self.codes_gone(&mentioned),
            pruned_before: pruned.map(|oldest| oldest.at),
            events,
        }
    }

    fn codes_since(&self, since: Timestamp, mentioned: &BTreeSet<CodeId>, now: Now) -> Vec<CodeView> {
        let codes = self.devices.values().flat_map(|device| device.codes.values());
        let lived = codes.filter(|code| {
            let record = &code.record;
            let over = record.window.end() <= since && record.confirmed == Confirmed::Absent;
            !over || mentioned.contains(&record.code)
        });
        lived
            .filter_map(|code| self.code(code.record.code, now))
            .collect()
    }

    fn codes_gone(&self, mentioned: &BTreeSet<CodeId>) -> Vec<CodeView> {
        let told = self.jobs.iter().flat_map(|job| match &job.answer {
            Answer::Created(views) => views.as_slice(),
            Answer::CreatedOne(view) => std::slice::from_ref(view.as_ref()),
            Answer::Ok | Answer::Attempt(_) | Answer::Refused(_) => &[],
        });
        let gone =
            told.filter(|view| mentioned.contains(&view.code) && !self.owners.contains_key(&view.code));
        let mut gone: BTreeMap<CodeId, CodeView> = gone.map(|view| (view.code, view.clone())).collect();
        let changes = |event: &&Event| event.kind == EventKind::CodeChanged;
        for event in self.ledger.events().iter().filter(changes) {
            let view = event.code.and_then(|code| gone.get_mut(&code));
            if let (Some(view), Detail::Changes(edits)) = (view, &event.detail) {
                view.window = edits.iter().fold(view.window, |window, edit| match edit {
                    Edit::Window { to, .. } => *to,
                    _ => window,
                });
            }
        }
        gone.into_values().collect()
    }
}
