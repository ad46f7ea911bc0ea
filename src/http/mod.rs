//! Seam's API for the site itself, and our own beside it, over TCP and over a Unix socket.
//!
//! ```text
//! mod.rs    what is served, and how it ends     codes.rs    access codes, as Seam serves them
//! calls.rs  from a call to its answer           devices.rs  devices, likewise
//! who.rs    who calls, and what that one may    events.rs   events, likewise
//! keys.rs   the file of API keys                attempts.rs door commands, likewise
//! wrong.rs  who shows wrong keys                ours.rs     health, receipts, queues, jobs
//! params.rs path, query and body, together      stream.rs   events as they happen
//! page.rs   pages of lists                      steer.rs    simulated locks, and their time
//! answer.rs bodies, refusals, headers           socket.rs   the Unix socket
//! serve.rs  connections                         arrival.rs which answers arrived
//! line.rs   what they go over                   tls.rs      HTTPS
//! bluetooth.rs  who is heard, and pairings      session.rs who is signed in on the page
//! overview.rs   doors and groups at a glance    pace.rs    how often something may be done
//! metrics.rs figures for Prometheus
//! ```
//!
//! The room decides nothing about codes or locks: it asks the core, and waits until what it tells
//! is durable. It refuses whoever shows no key, bodies over 64 kB, and whatever it cannot read,
//! each with a reason in Seam's envelope. Nothing that was committed is answered with a 5xx: where the
//! gateway stops and nobody knows whether it was, the connection ends without an answer.

mod answer;
mod arrival;
mod attempts;
mod bluetooth;
mod calls;
mod codes;
mod devices;
mod events;
pub mod keys;
mod line;
mod metrics;
mod ours;
mod overview;
mod pace;
mod page;
mod params;
mod serve;
mod session;
pub mod socket;
mod steer;
mod stream;
mod tls;
mod who;
mod wrong;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::response::Response;
use axum::routing::{MethodFilter, get, on, post};
use rand::CryptoRng;
use tokio::sync::{Semaphore, watch};

use crate::api::answer::{Edges, Site};
use crate::api::endpoint::{ENDPOINTS, Method};
use crate::clock::Clock;
use crate::lock::Registry;
use crate::lock::paired::Household;
use crate::shell::Core;
use crate::signature::SigningKey;
use crate::web;
use keys::Keys;
use pace::Reveals;
use session::Sessions;
use wrong::WrongKeys;

pub use serve::{Listener, serve};
pub use tls::Tls;

/// What the API is served with.
pub struct Parts {
    /// The core.
    pub core: Core,
    /// How the gateway is called.
    pub site: Site,
    /// Who may call.
    pub keys: Keys,
    /// The locks of the configuration.
    pub locks: Registry,
    /// The paired locks; `None` without Bluetooth.
    pub household: Option<Arc<Household>>,
    /// Every lock is simulated, so that time may be steered.
    pub time_is_steered: bool,
    /// Tells whether the storage is below its reserve.
    pub storage_low: Box<dyn Fn() -> bool + Send + Sync>,
    /// Tells whether a connection to the broker stands; `None` without a broker.
    pub broker: Option<watch::Receiver<bool>>,
    /// What signs receipts.
    pub signing_key: SigningKey,
    /// Where PINs are drawn from.
    pub randomness: fn() -> Box<dyn CryptoRng + Send>,
    /// The user that the gateway runs as, if the system says.
    pub own_uid: Option<u32>,
    /// Callers on the network come over TLS.
    pub over_tls: bool,
    /// How many streams of events may be open at once.
    pub streams: usize,
    /// Says when streams are to end, as they have no end of their own.
    pub stop: watch::Receiver<bool>,
}

/// The API: what it is served with, and what it remembers.
pub struct Api {
    core: Core,
    site: Site,
    keys: Keys,
    locks: Registry,
    household: Option<Arc<Household>>,
    time_is_steered: bool,
    storage_low: Box<dyn Fn() -> bool + Send + Sync>,
    broker: Option<watch::Receiver<bool>>,
    signing_key: SigningKey,
    randomness: fn() -> Box<dyn CryptoRng + Send>,
    own_uid: Option<u32>,
    over_tls: bool,
    stop: watch::Receiver<bool>,
    wrong_keys: WrongKeys,
    sessions: Sessions,
    /// The name of the cookies that stand for them.
    cookie_name: String,
    reveals: Reveals,
    /// Places for streams of events.
    streams: Arc<Semaphore>,
    /// The OpenAPI document, once somebody has asked for it.
    document: OnceLock<String>,
    /// Tells the requests of this start from those of others.
    started: i64,
    requests: AtomicU64,
    /// Answers by the first digit of their status, from 1 on.
    answers: [AtomicU64; 5],
    /// One advance of simulated time at a time.
    advancing: tokio::sync::Mutex<()>,
}

impl Api {
    /// Puts it together.
    #[must_use]
    pub fn new(parts: Parts) -> Api {
        let started = parts.core.clock().now().wall.0;
        let cookie_name = session::cookie_name(&parts.site, parts.over_tls);
        Api {
            core: parts.core,
            site: parts.site,
            keys: parts.keys,
            locks: parts.locks,
            household: parts.household,
            time_is_steered: parts.time_is_steered,
            storage_low: parts.storage_low,
            broker: parts.broker,
            signing_key: parts.signing_key,
            randomness: parts.randomness,
            own_uid: parts.own_uid,
            over_tls: parts.over_tls,
            stop: parts.stop,
            wrong_keys: WrongKeys::default(),
            sessions: Sessions::default(),
            cookie_name,
            reveals: Reveals::default(),
            streams: Arc::new(Semaphore::new(parts.streams)),
            document: OnceLock::new(),
            started,
            requests: AtomicU64::new(0),
            answers: Default::default(),
            advancing: tokio::sync::Mutex::default(),
        }
    }

    /// Writes down what is remembered of keys, before the end.
    pub fn save(&self) {
        self.keys.save_uses();
    }

    /// What the core does not know of the gateway.
    fn edges(&self) -> Edges {
        Edges {
            clock_source: self.clock().source().word(),
            storage_low: (self.storage_low)(),
            broker: self.broker.as_ref().map(|connected| *connected.borrow()),
        }
    }

    fn clock(&self) -> &Clock {
        self.core.clock()
    }
}

/// Every path of the table, the page, and simulated locks to be steered.
fn routes(api: Arc<Api>) -> Router {
    let mut routes = web::routes()
        .route("/lockbridge/v1/sim/devices/{id}/table", get(steer::table))
        .route("/lockbridge/v1/sim/devices/{id}/fault", post(steer::fault))
        .route("/lockbridge/v1/sim/devices/{id}/code", post(steer::code))
        .route("/lockbridge/v1/sim/devices/{id}/keypad", post(steer::keypad))
        .route(
            "/lockbridge/v1/sim/clock",
            get(steer::clock).post(steer::set_clock),
        );
    for endpoint in ENDPOINTS {
        let answer = move |State(api): State<Arc<Api>>, request: Request| async move {
            calls::answer(endpoint, &api, request).await
        };
        let methods = endpoint.methods.iter().map(|method| match method {
            Method::Get => MethodFilter::GET,
            Method::Post => MethodFilter::POST,
            Method::Put => MethodFilter::PUT,
            Method::Patch => MethodFilter::PATCH,
            Method::Delete => MethodFilter::DELETE,
        });
        if let Some(methods) = methods.reduce(MethodFilter::or) {
            routes = routes.route(endpoint.path, on(methods, answer));
        }
    }
    routes
        .fallback(answer::no_such_path)
        .layer(axum::middleware::map_response_with_state(
            Arc::clone(&api),
            finish,
        ))
        .with_state(api)
}

/// What every answer carries.
async fn finish(State(api): State<Arc<Api>>, response: Response) -> Response {
    let mut response = answer::with_envelope(response);
    let class = usize::from(response.status().as_u16() / 100);
    if let Some(answers) = api.answers.get(class.wrapping_sub(1)) {
        answers.fetch_add(1, Ordering::Relaxed);
    }
    let number = api.requests.fetch_add(1, Ordering::Relaxed);
    if let Ok(id) = HeaderValue::from_str(&format!("{:x}-{number}", api.started)) {
        response.headers_mut().insert("seam-request-id", id);
    }
    response
}
