//! One request to the token endpoint, from credential to lease or error.

use std::sync::Arc;
use std::time::Duration;

use gatepass_core::{Clock, Lease};
use http::header::AUTHORIZATION;

use crate::credential::{ClientCredentials, Scope};
use crate::decode::{Granted, decode};
use crate::encode::encode;
use crate::error::{TokenError, TokenErrorKind};
use crate::lifetime::deadlines;
use crate::store::Kept;
use crate::transport::{MAX_REPLY, TokenTransport, TransportFailure};

/// How long an exchange may take in all.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The name of a fact that is a doubt: people should look at it.
const NOTE: &str = "note";

/// Everything an exchange needs.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) credential: ClientCredentials,
    pub(crate) transport: Arc<dyn TokenTransport>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Where tokens are kept outside this process, if anywhere.
    pub(crate) kept: Option<Kept>,
}

impl Exchange {
    /// Obtains a token: a kept one that is fresh, unless that was rejected, else by asking once.
    pub(crate) async fn run(&self, rejected: bool) -> Result<Lease, TokenError> {
        let Some(kept) = &self.kept else {
            return self.ask().await;
        };
        let mut _alone = None;
        if !rejected {
            if let Some(lease) = kept.fresh(self.clock.now()).await {
                return Ok(lease);
            }
            _alone = Some(kept.store.lock(&kept.key).await);
            // Whoever held the lock may have put one there.
            if let Some(lease) = kept.fresh(self.clock.now()).await {
                return Ok(lease);
            }
        }
        let lease = self.ask().await?;
        kept.save(&lease, self.clock.now()).await;
        Ok(lease)
    }

    /// Asks once for a token.
    async fn ask(&self) -> Result<Lease, TokenError> {
        let request = encode(&self.credential).map_err(|what| {
            TokenError::new(TokenErrorKind::Refused, format!("the client {what}"))
        })?;
        // Taken before the request leaves, so that a slow reply shortens the lifetime.
        let sent = self.clock.now();
        let sending = self.transport.send(request, MAX_REPLY);
        let reply = tokio::time::timeout(TIMEOUT, sending)
            .await
            .unwrap_or(Err(TransportFailure::Timeout))
            .map_err(|failure| self.explain(failure))?;
        let granted = decode(&self.credential, &reply, sent)?;
        let due = deadlines(sent, granted.lifetime, fastrand::f64());
        let facts = self.facts(&granted);
        Ok(Lease::headers(vec![(AUTHORIZATION, granted.header)])
            .until(due.soft, due.hard)
            .with_facts(facts))
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
                    TIMEOUT.as_secs()
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
