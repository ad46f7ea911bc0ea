//! The handle that the rest of the program holds on the running core.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot};

use super::counts::Counts;
use crate::clock::Clock;
use crate::gateway::{Answer, Door, Event, Gateway, Subject, Verb};
use crate::model::{Caller, JobId, Now, Refusal, Request};
use crate::store::{Exported, Unexported};

/// A request, before the core gives it a token.
#[derive(Debug)]
pub struct Incoming {
    /// Who asks.
    pub caller: Caller,
    /// What for.
    pub verb: Verb,
    /// Over which door.
    pub door: Door,
    /// Hash of the request as it came.
    pub hash: [u8; 32],
    /// The request, or why its form is wrong.
    pub request: Result<Request, Refusal>,
}

/// The gateway stops, by itself or because its store failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the gateway is stopping")]
pub struct Stopping;

/// Why the core gave no answer to a request for a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Too many requests wait already. Nothing was changed.
    #[error("the gateway has too many requests waiting; try again")]
    Busy,
    /// The core was not asked. Nothing was changed.
    #[error(transparent)]
    Stopping(#[from] Stopping),
    /// The core was asked, and stopped before it answered: nobody knows whether it is done.
    #[error("the gateway stopped before it answered")]
    Unknown,
}

/// What goes to the loop.
pub(super) enum Message {
    Ask(Box<Incoming>, oneshot::Sender<(JobId, Answer)>),
    Look(Look),
    Tell(Event),
    Export(AskedFor),
    Measure(oneshot::Sender<Measured>),
    Advance(Duration, oneshot::Sender<()>),
    Stop,
}

/// Who asked for an export, and waits for it.
pub(super) type AskedFor = oneshot::Sender<Result<Exported, Unexported>>;

/// Looks, and returns what hands the result over once everything that was seen is durable.
type Look = Box<dyn FnOnce(&Gateway, Now) -> Deliver + Send>;
pub(super) type Deliver = Box<dyn FnOnce() + Send>;

/// What is known of the loop and its store, beside what the core knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// What the loop has done since its start.
    pub counts: Counts,
    /// Bytes that the store occupies on its medium.
    pub store_bytes: u64,
}

/// A handle on the running core. A clone is the same core.
#[derive(Clone)]
pub struct Core {
    pub(super) inbox: mpsc::Sender<Message>,
    /// Without a bound: who marks cannot wait, and a mark that is lost makes a new request a repeat.
    /// There are a few of them for each answer.
    pub(super) marks: mpsc::UnboundedSender<Event>,
    pub(super) news: broadcast::Sender<Arc<BTreeSet<Subject>>>,
    pub(super) clock: Clock,
}

impl Core {
    /// Asks for a change; answered once it is durable (I1).
    ///
    /// # Errors
    /// [`Unanswered`]
    pub async fn ask(&self, incoming: Incoming) -> Result<(JobId, Answer), Unanswered> {
        let (answer, answered) = oneshot::channel();
        self.inbox
            .try_send(Message::Ask(Box::new(incoming), answer))
            .map_err(|e| match e {
                mpsc::error::TrySendError::Full(_) => Unanswered::Busy,
                mpsc::error::TrySendError::Closed(_) => Unanswered::Stopping(Stopping),
            })?;
        answered.await.map_err(|_| Unanswered::Unknown)
    }

    /// Waits for room in the queue of requests, in the order of the calls: for a caller who cannot
    /// be told to come again, and holds back what comes after.
    ///
    /// # Errors
    /// [`Stopping`]
    pub async fn room(&self) -> Result<Room, Stopping> {
        let permit = self.inbox.clone().reserve_owned().await;
        permit.map(Room).map_err(|_| Stopping)
    }

    /// Looks at the core's state. No reader sees what a power cut could still take back: the result
    /// comes once all that it rests on is durable.
    ///
    /// # Errors
    /// [`Stopping`]
    pub async fn look<R: Send + 'static>(
        &self,
        look: impl FnOnce(&Gateway, Now) -> R + Send + 'static,
    ) -> Result<R, Stopping> {
        let (result, looked) = oneshot::channel();
        let look: Look = Box::new(move |gateway, now| {
            let seen = look(gateway, now);
            // The asker may have gone; then nobody needs to know.
            Box::new(move || drop(result.send(seen)))
        });
        self.inbox.send(Message::Look(look)).await.map_err(|_| Stopping)?;
        looked.await.map_err(|_| Stopping)
    }

    /// Tells the core of something that happened.
    ///
    /// # Errors
    /// [`Stopping`]
    pub async fn tell(&self, event: Event) -> Result<(), Stopping> {
        self.inbox.send(Message::Tell(event)).await.map_err(|_| Stopping)
    }

    /// Says that an answer goes out to a caller who is still there. Said before its last bytes are handed
    /// over, so that the core knows of it before any request that its caller makes on hearing it.
    pub fn answered(&self, job: JobId) {
        self.mark(Event::Answered(job));
    }

    /// Says that such an answer did not get there after all.
    pub fn answer_lost(&self, job: JobId) {
        self.mark(Event::AnswerLost(job));
    }

    fn mark(&self, event: Event) {
        // Once the loop is gone nobody asks any more.
        let _ = self.marks.send(event);
    }

    /// Follows what changes from now on. A follower that lags behind looks at everything again.
    #[must_use]
    pub fn news(&self) -> broadcast::Receiver<Arc<BTreeSet<Subject>>> {
        self.news.subscribe()
    }

    /// Makes an export now of all that was committed so far; returns once it is durable.
    ///
    /// # Errors
    /// [`Stopping`]; within it, why none was made.
    pub async fn export(&self) -> Result<Result<Exported, Unexported>, Stopping> {
        let (answer, answered) = oneshot::channel();
        let message = Message::Export(answer);
        self.inbox.send(message).await.map_err(|_| Stopping)?;
        answered.await.map_err(|_| Stopping)
    }

    /// Counts and measures, once all that was decided so far is durable.
    ///
    /// # Errors
    /// [`Stopping`]
    pub async fn measure(&self) -> Result<Measured, Stopping> {
        let (answer, measured) = oneshot::channel();
        let message = Message::Measure(answer);
        self.inbox.send(message).await.map_err(|_| Stopping)?;
        measured.await.map_err(|_| Stopping)
    }

    /// Skips time (only where every lock is simulated): all that falls due on the way is done at
    /// its time. Returns when nothing is left to do.
    ///
    /// # Errors
    /// [`Stopping`]
    pub async fn advance(&self, span: Duration) -> Result<(), Stopping> {
        let (done, arrived) = oneshot::channel();
        self.inbox
            .send(Message::Advance(span, done))
            .await
            .map_err(|_| Stopping)?;
        arrived.await.map_err(|_| Stopping)
    }

    /// The gateway's clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Ends the loop. What is not answered yet never will be.
    pub async fn stop(&self) {
        // Already gone is as good.
        let _ = self.inbox.send(Message::Stop).await;
    }
}

/// A place in the queue of requests; see [`Core::room`].
pub struct Room(mpsc::OwnedPermit<Message>);

impl Room {
    /// Asks for a change; answered once it is durable (I1).
    ///
    /// # Errors
    /// [`Stopping`]
    pub async fn ask(self, incoming: Incoming) -> Result<(JobId, Answer), Stopping> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Message::Ask(Box::new(incoming), answer));
        answered.await.map_err(|_| Stopping)
    }
}
