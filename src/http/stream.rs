//! Events as they happen: server-sent events, one more cursor over the one numbered sequence.
//!
//! Pulled, not pushed: the next events are looked up when the connection has taken those before. So a
//! slow reader costs no memory; one that falls further behind than events are kept is told which it
//! lost. Every message carries its number, which a reader that was cut off gives back to go on without
//! a gap; the first line is the number from which it begins, so that this holds before any event too.
//!
//! No PIN goes out here, whatever the key may see: what is streamed ends up in browsers and logs.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tokio::time::timeout;

use super::Api;
use super::answer::{Refused, refused};
use super::serve::stopped;
use super::who::Who;
use crate::api::answer::{self, Streamed};
use crate::api::form::Form;
use crate::gateway::{Gateway, Subject};
use crate::model::{Event, Reason, Refusal};

/// What a reader gives back that was cut off: the number of the last message that it has.
const LAST_EVENT_ID: &str = "last-event-id";
/// Events that are looked up at once.
const STRIDE: usize = 64;
/// Without events a line goes out all the same, so that a connection that is dead is noticed.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// Begins a stream.
pub async fn open(
    api: &Arc<Api>,
    who: Who,
    headers: &HeaderMap,
    form: Form<'_>,
) -> Result<Response, Refused> {
    let last_seen = last_seen(headers)?.or(form.whole("after"));
    form.close()?;
    let place = Arc::clone(&api.streams)
        .try_acquire_owned()
        .map_err(|_| refused(Reason::Busy, "as many streams are open as there may be"))?;
    let after = match last_seen {
        Some(after) => after,
        None => api.core.look(|gateway, _| gateway.last_event()).await?,
    };
    let reader = Reader {
        api: Arc::clone(api),
        who,
        after,
        _place: place,
    };
    let beginning = stream::once(async move { format!("id: {after}\n\n") });
    let messages = stream::unfold(reader, |mut reader| async move {
        let text = reader.next().await?;
        Some((text, reader))
    });
    let body = Body::from_stream(beginning.chain(messages).map(Ok::<_, Infallible>));
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, body).into_response())
}

fn last_seen(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let Some(given) = headers.get(LAST_EVENT_ID) else {
        return Ok(None);
    };
    let number = given.to_str().ok().and_then(|text| text.parse().ok());
    let wrong = || Refusal::invalid("Last-Event-ID", "must be the number of an event");
    number.map(Some).ok_or_else(wrong)
}

/// One reader, and how far it is.
struct Reader {
    api: Arc<Api>,
    who: Who,
    after: u64,
    _place: OwnedSemaphorePermit,
}

impl Reader {
    /// What goes out next; nothing more once the gateway stops, or the reader's key is revoked, or its session over.
    async fn next(&mut self) -> Option<String> {
        loop {
            if *self.api.stop.borrow() || !self.who.is_welcome(&self.api) {
                return None;
            }
            // Followed before the look, so that nothing happens unnoticed after it.
            let news = self.api.core.news();
            let after = self.after;
            let seen = self.api.core.look(move |gateway, _| Seen::from(gateway, after));
            let text = self.tell(seen.await.ok()?);
            if !text.is_empty() {
                return Some(text);
            }
            tokio::select! {
                () = stopped(self.api.stop.clone()) => return None,
                waited = timeout(SIGN_OF_LIFE, something_happens(news)) => if waited.is_err() {
                    return Some(":\n\n".to_owned());
                },
            }
        }
    }

    fn tell(&mut self, seen: Seen) -> String {
        let mut text = String::new();
        if let Some((from, to)) = seen.lost {
            text += &message(to, answer::EVENTS_LOST, &Streamed::lost(from, to));
        }
        for event in &seen.events {
            let data = Streamed::event(&self.api.site, event);
            text += &message(event.seq, &answer::event_word(event.kind), &data);
        }
        self.after = seen.last;
        text
    }
}

/// What stands after a number.
struct Seen {
    /// The first and the last number of what a reader will never see.
    lost: Option<(u64, u64)>,
    events: Vec<Event>,
    /// The number after which it goes on.
    last: u64,
}

impl Seen {
    fn from(gateway: &Gateway, after: u64) -> Seen {
        let newest = gateway.last_event();
        if newest < after {
            // The store was set back: its numbers are not those that this reader knows.
            return Seen {
                lost: (newest > 0).then_some((1, newest)),
                events: Vec::new(),
                last: newest,
            };
        }
        let (lost, run) = gateway.events_after(after, STRIDE);
        Seen {
            lost,
            last: run.last().map_or(after, |last| last.seq),
            events: run.into_iter().cloned().collect(),
        }
    }
}

/// Waits for news of events.
async fn something_happens(mut news: broadcast::Receiver<Arc<BTreeSet<Subject>>>) {
    loop {
        match news.recv().await {
            Ok(changed) if !changed.contains(&Subject::Events) => {}
            // Too much of it at once, or no core any more: the next look tells.
            Ok(_) | Err(_) => return,
        }
    }
}

fn message(id: u64, kind: &str, data: &Streamed) -> String {
    format!("id: {id}\nevent: {kind}\ndata: {}\n\n", answer::text(data))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::gateway::Event as Happens;
    use crate::model::{Settings, Voucher};
    use crate::shell;

    #[tokio::test]
    async fn a_number_of_another_store_leads_to_the_first_event_of_this_one() {
        let clock = Clock::real(Voucher::System);
        let core = shell::bare(&clock, Settings::default());
        let seen = core.look(|gateway, _| Seen::from(gateway, 5)).await.unwrap();
        assert_eq!((seen.lost, seen.last), (None, 0));
        clock.set_trusted(false);
        core.tell(Happens::Timer).await.unwrap();
        let next = core
            .look(move |gateway, _| Seen::from(gateway, seen.last))
            .await
            .unwrap();
        assert_eq!((next.lost, next.events[0].seq, next.last), (None, 1, 1));
        let ahead = core.look(|gateway, _| Seen::from(gateway, 5)).await.unwrap();
        assert_eq!((ahead.lost, ahead.last), (Some((1, 1)), 1));
    }
}
