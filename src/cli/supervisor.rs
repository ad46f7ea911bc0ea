//! What systemd is told of the running gateway: that it is ready, that it lives, and that it ends. Whoever runs it
//! by hand has nobody who listens.

use std::path::Path;
use std::time::Duration;

use sd_notify::NotifyState;

use super::client;
use crate::clock::Clock;

/// The doors are open.
pub(super) fn ready() {
    tell(&NotifyState::Ready);
}

/// Files are read again; `ready` ends it.
pub(super) fn reloading() {
    tell(&NotifyState::Reloading);
}

/// The end has begun.
pub(super) fn stopping() {
    tell(&NotifyState::Stopping);
}

fn tell(state: &NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        tracing::warn!(%error, "systemd cannot be told {state}");
    }
}

/// Tells the watchdog that the gateway lives for as long as it answers a caller, if there is a watchdog. Never ends.
///
/// The call takes a caller's way, so that what it vouches for works: the doors, the core, the committer and the
/// card. A watchdog fed by a timer would vouch for the timer.
pub(super) async fn watch(socket: &Path, clock: &Clock) {
    let Some(within) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    feed(socket, clock, within / 4).await
}

async fn feed(socket: &Path, clock: &Clock, every: Duration) {
    let gateway = client::Gateway::Local(socket.to_owned());
    loop {
        match tokio::time::timeout(every, gateway.get("/readyz")).await {
            Ok(Ok(answer)) if answer["store"] == "ok" => tell(&NotifyState::Watchdog),
            Ok(Ok(_)) => tracing::warn!("the watchdog is not fed: the store has stopped"),
            Ok(Err(why)) => tracing::warn!(why = why.message, "the watchdog is not fed"),
            Err(_) => tracing::warn!("the watchdog is not fed: no answer to /readyz within {every:?}"),
        }
        clock.sleep(every).await;
    }
}
