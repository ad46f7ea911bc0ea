//! What must not be seen: keys and security PINs. Nothing of them is printed; they are wiped when dropped.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::link::Model;

/// The key that a lock and its app share since their pairing.
#[derive(Clone)]
pub struct SharedKey(Zeroizing<[u8; 32]>);

impl SharedKey {
    /// Takes a key into custody.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> SharedKey {
        SharedKey(Zeroizing::new(bytes))
    }

    /// The key, in the clear: for ciphers, and for the sealed store.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for SharedKey {
    fn eq(&self, other: &SharedKey) -> bool {
        self.0.ct_eq(&*other.0).into()
    }
}

impl Eq for SharedKey {}

impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedKey(hidden)")
    }
}

/// The security PIN of a lock, without which it neither shows nor changes its codes. Its width on the wire
/// depends on the model.
#[derive(Clone)]
pub struct SecurityPin {
    model: Model,
    number: Zeroizing<u32>,
}

impl SecurityPin {
    /// The PIN of a model as its owner knows it: four digits, six on an Ultra; `None` for anything else. A lock
    /// of the first generations on which none was set takes `0000`.
    #[must_use]
    pub fn parse(model: Model, digits: &str) -> Option<SecurityPin> {
        let length = match model {
            Model::Classic => 4,
            Model::Ultra => 6,
        };
        let fits = digits.len() == length && digits.bytes().all(|digit| digit.is_ascii_digit());
        let number = Zeroizing::new(digits.parse().ok().filter(|_| fits)?);
        Some(SecurityPin { model, number })
    }

    /// Whose it is.
    #[must_use]
    pub fn model(&self) -> Model {
        self.model
    }

    /// Its digits, in the clear: for the sealed store alone.
    #[must_use]
    pub fn digits(&self) -> Zeroizing<String> {
        Zeroizing::new(match self.model {
            Model::Classic => format!("{:04}", *self.number),
            Model::Ultra => format!("{:06}", *self.number),
        })
    }

    /// The PIN as it goes to the lock: two bytes, four on an Ultra.
    pub(super) fn expose(&self) -> Zeroizing<Vec<u8>> {
        let all = Zeroizing::new(self.number.to_le_bytes());
        Zeroizing::new(match self.model {
            Model::Classic => all[..2].to_vec(),
            Model::Ultra => all.to_vec(),
        })
    }
}

impl fmt::Debug for SecurityPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecurityPin(hidden)")
    }
}

/// What may be done with the security PIN of a lock.
pub(super) enum PinState {
    /// Nobody knows that it is wrong.
    Usable(SecurityPin),
    /// The lock takes none for a while, after too many wrong ones.
    LockedOut(SecurityPin),
    /// The lock refused it: it must not be tried again.
    Refused,
}

impl PinState {
    /// It, if it may be used.
    pub fn usable(&self) -> Option<&SecurityPin> {
        match self {
            PinState::Usable(pin) => Some(pin),
            PinState::LockedOut(_) | PinState::Refused => None,
        }
    }

    /// The lock takes none for a while.
    pub fn lock_out(&mut self) {
        *self = match std::mem::replace(self, PinState::Refused) {
            PinState::Usable(pin) => PinState::LockedOut(pin),
            other => other,
        };
    }

    /// That while is over.
    pub fn let_in(&mut self) {
        *self = match std::mem::replace(self, PinState::Refused) {
            PinState::LockedOut(pin) => PinState::Usable(pin),
            other => other,
        };
    }
}

/// What a pairing leaves behind, and every later talk with the lock needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The generation of the lock, which decides the form of messages.
    pub model: Model,
    /// Under which number the lock knows us.
    pub authorization: u32,
    /// The key that it shares with that number.
    pub key: SharedKey,
    /// The number that this gateway gave itself when it paired.
    pub app_id: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let pin = SecurityPin::parse(Model::Ultra, "271828").unwrap();
        let credentials = Credentials {
            model: Model::Ultra,
            authorization: 3,
            key: SharedKey::new([0x5a; 32]),
            app_id: 9,
        };
        let shown = format!("{pin:?} {credentials:?}");
        assert!(
            shown.contains("SecurityPin(hidden)") && shown.contains("SharedKey(hidden)"),
            "{shown}"
        );
        assert!(!shown.contains("271828") && !shown.contains("90"), "{shown}");
    }

    #[test]
    fn a_pin_has_the_digits_of_its_model() {
        for (model, digits) in [
            (Model::Classic, "123456"),
            (Model::Ultra, "1234"),
            (Model::Classic, "12x4"),
            (Model::Classic, "+123"),
            (Model::Ultra, ""),
        ] {
            assert!(SecurityPin::parse(model, digits).is_none(), "{digits:?}");
        }
        let pin = SecurityPin::parse(Model::Classic, "1234").unwrap();
        assert_eq!(**pin.expose(), [0xd2, 0x04]);
        let zeros = SecurityPin::parse(Model::Classic, "0007").unwrap();
        assert_eq!(*zeros.digits(), "0007");
    }
}
