//! One access code of one lock: its record, its queue row, and when it is tried next.

use std::time::Duration;

use crate::gateway::ledger::{Desk, Ledger};
use crate::gateway::records::{Aim, Confirmed, Proof, Record, Row, Waiting, code_key};
use crate::gateway::view::{External, ExternalChange, Held, Proven};
use crate::model::{
    Capabilities, Content, Detail, Edit, EventKind, How, Mono, Now, Pin, Slot, Timestamp, Window,
};
use crate::sabotage::{self, Sabotage};
use crate::schedule::{self, Rank, Stay};
use crate::store::Tree;

/// What a lock within reach is done with by then, however many commands wait.
pub(crate) const IN_TIME: Duration = Duration::from_secs(60);

/// So many denials or drops, and a code counts as not kept.
const DENIALS: u32 = 3;

pub(crate) struct Code {
    pub record: Record,
    pub row: Option<Row>,
    /// `None`: not by the passing of time.
    pub next_try: Option<Mono>,
    pub look: Option<Mono>,
    /// PINs that the lock was asked to take, or may have been: what stands there with one of them may be
    /// our own work. With any other it is somebody else's, whatever we want it to be. The record says the same, and
    /// keeps those of which in the end nothing went out.
    sent: Vec<Pin>,
    /// The lock may have been asked to change it since it last said what it holds.
    pub asked: bool,
    /// The slot in which the lock last said that somebody else's code stands.
    pub not_there: Option<Slot>,
}

impl Record {
    pub fn over(&self, now: Timestamp) -> bool {
        self.deleted_at.is_some() || self.window.end() <= now
    }

    pub fn stay(&self) -> Stay {
        Stay {
            window: self.window,
            prefer_native: self.prefer_native,
            deleted: self.deleted_at.is_some(),
            on_lock: self.slot.is_some(),
        }
    }

    pub fn content(&self, capabilities: &Capabilities) -> Content {
        schedule::content(
            &self.pin,
            self.name.as_deref(),
            self.window,
            self.prefer_native,
            capabilities,
        )
    }

    /// The times for which its lock holds it, which says that it holds `content`: the lock's own, or those on
    /// record where the gateway keeps them.
    pub fn kept(&self, content: &Content, capabilities: &Capabilities) -> Window {
        match schedule::native(self.prefer_native, capabilities) {
            true => content.window,
            false => self.window,
        }
    }

    /// The lock's word that it holds the code no more, unless it may hold it again.
    pub fn removed(&self) -> Option<Proven> {
        self.removed.filter(|_| self.confirmed == Confirmed::Absent)
    }

    /// When its absence began to be wanted.
    pub fn over_since(&self) -> Timestamp {
        self.deleted_at
            .map_or(self.window.end(), |deleted| deleted.min(self.window.end()))
    }
}

impl Code {
    /// Goes by what its record says was sent; where it says nothing, all its PINs may have been.
    pub fn new(record: Record) -> Code {
        let sent = record.sent.clone().unwrap_or_else(|| record.confirmed.pins());
        let mut code = Code {
            record,
            row: None,
            next_try: None,
            look: None,
            sent: Vec::new(),
            asked: false,
            not_there: None,
        };
        code.reckon_with(sent);
        code
    }

    /// These are its PINs that were sent, and no others.
    pub fn reckon_with(&mut self, sent: Vec<Pin>) {
        self.record.sent = Some(sent.clone());
        self.sent = sent;
    }

    /// The lock is about to be asked to take these digits, and nobody may forget it. It is written down once, however
    /// often a silent lock is asked.
    pub fn note_sent(&mut self, pin: &Pin, ledger: &mut Ledger) {
        if !self.sent.contains(pin) {
            self.sent.push(pin.clone());
        }
        let on_record = self.record.sent.get_or_insert_default();
        if !on_record.contains(pin) {
            on_record.push(pin.clone());
            self.store(ledger);
        }
    }

    /// These digits did not go out.
    pub fn note_unsent(&mut self, pin: &Pin) {
        self.sent.retain(|sent| sent != pin);
    }

    /// The lock holds nothing of ours with these digits, by its own word.
    pub fn disown(&mut self, pin: &Pin, ledger: &mut Ledger) {
        self.note_unsent(pin);
        self.record.sent = Some(self.sent.clone());
        self.store(ledger);
    }

    pub fn store(&self, ledger: &mut Ledger) {
        ledger.put(
            Tree::Codes,
            &code_key(self.record.device, self.record.code),
            &self.record,
        );
    }

    pub fn store_row(&self, ledger: &mut Ledger) {
        let key = code_key(self.record.device, self.record.code);
        match &self.row {
            Some(row) => ledger.put(Tree::Queue, &key, row),
            None => ledger.remove(Tree::Queue, &key),
        }
    }

    /// Whether the lock has confirmed exactly what is wanted.
    pub fn agrees(&self, wanted: Option<&Content>) -> bool {
        match (&self.record.confirmed, wanted) {
            (Confirmed::Absent, None) => true,
            (Confirmed::Present(proof), Some(content)) => proof.content == *content,
            _ => false,
        }
    }

    /// Whether a turn would change nothing: its time has not come, or the lock is still to be asked for it. On a
    /// lock with many codes that is how most of them are.
    pub fn rests(&self, present: bool, now: Timestamp) -> bool {
        match (&self.record.confirmed, &self.row) {
            (Confirmed::Absent, None) => !present && !self.record.over(now),
            (Confirmed::Unknown { .. }, Some(row)) => {
                let asks_for_it = row.aim == Aim::Set && row.generation == self.record.generation;
                present && asks_for_it && self.record.slot.is_some()
            }
            _ => false,
        }
    }

    /// The lock's own word that it holds the code as recorded.
    pub fn proven(&self) -> Option<Proven> {
        let holds = self.row.is_none() && matches!(self.record.confirmed, Confirmed::Present(_));
        self.record.held.filter(|_| holds).map(|held| held.proven)
    }

    /// The PINs under which the lock may hold this code by our own doing.
    pub fn ours(&self) -> Vec<Pin> {
        let mut pins = self.record.confirmed.pins();
        pins.retain(|pin| self.sent.contains(pin));
        pins
    }

    pub fn rank(&self, row: &Row) -> Rank {
        match row.aim {
            Aim::Remove => Rank::Remove(self.record.over_since()),
            Aim::Set if sabotage::on(Sabotage::SetsFirst) => Rank::Remove(Timestamp::MIN),
            Aim::Set => Rank::Set(self.record.window.start()),
        }
    }

    /// The lock denied the code, or dropped it: the code waits, and after the third time until the
    /// next check of the lock too.
    pub fn wait_after_denial(&mut self, now: Now, next_check: Mono) {
        let Some(row) = &mut self.row else { return };
        // Refusals that came before count too.
        row.refusals = self.record.denied.max(row.refusals + 1);
        let waited = now.mono + schedule::refusal_wait(row.refusals);
        if self.record.denied >= DENIALS {
            row.reason = Waiting::NotKept;
            self.next_try = Some(waited.max(next_check));
        } else {
            row.reason = Waiting::Denied;
            self.next_try = Some(waited);
        }
        self.note_next_try(now);
    }

    /// A refusal backs off this code alone.
    pub fn hold_back(&mut self, now: Now, reason: Waiting) {
        if let Some(row) = &mut self.row {
            row.tries += 1;
            row.refusals += 1;
            row.reason = reason;
            self.next_try = Some(now.mono + schedule::refusal_wait(row.refusals));
            if sabotage::on(Sabotage::GivesUp) {
                self.next_try = None;
            }
        }
        self.note_next_try(now);
    }

    pub fn note_next_try(&mut self, now: Now) {
        if let (Some(row), Some(next)) = (&mut self.row, self.next_try) {
            row.next_try = now.wall_at(next);
        }
    }

    /// Since when what is to be done on the lock is wanted by somebody at the door, if a lock within reach
    /// would have been done with it.
    pub fn overdue_since(&self, now: Timestamp) -> Option<Timestamp> {
        let row = self.row.as_ref()?;
        let record = &self.record;
        let since = match row.aim {
            Aim::Remove if record.over(now) => record.over_since(),
            Aim::Remove => row.since,
            Aim::Set => record.window.start().max(row.since),
        };
        (since + IN_TIME <= now).then_some(since)
    }

    /// The lock's own word that it holds nothing of this code.
    pub fn let_go(&mut self, how: How, desk: &Desk<'_>) {
        self.record.removed = self.record.held.map(|_| desk.proven(how));
        self.record.confirmed = Confirmed::Absent;
        self.record.slot = None;
        self.look = None;
        self.asked = false;
        self.reckon_with(Vec::new());
    }

    /// The lock's own word for what it holds of this code.
    pub fn prove(
        &mut self,
        content: Content,
        how: How,
        look: Option<Mono>,
        capabilities: &Capabilities,
        desk: &mut Desk<'_>,
    ) {
        let before = self.record.confirmed.proof();
        let edits = before.map_or_else(Vec::new, |before| edits(&before.content, &content));
        let was_open = before.map(|before| before.open);
        for edit in edits {
            let kind = match edit {
                Edit::Name { .. } => EventKind::CodeRenamed,
                Edit::Pin { .. } => EventKind::CodeRecoded,
                Edit::Window { .. } | Edit::Delete => EventKind::CodeMoved,
            };
            let detail = Detail::Changes(vec![edit]);
            desk.tell(kind, self.record.device, Some(self.record.code), detail);
        }
        let open = content.window.holds(desk.now.wall);
        // One that never opens again, or was switched off on the lock, is told as neither.
        if was_open != Some(open) && desk.now.wall < content.window.end() {
            let kind = match open {
                true => EventKind::CodeSet,
                false => EventKind::CodeScheduled,
            };
            let pin = Detail::Pin(content.pin.clone());
            desk.tell(kind, self.record.device, Some(self.record.code), pin);
        }
        let look_at = look.map(|at| desk.now.wall_at(at));
        self.look = look;
        self.record.external = None;
        self.record.held = Some(Held {
            proven: desk.proven(how),
            window: self.record.kept(&content, capabilities),
        });
        self.asked = false;
        self.reckon_with(vec![content.pin.clone()]);
        self.record.confirmed = Confirmed::Present(Proof {
            content,
            how,
            at: desk.now.wall,
            look_at,
            open,
        });
        self.store(desk.ledger);
    }

    /// When the lock itself opens to a code that waits, and when it no more does, by what it was last known to hold.
    pub fn own_edges(&self) -> impl Iterator<Item = Timestamp> {
        let proof = self.record.confirmed.proof().filter(|_| self.row.is_some());
        let window = proof.map(|proof| proof.content.window);
        window
            .into_iter()
            .flat_map(|window| [window.start(), window.end()])
    }

    /// Where the lock runs the window, and its start has come, the code opens from now on: whether that is so.
    pub fn open(&mut self, desk: &mut Desk<'_>) -> bool {
        let Confirmed::Present(proof) = &mut self.record.confirmed else {
            return false;
        };
        if proof.open || !proof.content.window.holds(desk.now.wall) {
            return false;
        }
        proof.open = true;
        let pin = Detail::Pin(proof.content.pin.clone());
        let (device, code) = (self.record.device, self.record.code);
        desk.tell(EventKind::CodeSet, device, Some(code), pin);
        self.store(desk.ledger);
        true
    }

    /// Somebody else changed it on the lock, or took it off.
    pub fn note_external(&mut self, change: ExternalChange, desk: &mut Desk<'_>) {
        self.record.denied += 1;
        self.record.external = Some(External {
            change,
            at: desk.now.wall,
        });
        let kind = match change {
            ExternalChange::Modified => EventKind::CodeAltered,
            ExternalChange::Removed => EventKind::CodeLost,
        };
        desk.tell(kind, self.record.device, Some(self.record.code), Detail::None);
    }

    /// Counts an unanswered try. The card is spared: of a long silence only the beginning, and then
    /// every doubling, is written down.
    pub fn note_silence(&mut self, desk: &mut Desk<'_>) {
        let Some(row) = &mut self.row else { return };
        row.tries += 1;
        let news = row.reason != Waiting::Silent;
        row.reason = Waiting::Silent;
        row.next_try = desk.now.wall;
        let first = row.tries == 1;
        if news || row.tries.is_power_of_two() {
            self.store_row(desk.ledger);
        }
        if first {
            self.tell_delay(desk);
        }
    }

    /// What is to be done on the lock takes longer than usual.
    pub fn tell_delay(&self, desk: &mut Desk<'_>) {
        let kind = match self.row.as_ref().map(|row| row.aim) {
            Some(Aim::Remove) => EventKind::CodeRemovalDelayed,
            Some(Aim::Set) | None => EventKind::CodeDelayed,
        };
        desk.tell(kind, self.record.device, Some(self.record.code), Detail::None);
    }
}

/// What differs between two contents.
fn edits(before: &Content, after: &Content) -> Vec<Edit> {
    let mut edits = Vec::new();
    if before.name != after.name {
        edits.push(Edit::Name {
            from: before.name.clone(),
            to: after.name.clone(),
        });
    }
    if before.pin != after.pin {
        edits.push(Edit::Pin {
            from: before.pin.clone(),
            to: after.pin.clone(),
        });
    }
    if before.window != after.window {
        edits.push(Edit::Window {
            from: before.window,
            to: after.window,
        });
    }
    edits
}
