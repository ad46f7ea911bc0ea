//! `lockbridge keys`: works on the file of keys, whether or not the gateway runs.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use clap::Subcommand;
use zeroize::Zeroizing;

use super::{Failure, randomness, show};
use crate::api::time;
use crate::clock::Clock;
use crate::config::AS_ROOT;
use crate::http::keys::{self, KeysError, Scope};
use crate::model::Voucher;

#[derive(Subcommand)]
pub(super) enum Keys {
    /// Make a key and print it; it cannot be seen again.
    Create {
        /// What the key is for; names it in lists and for `revoke`.
        name: String,
        /// What it may do: codes, pins, operate, admin, metrics (default: codes, pins, operate).
        #[arg(long = "scope", value_name = "SCOPES", value_delimiter = ',')]
        scopes: Vec<Scope>,
    },
    /// List the keys, with the minute in which each was last used; a running gateway writes that down
    /// every five minutes, and when it ends.
    List,
    /// Take a key away; from then on it opens nothing.
    Revoke {
        /// Its name.
        name: String,
    },
}

impl From<KeysError> for Failure {
    fn from(error: KeysError) -> Failure {
        match &error {
            KeysError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Failure::other(format!("{error}; {AS_ROOT}"))
            }
            _ => Failure::other(error),
        }
    }
}

pub(super) fn carry_out(command: &Keys, data_dir: &Path) -> Result<String, Failure> {
    let keys = keys::Keys::of(data_dir);
    match command {
        Keys::Create { name, scopes } => {
            let scopes = match scopes.is_empty() {
                true => keys::default_scopes(),
                false => scopes.iter().copied().collect(),
            };
            let key = create(&keys, name, scopes)?;
            Ok(format!("{}\n", key.as_str()))
        }
        Keys::List => {
            let rows = keys.list()?.into_iter().map(|key| {
                let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.word()).collect();
                let last_used = keys.last_used(&key).unwrap_or_else(|| "-".to_owned());
                vec![key.name, scopes.join(","), key.created_at, last_used]
            });
            let titles = ["NAME", "SCOPES", "CREATED", "LAST_USED"];
            Ok(show::table(&titles, rows.collect()))
        }
        Keys::Revoke { name } => {
            keys.revoke(name)?;
            Ok(String::new())
        }
    }
}

/// Makes a key, as of now.
pub(super) fn create(
    keys: &keys::Keys,
    name: &str,
    scopes: BTreeSet<Scope>,
) -> Result<Zeroizing<String>, Failure> {
    let made_at = time::text(Clock::real(Voucher::System).now().wall).unwrap_or_default();
    Ok(keys.create(name, scopes, made_at, &mut randomness())?)
}
