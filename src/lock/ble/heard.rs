//! Who was heard, when and how loud: from advertisements, in memory alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use uuid::Uuid;

use super::address::Address;
use crate::model::Mono;

/// One that is heard after so long is news.
const SILENCE: Duration = Duration::from_secs(20);
/// How loud one is, is news as seldom: it ends at a broker that keeps it, once for each lock.
const RESTRAINT: Duration = Duration::from_secs(5 * 60);
/// Neighbours' watches and lamps advertise too, many under ever new addresses.
const MOST: usize = 512;
/// The standard's battery service.
const BATTERY: Uuid = Uuid::from_u128(0x0000_180f_0000_1000_8000_0080_5f9b_34fb);

/// What advertisements of one lock told, the latest of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sighting {
    /// When it was heard last.
    pub at: Mono,
    /// How loud, in dBm.
    pub rssi: Option<i16>,
    /// Charge in percent, where it advertises the standard's battery service.
    pub battery: Option<u8>,
    /// Manufacturers' data, by company.
    pub manufacturer: BTreeMap<u16, Vec<u8>>,
    /// Data of services, by service.
    pub services: BTreeMap<Uuid, Vec<u8>>,
    /// When that was told last.
    pub services_at: Mono,
    /// When it was last news how loud it is.
    pub loud_at: Option<Mono>,
}

/// What one advertisement told.
#[derive(Clone, Debug)]
pub(super) enum Advert {
    /// That it is there.
    Found,
    Rssi(i16),
    Manufacturer(BTreeMap<u16, Vec<u8>>),
    Services(BTreeMap<Uuid, Vec<u8>>),
}

/// What is news in one advertisement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Notice {
    /// It is there, after silence.
    pub appeared: bool,
    /// How loud it is, in dBm.
    pub rssi: Option<i16>,
}

#[derive(Default)]
pub(super) struct Heard {
    all: BTreeMap<Address, Sighting>,
    /// These are never forgotten.
    ours: BTreeSet<Address>,
}

impl Heard {
    pub fn set_ours(&mut self, ours: BTreeSet<Address>) {
        for new in ours.difference(&self.ours) {
            if let Some(sighting) = self.all.get_mut(new) {
                // What was told of a stranger reached nobody.
                sighting.loud_at = None;
            }
        }
        self.ours = ours;
    }

    pub fn ours(&self) -> &BTreeSet<Address> {
        &self.ours
    }

    /// Takes note of an advertisement, and returns what is news in it.
    pub fn note(&mut self, address: Address, now: Mono, advert: Advert) -> Notice {
        let known = self.all.get(&address).map(|sighting| sighting.at);
        if known.is_none() && self.all.len() >= MOST {
            let strangers = self.all.iter().filter(|(one, _)| !self.ours.contains(one));
            let oldest = strangers.min_by_key(|(_, sighting)| sighting.at);
            if let Some(oldest) = oldest.map(|(address, _)| *address) {
                self.all.remove(&oldest);
            }
        }
        let sighting = self.all.entry(address).or_default();
        sighting.at = now;
        let mut notice = Notice {
            appeared: known.is_none_or(|then| now >= then + SILENCE),
            rssi: None,
        };
        match advert {
            Advert::Found => {}
            Advert::Rssi(rssi) => {
                sighting.rssi = Some(rssi);
                if sighting.loud_at.is_none_or(|then| now >= then + RESTRAINT) {
                    sighting.loud_at = Some(now);
                    notice.rssi = Some(rssi);
                }
            }
            Advert::Manufacturer(data) => sighting.manufacturer = data,
            Advert::Services(data) => {
                if let Some([percent @ 0..=100]) = data.get(&BATTERY).map(Vec::as_slice) {
                    sighting.battery = Some(*percent);
                }
                sighting.services = data;
                sighting.services_at = now;
            }
        }
        notice
    }

    pub fn of(&self, address: Address) -> Option<&Sighting> {
        self.all.get(&address)
    }

    pub fn all(&self) -> &BTreeMap<Address, Sighting> {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: Address = Address([1; 6]);

    #[test]
    fn only_the_first_sign_after_silence_is_news() {
        let mut heard = Heard::default();
        let start = Mono(5);
        assert!(heard.note(LOCK, start, Advert::Rssi(-60)).appeared);
        assert!(!heard.note(LOCK, start + SILENCE / 2, Advert::Rssi(-61)).appeared);
        assert!(heard.note(LOCK, start + SILENCE * 2, Advert::Rssi(-62)).appeared);
        assert_eq!(heard.of(LOCK).unwrap().rssi, Some(-62));
    }

    #[test]
    fn how_loud_it_is_is_seldom_news() {
        let mut heard = Heard::default();
        let start = Mono(5);
        assert_eq!(heard.note(LOCK, start, Advert::Found).rssi, None);
        let mut news = Vec::new();
        for second in 0..=600 {
            let at = start + Duration::from_secs(second);
            news.extend(heard.note(LOCK, at, Advert::Rssi(-60)).rssi.map(|_| second));
        }
        assert_eq!(news, [0, 300, 600]);
        heard.set_ours(BTreeSet::from([LOCK]));
        let after = start + Duration::from_secs(601);
        assert_eq!(heard.note(LOCK, after, Advert::Rssi(-61)).rssi, Some(-61));
    }

    #[test]
    fn a_battery_is_taken_only_as_the_standard_has_it() {
        let mut heard = Heard::default();
        for data in [vec![81], vec![101], vec![], vec![1, 2]] {
            heard.note(LOCK, Mono(0), Advert::Services(BTreeMap::from([(BATTERY, data)])));
            assert_eq!(heard.of(LOCK).unwrap().battery, Some(81));
        }
    }

    #[test]
    fn a_crowd_forgets_the_one_heard_longest_ago_unless_it_is_ours() {
        let mut heard = Heard::default();
        heard.set_ours(BTreeSet::from([LOCK]));
        heard.note(LOCK, Mono(0), Advert::Found);
        for number in 0..=u16::try_from(MOST).unwrap() {
            let [high, low] = number.to_be_bytes();
            heard.note(
                Address([0, 0, 0, 0, high, low]),
                Mono(u64::from(number) + 1),
                Advert::Rssi(0),
            );
        }
        assert_eq!(heard.all().len(), MOST);
        assert_eq!(heard.of(Address([0; 6])), None);
        assert!(heard.of(LOCK).is_some());
    }
}
