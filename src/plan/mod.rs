//! Deciding about a job: which PIN on which door, or why not. Pure functions of the request,
//! of what is known of the members, of the time, and of randomness that is handed in.

mod capacity;
mod share;

use std::collections::BTreeSet;

use rand::Rng;

pub use capacity::{Occupied, fits, full};

use crate::model::{
    Capabilities, Closed, CodeId, CreateMultiple, DeviceId, DeviceReason, NewTimes, Pin, Reason, Refusal,
    Timestamp, Unsuitable, Update, UpdateMultiple, Window,
};

/// Shortest and longest PIN that Seam's schema knows.
const LENGTHS: std::ops::RangeInclusive<u8> = 4..=12;

/// What is wrong with a device that left the configuration.
const GONE: &str = "is no longer part of this gateway";

/// What is known of one device when a job names it.
pub struct Member<'a> {
    /// The device.
    pub device: DeviceId,
    /// Its name, for the operator who reads the reasons.
    pub name: &'a str,
    /// What its lock can do.
    pub capabilities: &'a Capabilities,
    /// Whether it is there.
    pub reach: Reach,
    /// PINs that no new code may have: of live records, of codes whose absence is not confirmed,
    /// of unmanaged codes.
    pub taken: BTreeSet<&'a Pin>,
    /// PINs of the last 30 days, which are not drawn again while others are left.
    pub recent: BTreeSet<&'a Pin>,
    /// When its slots are in use.
    pub occupied: Vec<Occupied>,
}

/// Whether a device is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It answered last time, or was heard since.
    Online,
    /// It does not answer.
    Offline,
    /// It is no longer part of this gateway.
    Removed,
}

/// The PIN that one member gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// The member.
    pub device: DeviceId,
    /// Its PIN.
    pub pin: Pin,
    /// It could not share, and has a PIN of its own.
    pub own_pin: bool,
}

/// Plans `create_multiple`: a PIN for every member, in the order given.
///
/// # Errors
/// The reason why no member gets anything, with what each device objects to.
pub fn create(
    job: &CreateMultiple,
    members: &[Member<'_>],
    most_members: usize,
    now: Timestamp,
    rng: &mut dyn Rng,
) -> Result<Vec<Assigned>, Refusal> {
    check_members(members, most_members)?;
    check_end(job.window, now)?;
    refuse_if_any(members, |m| {
        there_and_roomy(m, job.window, job.attempt_offline, now)
    })?;
    match &job.code {
        Some(pin) => given(pin, members),
        None => share::draw_all(job, members, rng),
    }
}

fn check_members(members: &[Member<'_>], most: usize) -> Result<(), Refusal> {
    if members.is_empty() {
        return Err(Refusal::invalid("device_ids", "name at least one device"));
    }
    if members.len() > most {
        return Err(Refusal::invalid(
            "device_ids",
            format!("name at most {most} devices"),
        ));
    }
    let mut seen = BTreeSet::new();
    match members.iter().find(|m| !seen.insert(m.device)) {
        Some(twice) => Err(Refusal::invalid(
            "device_ids",
            format!("{} is named more than once", twice.device),
        )),
        None => Ok(()),
    }
}

fn check_end(window: Window, now: Timestamp) -> Result<(), Refusal> {
    if window.end() <= now {
        return Err(Refusal::invalid("ends_at", "must be in the future"));
    }
    Ok(())
}

/// Asks every member, so that the caller learns all reasons at once.
fn refuse_if_any<'m>(
    members: &'m [Member<'m>],
    objection: impl Fn(&Member<'m>) -> Option<(Reason, String)>,
) -> Result<(), Refusal> {
    let devices: Vec<DeviceReason> = members
        .iter()
        .filter_map(|m| {
            let (reason, problem) = objection(m)?;
            Some(DeviceReason {
                device: m.device,
                reason,
                message: format!("{}: {problem}", m.name),
            })
        })
        .collect();
    if devices.is_empty() {
        Ok(())
    } else {
        Err(objections(devices))
    }
}

/// The refusal for what devices object to; its cause is that of the first.
fn objections(devices: Vec<DeviceReason>) -> Refusal {
    let reason = devices.first().map_or(Reason::InvalidInput, |first| first.reason);
    let message = devices
        .iter()
        .map(|d| d.message.as_str())
        .collect::<Vec<_>>()
        .join("; ");
    Refusal::by_devices(reason, message, devices)
}

fn there_and_roomy(
    m: &Member<'_>,
    window: Window,
    attempt_offline: bool,
    now: Timestamp,
) -> Option<(Reason, String)> {
    away(m, attempt_offline).or_else(|| closed(m)).or_else(|| {
        let fits = fits(m.capabilities.capacity, &m.occupied, window, now);
        (!fits).then(|| no_space(m.capabilities))
    })
}

fn away(m: &Member<'_>, attempt_offline: bool) -> Option<(Reason, String)> {
    match m.reach {
        Reach::Removed => Some((Reason::DeviceRemoved, GONE.into())),
        Reach::Offline if !attempt_offline => {
            Some((Reason::DeviceOffline, "does not answer at present".into()))
        }
        Reach::Offline | Reach::Online => None,
    }
}

/// Why the lock of a member takes no codes at all.
fn closed(m: &Member<'_>) -> Option<(Reason, String)> {
    let (reason, why) = match m.capabilities.closed? {
        Closed::NotInterviewed => (
            Reason::DeviceOffline,
            "its radio has not yet found out which codes it takes",
        ),
        Closed::OldServer => (
            Reason::DeviceOffline,
            "keeps its codes in a way that the server of its radio does not know: update the server",
        ),
        Closed::Unsecured => (
            Reason::InvalidInput,
            "was joined without encryption, so that PINs would go to it in the clear; join it again with S2, or \
             let the operator allow it with allow_unsecured",
        ),
        Closed::NoCodes => (Reason::InvalidInput, "takes no codes"),
    };
    Some((reason, why.to_owned()))
}

fn no_space(capabilities: &Capabilities) -> (Reason, String) {
    (
        Reason::NoSpace,
        format!(
            "holds {} codes, and all are in use at some time of this window",
            capabilities.capacity
        ),
    )
}

fn given(pin: &Pin, members: &[Member<'_>]) -> Result<Vec<Assigned>, Refusal> {
    if !LENGTHS.contains(&pin.length()) {
        return Err(Refusal::invalid("code", "must have 4 to 12 digits"));
    }
    refuse_if_any(members, |m| {
        m.capabilities
            .takes(pin)
            .err()
            .map(|why| (Reason::InvalidInput, unsuitable(why, m.capabilities)))
    })
    .map_err(|mut refusal| {
        refusal.fields.push(("code".into(), refusal.message.clone()));
        refusal
    })?;
    refuse_if_any(members, |m| {
        m.taken.contains(pin).then(|| {
            (
                Reason::DuplicateAccessCode,
                "this PIN is taken by another code".into(),
            )
        })
    })?;
    Ok(members
        .iter()
        .map(|m| Assigned {
            device: m.device,
            pin: pin.clone(),
            own_pin: false,
        })
        .collect())
}

fn unsuitable(why: Unsuitable, capabilities: &Capabilities) -> String {
    match why {
        Unsuitable::Length => format!("takes codes of {} digits", lengths(capabilities)),
        Unsuitable::Digit => {
            let digits = capabilities.alphabet.digits();
            format!("takes the digits {}", String::from_utf8_lossy(&digits))
        }
        Unsuitable::Prefix => {
            format!(
                "takes no codes that begin with {}",
                capabilities.forbidden_prefixes.join(" or ")
            )
        }
        Unsuitable::Shape(_) => "takes no codes of so simple a pattern".into(),
    }
}

fn lengths(capabilities: &Capabilities) -> String {
    let all: Vec<String> = capabilities.lengths.iter().map(u8::to_string).collect();
    all.join(", ")
}

/// A PIN that one device would take, as a random one for `create` is drawn.
///
/// # Errors
/// The device is gone, or no PIN is left.
pub fn generate(member: &Member<'_>, rng: &mut dyn Rng) -> Result<Pin, Refusal> {
    if member.reach == Reach::Removed {
        return Err(Refusal::new(
            Reason::DeviceRemoved,
            format!("{}: {GONE}", member.name),
        ));
    }
    if let Some((reason, why)) = closed(member) {
        return Err(Refusal::new(reason, format!("{}: {why}", member.name)));
    }
    share::draw(&[member], None, rng).ok_or_else(|| {
        let told = format!("{}: no PIN is left that its lock would take", member.name);
        Refusal::new(Reason::CannotShare, told)
    })
}

/// An access code that is to be changed.
pub struct Moved<'a> {
    /// Its access code.
    pub code: CodeId,
    /// Its present window.
    pub window: Window,
    /// Its PIN.
    pub pin: &'a Pin,
    /// Its device; `taken` and `occupied` without this code.
    pub member: Member<'a>,
}

/// Plans `update_multiple`: the new window of every member.
///
/// # Errors
/// The reason why no member is changed.
pub fn update(
    job: &UpdateMultiple,
    group: &[Moved<'_>],
    now: Timestamp,
) -> Result<Vec<(CodeId, Window)>, Refusal> {
    let moves = job.starts_at.is_some() || job.ends_at.is_some();
    let mut windows = Vec::with_capacity(group.len());
    let mut devices = Vec::new();
    for g in group {
        let window = if moves {
            merged(job.starts_at, job.ends_at, g.window)?
        } else {
            g.window
        };
        if moves {
            check_end(window, now)?;
        }
        if let Some((reason, problem)) = objection(g, window, moves && g.window.end() <= now, true, now) {
            let message = format!("{}: {problem}", g.member.name);
            devices.push(DeviceReason {
                device: g.member.device,
                reason,
                message,
            });
        }
        windows.push((g.code, window));
    }
    if devices.is_empty() {
        Ok(windows)
    } else {
        Err(objections(devices))
    }
}

/// Plans `update`: the new window of one access code, whose new PIN, if it gets one, suits its lock.
///
/// # Errors
/// The reason why it is not changed.
pub fn update_one(job: &Update, code: &Moved<'_>, now: Timestamp) -> Result<Window, Refusal> {
    let window = match job.times {
        NewTimes::Ongoing => Window::Ongoing,
        NewTimes::Keep => code.window,
        NewTimes::Bound { starts_at, ends_at } => merged(starts_at, ends_at, code.window)?,
    };
    let moves = window != code.window;
    if moves {
        check_end(window, now)?;
    }
    let member = std::slice::from_ref(&code.member);
    let pin = job.pin.as_ref().filter(|pin| *pin != code.pin);
    let revived = moves && code.window.end() <= now && pin.is_none();
    refuse_if_any(member, |_| {
        objection(code, window, revived, job.attempt_offline, now)
    })?;
    if let Some(pin) = pin {
        given(pin, member)?;
    }
    Ok(window)
}

/// What the device of a code has against its new window. `revived`: the code has ended, and is to open
/// again with the same PIN.
fn objection(
    code: &Moved<'_>,
    window: Window,
    revived: bool,
    attempt_offline: bool,
    now: Timestamp,
) -> Option<(Reason, String)> {
    let member = &code.member;
    if let Some(away) = away(member, attempt_offline) {
        Some(away)
    } else if revived && member.taken.contains(code.pin) {
        Some((
            Reason::DuplicateAccessCode,
            "the PIN of this ended code is taken by now".to_owned(),
        ))
    } else if !within(window, code.window, now)
        && !fits(member.capabilities.capacity, &member.occupied, window, now)
    {
        Some(no_space(member.capabilities))
    } else {
        None
    }
}

/// A window inside the one that was accepted needs no more room than that.
fn within(window: Window, accepted: Window, now: Timestamp) -> bool {
    accepted.start().max(now) <= window.start().max(now) && window.end() <= accepted.end()
}

fn merged(
    starts_at: Option<Timestamp>,
    ends_at: Option<Timestamp>,
    window: Window,
) -> Result<Window, Refusal> {
    let (starts_at, ends_at) = match (window, starts_at, ends_at) {
        (_, Some(start), Some(end)) => (start, end),
        (Window::Bound { ends_at, .. }, Some(start), None) => (start, ends_at),
        (Window::Bound { starts_at, .. }, None, Some(end)) => (starts_at, end),
        (Window::Bound { starts_at, ends_at }, None, None) => (starts_at, ends_at),
        (Window::Ongoing, start, _) => {
            let missing = if start.is_some() { "ends_at" } else { "starts_at" };
            return Err(Refusal::invalid(missing, "a code without times needs both"));
        }
    };
    Window::between(starts_at, ends_at).ok_or_else(|| Refusal::invalid("ends_at", "must be after starts_at"))
}
