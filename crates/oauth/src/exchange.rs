//! One request to the token endpoint, from credential to token or error.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gatepass_core::Clock;
use http::header::AUTHORIZATION;

use crate::credential::{ClientCredentials, Scope};
use crate::decode::{Granted, decode};
use crate::discovery::Discovery;
use crate::encode::encode;
use crate::error::{TokenError, TokenErrorKind};
use crate::grant::{Grant, Obtained};
use crate::transport::{MAX_REPLY, TokenTransport, TransportFailure};

/// The name of a fact that is a doubt: people should look at it.
const NOTE: &str = "note";

/// Client credentials as a grant: everything a token request needs.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) credential: ClientCredentials,
    pub(crate) transport: Arc<dyn TokenTransport>,
    pub(crate) timeout: Duration,
    /// Finds the token URL out first, where only the issuer is known.
    pub(crate) discovery: Option<Arc<Discovery>>,
}

#[async_trait]
impl Grant for Exchange {
    fn label(&self) -> &str {
        self.credential.endpoint()
    }

    async fn obtain(&self, clock: &dyn Clock) -> Result<Obtained, TokenError> {
        match tokio::time::timeout(self.timeout, self.ask(clock)).await {
            Ok(result) => result,
            Err(_) => Err(self.explain(TransportFailure::Timeout)),
        }
    }
}

impl Exchange {
    /// Asks once for a token.
    async fn ask(&self, clock: &dyn Clock) -> Result<Obtained, TokenError> {
        let mut credential = Cow::Borrowed(&self.credential);
        if let Some(discovery) = &self.discovery {
            credential.to_mut().token_url = discovery.token_url(&*self.transport, clock).await?;
        }
        let request = encode(&credential).map_err(|what| {
            TokenError::new(TokenErrorKind::Refused, format!("the client {what}"))
        })?;
        // Taken before the request leaves, so that a slow reply shortens the lifetime.
        let sent = clock.now();
        let reply = self.transport.send(request, MAX_REPLY).await;
        let reply = reply.map_err(|failure| self.explain(failure))?;
        let granted = decode(&credential, &reply, sent)?;
        let facts = self.facts(&granted);
        let headers = vec![(AUTHORIZATION, granted.header)];
        let mut obtained = Obtained::new(headers, sent, granted.lifetime);
        obtained.facts = facts;
        Ok(obtained)
    }

    fn facts(&self, granted: &Granted) -> Vec<(&'static str, String)> {
        let seconds = granted.lifetime.as_secs();
        let stated = if granted.lifetime_stated {
            ""
        } else {
            " (not stated by the token endpoint)"
        };
        let asked = self.credential.scope.sent().unwrap_or("");
        let scope = match &granted.scope {
            None => format!("{asked} (asked for; the reply does not state it)"),
            Some(scope) if scope == asked => scope.clone(),
            Some(scope) => format!("{scope} (asked for: {asked})"),
        };
        let defaulted = matches!(self.credential.scope, Scope::Default);
        let scope = if defaulted {
            format!("{scope} (default)")
        } else {
            scope
        };
        let mut facts = vec![
            ("lifetime", format!("{seconds} s{stated}")),
            ("scope", scope),
        ];
        if let Some(granted) = granted
            .scope
            .as_deref()
            .filter(|granted| !same_scope(granted, asked))
        {
            let note = format!(
                "the token endpoint granted scope \"{granted}\" where \"{asked}\" was asked for: set scope to what this client may have"
            );
            facts.push((NOTE, note));
        }
        if let Some(skew) = granted.skew.filter(|skew| skew.is_worth_a_note()) {
            let note = format!("{} of the token endpoint: set this machine's clock", skew);
            facts.push((NOTE, note));
        }
        facts
    }

    fn explain(&self, failure: TransportFailure) -> TokenError {
        let endpoint = self.credential.endpoint();
        let (kind, what) = match failure {
            TransportFailure::Connect(why) => (
                TokenErrorKind::Unreachable,
                format!("cannot be reached, {why}"),
            ),
            TransportFailure::Torn(why) => (
                TokenErrorKind::Unreadable,
                format!(
                    "broke off before its reply was whole ({why}): it is asked again by itself"
                ),
            ),
            TransportFailure::TooLong => (
                TokenErrorKind::Unreadable,
                format!("answered with more than {MAX_REPLY} bytes: check token_url"),
            ),
            TransportFailure::Timeout => (
                TokenErrorKind::Timeout,
                format!(
                    "did not answer within {} s: check token_url and network",
                    self.timeout.as_secs()
                ),
            ),
        };
        TokenError::new(kind, format!("token endpoint {endpoint} {what}"))
    }
}

/// Whether two scopes are the same, whatever the order of their names (RFC 6749 s3.3).
fn same_scope(left: &str, right: &str) -> bool {
    let names = |text: &str| {
        let mut names: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
        names.sort();
        names
    };
    names(left) == names(right)
}
