//! MQTT: jobs in, answers and state out, over a broker that is a courier and never the memory.
//!
//! ```text
//!   broker ──> rumqtt ──> session ──> command ──> core          topic   what may be published to
//!          <── (link) <──    │   <── body     <── core          link    what is asked of a client
//!                            └── agenda                         rumqtt  the client that was chosen
//!                                body <── discovery: what Home Assistant is told
//! ```
//!
//! The room refuses to remember: what a broker must not lose is with the core, and what it shows
//! is looked up each time. It never fails. Without a broker the gateway works on, and the room
//! tries to connect for ever.

mod agenda;
mod body;
mod command;
mod discovery;
mod link;
mod rumqtt;
mod session;
mod topic;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::api::answer::Site;
use crate::config;
use crate::shell::{self, Core};
use body::Frame;
use rumqtt::Broker;
use session::{Parting, Session};
use topic::Tree;

/// The running link to a broker.
pub struct Mqtt {
    stop: watch::Sender<bool>,
    displaced: watch::Receiver<bool>,
    connected: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

/// Connects the core to a broker, now or whenever there is one. `seed` spreads the pauses between
/// attempts, and is what another gateway of the same name does not have.
pub fn start(site: &str, gateway: &str, config: &config::Mqtt, core: Core, seed: u64) -> Mqtt {
    let frame = Frame {
        tree: Tree::new(site, gateway, &config.reply_prefix, &config.discovery_prefix),
        site: Site::new(site, gateway),
        show_names: config.show_names,
        started_at: core.clock().now().wall,
        clock: core.clock().source().word(),
        discovery: config.discovery,
        instance: format!("{seed:016x}"),
        connection: 0,
    };
    let password = config.password.as_ref().map_or("", |secret| secret.expose());
    let broker = Broker {
        host: config.host.clone(),
        port: config.port,
        client_id: frame.tree.node().to_owned(),
        credentials: config
            .username
            .as_ref()
            .map(|user| (user.clone(), password.to_owned())),
        tls: config.tls.clone(),
        keep_alive: config.keep_alive,
        backoff_max: config.backoff_max,
        will: (frame.tree.status(), body::status_word(false)),
    };
    let (stop, stopped) = watch::channel(false);
    let (displace, displaced) = watch::channel(false);
    let (say_connected, connected) = watch::channel(false);
    let task = shell::keep("mqtt", core.clock().clone(), move || {
        let (link, poller) = rumqtt::connect(&broker, core.clock().clone(), seed);
        // Nothing stands yet, whatever an earlier session said that was lost.
        say_connected.send_replace(false);
        let session = Session::new(link, core.clone(), frame.clone(), say_connected.clone(), seed);
        let (stopped, displace) = (stopped.clone(), displace.clone());
        async move {
            // Either ends by itself once the other has.
            let ((), parting) = tokio::join!(poller, session.run(stopped));
            displace.send_replace(parting == Parting::Displaced);
        }
    });
    Mqtt {
        stop,
        displaced,
        connected,
        task,
    }
}

impl Mqtt {
    /// Returns once this gateway had to give its place at the broker to another one of its name,
    /// that was there first. It does not try again.
    pub async fn displaced(&mut self) {
        // A link that ended otherwise says nothing any more.
        if self.displaced.wait_for(|displaced| *displaced).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Tells whether a connection to the broker stands.
    #[must_use]
    pub fn connected(&self) -> watch::Receiver<bool> {
        self.connected.clone()
    }

    /// Says goodbye to the broker, and returns when that is done or has taken too long. Before the
    /// core is stopped.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the MQTT task was lost");
        }
    }
}
