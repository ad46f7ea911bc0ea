//! A gateway of the demo: its configuration, its key, its log and its process.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::process::{Child, Command};

use crate::cli::client::Gateway;
use crate::cli::{Failure, keys};
use crate::clock::Clock;
use crate::config::Config;
use crate::http::keys::{Keys, Scope};
use crate::model::Voucher;

/// A door of the demo.
pub(super) struct Door {
    pub id: &'static str,
    pub name: &'static str,
    pub profile: &'static str,
    /// How long its lock takes for a read or a write: so different that one sees them at work.
    latency: &'static str,
}

/// The doors, in the order of the bookings.
pub(super) const DOORS: [Door; 4] = [
    Door {
        id: "8e94044d-a4d1-4691-9f7e-e97d3e8a0b73",
        name: "Front door",
        profile: "keypad-6",
        latency: "200ms",
    },
    Door {
        id: "d87eea5d-71c6-4633-a966-396c5ac51177",
        name: "Back door",
        profile: "slots",
        latency: "500ms",
    },
    Door {
        id: "4f2b8c1e-6a70-4d39-8f15-92b7c3d0e5a4",
        name: "Garden gate",
        profile: "masked",
        latency: "1500ms",
    },
    Door {
        id: "b6d1e0f7-3c52-4a8b-9e64-0d7f5a2c8b19",
        name: "Apartment",
        profile: "slots",
        latency: "300ms",
    },
];

/// The port of the examples, if nobody has it.
const PORT: u16 = 8480;
/// Names of the site and the gateway, as they stand in topics.
pub(super) const SITE: &str = "demo";
pub(super) const GATEWAY: &str = "gw1";

/// How long the gateway may take for what is usually done at once.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// A gateway, furnished; it runs between [`Stage::start`] and [`Stage::stop`].
pub(super) struct Stage {
    pub folder: PathBuf,
    pub config: PathBuf,
    pub key_file: PathBuf,
    pub log: PathBuf,
    pub address: SocketAddr,
    gateway: Gateway,
    clock: Clock,
    child: Option<Child>,
}

impl Stage {
    /// Makes a directory with all that a gateway of these doors needs.
    pub(super) fn furnish(folder: &Path, mqtt: Option<&str>) -> Result<Stage, Failure> {
        DirBuilder::new().mode(0o700).create(folder)?;
        let address = free_address()?;
        let file = folder.join("lockbridge.toml");
        fs::write(&file, config(folder, address, mqtt))?;
        // What was typed may be wrong: said now, and not by a gateway that does not start.
        let checked = Config::load(&file)?;
        let key = keys::create(
            &Keys::of(&checked.data_dir),
            "demo",
            Scope::ALL.into_iter().collect(),
        )?;
        let key_file = folder.join("key");
        private(&key_file)?.write_all(format!("{}\n", key.as_str()).as_bytes())?;
        Ok(Stage {
            folder: folder.to_owned(),
            config: file,
            key_file,
            log: folder.join("gateway.log"),
            address,
            gateway: Gateway::Network { address, key },
            clock: Clock::real(Voucher::System),
            child: None,
        })
    }

    /// Starts the gateway, and waits until it knows the key. Returns its process id.
    pub(super) async fn start(&mut self) -> Result<u32, Failure> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let child = Command::new(std::env::current_exe()?)
            .arg("run")
            .arg("--config")
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // What a service manager gave is for the gateway that it started.
            .env_remove("RUNTIME_DIRECTORY")
            .env_remove("CREDENTIALS_DIRECTORY")
            .kill_on_drop(true)
            .spawn()?;
        let id = child.id().unwrap_or_default();
        self.child = Some(child);
        let deadline = self.clock.now().mono + PATIENCE;
        // Somebody else's gateway would not know the key.
        while self.gateway.get("/devices/list").await.is_err() {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().transpose()) {
                return Err(self.failed(status));
            }
            if self.clock.now().mono > deadline {
                return Err(Failure::other(format!(
                    "the gateway is not ready after {PATIENCE:?}; see {}",
                    self.log.display()
                )));
            }
            self.clock.sleep(PAUSE).await;
        }
        Ok(id)
    }

    /// `kill -9`: returns how the process ended.
    pub(super) async fn kill(&mut self) -> Result<ExitStatus, Failure> {
        let Some(mut child) = self.child.take() else {
            return Err(Failure::other("the gateway does not run"));
        };
        child.start_kill()?;
        Ok(child.wait().await?)
    }

    /// Asks the gateway to end, and sees that it did. Does nothing if it does not run.
    pub(super) async fn stop(&mut self) -> Result<(), Failure> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        if let Some(id) = child.id() {
            // The shell has `kill` built in; of itself this program could only send SIGKILL. At
            // Ctrl-C the terminal has told the gateway already, which does no harm.
            Command::new("sh")
                .args(["-c", "kill -TERM \"$0\" 2>/dev/null", &id.to_string()])
                .status()
                .await?;
        }
        match tokio::time::timeout(PATIENCE, child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(status) => Err(self.failed(status)),
            Err(_) => Err(Failure::other(format!(
                "the gateway did not end within {PATIENCE:?}, and was killed; see {}",
                self.log.display()
            ))),
        }
    }

    /// Waits until the gateway has ended, which it should not by itself.
    pub(super) async fn ended(&mut self) -> Failure {
        match &mut self.child {
            Some(child) => {
                let status = child.wait().await;
                self.failed(status)
            }
            None => Failure::other("the gateway does not run"),
        }
    }

    fn failed(&self, status: std::io::Result<ExitStatus>) -> Failure {
        let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let last = log.lines().last().unwrap_or("nothing");
        Failure::other(format!("the gateway ended ({how}); it said last: {last}"))
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        in_time(path, self.gateway.get(path)).await
    }

    pub(super) async fn post(&self, path: &str, params: Value) -> Result<Value, Failure> {
        in_time(path, self.gateway.post(path, params)).await
    }
}

async fn in_time(path: &str, call: impl Future<Output = Result<Value, Failure>>) -> Result<Value, Failure> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(answer) => answer.map_err(|failure| Failure::other(format!("{path}: {}", failure.message))),
        Err(_) => Err(Failure::other(format!("{path}: no answer within {PATIENCE:?}"))),
    }
}

/// A port for the gateway, which must find it free again after a restart.
fn free_address() -> std::io::Result<SocketAddr> {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    TcpListener::bind(wanted)
        .or_else(|_| TcpListener::bind(any))?
        .local_addr()
}

fn private(file: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
}

fn config(folder: &Path, address: SocketAddr, mqtt: Option<&str>) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let data_dir = quoted(&folder.join("data").to_string_lossy());
    let mut config = format!(
        "# Made by `lockbridge demo`.\n\n\
         [gateway]\nsite = \"{SITE}\"\nid = \"{GATEWAY}\"\ndata_dir = {data_dir}\n\n\
         [http]\nlisten = \"{address}\"\n\n\
         # A directory for temporary files may be small.\n[store]\nreserve_mb = 1\n"
    );
    if let Some(url) = mqtt {
        let url = quoted(url);
        // Writing to a string does not fail, here and below.
        let _ = write!(
            config,
            "\n# These PINs open nothing.\n[mqtt]\nurl = {url}\nallow_plaintext = true\n"
        );
    }
    for door in &DOORS {
        let Door {
            id,
            name,
            profile,
            latency,
        } = door;
        let _ = write!(
            config,
            "\n[[device]]\ndevice_id = \"{id}\"\nname = \"{name}\"\ndriver = \"sim\"\n\
             profile = \"{profile}\"\nlatency = \"{latency}\"\n"
        );
    }
    config
}
