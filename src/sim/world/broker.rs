//! The broker, and behind it callers and a dashboard: answers and events leave by it, once they are durable.

use std::time::Duration;

use uuid::Uuid;

use super::{What, World};
use crate::gateway::Event;
use crate::model::{JobId, Mono};

/// From the gateway to the broker, and back.
const WAY: Duration = Duration::from_millis(50);

/// What is known beyond the gateway.
#[derive(Default)]
pub(super) struct Broker {
    /// It is away until then.
    pub away_until: Option<(Mono, bool)>,
    /// The last event that the dashboard saw.
    seen: u64,
    /// Number of the courier under way.
    courier: u64,
    on_its_way: bool,
}

/// Whether a job comes over MQTT and is answered there; the others are answered where they ask.
pub(super) fn by_broker(job: u32) -> bool {
    job.is_multiple_of(2) && job < 1_000_000
}

impl World {
    /// Something may wait to be taken away.
    pub(super) fn call_courier(&mut self) {
        let waits = self.gateway.as_ref().is_some_and(|gateway| {
            gateway.last_event() > self.broker.seen || gateway.replies().next().is_some()
        });
        if waits && !self.broker.on_its_way && self.broker.away_until.is_none() {
            self.broker.on_its_way = true;
            self.broker.courier += 1;
            self.push(self.now + WAY, What::Courier(self.broker.courier));
        }
    }

    /// Takes away what is durable: answers to their callers, events to the dashboard.
    pub(super) fn courier(&mut self, number: u64) {
        if number != self.broker.courier {
            return;
        }
        self.broker.on_its_way = false;
        let Some(gateway) = self.gateway.as_ref().filter(|_| self.broker.away_until.is_none()) else {
            return;
        };
        // What is not durable yet must not be told; it comes back when it is.
        if gateway.last_ticket() > self.synced {
            return;
        }
        let (now, seen) = (gateway.now(self.reading()), self.broker.seen);
        let answers: Vec<_> = gateway
            .replies()
            .filter_map(|(seq, reply)| Some((seq, gateway.job(&reply.job, now)?)))
            .collect();
        let (lost, run) = gateway.events_after(seen, usize::MAX);
        // What went before the dashboard saw it is told to it, and is only what there is no more.
        let oldest = gateway.events().next().map_or(0, |oldest| oldest.seq);
        let first = run.first().map_or(seen + 1, |event| event.seq);
        let last = run.last().map_or(seen, |event| event.seq);
        let told = match lost {
            Some(_) if first > oldest => Some(format!("event {first} follows event {seen}")),
            _ if last < gateway.last_event() => Some(format!("there is a gap behind event {last}")),
            _ if gateway.last_event() < seen => Some(format!("event {seen} was told, and there is none")),
            _ => None,
        };
        if let Some(seen) = told {
            let violation = self.clock().violation("I10", seen);
            return self.note_verdict(Err(violation));
        }
        self.broker.seen = last;
        self.note(40, last, answers.len() as u64, |_| {
            format!("the broker has event {last} and {} answers", answers.len())
        });
        for (seq, view) in answers {
            if let Some(job) = number_of(&view.id) {
                self.hear(job, &view.answer);
            }
            self.tell(Event::ReplySent(seq), "sent", seq);
        }
        if self.broker.seen > seen {
            self.tell(Event::EventsSent(self.broker.seen), "events", self.broker.seen);
        }
    }
}

/// The number of a job in the plan.
fn number_of(id: &JobId) -> Option<u32> {
    let id = Uuid::parse_str(id.as_str()).ok()?;
    u32::try_from(id.as_u128()).ok()
}
