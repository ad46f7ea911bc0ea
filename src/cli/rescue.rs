//! `lockbridge init`, `export` and `import`: what is made before anything happens, so that a gateway can
//! be made anew after everything happened.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use rand::RngExt;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Failure, client, randomness};
use crate::api::time;
use crate::clock::Clock;
use crate::config::{Config, is_withheld};
use crate::gateway::{is_credential, is_device, restored_row};
use crate::model::{Timestamp, Voucher};
use crate::store::{self, Earlier, RecoveryKey, Tree, Unsealed, load_key};

#[derive(Args)]
pub(super) struct Init {
    /// Make another recovery key in the place of the first. Exports made from then on are sealed to
    /// the new one; earlier exports still need the old one.
    #[arg(long)]
    new_recovery_key: bool,
}

#[derive(Args)]
pub(super) struct Export {
    /// Also put a copy here.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct Import {
    /// The export.
    export: PathBuf,
    /// A file with the recovery key; `-` reads it from stdin.
    #[arg(long, value_name = "FILE")]
    recovery_key_file: PathBuf,
}

const KEEP_IT: &str = "\
This is the recovery key. It is shown only now and kept nowhere on this machine.
Write it down and keep it apart from the gateway: whoever has it and an export can read every PIN,
and without it no export can be opened.
";
const EARLIER: &str = "\
Exports that were made until now need the old key. The gateway seals the next one to this key, once
something has changed: say `lockbridge export` to have one at once.
";

pub(super) fn init(command: &Init, config: &Config) -> Result<String, Failure> {
    // A key that only the service can read was put there by somebody: there is none to make.
    if !config.key_file.as_deref().is_some_and(is_withheld) {
        load_key(&config.data_dir, config.key_file.as_deref())?;
    }
    let earlier = match command.new_recovery_key {
        true => Earlier::Replace,
        false => Earlier::Keep,
    };
    let key = RecoveryKey::make(&config.data_dir, earlier)?.ok_or_else(|| {
        Failure::other(format!(
            "{} has a recovery key already. If it is lost, or somebody else may have seen it, say \
             `lockbridge init --new-recovery-key`: exports made from then on are sealed to the new one, \
             and earlier ones still need the old one",
            config.data_dir.display()
        ))
    })?;
    // Whoever reads it may have gone already.
    let _ = io::stderr().write_all(KEEP_IT.as_bytes());
    if command.new_recovery_key {
        let _ = io::stderr().write_all(EARLIER.as_bytes());
    }
    Ok(format!("{}\n", key.expose().as_str()))
}

pub(super) fn export(command: &Export, data_dir: &Path) -> Result<String, Failure> {
    client::with(data_dir, async |gateway| {
        let told = gateway.post("/lockbridge/v1/export", Value::Null).await?;
        let made = &told["export"];
        let path = made["path"].as_str().unwrap_or_default();
        let mut text = format!(
            "{path}: {} bytes, up to event {}\n",
            made["bytes"], made["last_event"]
        );
        if let Some(to) = &command.to {
            copy(Path::new(path), to)?;
            text += &format!("copied to {}\n", to.display());
        }
        Ok(text)
    })
}

/// Copies durably, so that the stick may be drawn.
fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::other(format!("copying to {}: {e}", to.display()));
    fs::copy(from, to).map_err(failed)?;
    fs::File::open(to)
        .and_then(|file| file.sync_all())
        .map_err(failed)
}

pub(super) fn import(command: &Import, config: &Config) -> Result<String, Failure> {
    // Said before anything is read; said again where it counts.
    store::refuse_occupied(&config.data_dir)?;
    let words = |tree, many: &str, content: &store::Content| format!("{} {many}", content.count(tree));
    let key = recovery_key(&command.recovery_key_file)?;
    let sealed = fs::read(&command.export)
        .map_err(|error| Failure::other(format!("{}: {error}", command.export.display())))?;
    let Unsealed { head, content } = Unsealed::open(&sealed, &key).map_err(|fail| {
        let failure = Failure::from(fail);
        Failure {
            message: format!("{}: {}", command.export.display(), failure.message),
            ..failure
        }
    })?;
    let credentials = content
        .keys(Tree::Devices)
        .filter(|key| is_credential(key))
        .count();
    let counts = [
        words(Tree::Codes, "access codes", &content),
        words(Tree::Queue, "waiting commands", &content),
        words(Tree::Jobs, "jobs", &content),
        words(Tree::Replies, "waiting answers", &content),
        format!(
            "{} devices",
            content.keys(Tree::Devices).filter(|key| is_device(key)).count()
        ),
        format!("{credentials} paired locks"),
        words(Tree::Events, "events", &content),
    ];
    if let Some(file) = config.key_file.as_deref().filter(|file| is_withheld(file)) {
        return Err(Failure::other(format!(
            "the store is sealed with a key that only the service can read: put a copy where [store] key_file can name \
             it, import, and set key_file back to {} once this is done",
            file.display()
        )));
    }
    let own_key = load_key(&config.data_dir, config.key_file.as_deref())?;
    let now = Clock::real(Voucher::System).now().wall;
    let mark = restored_row(&head, now);
    store::import(&config.data_dir, &own_key, randomness().random(), content, mark)?;
    let mut text = format!(
        "{} as of {}, up to event {}: {}\n",
        head.gateway,
        shown(head.made_at),
        head.last_event,
        counts.join(", ")
    );
    let ours = format!("{}/{}", config.site, config.gateway);
    if head.gateway != ours {
        text += &format!("the configuration calls this gateway {ours}: its topics and ids are other ones\n");
    }
    text += "start the gateway: it reads each lock before it writes to it\n";
    if !store::has_recovery_key(&config.data_dir) {
        text += "say `lockbridge init`: the recovery key of the old machine does not come along, and without one no \
                 exports are made here\n";
    }
    text += "a clock that is more than 30 days past the export counts after 15 minutes, or as soon as \
             `lockbridge clock accept` vouches for it; until then time is carried on from the export's\n";
    Ok(text)
}

fn recovery_key(file: &Path) -> Result<RecoveryKey, Failure> {
    let mut text = Zeroizing::new(String::new());
    let from = file.display();
    let read = match file == Path::new("-") {
        true => io::stdin().read_to_string(&mut text),
        false => fs::File::open(file).and_then(|mut file| file.read_to_string(&mut text)),
    };
    read.map_err(|error| Failure::other(format!("the recovery key in {from}: {error}")))?;
    RecoveryKey::parse(&text).ok_or_else(|| {
        Failure::other(format!(
            "{from} holds no recovery key: it is one line that begins with AGE-SECRET-KEY-1"
        ))
    })
}

fn shown(at: Timestamp) -> String {
    time::text(at).unwrap_or_default()
}
