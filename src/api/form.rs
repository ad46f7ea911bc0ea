//! The parameters of a call, checked against the table, and what was found wrong with them.
//!
//! Every parameter that is wrong is named, all at once. An explicit `null` is the same as leaving
//! the parameter out (Seam's Node SDK sends nulls), and parameters that nobody knows are ignored.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::parameter::{Effect, Parameter, whole};
use super::time;
use crate::model::{Reason, Refusal, Timestamp};

/// The parameters of a call, and what was found wrong with them so far. A reader gives `None` for
/// what is left out, and for what is wrong and noted so.
pub struct Form<'a> {
    parameters: &'static [Parameter],
    body: &'a Map<String, Value>,
    problems: Vec<(String, String)>,
}

impl<'a> Form<'a> {
    /// Checks every known parameter.
    ///
    /// # Errors
    /// It is no JSON object.
    pub fn open(parameters: &'static [Parameter], body: &'a Value) -> Result<Form<'a>, Refusal> {
        let body = body
            .as_object()
            .ok_or_else(|| Refusal::new(Reason::InvalidInput, "the parameters must be one JSON object"))?;
        let mut form = Form {
            parameters,
            body,
            problems: Vec::new(),
        };
        for parameter in parameters {
            match form.given(parameter.name) {
                None if parameter.required => form.required(parameter.name),
                None => {}
                Some(value) => {
                    if let Some(problem) = parameter.kind.problem(value) {
                        form.wrong(parameter.name, problem);
                    }
                }
            }
        }
        Ok(form)
    }

    /// Ends reading.
    ///
    /// # Errors
    /// `invalid_input`, if anything was found wrong.
    pub fn close(self) -> Result<(), Refusal> {
        match self.problems.is_empty() {
            true => Ok(()),
            false => Err(self.refusal()),
        }
    }

    fn refusal(self) -> Refusal {
        let told: Vec<String> = self
            .problems
            .iter()
            .map(|(name, problem)| format!("{name}: {problem}"))
            .collect();
        let mut refusal = Refusal::new(Reason::InvalidInput, told.join("; "));
        refusal.fields = self.problems;
        refusal
    }

    /// Notes what is wrong with a parameter; the first note about it stays.
    pub fn wrong(&mut self, name: &str, problem: impl Into<String>) {
        if !self.is_wrong(name) {
            self.problems.push((name.to_owned(), problem.into()));
        }
    }

    /// Notes that a parameter is missing, unless it is noted as wrong already.
    pub fn required(&mut self, name: &str) {
        self.wrong(name, "is required");
    }

    fn is_wrong(&self, name: &str) -> bool {
        self.problems.iter().any(|(noted, _)| noted == name)
    }

    /// Whether a parameter says something, right or wrong.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.given(name).is_some()
    }

    /// Whether a parameter says `true`, right or wrong.
    #[must_use]
    pub fn says_true(&self, name: &str) -> bool {
        self.given(name) == Some(&Value::Bool(true))
    }

    /// Whether anything is asked for that this gateway cannot know.
    #[must_use]
    pub fn matches_nothing(&self) -> bool {
        let unknowable = |parameter: &&Parameter| parameter.effect == Effect::MatchesNothing;
        self.parameters
            .iter()
            .filter(unknowable)
            .any(|parameter| self.has(parameter.name))
    }

    fn given(&self, name: &str) -> Option<&'a Value> {
        let known = self.parameters.iter().any(|parameter| parameter.name == name);
        self.body.get(name).filter(|value| known && !value.is_null())
    }

    fn right(&self, name: &str) -> Option<&'a Value> {
        self.given(name).filter(|_| !self.is_wrong(name))
    }

    /// A text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.right(name)?.as_str()
    }

    /// A truth value.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.right(name)?.as_bool()
    }

    /// A whole number that is not negative.
    #[must_use]
    pub fn whole(&self, name: &str) -> Option<u64> {
        whole(self.right(name)?)
    }

    /// A UUID.
    #[must_use]
    pub fn uuid(&self, name: &str) -> Option<Uuid> {
        Uuid::try_parse(self.text(name)?).ok()
    }

    /// A date and time.
    #[must_use]
    pub fn time(&self, name: &str) -> Option<Timestamp> {
        time::parse(self.text(name)?).ok()
    }

    /// A list of UUIDs.
    #[must_use]
    pub fn uuids(&self, name: &str) -> Option<Vec<Uuid>> {
        self.list(name, |item| Uuid::try_parse(item.as_str()?).ok())
    }

    /// A list of texts.
    #[must_use]
    pub fn texts(&self, name: &str) -> Option<Vec<String>> {
        self.list(name, |item| item.as_str().map(str::to_owned))
    }

    /// A list, each item read by itself.
    pub fn list<T>(&self, name: &str, read: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
        self.right(name)?.as_array()?.iter().map(read).collect()
    }

    /// Parameters within a parameter.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<&'a Map<String, Value>> {
        self.right(name)?.as_object()
    }
}
