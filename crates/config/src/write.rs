//! Definitions as TOML text, for commands that write them.

use std::fmt;
use std::path::PathBuf;

/// What a key is given in a definition that is written.
///
/// ```
/// use gatepass_config::Written;
/// assert_eq!(Written::Env("CHURN_KEY".into()).to_string(), r#"{ env = "CHURN_KEY" }"#);
/// assert_eq!(Written::Text("a \"b\"".into()).to_string(), r#""a \"b\"""#);
/// ```
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Written {
    /// Text. Not for secrets: those are referred to.
    Text(String),
    /// A number.
    Number(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// A list of texts.
    Texts(Vec<String>),
    /// A table in one line.
    Table(Vec<(String, Written)>),
    /// A secret in an environment variable.
    Env(String),
    /// A secret in a file.
    File(PathBuf),
    /// A secret that a command prints.
    Command(Vec<String>),
}

/// The form without the content: texts may be private.
impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text",
            Self::Number(_) => "Number",
            Self::Boolean(_) => "Boolean",
            Self::Texts(_) => "Texts",
            Self::Table(_) => "Table",
            Self::Env(_) => "Env",
            Self::File(_) => "File",
            Self::Command(_) => "Command",
        })
    }
}

/// The value as TOML.
impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => quoted(f, text),
            // Whole seconds without a fraction, as people write them.
            Self::Number(number) if number.fract() == 0.0 => write!(f, "{number:.0}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Texts(texts) => list(f, texts),
            Self::Table(entries) => {
                f.write_str("{ ")?;
                for (at, (key, value)) in entries.iter().enumerate() {
                    if at > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{} = {value}", Key(key))?;
                }
                f.write_str(" }")
            }
            Self::Env(name) => reference(f, "env", name),
            Self::File(path) => reference(f, "file", &path.to_string_lossy()),
            Self::Command(argv) => {
                f.write_str("{ command = ")?;
                list(f, argv)?;
                f.write_str(" }")
            }
        }
    }
}

fn reference(f: &mut fmt::Formatter<'_>, kind: &str, place: &str) -> fmt::Result {
    write!(f, "{{ {kind} = ")?;
    quoted(f, place)?;
    f.write_str(" }")
}

fn list(f: &mut fmt::Formatter<'_>, texts: &[String]) -> fmt::Result {
    f.write_str("[")?;
    for (at, text) in texts.iter().enumerate() {
        if at > 0 {
            f.write_str(", ")?;
        }
        quoted(f, text)?;
    }
    f.write_str("]")
}

/// A basic string (TOML 1.0, "String").
fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            c if c.is_control() => write!(f, "\\u{:04X}", u32::from(c))?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

/// A key: bare where that is allowed.
struct Key<'a>(&'a str);

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if !self.0.is_empty() && self.0.bytes().all(is_bare) {
            f.write_str(self.0)
        } else {
            quoted(f, self.0)
        }
    }
}

/// One deployment as TOML.
///
/// ```
/// use gatepass_config::{Block, Written};
/// let mut block = Block::new("gpt-4.1");
/// block.set("url", Written::Text("https://models.example.com/v1".into()));
/// assert!(block.to_string().starts_with("[deployments.\"gpt-4.1\"]\nurl"));
/// ```
#[derive(Clone, Debug)]
pub struct Block {
    name: String,
    keys: Vec<(String, Written)>,
    /// `headers`: a table below the deployment's own.
    headers: Vec<(String, Written)>,
    /// `auth`: tables below the deployment's own, one for each method.
    methods: Vec<Vec<(String, Written)>>,
}

impl Block {
    /// An empty definition of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            keys: Vec::new(),
            headers: Vec::new(),
            methods: Vec::new(),
        }
    }

    /// Sets a key of the deployment.
    pub fn set(&mut self, key: &str, value: Written) {
        self.keys.retain(|(known, _)| known != key);
        self.keys.push((key.to_owned(), value));
    }

    /// Whether a key is set.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|(known, _)| known == key)
    }

    /// What a key is set to.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&Written> {
        let found = self.keys.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| value)
    }

    pub(crate) fn header(&mut self, name: &str, value: Written) {
        self.headers.push((name.to_owned(), value));
    }

    pub(crate) fn method(&mut self, keys: Vec<(String, Written)>) {
        self.methods.push(keys);
    }
}

/// The definition as TOML, its values under one another.
impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Key(&self.name);
        writeln!(f, "[deployments.{name}]")?;
        aligned(f, &self.keys)?;
        if !self.headers.is_empty() {
            writeln!(f, "\n[deployments.{name}.headers]")?;
            aligned(f, &self.headers)?;
        }
        for keys in &self.methods {
            writeln!(f, "\n[[deployments.{name}.auth]]")?;
            aligned(f, keys)?;
        }
        Ok(())
    }
}

fn aligned(f: &mut fmt::Formatter<'_>, keys: &[(String, Written)]) -> fmt::Result {
    let shown: Vec<_> = keys
        .iter()
        .map(|(key, value)| (Key(key).to_string(), value))
        .collect();
    let width = shown.iter().map(|(key, _)| key.chars().count()).max();
    for (key, value) in &shown {
        writeln!(f, "{key:<width$} = {value}", width = width.unwrap_or(0))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toml_form;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_is_written_reads_back(name in "[A-Za-z0-9][A-Za-z0-9._-]{0,20}", key in ".{1,20}", text in ".*") {
            let mut block = Block::new(&name);
            block.set(&key, Written::Text(text.clone()));
            let root = toml_form::parse(&block.to_string(), "x.toml".as_ref()).unwrap();
            let deployments = root[0].1.table().unwrap();
            prop_assert_eq!(&deployments[0].0, &name);
            let (read, node) = &deployments[0].1.table().unwrap()[0];
            prop_assert_eq!(read, &key);
            prop_assert_eq!(node.text(), Some(text.as_str()));
        }
    }
}
