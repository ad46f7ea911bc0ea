//! What lets drivers in at locks, kept for them: sealed beside what else is known of each device, so that exports carry it
//! along. The core does not know what it says.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::Gateway;
use super::records::decode;
use crate::model::{Bookmark, Credential, DeviceId};
use crate::store::{Fail, Rows, Tree};

/// What follows a device's id in the key of its credential.
const CREDENTIAL: &[u8] = b"credential";

/// The credentials of all paired locks.
pub(super) type Credentials = BTreeMap<DeviceId, Credential>;

fn key(device: DeviceId) -> Vec<u8> {
    [device.0.as_bytes(), CREDENTIAL].concat()
}

/// Whether a key among those of devices is that of a credential.
#[must_use]
pub fn is_credential(key: &[u8]) -> bool {
    device_in(key).is_some()
}

/// Whether a key among those of devices is that of what is known of a device itself.
#[must_use]
pub fn is_device(key: &[u8]) -> bool {
    Uuid::from_slice(key).is_ok()
}

fn device_in(key: &[u8]) -> Option<DeviceId> {
    Uuid::from_slice(key.strip_suffix(CREDENTIAL)?).ok().map(DeviceId)
}

/// Takes the credentials out of the rows about devices.
pub(super) fn take(rows: &mut Rows) -> Result<Credentials, Fail> {
    let mut credentials = Credentials::new();
    for (key, value) in rows.extract_if(.., |(key, _)| is_credential(key)) {
        if let Some(device) = device_in(&key) {
            credentials.insert(device, Credential::new(decode("credentials", &value)?));
        }
    }
    Ok(credentials)
}

impl Gateway {
    /// What lets drivers in, by device, and how far each lock's logbook was read.
    pub fn credentials(&self) -> impl Iterator<Item = (DeviceId, &Credential, Bookmark)> {
        self.credentials.iter().map(|(device, credential)| {
            let read = self.devices.get(device).map(|device| device.record.logged);
            (*device, credential, read.unwrap_or_default())
        })
    }

    /// Keeps what lets a driver in at a lock, or forgets it.
    pub(super) fn keep_credential(&mut self, device: DeviceId, credential: Option<Credential>) {
        match credential {
            Some(credential) => {
                self.ledger.put(Tree::Devices, &key(device), &credential.expose());
                self.credentials.insert(device, credential);
                if let Some(device) = self.devices.get_mut(&device) {
                    device.paired_anew = true;
                }
            }
            None => {
                if self.credentials.remove(&device).is_some() {
                    self.ledger.remove(Tree::Devices, &key(device));
                }
            }
        }
    }
}
