//! `lockbridge scan`, `pair`, `unpair` and `locks test`: locks over Bluetooth, from the gateway's own machine.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::client::Gateway;
use super::show::{cell, items, some_devices, table};
use super::{Failure, client};
use crate::clock::Clock;
use crate::lock::ble::Address;
use crate::model::Voucher;

/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(300);
/// Between two looks at who is heard.
const SCAN: Duration = Duration::from_secs(1);
/// Clears a terminal.
const CLEAR: &str = "\x1b[2J\x1b[H";

#[derive(Args)]
pub(super) struct Scan {
    /// Show all that is heard, not only locks.
    #[arg(long)]
    all: bool,
    /// Print the table once, also on a terminal.
    #[arg(long)]
    once: bool,
}

#[derive(Subcommand)]
pub(super) enum Pair {
    /// A Nuki smart lock; its security PIN is asked for.
    Nuki {
        /// The address that `lockbridge scan` shows.
        address: Address,
        /// What the lock is to be called. Default: as in the Nuki app.
        #[arg(long)]
        name: Option<String>,
    },
}

#[derive(Args)]
pub(super) struct Unpair {
    /// The device (id or name).
    device: String,
    /// Although codes of it are not over: they stay on the lock.
    #[arg(long)]
    force: bool,
}

#[derive(Subcommand)]
pub(super) enum Locks {
    /// Read a paired lock, add a code, and take it off again.
    Test {
        /// The device (id or name).
        device: String,
    },
}

pub(super) fn scan(command: &Scan, data_dir: &Path) -> Result<String, Failure> {
    let live = !command.once && io::stdout().is_terminal();
    client::with(data_dir, async |gateway| {
        loop {
            let told = gateway.get("/lockbridge/v1/bluetooth").await?;
            let text = heard(&told["bluetooth"], command.all);
            if !live {
                return Ok(text);
            }
            say(&format!("{CLEAR}{text}"));
            Clock::real(Voucher::System).sleep(SCAN).await;
        }
    })
}

fn heard(bluetooth: &Value, all: bool) -> String {
    let shown = |one: &&Value| all || one["kind"] != "other" || !one["device_id"].is_null();
    let rows = items(&bluetooth["heard"]).filter(shown).map(|one| {
        let kind = match one["kind"].as_str() {
            Some("nuki_pairable") => "nuki (ready to be paired)".to_owned(),
            _ => cell(&one["kind"]),
        };
        vec![
            cell(&one["address"]),
            kind,
            cell(&one["name"]),
            cell(&one["rssi"]),
            cell(&one["last_heard"]),
            cell(&one["device_id"]),
        ]
    });
    let titles = ["ADDRESS", "KIND", "NAME", "RSSI", "LAST_HEARD", "DEVICE_ID"];
    let table = table(&titles, rows.collect());
    match bluetooth["outage"].as_str() {
        Some(outage) => format!("no Bluetooth radio: {outage}\n{table}"),
        None => table,
    }
}

pub(super) fn pair(command: &Pair, data_dir: &Path) -> Result<String, Failure> {
    let Pair::Nuki { address, name } = command;
    client::with(data_dir, async |gateway| {
        // Without Bluetooth, or a gateway, nobody is asked for a PIN.
        gateway.get("/lockbridge/v1/bluetooth").await?;
        let pin = security_pin()?;
        let params = json!({"address": address.to_string(), "name": name, "security_pin": pin.as_str()});
        let begun = gateway.post("/lockbridge/v1/bluetooth/pair", params).await?;
        let device = follow(gateway, begun).await?;
        Ok(format!("paired: {device}\n"))
    })
}

/// Asks for the security PIN, unseen; takes a line of stdin where nobody sits at a terminal.
fn security_pin() -> Result<Zeroizing<String>, Failure> {
    let typed = if io::stdin().is_terminal() {
        Zeroizing::new(rpassword::prompt_password(
            "The lock's security PIN (four digits, six for an Ultra): ",
        )?)
    } else {
        let mut line = Zeroizing::new(String::new());
        io::stdin().lock().read_line(&mut line)?;
        line
    };
    match typed.trim() {
        "" => Err(Failure::other(
            "the lock's security PIN is missing: type it, or give it on stdin",
        )),
        pin => Ok(Zeroizing::new(pin.to_owned())),
    }
}

pub(super) fn unpair(command: &Unpair, data_dir: &Path) -> Result<String, Failure> {
    client::with(data_dir, async |gateway| {
        let device = one_device(gateway, &command.device).await?;
        let params = json!({"device_id": device["device_id"], "force": command.force});
        let told = gateway.post("/lockbridge/v1/bluetooth/unpair", params).await?;
        let (name, unpaired) = (cell(&device["display_name"]), &told["unpaired"]);
        if unpaired["user_deleted"] == true {
            return Ok(format!(
                "{name} is forgotten here, and deleted this gateway from its users\n"
            ));
        }
        let [problem, hint] = ["problem", "hint"].map(|key| cell(&unpaired[key]));
        Ok(format!(
            "{name} is forgotten here, and may still have this gateway among its users: {problem}. {hint}\n"
        ))
    })
}

pub(super) fn locks(command: &Locks, data_dir: &Path) -> Result<String, Failure> {
    let Locks::Test { device } = command;
    client::with(data_dir, async |gateway| {
        let device = one_device(gateway, device).await?;
        let params = json!({"device_id": device["device_id"]});
        let begun = gateway.post("/lockbridge/v1/bluetooth/test", params).await?;
        follow(gateway, begun).await?;
        Ok(format!("{} works\n", cell(&device["display_name"])))
    })
}

async fn one_device(gateway: &Gateway, named: &str) -> Result<Value, Failure> {
    let mut devices = some_devices(gateway, Some(named)).await?;
    match devices.len() {
        1 => Ok(devices.remove(0)),
        _ => Err(Failure::other(format!(
            "several devices are called {named}: name one by its id, see `lockbridge devices`"
        ))),
    }
}

/// Shows each step as it is reached; returns the id of the device.
async fn follow(gateway: &Gateway, begun: Value) -> Result<String, Failure> {
    let clock = Clock::real(Voucher::System);
    let mut told = begun;
    let mut shown = 0;
    loop {
        let errand = &told["errand"];
        for step in items(&errand["steps"]).skip(shown) {
            say(&format!("{}\n", cell(&step["sentence"])));
            shown += 1;
        }
        match errand["state"].as_str() {
            Some("done") => return Ok(cell(&errand["device_id"])),
            Some("failed") => {
                let [problem, hint] = ["problem", "hint"].map(|key| cell(&errand[key]));
                return Err(Failure::other(format!("{problem}. {hint}")));
            }
            _ => clock.sleep(LOOK).await,
        }
        told = gateway.get("/lockbridge/v1/bluetooth/errand").await?;
    }
}

fn say(text: &str) {
    let mut out = io::stdout();
    // Whoever reads it may have gone already.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
