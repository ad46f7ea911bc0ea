//! Answers and state out: what there is to send, as far as the broker takes it.

use std::collections::BTreeSet;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{PACE, Session};
use crate::gateway::Event;
use crate::model::Mono;
use crate::mqtt::body::{self, Item, Picture};
use crate::mqtt::discovery::Announcement;
use crate::mqtt::link::{Link, Message, NotTaken, Number};
use crate::mqtt::topic::Topic;
use crate::shell::Stopping;

/// Before a message that the broker refused is tried again.
const AFTER_REFUSAL: Duration = Duration::from_secs(60);
/// Pictures made at one look, during which the core does nothing else.
const LOOK: usize = 8;

/// A message that the broker has not yet settled.
pub enum Sent {
    /// An answer that the core keeps.
    Answer(u64),
    /// An event, or the first of those of which it is told that they are lost.
    Event(u64),
    /// A picture.
    Shown(Item),
    /// Something that is not tried again.
    Once(Topic),
}

/// What became of a message that was to be handed over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Handed {
    /// The link has it.
    Over,
    /// The broker would not take it, now or later.
    Never,
    /// The connection is gone, and the link about to say so: all of this comes again.
    Down,
}

impl<L: Link> Session<L> {
    pub(super) fn was_refused(&mut self, number: Number, why: &str) {
        let again = self.core.clock().now().mono + AFTER_REFUSAL;
        match self.on_their_way.remove(&number) {
            Some(Sent::Answer(seq)) => {
                tracing::error!(
                    seq,
                    why,
                    "the MQTT broker refused an answer; it will be tried again"
                );
                self.put_off(seq, again);
            }
            Some(Sent::Event(seq)) => {
                tracing::error!(
                    seq,
                    why,
                    "the MQTT broker refused an event; it will be tried again"
                );
                self.hold_events(seq, again);
            }
            Some(Sent::Shown(item)) => {
                let topic = item.topic(&self.frame.tree);
                tracing::error!(%topic, why, "the MQTT broker refused a message; it will be tried again");
                self.shown.remove(&item);
                self.agenda.at(item, again);
            }
            Some(Sent::Once(topic)) => tracing::error!(%topic, why, "the MQTT broker refused a message"),
            None => {}
        }
    }

    /// Events stay in their order: none goes out before the one that was refused.
    fn hold_events(&mut self, refused: u64, until: Mono) {
        self.event = self.event.min(refused.saturating_sub(1));
        self.events_held = true;
        self.refused_until.get_or_insert(until);
    }

    /// Lets the core know how far the broker has followed. Without a connection nobody knows.
    pub(super) async fn keep_place(&mut self) -> Result<(), Stopping> {
        if self.window.is_none() {
            return Ok(());
        }
        let under_way = self.on_their_way.values().filter_map(|sent| match sent {
            Sent::Event(seq) => Some(*seq),
            Sent::Answer(_) | Sent::Shown(_) | Sent::Once(_) => None,
        });
        let before_those = under_way.min().map(|first| first.saturating_sub(1));
        let sent = before_those.map_or(self.event, |before| before.min(self.event));
        if sent > self.events_told {
            self.events_told = sent;
            self.core.tell(Event::EventsSent(sent)).await?;
        }
        Ok(())
    }

    fn put_off(&mut self, answer: u64, until: Mono) {
        self.refused.insert(answer);
        self.refused_until.get_or_insert(until);
    }

    pub(super) fn end_refusals(&mut self) {
        let now = self.core.clock().now().mono;
        if self.refused_until.is_some_and(|until| until <= now) {
            self.refused_until = None;
            self.refused.clear();
            self.answers_wait = true;
            self.events_held = false;
            self.events_wait = true;
        }
    }

    /// Sends what there is to send, until the window is full. Answers go first: somebody waits. Then
    /// how things are, and at last how they came to be so.
    pub(super) async fn send(&mut self) -> Result<(), Stopping> {
        while let Some(space) = self.space() {
            if self.answers_wait {
                self.send_answers(space).await?;
            } else if let Some(topic) = self.strays.pop_first() {
                self.publish(nothing(topic.clone()), Sent::Once(topic));
            } else if let Some((gone, told)) = self.farewells.pop() {
                self.recall(gone, told);
            } else if self.show_some(space).await? {
            } else if self.events_wait && !self.events_held {
                self.send_events(space).await?;
            } else {
                break;
            }
        }
        Ok(())
    }

    async fn send_events(&mut self, space: usize) -> Result<(), Stopping> {
        let (most, last) = (space.min(LOOK), self.event);
        let frame = self.frame.clone();
        let found = self.core.look(move |gateway, now| {
            let (lost, run) = gateway.events_after(last, most);
            let lost = lost.map(|(from, to)| (from, to, body::events_lost(&frame, from, to)));
            let told: Vec<_> = run
                .into_iter()
                .map(|event| (event.seq, event.seq, body::event(&frame, gateway, event, now)))
                .collect();
            let more = told.last().is_some_and(|(_, seq, _)| *seq < gateway.last_event());
            (lost, told, more)
        });
        let (lost, told, more) = found.await?;
        self.events_wait = more;
        for (from, to, message) in lost.into_iter().chain(told) {
            let handed = match self.publish(message, Sent::Event(from)) {
                // So that it does not hold up all after it for ever.
                Handed::Never => {
                    let lost = body::events_lost(&self.frame, from, to);
                    self.publish(lost, Sent::Event(from))
                }
                handed => handed,
            };
            match handed {
                Handed::Over => self.event = to,
                Handed::Never => {
                    self.hold_events(from, self.core.clock().now().mono + AFTER_REFUSAL);
                    break;
                }
                Handed::Down => break,
            }
        }
        Ok(())
    }

    pub(super) fn space(&self) -> Option<usize> {
        let space = self.window?.saturating_sub(self.on_their_way.len());
        (space > 0).then_some(space)
    }

    async fn send_answers(&mut self, space: usize) -> Result<(), Stopping> {
        let most = space.min(LOOK);
        let on_their_way = self.on_their_way.values().filter_map(|sent| match sent {
            Sent::Answer(seq) => Some(*seq),
            Sent::Event(_) | Sent::Shown(_) | Sent::Once(_) => None,
        });
        let skip: BTreeSet<u64> = on_their_way.chain(self.refused.iter().copied()).collect();
        let frame = self.frame.clone();
        let answers = self.core.look(move |gateway, now| {
            let waiting = gateway
                .replies()
                .filter(|(seq, _)| !skip.contains(seq))
                .take(most);
            waiting
                .map(|(seq, reply)| (seq, body::reply(&frame, gateway, reply, now)))
                .collect::<Vec<_>>()
        });
        let answers = answers.await?;
        self.answers_wait = answers.len() == most;
        for (seq, message) in answers {
            match message {
                Some(message) => {
                    if self.publish(message, Sent::Answer(seq)) == Handed::Never {
                        let again = self.core.clock().now().mono + AFTER_REFUSAL;
                        self.put_off(seq, again);
                    }
                }
                // Nothing is known any more that it could say.
                None => self.core.tell(Event::ReplySent(seq)).await?,
            }
        }
        Ok(())
    }

    /// Shows what is due; `false` if nothing is.
    async fn show_some(&mut self, space: usize) -> Result<bool, Stopping> {
        let now = self.core.clock().now().mono;
        let due = std::iter::from_fn(|| self.agenda.take(now));
        let due: Vec<Item> = due.take(space.min(LOOK)).collect();
        if due.is_empty() {
            return Ok(false);
        }
        let frame = self.frame.clone();
        let pictures = self.core.look(move |gateway, now| {
            let look = |item: Item| (item.picture(&frame, gateway, now), item);
            due.into_iter().map(look).collect::<Vec<_>>()
        });
        for (picture, item) in pictures.await? {
            match picture {
                Some(picture) => self.show(item, picture),
                // What Home Assistant was not told it is not told to forget.
                None if matches!(item, Item::Announced(_)) && !self.shown.contains_key(&item) => {}
                None => self.take_away(item),
            }
        }
        Ok(true)
    }

    fn show(&mut self, item: Item, picture: Picture) {
        if let Some(pause) = picture.life.or(picture.again) {
            self.agenda.at(item.clone(), self.core.clock().now().mono + pause);
        }
        let digest: [u8; 32] = Sha256::digest(&picture.payload).into();
        if self.shown.get(&item) == Some(&Some(digest)) {
            return;
        }
        let message = Message {
            topic: item.topic(&self.frame.tree),
            payload: picture.payload,
            retain: true,
            expiry: picture.life,
            correlation: None,
        };
        self.publish(message, Sent::Shown(item.clone()));
        self.shown.insert(item, Some(digest));
    }

    /// Has Home Assistant forget a device that is gone. It listens only to the end of what it was told since its own
    /// start: so it is told, for the moment, and then its end.
    fn recall(&mut self, gone: Announcement, told: Vec<u8>) {
        let topic = gone.topic(&self.frame.tree);
        let message = Message {
            payload: told,
            retain: false,
            ..nothing(topic.clone())
        };
        self.publish(message, Sent::Once(topic));
        let item = Item::Announced(gone);
        self.shown.insert(item.clone(), None);
        self.agenda.at(item, self.core.clock().now().mono + PACE);
    }

    fn take_away(&mut self, item: Item) {
        let message = nothing(item.topic(&self.frame.tree));
        self.shown.remove(&item);
        self.publish(message, Sent::Shown(item));
    }

    /// Hands a message over.
    pub(super) fn publish(&mut self, message: Message, sent: Sent) -> Handed {
        let topic = message.topic.clone();
        match self.link.publish(message) {
            Ok(number) => {
                self.on_their_way.insert(number, sent);
                Handed::Over
            }
            Err(why @ NotTaken::TooLarge { .. }) => {
                tracing::error!(%topic, %why, "a message cannot be sent");
                Handed::Never
            }
            Err(NotTaken::Down) => {
                self.window = None;
                Handed::Down
            }
        }
    }
}

/// The message that takes a retained one away.
pub fn nothing(topic: Topic) -> Message {
    Message {
        topic,
        payload: Vec::new(),
        retain: true,
        expiry: None,
        correlation: None,
    }
}
