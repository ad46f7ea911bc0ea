//! TLS at both doors, between the real program, curl, openssl and mosquitto, with certificates that
//! each test makes. Needs `curl`, `openssl`, and Debian's `mosquitto` and `mosquitto-clients`.

#[path = "../mqtt/broker.rs"]
mod broker;
#[path = "../common/mod.rs"]
mod common;
mod https;
mod mqtts;
mod papers;
