//! The ciphers of this family: X25519 and HSalsa20 for the shared key, XSalsa20-Poly1305 for the boxes,
//! HMAC-SHA256 for the authenticators of the pairing. All of them come from well-kept libraries.

use crypto_secretbox::aead::AeadInPlace;
use crypto_secretbox::{Tag, XSalsa20Poly1305};
use hmac::{Hmac, KeyInit, Mac};
use rand::CryptoRng;
use salsa20::cipher::consts::U10;
use sha2::Sha256;
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use super::secret::SharedKey;

/// What makes a box unlike every other; fresh for each.
pub(super) type Nonce = [u8; 24];
/// Length of a box's seal in bytes.
pub(super) const TAG: usize = 16;

/// The half of a key pair that is told.
pub type PublicKey = [u8; 32];

/// The half of a key pair that is kept. Wiped when dropped.
pub struct PrivateKey(StaticSecret);

impl PrivateKey {
    /// Draws a new one.
    #[must_use]
    pub fn draw(rng: &mut impl CryptoRng) -> PrivateKey {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *bytes);
        PrivateKey(StaticSecret::from(*bytes))
    }

    /// The half that is told.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        x25519_dalek::PublicKey::from(&self.0).to_bytes()
    }

    /// The key that both sides come to; `None` if the other side's key is one with which everybody would.
    #[must_use]
    pub fn agree(&self, other: PublicKey) -> Option<SharedKey> {
        let secret = self.0.diffie_hellman(&other.into());
        if !secret.was_contributory() {
            return None;
        }
        let key = Zeroizing::new(salsa20::hsalsa::<U10>(
            secret.as_bytes().into(),
            &Default::default(),
        ));
        Some(SharedKey::new((*key).into()))
    }
}

/// HMAC-SHA256 over parts that follow one another.
#[must_use]
pub fn authenticator(key: &SharedKey, parts: &[&[u8]]) -> [u8; 32] {
    mac(key, parts).finalize().into_bytes().into()
}

/// Whether an authenticator is right.
pub(super) fn authentic(key: &SharedKey, parts: &[&[u8]], tag: &[u8; 32]) -> bool {
    mac(key, parts).verify(&(*tag).into()).is_ok()
}

fn mac(key: &SharedKey, parts: &[&[u8]]) -> Hmac<Sha256> {
    // A key shorter than a block is one that is filled up with zeros.
    let mut block = Zeroizing::new([0; 64]);
    block[..32].copy_from_slice(key.expose());
    let mut mac = Hmac::new((&*block).into());
    for part in parts {
        mac.update(part);
    }
    mac
}

/// Encrypts in place; the seal goes in front of it.
pub(super) fn lock(key: &SharedKey, nonce: &Nonce, text: &mut [u8]) -> [u8; TAG] {
    let cipher = <XSalsa20Poly1305 as crypto_secretbox::KeyInit>::new(key.expose().into());
    let tag = cipher.encrypt_in_place_detached(nonce.into(), b"", text);
    tag.expect("the cipher refuses only texts of 256 GiB").into()
}

/// Decrypts in place; whether the seal was whole.
pub(super) fn unlock(key: &SharedKey, nonce: &Nonce, tag: &[u8; TAG], text: &mut [u8]) -> bool {
    let cipher = <XSalsa20Poly1305 as crypto_secretbox::KeyInit>::new(key.expose().into());
    let tag: &Tag = tag.into();
    cipher
        .decrypt_in_place_detached(nonce.into(), b"", text, tag)
        .is_ok()
}
