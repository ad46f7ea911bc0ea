//! `lockbridge sim`: the core in virtual time, for who changes it. Not in the shipped program.

use std::fs;
use std::io::{self, Write};
use std::num::NonZero;
use std::path::PathBuf;
use std::process::Command;

use clap::{Args, Subcommand};

use super::Failure;
use crate::api::answer::Bundle;
use crate::api::time;
use crate::clock::Clock;
use crate::model::Voucher;
use crate::sim::{Night, Plan, Tally, World, many};

#[derive(Subcommand)]
pub(super) enum Sim {
    /// Run weeks that are drawn from seeds, on all cores.
    Weeks {
        /// The first seed.
        #[arg(long, value_name = "N", default_value_t = 0)]
        first: u64,
        /// How many.
        #[arg(long, value_name = "N", default_value_t = 300)]
        seeds: u64,
    },
    /// Play the night through once more that a bundle of `lockbridge incident` tells of.
    Incident(Incident),
}

#[derive(Args)]
pub(super) struct Incident {
    /// The bundle.
    file: PathBuf,
    /// With other faults upon it, drawn from this seed. Default: exactly that night.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// So many nights of other faults, from `--seed` or 0 on.
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// Tell the whole story.
    #[arg(long, conflicts_with = "seeds")]
    trace: bool,
}

pub(super) fn carry_out(command: &Sim) -> Result<(), Failure> {
    match command {
        Sim::Weeks { first, seeds } => run(*first, *seeds, "weeks", Plan::usual_week),
        Sim::Incident(command) => incident(command),
    }
}

fn incident(command: &Incident) -> Result<(), Failure> {
    let failed =
        |error: &dyn std::fmt::Display| Failure::other(format!("{}: {error}", command.file.display()));
    let text = fs::read_to_string(&command.file).map_err(|error| failed(&error))?;
    let bundle = Bundle::read(&text).map_err(|error| failed(&error))?;
    let night = Night::of(&bundle).map_err(|error| failed(&error))?;
    say(&format!(
        "made by lockbridge {}; d0 00:00:00 is {}, and the night begins at {}",
        bundle.version,
        time::second(night.zero()),
        time::second(night.begins()),
    ));
    for (index, lock) in night.locks().iter().enumerate() {
        say(&format!("lock {index} is {lock}"));
    }
    match (command.seed, command.seeds) {
        (first, Some(seeds)) => run(first.unwrap_or(0), seeds, "nights", |seed| {
            night.with_faults(seed)
        }),
        (Some(seed), None) => one(command, &format!("seed {seed}"), night.with_faults(seed)),
        (None, None) => one(command, "that night", night.plan().clone()),
    }
}

/// Runs one plan, and says what came of it.
fn one(command: &Incident, name: &str, plan: Plan) -> Result<(), Failure> {
    let report = World::new(plan.clone(), command.trace).run();
    report.trace.iter().for_each(|line| say(line));
    match report.violation {
        None => {
            say(&format!(
                "{name}: nothing was broken in {} calls of locks; hash {:016x}",
                report.calls, report.hash
            ));
            Ok(())
        }
        Some(_) => Err(broken(&[crate::sim::story(name, plan)])),
    }
}

/// Runs many plans, and says what came of them.
fn run(first: u64, seeds: u64, what: &str, plan: impl Fn(u64) -> Plan + Sync) -> Result<(), Failure> {
    let clock = Clock::real(Voucher::System);
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let Some(end) = first.checked_add(seeds) else {
        return Err(Failure::other("there are no seeds beyond 2^64"));
    };
    let tally: Tally = many(first..end, cores, plan);
    let seconds = clock.now().mono.0 as f64 / 1000.0;
    say(&format!("{} {what}, {tally}", tally.runs));
    say(&format!(
        "{:.0} {what} a second; {:.1} years lived in {seconds:.1} s on {cores} cores",
        tally.runs as f64 / seconds,
        tally.lived.as_secs_f64() / (365.25 * 86_400.0),
    ));
    match tally.broken.is_empty() {
        true => Ok(()),
        false => Err(broken(&tally.broken)),
    }
}

/// Tells what is broken, and in which program: a seed draws something else once the drawing has changed.
fn broken(stories: &[String]) -> Failure {
    let commit = commit().map_or_else(String::new, |commit| format!(", source at {commit}"));
    for story in stories {
        say(&format!(
            "\nlockbridge {}{commit}\n{story}",
            env!("CARGO_PKG_VERSION")
        ));
    }
    Failure::other("an invariant is broken; what and how is told above")
}

/// What the source that this was built of looks like now, if it is still there and git knows it.
fn commit() -> Option<String> {
    let git = Command::new("git")
        .args([
            "-C",
            env!("CARGO_MANIFEST_DIR"),
            "describe",
            "--always",
            "--dirty",
            "--abbrev=12",
        ])
        .output();
    let told = git.ok().filter(|told| told.status.success())?;
    Some(String::from_utf8(told.stdout).ok()?.trim().to_owned()).filter(|commit| !commit.is_empty())
}

fn say(line: &str) {
    // Whoever reads it may have gone already.
    let _ = writeln!(io::stdout(), "{line}");
}
