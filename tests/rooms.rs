//! Holds the borders of the rooms: who may know whom, and what only one room may do.
//!
//! Reads the tokens of every file in `src/`; comments and strings do not count.

use proc_macro2::{Spacing, TokenStream, TokenTree};
use std::path::Path;

/// Every room and the rooms it may know, from the bottom to the top.
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("sabotage", &[]),
    ("clock", &["model"]),
    ("warnings", &["model"]),
    ("signature", &[]),
    ("plan", &["model"]),
    ("schedule", &["model", "sabotage"]),
    ("store", &["model", "sabotage"]),
    ("gateway", &["model", "sabotage", "plan", "schedule", "store"]),
    ("lock", &["model", "clock"]),
    ("config", &["model", "lock"]),
    ("tls", &["clock", "config"]),
    ("api", &["model", "plan", "gateway"]),
    ("web", &[]),
    ("shell", &["model", "clock", "store", "gateway", "lock", "config"]),
    (
        "http",
        &[
            "model",
            "clock",
            "warnings",
            "signature",
            "gateway",
            "lock",
            "config",
            "tls",
            "api",
            "web",
            "shell",
        ],
    ),
    (
        "mqtt",
        &[
            "model", "clock", "warnings", "gateway", "config", "tls", "api", "shell",
        ],
    ),
    // The oracle must not ask those whom it judges: no plan, no schedule. Of the API it knows the form of a bundle.
    ("sim", &["model", "store", "gateway", "lock", "api"]),
    (
        "cli",
        &[
            "model",
            "clock",
            "signature",
            "plan",
            "schedule",
            "store",
            "gateway",
            "lock",
            "config",
            "tls",
            "api",
            "shell",
            "http",
            "mqtt",
            "sim",
        ],
    ),
];

/// The rooms that decide: pure, so that a seed replays a run.
const CORE: &[&str] = &["model", "plan", "schedule", "gateway"];

/// What the core does not say.
const NOT_IN_CORE: &[(&[&str], &str)] = &[
    (&["tokio"], "the core does not wait"),
    (&["async"], "the core does not wait"),
    (&["await"], "the core does not wait"),
    (&["std", "thread"], "the core has no threads"),
    (&["time", "Instant"], "the core is handed `now`"),
    (&["time", "SystemTime"], "the core is handed `now`"),
    (&["time", "*"], "the core is handed `now`"),
    (&["HashMap"], "hash order leaks into behaviour"),
    (&["HashSet"], "hash order leaks into behaviour"),
    (&["serde_json"], "JSON belongs to the edge"),
];

/// What one room alone says.
const ONLY: &[(&[&str], &str)] = &[
    (&["SystemTime", "now"], "clock"),
    (&["Timestamp", "now"], "clock"),
    (&["ZonedDateTime", "now"], "clock"),
    (&["thread", "spawn"], "shell"),
    // Seeds run side by side; the shell, which outlives its threads, has no use for it.
    (&["thread", "scope"], "sim"),
    (&["thread", "Builder"], "shell"),
    (&["tokio", "spawn"], "shell"),
    (&["task", "spawn"], "shell"),
    (&["spawn_blocking"], "shell"),
    (&["spawn_local"], "shell"),
    (&["JoinSet"], "shell"),
];

/// `a::b::c` as it stands in a file, groups of a `use` spelled out.
struct Said {
    line: usize,
    names: Vec<String>,
}

impl Said {
    fn has(&self, part: &[&str]) -> bool {
        self.names.windows(part.len()).any(|names| names == part)
    }
}

fn all_said(text: &str) -> Vec<Said> {
    let tokens: TokenStream = text.parse().expect("the compiler reads it too");
    let mut said = Vec::new();
    collect(tokens, &[], &mut said);
    said
}

fn collect(tokens: TokenStream, prefix: &[String], said: &mut Vec<Said>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            // The new name in `use a::{b as c}`.
            TokenTree::Ident(word) if word == "as" && !prefix.is_empty() => at += 2,
            TokenTree::Ident(_) => at = collect_path(&tokens, at, prefix, said),
            TokenTree::Group(group) => {
                collect(group.stream(), &[], said);
                at += 1;
            }
            _ => at += 1,
        }
    }
}

/// Takes the path that begins at `at`; returns where it ends.
fn collect_path(tokens: &[TokenTree], mut at: usize, prefix: &[String], said: &mut Vec<Said>) -> usize {
    let line = tokens[at].span().start().line;
    let mut names = prefix.to_vec();
    loop {
        match tokens.get(at) {
            Some(TokenTree::Ident(name)) => names.push(name.to_string()),
            Some(TokenTree::Punct(star)) if star.as_char() == '*' => names.push("*".into()),
            Some(TokenTree::Group(group)) => collect(group.stream(), &names, said),
            _ => break,
        }
        at += 1;
        if !is_path_separator(&tokens[at..]) {
            break;
        }
        at += 2;
    }
    said.push(Said { line, names });
    at
}

fn is_path_separator(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [TokenTree::Punct(a), TokenTree::Punct(b), ..]
        if a.as_char() == ':' && a.spacing() == Spacing::Joint && b.as_char() == ':')
}

/// What is wrong with a file, by its path below `src/`.
fn faults(file: &str, text: &str) -> Vec<String> {
    let room = file.split(['/', '.']).next().expect("split gives one");
    let is_top = file == format!("{room}.rs") || file == format!("{room}/mod.rs");
    let said = all_said(text);
    let mut faults = Vec::new();
    let mut fault = |line, what| faults.push(format!("src/{file}:{line}: {what}"));

    for (only, owner) in ONLY.iter().filter(|(_, owner)| *owner != room) {
        for said in said.iter().filter(|said| said.has(only)) {
            fault(said.line, format!("only `{owner}` says {}", only.join("::")));
        }
    }
    if room == "main" || room == "lib" {
        return faults;
    }
    let Some((_, may_know)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        fault(
            1,
            format!("no such room: add `{room}` to ROOMS in tests/rooms.rs"),
        );
        return faults;
    };
    for said in &said {
        let known = match said.names.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["super", "super", ..] => {
                fault(said.line, "say crate::, not super::super::".into());
                continue;
            }
            ["crate", name, ..] => name,
            // At the top of a room this is the same as `crate::`.
            ["super", name, ..] if is_top && ROOMS.iter().any(|(room, _)| *room == name) => name,
            _ => continue,
        };
        if known != room && !may_know.contains(&known) {
            fault(said.line, format!("`{room}` may not know `{known}`"));
        }
    }
    if CORE.contains(&room) {
        for (word, why) in NOT_IN_CORE {
            for said in said.iter().filter(|said| said.has(word)) {
                fault(said.line, format!("{}: {why}", word.join("::")));
            }
        }
    }
    faults
}

fn faults_below(folder: &Path, src: &Path, faults_found: &mut Vec<String>) {
    for entry in folder.read_dir().expect("src/ can be read") {
        let path = entry.expect("src/ can be read").path();
        if path.is_dir() {
            faults_below(&path, src, faults_found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let file = path.strip_prefix(src).expect("below src/");
            let text = std::fs::read_to_string(&path).expect("source is text");
            faults_found.extend(faults(&file.to_string_lossy(), &text));
        }
    }
}

#[test]
fn every_room_keeps_its_borders() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    faults_below(&src, &src, &mut found);
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn a_room_knows_only_what_stands_below_it() {
    for (at, (room, may_know)) in ROOMS.iter().enumerate() {
        for known in *may_know {
            assert!(
                ROOMS[..at].iter().any(|(below, _)| below == known),
                "`{known}` does not stand below `{room}`"
            );
        }
    }
}

#[test]
fn lib_only_declares() {
    let text = include_str!("../src/lib.rs");
    for said in all_said(text) {
        let is_declaration = ["pub", "mod", "doc", "cfg", "feature"].contains(&said.names[0].as_str())
            || ROOMS.iter().any(|(room, _)| said.names == [*room]);
        assert!(
            is_declaration,
            "src/lib.rs:{}: {}: it declares the rooms of tests/rooms.rs, and nothing else",
            said.line,
            said.names.join("::")
        );
    }
}

#[test]
fn a_crossing_is_found_however_it_is_written() {
    for crossing in [
        "use crate::shell;",
        "use crate::{model::Code, shell::Shell as Crab};",
        "fn f() { g(crate::shell::run()) }",
        "use super::shell::Shell;",
        "mod tests { use super::super::shell; }",
        "use crate::*;",
    ] {
        let found = faults("store/mod.rs", crossing);
        assert_eq!(found.len(), 1, "{crossing}: {found:?}");
        assert!(found[0].starts_with("src/store/mod.rs:1: "), "{found:?}");
    }
}

#[test]
fn what_is_allowed_is_let_through() {
    for fine in [
        "use crate::{model as m, store::{Tree, Fail}};",
        "//! See [`crate::shell`].\nconst A: &str = \"crate::shell\"; // tokio::spawn",
        "pub(crate) fn f(x: ::std::time::Duration) -> crate::model::Code { x as _ }",
        "mod tests { use super::*; }",
    ] {
        assert_eq!(faults("store/sled.rs", fine), [""; 0], "{fine}");
    }
    assert_eq!(faults("cli/shell.rs", "use super::shell::x;"), [""; 0]);
}

#[test]
fn the_core_is_pure() {
    for impure in [
        "use tokio::time::timeout;",
        "async fn f() {}",
        "use std::{thread, time::Duration};",
        "use std::time::{Duration, Instant};",
        "type T = std::collections::HashSet<u8>;",
        "fn f() { serde_json::to_string(&1); }",
    ] {
        assert_eq!(faults("plan/share.rs", impure).len(), 1, "{impure}");
        assert_eq!(faults("http/mod.rs", impure).len(), 0, "{impure}");
    }
}

#[test]
fn what_belongs_to_one_room_is_said_there_alone() {
    for (owner, text) in [
        ("shell", "fn f() { tokio::spawn(g()); }"),
        ("shell", "use tokio::task::{self, spawn_blocking};"),
        ("clock", "fn f() { jiff::Timestamp::now(); }"),
    ] {
        assert_eq!(faults(&format!("{owner}.rs"), text), [""; 0], "{text}");
        assert_eq!(faults("lock/sim.rs", text).len(), 1, "{text}");
        assert_eq!(faults("main.rs", text).len(), 1, "{text}");
    }
}

#[test]
fn an_unknown_room_is_named() {
    let found = faults("attic/mod.rs", "");
    assert!(found[0].contains("add `attic` to ROOMS"), "{found:?}");
}
