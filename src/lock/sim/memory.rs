//! The lock's own table, and the rules that the lock itself keeps.

use serde::{Deserialize, Serialize};

use crate::model::{
    Capabilities, Content, Entry, NativeWindow, Objection, Pin, ReadBack, Slot, Timestamp, Window,
};

/// What the lock remembers without power. Ascending by slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Memory {
    rows: Vec<Row>,
}

/// One code in the lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Where it stands.
    pub slot: Slot,
    /// Its digits.
    pub pin: Pin,
    /// Its name, cut to what the lock stores.
    pub name: Option<String>,
    /// When it opens.
    pub window: Window,
    /// When the lock will lose it, by its own clock: a fault.
    #[serde(default)]
    pub drops_at: Option<Timestamp>,
}

/// A change at the lock itself, past the gateway.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum ByHand {
    /// A new code, in the first free slot unless one is named.
    Add {
        /// Where.
        slot: Option<Slot>,
        /// Its digits.
        code: Pin,
    },
    /// Other digits in a slot that is in use.
    Change {
        /// Where.
        slot: Slot,
        /// The new digits.
        code: Pin,
    },
    /// A code is taken away, named by its slot or its digits.
    Remove {
        /// Where.
        slot: Option<Slot>,
        /// Its digits.
        code: Option<Pin>,
    },
}

impl Memory {
    /// The codes, ascending by slot.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The table as a read shows it.
    #[must_use]
    pub fn entries(&self, read_back: ReadBack) -> Vec<Entry> {
        let entry = |row: &Row| match read_back {
            ReadBack::Full => Entry {
                slot: row.slot,
                pin: Some(row.pin.clone()),
                name: row.name.clone(),
                window: row.window,
            },
            ReadBack::Masked | ReadBack::None => Entry {
                slot: row.slot,
                pin: None,
                name: None,
                window: Window::Ongoing,
            },
        };
        self.rows.iter().map(entry).collect()
    }

    /// Stores a code as the lock would: at a place, over whatever stands there, or at the first
    /// free place. Name and window become what the lock can hold of them.
    pub(super) fn store(
        &mut self,
        rules: &Capabilities,
        place: Option<Slot>,
        content: &Content,
    ) -> Result<Slot, Objection> {
        rules.takes(&content.pin).map_err(|_| Objection::Other)?;
        let window = rounded(content.window, rules.window).ok_or(Objection::Other)?;
        let slot = match place {
            Some(slot) => slot,
            None => self.first_free(rules.capacity).ok_or(Objection::Full)?,
        };
        if slot.0 == 0 {
            return Err(Objection::Other);
        }
        let known = self.at(slot).is_some();
        if slot.0 > rules.capacity || (!known && self.rows.len() >= usize::from(rules.capacity)) {
            return Err(Objection::Full);
        }
        if self
            .rows
            .iter()
            .any(|row| row.slot != slot && row.pin == content.pin)
        {
            return Err(Objection::Duplicate);
        }
        self.erase(slot);
        let row = Row {
            slot,
            pin: content.pin.clone(),
            name: cut(content.name.as_deref(), rules.name_limit),
            window,
            drops_at: None,
        };
        let after = self.rows.partition_point(|row| row.slot < slot);
        self.rows.insert(after, row);
        Ok(slot)
    }

    /// Takes away what stands in a slot, if anything does.
    pub(super) fn erase(&mut self, slot: Slot) {
        self.rows.retain(|row| row.slot != slot);
    }

    /// Lets a code get lost at a time to come.
    pub(super) fn doom(&mut self, slot: Slot, at: Timestamp) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.slot == slot) {
            row.drops_at = Some(at);
        }
    }

    /// Loses the codes whose time to get lost has come.
    pub(super) fn pass(&mut self, now: Timestamp) {
        self.rows.retain(|row| row.drops_at.is_none_or(|at| at > now));
    }

    /// The code in a slot.
    #[must_use]
    pub fn at(&self, slot: Slot) -> Option<&Row> {
        self.rows.iter().find(|row| row.slot == slot)
    }

    /// The code with these digits.
    #[must_use]
    pub fn with(&self, pin: &Pin) -> Option<&Row> {
        self.rows.iter().find(|row| row.pin == *pin)
    }

    fn first_free(&self, capacity: u16) -> Option<Slot> {
        (1..=capacity).map(Slot).find(|slot| self.at(*slot).is_none())
    }
}

/// A window as the lock can keep it; `None` if nothing is left of it.
fn rounded(window: Window, native: NativeWindow) -> Option<Window> {
    let floor = match native {
        NativeWindow::None => return Some(Window::Ongoing),
        NativeWindow::Minutes => Timestamp::floor_minute,
        NativeWindow::Seconds => Timestamp::floor_second,
    };
    match window {
        Window::Ongoing => Some(Window::Ongoing),
        Window::Bound { starts_at, ends_at } => Window::between(floor(starts_at), floor(ends_at)),
    }
}

/// A name as the lock can keep it: whole characters, at most so many bytes.
fn cut(name: Option<&str>, limit: u16) -> Option<String> {
    let name = name.filter(|_| limit > 0)?;
    let mut end = name.len().min(usize::from(limit));
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::sim::Setup;

    fn content(pin: &str, name: &str, window: Window) -> Content {
        Content {
            pin: Pin::parse(pin).unwrap(),
            name: Some(name.to_owned()),
            window,
        }
    }

    #[test]
    fn name_and_window_become_what_the_lock_can_hold() {
        let rules = Setup::profile("keypad-6").unwrap().capabilities;
        let window = Window::between(Timestamp(61_999), Timestamp(182_500)).unwrap();
        let mut memory = Memory::default();
        let slot = memory
            .store(&rules, None, &content("739185", "Familie Müller-Lüde", window))
            .unwrap();
        let row = memory.at(slot).unwrap();
        // 21 bytes: one more than fits, and the cut may not fall into a letter.
        assert_eq!(row.name.as_deref(), Some("Familie Müller-Lüd"));
        assert_eq!(
            row.window,
            Window::between(Timestamp(61_000), Timestamp(182_000)).unwrap()
        );
        assert_eq!(
            rounded(window, NativeWindow::Minutes),
            Window::between(Timestamp(60_000), Timestamp(180_000))
        );
        assert_eq!(rounded(window, NativeWindow::None), Some(Window::Ongoing));
        let instant = Window::between(Timestamp(1_100), Timestamp(1_900)).unwrap();
        assert_eq!(rounded(instant, NativeWindow::Seconds), None);
    }

    #[test]
    fn a_chosen_slot_is_overwritten_and_a_lock_that_chooses_takes_the_first_free() {
        let rules = Setup::profile("slots").unwrap().capabilities;
        let mut memory = Memory::default();
        for pin in ["4711", "0815"] {
            let stored = memory.store(&rules, Some(Slot(7)), &content(pin, "", Window::Ongoing));
            assert_eq!(stored, Ok(Slot(7)));
        }
        assert_eq!(memory.rows().len(), 1);
        assert_eq!(
            memory.store(&rules, None, &content("4711", "", Window::Ongoing)),
            Ok(Slot(1))
        );
        let twice = memory.store(&rules, Some(Slot(2)), &content("4711", "", Window::Ongoing));
        assert_eq!(twice, Err(Objection::Duplicate));
        let beyond = memory.store(&rules, Some(Slot(31)), &content("2222", "", Window::Ongoing));
        assert_eq!(beyond, Err(Objection::Full));
    }
}
