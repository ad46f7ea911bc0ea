//! What lets this gateway in at a lock.

use std::fmt;

use zeroize::Zeroizing;

/// What a driver needs to be let in at a lock that it is paired with, in a form of the driver's own: keys and security
/// PINs. It is stored sealed, never printed, and wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(Zeroizing<Vec<u8>>);

impl Credential {
    /// Takes it into custody.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Credential {
        Credential(Zeroizing::new(bytes))
    }

    /// It, in the clear: for its driver alone.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(hidden)")
    }
}
