//! `lockbridge incident`: what happened since a moment, in one file that can be given away.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use super::client::{self, segment};
use crate::api::time;
use crate::config::span;

#[derive(Args)]
pub(super) struct Incident {
    /// From when on: a date and time with its offset, or how long ago, such as 12h or 2d.
    #[arg(long, value_name = "WHEN")]
    since: String,
    /// Write it here; a file that is there already is left as it is. Default: stdout.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

pub(super) fn incident(command: &Incident, data_dir: &Path) -> Result<String, Failure> {
    let when = match (span(&command.since), time::parse(&command.since)) {
        (Ok(ago), _) => format!("ago_s={}", ago.as_secs()),
        (_, Ok(_)) => format!("since={}", segment(&command.since)),
        (_, Err(problem)) => {
            return Err(Failure {
                status: Failure::CONFIG,
                message: format!("--since: {problem}, or how long ago, such as 12h"),
            });
        }
    };
    let path = format!("/lockbridge/v1/incident?{when}");
    client::with(data_dir, async |gateway| {
        let bundle = gateway.get(&path).await?["incident"].take();
        let told = |key: &str| bundle[key].as_str().unwrap_or_default();
        let count = |key: &str| bundle[key].as_array().map_or(0, Vec::len);
        if !bundle["pruned_before"].is_null() {
            let warning = format!(
                "what happened before {} is kept no more, and is not in it: see `[limits] events`\n",
                told("pruned_before")
            );
            // Whoever reads it may have gone already.
            let _ = io::stderr().write_all(warning.as_bytes());
        }
        let text = format!("{bundle:#}\n");
        let Some(to) = &command.to else {
            return Ok(text);
        };
        write(to, text.as_bytes())?;
        Ok(format!(
            "{}: {} events since {}, {} access codes on {} devices, without PINs and names\n",
            to.display(),
            count("events"),
            told("since"),
            count("access_codes"),
            count("devices"),
        ))
    })
}

/// Writes a new file, for its owner alone; what cannot be written as a whole is not left behind.
fn write(to: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::other(format!(
            "{} is there already, and is left as it is: name another file",
            to.display()
        )),
        _ => Failure::other(format!("writing {}: {error}", to.display())),
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(failed)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.map_err(|error| {
        // What is wrong with the first is said; the second most likely fails for the same reason.
        let _ = fs::remove_file(to);
        failed(error)
    })
}
