//! What a lock can do, as far as access codes go.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::id::Slot;
use super::pin::Pin;

/// What a device's lock takes, holds and tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Numbers of digits that it takes.
    pub lengths: BTreeSet<u8>,
    /// Digits that its keypad has, or that it takes.
    pub alphabet: Alphabet,
    /// Beginnings that it refuses.
    pub forbidden_prefixes: Vec<String>,
    /// Shapes that it refuses.
    pub forbidden_patterns: BTreeSet<Pattern>,
    /// How many codes it holds, unmanaged ones included.
    pub capacity: u16,
    /// Slots that are left alone, such as that of a master code. They do not count in `capacity`.
    #[serde(default)]
    pub reserved: BTreeSet<Slot>,
    /// Why it takes no codes at all, if that is so.
    #[serde(default)]
    pub closed: Option<Closed>,
    /// Longest name that it stores with a code, in bytes of UTF-8; 0 if it stores none.
    pub name_limit: u16,
    /// What a read of its table shows.
    pub read_back: ReadBack,
    /// Whether it enforces a window itself.
    pub window: NativeWindow,
    /// Whether its bolt can be moved by radio.
    pub door: bool,
    /// Who chooses the place of a code.
    pub addressing: Addressing,
    /// Whether several steps fit into one exchange.
    pub batch: bool,
    /// How long one step may take before the lock counts as silent.
    pub patience: Duration,
}

/// Digits that a lock takes: bit n stands for digit n.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Alphabet(u16);

impl Alphabet {
    /// 0 to 9.
    pub const DIGITS: Alphabet = Alphabet(0b11_1111_1111);
    /// 1 to 9.
    pub const NO_ZERO: Alphabet = Alphabet(0b11_1111_1110);

    /// The digits of a text; `None` if it holds anything else, or nothing.
    #[must_use]
    pub fn parse(digits: &str) -> Option<Alphabet> {
        let mut bits = 0;
        for b in digits.bytes() {
            if !b.is_ascii_digit() {
                return None;
            }
            bits |= 1 << (b - b'0');
        }
        (bits != 0).then_some(Alphabet(bits))
    }

    /// Whether it holds a digit (as an ASCII byte).
    #[must_use]
    pub fn holds(self, digit: u8) -> bool {
        digit.is_ascii_digit() && self.0 & (1 << (digit - b'0')) != 0
    }

    /// The digits that both hold.
    #[must_use]
    pub fn both(self, other: Alphabet) -> Alphabet {
        Alphabet(self.0 & other.0)
    }

    /// Its digits as ASCII bytes, ascending.
    #[must_use]
    pub fn digits(self) -> Vec<u8> {
        (b'0'..=b'9').filter(|d| self.holds(*d)).collect()
    }
}

/// A shape of digits that some locks refuse (names as in Seam's `code_constraints`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// All digits alike: `no_all_same_digits`.
    AllSame,
    /// A straight run up or down: `no_ascending_or_descending_sequence`.
    Run,
    /// Three equal or consecutive digits in a row: `no_triple_consecutive_ints`.
    Triple,
    /// Fewer than three different digits: `at_least_three_unique_digits`.
    FewUnique,
}

impl Pattern {
    /// Whether a PIN has this shape.
    #[must_use]
    pub fn fits(self, digits: &[u8]) -> bool {
        let steps = |n: usize| digits.windows(n);
        let step = |w: &[u8]| i16::from(w[1]) - i16::from(w[0]);
        match self {
            Pattern::AllSame => steps(2).all(|w| step(w) == 0),
            Pattern::Run => {
                digits.len() > 1 && (steps(2).all(|w| step(w) == 1) || steps(2).all(|w| step(w) == -1))
            }
            Pattern::Triple => steps(3).any(|w| {
                let (a, b) = (step(&w[..2]), step(&w[1..]));
                a == b && (-1..=1).contains(&a)
            }),
            Pattern::FewUnique => digits.iter().collect::<BTreeSet<_>>().len() < 3,
        }
    }
}

/// What a read of a lock's table shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadBack {
    /// The digits of every code.
    Full,
    /// Which slots are in use, not their digits.
    Masked,
    /// Nothing; the lock can only be written.
    None,
}

/// Whether a lock enforces a window itself, and how finely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NativeWindow {
    /// It knows no time: the gateway sets and removes.
    None,
    /// Whole minutes.
    Minutes,
    /// Whole seconds.
    Seconds,
}

/// Who chooses where a code stands in the lock's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Addressing {
    /// The gateway: a code keeps its slot for life.
    Chosen,
    /// The lock; a code is found again by its digits.
    GivenByLock,
}

/// Why a lock takes no codes at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closed {
    /// Its radio has not yet found out what it can do.
    NotInterviewed,
    /// The program that serves its radio is too old to speak of its codes.
    OldServer,
    /// It was joined without encryption, so that PINs would go through the air in the clear.
    Unsecured,
    /// It has no keypad that could be told of codes.
    NoCodes,
}

/// Why a PIN does not suit a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsuitable {
    /// It takes other lengths.
    Length,
    /// It does not have one of the digits.
    Digit,
    /// It refuses this beginning.
    Prefix,
    /// It refuses this shape.
    Shape(Pattern),
}

impl Capabilities {
    /// The slots in which codes may stand, as many as it holds codes.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        let all = (1..=u16::MAX).map(Slot);
        all.filter(|slot| !self.reserved.contains(slot))
            .take(usize::from(self.capacity))
    }

    /// Whether what the lock can do is still to be found out.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self.closed, Some(Closed::NotInterviewed | Closed::OldServer))
    }

    /// Whether the lock takes a PIN.
    ///
    /// # Errors
    /// The first rule that the PIN breaks.
    pub fn takes(&self, pin: &Pin) -> Result<(), Unsuitable> {
        if !self.lengths.contains(&pin.length()) {
            return Err(Unsuitable::Length);
        }
        self.takes_digits(pin.expose().as_bytes())
    }

    /// Whether the lock takes these digits, whatever their number.
    ///
    /// # Errors
    /// The first rule that the digits break.
    pub fn takes_digits(&self, digits: &[u8]) -> Result<(), Unsuitable> {
        if !digits.iter().all(|d| self.alphabet.holds(*d)) {
            return Err(Unsuitable::Digit);
        }
        if self
            .forbidden_prefixes
            .iter()
            .any(|p| digits.starts_with(p.as_bytes()))
        {
            return Err(Unsuitable::Prefix);
        }
        match self.forbidden_patterns.iter().find(|p| p.fits(digits)) {
            Some(shape) => Err(Unsuitable::Shape(*shape)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        assert!(Pattern::AllSame.fits(b"7777") && !Pattern::AllSame.fits(b"7767"));
        assert!(Pattern::Run.fits(b"3456") && Pattern::Run.fits(b"9876") && !Pattern::Run.fits(b"3457"));
        assert!(
            Pattern::Triple.fits(b"91239") && Pattern::Triple.fits(b"0555") && !Pattern::Triple.fits(b"1357")
        );
        assert!(Pattern::FewUnique.fits(b"1212") && !Pattern::FewUnique.fits(b"1213"));
    }

    #[test]
    fn alphabet_is_digits_only() {
        assert_eq!(Alphabet::parse("123456789"), Some(Alphabet::NO_ZERO));
        assert_eq!(Alphabet::parse("12x"), None);
        assert_eq!(Alphabet::NO_ZERO.digits(), b"123456789");
    }
}
