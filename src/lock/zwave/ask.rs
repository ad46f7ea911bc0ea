//! What is asked of a lock, as commands of the server; and what an answer means, or the lack of one.
//!
//! Where the server has the unified commands (`endpoint.access_control`), codes are changed through them.
//! Slots of User Code are looked into by its own `get` nevertheless: the unified look says of a lock that
//! does not answer the same as of an empty slot. For the same reason no list of credentials is asked for.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::link::{Line, Unanswered};
use super::node::{COMMAND_WITHIN, Parts, Scheme};
use super::talk::{Failed, Held, Node, Said};
use super::wire;
use crate::clock::Busy;
use crate::model::{Deed, Objection, Pin, Slot};

/// Marks users of a lock that this gateway made.
const OURS: &str = "lockbridge";
/// The kind of credential that is a PIN.
const PIN: u8 = 1;

/// An answer may be lost together with the stick, which only the next question tells; or come late.
const LOOKS: usize = 2;

/// Codes of the driver's errors.
mod zwave {
    /// The stick does not answer.
    pub const CONTROLLER_TIMEOUT: u32 = 200;
    /// What was to be sent was dropped.
    pub const DROPPED: u32 = 202;
    /// The stick refuses to send.
    pub const RESPONSE_NOK: u32 = 203;
    /// The driver ends, was reset, or is not ready.
    pub const DRIVER: std::ops::RangeInclusive<u32> = 100..=104;
    /// Its serial port closed by itself.
    pub const SERIAL_PORT_CLOSED: u32 = 112;
    /// It knows no such function.
    pub const NOT_SUPPORTED: u32 = 105;
    /// What was asked for makes no sense, to the driver or for this node.
    pub const REFUSED: std::ops::RangeInclusive<u32> = 300..=399;
}

/// A command of the server.
#[derive(Serialize)]
#[serde(tag = "command")]
pub enum Command<'a> {
    #[serde(rename = "set_api_schema", rename_all = "camelCase")]
    SetApiSchema { schema_version: u32 },
    #[serde(rename = "start_listening")]
    StartListening,
    #[serde(rename = "driver.update_options")]
    UpdateOptions { options: Options },
    #[serde(rename = "controller.get_background_rssi")]
    BackgroundNoise,
    #[serde(rename = "node.get_state", rename_all = "camelCase")]
    GetState { node_id: u16 },
    #[serde(rename = "node.get_value", rename_all = "camelCase")]
    GetValue { node_id: u16, value_id: ValueId },
    #[serde(rename = "endpoint.invoke_cc_api", rename_all = "camelCase")]
    InvokeCcApi {
        #[serde(flatten)]
        at: At,
        command_class: u8,
        method_name: &'a str,
        args: &'a [Argument<'a>],
    },
    #[serde(rename = "endpoint.access_control.is_supported")]
    IsSupported(At),
    #[serde(rename = "endpoint.access_control.get_credential_capabilities_cached")]
    CredentialCapabilities(At),
    #[serde(rename = "endpoint.access_control.get_all_credentials_cached")]
    AllCredentialsCached(At),
    #[serde(rename = "endpoint.access_control.get_credential", rename_all = "camelCase")]
    GetCredential {
        #[serde(flatten)]
        at: At,
        credential_type: u8,
        credential_slot: Slot,
    },
    #[serde(rename = "endpoint.access_control.set_credential", rename_all = "camelCase")]
    SetCredential {
        #[serde(flatten)]
        at: At,
        user_id: Slot,
        credential_type: u8,
        credential_slot: Slot,
        data: &'a str,
    },
    #[serde(
        rename = "endpoint.access_control.delete_credential",
        rename_all = "camelCase"
    )]
    DeleteCredential {
        #[serde(flatten)]
        at: At,
        user_id: Slot,
        credential_type: u8,
        credential_slot: Slot,
    },
    #[serde(rename = "endpoint.access_control.get_user", rename_all = "camelCase")]
    GetUser {
        #[serde(flatten)]
        at: At,
        user_id: Slot,
    },
    #[serde(rename = "endpoint.access_control.add_user", rename_all = "camelCase")]
    AddUser {
        #[serde(flatten)]
        at: At,
        user_id: Slot,
        options: UserOptions<'a>,
        credential: NewCredential<'a>,
    },
    #[serde(rename = "endpoint.access_control.delete_user", rename_all = "camelCase")]
    DeleteUser {
        #[serde(flatten)]
        at: At,
        user_id: Slot,
    },
}

/// A part of a node.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct At {
    pub node_id: u16,
    pub endpoint: u16,
}

/// An argument of a command class.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Argument<'a> {
    Number(u16),
    Flag(bool),
    Digits(&'a str),
}

/// A value that the server remembers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValueId {
    pub command_class: u8,
    pub endpoint: u16,
    pub property: &'static str,
}

/// Settings of the driver.
#[derive(Serialize)]
pub struct Options {
    pub interview: Interview,
}

/// How the driver meets a lock for the first time.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Interview {
    /// It reads its codes. Else it erases them.
    pub query_all_user_codes: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserOptions<'a> {
    active: bool,
    user_name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewCredential<'a> {
    credential_type: u8,
    credential_slot: Slot,
    data: &'a str,
}

/// One lock, as it is asked during an exchange.
pub struct Asked<'a> {
    pub line: &'a Line,
    pub node: u16,
    pub parts: Parts,
    pub busy: &'a Busy,
    /// Told when the stick does not answer.
    pub stick_is_away: &'a (dyn Fn() + Sync),
}

impl Asked<'_> {
    async fn ask<R: DeserializeOwned>(&self, command: &Command<'_>) -> Result<R, Failed> {
        let answer = self.line.ask(command, COMMAND_WITHIN).await;
        answer.map_err(|unanswered| {
            let failed = failure(&unanswered);
            match (&unanswered, failed) {
                (Unanswered::Error { .. }, Failed::Away) => (self.stick_is_away)(),
                // Without its sentence: the command may have held a PIN.
                (Unanswered::Error { zwave, .. }, Failed::Refused(_)) => {
                    tracing::warn!(node = self.node, code = ?zwave, "the Z-Wave server refuses a command");
                }
                (Unanswered::Odd, _) => {
                    tracing::warn!(
                        node = self.node,
                        "the Z-Wave server gave an answer that is not known"
                    );
                }
                _ => {}
            }
            failed
        })
    }

    /// The endpoint with the codes.
    fn codes(&self) -> Result<(At, Scheme), Failed> {
        let (endpoint, scheme) = self.parts.codes.ok_or(Failed::Refused(Objection::Other))?;
        let at = At {
            node_id: self.node,
            endpoint,
        };
        Ok((at, scheme))
    }

    async fn invoke<R: DeserializeOwned>(
        &self,
        at: At,
        command_class: u8,
        method_name: &str,
        args: &[Argument<'_>],
    ) -> Result<R, Failed> {
        self.ask(&Command::InvokeCcApi {
            at,
            command_class,
            method_name,
            args,
        })
        .await
    }

    async fn changed(&self, command: &Command<'_>) -> Result<Said, Failed> {
        let changed: wire::Changed = self.ask(command).await?;
        Ok(said(changed.result))
    }

    /// What a slot holds; `None` if nothing came back.
    async fn look_once(&self, slot: Slot) -> Result<Option<Held>, Failed> {
        match self.codes()? {
            (at, Scheme::UserCode(_)) => {
                let args = [Argument::Number(slot.0)];
                let code: wire::UserCode = self.invoke(at, wire::class::USER_CODE, "get", &args).await?;
                Ok(code
                    .response
                    .map(|report| match (report.user_id_status, report.user_code.0) {
                        // Free, or there is no such slot.
                        (0 | 254, _) => Held::Empty,
                        (status, Some(pin)) => Held::Digits {
                            pin,
                            enabled: status == 1,
                        },
                        (_, None) => Held::Hidden,
                    }))
            }
            (at, Scheme::UserCredential) => {
                let one: wire::OneCredential = self
                    .ask(&Command::GetCredential {
                        at,
                        credential_type: PIN,
                        credential_slot: slot,
                    })
                    .await?;
                Ok(one
                    .credential
                    .map(|credential| match (credential.user_id, credential.data.0) {
                        (0, _) => Held::Empty,
                        (_, Some(pin)) => Held::Digits { pin, enabled: true },
                        (_, None) => Held::Hidden,
                    }))
            }
        }
    }

    /// Where the bolt is; `None` if nothing came back.
    async fn bolt_once(&self) -> Result<Option<Option<bool>>, Failed> {
        let (endpoint, class) = self.parts.bolt.ok_or(Failed::Refused(Objection::Other))?;
        let at = At {
            node_id: self.node,
            endpoint,
        };
        match class {
            wire::class::LOCK => {
                let told: wire::Response<bool> = self.invoke(at, class, "get", &[]).await?;
                Ok(told.response.map(Some))
            }
            _ => {
                let told: wire::Response<wire::DoorLockReport> = self.invoke(at, class, "get", &[]).await?;
                Ok(told.response.map(|report| wire::bolt(report.current_mode)))
            }
        }
    }

    /// A user of our own with this code. What stands there under somebody else's name stays.
    async fn add_user(&self, at: At, slot: Slot, data: &str) -> Result<Said, Failed> {
        let added: wire::Added = self
            .ask(&Command::AddUser {
                at,
                user_id: slot,
                options: UserOptions {
                    active: true,
                    user_name: OURS,
                },
                credential: NewCredential {
                    credential_type: PIN,
                    credential_slot: slot,
                    data,
                },
            })
            .await?;
        match (added.result.user, added.result.credential) {
            (0, Some(0)) => Ok(Said::Yes),
            // Without its code the user is nobody.
            (0, credential) => {
                let _: Said = self.changed(&Command::DeleteUser { at, user_id: slot }).await?;
                Ok(said(credential.unwrap_or(u8::MAX)))
            }
            (_, _) => {
                let user: wire::OneUser = self.ask(&Command::GetUser { at, user_id: slot }).await?;
                match user.user.and_then(|user| user.user_name) {
                    Some(name) if name == OURS => self.set(at, PIN, slot, data).await,
                    _ => Ok(Said::No(Objection::SlotTaken)),
                }
            }
        }
    }

    async fn set(&self, at: At, credential_type: u8, slot: Slot, data: &str) -> Result<Said, Failed> {
        self.changed(&Command::SetCredential {
            at,
            user_id: slot,
            credential_type,
            credential_slot: slot,
            data,
        })
        .await
    }
}

impl Node for Asked<'_> {
    async fn look(&self, slot: Slot) -> Result<Held, Failed> {
        for _ in 0..LOOKS {
            if let Some(held) = self.look_once(slot).await? {
                return Ok(held);
            }
        }
        Err(Failed::Silent)
    }

    async fn write(&self, slot: Slot, pin: &Pin, over: bool) -> Result<Said, Failed> {
        match self.codes()? {
            (at, Scheme::UserCode(None)) => {
                let args = [
                    Argument::Number(slot.0),
                    Argument::Number(1),
                    Argument::Digits(pin.expose()),
                ];
                let told: wire::Supervised = self.invoke(at, wire::class::USER_CODE, "set", &args).await?;
                Ok(supervised(&told))
            }
            (at, Scheme::UserCode(Some(kind))) => self.set(at, kind, slot, pin.expose()).await,
            (at, Scheme::UserCredential) if over => self.set(at, PIN, slot, pin.expose()).await,
            (at, Scheme::UserCredential) => self.add_user(at, slot, pin.expose()).await,
        }
    }

    async fn erase(&self, slot: Slot) -> Result<Said, Failed> {
        // Without a slot, and with slot 0, the command erases all.
        if slot.0 == 0 {
            return Ok(Said::No(Objection::Other));
        }
        match self.codes()? {
            (at, Scheme::UserCode(None)) => {
                let args = [Argument::Number(slot.0)];
                let told: wire::Supervised = self.invoke(at, wire::class::USER_CODE, "clear", &args).await?;
                Ok(supervised(&told))
            }
            (at, Scheme::UserCode(Some(kind))) => {
                self.changed(&Command::DeleteCredential {
                    at,
                    user_id: slot,
                    credential_type: kind,
                    credential_slot: slot,
                })
                .await
            }
            // We made the user for this code alone, and its code goes with it.
            (at, Scheme::UserCredential) => self.changed(&Command::DeleteUser { at, user_id: slot }).await,
        }
    }

    async fn remembered(&self, pin: &Pin) -> Result<Vec<Slot>, Failed> {
        let at = match self.codes()? {
            (_, Scheme::UserCode(None)) => return Ok(Vec::new()),
            (at, _) => at,
        };
        let all: wire::AllCredentials = self.ask(&Command::AllCredentialsCached(at)).await?;
        let same = |one: &wire::Credential| one.kind <= 2 && one.data.0.as_ref() == Some(pin);
        Ok((all.credentials.iter().filter(|one| same(one)))
            .map(|one| Slot(one.slot))
            .collect())
    }

    async fn move_bolt(&self, deed: Deed) -> Result<Said, Failed> {
        let (endpoint, class) = self.parts.bolt.ok_or(Failed::Refused(Objection::Other))?;
        let out = deed == Deed::Lock;
        let mode = match class {
            wire::class::LOCK => Argument::Flag(out),
            _ => Argument::Number(if out { 0xff } else { 0 }),
        };
        let at = At {
            node_id: self.node,
            endpoint,
        };
        let told: wire::Supervised = self.invoke(at, class, "set", &[mode]).await?;
        Ok(supervised(&told))
    }

    async fn bolt(&self) -> Result<Option<bool>, Failed> {
        for _ in 0..LOOKS {
            if let Some(locked) = self.bolt_once().await? {
                return Ok(locked);
            }
        }
        Err(Failed::Silent)
    }

    async fn pause(&self, span: Duration) {
        self.busy.sleep(span).await;
    }
}

/// What the unified commands answer.
fn said(result: u8) -> Said {
    match result {
        0 => Said::Yes,
        3 | 5 => Said::No(Objection::Duplicate),
        6 => Said::No(Objection::SlotTaken),
        _ => Said::No(Objection::Other),
    }
}

/// What Supervision says; a lock without it says nothing.
fn supervised(told: &wire::Supervised) -> Said {
    match told.response.as_ref().and_then(|response| response.status) {
        None | Some(1 | 255) => Said::Yes,
        Some(_) => Said::No(Objection::Other),
    }
}

/// What it means that a command was not answered.
pub fn failure(unanswered: &Unanswered) -> Failed {
    match unanswered {
        Unanswered::Gone => Failed::Away,
        Unanswered::Late | Unanswered::Odd => Failed::Silent,
        Unanswered::Error {
            zwave: Some(code),
            why,
        } => match *code {
            zwave::CONTROLLER_TIMEOUT | zwave::RESPONSE_NOK => Failed::Away,
            // Queued behind a command to a dead node, it is dropped too.
            zwave::DROPPED if why.to_lowercase().contains("serial port") => Failed::Away,
            zwave::SERIAL_PORT_CLOSED => Failed::Away,
            code if zwave::DRIVER.contains(&code) => Failed::Away,
            zwave::NOT_SUPPORTED => Failed::Refused(Objection::Other),
            code if zwave::REFUSED.contains(&code) => Failed::Refused(Objection::Other),
            // No acknowledgement, no answer in time, and whatever else may pass.
            _ => Failed::Silent,
        },
        // The server itself: a driver that has just started does not know its nodes yet.
        Unanswered::Error { zwave: None, .. } => Failed::Silent,
    }
}
