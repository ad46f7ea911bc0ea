//! What a parameter may hold: checked, documented and read from queries by the same words.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::time;

/// One parameter of an endpoint.
#[derive(Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// A call without it is refused.
    pub required: bool,
    /// What it does here.
    pub effect: Effect,
    /// What it is for, in a sentence.
    pub about: &'static str,
}

/// What a parameter does here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// What it says.
    Heeded,
    /// Nothing; its kind is checked all the same, so that a slip does not go unnoticed.
    Ignored,
    /// It filters by something that this gateway cannot know: nothing matches.
    MatchesNothing,
}

/// What a parameter may hold.
#[derive(Debug)]
pub enum Kind {
    /// A text of so many characters.
    Text {
        /// At least.
        least: usize,
        /// At most.
        most: usize,
    },
    /// The same, without control characters.
    Line {
        /// At least.
        least: usize,
        /// At most.
        most: usize,
    },
    /// A PIN.
    Pin,
    /// A UUID.
    Uuid,
    /// A date and time with its offset.
    Time,
    /// A whole number.
    Whole {
        /// At least.
        least: u64,
        /// At most.
        most: u64,
    },
    /// True or false.
    Flag,
    /// One truth value: the other cannot be had here.
    Only(bool),
    /// One of these words.
    Word(&'static [&'static str]),
    /// Several of a kind.
    List {
        /// Of this.
        of: &'static Kind,
        /// At least so many.
        least: usize,
        /// At most so many.
        most: usize,
    },
    /// Texts and truth values by names of the caller's own.
    Notes {
        /// `null` may stand for a note that is to go.
        erasable: bool,
    },
    /// Parameters within a parameter.
    Object(&'static [Parameter]),
}

/// Items of a list: all lists of one call, full, still fit into a query.
pub const MOST_ITEMS: usize = 200;
/// Characters of a wrong id that are told again.
const LONGEST_ID: usize = 64;
/// Lengths of a PIN that Seam's schema knows.
const PIN_LENGTHS: std::ops::RangeInclusive<usize> = 4..=12;
/// The same in words, and as a pattern.
const PIN_RULE: (&str, &str) = ("must be 4 to 12 digits and nothing else", "^[0-9]{4,12}$");
/// Notes of one request, as Seam has it.
const MOST_NOTES: usize = 50;
/// Characters of a note's name, likewise.
const LONGEST_NOTE_NAME: usize = 40;
/// Characters of a note, likewise.
const LONGEST_NOTE: usize = 500;

impl Kind {
    /// Any text.
    pub const TEXT: Kind = Kind::Text {
        least: 0,
        most: usize::MAX,
    };
    /// UUIDs.
    pub const UUIDS: Kind = Kind::List {
        of: &Kind::Uuid,
        least: 0,
        most: MOST_ITEMS,
    };
    /// Texts.
    pub const TEXTS: Kind = Kind::List {
        of: &Kind::TEXT,
        least: 0,
        most: MOST_ITEMS,
    };

    /// What is wrong with a value; `None` if nothing is.
    #[must_use]
    pub fn problem(&self, value: &Value) -> Option<String> {
        let unless = |fits: bool, problem: &str| (!fits).then(|| problem.to_owned());
        match self {
            Kind::Text { .. } | Kind::Line { .. } | Kind::Pin | Kind::Uuid | Kind::Time | Kind::Word(_) => {
                let Some(text) = value.as_str() else {
                    return Some("must be a string".to_owned());
                };
                self.text_problem(text)
            }
            Kind::Whole { least, most } => {
                let fits = whole(value).is_some_and(|n| (least..=most).contains(&&n));
                (!fits).then(|| format!("must be a whole number from {least} to {most}"))
            }
            Kind::Flag => unless(value.is_boolean(), "must be true or false"),
            Kind::Only(possible) => match value.as_bool() {
                Some(said) => (said != *possible).then(|| format!("must not be {said}")),
                None => Some("must be true or false".to_owned()),
            },
            Kind::List { of, least, most } => {
                let Some(items) = value.as_array() else {
                    return Some("must be a list".to_owned());
                };
                if !(least..=most).contains(&&items.len()) {
                    return Some(match (*least, *most) {
                        (least, most) if least == most => format!("must hold {least}"),
                        (least, _) if items.len() < least => format!("must hold at least {least}"),
                        (_, most) => format!("must hold at most {most}"),
                    });
                }
                let number_and_problem = |(n, item)| Some((n, item, of.problem(item)?));
                let (n, item, problem) = (1..).zip(items).find_map(number_and_problem)?;
                Some(match (of, item.as_str()) {
                    // An id is no secret, and its writer finds it faster than its number.
                    (Kind::Uuid, Some(text)) if text.len() <= LONGEST_ID => format!("`{text}` {problem}"),
                    _ => format!("number {n} {problem}"),
                })
            }
            Kind::Notes { erasable } => match value.as_object() {
                Some(notes) => notes_problem(notes, *erasable),
                None => Some("must be an object".to_owned()),
            },
            Kind::Object(parameters) => {
                let Some(object) = value.as_object() else {
                    return Some("must be an object".to_owned());
                };
                parameters.iter().find_map(|parameter| {
                    let given = object.get(parameter.name).filter(|value| !value.is_null())?;
                    Some(format!("{} {}", parameter.name, parameter.kind.problem(given)?))
                })
            }
        }
    }

    fn text_problem(&self, text: &str) -> Option<String> {
        let unless = |fits: bool, problem: &str| (!fits).then(|| problem.to_owned());
        match self {
            Kind::Text { least, most } | Kind::Line { least, most } => {
                let length = text.chars().count();
                if length < *least {
                    Some("must not be empty".to_owned())
                } else if length > *most {
                    Some(format!("must have at most {most} characters"))
                } else {
                    let fits = matches!(self, Kind::Text { .. }) || !text.chars().any(char::is_control);
                    unless(fits, "must hold no control characters")
                }
            }
            // Not the PIN itself: what goes to logs holds none.
            Kind::Pin => unless(
                PIN_LENGTHS.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()),
                PIN_RULE.0,
            ),
            Kind::Uuid => unless(Uuid::try_parse(text).is_ok(), "must be a UUID"),
            Kind::Time => time::parse(text).err().map(str::to_owned),
            Kind::Word(words) => {
                (!words.contains(&text)).then(|| format!("must be one of {}", words.join(", ")))
            }
            _ => None,
        }
    }

    /// Its JSON schema.
    #[must_use]
    pub fn schema(&self) -> Value {
        let bounded = |mut schema: Value, names: [&str; 2], least: usize, most: usize| {
            if least > 0 {
                schema[names[0]] = least.into();
            }
            if most < usize::MAX {
                schema[names[1]] = most.into();
            }
            schema
        };
        const CHARACTERS: [&str; 2] = ["minLength", "maxLength"];
        match self {
            Kind::Text { least, most } => bounded(json!({"type": "string"}), CHARACTERS, *least, *most),
            Kind::Line { least, most } => {
                let line = json!({"type": "string", "pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$"});
                bounded(line, CHARACTERS, *least, *most)
            }
            Kind::Pin => json!({
                "type": "string",
                "pattern": PIN_RULE.1,
                "minLength": PIN_LENGTHS.start(),
                "maxLength": PIN_LENGTHS.end(),
            }),
            Kind::Uuid => json!({"type": "string", "format": "uuid"}),
            Kind::Time => json!({"type": "string", "format": "date-time"}),
            Kind::Whole { least, most } => json!({"type": "integer", "minimum": least, "maximum": most}),
            Kind::Flag => json!({"type": "boolean"}),
            Kind::Only(possible) => json!({"type": "boolean", "const": possible}),
            Kind::Word(words) => json!({"type": "string", "enum": words}),
            Kind::List { of, least, most } => bounded(
                json!({"type": "array", "items": of.schema()}),
                ["minItems", "maxItems"],
                *least,
                *most,
            ),
            Kind::Notes { erasable } => {
                let mut note = vec![
                    json!({"type": "string", "maxLength": LONGEST_NOTE}),
                    json!({"type": "boolean"}),
                ];
                note.extend(erasable.then(|| json!({"type": "null"})));
                json!({
                    "type": "object",
                    "maxProperties": MOST_NOTES,
                    "propertyNames": {"minLength": 1, "maxLength": LONGEST_NOTE_NAME},
                    "additionalProperties": {"anyOf": note},
                })
            }
            Kind::Object(parameters) => object_schema(*parameters),
        }
    }

    /// The value that a text in a query stands for. What cannot be one of this kind stays a text,
    /// which the check complains about.
    #[must_use]
    pub fn from_text(&self, text: &str, strict: bool) -> Value {
        if text.is_empty() {
            return Value::Null;
        }
        let value = match self {
            Kind::Whole { .. } => text.parse::<u64>().ok().map(Value::from),
            Kind::Flag | Kind::Only(_) => flag(text, strict).map(Value::from),
            Kind::Notes { .. } => flag(text, true).map(Value::from),
            _ => None,
        };
        value.unwrap_or_else(|| text.into())
    }
}

fn flag(text: &str, strict: bool) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ if strict => None,
        _ => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "y" | "on" | "1" => Some(true),
            "false" | "no" | "n" | "off" | "0" => Some(false),
            _ => None,
        },
    }
}

fn notes_problem(notes: &Map<String, Value>, erasable: bool) -> Option<String> {
    if notes.len() > MOST_NOTES {
        return Some(format!("must hold at most {MOST_NOTES} notes"));
    }
    notes.iter().find_map(|(name, note)| {
        if !(1..=LONGEST_NOTE_NAME).contains(&name.chars().count()) {
            return Some(format!(
                "must hold names of 1 to {LONGEST_NOTE_NAME} characters only"
            ));
        }
        let fits = match note {
            Value::String(text) => text.chars().count() <= LONGEST_NOTE,
            Value::Null => erasable,
            other => other.is_boolean(),
        };
        (!fits).then(|| format!("{name} must be true, false or a text of at most {LONGEST_NOTE} characters"))
    })
}

/// A whole number. 4.0 is the same number as 4 to callers whose language knows one kind of number
/// only.
#[must_use]
pub fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let number = value
            .as_f64()
            .filter(|n| n.fract() == 0.0 && (0.0..1e15).contains(n))?;
        format!("{number:.0}").parse().ok()
    })
}

/// The schema of an object with these parameters. `null` is the same as leaving one out.
#[must_use]
pub fn object_schema<'a>(parameters: impl IntoIterator<Item = &'a Parameter>) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for parameter in parameters {
        if parameter.required {
            required.push(parameter.name);
        }
        let mut schema = parameter.kind.schema();
        if !parameter.required {
            schema = json!({"anyOf": [schema, {"type": "null"}]});
        }
        schema["description"] = parameter.about.into();
        properties.insert(parameter.name.to_owned(), schema);
    }
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}
