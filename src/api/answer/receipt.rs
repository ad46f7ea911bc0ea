//! Our own answers: receipts, jobs, queues.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Pins;
use super::code::{Status, bounds};
use super::refusal::{DeviceReason, reasons};
use super::word::{Moment, Nothing};
use crate::gateway::view::{CodeView, JobMemberView, JobView, MemberReceipt, Pending, Proven, QueueView};
use crate::gateway::{self, Answer, Waiting};
use crate::model::{self, DeviceId, Objection, Timestamp};

/// The receipt of a group: proven, how and when; or why not yet, and the next try.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "receipt")]
pub struct Receipt {
    /// What links the codes of the group.
    common_code_key: Option<String>,
    /// The name of the guest or the stay.
    pub name: Option<String>,
    /// From when on the codes open.
    starts_at: Option<Moment>,
    /// From when on they open no more.
    ends_at: Option<Moment>,
    /// Members that their locks have confirmed.
    proven: usize,
    /// Members in all.
    members: usize,
    /// Every lock has confirmed.
    all_proven: bool,
    /// A door needs somebody: see `problem` of its members.
    problem: bool,
    /// Member by member.
    receipts: Vec<Member>,
}

/// The receipt of one code.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "receipt_of_member")]
struct Member {
    /// Its device.
    device_id: Uuid,
    /// The name of its device.
    device_name: String,
    /// Its id.
    access_code_id: Uuid,
    /// Its PIN; `null` for a key that may not see PINs.
    code: Option<String>,
    /// It has a PIN of its own within the group.
    own_pin: bool,
    /// Where it is in its life.
    status: Status,
    /// From when on it opens.
    starts_at: Option<Moment>,
    /// From when on it opens no more.
    ends_at: Option<Moment>,
    /// The lock's own word that it is as recorded.
    proven: Option<Proof>,
    /// The lock's last word that it held the code, whatever became of it since.
    last_proven: Option<Proof>,
    /// The lock's own word that it holds the code no more.
    removed: Option<Proof>,
    /// It opens what it should not; or it has begun, or begins within the hour, and is not proven though it has been due for a minute, or its lock does not answer.
    problem: bool,
    /// What it waits for.
    waiting: Option<Wait>,
    /// The times that the lock goes on enforcing until it has taken the new ones.
    still_on_lock: Option<Times>,
    /// What to do about it.
    hint: Option<&'static str>,
}

/// The lock's own word for what it holds.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "proof")]
pub(super) struct Proof {
    /// By a read of the lock, or by its acknowledgement where it cannot be read.
    pub how: How,
    /// When.
    pub at: Moment,
    /// Whether the clock was trusted then; else it was at this time or later.
    pub clock_trusted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum How {
    ReadBack,
    Acknowledged,
}

impl From<Proven> for Proof {
    fn from(proven: Proven) -> Proof {
        Proof {
            how: match proven.how {
                model::How::ReadBack => How::ReadBack,
                model::How::Acknowledged => How::Acknowledged,
            },
            at: Moment(proven.at),
            clock_trusted: proven.clock_trusted,
        }
    }
}

/// What a code waits for.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "wait")]
struct Wait {
    /// What is to be reached.
    aim: Aim,
    /// Why it is not yet.
    reason: &'static str,
    /// Since when.
    since: Moment,
    /// How often it was tried.
    tries: u32,
    /// When it is tried next; `null` while that depends on another code being taken off.
    next_try: Option<Moment>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Aim {
    Set,
    Remove,
}

impl From<gateway::Aim> for Aim {
    fn from(aim: gateway::Aim) -> Aim {
        match aim {
            gateway::Aim::Set => Aim::Set,
            gateway::Aim::Remove => Aim::Remove,
        }
    }
}

/// Times of a code.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "times")]
struct Times {
    /// From when on it opens.
    starts_at: Option<Moment>,
    /// From when on it opens no more.
    ends_at: Option<Moment>,
}

/// The receipt of a group, with the name and the times of those members that are not over, if there are any.
#[must_use]
pub fn receipt(members: &[MemberReceipt], now: Timestamp, pins: Pins) -> Receipt {
    let proven = members.iter().filter(|member| member.proven.is_some()).count();
    let mut codes = members.iter().map(|member| &member.code);
    let first = codes
        .clone()
        .find(|code| !code.over(now))
        .or_else(|| codes.next());
    let (starts_at, ends_at) = first.map_or((None, None), |code| bounds(code.window));
    Receipt {
        common_code_key: first.and_then(|code| code.group.as_ref().map(ToString::to_string)),
        name: first.and_then(|code| code.name.clone()),
        starts_at,
        ends_at,
        proven,
        members: members.len(),
        all_proven: proven == members.len(),
        problem: members.iter().any(|member| member.problem),
        receipts: members.iter().map(|m| member(m, pins)).collect(),
    }
}

fn member(member: &MemberReceipt, pins: Pins) -> Member {
    let code = &member.code;
    let (starts_at, ends_at) = bounds(code.window);
    Member {
        device_id: code.device.0,
        device_name: member.device_name.clone(),
        access_code_id: code.code.0,
        code: pins.show(&code.pin),
        own_pin: code.own_pin,
        status: code.status.into(),
        starts_at,
        ends_at,
        proven: member.proven.map(Proof::from),
        last_proven: member.last_proven.map(Proof::from),
        removed: member.removed.map(Proof::from),
        problem: member.problem,
        waiting: waiting(code),
        still_on_lock: times_on_lock(code),
        hint: hint(code),
    }
}

/// What a member waits for: its row in the queue, or its time.
fn waiting(code: &CodeView) -> Option<Wait> {
    Some(match code.pending.as_ref()? {
        Pending::Deferred { until } => Wait {
            aim: Aim::Set,
            reason: "not_due",
            since: Moment(code.created_at),
            tries: 0,
            next_try: Some(Moment(*until)),
        },
        Pending::Queued(row) => Wait {
            aim: row.aim.into(),
            reason: row.reason.word(),
            since: Moment(row.since),
            tries: row.tries,
            next_try: row.next_try.map(Moment),
        },
    })
}

fn times_on_lock(code: &CodeView) -> Option<Times> {
    let Some(Pending::Queued(row)) = &code.pending else {
        return None;
    };
    let change = row.update.as_ref()?;
    let (starts_at, ends_at) = bounds(change.window_from);
    (change.window_from != change.window_to).then_some(Times { starts_at, ends_at })
}

fn hint(code: &CodeView) -> Option<&'static str> {
    Some(match code.pending.as_ref()? {
        Pending::Deferred { .. } => "Nothing to do: it goes onto the lock in time.",
        Pending::Queued(row) => waiting_hint(row.reason),
    })
}

/// What to do about a command that waits, in a sentence.
#[must_use]
pub fn waiting_hint(reason: Waiting) -> &'static str {
    match reason {
        Waiting::InLine => "Nothing to do: its turn comes.",
        Waiting::Silent => "Check the lock's batteries, move the gateway nearer, or add one.",
        Waiting::RadioAway(away) => away.hint(),
        Waiting::NoSlot => "Nothing to do: a place gets free when another code is taken off.",
        Waiting::Refused(Objection::Full) => "Delete codes that nobody needs from the lock.",
        Waiting::Refused(Objection::Duplicate) => {
            "Remove the code with this PIN at the lock, or make a new access code."
        }
        Waiting::Refused(Objection::SlotTaken) => "Remove the foreign code at the lock.",
        Waiting::Refused(Objection::Credential) => "Pair the lock with the gateway again.",
        Waiting::Refused(Objection::Unsecured) => {
            "Exclude the lock and join it again with S2, or allow it with allow_unsecured."
        }
        Waiting::Refused(Objection::Other) => "Check the lock; it may be in a mode that takes no codes.",
        Waiting::Denied => "Nothing to do yet: the gateway tries again.",
        Waiting::GoneSinceExport => {
            "Say `lockbridge verify DEVICE` for its lock, or update the code, to set it again; else delete it."
        }
        Waiting::NotKept => {
            "Check the lock, which loses what it is told; `lockbridge verify DEVICE`, or an update of the code, tries at once."
        }
    }
}

/// A job, member by member.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "job")]
pub struct Job {
    /// Its id.
    job_id: String,
    /// What it asks for.
    verb: &'static str,
    /// How far it is.
    phase: Phase,
    /// When it was accepted or refused.
    at: Moment,
    /// When its last member was settled.
    done_at: Option<Moment>,
    /// Members that are settled.
    settled: usize,
    /// Members in all.
    members: usize,
    /// Member by member.
    receipts: Vec<JobMember>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// The same for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// What each device objects to.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasons: Option<Vec<DeviceReason>>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Phase {
    Rejected,
    Accepted,
    Done,
}

/// One member of a job: its receipt, as long as the code is there.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "job_member")]
struct JobMember {
    /// How the code is now.
    #[serde(flatten)]
    now: JobMemberNow,
    /// Its lock said that the code is as this job wants it, or a later job changed or deleted it, or its time is over.
    settled: bool,
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
enum JobMemberNow {
    Here(Box<Member>),
    Gone {
        /// Its device.
        device_id: Uuid,
        /// Its id.
        access_code_id: Uuid,
        /// The code is gone.
        status: Nothing,
    },
}

/// A job.
#[must_use]
pub fn job(view: &JobView, pins: Pins) -> Job {
    let refused = match &view.answer {
        Answer::Refused(refusal) => Some(refusal),
        _ => None,
    };
    Job {
        job_id: view.id.to_string(),
        verb: view.verb.word(),
        phase: match view.phase {
            gateway::Phase::Rejected => Phase::Rejected,
            gateway::Phase::Accepted => Phase::Accepted,
            gateway::Phase::Done => Phase::Done,
        },
        at: Moment(view.at),
        done_at: view.done_at.map(Moment),
        settled: view.members.iter().filter(|member| member.settled).count(),
        members: view.members.len(),
        receipts: view.members.iter().map(|m| job_member(m, pins)).collect(),
        reason: refused.map(|refusal| refusal.reason.word()),
        message: refused.map(|refusal| refusal.message.clone()),
        reasons: refused.map(reasons),
    }
}

fn job_member(view: &JobMemberView, pins: Pins) -> JobMember {
    JobMember {
        now: match &view.now {
            Some(receipt) => JobMemberNow::Here(Box::new(member(receipt, pins))),
            None => JobMemberNow::Gone {
                device_id: view.device.0,
                access_code_id: view.code.0,
                status: Nothing,
            },
        },
        settled: view.settled,
    }
}

/// What a device waits for.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "queue")]
pub struct Queue {
    /// The device.
    device_id: Uuid,
    /// Commands, most pressing first.
    queue: Vec<Row>,
    /// Codes that wait for their time: they have no command yet.
    upcoming: Vec<Upcoming>,
}

/// A command that waits.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "queue_row")]
struct Row {
    /// The access code.
    access_code_id: Uuid,
    /// The code stands on the lock already, with other content.
    is_update: bool,
    /// What it waits for.
    #[serde(flatten)]
    wait: Wait,
    /// What to do about it.
    hint: &'static str,
}

/// A code that waits for its time.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "upcoming")]
struct Upcoming {
    /// The access code.
    access_code_id: Uuid,
    /// What is to be reached.
    aim: Aim,
    /// When.
    scheduled_at: Moment,
}

/// What a device waits for: its commands, and those of its codes that wait for their time.
#[must_use]
pub fn queue(device: DeviceId, rows: &[QueueView], codes: &[CodeView]) -> Queue {
    let row = |row: &QueueView| Row {
        access_code_id: row.code.0,
        is_update: row.update.is_some(),
        wait: Wait {
            aim: row.aim.into(),
            reason: row.reason.word(),
            since: Moment(row.since),
            tries: row.tries,
            next_try: row.next_try.map(Moment),
        },
        hint: waiting_hint(row.reason),
    };
    let upcoming = |code: &CodeView| match &code.pending {
        Some(Pending::Deferred { until }) => Some(Upcoming {
            access_code_id: code.code.0,
            aim: Aim::Set,
            scheduled_at: Moment(*until),
        }),
        Some(Pending::Queued(_)) | None => None,
    };
    Queue {
        device_id: device.0,
        queue: rows.iter().map(row).collect(),
        upcoming: codes.iter().filter_map(upcoming).collect(),
    }
}
