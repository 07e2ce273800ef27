//! One run of the command, from argv to token or error.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use gatepass_config::CommandSource;
use gatepass_core::{AuthError, Bearer, Clock, SharedSource};
use gatepass_oauth::{
    CredentialKey, Grant, Obtained, ResolveGrant, Resolved, TokenError, TokenErrorKind,
};
use http::header::AUTHORIZATION;

use crate::output::Printed;

/// A command that prints tokens.
#[derive(Clone)]
pub(crate) struct Command {
    argv: Vec<String>,
    source: SharedSource,
    default_lifetime: Duration,
}

/// The program alone: arguments may hold what nobody should see.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({})", self.label())
    }
}

impl Command {
    pub(crate) fn new(argv: Vec<String>, default_lifetime: Duration) -> Self {
        Self {
            source: CommandSource::shared(argv.clone(), ""),
            argv,
            default_lifetime,
        }
    }
}

#[async_trait]
impl Grant for Command {
    fn label(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    async fn obtain(&self, clock: &dyn Clock) -> Result<Obtained, TokenError> {
        // Taken before the command runs, so that a slow one shortens the lifetime.
        let sent = clock.now();
        let printed = self.source.load().await;
        let printed = printed
            .map_err(|cause| TokenError::new(TokenErrorKind::Unavailable, cause.to_string()))?;
        let wrong =
            |kind, what: &str| TokenError::new(kind, format!("command {} {what}", self.label()));
        let printed = Printed::read(printed.expose())
            .map_err(|what| wrong(TokenErrorKind::Unreadable, what))?;
        let header = Bearer::header(printed.token.expose()).map_err(|what| {
            wrong(
                TokenErrorKind::UnusableToken,
                &format!("prints a token that {what}"),
            )
        })?;
        let stated = printed.lifetime(sent.wall());
        let lifetime = stated.unwrap_or(self.default_lifetime);
        let note = if stated.is_some() {
            ""
        } else {
            " (not stated by the command)"
        };
        let mut obtained = Obtained::new(vec![(AUTHORIZATION, header)], sent, lifetime);
        obtained.facts = vec![("lifetime", format!("{} s{note}", lifetime.as_secs()))];
        Ok(obtained)
    }
}

#[async_trait]
impl ResolveGrant for Command {
    async fn resolve(&self) -> Result<Resolved, AuthError> {
        let lifetime = self.default_lifetime.as_nanos().to_be_bytes();
        let argv = self.argv.iter().map(|argument| argument.as_bytes());
        let fields = [b"command".as_slice(), &lifetime].into_iter().chain(argv);
        Ok(Resolved::new(CredentialKey::of(fields), self.clone()))
    }

    fn may_change(&self) -> bool {
        false
    }
}
