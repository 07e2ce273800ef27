//! What a definition says to a method, and the factory that makes the method of it.
//!
//! A factory declares its keys as data ([`KeySpec`]); whoever reads definitions checks names,
//! aliases, kinds and presence by that data alone, and explains each key by its meaning.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::method::SharedMethod;
use crate::origin::Origin;
use crate::secret::SharedSource;
use crate::transport::TransportSettings;

/// Makes methods of one tag from definitions.
///
/// ```
/// let registry = gatepass_core::Registry::builtin();
/// let basic = registry.factory("basic").unwrap();
/// let names: Vec<_> = basic.keys().iter().map(|key| key.name()).collect();
/// assert_eq!(names, ["username", "password"]);
/// ```
pub trait MethodFactory: fmt::Debug + Send + Sync + 'static {
    /// The value of `authentication` that selects it.
    fn tag(&self) -> &'static str;

    /// What it puts on requests, in a few words for people who choose.
    fn about(&self) -> &'static str;

    /// The keys it takes.
    fn keys(&self) -> &'static [KeySpec];

    /// Makes the method. No I/O: secrets are resolved on first use.
    ///
    /// # Errors
    /// Everything that is wrong, at once; each problem names a key and never a value.
    fn build(
        &self,
        settings: &Settings,
        context: &BuildContext<'_>,
    ) -> Result<SharedMethod, Vec<SettingProblem>>;
}

/// What kind of value a key takes.
///
/// ```
/// use gatepass_core::{KeyKind, KeySpec};
/// assert!(KeySpec::new("token", KeyKind::Secret, "the token").is_secret());
/// assert!(!KeySpec::new("user", KeyKind::Secret, "the user").public().is_secret());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyKind {
    /// Text, written down.
    Text,
    /// Text, written down or by reference: `{ env = ".." }`, `{ file = ".." }`, `{ command = [..] }`.
    Secret,
    /// `true` or `false`.
    Boolean,
    /// A number of seconds, whole or not.
    Seconds,
    /// A number of bytes, whole.
    Bytes,
    /// A whole number above 0.
    Count,
    /// A list of texts.
    TextList,
    /// A table of names and texts.
    TextTable,
    /// A table of names and texts, each written down or by reference.
    SecretTable,
}

/// One key of a method.
///
/// ```
/// use gatepass_core::{KeyKind, KeySpec};
/// const KEY: KeySpec = KeySpec::new("client_id", KeyKind::Secret, "the client id")
///     .alias("username").required();
/// assert!(KEY.is_named("username") && KEY.is_required());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    name: &'static str,
    alias: Option<&'static str>,
    wire: Option<&'static str>,
    kind: KeyKind,
    required: bool,
    unless: &'static [(&'static str, &'static str)],
    public: bool,
    choices: &'static [&'static str],
    default: Option<&'static str>,
    meaning: &'static str,
}

impl KeySpec {
    /// An optional key with its clear snake_case name and what it means, in a few words.
    #[must_use]
    pub const fn new(name: &'static str, kind: KeyKind, meaning: &'static str) -> Self {
        Self {
            name,
            alias: None,
            wire: None,
            kind,
            required: false,
            unless: &[],
            public: false,
            choices: &[],
            default: None,
            meaning,
        }
    }

    /// The same key, also known by the overloaded name of the wire model.
    #[must_use]
    pub const fn alias(mut self, alias: &'static str) -> Self {
        self.alias = Some(alias);
        self
    }

    /// The same key with its name in the JSON form where that differs (`tokenURL`).
    #[must_use]
    pub const fn wire(mut self, wire: &'static str) -> Self {
        self.wire = Some(wire);
        self
    }

    /// The same key, required.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The same key, required unless one of these other keys has this text; `""` means any.
    #[must_use]
    pub const fn required_unless(
        mut self,
        others: &'static [(&'static str, &'static str)],
    ) -> Self {
        self.required = true;
        self.unless = others;
        self
    }

    /// The other keys that make it optional, with the text they must have; `""` means any.
    #[must_use]
    pub const fn unless(&self) -> &'static [(&'static str, &'static str)] {
        self.unless
    }

    /// The same key, whose text is no secret although it may be given by reference (a user name).
    #[must_use]
    pub const fn public(mut self) -> Self {
        self.public = true;
        self
    }

    /// The same key, taking one of these texts only.
    #[must_use]
    pub const fn choices(mut self, choices: &'static [&'static str]) -> Self {
        self.choices = choices;
        self
    }

    /// The same key with what holds where it is not set, for documentation.
    #[must_use]
    pub const fn default_is(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    /// Whether its text is a secret.
    #[must_use]
    pub const fn is_secret(&self) -> bool {
        matches!(self.kind, KeyKind::Secret) && !self.public
    }

    /// The texts it takes; empty where any will do.
    #[must_use]
    pub const fn allowed(&self) -> &'static [&'static str] {
        self.choices
    }

    /// What holds where it is not set.
    #[must_use]
    pub const fn default_value(&self) -> Option<&'static str> {
        self.default
    }

    /// Its clear name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its overloaded name, where it has one.
    #[must_use]
    pub const fn alias_name(&self) -> Option<&'static str> {
        self.alias
    }

    /// Its name in the JSON form, where that differs from both others.
    #[must_use]
    pub const fn wire_name(&self) -> Option<&'static str> {
        self.wire
    }

    /// What it takes.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Whether it must be there.
    #[must_use]
    pub const fn is_required(&self) -> bool {
        self.required
    }

    /// What it means for its method.
    #[must_use]
    pub const fn meaning(&self) -> &'static str {
        self.meaning
    }

    /// Whether `text` is its name or its alias.
    #[must_use]
    pub fn is_named(&self, text: &str) -> bool {
        self.name == text || self.alias == Some(text)
    }
}

/// A value, checked to be of its key's kind.
///
/// ```
/// use gatepass_core::{Settings, Value};
/// let settings: Settings = [("keep", Value::Boolean(true))].into_iter().collect();
/// assert_eq!(settings.boolean("keep"), Some(true));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Value {
    /// Text.
    Text(String),
    /// Where a secret comes from.
    Secret(SharedSource),
    /// Yes or no.
    Boolean(bool),
    /// Seconds.
    Seconds(f64),
    /// Bytes.
    Bytes(u64),
    /// A whole number above 0.
    Count(u64),
    /// Texts.
    TextList(Vec<String>),
    /// Names and texts.
    TextTable(Vec<(String, String)>),
    /// Names, and where their secrets come from.
    SecretTable(Vec<(String, SharedSource)>),
}

/// The values of one definition, by clear key name.
///
/// ```
/// use gatepass_core::{Settings, Value};
/// let settings: Settings = [("header", Value::Text("api-key".into()))].into_iter().collect();
/// assert_eq!(settings.text("header").unwrap(), "api-key");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Settings(BTreeMap<&'static str, Value>);

impl FromIterator<(&'static str, Value)> for Settings {
    fn from_iter<I: IntoIterator<Item = (&'static str, Value)>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

impl Settings {
    /// The keys that are there.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.keys().copied()
    }

    /// The value of a key, if it is there.
    #[must_use]
    pub fn value(&self, key: &'static str) -> Option<&Value> {
        self.0.get(key)
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// When it is not.
    pub fn text(&self, key: &'static str) -> Result<&str, SettingProblem> {
        self.optional_text(key)
            .ok_or_else(|| SettingProblem::missing(key))
    }

    /// A text, if it is there.
    #[must_use]
    pub fn optional_text(&self, key: &'static str) -> Option<&str> {
        match self.0.get(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Yes or no, if it is there.
    #[must_use]
    pub fn boolean(&self, key: &'static str) -> Option<bool> {
        match self.0.get(key) {
            Some(Value::Boolean(value)) => Some(*value),
            _ => None,
        }
    }

    /// Names and the sources of their secrets; empty if the table is not there.
    #[must_use]
    pub fn secret_table(&self, key: &'static str) -> &[(String, SharedSource)] {
        match self.0.get(key) {
            Some(Value::SecretTable(table)) => table,
            _ => &[],
        }
    }

    /// Texts; empty if the list is not there.
    #[must_use]
    pub fn text_list(&self, key: &'static str) -> &[String] {
        match self.0.get(key) {
            Some(Value::TextList(list)) => list,
            _ => &[],
        }
    }

    /// Seconds, if they are there.
    #[must_use]
    pub fn seconds(&self, key: &'static str) -> Option<Duration> {
        match self.0.get(key) {
            Some(Value::Seconds(seconds)) => Duration::try_from_secs_f64(*seconds).ok(),
            _ => None,
        }
    }

    /// The source of a secret that must be there.
    ///
    /// # Errors
    /// When it is not.
    pub fn source(&self, key: &'static str) -> Result<SharedSource, SettingProblem> {
        match self.0.get(key) {
            Some(Value::Secret(source)) => Ok(source.clone()),
            _ => Err(SettingProblem::missing(key)),
        }
    }

    /// The same, checked now if its text is known without I/O.
    ///
    /// # Errors
    /// When it is not there, or `check` refuses it.
    pub fn source_checked(
        &self,
        key: &'static str,
        check: impl FnOnce(&str) -> Result<(), &'static str>,
    ) -> Result<SharedSource, SettingProblem> {
        let source = self.source(key)?;
        if let Some(literal) = source.literal() {
            check(literal.expose()).map_err(|what| SettingProblem::new(key, what))?;
        }
        Ok(source)
    }
}

/// What is wrong with one key of a definition; the message continues a sentence that begins with
/// the key, and never quotes the value.
///
/// ```
/// let problem = gatepass_core::SettingProblem::new("header", "names a header of the connection");
/// assert_eq!(problem.key, "header");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SettingProblem {
    /// The clear name of the key.
    pub key: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

impl SettingProblem {
    /// A problem with this key.
    #[must_use]
    pub fn new(key: &'static str, message: impl Into<String>) -> Self {
        Self {
            key,
            message: message.into(),
        }
    }

    fn missing(key: &'static str) -> Self {
        Self::new(key, "is missing")
    }

    /// Both values, or the problems of both at once.
    ///
    /// # Errors
    /// Every problem of the two.
    pub fn both<A, B>(a: Result<A, Self>, b: Result<B, Self>) -> Result<(A, B), Vec<Self>> {
        match (a, b) {
            (Ok(a), Ok(b)) => Ok((a, b)),
            (a, b) => Err(a.err().into_iter().chain(b.err()).collect()),
        }
    }
}

/// What else a factory may know of the deployment.
///
/// ```
/// use gatepass_core::{BuildContext, TransportSettings};
/// let transport = TransportSettings::default();
/// assert_eq!(BuildContext::new("churn", None, &transport).deployment, "churn");
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct BuildContext<'a> {
    /// The deployment's name.
    pub deployment: &'a str,
    /// Where its calls go; `None` where that is itself in doubt, and the method is made only to find
    /// everything that is wrong at once.
    pub origin: Option<&'a Origin>,
    /// How it is reached; the token endpoint is reached the same way.
    pub transport: &'a TransportSettings,
}

impl<'a> BuildContext<'a> {
    /// A context.
    #[must_use]
    pub fn new(
        deployment: &'a str,
        origin: Option<&'a Origin>,
        transport: &'a TransportSettings,
    ) -> Self {
        Self {
            deployment,
            origin,
            transport,
        }
    }
}
