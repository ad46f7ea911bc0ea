//! What messages say: answers to callers, and pictures of the state for everybody.
//!
//! A PIN is in an answer and nowhere else (I8). A picture is whole: whoever comes late needs no
//! other message. Keys are added, never renamed.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::command::Aside;
use super::discovery::{self, Announcement, Lock, Whose};
use super::link::Message;
use super::topic::{Topic, Tree};
use crate::api::answer::{self, Pins, Site, Streamed};
use crate::api::time;
use crate::config::Discovery;
use crate::gateway::view::{DeviceView, JobView, Pending};
use crate::gateway::{Answer, Gateway, Phase, Reply, Waiting};
use crate::model::{BATTERY_LOW, Detail, DeviceId, Edit, Event, GroupKey, JobId, Now, Timestamp};

/// Of the bodies below; raised only if a key ever had to change its meaning.
const SCHEMA: u32 = 1;
/// How long a job is shown after its end.
const SHOW_ENDED: Duration = Duration::from_secs(24 * 3600);
/// Groups whose ids are told in a summary: more than a person would read.
const TOLD_GROUPS: usize = 20;
/// How long an answer to a caller is worth keeping at the broker.
const ANSWER_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Something that is shown to everybody, on a topic of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// What this gateway is.
    Info,
    /// How much there is of everything.
    Summary,
    /// Whether a device answers, in a word.
    DeviceStatus(DeviceId),
    /// How a device is.
    DeviceState(DeviceId),
    /// How far a job is.
    Job(JobId),
    /// How far a group is.
    Group(GroupKey),
    /// What Home Assistant is told of a device.
    Announced(Announcement),
    /// That this gateway is connected, and that all of the above was shown.
    Online,
}

/// What is to be seen at a topic.
pub struct Picture {
    /// The message.
    pub payload: Vec<u8>,
    /// It is to be taken away after this time.
    pub life: Option<Duration>,
    /// Time alone may make another one of it, which is to be looked for then.
    pub again: Option<Duration>,
}

/// What is the same in all messages of a gateway.
#[derive(Clone)]
pub struct Frame {
    /// Its topics.
    pub tree: Tree,
    /// Its ids in Seam's world.
    pub site: Site,
    /// Names of guests may be shown to everybody.
    pub show_names: bool,
    /// When it was started.
    pub started_at: Timestamp,
    /// What vouches for its clock.
    pub clock: &'static str,
    /// What Home Assistant is told of devices.
    pub discovery: Discovery,
    /// What no other run of this or any other gateway says of itself.
    pub instance: String,
    /// How often it has connected to the broker.
    pub connection: u64,
}

impl Item {
    /// Where it is shown.
    pub fn topic(&self, tree: &Tree) -> Topic {
        match self {
            Item::Info => tree.info(),
            Item::Summary => tree.summary(),
            Item::DeviceStatus(device) => tree.device_status(*device),
            Item::DeviceState(device) => tree.device_state(*device),
            Item::Job(job) => tree.job(job),
            Item::Group(key) => tree.group(key),
            Item::Announced(announcement) => announcement.topic(tree),
            Item::Online => tree.status(),
        }
    }

    /// What it looks like; `None` if there is nothing to be seen any more.
    pub fn picture(&self, frame: &Frame, gateway: &Gateway, now: Now) -> Option<Picture> {
        let lasting = |payload: Vec<u8>| Picture {
            payload,
            life: None,
            again: None,
        };
        Some(match self {
            Item::Info => lasting(bytes(&info(frame, gateway, now))),
            Item::Summary => Picture {
                again: gateway.summary_again(now).map(|at| at.since(now.wall)),
                ..lasting(bytes(&summary(gateway, now)))
            },
            Item::DeviceStatus(device) => {
                let online = gateway.device(*device, now)?.online;
                lasting(status_word(online).into())
            }
            Item::DeviceState(device) => {
                let state = answer::door_state(&gateway.device(*device, now)?);
                lasting(bytes(&answer::value(&state)))
            }
            Item::Job(job) => {
                let view = gateway.job(job, now)?;
                let life = match gateway.job_ended_at(job) {
                    Some(at) => Some(left(at, now)?),
                    None => None,
                };
                Picture {
                    payload: bytes(&job_state(&view)),
                    life,
                    again: None,
                }
            }
            Item::Group(key) => {
                let mut told = answer::receipt(&gateway.group(key, now)?, now.wall, Pins::Hidden);
                told.name = told.name.filter(|_| frame.show_names);
                Picture {
                    again: gateway.group_again(key, now).map(|at| at.since(now.wall)),
                    ..lasting(answer::text(&told).into_bytes())
                }
            }
            Item::Announced(announcement) => {
                let told = match announcement.whose() {
                    Whose::Gateway => announcement.of_gateway(&frame.tree),
                    Whose::Lock(id) => {
                        let lock = gateway.device(id, now)?;
                        announcement.of_lock(&frame.tree, &Lock::of(&lock)?)
                    }
                };
                lasting(bytes(&told?))
            }
            Item::Online => lasting(status_word(true).into()),
        })
    }
}

/// Everything that there is to show, in the order in which it is shown; [`Item::Online`] is last.
pub fn everything(frame: &Frame, gateway: &Gateway, now: Now) -> Vec<Item> {
    let devices = gateway
        .device_ids()
        .flat_map(|id| [Item::DeviceStatus(id), Item::DeviceState(id)]);
    // What a lock has not is left out, so that it is taken away where a broker keeps it.
    let of_lock = |view: DeviceView| -> Option<Vec<Announcement>> {
        let lock = Lock::of(&view)?;
        let mut told = discovery::announcements(frame.discovery, Whose::Lock(view.device));
        told.retain(|announcement| announcement.is_of(&lock));
        Some(told)
    };
    let locks = gateway.device_ids().filter_map(|id| gateway.device(id, now));
    let announced = discovery::announcements(frame.discovery, Whose::Gateway)
        .into_iter()
        .chain(locks.filter_map(of_lock).flatten())
        .map(Item::Announced);
    let groups = gateway.groups().cloned().map(Item::Group);
    // What ended within the last day is not shown any more, and is taken away once more: a broker
    // that keeps no time would show it for ever.
    let jobs = gateway
        .jobs()
        .filter(|(id, _)| {
            let ended = gateway.job_ended_at(id);
            ended.is_none_or(|at| now.wall.since(at) < 2 * SHOW_ENDED)
        })
        .map(|(id, _)| Item::Job(id.clone()));
    [Item::Info, Item::Summary]
        .into_iter()
        .chain(devices)
        .chain(announced)
        .chain(groups)
        .chain(jobs)
        .chain([Item::Online])
        .collect()
}

/// What Home Assistant is to be told of locks that are no longer part of this gateway, so that it can forget
/// them: see [`Lock::gone`].
pub fn farewells(frame: &Frame, gateway: &Gateway) -> Vec<(Announcement, Vec<u8>)> {
    let told = |id: DeviceId| {
        discovery::announcements(frame.discovery, Whose::Lock(id))
            .into_iter()
            .filter_map(move |one| Some((one, bytes(&one.of_lock(&frame.tree, &Lock::gone(id))?))))
    };
    gateway.departed().flat_map(told).collect()
}

/// How long what ended is still shown; `None` once that is over.
fn left(ended_at: Timestamp, now: Now) -> Option<Duration> {
    let left = (ended_at + SHOW_ENDED).since(now.wall);
    (!left.is_zero()).then_some(left.min(SHOW_ENDED))
}

/// The answer that waits to be sent; `None` if its job is forgotten, or its topic none.
pub fn reply(frame: &Frame, gateway: &Gateway, reply: &Reply, now: Now) -> Option<Message> {
    let view = gateway.job(&reply.job, now)?;
    let mut told = match reply.phase {
        Phase::Done => {
            let mut told = answer::value(&answer::job(&view, Pins::Shown));
            told["ok"] = true.into();
            told
        }
        Phase::Accepted | Phase::Rejected => {
            answer::value(&answer::answer(&frame.site, &view.answer, Pins::Shown))
        }
    };
    told["job_id"] = json!(view.id);
    told["phase"] = json!(reply.phase);
    told["reasons"] = match &view.answer {
        Answer::Refused(refusal) => answer::value(&answer::all_reasons(refusal)),
        Answer::Created(_) | Answer::CreatedOne(_) | Answer::Attempt(_) | Answer::Ok => json!([]),
    };
    Some(Message {
        topic: Topic::parse(&reply.to.topic)?,
        payload: bytes(&told),
        retain: false,
        expiry: Some(reply.expires_at.since(now.wall).min(ANSWER_LIFE)),
        correlation: reply.to.correlation.clone(),
    })
}

/// The answer that no job carries; `None` if nobody wants it.
pub fn aside(aside: Aside) -> Option<Message> {
    let to = aside.to?;
    let (mut told, phase, reasons) = match &aside.told {
        Ok(()) => (json!({ "ok": true }), Phase::Accepted, json!([])),
        Err(refusal) => (
            answer::value(&answer::refusal(refusal)),
            Phase::Rejected,
            answer::value(&answer::all_reasons(refusal)),
        ),
    };
    told["job_id"] = json!(aside.job);
    told["phase"] = json!(phase);
    told["reasons"] = reasons;
    Some(Message {
        topic: Topic::parse(&to.topic)?,
        payload: bytes(&told),
        retain: false,
        expiry: Some(ANSWER_LIFE),
        correlation: to.correlation,
    })
}

/// What happened, for everybody: without PINs, and without names unless they may be shown.
pub fn event(frame: &Frame, gateway: &Gateway, event: &Event, now: Now) -> Message {
    let code = event.code.filter(|_| frame.show_names);
    let name = code.and_then(|code| gateway.code(code, now)?.name);
    let mut event = event.clone();
    if let Detail::Changes(edits) = &mut event.detail
        && !frame.show_names
    {
        edits.retain(|edit| !matches!(edit, Edit::Name { .. }));
    }
    let mut told = answer::value(&Streamed::event(&frame.site, &event));
    if let Some(name) = name {
        told["access_code_name"] = name.into();
    }
    happened(frame.tree.event(event.device), &told)
}

/// That events are gone which nobody sent.
pub fn events_lost(frame: &Frame, from: u64, to: u64) -> Message {
    happened(frame.tree.event(None), &answer::value(&Streamed::lost(from, to)))
}

fn happened(topic: Topic, told: &Value) -> Message {
    Message {
        topic,
        payload: bytes(told),
        retain: false,
        expiry: None,
        correlation: None,
    }
}

fn job_state(view: &JobView) -> Value {
    let mut told = answer::value(&answer::job(view, Pins::Hidden));
    told["reasons"] = match &view.answer {
        Answer::Refused(refusal) => answer::value(&answer::all_reasons(refusal)),
        Answer::Created(_) | Answer::CreatedOne(_) | Answer::Attempt(_) | Answer::Ok => held_up(view),
    };
    told
}

/// Members that something keeps from being done.
fn held_up(view: &JobView) -> Value {
    let open = view.members.iter().filter(|member| !member.settled);
    open.filter_map(|member| match &member.now.as_ref()?.code.pending {
        Some(Pending::Queued(row)) if row.reason != Waiting::InLine => Some(json!({
            "device_id": member.device,
            "reason": row.reason.word(),
            "retryable": true,
            "hint": answer::waiting_hint(row.reason),
        })),
        _ => None,
    })
    .collect()
}

fn info(frame: &Frame, gateway: &Gateway, now: Now) -> Value {
    let devices: Vec<DeviceView> = gateway
        .device_ids()
        .filter_map(|id| gateway.device(id, now))
        .filter(|device| !device.removed)
        .collect();
    json!({
        "schema": SCHEMA,
        "version": env!("CARGO_PKG_VERSION"),
        "started_at": time::show(frame.started_at),
        "instance": frame.instance,
        "connection": frame.connection,
        "devices": devices.len(),
        "devices_online": devices.iter().filter(|device| device.online).count(),
        "jobs_open": gateway.open_jobs(),
        "storage_low": gateway.storage_low(),
        "clock": answer::value(&answer::clock(gateway.clock(), frame.clock)),
    })
}

/// Counts, and nothing of which there may be many but the first few groups.
fn summary(gateway: &Gateway, now: Now) -> Value {
    let sum = gateway.summary(now);
    let here = || sum.devices.iter().filter(|device| !device.removed);
    let count = |wanted: fn(&DeviceView) -> bool| here().filter(|device| wanted(device)).count();
    let overdue_since = sum.overdue_since();
    let groups = sum.groups_with_problem.iter().take(TOLD_GROUPS);
    let groups: Vec<Uuid> = groups.map(Tree::group_level).collect();
    json!({
        "devices": here().count(),
        "devices_online": count(|device| device.online),
        "devices_low_battery": count(|device| device.battery.is_some_and(|left| left < BATTERY_LOW)),
        "devices_with_drift": count(|device| device.drift),
        "unmanaged": here().map(|device| device.unmanaged).sum::<usize>(),
        "jobs_open": sum.jobs_open,
        "codes_waiting": sum.pending(),
        "codes_overdue": sum.overdue(),
        "oldest_overdue_s": overdue_since.map_or(0, |since| now.wall.since(since).as_secs()),
        "overdue_since": overdue_since.map(time::show),
        "groups": sum.groups,
        "groups_running": sum.groups_running,
        "stays_with_problem": sum.stays_with_problem,
        "groups_with_problem": sum.groups_with_problem.len(),
        "problem_groups": groups,
    })
}

/// The words of every `status` topic.
pub fn status_word(online: bool) -> &'static str {
    if online { "online" } else { "offline" }
}

fn bytes(told: &Value) -> Vec<u8> {
    told.to_string().into_bytes()
}
