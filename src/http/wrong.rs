//! Callers who show wrong keys: each address has a few tries, and gets them back one by one.
//!
//! A key is too long to be guessed, so this is about noise, in the log above all, and not about locks.
//! That is why a right key is always let in: behind one address there may be many callers, or all of
//! them (a proxy), and none of them shall be locked out by a neighbour. Who shows no key at all guesses
//! nothing, and is not counted.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::pace::Pace;
use crate::model::{Mono, Reason, Refusal};

/// Wrong keys that an address may show.
const TRIES: Pace = Pace {
    most: 10,
    every: Duration::from_secs(6),
};
/// An address is named on the log at most so often.
const QUIET: Duration = Duration::from_secs(60);
/// Addresses that are remembered.
const MOST: usize = 1024;

/// What is remembered of who showed wrong keys.
#[derive(Default)]
pub(super) struct WrongKeys {
    by_address: Mutex<BTreeMap<IpAddr, Tries>>,
}

struct Tries {
    /// When all tries will be given back.
    forgiven: Mono,
    /// Not named on the log before.
    quiet_until: Mono,
}

impl WrongKeys {
    /// Counts a wrong key, and says what its caller is told.
    pub fn shown(&self, from: IpAddr, now: Mono) -> Refusal {
        let from = neighbourhood(from);
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        by_address.retain(|_, tries| now < tries.forgiven.max(tries.quiet_until));
        if by_address.len() >= MOST && !by_address.contains_key(&from) {
            let first = by_address.iter().min_by_key(|(_, tries)| tries.forgiven);
            if let Some(first) = first.map(|(address, _)| *address) {
                by_address.remove(&first);
            }
        }
        let tries = by_address.entry(from).or_insert(Tries {
            forgiven: now,
            quiet_until: now,
        });
        if tries.quiet_until <= now {
            tries.quiet_until = now + QUIET;
            tracing::warn!(%from, "somebody shows an API key that is not known");
        }
        match TRIES.one_more(tries.forgiven, now) {
            Ok(forgiven) => {
                tries.forgiven = forgiven;
                Refusal::new(Reason::Unauthorized, "this API key is not known")
            }
            Err(wait) => Refusal {
                retry_after_s: Some(wait),
                ..Refusal::new(
                    Reason::RateLimited,
                    "too many wrong API keys came from this address",
                )
            },
        }
    }
}

/// Who counts as one: an IPv4 address; of IPv6, the network that one customer has.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !0 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When a wrong key may be shown again; `None` if this one was looked at.
    fn show(keys: &WrongKeys, from: &str, at: u64) -> Option<u64> {
        let refusal = keys.shown(from.parse().unwrap(), Mono(at));
        assert_eq!(
            refusal.reason == Reason::RateLimited,
            refusal.retry_after_s.is_some()
        );
        refusal.retry_after_s
    }

    #[test]
    fn ten_tries_and_one_more_every_six_seconds() {
        let keys = WrongKeys::default();
        for _ in 0..10 {
            assert_eq!(show(&keys, "192.0.2.1", 0), None);
        }
        assert_eq!(show(&keys, "192.0.2.1", 0), Some(6));
        assert_eq!(show(&keys, "192.0.2.1", 5_001), Some(1));
        assert_eq!(show(&keys, "192.0.2.1", 6_000), None);
        assert_eq!(show(&keys, "192.0.2.1", 6_000), Some(6));
        assert_eq!(show(&keys, "192.0.2.2", 6_000), None, "another address");
        for _ in 0..10 {
            assert_eq!(show(&keys, "192.0.2.1", 66_000), None, "all tries are back");
        }
        assert_eq!(show(&keys, "192.0.2.1", 66_000), Some(6));
    }

    #[test]
    fn a_network_of_ipv6_is_one_and_ipv4_stays_itself_in_it() {
        let keys = WrongKeys::default();
        for host in 0..10 {
            assert_eq!(show(&keys, &format!("2001:db8:0:1:{host}::1"), 0), None);
        }
        assert_eq!(show(&keys, "2001:db8:0:1:ffff::1", 0), Some(6));
        assert_eq!(show(&keys, "2001:db8:0:2::1", 0), None);
        for host in 0..20 {
            assert_eq!(show(&keys, &format!("::ffff:192.0.2.{host}"), 0), None);
        }
    }

    #[test]
    fn many_addresses_take_no_more_room() {
        let keys = WrongKeys::default();
        for n in 0..u32::try_from(MOST).unwrap() * 2 {
            keys.shown(std::net::Ipv4Addr::from_bits(n).into(), Mono(u64::from(n)));
            assert!(keys.by_address.lock().unwrap().len() <= MOST);
        }
    }
}
