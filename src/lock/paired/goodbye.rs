//! The last thing that a lock is asked before it is forgotten: to delete us from its users.

use std::time::Duration;

use crate::lock::ble::NoLink;
use crate::lock::nuki::{ErrorCode, Trouble};

/// For the lock to be free and linked to, whatever it waits for: somebody waits at a terminal.
pub(super) const REACHED_WITHIN: Duration = Duration::from_secs(20);
/// For its answer.
pub(super) const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// Why a lock that is forgotten may still have us among its users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lingering {
    /// It could not be asked.
    #[error("the lock could not be asked: {0}")]
    Unreached(NoLink),
    /// It would want a security PIN that it accepts.
    #[error("the lock deletes nobody without a security PIN that it accepts")]
    NoPin,
    /// It said no.
    #[error("the lock refuses: {0}")]
    Refused(ErrorCode),
    /// It was asked, and nobody knows what came of it.
    #[error("the lock did not answer")]
    Unanswered,
    /// It deleted us, and may know us from an earlier pairing, too.
    #[error("the lock deleted this gateway, and may know it from an earlier pairing, too")]
    Twice,
}

/// What came of it; `None` if the lock did not answer in time. One that does not know us has nobody to delete. `twice`: an
/// earlier pairing may stand among its users, too.
pub(super) fn outcome(told: Option<Result<(), Trouble>>, twice: bool) -> Result<(), Lingering> {
    match told {
        Some(
            Ok(()) | Err(Trouble::Refused(ErrorCode::NOT_AUTHORIZED | ErrorCode::INVALID_AUTHORIZATION)),
        ) => match twice {
            true => Err(Lingering::Twice),
            false => Ok(()),
        },
        Some(Err(Trouble::Refused(ErrorCode::BAD_PIN | ErrorCode::TOO_MANY_PINS) | Trouble::NoPin)) => {
            Err(Lingering::NoPin)
        }
        Some(Err(Trouble::Refused(code))) => Err(Lingering::Refused(code)),
        Some(Err(Trouble::Link(_) | Trouble::Frame(_) | Trouble::Incoherent | Trouble::Flood)) | None => {
            Err(Lingering::Unanswered)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lock_that_said_so_knows_us_no_more() {
        let refused = |code| Some(Err(Trouble::Refused(code)));
        for (told, twice, outcome) in [
            (Some(Ok(())), false, Ok(())),
            (Some(Ok(())), true, Err(Lingering::Twice)),
            (refused(ErrorCode::NOT_AUTHORIZED), false, Ok(())),
            (
                refused(ErrorCode::INVALID_AUTHORIZATION),
                true,
                Err(Lingering::Twice),
            ),
            (refused(ErrorCode::TOO_MANY_PINS), false, Err(Lingering::NoPin)),
            (
                refused(ErrorCode(0x45)),
                true,
                Err(Lingering::Refused(ErrorCode(0x45))),
            ),
            (Some(Err(Trouble::Incoherent)), false, Err(Lingering::Unanswered)),
            (None, true, Err(Lingering::Unanswered)),
        ] {
            assert_eq!(super::outcome(told, twice), outcome, "{told:?}");
        }
    }
}
