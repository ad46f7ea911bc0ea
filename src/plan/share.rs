//! Sharing: one PIN for as many members as can have the same.

use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng, RngExt};

use super::{Assigned, Member, lengths};
use crate::model::{Alphabet, CreateMultiple, DeviceReason, Pattern, Pin, Reason, Refusal, Unshared};

/// Up to so many PINs are looked at one by one, which is exact; among more, random tries find
/// one that is free, since no lock holds more than a small part of them.
const FEW: u64 = 20_000;
/// Random tries before a length counts as exhausted.
const TRIES: u32 = 20_000;

/// Draws the PINs of a job without a PIN of its own.
pub(super) fn draw_all(
    job: &CreateMultiple,
    members: &[Member<'_>],
    rng: &mut dyn Rng,
) -> Result<Vec<Assigned>, Refusal> {
    let all: Vec<&Member<'_>> = members.iter().collect();
    let preferred = job.preferred_length;
    if let Some(pin) = draw(&all, preferred, rng) {
        return Ok(members.iter().map(|m| assigned(m, &pin, false)).collect());
    }
    if job.unshared == Unshared::Throw {
        return Err(cannot_share(members));
    }
    let sharing = largest(members, preferred, rng);
    let chosen: Vec<&Member<'_>> = sharing.iter().filter_map(|i| members.get(*i)).collect();
    let shared = draw(&chosen, preferred, rng);
    let mut out = Vec::with_capacity(members.len());
    let mut without = Vec::new();
    for (index, member) in members.iter().enumerate() {
        let own_pin = !sharing.contains(&index);
        let pin = if own_pin {
            draw(&[member], preferred, rng)
        } else {
            shared.clone()
        };
        match pin {
            Some(pin) => out.push(assigned(member, &pin, own_pin)),
            None => without.push(DeviceReason {
                device: member.device,
                reason: Reason::CannotShare,
                message: format!("{}: no PIN is left that its lock would take", member.name),
            }),
        }
    }
    if without.is_empty() {
        return Ok(out);
    }
    Err(Refusal::by_devices(
        Reason::CannotShare,
        "a device can take no code at all",
        without,
    ))
}

fn assigned(member: &Member<'_>, pin: &Pin, own_pin: bool) -> Assigned {
    Assigned {
        device: member.device,
        pin: pin.clone(),
        own_pin,
    }
}

fn cannot_share(members: &[Member<'_>]) -> Refusal {
    let devices = members
        .iter()
        .map(|m| {
            let digits = m.capabilities.alphabet.digits();
            DeviceReason {
                device: m.device,
                reason: Reason::CannotShare,
                message: format!(
                    "{}: takes {} digits out of {}, {} PINs are taken",
                    m.name,
                    lengths(m.capabilities),
                    String::from_utf8_lossy(&digits),
                    m.taken.len()
                ),
            }
        })
        .collect();
    Refusal::by_devices(Reason::CannotShare, "no PIN suits all of these devices", devices)
}

/// A PIN that all of these members take: of the preferred length if they all take it, else of
/// the shortest that has one.
pub(super) fn draw(members: &[&Member<'_>], preferred: Option<u8>, rng: &mut dyn Rng) -> Option<Pin> {
    let mut lengths = members.first()?.capabilities.lengths.clone();
    lengths.retain(|l| members.iter().all(|m| m.capabilities.lengths.contains(l)));
    let first = preferred.filter(|p| lengths.contains(p));
    first
        .into_iter()
        .chain(lengths.iter().copied().filter(|l| Some(*l) != first))
        .find_map(|length| draw_length(members, length, rng))
}

fn draw_length(members: &[&Member<'_>], length: u8, rng: &mut dyn Rng) -> Option<Pin> {
    let alphabet = members
        .iter()
        .fold(Alphabet::DIGITS, |a, m| a.both(m.capabilities.alphabet))
        .digits();
    let suits = |digits: &[u8]| {
        let pin = free_to_draw(digits)?;
        members.iter().all(|m| free_on(m, digits, &pin)).then_some(pin)
    };
    let fresh = |pin: &Pin| !members.iter().any(|m| m.recent.contains(pin));
    if space(&alphabet, length) <= FEW {
        let all: Vec<Pin> = every(&alphabet, length)
            .filter_map(|digits| suits(&digits))
            .collect();
        let unused: Vec<&Pin> = all.iter().filter(|pin| fresh(pin)).collect();
        let from = if unused.is_empty() {
            all.iter().collect()
        } else {
            unused
        };
        return (!from.is_empty()).then(|| from[rng.random_range(0..from.len())].clone());
    }
    let mut digits = vec![0; usize::from(length)];
    let mut used_before = None;
    for _ in 0..TRIES {
        for digit in &mut digits {
            *digit = alphabet[rng.random_range(0..alphabet.len())];
        }
        match suits(&digits) {
            Some(pin) if fresh(&pin) => return Some(pin),
            Some(pin) => used_before = Some(pin),
            None => {}
        }
    }
    used_before
}

/// All-alike digits and straight runs are what a burglar tries first.
fn free_to_draw(digits: &[u8]) -> Option<Pin> {
    let simple = Pattern::AllSame.fits(digits) || Pattern::Run.fits(digits);
    if simple { None } else { Pin::from_digits(digits) }
}

fn free_on(member: &Member<'_>, digits: &[u8], pin: &Pin) -> bool {
    member.capabilities.takes_digits(digits).is_ok() && !member.taken.contains(pin)
}

fn space(alphabet: &[u8], length: u8) -> u64 {
    u64::try_from(alphabet.len())
        .unwrap_or(u64::MAX)
        .saturating_pow(u32::from(length))
}

/// Every string of `length` over `alphabet`, counted up like a number.
fn every(alphabet: &[u8], length: u8) -> impl Iterator<Item = Vec<u8>> + '_ {
    let base = u64::try_from(alphabet.len()).unwrap_or(1).max(1);
    (0..space(alphabet, length)).map(move |mut number| {
        (0..length)
            .map(|_| {
                let digit = alphabet[usize::try_from(number % base).unwrap_or(0)];
                number /= base;
                digit
            })
            .collect()
    })
}

/// The largest set of members that can share; of equal ones the set that can have the preferred
/// length, then the one whose members come first. Indices into `members`, ascending.
fn largest(members: &[Member<'_>], preferred: Option<u8>, rng: &mut dyn Rng) -> Vec<usize> {
    let every_length: BTreeSet<u8> = members
        .iter()
        .flat_map(|m| m.capabilities.lengths.iter().copied())
        .collect();
    let mut best: (usize, bool, Vec<usize>) = (0, false, Vec::new());
    for length in every_length {
        let takers: Vec<usize> = (0..members.len())
            .filter(|i| members[*i].capabilities.lengths.contains(&length))
            .collect();
        let union: BTreeSet<u8> = takers
            .iter()
            .flat_map(|i| members[*i].capabilities.alphabet.digits())
            .collect();
        let union: Vec<u8> = union.into_iter().collect();
        let set = if space(&union, length) <= FEW {
            largest_by_pin(members, &takers, &union, length)
        } else {
            largest_by_rule(members, &takers, length, rng)
        };
        let better = (set.len(), preferred == Some(length));
        let wins =
            better > (best.0, best.1) || (better == (best.0, best.1) && !set.is_empty() && set < best.2);
        if wins {
            best = (better.0, better.1, set);
        }
    }
    best.2
}

/// Looks at every PIN and who takes it.
fn largest_by_pin(members: &[Member<'_>], takers: &[usize], alphabet: &[u8], length: u8) -> Vec<usize> {
    let mut best = Vec::new();
    for digits in every(alphabet, length) {
        let Some(pin) = free_to_draw(&digits) else {
            continue;
        };
        let set: Vec<usize> = takers
            .iter()
            .copied()
            .filter(|i| free_on(&members[*i], &digits, &pin))
            .collect();
        if set.len() > best.len() || (set.len() == best.len() && set < best) {
            best = set;
        }
    }
    best
}

/// Too many PINs to look at each: members with the same rules stay or go together, since among so
/// many PINs those that are taken decide nothing.
fn largest_by_rule(members: &[Member<'_>], takers: &[usize], length: u8, rng: &mut dyn Rng) -> Vec<usize> {
    let mut rules: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for i in takers {
        let c = members[*i].capabilities;
        rules
            .entry((c.alphabet, &c.forbidden_prefixes, &c.forbidden_patterns))
            .or_default()
            .push(*i);
    }
    let rules: Vec<Vec<usize>> = rules.into_values().collect();
    // More than a dozen different rules on one property is not a property that exists; the rest
    // of them then get PINs of their own.
    let considered = rules.len().min(12);
    let mut sets: Vec<Vec<usize>> = (1_u32..1 << considered)
        .map(|chosen| {
            let mut set: Vec<usize> = (0..considered)
                .filter(|r| chosen & (1 << r) != 0)
                .flat_map(|r| rules[r].iter().copied())
                .collect();
            set.sort_unstable();
            set
        })
        .collect();
    sets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    sets.into_iter()
        .find(|set| {
            let chosen: Vec<&Member<'_>> = set.iter().map(|i| &members[*i]).collect();
            draw_length(&chosen, length, rng).is_some()
        })
        .unwrap_or_default()
}
