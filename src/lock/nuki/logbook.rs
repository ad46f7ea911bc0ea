//! How a lock's logbook is read on: what is asked next, and what an answer means. Pure.
//!
//! Its newest entry is looked at first. If it is not the one that was read last, those in between are asked for page by page,
//! the oldest first: wherever that breaks off, what came is kept, and the next visit goes on from there. Each page begins with
//! the entry that was read last, so that whatever is written down meanwhile shifts nothing.

use super::message::{LogbookEntry, LogbookRange};
use crate::model::Bookmark;

/// Entries that are asked for at once, so that no answer is long.
const PAGE: u16 = 10;
/// Most that are read in one visit. The next goes on.
const MOST: usize = 200;

/// A logbook, as it is being read on from a bookmark.
pub(super) struct Reading {
    read: Bookmark,
    /// Oldest first.
    entries: Vec<LogbookEntry>,
    next: Next,
}

/// What is to be looked at next.
enum Next {
    /// Its newest entry.
    Newest,
    /// Those after the bookmark, as far as this number.
    On(u32),
    /// The same, from the oldest on: at the bookmark there is nothing any more.
    Oldest(u32),
    /// Enough for one visit.
    Rest,
    /// Nothing.
    End,
}

impl Reading {
    /// Before anything was asked.
    pub fn on(from: Bookmark) -> Reading {
        Reading {
            read: from,
            entries: Vec::new(),
            next: Next::Newest,
        }
    }

    /// What to ask next; `None` if nothing.
    pub fn ask(&self) -> Option<LogbookRange> {
        let oldest_first = |from, count| LogbookRange {
            from,
            count,
            newest_first: false,
        };
        match (&self.next, self.read) {
            (Next::Newest, _) => Some(LogbookRange {
                from: 0,
                count: 1,
                newest_first: true,
            }),
            (Next::On(newest), Bookmark::At(read)) => {
                // So that no lock has to say that there are no more.
                let due = u16::try_from(newest.saturating_sub(read)).unwrap_or(PAGE);
                Some(oldest_first(read, due.saturating_add(1).min(PAGE)))
            }
            (Next::On(_) | Next::Oldest(_), _) => Some(oldest_first(0, PAGE)),
            (Next::Rest | Next::End, _) => None,
        }
    }

    /// What was asked for.
    pub fn hear(&mut self, mut told: Vec<LogbookEntry>) {
        let newest = match self.next {
            Next::Newest => return self.look_at(told.pop()),
            Next::On(newest) | Next::Oldest(newest) => newest,
            Next::Rest | Next::End => return,
        };
        told.retain(|entry| entry.number <= newest && !self.has_read(entry.number));
        told.sort_by_key(|entry| entry.number);
        told.dedup_by_key(|entry| entry.number);
        match (told.first(), &self.next) {
            (Some(first), _) => self.note_gap(first.number),
            (None, Next::On(_)) => {
                self.next = Next::Oldest(newest);
                return;
            }
            (None, _) => {
                self.note_gap(newest.saturating_add(1));
                self.read = Bookmark::At(newest);
            }
        }
        told.into_iter().for_each(|entry| self.keep(entry));
        self.next = match self.read {
            Bookmark::At(read) if read == newest => Next::End,
            _ if self.entries.len() >= MOST => Next::Rest,
            _ => Next::On(newest),
        };
    }

    /// The lock says no, and would again: to a page, since there is none that begins so.
    pub fn refuse(&mut self) {
        match self.next {
            Next::On(_) | Next::Oldest(_) => self.hear(Vec::new()),
            Next::Newest | Next::Rest | Next::End => {}
        }
    }

    /// Whether all of it is read.
    pub fn is_over(&self) -> bool {
        matches!(self.next, Next::End)
    }

    /// How far it is read, and what was not read before, the oldest first; `None` if the lock said nothing.
    pub fn told(self) -> Option<(Bookmark, Vec<LogbookEntry>)> {
        (!matches!(self.next, Next::Newest)).then_some((self.read, self.entries))
    }

    fn look_at(&mut self, newest: Option<LogbookEntry>) {
        self.next = Next::End;
        match (newest, self.read) {
            (None, _) => self.read = Bookmark::Empty,
            (Some(newest), Bookmark::Unread) => self.read = Bookmark::At(newest.number),
            (Some(newest), Bookmark::At(read)) if newest.number == read => {}
            (Some(newest), Bookmark::At(read)) if newest.number.checked_sub(1) == Some(read) => {
                self.keep(newest);
            }
            (Some(newest), read) => {
                if matches!(read, Bookmark::At(read) if newest.number < read) {
                    // It was emptied, and began anew.
                    self.read = Bookmark::Empty;
                }
                self.next = Next::On(newest.number);
            }
        }
    }

    fn keep(&mut self, entry: LogbookEntry) {
        self.read = Bookmark::At(entry.number);
        self.entries.push(entry);
    }

    fn has_read(&self, number: u32) -> bool {
        matches!(self.read, Bookmark::At(read) if number <= read)
    }

    /// Said once, for the bookmark goes past it.
    fn note_gap(&self, goes_on_with: u32) {
        if let Bookmark::At(read) = self.read
            && read.saturating_add(1) < goes_on_with
        {
            tracing::warn!(
                after = read,
                before = goes_on_with,
                "entries of a lock's logbook are not there any more: who opened then is told to nobody"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::nuki::Date;
    use crate::lock::nuki::message::Happened;

    fn entry(number: u32) -> LogbookEntry {
        LogbookEntry {
            number,
            at: Date::NONE,
            what: Happened::Other(2),
        }
    }

    /// Reads a logbook that holds these numbers: what is asked, and what is read.
    fn read(from: Bookmark, mut book: Vec<u32>, mut meanwhile: impl FnMut(&mut Vec<u32>)) -> Read {
        let mut reading = Reading::on(from);
        let mut asked = Vec::new();
        while let Some(range) = reading.ask() {
            asked.push((range.from, range.count));
            let numbers = book.iter().copied();
            let count = usize::from(range.count);
            reading.hear(match range.newest_first {
                true => numbers.rev().take(count).map(entry).collect(),
                false => numbers
                    .filter(|number| *number >= range.from)
                    .take(count)
                    .map(entry)
                    .collect(),
            });
            meanwhile(&mut book);
        }
        let over = reading.is_over();
        let (read, entries) = reading.told().unwrap();
        let numbers = entries.iter().map(|entry| entry.number).collect();
        Read {
            asked,
            numbers,
            read,
            over,
        }
    }

    struct Read {
        asked: Vec<(u32, u16)>,
        numbers: Vec<u32>,
        read: Bookmark,
        over: bool,
    }

    #[test]
    fn it_is_read_on_page_by_page_from_what_was_read() {
        for (from, book, asked, numbers) in [
            (Bookmark::At(8), 0..9, vec![(0, 1)], vec![]),
            (Bookmark::At(8), 0..10, vec![(0, 1)], vec![9]),
            (Bookmark::At(8), 0..11, vec![(0, 1), (8, 3)], vec![9, 10]),
            (Bookmark::At(0), 0..2, vec![(0, 1)], vec![1]),
            (
                Bookmark::At(8),
                0..21,
                vec![(0, 1), (8, 10), (17, 4)],
                (9..21).collect(),
            ),
            (Bookmark::Empty, 0..2, vec![(0, 1), (0, 10)], vec![0, 1]),
            // Of before our time.
            (Bookmark::Unread, 0..9, vec![(0, 1)], vec![]),
        ] {
            let newest = book.end - 1;
            let read = read(from, book.collect(), |_| {});
            assert_eq!((read.asked, read.numbers), (asked, numbers), "{from:?} {newest}");
            assert_eq!((read.read, read.over), (Bookmark::At(newest), true));
        }
    }

    #[test]
    fn what_is_written_down_meanwhile_is_read_the_next_time() {
        let goes_on = |book: &mut Vec<u32>| book.push(book.last().unwrap() + 1);
        let first = read(Bookmark::At(8), (0..11).collect(), goes_on);
        assert_eq!((first.numbers, first.read), (vec![9, 10], Bookmark::At(10)));
        let second = read(first.read, (0..13).collect(), goes_on);
        assert_eq!((second.numbers, second.read), (vec![11, 12], Bookmark::At(12)));
    }

    #[test]
    fn an_empty_one_is_told_from_one_that_was_never_read() {
        for from in [Bookmark::Unread, Bookmark::Empty, Bookmark::At(8)] {
            let read = read(from, Vec::new(), |_| {});
            assert_eq!(
                (read.read, read.over, read.asked.len()),
                (Bookmark::Empty, true, 1)
            );
        }
        // It was emptied, and went on.
        let read = read(Bookmark::At(8), (0..3).collect(), |_| {});
        assert_eq!((read.numbers, read.read), (vec![0, 1, 2], Bookmark::At(2)));
    }

    #[test]
    fn a_long_one_is_read_in_several_visits() {
        let first = read(Bookmark::At(8), (0..500).collect(), |_| {});
        assert!(!first.over && (MOST..MOST + usize::from(PAGE)).contains(&first.numbers.len()));
        let mut all = first.numbers;
        let mut at = first.read;
        for _ in 0..2 {
            let next = read(at, (0..500).collect(), |_| {});
            all.extend(next.numbers);
            at = next.read;
        }
        assert_eq!((all, at), ((9..500).collect(), Bookmark::At(499)));
    }

    #[test]
    fn what_is_not_there_any_more_holds_nothing_up() {
        let read = read(Bookmark::At(8), (30..33).collect(), |_| {});
        assert_eq!((read.numbers, read.read), (vec![30, 31, 32], Bookmark::At(32)));
        // A lock that does not do pages.
        let mut reading = Reading::on(Bookmark::At(8));
        reading.hear(vec![entry(32)]);
        reading.refuse();
        assert!(!reading.is_over());
        reading.hear(vec![entry(1), entry(2)]);
        assert!(reading.is_over() && reading.told() == Some((Bookmark::At(32), Vec::new())));
    }

    #[test]
    fn a_page_that_ends_too_soon_is_asked_for_again() {
        let mut reading = Reading::on(Bookmark::At(8));
        reading.hear(vec![entry(11)]);
        reading.hear(vec![entry(8), entry(9)]);
        assert!(!reading.is_over());
        assert_eq!(reading.ask().map(|range| range.from), Some(9));
        // Broken off here, what came is kept.
        assert_eq!(reading.told(), Some((Bookmark::At(9), vec![entry(9)])));
    }
}
