//! Signs statements, and checks signatures: Ed25519 (RFC 8032). It knows nothing of what they say.
//!
//! Keys and signatures are told in hexadecimal, in small letters only: a text has one form, so that one
//! that was altered is never read as what it was.

use std::fmt;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

/// Bytes of a public key.
const KEY: usize = 32;
/// Bytes of a signature.
const SIGNATURE: usize = 64;

/// What signs. Never shown.
pub struct SigningKey(Ed25519KeyPair);

/// What tells whether something was signed with its [`SigningKey`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PublicKey([u8; KEY]);

/// A signature of one statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signature([u8; SIGNATURE]);

impl SigningKey {
    /// The key that belongs to a secret; the same for the same secret.
    ///
    /// # Panics
    /// Never: every 32 bytes are the seed of a key.
    #[must_use]
    pub fn of(seed: &[u8; 32]) -> SigningKey {
        SigningKey(Ed25519KeyPair::from_seed_unchecked(seed).expect("32 bytes are a seed"))
    }

    /// What others check signatures with.
    ///
    /// # Panics
    /// Never: a public key has 32 bytes.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let bytes = self.0.public_key().as_ref();
        PublicKey(bytes.try_into().expect("a public key has 32 bytes"))
    }

    /// Signs the bytes of a statement as they are.
    ///
    /// # Panics
    /// Never: a signature has 64 bytes.
    #[must_use]
    pub fn sign(&self, statement: &str) -> Signature {
        let signature = self.0.sign(statement.as_bytes());
        Signature(signature.as_ref().try_into().expect("a signature has 64 bytes"))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

impl PublicKey {
    /// Reads one as it is told; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<PublicKey> {
        bytes(text).map(PublicKey)
    }

    /// Whether exactly this statement was signed.
    #[must_use]
    pub fn verifies(&self, statement: &str, signature: &Signature) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(statement.as_bytes(), &signature.0)
            .is_ok()
    }
}

impl Signature {
    /// Reads one as it is told; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Signature> {
        bytes(text).map(Signature)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut read = [0; N];
    for (byte, [high, low]) in read.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Test 1 of RFC 8032, section 7.1: the empty message.
    #[test]
    fn keys_and_signatures_are_those_of_the_rfc() {
        let seed = bytes("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        let key = SigningKey::of(&seed);
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(key.public().to_string(), public);
        let signature = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
        assert_eq!(key.sign("").to_string(), signature);
        let (public, signature) = (PublicKey::parse(public), Signature::parse(signature));
        assert!(public.unwrap().verifies("", &signature.unwrap()));
    }

    /// Every byte, turned into every other one.
    #[test]
    fn nothing_that_was_altered_verifies() {
        let key = SigningKey::of(&[7; 32]);
        let statement = r#"{"format":"lockbridge receipt 1","doors":[{"proven":"14:50"}]}"#;
        let signature = key.sign(statement).to_string();
        let verifies = |statement: &[u8], signature: &[u8]| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
            let signature = text(signature).and_then(|text| Signature::parse(&text));
            match (text(statement), signature) {
                (Some(statement), Some(signature)) => key.public().verifies(&statement, &signature),
                _ => false,
            }
        };
        assert!(verifies(statement.as_bytes(), signature.as_bytes()));
        for turn in 1..=255 {
            for at in 0..statement.len() {
                let mut altered = statement.as_bytes().to_vec();
                altered[at] ^= turn;
                assert!(!verifies(&altered, signature.as_bytes()), "{at} {turn}");
            }
            for at in 0..signature.len() {
                let mut altered = signature.as_bytes().to_vec();
                altered[at] ^= turn;
                assert!(!verifies(statement.as_bytes(), &altered), "{at} {turn}");
            }
        }
        assert!(
            !SigningKey::of(&[8; 32])
                .public()
                .verifies(statement, &key.sign(statement))
        );
    }

    #[test]
    fn a_text_has_one_form() {
        let public = SigningKey::of(&[7; 32]).public();
        let text = public.to_string();
        assert_eq!(PublicKey::parse(&text), Some(public));
        assert_eq!(PublicKey::parse(&text.to_uppercase()), None);
        assert_eq!(PublicKey::parse(&text[2..]), None);
        assert_eq!(PublicKey::parse(&format!("{text} ")), None);
        assert_eq!(format!("{:?}", SigningKey::of(&[7; 32])), "SigningKey");
    }
}
