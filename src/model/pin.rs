//! A PIN, in a type that cannot be printed (I8).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::{Zeroize, Zeroizing};

/// The digits of an access code, 1 to 16 of them. Wiped when dropped; `Debug` shows no digit.
///
/// Serialisation exists for the sealed trees of the store only. What goes to a caller or a lock
/// says [`Pin::expose`], so that every way out can be found by that name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pin {
    length: u8,
    digits: [u8; LONGEST],
}

/// Longest PIN of any lock that we know of.
const LONGEST: usize = 16;

impl Pin {
    /// A PIN of digits; `None` for anything else.
    #[must_use]
    pub fn parse(digits: &str) -> Option<Pin> {
        Pin::from_digits(digits.as_bytes())
    }

    /// A PIN of ASCII digits; `None` for anything else.
    #[must_use]
    pub fn from_digits(ascii: &[u8]) -> Option<Pin> {
        if ascii.is_empty() || !ascii.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let mut pin = Pin {
            length: u8::try_from(ascii.len()).ok()?,
            digits: [0; LONGEST],
        };
        pin.digits.get_mut(..ascii.len())?.copy_from_slice(ascii);
        Some(pin)
    }

    /// The digits, in the clear: for a lock, and for a caller who may see PINs.
    #[must_use]
    pub fn expose(&self) -> &str {
        let digits = self.digits.get(..usize::from(self.length)).unwrap_or_default();
        std::str::from_utf8(digits).unwrap_or_default()
    }

    /// How many digits.
    #[must_use]
    pub fn length(&self) -> u8 {
        self.length
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.digits.zeroize();
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(hidden)")
    }
}

impl Serialize for Pin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for Pin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pin, D::Error> {
        let digits = Zeroizing::new(String::deserialize(deserializer)?);
        Pin::parse(&digits).ok_or_else(|| serde::de::Error::custom("not a PIN"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_digit() {
        let pin = Pin::parse("271828").map(|pin| format!("{pin:?}"));
        assert_eq!(pin.as_deref(), Some("Pin(hidden)"));
    }

    #[test]
    fn only_digits_make_a_pin() {
        for bad in ["", "12a4", "１２３４", "12345678901234567", "-123", " 123"] {
            assert!(Pin::parse(bad).is_none(), "{bad:?}");
        }
    }
}
