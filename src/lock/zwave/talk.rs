//! One question to a lock, from first look to proof, over whatever can look into a slot, write and erase.
//!
//! A slot is looked at before it is written, so that nobody else's code is touched, and after it, whatever
//! the lock or the driver said of the write. A lock that shows no digits is emptied, seen to be empty, and
//! then written; what it holds then can only be ours.

use std::future::Future;
use std::time::Duration;

use crate::model::{
    Capabilities, Closed, Content, Deed, Entry, Finding, How, Objection, Pin, ReadBack, Slot, Step,
    Timestamp, Window,
};

/// Looks at a bolt until it has moved, and the pause between two of them: motors need some seconds.
const BOLT_LOOKS: u32 = 8;
const BOLT_PAUSE: Duration = Duration::from_millis(1500);
/// A code that stands in the table and opens nothing: it was switched off.
const NEVER: Window = Window::Bound {
    starts_at: Timestamp::MIN,
    ends_at: Timestamp(Timestamp::MIN.0 + 1),
};

/// What a slot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// Nothing.
    Empty,
    /// These digits.
    Digits {
        /// Which.
        pin: Pin,
        /// They open the lock.
        enabled: bool,
    },
    /// Something that shows no digits.
    Hidden,
}

/// What was said to a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// Yes, or nothing at all.
    Yes,
    /// No.
    No(Objection),
}

/// Why a command came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The lock does not answer.
    Silent,
    /// The radio is away.
    Away,
    /// The lock, or the driver in its place, says no.
    Refused(Objection),
}

/// What can be asked of a lock, one command at a time.
pub trait Node: Sync {
    /// What a slot holds, by the lock's own word.
    fn look(&self, slot: Slot) -> impl Future<Output = Result<Held, Failed>> + Send;
    /// Makes a slot hold these digits; `over` what is ours there already.
    fn write(&self, slot: Slot, pin: &Pin, over: bool) -> impl Future<Output = Result<Said, Failed>> + Send;
    /// Makes a slot hold nothing.
    fn erase(&self, slot: Slot) -> impl Future<Output = Result<Said, Failed>> + Send;
    /// Where these digits stood when the lock last told of it. Asks no lock.
    fn remembered(&self, pin: &Pin) -> impl Future<Output = Result<Vec<Slot>, Failed>> + Send;
    /// Starts a bolt.
    fn move_bolt(&self, deed: Deed) -> impl Future<Output = Result<Said, Failed>> + Send;
    /// Where the bolt is: `true` is out.
    fn bolt(&self) -> impl Future<Output = Result<Option<bool>, Failed>> + Send;
    /// Waits.
    fn pause(&self, span: Duration) -> impl Future<Output = ()> + Send;
}

/// A talk with a lock.
pub struct Talk<'a, N> {
    node: &'a N,
    lock: &'a Capabilities,
    /// Something that changes the lock was said.
    changed: bool,
    /// A read showed a code without digits.
    pub masked: bool,
}

type Told<T> = Result<T, Finding>;

impl<'a, N: Node> Talk<'a, N> {
    /// With a lock that takes, holds and tells this.
    pub fn new(node: &'a N, lock: &'a Capabilities) -> Talk<'a, N> {
        Talk {
            node,
            lock,
            changed: false,
            masked: false,
        }
    }

    /// What comes of a step.
    pub async fn carry_out(&mut self, step: &Step) -> Finding {
        self.changed = false;
        let told = match step {
            Step::Put {
                slot, content, stale, ..
            } => self.put(*slot, content, stale).await.map(Finding::Proven),
            Step::Remove { slot, pins, .. } => self.remove(*slot, pins).await.map(Finding::Proven),
            Step::Door { deed, .. } => self.door(*deed).await.map(Finding::Proven),
            Step::Read => self.read().await.map(Finding::Table),
        };
        told.unwrap_or_else(|finding| finding)
    }

    async fn put(&mut self, slot: Slot, content: &Content, stale: &[Pin]) -> Told<How> {
        match self.lock.closed {
            Some(Closed::Unsecured) => return Err(Finding::Refused(Objection::Unsecured)),
            Some(Closed::NoCodes) => return Err(Finding::Refused(Objection::Other)),
            Some(Closed::NotInterviewed) => return Err(Finding::Unanswered),
            None => {}
        }
        if !self.lock.slots().any(|known| known == slot) {
            return Err(Finding::Refused(Objection::Full));
        }
        if self.lock.takes(&content.pin).is_err() {
            return Err(Finding::Refused(Objection::Other));
        }
        if self.lock.read_back == ReadBack::None {
            return match self.write(slot, &content.pin, !stale.is_empty()).await? {
                Said::Yes => Ok(How::Acknowledged),
                Said::No(objection) => Err(Finding::Refused(objection)),
            };
        }
        let over = match self.look(slot).await? {
            Held::Empty => false,
            Held::Digits { pin, .. } if !stale.contains(&pin) => {
                return Err(Finding::Refused(match pin == content.pin {
                    true => Objection::Duplicate,
                    false => Objection::SlotTaken,
                }));
            }
            Held::Digits { pin, enabled } => {
                if enabled && pin == content.pin {
                    return Ok(How::ReadBack);
                }
                true
            }
            Held::Hidden if stale.is_empty() => return Err(Finding::Refused(Objection::SlotTaken)),
            Held::Hidden => {
                self.empty(slot).await?;
                false
            }
        };
        self.refuse_twice(slot, &content.pin).await?;
        let said = self.write(slot, &content.pin, over).await?;
        match (self.look(slot).await?, said) {
            (Held::Digits { pin, enabled: true }, _) if pin == content.pin => Ok(How::ReadBack),
            // Most locks give no reason. One can be seen.
            (_, Said::No(Objection::Other)) if self.stands_elsewhere(slot, &content.pin).await? => {
                Err(Finding::Refused(Objection::Duplicate))
            }
            (_, Said::No(objection)) => Err(Finding::Refused(objection)),
            (Held::Hidden, Said::Yes) => Ok(How::Acknowledged),
            (Held::Empty | Held::Digits { .. }, Said::Yes) => Err(Finding::Denied),
        }
    }

    async fn remove(&mut self, slot: Slot, pins: &[Pin]) -> Told<How> {
        if self.lock.read_back == ReadBack::None {
            return match self.erase(slot).await? {
                Said::Yes => Ok(How::Acknowledged),
                Said::No(objection) => Err(Finding::Refused(objection)),
            };
        }
        if !is_ours(&self.look(slot).await?, pins) {
            return Ok(How::ReadBack);
        }
        let said = self.erase(slot).await?;
        match (is_ours(&self.look(slot).await?, pins), said) {
            (false, _) => Ok(How::ReadBack),
            (true, Said::No(objection)) => Err(Finding::Refused(objection)),
            (true, Said::Yes) => Err(Finding::Denied),
        }
    }

    async fn read(&mut self) -> Told<Vec<Entry>> {
        if self.lock.read_back == ReadBack::None {
            return Err(Finding::Refused(Objection::Other));
        }
        let mut table = Vec::new();
        for slot in self.lock.slots() {
            let (pin, window) = match self.look(slot).await? {
                Held::Empty => continue,
                Held::Digits { pin, enabled: true } => (Some(pin), Window::Ongoing),
                Held::Digits { pin, enabled: false } => (Some(pin), NEVER),
                Held::Hidden => (None, Window::Ongoing),
            };
            table.push(Entry {
                slot,
                pin,
                name: None,
                window,
            });
        }
        Ok(table)
    }

    async fn door(&mut self, deed: Deed) -> Told<How> {
        self.changed = true;
        if let Said::No(objection) = self.node.move_bolt(deed).await.map_err(|f| self.finding(f))? {
            return Err(Finding::Refused(objection));
        }
        for _ in 0..BOLT_LOOKS {
            let locked = self.node.bolt().await.map_err(|f| self.finding(f))?;
            if locked == Some(deed == Deed::Lock) {
                return Ok(How::ReadBack);
            }
            self.node.pause(BOLT_PAUSE).await;
        }
        Err(Finding::Denied)
    }

    /// Empties a slot whose digits are not shown, and sees it empty.
    async fn empty(&mut self, slot: Slot) -> Told<()> {
        let said = self.erase(slot).await?;
        match (self.look(slot).await?, said) {
            (Held::Empty, _) => Ok(()),
            (_, Said::No(objection)) => Err(Finding::Refused(objection)),
            (_, Said::Yes) => Err(Finding::Denied),
        }
    }

    /// Digits that stand in another slot are somebody else's: a code of ours keeps its slot for life.
    async fn refuse_twice(&mut self, slot: Slot, pin: &Pin) -> Told<()> {
        let elsewhere = self.node.remembered(pin).await.map_err(|f| self.finding(f))?;
        for other in elsewhere.into_iter().filter(|other| *other != slot) {
            let held = self.look(other).await?;
            if matches!(held, Held::Digits { pin: there, .. } if there == *pin) {
                return Err(Finding::Refused(Objection::Duplicate));
            }
        }
        Ok(())
    }

    /// Whether another slot shows these digits.
    async fn stands_elsewhere(&mut self, slot: Slot, pin: &Pin) -> Told<bool> {
        for other in self.lock.slots().filter(|other| *other != slot) {
            match self.look(other).await? {
                Held::Digits { pin: there, .. } if there == *pin => return Ok(true),
                // It shows none.
                Held::Hidden => return Ok(false),
                Held::Digits { .. } | Held::Empty => {}
            }
        }
        Ok(false)
    }

    async fn look(&mut self, slot: Slot) -> Told<Held> {
        let held = self.node.look(slot).await.map_err(|f| self.finding(f))?;
        self.masked |= held == Held::Hidden;
        Ok(held)
    }

    async fn write(&mut self, slot: Slot, pin: &Pin, over: bool) -> Told<Said> {
        self.changed = true;
        let said = self.node.write(slot, pin, over).await;
        said.map_err(|f| self.finding(f))
    }

    async fn erase(&mut self, slot: Slot) -> Told<Said> {
        self.changed = true;
        self.node.erase(slot).await.map_err(|f| self.finding(f))
    }

    fn finding(&self, failed: Failed) -> Finding {
        match (failed, self.changed) {
            (Failed::Silent, _) => Finding::Unanswered,
            (Failed::Refused(objection), _) => Finding::Refused(objection),
            (Failed::Away, true) => Finding::Cut,
            (Failed::Away, false) => Finding::Untried,
        }
    }
}

/// Whether a slot holds a code of ours that goes by one of these digits; never asked, there is none.
fn is_ours(held: &Held, pins: &[Pin]) -> bool {
    match held {
        Held::Empty => false,
        Held::Digits { pin, .. } => pins.contains(pin),
        Held::Hidden => !pins.is_empty(),
    }
}

#[cfg(test)]
mod tests;
