//! One gateway at a broker: commands in, answers and state out.
//!
//! Nothing that matters is kept here. A command is acknowledged once the core has answered, so
//! that what is lost before comes again. An answer is the core's until the broker has it, and so is
//! the number of the last event that the broker has: events go out in their order from there. State
//! is looked up when it is sent, so that only the newest is. What was shown is remembered for as
//! long as the connection stands, to send no picture twice; with a new connection everything is
//! sent again, for the broker may have forgotten all of it.
//!
//! The broker refusing a message is an alarm in the log, and the message is tried again later.
//!
//! The life of the session stands here, commands in [`inbox`], answers and state in [`outbox`],
//! and what is done about another gateway of our name in [`rivals`].

mod inbox;
mod outbox;
mod rivals;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::sync::{broadcast, watch};
use tokio::time::timeout;

use super::agenda::Agenda;
use super::body::{self, Frame, Item};
use super::discovery::{self, Announcement, Whose};
use super::link::{Happening, Link, Message, Number, Wanted};
use super::topic::Topic;
use crate::gateway::{Event, Gateway, Subject};
use crate::model::Mono;
use crate::shell::{Core, Stopping};
use crate::warnings::Warnings;
use inbox::Judged;
use outbox::{Sent, nothing};
use rivals::Rivals;

/// A thing is shown at most so often; changes in between are shown as one.
const PACE: Duration = Duration::from_secs(1);
/// Commands that are with the core at a time; further ones wait with the broker.
const ASKING: usize = 64;
/// Retained commands that wait to be cleared; further ones come again with the next connection.
const STRAYS: usize = 64;
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// It was told to, or nobody needs it any more.
    Ours,
    /// Another gateway has our name, and was there first.
    Displaced,
}

/// See the front of this file.
pub struct Session<L> {
    link: L,
    core: Core,
    frame: Frame,
    /// Says whether a connection stands.
    connected: watch::Sender<bool>,
    /// How many messages may be on their way; `None` without a connection.
    window: Option<usize>,
    on_their_way: BTreeMap<Number, Sent>,
    /// Commands with the core, in the order in which they came and are acknowledged.
    asking: FuturesOrdered<BoxFuture<'static, Judged>>,
    /// Answers may be waiting that were not looked at.
    answers_wait: bool,
    /// Answers that the broker refused, until this time.
    refused: BTreeSet<u64>,
    refused_until: Option<Mono>,
    agenda: Agenda<Item>,
    /// There may be events that were not handed over.
    events_wait: bool,
    /// The last event that was handed over on this connection.
    event: u64,
    /// The last that the core knows to be with the broker.
    events_told: u64,
    /// The broker refused one; until then none is handed over, or they would overtake it.
    events_held: bool,
    /// Where the broker keeps commands, and is to keep them no more.
    strays: BTreeSet<Topic>,
    /// What Home Assistant is to forget, as it may have been told it before.
    farewells: Vec<(Announcement, Vec<u8>)>,
    /// What may stand at the broker, while it tells what it keeps.
    sweeping: Option<BTreeSet<String>>,
    /// Everything is to be told once more then.
    tell_all_at: Option<Mono>,
    chance: SmallRng,
    rivals: Rivals,
    parting: Parting,
    /// About messages that came.
    warnings: Warnings,
    /// What was shown on this connection; `None` for what only an earlier one has seen.
    shown: BTreeMap<Item, Option<[u8; 32]>>,
}

impl<L: Link> Session<L> {
    /// A session that is not yet connected, and says in `connected` when it is.
    /// `seed` spreads what many gateways would do at one moment.
    pub fn new(link: L, core: Core, frame: Frame, connected: watch::Sender<bool>, seed: u64) -> Session<L> {
        let rivals = Rivals::new(&frame.instance);
        Session {
            link,
            core,
            frame,
            connected,
            window: None,
            on_their_way: BTreeMap::new(),
            asking: FuturesOrdered::new(),
            answers_wait: false,
            refused: BTreeSet::new(),
            refused_until: None,
            agenda: Agenda::new(PACE),
            events_wait: false,
            event: 0,
            events_told: 0,
            events_held: false,
            strays: BTreeSet::new(),
            farewells: Vec::new(),
            sweeping: None,
            tell_all_at: None,
            chance: SmallRng::seed_from_u64(seed),
            rivals,
            parting: Parting::Ours,
            warnings: Warnings::default(),
            shown: BTreeMap::new(),
        }
    }

    /// Goes on until it is told to stop, or has to make room, or the core stops; then says goodbye.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> Parting {
        let mut news = self.core.news();
        let stopping = async move {
            // A handle that was dropped will never say anything: that is not a stop.
            if stop.wait_for(|stop| *stop).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::pin!(stopping);
        let clock = self.core.clock().clone();
        // From the first time on, events wait for a broker that is not there yet.
        if self.core.tell(Event::EventsSent(0)).await.is_err() {
            return self.parting;
        }
        while self.parting == Parting::Ours && self.send().await.is_ok() {
            // While nothing can be sent no time matters but the broker's.
            let times = [self.agenda.next(), self.refused_until, self.tell_all_at];
            let later = times.into_iter().flatten().min();
            let alarm = later.filter(|_| self.space().is_some());
            let went_on = tokio::select! {
                biased;
                () = &mut stopping => break,
                Some(judged) = self.asking.next(), if !self.asking.is_empty() => {
                    self.acknowledge_all(judged);
                    Ok(())
                }
                happening = self.link.next(), if self.asking.len() < ASKING => self.take_all(happening).await,
                changed = news.recv() => self.follow(changed).await,
                () = clock.until(alarm.unwrap_or_default()), if alarm.is_some() => {
                    self.end_refusals();
                    self.tell_all_if_due().await
                }
            };
            if went_on.is_err() {
                break;
            }
        }
        // A link that hangs must not hold up the end of the gateway.
        if timeout(FAREWELL, self.leave()).await.is_err() {
            tracing::warn!("the MQTT broker did not hear our goodbye; it will publish the will");
        }
        self.parting
    }

    /// Takes what has happened by now, before the next look at the core: that may wait for the card.
    async fn take_all(&mut self, first: Happening) -> Result<(), Stopping> {
        self.take(first).await?;
        while self.asking.len() < ASKING {
            let Some(next) = self.link.next().now_or_never() else {
                break;
            };
            self.take(next).await?;
        }
        self.keep_place().await
    }

    fn acknowledge_all(&mut self, first: Judged) {
        self.acknowledge(first);
        while let Some(Some(next)) = self.asking.next().now_or_never() {
            self.acknowledge(next);
        }
    }

    async fn take(&mut self, happening: Happening) -> Result<(), Stopping> {
        match happening {
            Happening::Up { window } => self.begin(window).await?,
            Happening::Down => self.is_down(),
            // The link ends by itself only when nobody needs it.
            Happening::Over => {
                self.is_down();
                return Err(Stopping);
            }
            Happening::Came(delivery) => self.judge(&delivery),
            Happening::Taken(number) => match self.on_their_way.remove(&number) {
                Some(Sent::Answer(seq)) => self.core.tell(Event::ReplySent(seq)).await?,
                Some(Sent::Shown(Item::Online)) => self.end_sweep(),
                Some(Sent::Shown(Item::Info)) => self.rivals.told(),
                _ => {}
            },
            Happening::Refused(number, why) => self.was_refused(number, &why),
        }
        Ok(())
    }

    fn is_down(&mut self) {
        self.window = None;
        self.connected.send_replace(false);
    }

    /// A new connection: nothing of the one before counts.
    async fn begin(&mut self, window: usize) -> Result<(), Stopping> {
        self.window = Some(window);
        self.connected.send_replace(true);
        self.on_their_way.clear();
        self.refused.clear();
        self.refused_until = None;
        self.agenda.clear();
        self.strays.clear();
        self.farewells.clear();
        self.events_held = false;
        self.tell_all_at = None;
        self.rivals.up(self.core.clock().now().mono);
        self.frame.connection += 1;
        let tree = &self.frame.tree;
        let others = [
            (tree.commands(), Wanted::Always),
            (tree.words(), Wanted::Now),
            (tree.birth(), Wanted::Now),
        ];
        for (filter, wanted) in others
            .into_iter()
            .chain(tree.kept().map(|kept| (kept, Wanted::Kept)))
        {
            if let Err(why) = self.link.subscribe(&filter, wanted) {
                tracing::error!(%why, filter, "could not subscribe");
            }
        }
        self.event = self.core.look(|gateway, _| gateway.events_sent()).await?;
        self.events_told = self.event;
        self.shown.values_mut().for_each(|picture| *picture = None);
        let items = self.show_all().await?;
        let topics = items
            .iter()
            .map(|item| item.topic(&self.frame.tree).into_string());
        self.sweeping = Some(topics.collect());
        Ok(())
    }

    /// What the broker kept was told: from here on it is ours to know.
    fn end_sweep(&mut self) {
        if self.sweeping.take().is_none() {
            return;
        }
        for filter in self.frame.tree.kept() {
            if let Err(why) = self.link.unsubscribe(&filter) {
                tracing::debug!(%why, filter, "could not unsubscribe");
            }
        }
    }

    async fn show_all(&mut self) -> Result<Vec<Item>, Stopping> {
        self.answers_wait = true;
        self.events_wait = true;
        let now = self.core.clock().now().mono;
        // What only an earlier connection has seen may be gone by now, and must be taken away.
        for item in self.shown.keys().filter(|item| **item != Item::Online) {
            self.agenda.add(item.clone(), now);
        }
        let frame = self.frame.clone();
        let items = self
            .core
            .look(move |gateway, now| body::everything(&frame, gateway, now))
            .await?;
        for item in &items {
            self.agenda.add(item.clone(), now);
        }
        Ok(items)
    }

    async fn tell_all_if_due(&mut self) -> Result<(), Stopping> {
        let now = self.core.clock().now().mono;
        if self.tell_all_at.is_some_and(|at| at <= now) {
            self.tell_all_at = None;
            self.shown.values_mut().for_each(|picture| *picture = None);
            self.show_all().await?;
            let frame = self.frame.clone();
            let farewells = move |gateway: &Gateway, _| body::farewells(&frame, gateway);
            self.farewells = self.core.look(farewells).await?;
        }
        Ok(())
    }

    async fn follow(
        &mut self,
        changed: Result<Arc<BTreeSet<Subject>>, broadcast::error::RecvError>,
    ) -> Result<(), Stopping> {
        if self.window.is_none() {
            return Ok(());
        }
        let changed = match changed {
            Ok(changed) => changed,
            Err(broadcast::error::RecvError::Lagged(_)) => return self.show_all().await.map(drop),
            Err(broadcast::error::RecvError::Closed) => return Err(Stopping),
        };
        let now = self.core.clock().now().mono;
        for subject in changed.iter() {
            match subject {
                Subject::Device(id) => {
                    for one in discovery::announcements(self.frame.discovery, Whose::Lock(*id)) {
                        self.agenda.add(Item::Announced(one), now);
                    }
                    self.agenda.add(Item::Summary, now);
                    self.agenda.add(Item::DeviceStatus(*id), now);
                    self.agenda.add(Item::DeviceState(*id), now);
                    self.agenda.add(Item::Info, now);
                }
                Subject::Job(id) => {
                    self.agenda.add(Item::Summary, now);
                    self.agenda.add(Item::Job(id.clone()), now);
                    self.agenda.add(Item::Info, now);
                }
                Subject::Group(key) => {
                    self.agenda.add(Item::Group(key.clone()), now);
                    self.agenda.add(Item::Summary, now);
                }
                Subject::Replies => self.answers_wait = true,
                Subject::Events => self.events_wait = true,
                // What begins within the hour is another thing then.
                Subject::Clock => drop(self.show_all().await?),
                Subject::Storage => self.agenda.add(Item::Info, now),
            }
        }
        Ok(())
    }

    /// A broker drops the will after a goodbye, so the word is ours to say.
    async fn leave(&mut self) {
        if self.window.is_none() {
            return;
        }
        if self.parting == Parting::Displaced {
            // Or the other one would take our word for that of a gateway that goes on.
            let info = self.frame.tree.info();
            self.publish(nothing(info.clone()), Sent::Once(info));
        }
        let message = Message {
            payload: body::status_word(false).into(),
            ..nothing(self.frame.tree.status())
        };
        let Ok(last) = self.link.publish(message) else {
            return;
        };
        loop {
            match self.link.next().await {
                Happening::Taken(number) | Happening::Refused(number, _) if number == last => {
                    self.link.leave();
                }
                Happening::Over | Happening::Down => return,
                // What was confirmed meanwhile need not be sent again by the next start.
                happening => {
                    if self.take(happening).await.is_err() || self.keep_place().await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
