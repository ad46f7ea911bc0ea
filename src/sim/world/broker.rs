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
    job % 2 == 0 && job < 1_000_000
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
        let mut next = seen + 1;
        let mut told = None;
        for event in gateway.events_after(seen) {
            // The oldest may be gone by now, which the dashboard is told.
            let pruned = next == seen + 1 && gateway.events().next().is_some_and(|oldest| oldest.seq > next);
            if event.seq != next && !pruned {
                told = Some(format!("event {} follows event {}", event.seq, next - 1));
            }
            next = event.seq + 1;
        }
        if next <= seen {
            told = Some(format!("event {seen} was told, and there is no such event"));
        }
        if let Some(seen) = told {
            let violation = self.clock().violation("I10", seen);
            return self.note_verdict(Err(violation));
        }
        self.broker.seen = next - 1;
        self.note(40, next - 1, answers.len() as u64, |_| {
            format!("the broker has event {} and {} answers", next - 1, answers.len())
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
