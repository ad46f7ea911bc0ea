//! Why a code or a device is as it is, in a sentence for people; and a second one that says what to do, where
//! there is something. No PIN is in it, and no name of a guest.

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::receipt::waiting_hint;
use crate::api::time;
use crate::gateway::view::{Away, ExternalChange};
use crate::gateway::why::{CodeCause, DeviceCause, Doubt, DoubtKind, Next, Obstacle, Silence, Wait, Why};
use crate::gateway::{Aim, Waiting};
use crate::model::{CodeId, How, Objection, Reason, Timestamp};

/// Why an access code or a device is as it is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "why")]
pub struct Cause {
    /// The device.
    device_id: Uuid,
    /// The access code, if one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_code_id: Option<Uuid>,
    /// A stable word for it.
    cause: &'static str,
    /// The same for a person, with times in UTC.
    pub sentence: String,
}

/// Why an access code is as it is.
#[must_use]
pub fn why_code(id: CodeId, why: &Why<CodeCause>) -> Cause {
    let name = &why.device_name;
    let (cause, sentence) = match why.cause {
        CodeCause::Removed => removed(name),
        CodeCause::Waits(wait) => {
            let since = moment(wait.since);
            let what = match (wait.aim, wait.update) {
                (Aim::Set, false) => format!("The code has waited since {since} to be set on {name}"),
                (Aim::Set, true) => {
                    format!("The code has waited since {since} to be brought up to date on {name}")
                }
                (Aim::Remove, _) => format!("The code has waited since {since} to be taken off {name}"),
            };
            waits(&what, &wait, "it")
        }
        CodeCause::Proven {
            how,
            at,
            opens_at,
            doubt,
        } => {
            let at = moment(at);
            let proof = match how {
                How::ReadBack => format!("which was read back at {at}"),
                How::Acknowledged => format!("which acknowledged it at {at} and does not show its digits"),
            };
            let (cause, opens) = match opens_at {
                None => ("proven", String::new()),
                Some(opens_at) => (
                    "scheduled_on_device",
                    format!(", and lets it open from {}", moment(opens_at)),
                ),
            };
            let sentence = format!("The code stands on {name}, {proof}{opens}.{}", doubted(doubt));
            (cause, sentence)
        }
        CodeCause::NotDue {
            due_at,
            starts_at,
            doubt,
        } => {
            let (due_at, starts_at) = (moment(due_at), moment(starts_at));
            let sentence = format!(
                "The code goes onto {name} at {due_at}, since it opens at {starts_at}.{}",
                doubted(doubt)
            );
            ("not_due", sentence)
        }
        CodeCause::Yields { starts_at } => {
            let starts_at = moment(starts_at);
            let sentence = format!(
                "{name} has no place to spare before the code opens at {starts_at}: it goes onto the lock when \
                 another is taken off, and at that time at the latest."
            );
            ("not_due", sentence)
        }
        CodeCause::Held { due_at, doubt } => {
            let due_at = moment(due_at);
            let sentence = format!(
                "The code was due on {name} at {due_at} by the machine's clock, which does not count.{}",
                doubted(Some(doubt))
            );
            ("clock_untrusted", sentence)
        }
        CodeCause::Over { since } => {
            let since = moment(since);
            let sentence = format!("The code has been over since {since}, and {name} does not hold it.");
            ("ended", sentence)
        }
    };
    Cause {
        device_id: why.device.0,
        access_code_id: Some(id.0),
        cause,
        sentence,
    }
}

/// Why a device is as it is.
#[must_use]
pub fn why_device(why: &Why<DeviceCause>) -> Cause {
    let name = &why.device_name;
    let (cause, sentence) = match why.cause {
        DeviceCause::Removed => removed(name),
        DeviceCause::RadioAway { away, waiting } => {
            let sentence = format!(
                "{name} cannot be asked, since {}; {}. {}",
                outage(away),
                wait_for_it(waiting),
                waiting_hint(Waiting::RadioAway(away)),
            );
            (Waiting::RadioAway(away).word(), sentence)
        }
        DeviceCause::Silent {
            since,
            tries,
            next,
            silence,
            waiting,
        } => {
            let since = since.map_or_else(String::new, |at| {
                format!(" has been silent since {} and", moment(at))
            });
            let sentence = format!(
                "{name}{since} {}; {}, {}. {}",
                heard(&silence),
                self::tries(tries, next),
                wait_for_it(waiting),
                silence_hint(&silence),
            );
            (Waiting::Silent.word(), sentence)
        }
        DeviceCause::Waits { waiting, first } => {
            let (what, which) = match waiting {
                1 => (format!("1 code waits for {name}"), "it"),
                more => (format!("{more} codes wait for {name}"), "the first of them"),
            };
            let what = format!("{what} since {}", moment(first.since));
            waits(&what, &first, which)
        }
        DeviceCause::AtRest {
            last_seen,
            due_at,
            doubt,
        } => {
            let seen = match last_seen {
                Some(at) => format!("{name} answered last at {}", moment(at)),
                None => format!("{name} has not been asked since the gateway started"),
            };
            let due = due_at.map_or_else(String::new, |at| {
                format!(", and the next code goes onto it at {}", moment(at))
            });
            let sentence = format!("{seen}; nothing waits for it now{due}.{}", doubted(doubt));
            ("at_rest", sentence)
        }
    };
    Cause {
        device_id: why.device.0,
        access_code_id: None,
        cause,
        sentence,
    }
}

fn removed(name: &str) -> (&'static str, String) {
    let reason = Reason::DeviceRemoved;
    let sentence = format!(
        "{name} is no longer part of this gateway, so that nothing is asked of it. {}",
        reason.hint()
    );
    (reason.word(), sentence)
}

/// `what` waits, and names its lock last; `code` stands for the code that tells why.
fn waits(what: &str, wait: &Wait, code: &str) -> (&'static str, String) {
    let obstacle = match wait.obstacle {
        Obstacle::InLine => String::new(),
        Obstacle::Unread => {
            ", which must be read first, since the gateway was restored from an export".to_owned()
        }
        Obstacle::RadioAway(away) => format!(", which cannot be asked, since {}", outage(away)),
        Obstacle::Silent(silence) => format!(", which {}", heard(&silence)),
        Obstacle::NoSlot { capacity: 1 } => ", whose only place is in use".to_owned(),
        Obstacle::NoSlot { capacity } => format!(", all of whose {capacity} places are in use"),
        Obstacle::Refused(objection) => match objection {
            Objection::Full => ", which says that it is full".to_owned(),
            Objection::Duplicate => format!(", which says that it holds the PIN of {code} already"),
            Objection::SlotTaken => format!(", where somebody else's code stands in the place of {code}"),
            Objection::Credential => ", which does not accept the gateway's credentials".to_owned(),
            Objection::Unsecured => ", which was joined without encryption".to_owned(),
            Objection::Other => ", which says no".to_owned(),
        },
        Obstacle::Denied => match wait.aim {
            Aim::Set => format!(", which said yes and did not store {code}"),
            Aim::Remove => format!(", which said yes and still holds {code}"),
        },
        Obstacle::External(external) => {
            let found = moment(external.at);
            match external.change {
                ExternalChange::Modified => format!(", on which {code} was found changed at {found}"),
                ExternalChange::Removed => format!(", on which {code} was found missing at {found}"),
            }
        }
        Obstacle::NotKept => format!(", which has not kept {code} three times"),
        Obstacle::GoneSinceExport => {
            format!(", which held {code} when the gateway's export was made and holds it no more")
        }
    };
    let sentence = format!(
        "{what}{obstacle}; {}. {}",
        tries(wait.tries, wait.next),
        hint(wait)
    );
    (wait.obstacle.word(), sentence)
}

fn hint(wait: &Wait) -> &'static str {
    match &wait.obstacle {
        Obstacle::InLine if matches!(wait.next, Next::UnderWay) => "Nothing to do.",
        Obstacle::InLine => waiting_hint(Waiting::InLine),
        Obstacle::Unread => "Nothing to do, unless the lock does not let itself be read: then check it.",
        Obstacle::RadioAway(away) => waiting_hint(Waiting::RadioAway(*away)),
        Obstacle::Silent(silence) => silence_hint(silence),
        Obstacle::NoSlot { .. } => waiting_hint(Waiting::NoSlot),
        Obstacle::Refused(objection) => waiting_hint(Waiting::Refused(*objection)),
        Obstacle::Denied => waiting_hint(Waiting::Denied),
        Obstacle::External(_) => {
            "Nothing to do: it is set again; if nobody changes codes at the lock's keypad, check the lock."
        }
        Obstacle::NotKept => waiting_hint(Waiting::NotKept),
        Obstacle::GoneSinceExport => waiting_hint(Waiting::GoneSinceExport),
    }
}

/// What keeps a radio away, and since when.
fn outage(away: Away) -> String {
    format!("{away} (since {})", moment(away.since))
}

/// When a silent lock was last heard, and whether it is alone with that.
fn heard(silence: &Silence) -> String {
    let seen = match silence.last_seen {
        Some(at) => format!("was last heard at {}", moment(at)),
        None => "has not been heard since the gateway started".to_owned(),
    };
    match (silence.silent_neighbours, silence.neighbours) {
        (0, _) => seen,
        (1, 1) => format!("{seen}, like the other lock on its radio"),
        (silent, all) => format!("{seen}, like {silent} of the {all} other locks on its radio"),
    }
}

fn silence_hint(silence: &Silence) -> &'static str {
    // Batteries do not fail on all doors at once.
    match silence.neighbours > 0 && silence.silent_neighbours == silence.neighbours {
        true => "Look at the gateway's radio first: no lock on it answers.",
        false => waiting_hint(Waiting::Silent),
    }
}

/// How often it was tried, and when it is tried next.
fn tries(tries: u32, next: Next) -> String {
    let so_far = match tries {
        0 => {
            return match next {
                Next::UnderWay => "being tried now, for the first time".to_owned(),
                Next::At(at) => format!("first try at {}", moment(at)),
                Next::Unplanned => "not tried yet, and no try planned".to_owned(),
            };
        }
        1 => "1 try so far".to_owned(),
        more => format!("{more} tries so far"),
    };
    match next {
        Next::UnderWay => format!("{so_far}, being tried now"),
        Next::At(at) => format!("{so_far}, next at {}", moment(at)),
        Next::Unplanned => format!("{so_far}, no next try planned"),
    }
}

fn wait_for_it(waiting: usize) -> String {
    match waiting {
        0 => "no code waits for it".to_owned(),
        1 => "1 code waits for it".to_owned(),
        more => format!("{more} codes wait for it"),
    }
}

/// A sentence about the clock, where it has a say.
fn doubted(doubt: Option<Doubt>) -> String {
    let Some(Doubt { kind, since }) = doubt else {
        return String::new();
    };
    let since = moment(since);
    match kind {
        DoubtKind::Unvouched => format!(
            " Nothing has vouched for the clock since {since}, so that times are not certain: have it \
             synchronised."
        ),
        DoubtKind::Wild => format!(
            " The clock jumped at {since}, and does not count yet: if it is right, say `lockbridge clock accept`."
        ),
    }
}

/// A time to the second, which is as much as a person reads.
fn moment(at: Timestamp) -> String {
    time::second(at)
}
