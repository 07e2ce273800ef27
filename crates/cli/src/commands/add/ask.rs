//! What the user answers: on a terminal, or nothing.

use std::io::{self, Write};

use gatepass_core::Secret;

use crate::exit::Failure;

/// Somebody who answers questions.
pub(super) trait Ask {
    /// A text.
    fn text(&mut self, key: &str, flag: &str, meaning: &str) -> Result<String, Failure>;

    /// A secret, not shown while it is typed.
    fn secret(&mut self, key: &str, flag: &str, meaning: &str) -> Result<Secret, Failure>;

    /// One of several, each with what it means.
    fn choice(
        &mut self,
        key: &str,
        flag: &str,
        choices: &[(&str, &str)],
    ) -> Result<String, Failure>;
}

/// The user at a terminal.
pub(super) struct Terminal;

impl Terminal {
    fn line(prompt: &str) -> Result<String, Failure> {
        let mut err = io::stderr();
        write!(err, "{prompt}: ")?;
        err.flush()?;
        let mut line = String::new();
        if io::stdin().read_line(&mut line)? == 0 {
            return Err(Failure::usage("the input ended: nothing was written"));
        }
        Ok(line.trim().to_owned())
    }
}

impl Ask for Terminal {
    fn text(&mut self, key: &str, _flag: &str, meaning: &str) -> Result<String, Failure> {
        loop {
            let text = Self::line(&format!("{key} ({meaning})"))?;
            if !text.is_empty() {
                return Ok(text);
            }
        }
    }

    fn secret(&mut self, key: &str, _flag: &str, meaning: &str) -> Result<Secret, Failure> {
        loop {
            let typed = rpassword::prompt_password(format!("{key} ({meaning}; not shown): "));
            let typed = typed.map_err(|cause| {
                Failure::usage(format!(
                    "{key} cannot be asked here ({}): use --env or --file",
                    cause.kind()
                ))
            })?;
            if !typed.is_empty() {
                return Ok(Secret::new(typed));
            }
        }
    }

    fn choice(
        &mut self,
        key: &str,
        _flag: &str,
        choices: &[(&str, &str)],
    ) -> Result<String, Failure> {
        let mut err = io::stderr();
        writeln!(err, "{key}:")?;
        for (name, meaning) in choices {
            writeln!(err, "  {name:<8} {meaning}")?;
        }
        loop {
            let answer = Self::line(key)?;
            if choices.iter().any(|(name, _)| *name == answer) {
                return Ok(answer);
            }
        }
    }
}

/// No terminal: whatever is missing is an error that names the flag.
pub(super) struct Nobody;

impl Nobody {
    fn missing<T>(key: &str, flag: &str, meaning: &str) -> Result<T, Failure> {
        Err(Failure::usage(format!(
            "{key} ({meaning}) is missing, and there is no terminal to ask: add {flag}"
        )))
    }
}

impl Ask for Nobody {
    fn text(&mut self, key: &str, flag: &str, meaning: &str) -> Result<String, Failure> {
        Self::missing(key, flag, meaning)
    }

    fn secret(&mut self, key: &str, flag: &str, meaning: &str) -> Result<Secret, Failure> {
        Self::missing(key, flag, meaning)
    }

    fn choice(
        &mut self,
        key: &str,
        flag: &str,
        choices: &[(&str, &str)],
    ) -> Result<String, Failure> {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        Self::missing(key, flag, &names.join(", "))
    }
}
