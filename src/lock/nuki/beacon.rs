//! What an advertisement says.

use uuid::Uuid;

use super::link::{Model, nuki};

/// The company under whose number beacons of this form are sent.
const COMPANY: u16 = 0x004c;

/// A lock that is set up and within reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beacon {
    /// Its number, as printed in the app in hexadecimal.
    pub nuki_id: u32,
}

/// Reads the manufacturer's data of an advertisement; `None` if it is no lock's of this family.
#[must_use]
pub fn beacon(company: u16, data: &[u8]) -> Option<Beacon> {
    const EVERYDAY: Uuid = nuki(0xa92e_e200);
    let rest = data.strip_prefix(&[0x02, 0x15]).filter(|_| company == COMPANY)?;
    let rest = rest.strip_prefix(EVERYDAY.as_bytes())?;
    let [a, b, c, d, _power] = *rest.first_chunk()?;
    (rest.len() == 5).then_some(Beacon {
        nuki_id: u32::from_be_bytes([a, b, c, d]),
    })
}

/// The model of a lock that waits to be paired, by the service whose data it advertises.
#[must_use]
pub fn pairable(service: Uuid) -> Option<Model> {
    const CLASSIC: Uuid = nuki(0xa92e_e100);
    const ULTRA: Uuid = nuki(0xa92e_e300);
    match service {
        CLASSIC => Some(Model::Classic),
        ULTRA => Some(Model::Ultra),
        _ => None,
    }
}
