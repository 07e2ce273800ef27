//! What the shell gets: exit codes by contract, and one message with cause and fix on stderr.

use std::fmt::Display;
use std::process::ExitCode;

use gatepass_client::{Error, ErrorKind};
use gatepass_config::{ConfigError, UnknownDeployment};
use gatepass_core::AuthError;

use crate::output;

pub(crate) const OK: u8 = 0;
pub(crate) const OTHER: u8 = 1;
pub(crate) const USAGE: u8 = 2;
const NO_CREDENTIAL: u8 = 3;
const NOT_REACHED: u8 = 7;
pub(crate) const HTTP_STATUS: u8 = 22;
const TIMEOUT: u8 = 28;

/// A command that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    pub(crate) fn usage(message: impl Display) -> Self {
        Self {
            code: USAGE,
            message: message.to_string(),
        }
    }

    pub(crate) fn other(message: impl Display) -> Self {
        Self {
            code: OTHER,
            message: message.to_string(),
        }
    }

    pub(crate) fn not_reached(message: impl Display) -> Self {
        Self {
            code: NOT_REACHED,
            message: message.to_string(),
        }
    }

    /// What went wrong and what to do about it.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn report(&self) -> ExitCode {
        for line in self.message.lines() {
            output::note(&format!("gatepass: {line}"));
        }
        ExitCode::from(self.code)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match error.kind() {
            ErrorKind::Definition | ErrorKind::Request => USAGE,
            ErrorKind::Credential => NO_CREDENTIAL,
            ErrorKind::Connect => NOT_REACHED,
            ErrorKind::Timeout => TIMEOUT,
            _ => OTHER,
        };
        Self {
            code,
            message: error.to_string(),
        }
    }
}

impl From<AuthError> for Failure {
    fn from(error: AuthError) -> Self {
        Self {
            code: NO_CREDENTIAL,
            message: error.to_string(),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error)
    }
}

impl From<UnknownDeployment> for Failure {
    fn from(error: UnknownDeployment) -> Self {
        Self::usage(error)
    }
}

impl From<std::io::Error> for Failure {
    /// Whoever closes the pipe has read enough.
    fn from(cause: std::io::Error) -> Self {
        if cause.kind() == std::io::ErrorKind::BrokenPipe {
            return Self {
                code: OK,
                message: String::new(),
            };
        }
        Self::other(format!("cannot write the output ({})", cause.kind()))
    }
}
