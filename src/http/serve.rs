//! Connections: so many at once, each for as long as its caller keeps it busy.
//!
//! ```text
//! serve ──> Listener ──> attend: one task, one connection, over TLS where there is a certificate
//!                          Answer  says which job's answer was taken whole  ─┐
//!                          Line    looks for the caller, and writes it out  <┘──> Core::answered
//!                                                                                 Core::answer_lost
//! ```
//!
//! There is a place for so many and no more (I10): the others wait at the door, where they cost
//! nothing, and files stay free for the store. Who keeps us waiting longer than the time-out gives
//! the place up: with the handshake of TLS, with a request's head, with the next request on a
//! connection left open, with taking what we send. (hyper has one number for both waits for a head;
//! a body has its own, in `params.rs`.) What the gateway itself needs for an answer is not limited
//! here.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;

use super::Api;
use super::arrival::{Answer, Line, Mark, Way};
use super::line::{Impatient, Socket, Stream};
use super::tls::Tls;
use super::who::Peer;
use crate::shell::Guests;

/// Connections that are open at once through one door.
const PLACES: usize = 256;
/// Far more than any request needs for its head: a query is part of it.
const LARGEST_HEAD: usize = 64 * 1024;
/// When the system gives no connection: most likely files ran out, and one that ends gives one back.
const PAUSE: Duration = Duration::from_secs(1);

/// Where callers come in.
pub trait Listener {
    /// What they speak over.
    type Socket: Socket;

    /// Waits for the next one.
    ///
    /// # Errors
    /// It was gone before it was let in, or the system gives no connection now.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Socket, Peer)>>;
}

impl Listener for TcpListener {
    type Socket = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Peer)> {
        let (stream, from) = TcpListener::accept(self).await?;
        Ok((stream, Peer::Network(from)))
    }
}

impl Listener for UnixListener {
    type Socket = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Peer)> {
        let (stream, _) = UnixListener::accept(self).await?;
        let uid = stream.peer_cred().ok().map(|peer| peer.uid());
        Ok((stream, Peer::Local(uid)))
    }
}

/// Serves one listener, in the clear without `tls`, until `stop` says so and the answers under way
/// are given.
pub async fn serve(
    listener: impl Listener,
    api: Arc<Api>,
    timeout: Duration,
    tls: Option<Arc<Tls>>,
    stop: watch::Receiver<bool>,
) {
    let core = api.core.clone();
    let host = Host {
        router: super::routes(api),
        timeout,
        tls,
        mark: Arc::new(move |job, way| match way {
            Way::Open => core.answered(job),
            Way::Lost => core.answer_lost(job),
        }),
        stop,
    };
    host.receive(listener).await;
}

pub(super) async fn stopped(mut stop: watch::Receiver<bool>) {
    // The sender is gone only when everything is.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// What every connection is served with.
#[derive(Clone)]
struct Host {
    router: Router,
    timeout: Duration,
    tls: Option<Arc<Tls>>,
    mark: Mark,
    stop: watch::Receiver<bool>,
}

impl Host {
    async fn receive(self, listener: impl Listener) {
        let mut guests = Guests::default();
        let mut stop = pin!(stopped(self.stop.clone()));
        loop {
            tokio::select! {
                () = &mut stop => break,
                () = guests.one_gone() => {}
                came = listener.accept(), if guests.count() < PLACES => match came {
                    Ok((stream, peer)) => guests.add(self.clone().attend(stream, peer)),
                    Err(error) if is_its_own_fault(&error) => {}
                    Err(error) => {
                        tracing::warn!(%error, "a caller cannot be let in");
                        // Too late is as good: then the system is asked again.
                        let _ = tokio::time::timeout(PAUSE, guests.one_gone()).await;
                    }
                },
            }
        }
        drop(listener);
        while guests.count() > 0 {
            guests.one_gone().await;
        }
    }

    /// One connection, from its first byte to its last.
    async fn attend(self, socket: impl Socket, peer: Peer) {
        let socket = Impatient::new(socket, self.timeout);
        let (Some(tls), Peer::Network(from)) = (self.tls.clone(), peer) else {
            return self.converse(socket, peer).await;
        };
        let greeted = tokio::select! {
            greeted = tls.greet(socket, from, self.timeout) => greeted,
            () = stopped(self.stop.clone()) => None,
        };
        if let Some(stream) = greeted {
            self.converse(stream, peer).await;
        }
    }

    /// Requests and answers.
    async fn converse(self, stream: impl Stream, peer: Peer) {
        let (say_taken, taken) = mpsc::channel();
        let router = TowerToHyperService::new(self.router);
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            let (response, say_taken) = (router.call(request), say_taken.clone());
            async move {
                let Ok(response) = response.await;
                Answer::of(response, say_taken).ok_or(Unsaid)
            }
        });
        let line = Line::new(stream, taken, self.mark);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.timeout)
            .max_buf_size(LARGEST_HEAD)
            .serve_connection(TokioIo::new(line), service);
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stopped(self.stop) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection was not brought to its end");
        }
    }
}

/// A response that must not be sent. hyper ends the connection on it.
#[derive(Debug, thiserror::Error)]
#[error("there is no answer that would be true")]
struct Unsaid;

/// Whether a caller was gone before it was let in.
fn is_its_own_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::answer::Silence;
    use crate::http::arrival::JobOfAnswer;
    use crate::http::arrival::tests::{Marks, job, marks, said};
    use crate::http::tls::tests::{gateway, tls};
    use axum::Extension;
    use axum::routing::get;
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(50);
    const PEER: Peer = Peer::Local(None);

    /// A host of its own, with what it holds for answered, and what tells it to stop.
    fn host(router: Router, timeout: Duration) -> (Host, Marks, watch::Sender<bool>) {
        let (mark, marked) = marks();
        let (stopper, stop) = watch::channel(false);
        let host = Host {
            router,
            timeout,
            tls: None,
            mark,
            stop,
        };
        (host, marked, stopper)
    }

    /// Answers of two jobs, and one of none.
    fn jobs() -> Router {
        let answer =
            |name: &'static str| get(move || async move { (Extension(JobOfAnswer(job(name))), name) });
        Router::new()
            .route("/first", answer("first"))
            .route("/second", answer("second"))
            .route("/none", get(async || "none"))
    }

    fn request(path: &str, more: &str) -> String {
        format!("GET /{path} HTTP/1.1\r\nhost: h\r\n{more}\r\n")
    }

    /// All that comes until the other side closes.
    async fn rest(mut stream: impl AsyncRead + Unpin) -> String {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[tokio::test]
    async fn requests_one_behind_the_other_are_answered_and_marked_in_their_order() {
        let (host, marked, _stopper) = host(jobs(), LONG);
        let (stream, mut caller) = UnixStream::pair().unwrap();
        let calls = async {
            let all = [
                request("first", ""),
                request("none", ""),
                request("second", "connection: close\r\n"),
            ];
            caller.write_all(all.concat().as_bytes()).await.unwrap();
            rest(caller).await
        };
        let (_, told) = tokio::join!(host.attend(stream, PEER), calls);
        let bodies: Vec<&str> = told.split("\r\n\r\n").skip(1).collect();
        assert!(
            bodies[0].starts_with("first") && bodies[1].starts_with("none") && bodies[2] == "second",
            "{told}"
        );
        assert_eq!(
            said(&marked),
            [(job("first"), Way::Open), (job("second"), Way::Open)]
        );
    }

    #[tokio::test]
    async fn who_keeps_us_waiting_is_let_go() {
        let large = Router::new().route("/", get(async || "x".repeat(16 << 20)));
        let (host, _, _stopper) = host(large, SHORT);
        for sent in ["", "GET / HT", &request("", "")] {
            let (stream, mut caller) = UnixStream::pair().unwrap();
            caller.write_all(sent.as_bytes()).await.unwrap();
            // Ends, although the caller is there, and neither sends nor reads any more.
            host.clone().attend(stream, PEER).await;
            drop(caller);
        }
    }

    #[tokio::test]
    async fn who_takes_nothing_over_tls_is_let_go() {
        let large = Router::new().route("/", get(async || "x".repeat(16 << 20)));
        let (mut host, _, _stopper) = host(large, SHORT);
        let (tls, connector) = tls();
        host.tls = Some(Arc::new(tls));
        let (stream, caller) = UnixStream::pair().unwrap();
        let peer = Peer::Network(([127, 0, 0, 1], 1).into());
        let call = async {
            let mut caller = connector.connect(gateway(), caller).await.unwrap();
            caller.write_all(request("", "").as_bytes()).await.unwrap();
            caller.flush().await.unwrap();
            caller
        };
        // Ends, although the caller is there.
        let ((), caller) = tokio::join!(host.attend(stream, peer), call);
        drop(caller);
    }

    #[tokio::test]
    async fn what_takes_us_long_is_not_cut() {
        let (release, released) = oneshot::channel::<()>();
        let released = Arc::new(tokio::sync::Mutex::new(Some(released)));
        let slow = Router::new().route(
            "/",
            get(async move || {
                released.lock().await.take().unwrap().await.unwrap();
                "at last"
            }),
        );
        let (host, _, _stopper) = host(slow, SHORT);
        let (stream, mut caller) = UnixStream::pair().unwrap();
        let call = async {
            let request = request("", "connection: close\r\n");
            caller.write_all(request.as_bytes()).await.unwrap();
            rest(caller).await
        };
        let meanwhile = async {
            for _ in 0..3 {
                // Closed by the same time-out, so that it is over by now for the slow one too.
                let (stream, idle) = UnixStream::pair().unwrap();
                tokio::join!(host.clone().attend(stream, PEER), rest(idle));
            }
            release.send(()).unwrap();
        };
        let (_, told, ()) = tokio::join!(host.clone().attend(stream, PEER), call, meanwhile);
        assert!(told.ends_with("at last"), "{told}");
    }

    #[tokio::test]
    async fn what_nobody_knows_is_not_said() {
        let unknown = Router::new().route("/", get(async || Extension(Silence)));
        let (host, _, _stopper) = host(unknown, LONG);
        let (stream, mut caller) = UnixStream::pair().unwrap();
        caller.write_all(request("", "").as_bytes()).await.unwrap();
        let (_, told) = tokio::join!(host.attend(stream, PEER), rest(caller));
        assert_eq!(told, "");
    }

    #[tokio::test]
    async fn a_panic_ends_its_own_connection_and_no_other() {
        let panics = get(async || {
            if true {
                panic!("on purpose")
            }
        });
        let (host, _marked, stopper) = host(jobs().route("/panic", panics), LONG);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let calls = async {
            let mut before = TcpStream::connect(address).await.unwrap();
            for (path, answer) in [("panic", ""), ("first", "first")] {
                let mut caller = TcpStream::connect(address).await.unwrap();
                let request = request(path, "connection: close\r\n");
                caller.write_all(request.as_bytes()).await.unwrap();
                assert!(rest(caller).await.ends_with(answer));
            }
            before.write_all(request("second", "").as_bytes()).await.unwrap();
            // Left open: told to stop, the host gives the answer, and then closes it.
            let mut first = [0];
            before.read_exact(&mut first).await.unwrap();
            stopper.send(true).unwrap();
            assert!(rest(before).await.ends_with("second"));
        };
        tokio::join!(host.receive(listener), calls);
    }
}
