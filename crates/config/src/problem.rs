//! What is wrong with a configuration: where, which key, what it means, what to do. Never a value.

use std::fmt;
use std::path::{Path, PathBuf};

/// One thing that is wrong.
///
/// ```
/// use gatepass_config::Config;
/// let text = "[deployments.x]\nurl = \"https://x.example.com\"\nauthentication = \"basik\"";
/// let error = Config::from_toml(text, "x.toml".as_ref(), &gatepass_core::Registry::builtin()).unwrap_err();
///
/// let problem = &error.problems()[0];
/// assert_eq!((problem.line(), problem.key()), (Some(3), Some("authentication")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    file: Option<PathBuf>,
    line: Option<usize>,
    index: Option<usize>,
    deployment: Option<String>,
    key: Option<String>,
    meaning: Option<&'static str>,
    message: String,
}

impl Problem {
    pub(crate) fn general(message: impl Into<String>) -> Self {
        Self {
            file: None,
            line: None,
            index: None,
            deployment: None,
            key: None,
            meaning: None,
            message: message.into(),
        }
    }

    pub(crate) fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Self {
            file: Some(file.to_owned()),
            ..Self::general(message)
        }
    }

    pub(crate) fn on_line(mut self, line: Option<usize>) -> Self {
        self.line = line;
        self
    }

    pub(crate) fn at_index(mut self, index: Option<usize>) -> Self {
        self.index = index;
        self
    }

    pub(crate) fn of_deployment(mut self, name: &str) -> Self {
        self.deployment = Some(name.to_owned());
        self
    }

    pub(crate) fn of_key(mut self, key: &str, meaning: Option<&'static str>) -> Self {
        self.key = Some(key.to_owned());
        self.meaning = meaning;
        self
    }

    /// The line, where the file has lines that mean something (TOML; JSON that does not parse).
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// The deployment, where it is about one.
    #[must_use]
    pub fn deployment(&self) -> Option<&str> {
        self.deployment.as_deref()
    }

    /// The key as it is written, where it is about one.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}", file.display())?;
            if let Some(index) = self.index {
                write!(f, "[{index}]")?;
            }
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
            f.write_str(": ")?;
        }
        if let Some(name) = &self.deployment {
            write!(f, "deployment \"{name}\": ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "`{key}` ")?;
        }
        if let Some(meaning) = self.meaning {
            write!(f, "({meaning}) ")?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong with a configuration, at once; a line for each problem.
///
/// ```
/// use gatepass_config::Config;
/// let text = "[deployments.x]\nurl = \"https://x.example.com\"\nauthentication = \"basik\"";
/// let error = Config::from_toml(text, "x.toml".as_ref(), &gatepass_core::Registry::builtin()).unwrap_err();
///
/// assert!(error.to_string().contains("did you mean \"basic\"?"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(Vec<Problem>);

impl ConfigError {
    pub(crate) fn new(problems: Vec<Problem>) -> Self {
        Self(problems)
    }

    /// The problems, in the order of the file.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
