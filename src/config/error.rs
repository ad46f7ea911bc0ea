//! What is wrong with a config, where, and what to do about it.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::NamedFile;

/// What to do where the system does not let a command in.
pub(crate) const AS_ROOT: &str = "run it with sudo, or as the gateway's user";

/// Why a config cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}; {}", way_in(.source), path = .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is not TOML, or a value is of the wrong kind.
    #[error("{place}: {problem}")]
    Malformed {
        /// Where.
        place: Place,
        /// What is wrong.
        problem: String,
    },
    /// A key that does not exist.
    #[error("{place}: unknown key `{key}`{}{}", in_section(.place), meant(.suggestion.as_deref()))]
    UnknownKey {
        /// Where.
        place: Place,
        /// What was typed.
        key: String,
        /// The nearest key that exists.
        suggestion: Option<String>,
    },
    /// A value that cannot be.
    #[error("{place}: `{key}`{}: {problem}", in_section(.place))]
    Invalid {
        /// Where.
        place: Place,
        /// Which key.
        key: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

/// A place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1, where one can be named.
    pub line: Option<usize>,
    /// The heading above it; empty at the top of the file.
    pub section: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// What to do about a file that cannot be read.
fn way_in(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => AS_ROOT,
        _ => "name the file with --config",
    }
}

fn in_section(place: &Place) -> String {
    match place.section.as_str() {
        "" => String::new(),
        section => format!(" in {section}"),
    }
}

fn meant(suggestion: Option<&str>) -> String {
    match suggestion {
        Some(key) => format!("; did you mean `{key}`?"),
        None => "; remove it, or see the sample config for the keys that exist".to_owned(),
    }
}

/// How serde begins what it says of a value.
const OF_A_VALUE: [&str; 2] = ["invalid ", "unknown variant "];

/// The text of a config, to find places in.
pub(super) struct Source<'a> {
    text: &'a str,
    path: &'a Path,
    /// Those found so far, in the order in which they are looked at.
    files: RefCell<Vec<NamedFile>>,
}

impl<'a> Source<'a> {
    pub(super) fn new(text: &'a str, path: &'a Path) -> Source<'a> {
        Source {
            text,
            path,
            files: RefCell::default(),
        }
    }
}

impl Source<'_> {
    /// Keeps in mind a file that the text names.
    pub(super) fn note(&self, file: NamedFile) {
        self.files.borrow_mut().push(file);
    }

    /// All that were noted.
    pub(super) fn files(self) -> Vec<NamedFile> {
        self.files.into_inner()
    }

    /// What the parser objects to.
    pub(super) fn as_typed(&self, error: &toml::de::Error) -> ConfigError {
        let line = error.span().map(|span| self.line_of(span.start));
        let place = self.place(line);
        let message = error.message().replace('\n', "; ");
        // Of a value of the wrong kind the line begins with the key that it stands behind.
        let key = line.and_then(|line| self.text.lines().nth(line - 1)?.split_once('='));
        let key = key.map(|(key, _)| key.trim());
        // serde names the key and all that could stand there, each in back quotes.
        let mut quoted = message.split('`').skip(1).step_by(2);
        match quoted.next() {
            Some(key) if message.starts_with("unknown field") => ConfigError::UnknownKey {
                place,
                key: key.to_owned(),
                suggestion: nearest(key, quoted),
            },
            _ => match key.filter(|_| OF_A_VALUE.iter().any(|said| message.starts_with(said))) {
                Some(key) => ConfigError::Invalid {
                    place,
                    key: key.to_owned(),
                    problem: message,
                },
                None => ConfigError::Malformed {
                    place,
                    problem: message,
                },
            },
        }
    }

    /// The line of a key in the `nth` section of this heading, or else of the heading.
    pub(super) fn find(&self, section: &str, nth: usize, key: &str) -> Place {
        let lines = || self.text.lines().map(str::trim).enumerate();
        let heading = lines().filter(|(_, line)| bare(line) == section).nth(nth);
        let assigns = |line: &str| {
            let rest = line.strip_prefix(key);
            rest.is_some_and(|rest| rest.trim_start().starts_with('='))
        };
        let line = heading.map(|(at, _)| {
            let mut body = lines()
                .skip(at + 1)
                .take_while(|(_, line)| !line.starts_with('['));
            body.find(|(_, line)| assigns(line))
                .map_or(at + 1, |(at, _)| at + 1)
        });
        Place {
            path: self.path.to_owned(),
            line,
            section: section.to_owned(),
        }
    }

    fn place(&self, line: Option<usize>) -> Place {
        let down_to_here = self.text.lines().take(line.unwrap_or(0)).map(str::trim);
        let mut upwards = down_to_here.collect::<Vec<_>>().into_iter().rev();
        // An unknown heading stands in no section, not even its own.
        let within = upwards.next().is_some_and(|line| !line.starts_with('['));
        let heading = upwards.find(|line| line.starts_with('[')).filter(|_| within);
        Place {
            path: self.path.to_owned(),
            line,
            section: heading.map(bare).unwrap_or_default().to_owned(),
        }
    }

    fn line_of(&self, offset: usize) -> usize {
        let before = self.text.get(..offset).unwrap_or(self.text);
        before.matches('\n').count() + 1
    }
}

/// A heading without the comment behind it.
fn bare(line: &str) -> &str {
    line.split('#').next().unwrap_or(line).trim_end()
}

/// The known key that a typing error may have been meant for.
fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|key| (strsim::damerau_levenshtein(typed, key), key))
        .min()
        .filter(|(distance, key)| *distance <= key.len().div_ceil(3))
        .map(|(_, key)| key.to_owned())
}
