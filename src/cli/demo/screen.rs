//! What the demo writes. On a terminal the state of the doors is rewritten in place, in colours
//! unless `NO_COLOR` says otherwise; elsewhere each change is a plain line of its own.

use std::io::{self, IsTerminal, Write};

/// Standard output.
pub(super) struct Screen {
    /// Lines can be written again.
    terminal: bool,
    colours: bool,
    acts: usize,
    /// The lines that may change, as they were last written.
    live: Vec<String>,
}

/// What a line tells of.
#[derive(Clone, Copy)]
enum Style {
    Bold = 1,
    Green = 32,
    Yellow = 33,
}

/// What a live line is marked with once it tells of something reached.
const REACHED: &str = "[x]";
const OPEN: &str = "[ ]";

impl Screen {
    pub(super) fn new() -> Screen {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let terminal = io::stdout().is_terminal() && set("TERM").is_some_and(|term| term != "dumb");
        Screen {
            terminal,
            colours: terminal && set("NO_COLOR").is_none(),
            acts: 0,
            live: Vec::new(),
        }
    }

    /// Begins an act.
    pub(super) fn act(&mut self, title: &str) -> io::Result<()> {
        self.acts += 1;
        let title = self.styled(Style::Bold, &format!("{}. {title}", self.acts));
        self.write(&format!("\n{title}\n"))
    }

    /// A line of the story.
    pub(super) fn say(&mut self, line: &str) -> io::Result<()> {
        self.live.clear();
        self.write(&format!("{line}\n"))
    }

    /// A line of an act.
    pub(super) fn tell(&mut self, line: &str) -> io::Result<()> {
        self.say(&format!("   {line}"))
    }

    /// Lines that change until something else is said; each with whether it tells of the end.
    pub(super) fn live(&mut self, lines: impl IntoIterator<Item = (bool, String)>) -> io::Result<()> {
        let lines: Vec<String> = lines
            .into_iter()
            .map(|(reached, line)| match reached {
                true => self.styled(Style::Green, &format!("   {REACHED} {line}")),
                false => self.styled(Style::Yellow, &format!("   {OPEN} {line}")),
            })
            .collect();
        if lines == self.live {
            return Ok(());
        }
        let mut text = String::new();
        if self.terminal {
            // Up to the first of them, and all below cleared away.
            if !self.live.is_empty() {
                text.push_str(&format!("\x1b[{}A\x1b[J", self.live.len()));
            }
            lines.iter().for_each(|line| text.push_str(&format!("{line}\n")));
        } else {
            let before = |at: usize, line: &String| self.live.get(at) == Some(line);
            let changed = lines.iter().enumerate().filter(|(at, line)| !before(*at, line));
            changed.for_each(|(_, line)| text.push_str(&format!("{line}\n")));
        }
        self.live = lines;
        self.write(&text)
    }

    fn styled(&self, style: Style, text: &str) -> String {
        match self.colours {
            true => format!("\x1b[{}m{text}\x1b[0m", style as u8),
            false => text.to_owned(),
        }
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}
