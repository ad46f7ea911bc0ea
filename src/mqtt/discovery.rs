//! What Home Assistant is told of locks and gateway, so that it shows them by itself. Pure.
//!
//! It reads `<prefix>/device/<node>/<object>/config`, all of a device in one message (from 2024.12 on), or
//! `<prefix>/<platform>/<node>/<object>/config`, one message for each entity. Of the first it refuses the whole if it does
//! not know one key at the top, in `device` or in `origin`: so there is nothing in them that any version since lacks.
//! What an entity shows is read by templates from the topics of the tree, which stay what they are.
//!
//! A message removes an entity only by its platform alone, and the whole device only by being empty; and only
//! while Home Assistant listens, and knows it since its own start. See `Session::recall`.

use serde_json::{Map, Value, json};

use super::topic::{Topic, Tree};
use crate::config::Discovery;
use crate::gateway::view::DeviceView;
use crate::model::DeviceId;

/// Whose entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// The gateway's own.
    Gateway,
    /// A lock's.
    Lock(DeviceId),
}

/// A message that Home Assistant is told: about a device, or about one entity of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Announcement {
    whose: Whose,
    /// `None`: all of them in one message.
    entity: Option<Entity>,
}

/// What is to be known of a lock.
pub struct Lock<'a> {
    device: DeviceId,
    name: &'a str,
    driver: &'a str,
    bolt: Bolt,
}

/// What a lock's bolt is in Home Assistant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bolt {
    /// A lock, to be moved.
    Moved,
    /// A sensor, to be looked at: Home Assistant has no lock without a topic for commands.
    LookedAt,
    /// One or the other, nobody knows any more.
    Either,
}

impl<'a> Lock<'a> {
    /// One that is part of this gateway; `None` if it is no more.
    pub fn of(lock: &'a DeviceView) -> Option<Lock<'a>> {
        (!lock.removed).then_some(Lock {
            device: lock.device,
            name: lock.nickname.as_ref().unwrap_or(&lock.name),
            driver: &lock.driver,
            bolt: match lock.remote_unlock {
                true => Bolt::Moved,
                false => Bolt::LookedAt,
            },
        })
    }

    /// One that left, with all that it ever may have had, so that all of it is taken away.
    pub fn gone(device: DeviceId) -> Lock<'static> {
        Lock {
            device,
            name: "a lock that left",
            driver: "none",
            bolt: Bolt::Either,
        }
    }

    fn has(&self, entity: Entity) -> bool {
        match entity {
            Entity::Lock => self.bolt != Bolt::LookedAt,
            Entity::Bolt => self.bolt != Bolt::Moved,
            _ => true,
        }
    }
}

/// Something that is shown, and has an id of its own for good: a word here is never renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Entity {
    /// See [`Bolt`].
    Lock,
    Bolt,
    Battery,
    Signal,
    LastSeen,
    LastHeard,
    Waiting,
    Drift,
    Activity,
    Check,
    Online,
    Version,
    Clock,
    Jobs,
    LocksOnline,
    AllWaiting,
    Overdue,
    Groups,
    CheckAll,
}

const OF_A_LOCK: [Entity; 10] = [
    Entity::Lock,
    Entity::Bolt,
    Entity::Battery,
    Entity::Signal,
    Entity::LastSeen,
    Entity::LastHeard,
    Entity::Waiting,
    Entity::Drift,
    Entity::Activity,
    Entity::Check,
];

const OF_THE_GATEWAY: [Entity; 9] = [
    Entity::Online,
    Entity::Version,
    Entity::Clock,
    Entity::Jobs,
    Entity::LocksOnline,
    Entity::AllWaiting,
    Entity::Overdue,
    Entity::Groups,
    Entity::CheckAll,
];

/// What the events of a lock are called in Home Assistant.
const ACTIVITIES: [&str; 7] = [
    "code_used",
    "by_hand",
    "by_radio",
    "by_itself",
    "access_denied",
    "jammed",
    "tampered",
];

/// Renders to nothing for every other event, which Home Assistant then leaves alone.
const ACTIVITY: &str = "\
    {% set moved = {'keycode': 'code_used', 'manual': 'by_hand', 'remote': 'by_radio', 'automatic': 'by_itself'} %}\
    {% set other = {'lock.access_denied': 'access_denied', 'lockbridge.lock.jammed': 'jammed', \
    'device.tampered': 'tampered'} %}\
    {% set kind = other.get(value_json.event_type, moved.get(value_json.get('method'))) %}\
    {% if kind %}{{ {'event_type': kind, 'happened': value_json.event_type, \
    'occurred_at': value_json.get('occurred_at'), 'access_code_id': value_json.get('access_code_id'), \
    'access_code_name': value_json.get('access_code_name')} | tojson }}{% endif %}";

/// What must be there for an entity to be worth anything.
#[derive(Clone, Copy)]
enum Needs {
    /// The lock's word: so both must be online.
    Lock,
    /// The gateway's word, which matters most while the lock is away.
    Gateway,
    /// Nothing: it tells just that.
    Nothing,
}

/// Every message about a device, in a form.
pub fn announcements(form: Discovery, whose: Whose) -> Vec<Announcement> {
    let entities: &[Entity] = match whose {
        Whose::Gateway => &OF_THE_GATEWAY,
        Whose::Lock(_) => &OF_A_LOCK,
    };
    let entity = |entity: &Entity| Announcement {
        whose,
        entity: Some(*entity),
    };
    match form {
        Discovery::Off => Vec::new(),
        Discovery::Device => vec![Announcement { whose, entity: None }],
        Discovery::Component => entities.iter().map(entity).collect(),
    }
}

impl Announcement {
    /// Whose entities it tells of.
    pub fn whose(self) -> Whose {
        self.whose
    }

    /// Whether it has anything to say of a lock.
    pub fn is_of(self, lock: &Lock<'_>) -> bool {
        self.entity.is_none_or(|entity| lock.has(entity))
    }

    /// Where it goes.
    pub fn topic(self, tree: &Tree) -> Topic {
        let object = object(self.whose);
        match self.entity {
            None => tree.discovery("device", &object),
            Some(entity) => tree.discovery(entity.platform(), &format!("{object}-{}", entity.word())),
        }
    }

    /// What it says of the gateway; `None` of a lock.
    pub fn of_gateway(self, tree: &Tree) -> Option<Value> {
        self.told(&About { tree, lock: None })
    }

    /// What it says of a lock; `None` if that lock has no such entity.
    pub fn of_lock(self, tree: &Tree, lock: &Lock<'_>) -> Option<Value> {
        self.told(&About {
            tree,
            lock: Some(lock),
        })
    }

    fn told(self, about: &About<'_>) -> Option<Value> {
        let Some(entity) = self.entity else {
            return Some(about.all());
        };
        let mut told = about.entity(entity)?;
        told.insert("device".into(), about.device());
        told.insert("origin".into(), origin());
        Some(told.into())
    }
}

impl Entity {
    fn platform(self) -> &'static str {
        match self {
            Entity::Lock => "lock",
            Entity::Bolt | Entity::Drift | Entity::Online | Entity::Clock | Entity::Groups => "binary_sensor",
            Entity::Activity => "event",
            Entity::Check | Entity::CheckAll => "button",
            Entity::Battery
            | Entity::Signal
            | Entity::LastSeen
            | Entity::LastHeard
            | Entity::Waiting
            | Entity::Version
            | Entity::Jobs
            | Entity::LocksOnline
            | Entity::AllWaiting
            | Entity::Overdue => "sensor",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Entity::Lock => "lock",
            Entity::Bolt => "bolt",
            Entity::Battery => "battery",
            Entity::Signal => "signal",
            Entity::LastSeen => "last_seen",
            Entity::LastHeard => "last_heard",
            Entity::Waiting | Entity::AllWaiting => "codes_waiting",
            Entity::Drift => "drift",
            Entity::Activity => "activity",
            Entity::Check | Entity::CheckAll => "check",
            Entity::Online => "online",
            Entity::Version => "version",
            Entity::Clock => "clock",
            Entity::Jobs => "jobs_open",
            Entity::LocksOnline => "locks_online",
            Entity::Overdue => "codes_overdue",
            Entity::Groups => "groups",
        }
    }

    fn needs(self) -> Needs {
        match self {
            Entity::Lock
            | Entity::Bolt
            | Entity::Battery
            | Entity::Signal
            | Entity::Activity
            | Entity::Check => Needs::Lock,
            Entity::Online => Needs::Nothing,
            Entity::LastSeen
            | Entity::LastHeard
            | Entity::Waiting
            | Entity::Drift
            | Entity::Version
            | Entity::Clock
            | Entity::Jobs
            | Entity::LocksOnline
            | Entity::AllWaiting
            | Entity::Overdue
            | Entity::Groups
            | Entity::CheckAll => Needs::Gateway,
        }
    }
}

/// What is told of: a lock, or else the gateway.
struct About<'a> {
    tree: &'a Tree,
    lock: Option<&'a Lock<'a>>,
}

impl About<'_> {
    fn whose(&self) -> Whose {
        self.lock.map_or(Whose::Gateway, |lock| Whose::Lock(lock.device))
    }

    /// The id of the device in Home Assistant. It names the gateway too: a lock that two gateways serve is two
    /// devices, or they would be taken for one without a word.
    fn id(&self) -> String {
        format!("{}-{}", self.tree.node(), object(self.whose()))
    }

    fn device(&self) -> Value {
        let gateway = About {
            tree: self.tree,
            lock: None,
        };
        match self.lock {
            Some(lock) => json!({
                "identifiers": [self.id()],
                "name": lock.name,
                "model": lock.driver,
                "via_device": gateway.id(),
            }),
            None => json!({
                "identifiers": [self.id()],
                "name": self.tree.title(),
                "manufacturer": "lockbridge",
                "sw_version": env!("CARGO_PKG_VERSION"),
            }),
        }
    }

    /// All entities in one message. One that this lock has not is told by its platform alone, which takes
    /// away what an earlier message told.
    fn all(&self) -> Value {
        let entities: &[Entity] = match self.lock {
            Some(_) => &OF_A_LOCK,
            None => &OF_THE_GATEWAY,
        };
        let component = |entity: &Entity| {
            let mut told = self.entity(*entity).unwrap_or_default();
            told.insert("platform".into(), entity.platform().into());
            (entity.word().to_owned(), Value::from(told))
        };
        let components: Map<String, Value> = entities.iter().map(component).collect();
        json!({ "device": self.device(), "origin": origin(), "components": components })
    }

    /// One entity as Home Assistant knows them, but for the device that it belongs to; `None` if this lock has none.
    fn entity(&self, entity: Entity) -> Option<Map<String, Value>> {
        let mut told = match self.lock {
            Some(lock) if !lock.has(entity) => return None,
            Some(lock) => self.of_lock(entity, lock)?,
            None => self.of_gateway(entity)?,
        };
        told["unique_id"] = format!("{}-{}", self.id(), entity.word()).into();
        // Older versions hand it down from nowhere.
        told["qos"] = 1.into();
        let status = self.tree.status();
        let mut topics = match entity.needs() {
            Needs::Lock | Needs::Gateway => vec![json!({ "topic": status.as_str() })],
            Needs::Nothing => Vec::new(),
        };
        if let (Needs::Lock, Some(lock)) = (entity.needs(), self.lock) {
            topics.push(json!({ "topic": self.tree.device_status(lock.device).as_str() }));
        }
        if !topics.is_empty() {
            told["availability"] = topics.into();
            // Else the last word of any of them would count.
            told["availability_mode"] = "all".into();
        }
        match told {
            Value::Object(told) => Some(told),
            _ => None,
        }
    }

    fn of_lock(&self, entity: Entity, lock: &Lock<'_>) -> Option<Value> {
        let state = self.tree.device_state(lock.device);
        let state = state.as_str();
        Some(match entity {
            Entity::Lock => json!({
                "name": null,
                "state_topic": state,
                "command_topic": self.tree.word(lock.device).as_str(),
                "optimistic": false,
                "value_template": "{{ 'LOCKED' if value_json.locked is true else \
                                   'UNLOCKED' if value_json.locked is false else 'None' }}",
            }),
            // "On" is open.
            Entity::Bolt => json!({
                "name": null,
                "device_class": "lock",
                "state_topic": state,
                "value_template": "{{ 'OFF' if value_json.locked is true else \
                                   'ON' if value_json.locked is false else 'None' }}",
            }),
            Entity::Battery => json!({
                "device_class": "battery",
                "state_class": "measurement",
                "unit_of_measurement": "%",
                "entity_category": "diagnostic",
                "state_topic": state,
                "value_template": "{{ value_json.battery }}",
            }),
            Entity::Signal => json!({
                "device_class": "signal_strength",
                "state_class": "measurement",
                "unit_of_measurement": "dBm",
                "entity_category": "diagnostic",
                "state_topic": state,
                "value_template": "{{ value_json.rssi }}",
            }),
            Entity::LastSeen => moment("Last seen", state, "{{ value_json.last_seen }}"),
            Entity::LastHeard => moment("Last heard", state, "{{ value_json.last_heard }}"),
            Entity::Waiting => json!({
                "name": "Codes waiting",
                "icon": "mdi:key-wireless",
                "state_class": "measurement",
                "state_topic": state,
                "value_template": "{{ value_json.pending }}",
                "json_attributes_topic": state,
                "json_attributes_template": "{{ {'next_try': value_json.next_try, \
                                             'reason': value_json.reason} | tojson }}",
            }),
            Entity::Drift => json!({
                "name": "Code drift",
                "device_class": "problem",
                "entity_category": "diagnostic",
                "state_topic": state,
                "value_template": "{{ 'ON' if value_json.drift else 'OFF' }}",
            }),
            Entity::Activity => json!({
                "name": "Activity",
                "icon": "mdi:dialpad",
                "event_types": ACTIVITIES,
                "state_topic": self.tree.event(Some(lock.device)).as_str(),
                "value_template": ACTIVITY,
            }),
            Entity::Check => self.check("Check codes now", &json!({ "device_id": lock.device.0 })),
            _ => return None,
        })
    }

    fn of_gateway(&self, entity: Entity) -> Option<Value> {
        let (info, summary) = (self.tree.info(), self.tree.summary());
        let (info, summary) = (info.as_str(), summary.as_str());
        let count = |name: &str, icon: &str, template: &str| {
            json!({
                "name": name,
                "icon": icon,
                "state_class": "measurement",
                "state_topic": summary,
                "value_template": template,
            })
        };
        Some(match entity {
            Entity::Online => json!({
                "device_class": "connectivity",
                "entity_category": "diagnostic",
                "state_topic": self.tree.status().as_str(),
                "payload_on": "online",
                "payload_off": "offline",
            }),
            Entity::Version => json!({
                "name": "Version",
                "icon": "mdi:tag",
                "entity_category": "diagnostic",
                "state_topic": info,
                "value_template": "{{ value_json.version }}",
            }),
            Entity::Clock => json!({
                "name": "Clock",
                "device_class": "problem",
                "entity_category": "diagnostic",
                "state_topic": info,
                "value_template": "{{ 'OFF' if value_json.clock.trust == 'trusted' else 'ON' }}",
                "json_attributes_topic": info,
                "json_attributes_template": "{{ {'trust': value_json.clock.trust, \
                                             'source': value_json.clock.source} | tojson }}",
            }),
            Entity::Jobs => count("Jobs open", "mdi:tray-full", "{{ value_json.jobs_open }}"),
            Entity::LocksOnline => {
                let mut told = count(
                    "Locks online",
                    "mdi:lock-check",
                    "{{ value_json.devices_online }}",
                );
                told["json_attributes_topic"] = summary.into();
                told["json_attributes_template"] = "{{ {'of': value_json.devices} | tojson }}".into();
                told
            }
            Entity::AllWaiting => count(
                "Codes waiting",
                "mdi:key-wireless",
                "{{ value_json.codes_waiting }}",
            ),
            Entity::Overdue => {
                let mut told = count("Codes overdue", "mdi:key-alert", "{{ value_json.codes_overdue }}");
                told["json_attributes_topic"] = summary.into();
                told["json_attributes_template"] =
                    "{{ {'since': value_json.overdue_since} | tojson }}".into();
                told
            }
            Entity::Groups => json!({
                "name": "Groups",
                "device_class": "problem",
                "state_topic": summary,
                "value_template": "{{ 'ON' if value_json.stays_with_problem else 'OFF' }}",
                "json_attributes_topic": summary,
                "json_attributes_template": "{{ {'count': value_json.stays_with_problem, \
                                             'groups': value_json.problem_groups} | tojson }}",
            }),
            Entity::CheckAll => self.check("Check all codes now", &json!({})),
            _ => return None,
        })
    }

    fn check(&self, name: &str, which: &Value) -> Value {
        json!({
            "name": name,
            "icon": "mdi:lock-question",
            "entity_category": "diagnostic",
            "command_topic": self.tree.verify().as_str(),
            "payload_press": which.to_string(),
        })
    }
}

fn moment(name: &str, topic: &str, template: &str) -> Value {
    json!({
        "name": name,
        "device_class": "timestamp",
        "entity_category": "diagnostic",
        "state_topic": topic,
        "value_template": template,
    })
}

fn origin() -> Value {
    json!({ "name": "lockbridge", "sw_version": env!("CARGO_PKG_VERSION") })
}

fn object(whose: Whose) -> String {
    match whose {
        Whose::Gateway => "gateway".to_owned(),
        Whose::Lock(device) => device.to_string(),
    }
}

#[cfg(test)]
mod tests;
