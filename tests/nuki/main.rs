//! The Nuki protocol against published and recorded bytes, and the driver against a simulated lock that shares no code
//! with it.

mod air;
mod clock;
mod cuts;
mod house;
mod lock;
mod logbook;
mod mutations;
mod pairing;
mod properties;
mod steps;
mod vectors;
