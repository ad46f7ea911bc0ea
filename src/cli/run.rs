//! `lockbridge run`: the whole gateway, put together in one place.
//!
//! It starts from the inside out, store, locks, core, doors, and says that it is ready when the
//! doors are open. With a changed configuration it ends and starts anew, in one process. It ends from the outside
//! in, so that nobody's answer is lost: doors first, then the core, then the store.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::Level;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use super::{Failure, hangup, locks, randomness, runtime_dir, supervisor};
use crate::api::answer::Site;
use crate::clock::Clock;
use crate::config::{ClientTls, Config, Identity, is_withheld};
use crate::gateway::Gateway;
use crate::http::keys::Keys;
use crate::http::{self, Api, socket};
use crate::mqtt::{self, Mqtt};
use crate::shell::{self, Parts};
use crate::signature::SigningKey;
use crate::store::{Exporter, Options, SledStore, Vault, load_key};
use crate::tls::{self, FileError};

/// Answers under way get this long once the end is asked for.
const LAST_ANSWERS: Duration = Duration::from_secs(3);
/// The store gets this long to close. Both together stay below ten seconds.
const LAST_WRITES: Duration = Duration::from_secs(5);
/// Links to locks get this long to end, meanwhile.
const LAST_LINKS: Duration = Duration::from_secs(4);

/// What the key that signs receipts is derived from the store's key for.
const RECEIPTS: &str = "lockbridge receipts 1";

/// Why a gateway ended.
enum End {
    /// It was asked to.
    Asked,
    /// It is to go on with this configuration.
    Anew(Box<Config>),
}

/// Runs with the configuration of a file until it is asked to end, or cannot go on.
pub(super) fn run(path: &Path, verbose: bool) -> Result<(), Failure> {
    let mut config = Config::load(path)?;
    let (level, log) = reload::Layer::new(LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    tracing_subscriber::registry().with(level).with(lines).init();
    loop {
        let level = match verbose {
            true => Level::DEBUG,
            false => config.log,
        };
        log.reload(level).map_err(Failure::other)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let ended = runtime.block_on(gateway(path, config));
        // A lock that hangs must not hold up the end.
        runtime.shutdown_timeout(Duration::from_secs(1));
        match ended? {
            End::Asked => return Ok(()),
            End::Anew(changed) => config = *changed,
        }
    }
}

async fn gateway(path: &Path, config: Config) -> Result<End, Failure> {
    // Whoever says "read your files again" means no harm to a gateway that has nothing to read.
    let hangup = signal(SignalKind::hangup())?;
    // A start goes to its end even if it is told to end: nothing is cut off in the middle.
    let told_to_end = told_to_end()?;
    let clock = Clock::real(config.clock);
    let https = tls_files(&config, &clock)?;

    // The store: opening it is what makes this the only gateway of its data directory.
    let key = load_key(&config.data_dir, config.key_file.as_deref())?;
    let options = Options {
        reserve: config.reserve,
        ..Options::default()
    };
    let mut store = SledStore::open(&config.data_dir, options)?;
    let mut rng = randomness();
    let (vault, content) = Vault::open(&mut store, &key, rng.random())?;
    let signing_key = SigningKey::of(&key.derive(RECEIPTS));
    let seed = rng.random();
    let name = format!("{}/{}", config.site, config.gateway);
    let named = config.export_dir.as_deref();
    let exporter = Exporter::new(&config.data_dir, key, named, config.reserve, name);
    if !exporter.has_recovery_key() {
        tracing::warn!("no exports are made: `lockbridge init` makes the key that would open them");
    }

    // The doors, not yet opened: whatever fails, fails before anything is asked of a lock.
    let network = TcpListener::bind(config.http.listen)
        .await
        .map_err(|error| Failure::other(format!("cannot listen on {}: {error}", config.http.listen)))?;
    let address = network.local_addr()?;
    let (local, socket) = socket::listen(&config.data_dir, runtime_dir().as_deref())
        .map_err(|error| Failure::other(format!("cannot make the Unix socket: {error}")))?;

    // The locks, and the core that knows what they shall hold.
    let (report, facts) = shell::ear();
    let zwave = locks::network(&config, &clock, &report).map(Arc::new);
    let locks = locks::open(&config, &clock, &report)?;
    let (gateway, repairs) = Gateway::boot(
        vault,
        content,
        locks.specs,
        locks.radios,
        config.settings.clone(),
        clock.boot(),
        clock.reading(),
    )?;
    let household = locks::household(&config, &clock, &report, &gateway).map(Arc::new);
    if repairs != Default::default() {
        tracing::warn!(?repairs, "the store did not agree with itself, and was repaired");
    }
    let (core, mut running) = shell::start(Parts {
        gateway,
        store: Box::new(store),
        storage_low: Box::new(storage_low(config.data_dir.clone(), config.reserve)),
        exporter: Some(Arc::new(exporter)),
        locks: locks.registry.clone(),
        facts,
        clock: clock.clone(),
        rng: Box::new(rng),
    })?;
    let bluetooth = household.clone().map(|household| {
        let kept = Arc::clone(&household);
        let running = shell::keep("bluetooth", clock.clone(), move || Arc::clone(&kept).run());
        (household, running)
    });
    let _zwave = zwave.map(|network| {
        shell::keep("zwave", clock.clone(), move || {
            let network = Arc::clone(&network);
            async move { network.run(seed).await }
        })
    });

    let mut mqtt = config
        .mqtt
        .as_ref()
        .map(|to| mqtt::start(&config.site, &config.gateway, to, core.clone(), seed));

    let (stop, stopping) = watch::channel(false);
    let timeout = config.http.timeout;
    let keys = Keys::of(&config.data_dir);
    keys.look();
    let api = Arc::new(Api::new(http::Parts {
        core: core.clone(),
        site: Site::new(&config.site, &config.gateway),
        keys,
        locks: locks.registry,
        household,
        time_is_steered: config.all_simulated(),
        storage_low: Box::new(storage_low(config.data_dir.clone(), config.reserve)),
        broker: mqtt.as_ref().map(Mqtt::connected),
        signing_key,
        randomness: || Box::new(randomness()),
        own_uid: Some(socket.owner),
        over_tls: https.is_some(),
        streams: config.settings.limits.streams,
        stop: stopping.clone(),
    }));
    let doors = async {
        tokio::join!(
            http::serve(
                network,
                Arc::clone(&api),
                timeout,
                https.clone(),
                stopping.clone()
            ),
            http::serve(local, Arc::clone(&api), timeout, None, stopping.clone()),
        )
    };
    tokio::pin!(doors);
    let scheme = if https.is_some() { "https" } else { "http" };
    eprintln!(
        "lockbridge is ready: {scheme}://{address} and {}",
        socket.path().display()
    );
    supervisor::ready();

    let mut ended = None;
    let mut is_second = false;
    let mut changed = None;
    tokio::select! {
        signal = told_to_end => tracing::info!("{signal} came: ending"),
        result = &mut running => ended = Some(result),
        () = displaced(mqtt.as_mut()) => is_second = true,
        // They close only when they are told to, which is further down.
        _ = &mut doors => {}
        new = hangup::changed(hangup, path, &config, https.as_deref(), &clock) => changed = Some(Box::new(new)),
        () = supervisor::watch(socket.path(), &clock) => {}
    }
    if changed.is_none() {
        supervisor::stopping();
    }
    // Nobody is listening any more only if the doors are closed already.
    let _ = stop.send(true);
    let goodbye = async {
        if let Some(mqtt) = mqtt {
            mqtt.stop().await;
        }
    };
    if ended.is_none() {
        let closed = async { tokio::join!(doors, goodbye) };
        if tokio::time::timeout(LAST_ANSWERS, closed).await.is_err() {
            tracing::warn!("some callers kept their connections open until the end");
        }
        core.stop().await;
        // Nobody uses a link any more once the core has ended: locks are left in peace beside it.
        let links = async {
            if let Some((household, mut running)) = bluetooth {
                household.end();
                if tokio::time::timeout(LAST_LINKS, &mut running).await.is_err() {
                    tracing::warn!("some links to locks may still stand");
                }
            }
        };
        let writes = tokio::time::timeout(LAST_WRITES, &mut running);
        ended = tokio::join!(writes, links).0.ok();
    }
    api.save();
    match ended {
        None => Err(Failure::other("the store did not close in time")),
        Some(Err(panic)) => Err(Failure::other(format!("the core failed: {panic}"))),
        Some(Ok(Err(fail))) => Err(fail.into()),
        Some(Ok(Ok(()))) if is_second => Err(Failure::second_at_broker(&config)),
        Some(Ok(Ok(()))) => Ok(changed.map_or(End::Asked, End::Anew)),
    }
}

/// Sees to it that the files of TLS can be used, before anything else begins. What a connection to another
/// program needs is read again for each attempt.
pub(super) fn tls_files(config: &Config, clock: &Clock) -> Result<Option<Arc<http::Tls>>, Failure> {
    let broker = config.mqtt.as_ref().and_then(|mqtt| mqtt.tls.as_ref());
    let own = config.http.identity.as_ref();
    for identity in own
        .into_iter()
        .chain(broker.and_then(|tls| tls.identity.as_ref()))
    {
        if tls::is_open_to_others(&identity.key) {
            let key = identity.key.display();
            tracing::warn!(
                "every user of this machine can read {key}, which is a private key: say `chmod o= {key}`"
            );
        }
    }
    let server = config.zwave.as_ref().and_then(|zwave| zwave.tls.as_ref());
    let blamed = |error: FileError| {
        let problem = error.to_string();
        config
            .blame(error.path(), &problem)
            .map_or_else(|| error.into(), Failure::from)
    };
    // What only the service can look at is left to it.
    let is_seen = |identity: &&Identity| !is_withheld(&identity.cert) && !is_withheld(&identity.key);
    for other in broker
        .into_iter()
        .chain(server)
        .filter(|tls| !is_withheld(&tls.ca))
    {
        let identity = other.identity.as_ref().filter(is_seen);
        let seen = ClientTls {
            ca: other.ca.clone(),
            identity: identity.cloned(),
        };
        tls::client(&seen, clock).map_err(blamed)?;
    }
    let own = own.filter(is_seen);
    let own = own.map(|identity| http::Tls::new(identity.clone(), clock.clone()));
    Ok(own.transpose().map_err(blamed)?.map(Arc::new))
}

/// Waits until the broker gives our place to a gateway of the same name; for ever without a broker.
async fn displaced(mqtt: Option<&mut Mqtt>) {
    match mqtt {
        Some(mqtt) => mqtt.displaced().await,
        None => std::future::pending().await,
    }
}

/// From now on listens for a signal that asks for the end; what comes of it waits for one, and says which it was.
pub(super) fn told_to_end() -> io::Result<impl Future<Output = &'static str>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

/// Tells whether the card has less room left than is to be kept free.
fn storage_low(data_dir: PathBuf, reserve: u64) -> impl Fn() -> bool + Send + Sync {
    move || match fs2::available_space(&data_dir) {
        Ok(free) => free < reserve,
        Err(error) => {
            tracing::warn!(%error, "cannot tell how much room is left");
            false
        }
    }
}
