//! The last thing that a lock is asked before it is forgotten: to delete us from its users.

use std::time::Duration;

use tokio::time::timeout;

use super::Randomness;
use super::air::Air;
use super::bond::Bond;
use crate::lock::ble::NoLink;
use crate::lock::nuki::{self, Characteristic, ErrorCode, NukiDriver, Trouble};

/// For the lock to be free and in reach, as somebody waits at a terminal.
pub(super) const REACHED_WITHIN: Duration = Duration::from_secs(20);
/// For its answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// Why a lock that is forgotten may still have us among its users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lingering {
    /// It could not be asked.
    #[error("the lock is not in reach: {0}")]
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
}

/// Has a lock delete us from its users. One that does not know us has nobody to delete.
pub(super) async fn say_goodbye(air: &Air, randomness: Randomness, bond: &Bond) -> Result<(), Lingering> {
    if bond.pin.is_none() || air.is_locked_out(bond.address) {
        return Err(Lingering::NoPin);
    }
    let everyday = Characteristic::Everyday.uuid();
    let link = timeout(REACHED_WITHIN, air.link(bond.address, everyday)).await;
    let mut link = link
        .unwrap_or(Err(NoLink::Silent))
        .map_err(Lingering::Unreached)?;
    let mut driver = NukiDriver::new(bond.credentials.clone(), bond.pin.clone(), nuki::capabilities());
    let mut rng = randomness();
    match timeout(ANSWERS_WITHIN, driver.leave(&mut link, &mut rng)).await {
        Ok(Ok(()) | Err(Trouble::Refused(ErrorCode::NOT_AUTHORIZED | ErrorCode::INVALID_AUTHORIZATION))) => {
            Ok(())
        }
        Ok(Err(Trouble::Refused(ErrorCode::BAD_PIN | ErrorCode::TOO_MANY_PINS) | Trouble::NoPin)) => {
            Err(Lingering::NoPin)
        }
        Ok(Err(Trouble::Refused(code))) => Err(Lingering::Refused(code)),
        Ok(Err(Trouble::Link(_) | Trouble::Frame(_) | Trouble::Incoherent | Trouble::Flood)) | Err(_) => {
            Err(Lingering::Unanswered)
        }
    }
}
