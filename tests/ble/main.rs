//! The Bluetooth radio with the real btleplug, over a bus of our own on which a stand-in for BlueZ serves simulated
//! locks.
//!
//! A process asks only once where its bus is. So each test runs in a process of its own: [`stage`].

mod blame;
mod bluez;
#[path = "../mqtt/broker.rs"]
mod broker;
mod bus;
#[path = "../common/mod.rs"]
mod common;
mod crowd;
mod cycles;
mod gateway;
mod inside;
mod links;
#[path = "../nuki/lock/mod.rs"]
mod lock;
mod pairing;
mod rig;
mod storm;
mod trouble;

use std::process::Command;

/// Set in the process that runs the body of a test.
const ON_STAGE: &str = "LOCKBRIDGE_ON_STAGE";

/// Runs the body of the test with this name in a process that has a bus of its own.
fn stage(name: &str, body: impl AsyncFnOnce()) {
    if std::env::var_os(ON_STAGE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        let within = async { tokio::time::timeout(rig::DEADLINE * 2, body()).await };
        return runtime.unwrap().block_on(within).expect("it hangs");
    }
    let folder = tempfile::tempdir().unwrap();
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(bus::ADDRESS, bus::address(folder.path()))
        .env(ON_STAGE, "1")
        // btleplug's own tasks panic now and then, and the symbols for a backtrace are tens of megabytes.
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let said = [ran.stdout, ran.stderr]
        .map(|said| String::from_utf8_lossy(&said).into_owned())
        .concat();
    println!("{said}");
    assert!(ran.status.success(), "{name} failed on its stage");
    assert!(said.contains("1 passed"), "{name} is no test: nothing ran");
}
