//! One gateway at a broker: commands in, answers and state out.
//!
//! Nothing that matters is kept here. A command is acknowledged once the core has answered, so
//! that what is lost before comes again. An answer is the core's until the broker has it. State
//! is looked up when it is sent, so that only the newest is. What was shown is remembered for as
//! long as the connection stands, to send no picture twice; with a new connection everything is
//! sent again, for the broker may have forgotten all of it.
//!
//! The broker refusing a message is an alarm in the log, and the message is tried again later.
//!
//! The life of the session stands here, commands in [`inbox`], answers and state in [`outbox`].

mod inbox;
mod outbox;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{broadcast, watch};
use tokio::time::timeout;

use super::agenda::Agenda;
use super::body::{self, Frame, Item};
use super::link::{Happening, Link, Message, Number};
use crate::gateway::{Event, Subject};
use crate::model::Mono;
use crate::shell::{Core, Stopping};
use inbox::Judged;
use outbox::{Sent, nothing};

/// A thing is shown at most so often; changes in between are shown as one.
const PACE: Duration = Duration::from_secs(1);
/// Commands that are with the core at a time; further ones wait with the broker.
const ASKING: usize = 64;
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// See the front of this file.
pub struct Session<L> {
    link: L,
    core: Core,
    frame: Frame,
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
    /// What was shown on this connection; `None` for what only an earlier one has seen.
    shown: BTreeMap<Item, Option<[u8; 32]>>,
}

impl<L: Link> Session<L> {
    /// A session that is not yet connected.
    pub fn new(link: L, core: Core, frame: Frame) -> Session<L> {
        Session {
            link,
            core,
            frame,
            window: None,
            on_their_way: BTreeMap::new(),
            asking: FuturesOrdered::new(),
            answers_wait: false,
            refused: BTreeSet::new(),
            refused_until: None,
            agenda: Agenda::new(PACE),
            shown: BTreeMap::new(),
        }
    }

    /// Goes on until it is told to stop, or the core stops; then says goodbye.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut news = self.core.news();
        let stopping = async move {
            // A handle that was dropped will never say anything: that is not a stop.
            if stop.wait_for(|stop| *stop).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::pin!(stopping);
        let clock = self.core.clock().clone();
        while self.send().await.is_ok() {
            // While nothing can be sent no time matters but the broker's.
            let later = self.agenda.next().into_iter().chain(self.refused_until).min();
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
                    Ok(())
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
        Ok(())
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
            Happening::Down => self.window = None,
            // The link ends by itself only when nobody needs it.
            Happening::Over => {
                self.window = None;
                return Err(Stopping);
            }
            Happening::Came(delivery) => self.judge(&delivery),
            Happening::Taken(number) => {
                if let Some(Sent::Answer(seq)) = self.on_their_way.remove(&number) {
                    self.core.tell(Event::ReplySent(seq)).await?;
                }
            }
            Happening::Refused(number, why) => self.was_refused(number, &why),
        }
        Ok(())
    }

    /// A new connection: nothing of the one before counts.
    async fn begin(&mut self, window: usize) -> Result<(), Stopping> {
        self.window = Some(window);
        self.on_their_way.clear();
        self.refused.clear();
        self.refused_until = None;
        self.agenda.clear();
        self.shown.values_mut().for_each(|picture| *picture = None);
        if let Err(why) = self.link.subscribe(&self.frame.tree.commands()) {
            tracing::error!(%why, "could not subscribe to commands");
        }
        self.show_all().await
    }

    async fn show_all(&mut self) -> Result<(), Stopping> {
        self.answers_wait = true;
        let now = self.core.clock().now().mono;
        // What only an earlier connection has seen may be gone by now, and must be taken away.
        for item in self.shown.keys().filter(|item| **item != Item::Online) {
            self.agenda.add(item.clone(), now);
        }
        for item in self.core.look(body::everything).await? {
            self.agenda.add(item, now);
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
            Err(broadcast::error::RecvError::Lagged(_)) => return self.show_all().await,
            Err(broadcast::error::RecvError::Closed) => return Err(Stopping),
        };
        let now = self.core.clock().now().mono;
        for subject in changed.iter() {
            match subject {
                Subject::Device(id) => {
                    self.agenda.add(Item::DeviceStatus(*id), now);
                    self.agenda.add(Item::DeviceState(*id), now);
                    self.agenda.add(Item::Info, now);
                }
                Subject::Job(id) => {
                    self.agenda.add(Item::Job(id.clone()), now);
                    self.agenda.add(Item::Info, now);
                }
                Subject::Group(key) => self.agenda.add(Item::Group(key.clone()), now),
                Subject::Replies => self.answers_wait = true,
                // Nothing that is shown here is an event.
                Subject::Events => {}
            }
        }
        Ok(())
    }

    /// A broker drops the will after a goodbye, so the word is ours to say.
    async fn leave(&mut self) {
        if self.window.is_none() {
            return;
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
                Happening::Up { .. } | Happening::Came(_) | Happening::Taken(_) | Happening::Refused(..) => {}
            }
        }
    }
}
