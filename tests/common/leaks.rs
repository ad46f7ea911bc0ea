//! The search for secrets in what a run wrote: as they are, in hex, and in base64.

use std::collections::BTreeSet;

/// What a run wrote, each part with the name of its place.
pub type Written = Vec<(String, Vec<u8>)>;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 without padding.
pub fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, n| bits << 8 | u32::from(*three.get(n).unwrap_or(&0)));
        for n in 0..=three.len() {
            text.push(char::from(BASE64[(bits >> (18 - 6 * n)) as usize & 63]));
        }
    }
    text
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A secret as it could stand somewhere: as it is, in hex, and in base64, wherever in a longer
/// text it begins, as far as it alone decides the letters.
pub fn guises(secret: &str) -> BTreeSet<Vec<u8>> {
    let bytes = secret.as_bytes();
    let mut guises = BTreeSet::from([secret.to_owned(), hex(bytes), hex(bytes).to_uppercase()]);
    for before in 0..3 {
        let mut text = vec![0; before];
        text.extend(bytes);
        let whole = text.len() * 8 / 6;
        let own = base64(&text)[(before * 8).div_ceil(6)..whole].to_owned();
        guises.insert(own.replace('+', "-").replace('/', "_"));
        guises.insert(own);
    }
    guises.into_iter().map(String::into_bytes).collect()
}

pub fn finds<'a>(hay: &'a [u8], needle: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let starts = hay.windows(needle.len()).enumerate();
    starts.filter(move |(_, part)| *part == needle).map(|(at, _)| at)
}

/// Whether a PIN of few digits stands there as a value of its own. In what is no text, chance
/// writes four digits too: there it must have the frame of a text, a quote or its length.
fn stands_alone(hay: &[u8], pin: &[u8]) -> bool {
    let is_text = std::str::from_utf8(hay).is_ok();
    finds(hay, pin).any(|at| {
        let before = at.checked_sub(1).map(|at| hay[at]);
        let after = hay.get(at + pin.len()).copied();
        let length = u8::try_from(pin.len()).unwrap();
        let framed = before.is_some_and(|byte| [b'"', length, 0xa0 | length].contains(&byte));
        let alone = |byte: Option<u8>| !byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        if is_text {
            alone(before) && alone(after)
        } else {
            framed
        }
    })
}

/// Ids and times hold digits by chance, and nothing else: they are taken out of texts. Ids are
/// UUIDs; times have a date before them, and fractions of a second after.
fn without_ids_and_times(bytes: &[u8]) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return bytes.to_vec();
    };
    let fits = |at: usize, form: &str| {
        let part = text.as_bytes().get(at..at + form.len());
        part.is_some_and(|part| {
            part.iter().zip(form.bytes()).all(|(byte, wanted)| match wanted {
                b'x' => byte.is_ascii_hexdigit(),
                b'9' => byte.is_ascii_digit(),
                other => *byte == other,
            })
        })
    };
    let (mut left, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let id = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
        let times = [
            "9999-99-99T99:99:99.999999Z",
            "9999-99-99T99:99:99.999Z",
            "9999-99-99T99:99:99Z",
        ];
        match times.into_iter().chain([id]).find(|form| fits(at, form)) {
            Some(form) => {
                left.extend(b"<>");
                at += form.len();
            }
            None => {
                left.push(text.as_bytes()[at]);
                at += 1;
            }
        }
    }
    left
}

/// Where secrets are found: the place, and what of it.
pub fn leaks(written: &Written, secrets: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    for (place, bytes) in written {
        let bytes = without_ids_and_times(bytes);
        for secret in secrets {
            let leaked = match secret.len() {
                ..6 => stands_alone(&bytes, secret.as_bytes()),
                _ => guises(secret)
                    .iter()
                    .any(|guise| finds(&bytes, guise).next().is_some()),
            };
            if leaked {
                found.push(format!("{secret} in {place}"));
            }
        }
    }
    found
}
