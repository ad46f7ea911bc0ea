//! What a key may be used for.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// See and change access codes; see devices.
    Codes,
    /// See PINs.
    Pins,
    /// Operate devices.
    Operate,
    /// Steer simulated locks and their time.
    Admin,
    /// Read figures, and nothing else.
    Metrics,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Scope; 5] = [
        Scope::Codes,
        Scope::Pins,
        Scope::Operate,
        Scope::Admin,
        Scope::Metrics,
    ];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Scope::Codes => "codes",
            Scope::Pins => "pins",
            Scope::Operate => "operate",
            Scope::Admin => "admin",
            Scope::Metrics => "metrics",
        }
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(word: &str) -> Result<Scope, String> {
        let known = Scope::ALL.into_iter().find(|scope| scope.word() == word);
        known.ok_or_else(|| format!("`{word}` is none of codes, pins, operate, admin and metrics"))
    }
}
