//! Which answers arrived.
//!
//! An answer *arrived* if all of it was handed to the socket and the caller was still there when its last
//! part was about to be: not afterwards, for who has read all of it may close at once. It is said at that
//! moment, and taken back if not all of it can be handed over: said afterwards, it would race with the
//! next request of a caller that has heard it, on another connection. That is as far as a server can see:
//! what is lost further on counts as arrived. A caller who closes only its own half of the connection
//! counts as gone.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::answer::Silence;
use super::line::Stream;
use crate::model::JobId;

/// Whose answer a response is; put into its extensions.
#[derive(Clone)]
pub struct JobOfAnswer(pub JobId);

/// Says how an answer fares.
pub(super) type Mark = Arc<dyn Fn(JobId, Way) + Send + Sync>;

/// How an answer fares on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// All that is left of it is about to be handed over, and its caller is there.
    Open,
    /// Its caller, or the connection, is gone.
    Lost,
}

/// The body of a response, which says when it was taken whole.
pub(super) struct Answer {
    body: Body,
    job: Option<JobOfAnswer>,
    say_taken: Sender<JobId>,
}

impl Answer {
    /// `None` if the response must not be sent.
    pub fn of(mut response: Response, say_taken: Sender<JobId>) -> Option<hyper::Response<Answer>> {
        if response.extensions().get::<Silence>().is_some() {
            return None;
        }
        let job = response.extensions_mut().remove::<JobOfAnswer>();
        Some(response.map(|body| Answer { body, job, say_taken }))
    }
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let whole = match &frame {
            // Nobody asks for more after the last one.
            Some(Ok(_)) => self.body.is_end_stream(),
            Some(Err(_)) => false,
            None => true,
        };
        if whole && let Some(JobOfAnswer(job)) = self.job.take() {
            // The connection ended meanwhile: then it did not arrive.
            let _ = self.say_taken.send(job);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection that knows which answers it carries.
pub(super) struct Line<S> {
    stream: S,
    /// Whose answers hyper has taken whole. Before it flushes the next time all of them are written.
    taken: Receiver<JobId>,
    /// Those of them that are being written.
    under_way: Vec<JobId>,
    /// What was last said of those.
    way: Way,
    mark: Mark,
}

impl<S: Stream> Line<S> {
    /// One on which nothing is under way. `taken`: whose answers were taken whole, as [`Answer`] says it.
    pub fn new(stream: S, taken: Receiver<JobId>, mark: Mark) -> Line<S> {
        Line {
            stream,
            taken,
            under_way: Vec::new(),
            way: Way::Lost,
            mark,
        }
    }

    /// Says whether the caller is there to take what is under way.
    fn look(&mut self) {
        if !self.under_way.is_empty() {
            let way = if self.stream.is_open() {
                Way::Open
            } else {
                Way::Lost
            };
            self.say(way);
        }
    }

    fn say(&mut self, way: Way) {
        self.way = way;
        for job in &self.under_way {
            (self.mark)(job.clone(), way);
        }
    }
}

impl<S: Stream> AsyncRead for Line<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: Stream> AsyncWrite for Line<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let line = &mut *self;
        line.under_way.extend(line.taken.try_iter());
        line.look();
        let handed = Pin::new(&mut line.stream).poll_write(context, bytes);
        if !matches!(handed, Poll::Ready(Ok(count)) if count == bytes.len()) {
            line.say(Way::Lost);
        }
        handed
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let line = &mut *self;
        // Who is known to have been there may have read all of it by now, and left.
        if line.way == Way::Lost {
            line.look();
        }
        let flushed = Pin::new(&mut line.stream).poll_flush(context);
        match flushed {
            Poll::Ready(Ok(())) => line.under_way.clear(),
            _ => line.say(Way::Lost),
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::http::line::Impatient;
    use std::sync::{Mutex, mpsc};
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    const LONG: Duration = Duration::from_secs(60);

    pub fn job(name: &str) -> JobId {
        JobId::from_uuid(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()))
    }

    pub type Marks = Receiver<(JobId, Way)>;

    /// What marks answers, and what was said of them.
    pub fn marks() -> (Mark, Marks) {
        let (say, marked) = mpsc::channel();
        let say = Mutex::new(say);
        let mark: Mark = Arc::new(move |job, way| say.lock().unwrap().send((job, way)).unwrap());
        (mark, marked)
    }

    fn line() -> (Line<Impatient<UnixStream>>, UnixStream, Sender<JobId>, Marks) {
        let (stream, caller) = UnixStream::pair().unwrap();
        let (say_taken, taken) = mpsc::channel();
        let (mark, marked) = marks();
        let line = Line::new(Impatient::new(stream, LONG), taken, mark);
        (line, caller, say_taken, marked)
    }

    /// A stream that looks at what was said by the time that something is written to it.
    struct Watched<F>(F);

    impl<F: FnMut() + Unpin + Send + 'static> Stream for Watched<F> {
        fn is_open(&mut self) -> bool {
            true
        }
    }

    impl<F: Unpin> AsyncRead for Watched<F> {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl<F: FnMut() + Unpin> AsyncWrite for Watched<F> {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            (self.0)();
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    pub fn said(marked: &Marks) -> Vec<(JobId, Way)> {
        marked.try_iter().collect()
    }

    fn last(marked: &Marks) -> (JobId, Way) {
        marked.try_iter().last().expect("nothing was said")
    }

    #[tokio::test]
    async fn an_answer_arrives_only_where_somebody_is_left() {
        let (mut line, caller, taken, marked) = line();
        line.write_all(b"one").await.unwrap();
        line.flush().await.unwrap();
        assert!(marked.try_recv().is_err(), "no answer was taken yet");
        taken.send(job("one")).unwrap();
        line.write_all(b"two").await.unwrap();
        line.flush().await.unwrap();
        assert_eq!(said(&marked), [(job("one"), Way::Open)]);

        drop(caller);
        taken.send(job("two")).unwrap();
        // The system may say so, or take it all the same.
        let _ = line.write_all(b"three").await;
        line.flush().await.unwrap();
        assert_eq!(last(&marked), (job("two"), Way::Lost));
    }

    #[tokio::test]
    async fn who_has_read_all_of_it_may_close_at_once() {
        let (mut line, mut caller, taken, marked) = line();
        taken.send(job("one")).unwrap();
        line.write_all(b"an answer").await.unwrap();
        caller.read_exact(&mut [0; 9]).await.unwrap();
        drop(caller);
        line.flush().await.unwrap();
        assert_eq!(said(&marked), [(job("one"), Way::Open)]);
    }

    /// A caller that hears an answer may ask the next thing on another connection, at once.
    #[tokio::test]
    async fn it_is_said_before_anybody_can_have_heard_it() {
        let (taken, whole) = mpsc::channel();
        let (mark, marked) = marks();
        let at_write = move || assert_eq!(said(&marked), [(job("one"), Way::Open)]);
        let mut line = Line::new(Watched(at_write), whole, mark);
        taken.send(job("one")).unwrap();
        line.write_all(b"an answer").await.unwrap();
    }

    #[tokio::test]
    async fn what_nobody_takes_is_lost_until_it_is_taken() {
        let (mut line, mut caller, taken, marked) = line();
        let large = vec![b'x'; 1 << 20];
        taken.send(job("one")).unwrap();
        let mut writing = Box::pin(line.write_all(&large));
        assert!(futures_util::poll!(&mut writing).is_pending());
        assert_eq!(last(&marked), (job("one"), Way::Lost));
        let mut heard = vec![0; large.len()];
        let (written, read) = tokio::join!(writing, caller.read_exact(&mut heard));
        written.unwrap();
        read.unwrap();
        assert_eq!(last(&marked), (job("one"), Way::Open));
    }

    #[tokio::test]
    async fn looking_for_the_caller_takes_nothing_of_what_it_sent() {
        let (mut line, mut caller, taken, marked) = line();
        caller.write_all(b"the next request").await.unwrap();
        taken.send(job("one")).unwrap();
        line.write_all(b"an answer").await.unwrap();
        line.flush().await.unwrap();
        assert_eq!(said(&marked), [(job("one"), Way::Open)]);
        caller.read_exact(&mut [0; 9]).await.unwrap();
        drop(caller);
        let mut next = String::new();
        line.read_to_string(&mut next).await.unwrap();
        assert_eq!(next, "the next request");
    }
}
