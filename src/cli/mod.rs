//! The command line: what can be said to lockbridge, and with which status it ends.
//!
//! ```text
//! mod.rs     commands and statuses          locks.rs     the locks of a configuration
//! run.rs     the gateway, put together      client.rs    calls to a running gateway
//! keys.rs    API keys                       show.rs      its answers as tables
//! rescue.rs  exports, and the way back      incident.rs  what happened, in a file
//! bluetooth.rs  locks over Bluetooth        supervisor.rs  what systemd is told
//! hangup.rs  what SIGHUP asks for           selftest.rs  whether all is fit for work
//! status.rs  one look, once and live        proof.rs     receipts that others can check
//! demo/      a stay played through before one's eyes
//! sim.rs     the core in virtual time (feature `sim` only)
//! ```
//!
//! Commands that look at a gateway ask it over its Unix socket. Those about keys and the
//! configuration need no running gateway. Of the configuration a command reads what it needs: where the
//! gateway is can be told from one that has a mistake elsewhere, or names what only the service can read.
//! What a command prints holds no PIN unless it is asked to.

mod bluetooth;
mod client;
mod demo;
mod hangup;
mod incident;
mod keys;
mod locks;
mod proof;
mod rescue;
mod run;
mod selftest;
mod show;
#[cfg(feature = "sim")]
mod sim;
mod status;
mod supervisor;

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use rand::CryptoRng;

use crate::clock::Clock;
use crate::config::{self, Config, ConfigError};
use crate::store::Fail;
use crate::tls::FileError;

/// Where a package puts the configuration.
const CONFIG: &str = "/etc/lockbridge/lockbridge.toml";

/// Bridges Seam's access-code API to local door locks.
#[derive(Parser)]
#[command(name = "lockbridge", version, arg_required_else_help = true)]
struct Cli {
    /// The configuration.
    #[arg(long, global = true, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
    /// Say more on stderr.
    #[arg(long, short, global = true)]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway in the foreground.
    Run,
    /// Make the data directory, its key, and the recovery key that opens exports; print that one, once.
    Init(rescue::Init),
    /// Have the running gateway make an export now.
    Export(rescue::Export),
    /// Put the store of an export into a data directory that has none.
    Import(rescue::Import),
    /// Play a stay on four simulated doors, then leave a gateway to try; needs no configuration.
    Demo(demo::Demo),
    /// Check the configuration, and say how it was understood.
    CheckConfig,
    /// List the devices.
    Devices,
    /// List access codes.
    Codes {
        /// Only those of this device (id or name).
        #[arg(long, value_name = "DEVICE")]
        device: Option<String>,
        /// Show the PINs.
        #[arg(long)]
        show_pins: bool,
    },
    /// List what waits to be done on the locks.
    Queue {
        /// Only on this device (id or name).
        device: Option<String>,
    },
    /// Show in one look how everything is; status 1 if something needs a person.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show it again whenever something happens, and what; plain lines where stdout is no terminal.
    Watch,
    /// Show how far a group of access codes is, lock by lock.
    Receipt {
        /// The `common_code_key` of the group, as `codes` shows it.
        group: String,
        /// Show the PINs.
        #[arg(long)]
        show_pins: bool,
        /// Print it as a signed statement, without PINs, that others can check with `verify-receipt`.
        #[arg(long, conflicts_with = "show_pins")]
        signed: bool,
    },
    /// Print the public key with which others check signed receipts.
    ReceiptKey,
    /// Check a signed receipt, and say what it proves; status 1 if it does not verify.
    VerifyReceipt(proof::Verify),
    /// Say why a device or an access code is as it is.
    Why {
        /// A device (id or name), or an `access_code_id`.
        #[arg(value_name = "DEVICE|CODE")]
        what: String,
    },
    /// Have a lock read and compared with what it should hold, at once.
    Verify {
        /// The device (id or name).
        device: String,
    },
    /// Write down what happened since a moment, without PINs and names, for somebody who was not there.
    Incident(incident::Incident),
    /// See whether this machine and the gateway on it are fit for work.
    Selftest,
    /// What the gateway does with its clock.
    #[command(subcommand)]
    Clock(OfClock),
    /// Show who is heard over Bluetooth.
    Scan(bluetooth::Scan),
    /// Pair with a lock over Bluetooth.
    #[command(subcommand)]
    Pair(bluetooth::Pair),
    /// Forget a paired lock.
    Unpair(bluetooth::Unpair),
    /// See whether a paired lock does as it is asked.
    #[command(subcommand)]
    Locks(bluetooth::Locks),
    /// Make, list and revoke API keys.
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Run the core in virtual time, with everything that can go wrong; only in builds with the feature `sim`.
    #[cfg(feature = "sim")]
    #[command(subcommand)]
    Sim(sim::Sim),
}

#[derive(Subcommand)]
enum OfClock {
    /// Vouch for a clock that moved as no clock moves by itself.
    Accept,
}

/// Why a command ends without success.
#[derive(Debug)]
struct Failure {
    status: u8,
    message: String,
}

impl Failure {
    const OTHER: u8 = 1;
    const CONFIG: u8 = 2;
    const STORE: u8 = 3;
    const INSTANCE: u8 = 4;

    fn other(message: impl fmt::Display) -> Failure {
        Failure {
            status: Failure::OTHER,
            message: message.to_string(),
        }
    }

    fn second_at_broker(config: &Config) -> Failure {
        Failure {
            status: Failure::INSTANCE,
            message: format!(
                "another gateway is at the MQTT broker as id \"{}\" of site \"{}\", and was there first: \
                 give each its own `[gateway] id`",
                config.gateway, config.site
            ),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure {
            status: Failure::CONFIG,
            message: error.to_string(),
        }
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Failure {
        Failure {
            status: Failure::CONFIG,
            message: error.to_string(),
        }
    }
}

impl From<Fail> for Failure {
    fn from(fail: Fail) -> Failure {
        let status = match &fail {
            Fail::Damaged(_) | Fail::Export(_) | Fail::Newer { .. } => Failure::STORE,
            Fail::Locked(_) => Failure::INSTANCE,
            Fail::Full(_)
            | Fail::Broken(_)
            | Fail::Recovery(_)
            | Fail::Key(_)
            | Fail::Occupied(_)
            | Fail::Oversize { .. } => Failure::OTHER,
        };
        Failure {
            status,
            message: fail.to_string(),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::other(error)
    }
}

/// All that can be said to lockbridge, for manual pages and completions.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Does what the arguments say, and says how it went.
#[must_use]
pub fn main() -> ExitCode {
    // Ends by itself, with status 2, if the arguments make no sense.
    let cli = Cli::parse();
    match carry_out(&cli) {
        Ok(text) => {
            // Whoever reads it may have gone already.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            let _ = writeln!(io::stderr(), "lockbridge: {}", failure.message);
            ExitCode::from(failure.status)
        }
    }
}

/// Returns what goes to stdout.
fn carry_out(cli: &Cli) -> Result<String, Failure> {
    let config = || Config::load_beside_service(&cli.config);
    let data_dir = || config::data_dir(&cli.config);
    match &cli.command {
        Command::Run => run::run(&cli.config, cli.verbose).map(|()| String::new()),
        Command::Init(command) => rescue::init(command, &config()?),
        Command::Export(command) => rescue::export(command, &data_dir()?),
        Command::Incident(command) => incident::incident(command, &data_dir()?),
        #[cfg(feature = "sim")]
        Command::Sim(command) => sim::carry_out(command).map(|()| String::new()),
        Command::Import(command) => rescue::import(command, &config()?),
        Command::Demo(command) => demo::demo(command).map(|()| String::new()),
        Command::CheckConfig => {
            let config = config()?;
            run::tls_files(&config, &Clock::real(config.clock))?;
            Ok(config.describe())
        }
        Command::Keys(command) => keys::carry_out(command, &data_dir()?),
        Command::Scan(command) => bluetooth::scan(command, &data_dir()?),
        Command::Pair(command) => bluetooth::pair(command, &data_dir()?),
        Command::Unpair(command) => bluetooth::unpair(command, &data_dir()?),
        Command::Locks(command) => bluetooth::locks(command, &data_dir()?),
        Command::Devices => client::with(&data_dir()?, show::devices),
        Command::Codes { device, show_pins } => client::with(&data_dir()?, async |gateway| {
            show::codes(gateway, device.as_deref(), *show_pins).await
        }),
        Command::Queue { device } => client::with(&data_dir()?, async |gateway| {
            show::queue(gateway, device.as_deref()).await
        }),
        Command::Why { what } => client::with(&data_dir()?, async |gateway| show::why(gateway, what).await),
        Command::Verify { device } => {
            client::with(&data_dir()?, async |gateway| show::verify(gateway, device).await)
        }
        Command::Selftest => {
            let config = config()?;
            client::with(&config.data_dir, async |gateway| {
                selftest::selftest(&config, gateway).await
            })
        }
        Command::Clock(OfClock::Accept) => client::with(&data_dir()?, show::accept_clock),
        Command::Receipt {
            group,
            show_pins,
            signed,
        } => client::with(&data_dir()?, async |gateway| match signed {
            true => proof::signed(gateway, group).await,
            false => show::receipt(gateway, group, *show_pins).await,
        }),
        Command::ReceiptKey => client::with(&data_dir()?, proof::key),
        Command::VerifyReceipt(command) => proof::verify(command, data_dir),
        Command::Status { json } => {
            client::with(&data_dir()?, async |gateway| status::status(gateway, *json).await)
        }
        Command::Watch => client::with(&data_dir()?, status::watch),
    }
}

/// The operating system's randomness. A machine that has none cannot make PINs: better to stop.
fn randomness() -> impl CryptoRng + Send + 'static {
    rand::rand_core::UnwrapErr(rand::rngs::SysRng)
}

/// The directory that the service manager gives for sockets, if it does.
fn runtime_dir() -> Option<PathBuf> {
    let given = std::env::var_os("RUNTIME_DIRECTORY")?;
    // systemd separates several by colons; the first is ours.
    let given = given.to_str()?.split(':').next()?;
    Some(Path::new(given).to_owned()).filter(|dir| dir.is_absolute())
}
