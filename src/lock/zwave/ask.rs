//! What is asked of a lock, as commands of the server; and what an answer means, or the lack of one.
//!
//! Where the server has the unified commands (`endpoint.access_control`), codes are changed through them.
//! Slots of User Code are looked into by its own `get` nevertheless: the unified look says of a lock that
//! does not answer the same as of an empty slot. For the same reason no lock is asked for a list; the one that
//! the server remembers only says where to look.
//!
//! On a lock with User Credential each code of ours has a user of its own, with the number of its slot and our
//! name. Digits of ours are ours whoever owns them by now; all else that is there is its owner's.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::link::{Line, Unanswered};
use super::node::{COMMAND_WITHIN, Parts, STICK_WITHIN, Scheme};
use super::talk::{Commands, Failed, Held, Said};
use super::wire;
use crate::clock::Busy;
use crate::model::{Deed, Objection, Pin, Slot};

/// Marks users of a lock that this gateway made.
const OURS: &str = "lockbridge";
/// An answer may be lost together with the stick, which only the next question tells; or come late.
const LOOKS: usize = 2;

/// Codes of the driver's errors.
mod zwave {
    /// The driver ends, was reset, or is not ready.
    pub const DRIVER: std::ops::RangeInclusive<u32> = 100..=104;
    /// It knows no such function.
    pub const NOT_SUPPORTED: u32 = 105;
    /// Its serial port closed by itself.
    pub const SERIAL_PORT_CLOSED: u32 = 112;
    /// The stick does not answer. Older ones do so when a node is dead.
    pub const CONTROLLER_TIMEOUT: u32 = 200;
    /// What was to be sent was dropped.
    pub const DROPPED: u32 = 202;
    /// What it says of a stick that would not take it (StateMachineShared.js of zwave-js 15.29.0), in small letters.
    pub const BY_THE_STICK: [&str; 3] = [
        "failed to execute controller command",
        "transmission queue full",
        "dropped because of an unexpected error",
    ];
    /// The stick refuses to send.
    pub const RESPONSE_NOK: u32 = 203;
    /// The air is so full that the stick could not send.
    pub const JAMMED: u32 = 205;
    /// The stick was started anew meanwhile.
    pub const CONTROLLER_RESET: u32 = 206;
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
    #[serde(rename = "node.ping", rename_all = "camelCase")]
    Ping { node_id: u16 },
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
    #[serde(rename = "endpoint.access_control.get_user_capabilities_cached")]
    UserCapabilities(At),
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub property_key: Option<u16>,
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

/// A user of a lock with User Credential.
struct User {
    whose: Whose,
    /// Its codes open the lock.
    active: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// There is none.
    Nobodys,
    /// This gateway made it.
    Ours,
    Somebodys,
}

/// The lock of a node, as it is asked during an exchange.
pub struct Remote<'a> {
    pub line: &'a Line,
    pub node: u16,
    pub parts: Parts,
    pub busy: &'a Busy,
    /// Told when the stick does not answer.
    pub stick_is_away: &'a (dyn Fn() + Sync),
}

impl Remote<'_> {
    async fn ask<R: DeserializeOwned>(&self, command: &Command<'_>) -> Result<R, Failed> {
        let unanswered = match self.line.ask(command, COMMAND_WITHIN).await {
            Ok(answer) => return Ok(answer),
            Err(unanswered) => unanswered,
        };
        let failed = match cause(&unanswered) {
            Cause::Known(failed) => failed,
            Cause::Unless(failed) if answers(self.line).await => match failed {
                // The driver says the same of a lock when the stick lost its answer.
                Failed::Silent if ping(self.line, self.node).await.unwrap_or(false) => Failed::Away,
                failed => failed,
            },
            Cause::Unless(_) | Cause::Stick => {
                (self.stick_is_away)();
                Failed::Away
            }
        };
        tracing::debug!(
            node = self.node,
            why = unanswered.word(),
            ?failed,
            "a command came to nothing"
        );
        match (&unanswered, failed) {
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
        Err(failed)
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
                    .map(|report| match (report.user_id_status, report.user_code) {
                        // Free, or there is no such slot.
                        (0 | 254, _) => Held::Empty,
                        (_, wire::Digits::Other) => Held::Foreign,
                        (_, wire::Digits::Hidden) => Held::Hidden,
                        (status, wire::Digits::Shown(pin)) => Held::Digits {
                            pin,
                            enabled: status == 1,
                        },
                    }))
            }
            (at, Scheme::UserCredential(kind)) => {
                let Some(credential) = self.credential(at, kind, slot).await? else {
                    return Ok(None);
                };
                let owner = match credential.user_id {
                    0 => slot,
                    owner => Slot(owner),
                };
                let user = self.user(at, owner).await?;
                Ok(match (credential.user_id, user.whose, credential.data) {
                    (0, Whose::Somebodys, _) => Some(Held::Foreign),
                    (0, Whose::Ours | Whose::Nobodys, _) => Some(Held::Empty),
                    // The one or the other did not come back.
                    (_, Whose::Nobodys, _) => None,
                    (_, _, wire::Digits::Shown(pin)) => Some(Held::Digits {
                        pin,
                        enabled: user.active,
                    }),
                    (_, Whose::Ours, wire::Digits::Hidden) if owner == slot => Some(Held::Hidden),
                    (_, _, _) => Some(Held::Foreign),
                })
            }
        }
    }

    /// What a slot of User Credential holds; `None` if nothing came back.
    async fn credential(&self, at: At, kind: u8, slot: Slot) -> Result<Option<wire::Credential>, Failed> {
        let one: wire::OneCredential = self
            .ask(&Command::GetCredential {
                at,
                credential_type: kind,
                credential_slot: slot,
            })
            .await?;
        Ok(one.credential)
    }

    /// Whose a user is. What does not come back counts as nobody's: who is there all the same refuses to be
    /// overwritten.
    async fn user(&self, at: At, user_id: Slot) -> Result<User, Failed> {
        let nobody = User {
            whose: Whose::Nobodys,
            active: false,
        };
        let one: wire::OneUser = self.ask(&Command::GetUser { at, user_id }).await?;
        let Some(user) = one.user else {
            return Ok(nobody);
        };
        let name = user.user_name.unwrap_or_default();
        // Of a user that is not there the driver makes one without a name, whom nobody ever changed.
        if !user.active && name.is_empty() {
            let changed_by: wire::Remembered<u8> = self
                .ask(&Command::GetValue {
                    node_id: at.node_id,
                    value_id: ValueId {
                        command_class: wire::class::USER_CREDENTIAL,
                        endpoint: at.endpoint,
                        property: "userModifierType",
                        property_key: Some(user_id.0),
                    },
                })
                .await?;
            if changed_by.value == Some(0) {
                return Ok(nobody);
            }
        }
        Ok(User {
            whose: match name == OURS {
                true => Whose::Ours,
                false => Whose::Somebodys,
            },
            active: user.active,
        })
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
    async fn add_user(&self, at: At, kind: u8, slot: Slot, data: &str) -> Result<Said, Failed> {
        let added: wire::Added = self
            .ask(&Command::AddUser {
                at,
                user_id: slot,
                options: UserOptions {
                    active: true,
                    user_name: OURS,
                },
                credential: NewCredential {
                    credential_type: kind,
                    credential_slot: slot,
                    data,
                },
            })
            .await?;
        let came = added.result.credential.map_or(Said::Unknown, said);
        match (added.result.user, came) {
            // Without its code the user is nobody.
            (0, Said::No(_)) => {
                let _: Said = self.changed(&Command::DeleteUser { at, user_id: slot }).await?;
                Ok(came)
            }
            (0, _) => Ok(came),
            (_, _) => match self.user(at, slot).await?.whose {
                Whose::Ours => self.set(at, kind, slot, data).await,
                Whose::Somebodys => Ok(Said::No(Objection::SlotTaken)),
                Whose::Nobodys => Ok(Said::Unknown),
            },
        }
    }

    /// A code for a user of our own, in place of the one that it has.
    async fn replace(&self, at: At, kind: u8, slot: Slot, data: &str) -> Result<Said, Failed> {
        match self.credential(at, kind, slot).await? {
            Some(there) if there.user_id == slot.0 => self.set(at, kind, slot, data).await,
            _ => match self.erase_credential(at, kind, slot).await? {
                Said::Yes => self.add_user(at, kind, slot, data).await,
                no => Ok(no),
            },
        }
    }

    /// Takes a code from whoever has it, and away its user if that is ours.
    async fn erase_credential(&self, at: At, kind: u8, slot: Slot) -> Result<Said, Failed> {
        let Some(there) = self.credential(at, kind, slot).await? else {
            return Err(Failed::Silent);
        };
        let is_ours = self.user(at, slot).await?.whose == Whose::Ours;
        let owner = there.user_id;
        if owner != 0 && (owner != slot.0 || !is_ours) {
            let said = self
                .changed(&Command::DeleteCredential {
                    at,
                    user_id: Slot(owner),
                    credential_type: kind,
                    credential_slot: slot,
                })
                .await?;
            if said != Said::Yes {
                return Ok(said);
            }
        }
        match is_ours {
            // Its codes go with it.
            true => self.changed(&Command::DeleteUser { at, user_id: slot }).await,
            false => Ok(Said::Yes),
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

impl Commands for Remote<'_> {
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
            (at, Scheme::UserCredential(kind)) => match over {
                true => self.replace(at, kind, slot, pin.expose()).await,
                false => self.add_user(at, kind, slot, pin.expose()).await,
            },
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
            (at, Scheme::UserCredential(kind)) => self.erase_credential(at, kind, slot).await,
        }
    }

    async fn remembered(&self, pin: &Pin) -> Result<Vec<Slot>, Failed> {
        let at = match self.codes()? {
            (_, Scheme::UserCode(None)) => return Ok(Vec::new()),
            (at, _) => at,
        };
        let all: wire::AllCredentials = self.ask(&Command::AllCredentialsCached(at)).await?;
        let same = |one: &wire::Credential| {
            one.kind <= 2 && matches!(&one.data, wire::Digits::Shown(there) if there == pin)
        };
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

/// Whether the stick answers; where it cannot be asked, it is taken for well.
pub async fn answers(line: &Line) -> bool {
    let noise: Result<wire::Nothing, Unanswered> = line.ask(&Command::BackgroundNoise, STICK_WITHIN).await;
    match noise.as_ref().err().map(cause) {
        None => true,
        Some(Cause::Known(Failed::Refused(_)) | Cause::Unless(Failed::Refused(_))) => true,
        Some(Cause::Known(_) | Cause::Unless(_) | Cause::Stick) => false,
    }
}

/// Whether a lock answers. A driver that has no stick for the moment says no.
pub async fn ping(line: &Line, node_id: u16) -> Result<bool, Unanswered> {
    let ping: wire::Pinged = line.ask(&Command::Ping { node_id }, COMMAND_WITHIN).await?;
    Ok(ping.responded)
}

/// What the unified commands answer.
fn said(result: u8) -> Said {
    match result {
        0 => Said::Yes,
        3 | 5 => Said::No(Objection::Duplicate),
        6 => Said::No(Objection::SlotTaken),
        // Of a lock with User Code all that is not yes: it said no, or it did not say, or its table was late.
        255 => Said::Unknown,
        _ => Said::No(Objection::Other),
    }
}

/// What Supervision says; a lock without it says nothing.
fn supervised(told: &wire::Supervised) -> Said {
    match told.response.as_ref().and_then(|response| response.status) {
        Some(1 | 255) => Said::Yes,
        Some(_) => Said::No(Objection::Other),
        None => Said::Unknown,
    }
}

/// Why a command was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// This.
    Known(Failed),
    /// This, unless the stick does not answer either: then it is that. A lock that is said to be silent, and answers a
    /// ping, is not to blame.
    Unless(Failed),
    /// The stick, or the driver behind the server.
    Stick,
}

/// Why a command was not answered, as far as can be told by that alone.
pub fn cause(unanswered: &Unanswered) -> Cause {
    match unanswered {
        Unanswered::Gone => Cause::Known(Failed::Away),
        Unanswered::Late | Unanswered::Odd => Cause::Known(Failed::Silent),
        Unanswered::Error {
            zwave: Some(code),
            why,
        } => of_driver(*code, &why.to_lowercase()),
        // It left, or a driver that has just started does not know it yet.
        unknown if unknown.is_unknown_node() => Cause::Known(Failed::Away),
        Unanswered::Error { zwave: None, .. } => Cause::Known(Failed::Silent),
    }
}

fn of_driver(code: u32, why: &str) -> Cause {
    match code {
        code if zwave::DRIVER.contains(&code) => Cause::Stick,
        zwave::SERIAL_PORT_CLOSED => Cause::Stick,
        zwave::DROPPED if why.contains("serial port") => Cause::Stick,
        zwave::CONTROLLER_TIMEOUT | zwave::RESPONSE_NOK => Cause::Unless(Failed::Silent),
        zwave::DROPPED if zwave::BY_THE_STICK.iter().any(|said| why.contains(said)) => {
            Cause::Unless(Failed::Silent)
        }
        // Nothing was sent, and that passes.
        zwave::JAMMED | zwave::CONTROLLER_RESET => Cause::Known(Failed::Away),
        zwave::DROPPED if why.contains("failed to send the command after") => Cause::Known(Failed::Away),
        zwave::NOT_SUPPORTED => Cause::Known(Failed::Refused(Objection::Other)),
        // What the driver knew of a node may have gone with the stick.
        code if zwave::REFUSED.contains(&code) => Cause::Unless(Failed::Refused(Objection::Other)),
        // No acknowledgement, no answer in time, queued behind a command to a dead node and dropped with it, and
        // whatever else may pass.
        _ => Cause::Known(Failed::Silent),
    }
}
