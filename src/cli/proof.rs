//! Signed receipts: printed for whoever wants to prove something with them, and checked, with no gateway at hand.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::Failure;
use super::client::{self, Gateway, segment};
use super::show::cell;
use crate::api::answer::{ReceiptKey, SignedReceipt, Statement};
use crate::config::ConfigError;
use crate::signature::{PublicKey, Signature};

/// A receipt of as many doors as there may be is far smaller.
const LARGEST: u64 = 1 << 20;

#[derive(Args)]
pub(super) struct Verify {
    /// The receipt, as `receipt --signed` or the API gave it.
    file: PathBuf,
    /// The public key of the gateway, as `receipt-key` or the API gave it. Default: the gateway that runs here is asked.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// The receipt of a group, to be kept in a file.
pub(super) async fn signed(gateway: &Gateway, group: &str) -> Result<String, Failure> {
    let path = format!("/lockbridge/v1/groups/{}/signed", segment(group));
    let told = gateway.get(&path).await?;
    Ok(format!("{:#}\n", told["signed_receipt"]))
}

/// The public key, to be kept in a file.
pub(super) async fn key(gateway: &Gateway) -> Result<String, Failure> {
    let told = gateway.get("/lockbridge/v1/receipt-key").await?;
    Ok(format!("{:#}\n", told["receipt_key"]))
}

pub(super) fn verify(
    command: &Verify,
    data_dir: impl Fn() -> Result<PathBuf, ConfigError>,
) -> Result<String, Failure> {
    let receipt = read(&command.file)?;
    let key = match &command.key {
        Some(file) => read(file)?,
        None => client::with(&data_dir()?, key)?,
    };
    check(&receipt, &key).map_err(|why| Failure::other(format!("{}: {why}", command.file.display())))
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed = |error: io::Error| Failure::other(format!("reading {}: {error}", path.display()));
    match fs::metadata(path).map_err(failed)?.len() {
        ..=LARGEST => fs::read_to_string(path).map_err(failed),
        _ => Err(Failure::other(format!(
            "{} is too large to be one",
            path.display()
        ))),
    }
}

/// What a receipt proves, for a person; or why it proves nothing.
fn check(receipt: &str, key: &str) -> Result<String, &'static str> {
    let receipt: SignedReceipt = within(receipt, "signed_receipt").ok_or("this is no signed receipt")?;
    let key = public_key(key).ok_or("the file of the key holds no Ed25519 key of a gateway")?;
    let signature = Signature::parse(&receipt.signature).ok_or("NOT VERIFIED: its signature is none")?;
    if !key.verifies(&receipt.statement, &signature) {
        return Err(match PublicKey::parse(&receipt.public_key) {
            Some(other) if other != key => {
                "NOT VERIFIED: it was not signed with this key, and names another one"
            }
            _ => "NOT VERIFIED: it was altered, or not signed with this key",
        });
    }
    let statement = Statement::parse(&receipt.statement).ok_or(
        "it was signed with this key, in a form that this program does not know: install a newer one",
    )?;
    let mut text = "Verified: this is what the gateway said, unaltered.\n".to_owned();
    for line in statement.lines() {
        text.push_str(&cell(&line.into()));
        text.push('\n');
    }
    Ok(text)
}

/// A key as it is told: JSON, or its digits alone.
fn public_key(text: &str) -> Option<PublicKey> {
    PublicKey::parse(text.trim()).or_else(|| {
        let key: ReceiptKey = within(text, "receipt_key")?;
        PublicKey::parse(&key.public_key)
    })
}

/// What stands in a file, alone or as an answer of the API.
fn within<T: serde::de::DeserializeOwned>(text: &str, name: &str) -> Option<T> {
    let mut told: Value = serde_json::from_str(text).ok()?;
    let inner = match told.get_mut(name) {
        Some(inner) => inner.take(),
        None => told,
    };
    serde_json::from_value(inner).ok()
}
