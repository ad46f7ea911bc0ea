//! Bytes as the vendor's document has them: checksums, boxes, key agreement, dates.

use crypto_secretbox::aead::AeadInPlace;
use crypto_secretbox::{KeyInit, XSalsa20Poly1305};
use hmac::{Hmac, KeyInit as _, Mac};
use x25519_dalek::{PublicKey, StaticSecret};

/// Polynomial 0x1021, start 0xFFFF, bit by bit.
pub fn crc(bytes: &[u8]) -> [u8; 2] {
    let mut crc = 0xffff_u16;
    for byte in bytes {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            let carry = crc & 0x8000 != 0;
            crc <<= 1;
            if carry {
                crc ^= 0x1021;
            }
        }
    }
    crc.to_le_bytes()
}

pub fn plain(command: u16, payload: &[u8]) -> Vec<u8> {
    let mut message = command.to_le_bytes().to_vec();
    message.extend(payload);
    let sum = crc(&message);
    message.extend(sum);
    message
}

/// Command and payload of a plain message whose checksum is right.
pub fn read_plain(message: &[u8]) -> Option<(u16, Vec<u8>)> {
    if message.len() < 4 {
        return None;
    }
    let (text, sum) = message.split_at(message.len() - 2);
    (crc(text) == sum).then(|| (u16::from_le_bytes([text[0], text[1]]), text[2..].to_vec()))
}

/// A box as libsodium's `crypto_secretbox_easy` makes it, with the head that goes before it.
pub fn seal(key: &[u8; 32], nonce: [u8; 24], user: u32, command: u16, payload: &[u8]) -> Vec<u8> {
    let mut text = user.to_le_bytes().to_vec();
    text.extend(command.to_le_bytes());
    text.extend(payload);
    let sum = crc(&text);
    text.extend(sum);
    let tag = XSalsa20Poly1305::new(key.into())
        .encrypt_in_place_detached(&nonce.into(), b"", &mut text)
        .unwrap();
    let mut frame = nonce.to_vec();
    frame.extend(user.to_le_bytes());
    frame.extend(u16::try_from(16 + text.len()).unwrap().to_le_bytes());
    frame.extend(tag);
    frame.extend(text);
    frame
}

/// Who a frame says to be from.
pub fn sender(frame: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(frame.get(24..28)?.try_into().unwrap()))
}

/// Command and payload of a sealed message, if it is right in every way.
pub fn open(key: &[u8; 32], frame: &[u8]) -> Option<(u16, Vec<u8>)> {
    let nonce: [u8; 24] = frame.get(..24)?.try_into().unwrap();
    let length = usize::from(u16::from_le_bytes(frame.get(28..30)?.try_into().unwrap()));
    let sealed = frame.get(30..).filter(|rest| rest.len() == length)?;
    let (tag, text) = sealed.split_at_checked(16)?;
    let mut text = text.to_vec();
    XSalsa20Poly1305::new(key.into())
        .decrypt_in_place_detached(&nonce.into(), b"", &mut text, tag.into())
        .ok()?;
    if text.len() < 8 || text[..4] != frame[24..28] {
        return None;
    }
    let (text, sum) = text.split_at(text.len() - 2);
    (crc(text) == sum).then(|| (u16::from_le_bytes([text[4], text[5]]), text[6..].to_vec()))
}

pub fn public(private: &[u8; 32]) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*private)).to_bytes()
}

/// As `crypto_box_beforenm`.
pub fn agree(private: &[u8; 32], other: [u8; 32]) -> [u8; 32] {
    let dh = StaticSecret::from(*private).diffie_hellman(&other.into());
    let key: salsa20::Key = *salsa20::Key::from_slice(dh.as_bytes());
    salsa20::hsalsa::<salsa20::cipher::consts::U10>(&key, &[0; 16].into()).into()
}

pub fn tag(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
    mac.update(&parts.concat());
    mac.finalize().into_bytes().into()
}

/// Year u16, month, day, hour, minute, second of a time in milliseconds since 1970.
pub fn date(ms: i64) -> [u8; 7] {
    let days = ms.div_euclid(86_400_000);
    let seconds = ms.rem_euclid(86_400_000) / 1000;
    // Days since 0000-03-01 to a date, after Howard Hinnant.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let [low, high] = u16::try_from(year).unwrap().to_le_bytes();
    let small = |number: i64| u8::try_from(number).unwrap();
    [
        low,
        high,
        small(month),
        small(day),
        small(seconds / 3600),
        small(seconds / 60 % 60),
        small(seconds % 60),
    ]
}
