//! Callers over HTTP and over a real broker create, update and delete groups while the gateway
//! crashes and comes back. `LOCKBRIDGE_SEED=n` draws the same moments and requests again. How the
//! threads interleave is the machine's business.

use std::sync::mpsc::{RecvTimeoutError, TryRecvError, channel};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::broker::Broker;
use crate::callers::{Caller, LastWord, OverHttp, OverMqtt, Place, doors, gather, judge, spawn};
use crate::common::Rig;

pub struct Load {
    broker: Broker,
    seed: u64,
}

impl Load {
    pub fn new(seed: u64) -> Load {
        Load {
            broker: Broker::start(""),
            seed,
        }
    }

    /// The parts of the configuration: a broker, doors, and room for what comes of it.
    pub fn parts(&self) -> Vec<String> {
        // Jobs are kept for a month, and here they come by the hundred each second.
        let mqtt = format!(
            "[limits]\njobs = 1_000_000\n\n[mqtt]\nurl = \"mqtt://127.0.0.1:{}\"\n",
            self.broker.port
        );
        std::iter::once(mqtt).chain(doors()).collect()
    }

    /// Has the gateway killed so many times, at drawn moments, and what else belongs to the crash
    /// done to the dead. Then holds everything against what was promised.
    #[allow(clippy::disallowed_methods, reason = "callers are threads of their own")]
    pub fn bear(&self, rig: &mut Rig, crashes: u64, mut crash: impl FnMut(&mut SmallRng)) {
        let mut rng = SmallRng::seed_from_u64(self.seed);
        let place = Place::default();
        let (report, reports) = channel();
        let (mut while_up, mut while_starting) = (0, 0);
        std::thread::scope(|scope| {
            let _last_word = LastWord(&place);
            let mut stops = Vec::new();
            let mut go_on = || {
                let (stop, stopping) = channel::<()>();
                stops.push(stop);
                move || stopping.try_recv() == Err(TryRecvError::Empty)
            };
            for name in ["http-1", "http-2", "http-3"] {
                let way = OverHttp::new(&place, &rig.key, name);
                let caller = Caller::new(way, name, SmallRng::seed_from_u64(rng.random()));
                spawn(scope, caller, go_on(), report.clone());
            }
            for name in ["mqtt-1", "mqtt-2"] {
                let way = OverMqtt::new(&self.broker, name);
                let caller = Caller::new(way, name, SmallRng::seed_from_u64(rng.random()));
                spawn(scope, caller, go_on(), report.clone());
            }
            // The moments are drawn, not waited for: whatever is under way then is cut.
            for _ in 0..crashes {
                let moment = |ms| {
                    let early = reports.recv_timeout(Duration::from_millis(ms));
                    assert_eq!(early.err(), Some(RecvTimeoutError::Timeout), "a caller gave up");
                };
                if rng.random_bool(0.2) {
                    let ms = rng.random_range(1..80);
                    rig.run_and_kill(|| moment(ms));
                    while_starting += 1;
                } else {
                    rig.run();
                    place.set(Some(rig.address()));
                    let longest = if rng.random_bool(0.3) { 30 } else { 500 };
                    moment(rng.random_range(0..longest));
                    place.set(None);
                    rig.kill();
                    while_up += 1;
                }
                crash(&mut rng);
            }
            rig.run();
            place.set(Some(rig.address()));
            drop(stops);
        });
        drop(report);
        let done = gather(&reports, 5);
        println!(
            "{while_up} crashes while it ran and {while_starting} while it started; {} jobs, {} of them \
             sent again; {} refused for a full lock; {} codes promised",
            done.jobs.len(),
            done.repeated,
            done.refused,
            done.promised.len()
        );
        judge(rig, &done);
    }
}
