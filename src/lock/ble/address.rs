//! Whom a link leads to.

use std::fmt;
use std::str::FromStr;

/// The address of a lock on the air, written `54:D2:72:AA:BB:CC`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub [u8; 6]);

/// Not six pairs of hexadecimal digits with colons between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a Bluetooth address: write it as 54:D2:72:AA:BB:CC")]
pub struct NotAnAddress;

impl Address {
    /// Reads six pairs with a sign between them.
    fn parse(text: &str, between: char) -> Option<Address> {
        let mut pairs = text.split(between);
        let mut bytes = [0; 6];
        for byte in &mut bytes {
            let pair = pairs
                .next()
                .filter(|pair| pair.len() == 2 && !pair.starts_with('+'))?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        pairs.next().is_none().then_some(Address(bytes))
    }

    /// Out of the name of an object of the Bluetooth daemon: `hci0/dev_54_D2_72_AA_BB_CC`.
    pub(super) fn of_object(name: &str) -> Option<Address> {
        let (_, device) = name.rsplit_once("/dev_")?;
        Address::parse(device, '_')
    }

    /// The object of the Bluetooth daemon below an adapter's.
    pub(super) fn object(self, adapter: &str) -> String {
        let [a, b, c, d, e, f] = self.0;
        format!("{adapter}/dev_{a:02X}_{b:02X}_{c:02X}_{d:02X}_{e:02X}_{f:02X}")
    }
}

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Address, NotAnAddress> {
        Address::parse(text, ':').ok_or(NotAnAddress)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{g:02X}")
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written_and_nothing_else_is() {
        let address: Address = "54:d2:72:AA:00:01".parse().unwrap();
        assert_eq!(address, Address([0x54, 0xd2, 0x72, 0xaa, 0, 1]));
        assert_eq!(address.to_string().parse(), Ok(address));
        let object = address.object("hci0");
        assert_eq!(object, "hci0/dev_54_D2_72_AA_00_01");
        assert_eq!(Address::of_object(&object), Some(address));
        for wrong in [
            "",
            "54:d2:72:AA:00",
            "54:d2:72:AA:00:01:02",
            "+4:d2:72:AA:00:01",
            "é:d2:72:AA:00:01",
        ] {
            assert_eq!(wrong.parse::<Address>(), Err(NotAnAddress), "{wrong}");
        }
        assert_eq!(Address::of_object("hci0"), None);
    }
}
