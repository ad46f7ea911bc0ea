//! Seam's API for the site itself, and our own beside it, over TCP and over a Unix socket.
//!
//! ```text
//! mod.rs    what is served, and how it ends     codes.rs    access codes, as Seam serves them
//! who.rs    who calls, and what that one may    devices.rs  devices, likewise
//! keys.rs   the file of API keys                ours.rs     health, receipts, queues, jobs
//! params.rs body and query, together            steer.rs    simulated locks, and their time
//! answer.rs bodies, refusals, headers           socket.rs   the Unix socket
//! serve.rs  connections, and which answers arrived
//! ```
//!
//! The room decides nothing about codes or locks: it asks the core, and waits until what it tells
//! is durable. It refuses whoever shows no key, bodies over 64 kB, and whatever it cannot read,
//! each with a reason in Seam's envelope. Nothing that was committed is answered with a 5xx: Seam's
//! SDKs would send it again.

mod answer;
mod codes;
mod devices;
pub mod keys;
mod ours;
mod params;
mod serve;
pub mod socket;
mod steer;
mod who;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::response::Response;
use axum::routing::{get, post};

use crate::api::answer::Site;
use crate::clock::Clock;
use crate::lock::Registry;
use crate::shell::Core;
use keys::Keys;

pub use serve::{Listener, serve};

/// What the API is served with.
pub struct Api {
    core: Core,
    site: Site,
    keys: Keys,
    locks: Registry,
    storage_low: Box<dyn Fn() -> bool + Send + Sync>,
    /// The user that the gateway runs as, if the system says.
    own_uid: Option<u32>,
    /// Tells the requests of this start from those of others.
    started: i64,
    requests: AtomicU64,
    /// One advance of simulated time at a time.
    advancing: tokio::sync::Mutex<()>,
}

impl Api {
    /// Puts together what the API is served with.
    #[must_use]
    pub fn new(
        core: Core,
        site: Site,
        keys: Keys,
        locks: Registry,
        storage_low: Box<dyn Fn() -> bool + Send + Sync>,
        own_uid: Option<u32>,
    ) -> Api {
        let started = core.clock().now().wall.0;
        Api {
            core,
            site,
            keys,
            locks,
            storage_low,
            own_uid,
            started,
            requests: AtomicU64::new(0),
            advancing: tokio::sync::Mutex::default(),
        }
    }

    fn clock(&self) -> &Clock {
        self.core.clock()
    }
}

/// Every path, with the methods that Seam's SDKs of all ages use for it.
fn routes(api: Arc<Api>) -> Router {
    let seam = Router::new()
        .route(
            "/access_codes/create_multiple",
            post(codes::create_multiple).put(codes::create_multiple),
        )
        .route(
            "/access_codes/update_multiple",
            post(codes::update_multiple).patch(codes::update_multiple),
        )
        .route("/access_codes/delete", post(codes::delete).delete(codes::delete))
        .route("/access_codes/get", get(codes::get).post(codes::get))
        .route("/access_codes/list", get(codes::list).post(codes::list))
        .route("/devices/get", get(devices::get).post(devices::get))
        .route("/devices/list", get(devices::list).post(devices::list))
        .route("/devices/simulate/connect", post(devices::connect))
        .route("/devices/simulate/disconnect", post(devices::disconnect))
        .route("/devices/simulate/remove", post(devices::remove))
        .route("/health", get(ours::health));
    let ours = Router::new()
        .route("/readyz", get(ours::ready))
        .route("/lockbridge/v1/groups/{key}", get(ours::group))
        .route("/lockbridge/v1/devices/{id}/queue", get(ours::queue))
        .route("/lockbridge/v1/jobs/{id}", get(ours::job));
    let steer = Router::new()
        .route("/lockbridge/v1/sim/devices/{id}/table", get(steer::table))
        .route("/lockbridge/v1/sim/devices/{id}/fault", post(steer::fault))
        .route("/lockbridge/v1/sim/devices/{id}/code", post(steer::code))
        .route("/lockbridge/v1/sim/devices/{id}/keypad", post(steer::keypad))
        .route(
            "/lockbridge/v1/sim/clock",
            get(steer::clock).post(steer::set_clock),
        );
    seam.merge(ours)
        .merge(steer)
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
    let number = api.requests.fetch_add(1, Ordering::Relaxed);
    if let Ok(id) = HeaderValue::from_str(&format!("{:x}-{number}", api.started)) {
        response.headers_mut().insert("seam-request-id", id);
    }
    response
}
