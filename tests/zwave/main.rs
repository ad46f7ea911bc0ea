//! Z-Wave locks through the real driver and server of Z-Wave JS, over mocked locks (`rig/`).
//!
//! ```text
//! story.rs     a stay over two Z-Wave locks and a simulated one     pace.rs     three dead locks and a healthy one
//! switches.rs  every fault of the rig, with what it must not break  memory.rs   a network of thirty nodes
//! loss.rs      server, stick and gateway lost in the middle         net.rs      the network of a test
//! first.rs     locks that are met while the gateway watches         scripted.rs what the server says on rare days
//! ```
//!
//! Tables are those of the mocked locks themselves, which neither driver nor gateway can colour.

#[path = "../mqtt/broker.rs"]
mod broker;
#[path = "../common/mod.rs"]
mod common;
mod first;
mod loss;
mod memory;
#[allow(dead_code, reason = "every test takes what it needs")]
mod net;
mod pace;
#[path = "../tls/papers.rs"]
#[allow(dead_code, reason = "every test takes what it needs")]
mod papers;
mod scripted;
mod story;
mod switches;

/// Whether the long form of the tests was asked for.
fn full() -> bool {
    std::env::var_os("LOCKBRIDGE_FULL").is_some()
}
