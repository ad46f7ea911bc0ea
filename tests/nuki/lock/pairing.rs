//! The lock's side of a pairing.

use super::wire::{agree, open, plain, public, read_plain, sender, tag};
use super::{Kind, SimLock, User, seal};

/// What the lock waits for.
pub enum Stage {
    Idle,
    PublicKey,
    Authenticator {
        client: [u8; 32],
        key: [u8; 32],
        challenge: [u8; 32],
    },
    Data {
        key: [u8; 32],
        challenge: [u8; 32],
    },
    Confirmation {
        user: u32,
        key: [u8; 32],
        challenge: [u8; 32],
        entry: User,
    },
    SealedData {
        key: [u8; 32],
    },
}

const NOT_PAIRING: u8 = 0x10;
const BAD_AUTHENTICATOR: u8 = 0x11;
const BAD_PARAMETER: u8 = 0x12;

impl SimLock {
    pub(super) fn hear_pairing(&mut self, value: &[u8]) -> Vec<Vec<u8>> {
        let stage = std::mem::replace(&mut self.stage, Stage::Idle);
        if let Stage::SealedData { key } = stage {
            return self.hear_sealed_data(key, value);
        }
        let Some((command, payload)) = read_plain(value) else {
            return vec![error(0xfd, 0)];
        };
        if !self.pairing {
            return vec![error(NOT_PAIRING, command)];
        }
        match (stage, command, &payload[..]) {
            (_, 0x01, [0x03, 0x00]) => {
                self.stage = Stage::PublicKey;
                vec![plain(0x03, &public(&self.private))]
            }
            (Stage::PublicKey, 0x03, client) if client.len() == 32 => {
                let client: [u8; 32] = client.try_into().unwrap();
                let challenge = self.draw();
                self.stage = Stage::Authenticator {
                    client,
                    key: agree(&self.private, client),
                    challenge,
                };
                vec![plain(0x04, &challenge)]
            }
            (
                Stage::Authenticator {
                    client,
                    key,
                    challenge,
                },
                0x05,
                given,
            ) => {
                if given != tag(&key, &[&client, &public(&self.private), &challenge]) {
                    return vec![error(BAD_AUTHENTICATOR, command)];
                }
                match self.kind {
                    Kind::Classic => {
                        let challenge = self.draw();
                        self.stage = Stage::Data { key, challenge };
                        vec![plain(0x04, &challenge)]
                    }
                    Kind::Ultra => {
                        self.stage = Stage::SealedData { key };
                        vec![plain(0x4c, &[1])]
                    }
                }
            }
            (Stage::Data { key, challenge }, 0x06, data) if data.len() == 101 => {
                let (given, data) = data.split_at(32);
                if given != tag(&key, &[data, &challenge]) {
                    return vec![error(BAD_AUTHENTICATOR, command)];
                }
                let entry = User {
                    key,
                    kind: data[0],
                    app_id: u32::from_le_bytes(data[1..5].try_into().unwrap()),
                    name: name(&data[5..37]),
                };
                let (user, challenge) = (self.new_user(), self.draw());
                let mut answer = user.to_le_bytes().to_vec();
                answer.extend(self.draw::<16>());
                answer.extend(challenge);
                let mut tagged = tag(&key, &[&answer, &data[37..]]).to_vec();
                tagged.extend(answer);
                self.stage = Stage::Confirmation {
                    user,
                    key,
                    challenge,
                    entry,
                };
                vec![plain(0x07, &tagged)]
            }
            (
                Stage::Confirmation {
                    user,
                    key,
                    challenge,
                    entry,
                },
                0x1e,
                given,
            ) => {
                let id = user.to_le_bytes();
                if given != [&tag(&key, &[&id, &challenge])[..], &id].concat() {
                    return vec![error(BAD_AUTHENTICATOR, command)];
                }
                self.users.insert(user, entry);
                vec![plain(0x0e, &[0])]
            }
            _ => vec![error(BAD_PARAMETER, command)],
        }
    }

    fn hear_sealed_data(&mut self, key: [u8; 32], value: &[u8]) -> Vec<Vec<u8>> {
        let Some((0x06, data)) = open(&key, value).filter(|(_, data)| data.len() == 40) else {
            return vec![error(BAD_AUTHENTICATOR, 0x06)];
        };
        let temporary = sender(value).unwrap();
        let nonce = self.draw();
        if data[36..] != self.security_pin.to_le_bytes() {
            self.wrong_pins += 1;
            return vec![seal(&key, nonce, temporary, 0x12, &[0x21, 0x06, 0x00])];
        }
        let entry = User {
            key,
            kind: 0,
            app_id: u32::from_le_bytes(data[..4].try_into().unwrap()),
            name: name(&data[4..36]),
        };
        let user = self.new_user();
        self.users.insert(user, entry);
        let mut answer = user.to_le_bytes().to_vec();
        answer.extend(self.draw::<16>());
        vec![seal(&key, nonce, temporary, 0x07, &answer)]
    }

    fn new_user(&mut self) -> u32 {
        self.next_user += 1;
        self.next_user
    }
}

fn error(code: u8, command: u16) -> Vec<u8> {
    let [low, high] = command.to_le_bytes();
    plain(0x12, &[code, low, high])
}

fn name(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8(field[..end].to_vec()).unwrap()
}
