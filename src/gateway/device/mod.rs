//! One lock: its desired codes held against its confirmed ones ([`turn`]), what is due for it
//! ([`ask`]), and what its answers mean ([`learn`]). Knows nothing of other locks.

mod ask;
mod code;
pub(crate) mod departed;
mod gone;
mod hours;
mod learn;
mod restored;
mod silence;
mod turn;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::doors;
use super::ledger::{Desk, Ledger};
use super::records::{Confirmed, Departed, DeviceRecord, Proof, Record, Row, Waiting};
use super::view::{Advertised, Away, Held, Proven};
use crate::model::{
    CallId, Capabilities, CodeId, DeviceId, GroupKey, Mono, Now, Pin, RadioId, ReadBack, Settings, Slot,
    Timestamp,
};
use crate::plan::{Member, Occupied, Reach};
use crate::schedule::{self, Stay};
use crate::store::Tree;
use ask::Agenda;
pub(crate) use code::{Code, IN_TIME};
use hours::Hours;
use silence::Silence;

/// However often somebody asks for it, a lock is not checked more often than this.
const VERIFY_SPACING: Duration = Duration::from_secs(10);
/// PINs of the last so many days are not drawn again.
const RECENT: Duration = Duration::from_secs(30 * 86_400);
/// Of so many at most: the list is stored as a whole.
const MOST_RECENT: usize = 500;

/// A device as the configuration or its driver describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceSpec {
    /// Its id.
    pub device: DeviceId,
    /// Its name.
    pub name: String,
    /// The word for its driver.
    pub driver: String,
    /// The radio that it shares.
    pub radio: RadioId,
    /// What its lock can do.
    pub capabilities: Capabilities,
    /// Its lock is simulated and can be steered.
    pub simulated: bool,
}

pub(crate) struct Device {
    pub spec: DeviceSpec,
    pub removed: bool,
    pub online: bool,
    /// Since when it does not answer.
    pub offline_since: Option<Timestamp>,
    /// Its radio is away.
    pub away: Option<Away>,
    /// Where its bolt is, as far as is known: `true` is out.
    pub locked: Option<bool>,
    /// When a door command last moved it.
    pub moved_at: Option<Mono>,
    /// What is left of its battery, in percent, as it last said.
    pub battery: Option<u8>,
    /// When it was last told that it advertised, and how loud.
    pub advertised: Option<Advertised>,
    /// Door commands that it was not asked for yet, oldest first.
    pub doors: VecDeque<doors::Waiting>,
    /// Numbers of digits that it takes by its driver's word.
    own_lengths: BTreeSet<u8>,
    pub last_seen: Option<Timestamp>,
    pub hours: Hours,
    /// Each on its own: the map's nodes are half empty.
    pub codes: BTreeMap<CodeId, Box<Code>>,
    pub record: DeviceRecord,
    /// Members of groups that were deleted, oldest first, for the receipts of their groups.
    pub departed: Vec<Departed>,
    pub flight: Option<CallId>,
    silence: Silence,
    /// What lets its driver in was kept since it was last met.
    pub paired_anew: bool,
    pub next_check: Option<Mono>,
    /// A code was changed while the lock was being asked, so that a table of then may not tell of it.
    pub changed_meanwhile: bool,
    /// Slots that the last exchange writes, and until when the lock may tell of it.
    pub writes: (Vec<Slot>, Mono),
    /// When somebody's wish to have it checked is heeded, or was last.
    verify_at: Option<Mono>,
    /// Answers to a read that were no table, in a row.
    reads_refused: u32,
    /// It is not asked for its table before.
    reads_from: Mono,
    /// Something changed since the last turn.
    pub dirty: bool,
    turn_at: Timestamp,
    /// The last turn.
    turned_at: Timestamp,
    agenda: Agenda,
}

/// What a turn did to a code.
pub(crate) struct Touched {
    pub code: CodeId,
    /// Set if its record is gone for good; with the group that it belonged to.
    pub dropped: Option<Option<GroupKey>>,
}

impl Device {
    /// Takes a device up as the configuration and the store have it.
    pub fn new(
        spec: DeviceSpec,
        mut record: DeviceRecord,
        removed: bool,
        now: Now,
        settings: &Settings,
    ) -> Device {
        for gone in &mut record.gone {
            gone.look = now.mono_at(gone.look_at, settings.second_look);
        }
        // Nobody knows what became of a lock while the gateway was down.
        let next_check = (spec.capabilities.read_back != ReadBack::None).then_some(now.mono);
        let mut device = Device {
            spec: spec.clone(),
            removed,
            online: !removed,
            offline_since: None,
            away: None,
            locked: None,
            moved_at: None,
            battery: None,
            advertised: None,
            doors: VecDeque::new(),
            own_lengths: BTreeSet::new(),
            last_seen: None,
            hours: Hours::from(now.mono),
            codes: BTreeMap::new(),
            record,
            departed: Vec::new(),
            flight: None,
            silence: Silence::default(),
            paired_anew: false,
            next_check,
            changed_meanwhile: false,
            writes: (Vec::new(), Mono(0)),
            verify_at: None,
            reads_refused: 0,
            reads_from: Mono(0),
            dirty: true,
            turn_at: Timestamp::MIN,
            turned_at: now.wall,
            agenda: Agenda::default(),
        };
        device.describe(spec);
        device
    }

    /// Takes up what the configuration or a driver says of it.
    pub fn describe(&mut self, spec: DeviceSpec) {
        self.own_lengths = spec.capabilities.lengths.clone();
        self.spec = spec;
        if let Some(lengths) = narrowed(&self.own_lengths, self.record.lengths.as_ref()) {
            self.spec.capabilities.lengths = lengths;
        }
    }

    /// Takes a code up from the store.
    pub fn restore(&mut self, mut record: Record, now: Now, settings: &Settings) {
        // Earlier versions kept a proof only while it held.
        let proof = record.confirmed.proof().map(|proof| Held {
            proven: Proven {
                how: proof.how,
                at: proof.at,
                clock_trusted: false,
            },
            window: record.kept(&proof.content, self.capabilities()),
        });
        record.held = record.held.or(proof);
        let look = match &record.confirmed {
            Confirmed::Present(Proof {
                look_at: Some(at), ..
            }) => Some(now.mono_at(*at, settings.second_look)),
            _ => None,
        };
        // What the lock was asked since an export was made, nobody can know.
        record.sent = record.sent.filter(|_| !self.record.unread);
        let mut code = Code::new(record);
        code.look = look;
        // By an exchange that was under way when the power failed.
        code.asked = matches!(code.record.confirmed, Confirmed::Unknown { .. });
        self.codes.insert(code.record.code, Box::new(code));
    }

    /// Takes a queue row up from the store; `false` if no record wants it.
    pub fn restore_row(&mut self, code: CodeId, row: Row, now: Now) -> bool {
        let Some(code) = self.codes.get_mut(&code) else {
            return false;
        };
        code.next_try = (!matches!(row.reason, Waiting::NoSlot | Waiting::GoneSinceExport))
            .then(|| now.mono_at(row.next_try, schedule::REFUSAL_LONGEST));
        code.row = Some(row);
        true
    }

    /// Codes in doubt without a queue row; the next turn gives them one.
    pub fn missing_rows(&self) -> usize {
        let in_doubt = |record: &Record| matches!(record.confirmed, Confirmed::Unknown { .. });
        self.codes
            .values()
            .filter(|code| in_doubt(&code.record) && code.row.is_none())
            .count()
    }

    fn capabilities(&self) -> &Capabilities {
        &self.spec.capabilities
    }

    /// Stores what is remembered of it.
    pub fn store(&self, ledger: &mut Ledger) {
        ledger.put(Tree::Devices, self.spec.device.0.as_bytes(), &self.record);
    }

    /// Takes up which lengths somebody knows its lock to take.
    ///
    /// # Errors
    /// None of these is among those that the lock itself says it takes, which are returned.
    pub fn narrow(&mut self, lengths: &BTreeSet<u8>) -> Result<(), &BTreeSet<u8>> {
        let Some(both) = narrowed(&self.own_lengths, Some(lengths)) else {
            return Err(&self.own_lengths);
        };
        self.spec.capabilities.lengths = both;
        self.record.lengths = Some(lengths.clone());
        Ok(())
    }

    /// Somebody wants its codes checked: its table is read, and what it did not keep is tried once more.
    pub fn verify(&mut self, desk: &mut Desk<'_>) {
        let at = self.check_soon(desk.now.mono);
        for code in self.codes.values_mut() {
            let Some(row) = &mut code.row else { continue };
            match row.reason {
                Waiting::NotKept => code.next_try = Some(at),
                Waiting::GoneSinceExport => {
                    row.reason = Waiting::InLine;
                    code.next_try = Some(at);
                }
                _ => {}
            }
        }
        self.dirty = true;
    }

    /// Has its table read as soon as that may be; returns when.
    pub fn check_soon(&mut self, now: Mono) -> Mono {
        let at = match self.verify_at {
            Some(planned) if now < planned => planned,
            Some(last) => now.max(last + VERIFY_SPACING),
            None => now,
        };
        self.verify_at = Some(at);
        self.next_check = self.next_check.map(|check| check.min(at));
        self.dirty = true;
        at
    }

    /// A door command waits.
    pub fn want_door(&mut self, command: doors::Waiting) {
        self.doors.push_back(command);
        self.dirty = true;
    }

    /// A PIN that is not to be drawn again soon.
    pub fn retire(&mut self, pin: Pin, now: Timestamp, ledger: &mut Ledger) {
        let recent = &mut self.record.recent;
        recent.retain(|(other, since)| *other != pin && now.since(*since) < RECENT);
        recent.push((pin, now));
        let surplus = recent.len().saturating_sub(MOST_RECENT);
        recent.drain(..surplus);
        self.store(ledger);
    }

    /// What the planner needs to know, leaving one code out of account.
    pub fn member(&self, except: Option<CodeId>, now: Timestamp) -> Member<'_> {
        let strangers = self.record.unmanaged.iter().filter_map(|e| e.pin.as_ref());
        let lately = self.record.recent.iter();
        let lately = lately.filter(|(_, since)| now.since(*since) < RECENT);
        // Sets are made of them at once, as that is much quicker than one by one.
        let mut taken: Vec<&Pin> = strangers.collect();
        let mut recent: Vec<&Pin> = lately.map(|(pin, _)| pin).collect();
        let mut occupied = vec![Occupied::always(); self.record.unmanaged.len()];
        for (id, code) in &self.codes {
            if Some(*id) == except {
                continue;
            }
            match &code.record.confirmed {
                Confirmed::Absent => {}
                Confirmed::Present(proof) => taken.push(&proof.content.pin),
                Confirmed::Unknown { maybe, .. } => taken.extend(maybe),
            }
            if code.record.over(now) {
                recent.push(&code.record.pin);
                if code.record.confirmed != Confirmed::Absent {
                    occupied.push(Occupied::lingering(now));
                }
            } else {
                taken.push(&code.record.pin);
                occupied.push(Occupied::by(code.record.window));
            }
        }
        Member {
            device: self.spec.device,
            name: &self.spec.name,
            capabilities: &self.spec.capabilities,
            reach: match (self.removed, self.is_online()) {
                (true, _) => Reach::Removed,
                (false, true) => Reach::Online,
                (false, false) => Reach::Offline,
            },
            taken: taken.into_iter().collect(),
            recent: recent.into_iter().collect(),
            occupied,
        }
    }

    /// What the schedule needs to know of a code.
    pub fn stay(&self, code: &Code) -> Stay {
        code.record.stay()
    }

    /// Whether nothing more is to be watched for a job of the code's present generation.
    pub fn has_settled(&self, code: &Code, now: Now) -> bool {
        code.record.deleted_at.is_none() && (code.proven().is_some() || code.record.over(now.wall))
    }

    /// Whether a code that was proven is found changed or gone.
    pub fn has_drift(&self) -> bool {
        self.codes.values().any(|code| code.record.denied > 0)
    }

    /// The wall time at which a row is tried next, and why it waits, as an operator sees it.
    pub fn waits(&self, code: &Code, now: Now, settings: &Settings) -> Option<(Option<Timestamp>, Waiting)> {
        let row = code.row.as_ref()?;
        let gate = self.gate(now, settings);
        let next = code.next_try.map(|next| now.wall_at(next.max(gate)));
        match (row.reason, self.away) {
            (Waiting::InLine | Waiting::Silent, Some(away)) => Some((None, Waiting::RadioAway(away))),
            (Waiting::InLine, None) if self.is_silent() => Some((next, Waiting::Silent)),
            (other, _) => Some((next, other)),
        }
    }
}

/// The lengths that a lock takes both by its own word and by somebody's report; `None` if there is no
/// report, or nothing in common.
fn narrowed(own: &BTreeSet<u8>, reported: Option<&BTreeSet<u8>>) -> Option<BTreeSet<u8>> {
    let both: BTreeSet<u8> = own.intersection(reported?).copied().collect();
    (!both.is_empty()).then_some(both)
}
