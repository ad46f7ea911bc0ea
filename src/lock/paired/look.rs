//! A look at a lock: whether it knows us, whether the security PIN is right, and what it is.

use std::time::Duration;

use tokio::time::timeout;

use super::Randomness;
use super::air::Air;
use super::bond::Bond;
use crate::lock::ble::NoLink;
use crate::lock::nuki::{self, Characteristic, ErrorCode, NukiDriver, Survey, Trouble};

/// For what is asked over one link.
const SURVEY_WITHIN: Duration = Duration::from_secs(10);

/// What a look at a lock came to.
pub(super) enum Looked {
    /// All is as it should be.
    Well(Survey),
    /// It knows us, and the security PIN is wrong.
    WrongPin,
    /// It knows us, and takes no security PIN for a while.
    LockedOut,
    /// It knows us, and says no.
    Declined(ErrorCode),
    /// Our key opens nothing there.
    Stranger,
    /// It could not be asked, or was not understood.
    NoLink(NoLink),
}

/// Looks at a lock over so many links at most. A wrong security PIN is told once.
pub(super) async fn look_at(air: &Air, randomness: Randomness, bond: &Bond, links: usize) -> Looked {
    let mut driver = NukiDriver::new(bond.credentials.clone(), bond.pin.clone(), nuki::capabilities());
    let mut last = Looked::NoLink(NoLink::Failed);
    for _ in 0..links {
        let everyday = Characteristic::Everyday.uuid();
        let mut link = match air.link(bond.address, everyday).await {
            Ok(link) => link,
            Err(none) => {
                last = Looked::NoLink(none);
                continue;
            }
        };
        let mut rng = randomness();
        let surveyed = timeout(SURVEY_WITHIN, driver.survey(&mut link, &mut rng)).await;
        last = match surveyed {
            Ok(Ok(survey)) => return Looked::Well(survey),
            Ok(Err(Trouble::Refused(code))) => match code {
                ErrorCode::BAD_PIN => return Looked::WrongPin,
                ErrorCode::TOO_MANY_PINS => {
                    air.lock_out(bond.address);
                    return Looked::LockedOut;
                }
                ErrorCode::NOT_AUTHORIZED => return Looked::Stranger,
                code => Looked::Declined(code),
            },
            Ok(Err(Trouble::NoPin)) => return Looked::WrongPin,
            Ok(Err(Trouble::Link(_) | Trouble::Frame(_) | Trouble::Incoherent | Trouble::Flood)) => {
                Looked::NoLink(NoLink::Failed)
            }
            Err(_) => Looked::NoLink(NoLink::Silent),
        };
    }
    last
}
