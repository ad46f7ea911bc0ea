//! What the gateway costs a small machine: writes, time, memory, wake-ups. The real program on this machine's disk;
//! figures, and ratios that a slower machine shares. `cargo bench --bench footprint`; docs/footprint.md says what each
//! figure is. LOCKBRIDGE_FULL=1 watches an idle gateway for ten minutes instead of one; words choose parts of it
//! (`-- jobs memory starts makespan idle`).

#[path = "../tests/common/mod.rs"]
mod common;
mod line;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{Rig, device};
use line::Line;
use serde_json::{Value, json};

/// Locks of a gateway, and of a group of them.
const LOCKS: usize = 100;
const GROUP: usize = 5;
/// Jobs of one caller.
const ALONE: usize = 400;
/// Callers at once, and jobs of each.
const CALLERS: usize = 64;
const EACH: usize = 50;
/// Codes of a gateway that is in use.
const IN_USE: usize = 10_000;
/// Commands that wait in a gateway whose locks are all out of reach.
const WAITING: usize = 100_000;
/// Locks of one group, for its makespan, and what each takes.
const DOORS: usize = 50;
const TAKES: Duration = Duration::from_millis(100);
/// Exchanges that a radio has at once, as the configuration has it by itself.
const LINKS: usize = 3;
/// Between two stays, which follow each other from a week ahead on: nothing falls due meanwhile.
const STAY: i64 = 3600;

fn id(nth: usize) -> String {
    format!("11111111-0000-4000-8000-{nth:012}")
}

/// A gateway with so many locks.
fn gateway(locks: usize, more: &str) -> Rig {
    let lock = |nth| {
        device(
            &id(nth),
            "Door",
            "write-only",
            &format!("capacity = 10000\n{more}"),
        )
    };
    let mut parts: Vec<String> = (0..locks).map(lock).collect();
    parts.push("[limits]\ncodes = 200000\njobs = 200000\ncreations_per_minute = 60000\n".to_owned());
    Rig::new(&parts)
}

/// The nth job of many: each takes the next locks.
fn job(rig: &Rig, nth: usize) -> Value {
    let from = (nth * GROUP) % LOCKS;
    stay(rig, i64::try_from(nth).unwrap(), from..from + GROUP)
}

/// A stay on these locks.
fn stay(rig: &Rig, nth: i64, locks: std::ops::Range<usize>) -> Value {
    let from = 7 * 86_400 + nth * STAY;
    json!({
        "device_ids": locks.map(id).collect::<Vec<_>>(),
        "name": "Jane",
        "preferred_code_length": 8,
        "starts_at": rig.time(from),
        "ends_at": rig.time(from + STAY / 2),
    })
}

const CREATE: &str = "/access_codes/create_multiple";

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let done = work();
    (done, began.elapsed())
}

/// So much a second.
fn rate(count: usize, took: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap()) / took.as_secs_f64()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The median, and what one in a hundred takes longer than.
fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let [half, most] = [times.len() / 2, times.len() * 99 / 100].map(|nth| milliseconds(times[nth]));
    format!("p50 {half:.2} ms, p99 {most:.2} ms")
}

/// Appends of 512 bytes a second, each synced, in this directory.
fn bare_syncs(dir: &Path) -> f64 {
    let mut file = fs::File::create_new(dir.join("bare")).unwrap();
    let ((), took) = timed(|| {
        for _ in 0..ALONE {
            file.write_all(&[0; 512]).unwrap();
            file.sync_data().unwrap();
        }
    });
    fs::remove_file(dir.join("bare")).unwrap();
    rate(ALONE, took)
}

/// A line of a file below /proc that begins so, as a number.
fn proc(rig: &Rig, file: &str, begins: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/{file}", rig.pid())).unwrap();
    let line = text.lines().find(|line| line.starts_with(begins)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn pss(rig: &Rig) -> f64 {
    Duration::from_millis(proc(rig, "smaps_rollup", "Pss:")).as_secs_f64()
}

fn written(rig: &Rig) -> u64 {
    proc(rig, "io", "write_bytes:")
}

/// How often its threads went to sleep, and how many hundredths of a second they computed.
fn work(rig: &Rig) -> (u64, u64) {
    let tasks = fs::read_dir(format!("/proc/{}/task", rig.pid())).unwrap();
    let slept = tasks.map(|task| {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("voluntary")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    });
    let stat = fs::read_to_string(format!("/proc/{}/stat", rig.pid())).unwrap();
    // The name may hold spaces; user and system time are the 12th and 13th after it.
    let times = stat.rsplit(')').next().unwrap().split_whitespace();
    let computed = times.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap());
    (slept.sum(), computed.sum())
}

fn jobs() {
    let mut rig = gateway(LOCKS, "latency = \"1ms\"");
    rig.run();
    println!("start     empty store: PSS {:.1} MB", pss(&rig));
    let bare = bare_syncs(&rig.data_dir());
    let mut line = Line::open(&rig);
    let bodies: Vec<Value> = (0..ALONE).map(|nth| job(&rig, nth)).collect();
    let before = written(&rig);
    let (times, took) = timed(|| bodies.iter().map(|body| line.call(CREATE, body)).collect());
    let alone = rate(ALONE, took);
    println!("bare      {bare:.0} syncs/s");
    println!(
        "1 caller  {alone:.0} jobs/s, x {:.2} of bare; {}",
        alone / bare,
        quantiles(times)
    );
    println!(
        "card      {:.1} kB written for each job",
        Duration::from_millis(written(&rig) - before).as_secs_f64()
            / Duration::from_millis(ALONE as u64).as_secs_f64()
            / 1000.0
    );

    let nth = |caller: usize, own: usize| ALONE + caller * EACH + own;
    let bodies: Vec<Vec<Value>> = (0..CALLERS)
        .map(|caller| (0..EACH).map(|own| job(&rig, nth(caller, own))).collect())
        .collect();
    let lines: Vec<Line> = (0..CALLERS).map(|_| Line::open(&rig)).collect();
    #[expect(clippy::disallowed_methods, reason = "each caller is one")]
    let (times, took) = timed(|| {
        std::thread::scope(|scope| {
            let call = |(mut line, bodies): (Line, Vec<Value>)| {
                scope.spawn(move || {
                    bodies
                        .iter()
                        .map(|body| line.call(CREATE, body))
                        .collect::<Vec<_>>()
                })
            };
            let callers: Vec<_> = lines.into_iter().zip(bodies).map(call).collect();
            callers
                .into_iter()
                .flat_map(|caller| caller.join().unwrap())
                .collect()
        })
    });
    let all = rate(CALLERS * EACH, took);
    println!(
        "{CALLERS} callers {all:.0} jobs/s, x {:.1} of bare; {}",
        all / bare,
        quantiles(times)
    );
}

fn memory() {
    let mut rig = gateway(LOCKS, "latency = \"1ms\"");
    rig.run();
    let empty = pss(&rig);
    for nth in 0..IN_USE / 50 {
        let from = (nth * 50) % LOCKS;
        let body = stay(&rig, i64::try_from(nth).unwrap(), from..from + 50);
        rig.post(CREATE, body).ok();
    }
    let full = pss(&rig);
    rig.kill();
    rig.run();
    println!(
        "memory    PSS {empty:.1} MB with {LOCKS} locks, {full:.1} MB with {IN_USE} codes, {:.1} MB after a start",
        pss(&rig)
    );
}

fn starts() {
    let mut rig = gateway(LOCKS, "");
    let ((), empty) = timed(|| rig.run());
    for nth in 0..LOCKS {
        rig.post("/devices/simulate/disconnect", json!({"device_id": id(nth)}))
            .ok();
    }
    let mut line = Line::open(&rig);
    let create = |rig: &Rig, line: &mut Line, nth: usize| {
        let from = (nth * 50) % LOCKS;
        let body = json!({
            "device_ids": (from..from + 50).map(id).collect::<Vec<_>>(),
            "preferred_code_length": 8,
            "starts_at": rig.time(-60),
            "ends_at": rig.time(30 * 86_400),
        });
        line.call(CREATE, &body)
    };
    let jobs = WAITING / 50;
    let mut times: Vec<Duration> = (0..jobs).map(|nth| create(&rig, &mut line, nth)).collect();
    let median = |times: &mut [Duration]| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    let (few, many) = (median(&mut times[2..22]), median(&mut times[jobs - 20..]));
    println!(
        "cost      {:.2} ms for a job of 50 at 1,000 codes, {:.2} ms at {WAITING}, x {:.2}",
        milliseconds(few),
        milliseconds(many),
        many.as_secs_f64() / few.as_secs_f64()
    );
    println!(
        "full      PSS {:.1} MB with {WAITING} commands waiting",
        pss(&rig)
    );
    drop(line);
    rig.kill();
    let ((), full) = timed(|| rig.run());
    println!("ready     after {empty:.2?} on an empty store, {full:.2?} with {WAITING} commands waiting");
}

fn makespan() {
    let latency = format!("latency = \"{}ms\"", TAKES.as_millis());
    let mut rig = gateway(DOORS, &latency);
    rig.run();
    let body = json!({"device_ids": (0..DOORS).map(id).collect::<Vec<_>>(), "preferred_code_length": 8});
    let (booked, took) = timed(|| {
        let booked = rig.post(CREATE, body).ok();
        while rig.get("/readyz").body["jobs_open"] != 0 {}
        booked
    });
    assert_eq!(booked["access_codes"].as_array().unwrap().len(), DOORS);
    let ideal = TAKES * u32::try_from(DOORS.div_ceil(LINKS)).unwrap();
    println!(
        "makespan  {took:.2?} for {DOORS} locks, ideal {ideal:.2?}, x {:.2}",
        took.as_secs_f64() / ideal.as_secs_f64()
    );
}

fn idle() {
    let mut rig = gateway(GROUP, "");
    rig.run();
    let minutes = if std::env::var_os("LOCKBRIDGE_FULL").is_some() {
        10
    } else {
        1
    };
    let pause = |span| {
        #[expect(clippy::disallowed_methods, reason = "it is watched while it does nothing")]
        std::thread::sleep(span);
    };
    // What a start leaves to be done is done.
    pause(Duration::from_secs(10));
    let (before, bytes) = (work(&rig), written(&rig));
    let span = Duration::from_secs(60 * minutes);
    pause(span);
    let after = work(&rig);
    println!(
        "idle      {:.2} wake-ups/s, {:.3} % of a processor, {} bytes written in {minutes} min",
        rate(usize::try_from(after.0 - before.0).unwrap(), span),
        rate(usize::try_from(after.1 - before.1).unwrap(), span),
        written(&rig) - bytes
    );
}

fn main() {
    let parts: [(&str, fn()); 5] = [
        ("jobs", jobs),
        ("memory", memory),
        ("starts", starts),
        ("makespan", makespan),
        ("idle", idle),
    ];
    // Cargo adds a word of its own.
    let chosen: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    for (name, part) in parts {
        if chosen.is_empty() || chosen.iter().any(|word| word == name) {
            part();
        }
    }
}
