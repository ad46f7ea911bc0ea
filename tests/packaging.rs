//! What a package is made of, and what makes it. That it installs is tried by `tools/try-arm`.

#[path = "../examples/pages.rs"]
#[allow(dead_code, reason = "its `main` is the example's")]
mod pages;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use toml::{Table, Value};

/// Where a package has its guides.
const GUIDES: &str = "usr/share/doc/lockbridge";

/// What guides point to and no package has: what is for those who change lockbridge, licences, which Debian has in
/// `copyright`, what the gateway itself serves, and pictures, which are large.
const NOT_PACKAGED: &[&str] = &[
    "ARCHITECTURE.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "docs/decisions",
    "docs/openapi.json",
    "docs/pictures/",
    "tests/",
];

/// What `cross` 0.2.5 documents: below `build`, below each target, and below the `env` of both.
const CROSS_BUILD: &[&str] = &[
    "build-std",
    "default-target",
    "dockerfile",
    "env",
    "pre-build",
    "xargo",
];
const CROSS_TARGET: &[&str] = &[
    "build-std",
    "dockerfile",
    "env",
    "image",
    "pre-build",
    "runner",
    "xargo",
];
const CROSS_ENV: &[&str] = &["passthrough", "volumes"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn manifest() -> Table {
    read("Cargo.toml").parse().unwrap()
}

/// Each asset of the package: from where, to where.
fn assets() -> Vec<(String, String)> {
    let manifest = manifest();
    let assets = manifest["package"]["metadata"]["deb"]["assets"]
        .as_array()
        .unwrap();
    let word = |asset: &Value, at: usize| asset[at].as_str().unwrap().to_owned();
    assets
        .iter()
        .map(|asset| (word(asset, 0), word(asset, 1)))
        .collect()
}

/// The names of the files that a pattern with at most one `*`, in its last part, names.
fn found(folder: &Path, pattern: &str) -> Vec<String> {
    let (below, name) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    let (start, end) = name.split_once('*').unwrap_or((name, ""));
    let Ok(entries) = folder.join(below).read_dir() else {
        return Vec::new();
    };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|found| match name.contains('*') {
            true => found.starts_with(start) && found.ends_with(end),
            false => found == name,
        })
        .collect()
}

#[test]
fn everything_that_is_packaged_exists() {
    let made = tempfile::tempdir().unwrap();
    pages::write(made.path()).unwrap();
    for (source, _) in assets() {
        let exists = match source.strip_prefix("target/pages/") {
            Some(page) => !found(made.path(), page).is_empty(),
            // The program itself.
            None if source == "target/release/lockbridge" => true,
            None => !found(&root(), &source).is_empty(),
        };
        assert!(exists, "Cargo.toml packages {source}, which is not there");
    }
    let manifest = manifest();
    let deb = &manifest["package"]["metadata"]["deb"];
    read(deb["license-file"][0].as_str().unwrap());
    let unit = &deb["systemd-units"];
    let name = unit["unit-name"].as_str().unwrap();
    // cargo-deb takes these two by itself, and says nothing where one is missing.
    for kind in ["service", "sysusers"] {
        read(&format!(
            "{}/{name}.{kind}",
            unit["unit-scripts"].as_str().unwrap()
        ));
    }
    for script in ["postinst", "postrm"] {
        let text = read(&format!(
            "{}/{script}",
            deb["maintainer-scripts"].as_str().unwrap()
        ));
        assert!(text.contains("#DEBHELPER#"), "{script} drops what cargo-deb adds");
    }
}

/// The files beside the program that a package has for people, by their place in this directory.
fn guides() -> BTreeSet<String> {
    let mut guides = BTreeSet::new();
    for (source, to) in assets() {
        let Some(to) = to.strip_prefix(GUIDES) else {
            continue;
        };
        let below = source.rsplit_once('/').map_or("", |(below, _)| below);
        assert_eq!(
            to.trim_matches('/'),
            below,
            "{source} lies elsewhere in the package"
        );
        let names = found(&root(), &source).into_iter();
        guides.extend(names.map(|name| format!("{below}/{name}").trim_matches('/').to_owned()));
    }
    guides
}

#[test]
fn the_links_of_every_guide_hold_in_the_package() {
    let guides = guides();
    let below = found(&root(), "docs/*.md")
        .into_iter()
        .map(|name| format!("docs/{name}"));
    for page in below.chain(["README.md".to_owned()]) {
        assert!(guides.contains(&page), "{page} is not packaged");
        let text = read(&page);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let file = link.split('#').next().unwrap();
            let to = match (file.strip_prefix("../"), page.starts_with("docs/")) {
                (Some(up), true) => up.to_owned(),
                (None, true) => format!("docs/{file}"),
                (_, false) => file.to_owned(),
            };
            let is_there = guides
                .iter()
                .any(|guide| *guide == to || guide.starts_with(&format!("{to}/")));
            let left_out = NOT_PACKAGED.iter().any(|out| to.starts_with(out));
            assert!(
                is_there || left_out,
                "{page} points to {link}, which no package has"
            );
        }
    }
}

#[test]
fn the_newest_entry_of_the_changelog_is_this_version() {
    let changelog = read(
        manifest()["package"]["metadata"]["deb"]["changelog"]
            .as_str()
            .unwrap(),
    );
    let version = concat!("lockbridge (", env!("CARGO_PKG_VERSION"), "-1) ");
    assert!(
        changelog.starts_with(version),
        "it does not begin with `{version}`"
    );
}

#[test]
fn a_package_depends_on_the_floor_that_is_checked() {
    let depends = manifest()["package"]["metadata"]["deb"]["depends"].to_string();
    let dist = read("tools/dist");
    let limit = dist
        .lines()
        .find_map(|line| line.strip_prefix("glibc_limit="))
        .unwrap();
    assert!(depends.contains(&format!("libc6 (>= {limit})")), "{depends}");
}

/// The names of a command and of all below it, as their pages are called.
fn commands(command: &clap::Command, above: &str) -> Vec<String> {
    let name = format!("{above}{}", command.get_name());
    let below = command.get_subcommands();
    let mut all: Vec<String> = below
        .flat_map(|below| commands(below, &format!("{name}-")))
        .collect();
    all.push(name);
    all
}

#[test]
fn every_command_that_ships_has_a_page_and_is_completed() {
    let made = tempfile::tempdir().unwrap();
    pages::write(made.path()).unwrap();
    let read = |file: &str| fs::read_to_string(made.path().join(file)).unwrap();
    let completions = ["lockbridge.bash", "lockbridge.fish", "_lockbridge"]
        .map(|file| read(&format!("completions/{file}")));
    let built = lockbridge::cli::command();
    let mut all = commands(&built, "");
    all.retain(|name| !name.starts_with("lockbridge-sim"));
    assert!(all.len() > 10, "{all:?}");
    for name in &all {
        let page = read(&format!("man/{name}.8"));
        assert!(page.contains(&format!(".TH {name} 8")), "{page}");
        let word = name.rsplit('-').next().unwrap();
        assert!(
            completions.iter().all(|text| text.contains(word)),
            "{name} is not completed"
        );
    }
    assert_eq!(made.path().join("man").read_dir().unwrap().count(), all.len());
}

#[test]
fn cross_toml_has_only_keys_that_cross_knows() {
    let insist = |at: &str, value: &Value, known: &[&str]| {
        for key in value.as_table().unwrap().keys() {
            assert!(
                known.contains(&key.as_str()),
                "cross.toml: {at} has no key `{key}`"
            );
        }
    };
    let cross: Value = read("cross.toml").parse::<Table>().unwrap().into();
    insist("the file", &cross, &["build", "target"]);
    insist("[build]", &cross["build"], CROSS_BUILD);
    insist("[build.env]", &cross["build"]["env"], CROSS_ENV);
    for (triple, target) in cross["target"].as_table().unwrap() {
        insist(triple, target, CROSS_TARGET);
        if let Some(env) = target.get("env") {
            insist(triple, env, CROSS_ENV);
        }
        assert!(
            read("deny.toml").contains(triple),
            "deny.toml does not look at {triple}"
        );
    }
    // Nothing else reads the file.
    assert!(read("tools/dist").contains("CROSS_CONFIG=cross.toml cross "));
}

#[test]
fn the_scripts_are_ones_that_a_shell_understands() {
    for (shell, scripts) in [
        (
            "bash",
            &["tools/dist", "tools/try-arm", "tests/run", ".ci/run"][..],
        ),
        ("sh", &["debian/postinst", "debian/postrm"]),
    ] {
        for script in scripts {
            let told = Command::new(shell)
                .arg("-n")
                .arg(root().join(script))
                .output()
                .unwrap();
            assert!(
                told.status.success(),
                "{script}: {}",
                String::from_utf8_lossy(&told.stderr)
            );
        }
    }
}

#[test]
fn what_makes_packages_says_how_it_is_used() {
    let dist = |arguments: &[&str]| {
        Command::new(root().join("tools/dist"))
            .args(arguments)
            .output()
            .unwrap()
    };
    let help = String::from_utf8(dist(&["--help"]).stdout).unwrap();
    assert!(help.starts_with("usage: tools/dist"), "{help}");
    for wrong in [
        &["--with", "hope", "x86_64-unknown-linux-gnu"][..],
        &["sparc"],
        &[],
        &["--with"],
        &["--check", "program"],
    ] {
        assert_eq!(dist(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

/// What `tools/dist --check` says of such a program and such a package, with a `readelf` that sees `glibc`. It is what
/// each build ends with.
fn checked(program: u64, package: u64, glibc: &str) -> (bool, String) {
    let made = tempfile::tempdir().unwrap();
    let sized = |name: &str, bytes: u64| {
        let path = made.path().join(name);
        fs::File::create(&path).unwrap().set_len(bytes).unwrap();
        path
    };
    let readelf = made.path().join("readelf");
    fs::write(
        &readelf,
        format!("#!/bin/sh\necho Name: GLIBC_2.2\necho Name: GLIBC_{glibc}\n"),
    )
    .unwrap();
    fs::set_permissions(&readelf, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", made.path().display(), std::env::var("PATH").unwrap());
    let told = Command::new(root().join("tools/dist"))
        .arg("--check")
        .args([sized("program", program), sized("package", package)])
        .env("PATH", path)
        .output()
        .unwrap();
    let said = [told.stdout, told.stderr].concat();
    (told.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn each_limit_is_held() {
    for (program, package, glibc, fine) in [
        (6_000_000, 2_500_000, "2.36", true),
        (6_000_001, 2_500_000, "2.36", false),
        (6_000_000, 2_500_001, "2.36", false),
        (6_000_000, 2_500_000, "2.38", false),
        // Versions are not numbers.
        (6_000_000, 2_500_000, "2.4", true),
        (6_000_000, 2_500_000, "2.100", false),
    ] {
        let (success, said) = checked(program, package, glibc);
        assert_eq!(success, fine, "{program}, {package}, {glibc}: {said}");
        assert!(said.contains(&format!("glibc: {glibc}, at most")), "{said}");
    }
}
