//! `lockbridge demo` as a person runs it, and the lines that it says to try, typed into a shell.
//!
//! One test, since both parts want the same port.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// What the story tells, in this order.
const STORY: &[&str] = &[
    "1. A gateway starts, with four doors",
    "Front door   keypad-6  online",
    "Garden gate  masked    online",
    "Apartment    slots     OFFLINE",
    "2. The cloud books Jane's reservation",
    "its reply, at once: code ",
    "3. The codes go onto the doors",
    "[x] Back door    set      proven: read_back",
    "the receipt: proven ",
    "Apartment's queue: set, device_silent, tries ",
    "4. The gateway is killed in the middle of it",
    "the process ended: signal: 9",
    "nothing lost: 4 access codes as replied",
    "[x] Garden gate  set      proven: acknowledged",
    "5. Apartment is heard again",
    "[x] Apartment    set      proven: read_back",
    "Apartment    its own table: slot 1 holds a code",
    "Apartment    opens to the guest's code",
    "6. A late check-out is moved on all doors",
    "Front door   its own table: slot 1 holds a code until ",
    "7. Simulated time: past the first check-out",
    "Apartment    opens to the guest's code",
    "8. Past the late one",
    "Front door   stays shut to the guest's code",
    "Apartment    stays shut to the guest's code",
    "Apartment    the access code: unset",
    "Front door   its own table: empty",
    "Back door    its own table: empty",
    "Garden gate  its own table: empty",
    "Apartment    its own table: empty",
    "0 commands waiting",
    "The story took ",
];

fn demo(arguments: &[&str]) -> Command {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_lockbridge"));
    demo.arg("demo").args(arguments).stdin(Stdio::null());
    demo
}

#[track_caller]
fn insist_on_the_story(told: &str) {
    let mut rest = told;
    for line in STORY {
        let (_, after) = rest
            .split_once(line)
            .unwrap_or_else(|| panic!("`{line}` does not come where it should in:\n{told}"));
        rest = after;
    }
    // The PIN stands in the reply, and nowhere else.
    let (_, reply) = told.split_once("its reply, at once: code ").expect("told above");
    let pin = reply.split(' ').next().expect("a word");
    assert!(pin.len() == 6 && pin.bytes().all(|b| b.is_ascii_digit()), "{pin}");
    assert_eq!(told.matches(pin).count(), 1, "{told}");
    assert!(!told.contains('\x1b'), "plain where there is no terminal");
}

fn home(told: &str) -> &Path {
    let (_, home) = told.split_once("All of it happens in ").expect("the first line");
    Path::new(home.lines().next().expect("a line"))
}

/// Reads until a line begins so.
fn read_until(out: &mut BufReader<ChildStdout>, beginning: &str) -> String {
    let mut told = String::new();
    loop {
        let before = told.len();
        let read = out.read_line(&mut told).expect("text");
        assert!(read > 0, "it ended before `{beginning}`:\n{told}");
        if told[before..].starts_with(beginning) {
            return told;
        }
    }
}

fn terminate(process: &mut Child) {
    let kill = Command::new("kill").arg(process.id().to_string()).status();
    assert!(kill.unwrap().success());
}

/// The lines between two comments.
fn part<'a>(lines: &'a str, from: &str, to: &str) -> &'a str {
    let begin = lines
        .find(from)
        .unwrap_or_else(|| panic!("no `{from}`:\n{lines}"));
    let end = lines[begin..]
        .find(to)
        .unwrap_or_else(|| panic!("no `{to}`:\n{lines}"));
    &lines[begin..begin + end]
}

#[test]
fn the_story_comes_true_and_its_lines_work() {
    // Once through.
    let once = demo(&["--once"]).output().unwrap();
    let told = String::from_utf8(once.stdout).unwrap();
    let said = String::from_utf8_lossy(&once.stderr);
    assert!(once.status.success(), "{said}\n{told}");
    insist_on_the_story(&told);
    assert!(!home(&told).exists(), "it tidies up");

    // Then with the gateway that stays, and every line that needs nothing installed.
    let mut process = demo(&["--mqtt", "mqtt://127.0.0.1:9"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(process.stdout.take().unwrap());
    let told = read_until(&mut out, "# Ctrl-C ends the gateway");
    let (story, lines) = told.split_once("9. Now you").expect("what comes after the story");
    insist_on_the_story(story);
    let home = home(&told);
    let key = std::fs::read_to_string(home.join("yours/key")).unwrap();
    assert!(key.starts_with("seam_") && !told.contains(key.trim()));
    let curl = part(lines, "# The API key", "# With Seam's Python SDK");
    let typed = Command::new("bash").args(["-e", "-c", curl]).output().unwrap();
    let answers = String::from_utf8(typed.stdout).unwrap();
    let errors = String::from_utf8_lossy(&typed.stderr);
    assert!(typed.status.success() && errors.is_empty(), "{errors}\n{answers}");
    let calls = curl.lines().filter(|line| line.contains("curl -sS")).count();
    assert!(calls >= 10, "{curl}");
    assert_eq!(answers.matches(r#""ok":true"#).count(), calls, "{answers}");
    assert!(!answers.contains(r#""ok":false"#), "{answers}");
    assert!(answers.contains("Sam (auto_set_by_create_multiple_"), "{answers}");
    for tool in ["apt-get install mosquitto", "mosquitto_sub ", "mosquitto_pub "] {
        assert!(lines.contains(tool), "{lines}");
    }

    terminate(&mut process);
    let mut last = String::new();
    out.read_to_string(&mut last).unwrap();
    assert!(process.wait().unwrap().success(), "{last}");
    assert!(last.contains("SIGTERM came"), "{last}");
    assert!(!home.exists(), "it tidies up");

    // Told to end in the middle of the story, it ends too, and leaves nothing behind.
    let mut process = demo(&[]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(process.stdout.take().unwrap());
    let mut told = read_until(&mut out, "3. ");
    terminate(&mut process);
    out.read_to_string(&mut told).unwrap();
    assert!(process.wait().unwrap().success(), "{told}");
    assert!(
        told.contains("SIGTERM came: the demo ends") && !told.contains("4. "),
        "{told}"
    );
    assert!(!self::home(&told).exists(), "it tidies up");

    // A broker that cannot be is refused before anything begins.
    let refused = demo(&["--mqtt", "http://127.0.0.1"]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(
        said.contains("mqtt://host:port") && refused.stdout.is_empty(),
        "{said}"
    );
}
