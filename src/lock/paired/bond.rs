//! What a pairing left behind, and how it is kept.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::air::LINK_WITHIN;
use crate::lock::ble::{self, Address};
use crate::lock::nuki::{self, Credentials, Model, SecurityPin, SharedKey};
use crate::model::{Capabilities, Closed, Credential, ReadBack};

/// All that is known of a paired lock.
#[derive(Clone)]
pub(super) struct Bond {
    pub address: Address,
    pub credentials: Credentials,
    /// `None` once the lock refused it.
    pub pin: Option<SecurityPin>,
    pub name: String,
    /// The operator gave it that name: the one in its app does not count.
    pub named: bool,
    /// It has a keypad that codes could be typed at.
    pub keypad: bool,
    /// What let us in before, until the lock was seen to count on this one.
    pub before: Option<Box<Bond>>,
    /// An earlier pairing of ours may stand among its users, too.
    pub twice: bool,
}

/// The same, as it is stored. Names of fields are part of the format.
#[derive(Serialize, Deserialize)]
struct Stored {
    address: [u8; 6],
    ultra: bool,
    authorization: u32,
    key: [u8; 32],
    app_id: u32,
    pin: Option<Zeroed>,
    name: String,
    #[serde(default)]
    named: bool,
    keypad: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Box<Stored>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    twice: bool,
}

/// A text that is wiped.
#[derive(Serialize, Deserialize)]
struct Zeroed(String);

impl Drop for Zeroed {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl Stored {
    fn of(bond: &Bond) -> Stored {
        Stored {
            address: bond.address.0,
            ultra: bond.credentials.model == Model::Ultra,
            authorization: bond.credentials.authorization,
            key: *bond.credentials.key.expose(),
            app_id: bond.credentials.app_id,
            pin: bond.pin.as_ref().map(|pin| Zeroed(pin.digits().to_string())),
            name: bond.name.clone(),
            named: bond.named,
            keypad: bond.keypad,
            before: bond.before.as_deref().map(|before| Box::new(Stored::of(before))),
            twice: bond.twice,
        }
    }

    fn bond(&self) -> Option<Bond> {
        let model = match self.ultra {
            true => Model::Ultra,
            false => Model::Classic,
        };
        Some(Bond {
            address: Address(self.address),
            credentials: Credentials {
                model,
                authorization: self.authorization,
                key: SharedKey::new(self.key),
                app_id: self.app_id,
            },
            pin: match &self.pin {
                Some(pin) => Some(SecurityPin::parse(model, &pin.0)?),
                None => None,
            },
            name: self.name.clone(),
            named: self.named,
            keypad: self.keypad,
            before: match &self.before {
                Some(before) => Some(Box::new(before.bond()?)),
                None => None,
            },
            twice: self.twice,
        })
    }
}

impl Bond {
    /// What is known of a lock that was just paired, and not yet looked at.
    pub fn new(address: Address, credentials: Credentials, pin: SecurityPin, named: Option<&str>) -> Bond {
        Bond {
            address,
            credentials,
            pin: Some(pin),
            name: named.map_or_else(|| format!("Nuki {address}"), str::to_owned),
            named: named.is_some(),
            keypad: true,
            before: None,
            twice: false,
        }
    }

    /// For the store, which seals it.
    ///
    /// # Errors
    /// It cannot be written down.
    pub fn seal(&self) -> Result<Credential, rmp_serde::encode::Error> {
        let bytes = Zeroizing::new(rmp_serde::to_vec_named(&Stored::of(self))?);
        Ok(Credential::new(bytes.to_vec()))
    }

    /// What was kept; `None` if it cannot be understood.
    pub fn open(credential: &Credential) -> Option<Bond> {
        let stored: Stored = rmp_serde::from_slice(credential.expose()).ok()?;
        stored.bond()
    }

    /// What the lock takes, holds and tells.
    pub fn capabilities(&self) -> Capabilities {
        let lock = nuki::capabilities();
        Capabilities {
            closed: (!self.keypad).then_some(Closed::NoCodes),
            read_back: match self.keypad {
                true => lock.read_back,
                false => ReadBack::None,
            },
            // A lock waits for others first, and is looked at in the end.
            patience: ble::TURN_WITHIN + LINK_WITHIN + lock.patience + nuki::LOOKS_WITHIN,
            ..lock
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again_and_noise_is_not() {
        let address = Address([1, 2, 3, 4, 5, 6]);
        for (model, digits) in [(Model::Classic, "0042"), (Model::Ultra, "271828")] {
            for pin in [SecurityPin::parse(model, digits), None] {
                let with = |key| Credentials {
                    model,
                    authorization: 9,
                    key: SharedKey::new([key; 32]),
                    app_id: 77,
                };
                let parsed = SecurityPin::parse(model, digits).unwrap();
                let before = Bond::new(address, with(6), parsed.clone(), None);
                let bond = Bond {
                    pin,
                    before: Some(Box::new(before)),
                    twice: true,
                    ..Bond::new(address, with(7), parsed, Some("Haustür"))
                };
                let again = Bond::open(&bond.seal().unwrap()).unwrap();
                assert_eq!((again.address, again.name.as_str()), (address, "Haustür"));
                assert!(again.named && again.keypad && again.twice);
                assert_eq!(again.credentials, bond.credentials);
                let digits = |bond: &Bond| bond.pin.as_ref().map(|pin| pin.digits().to_string());
                assert_eq!(digits(&again), digits(&bond));
                let before = again.before.unwrap();
                assert_eq!(
                    (before.credentials, before.named, before.twice),
                    (with(6), false, false)
                );
            }
        }
        assert!(Bond::open(&Credential::new(vec![1, 2, 3])).is_none());
    }
}
