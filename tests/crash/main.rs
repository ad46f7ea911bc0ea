//! What ends a gateway in the middle of its work, and what is there when it starts again: the real
//! program, killed, without power, on a full card, on a card that fails, and on one that is damaged.
//!
//! ```text
//! load.rs     callers, and one crash after the other   card.rs    a file system that forgets
//! kill.rs     kill -9                                  power.rs   power cuts
//! full.rs     no room, and room again                  failing.rs syncs that fail
//! damage.rs   a store that is not what was written     told.rs    the words for the operator
//! ```

#[path = "../mqtt/broker.rs"]
mod broker;
#[path = "../mqtt/callers.rs"]
mod callers;
mod card;
#[path = "../common/mod.rs"]
mod common;
mod damage;
mod failing;
mod full;
mod kill;
mod load;
mod power;
mod told;
