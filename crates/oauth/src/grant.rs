//! What the engine runs: something that obtains leases, and something that resolves its secrets.
//!
//! The engine (slots, cache, handles) does not know what an exchange is. Client credentials are one
//! grant; a command that prints tokens is another.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use gatepass_core::{AuthError, Clock, Now};
use http::{HeaderName, HeaderValue};

use crate::error::TokenError;
use crate::key::CredentialKey;

/// What one exchange obtained.
///
/// ```
/// use std::time::Duration;
/// use gatepass_core::{Clock, SystemClock};
/// let obtained = gatepass_oauth::Obtained::new(Vec::new(), SystemClock.now(), Duration::from_secs(60));
/// assert_eq!(obtained.lifetime.as_secs(), 60);
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Obtained {
    /// Headers to put on requests.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The moment before the exchange began: the lifetime counts from here.
    pub sent: Now,
    /// How long they live; zero serves only those who waited for this exchange.
    pub lifetime: Duration,
    /// Facts for people to read (`lifetime`, `scope`, `note`); nothing secret.
    pub facts: Vec<(&'static str, String)>,
}

impl Obtained {
    /// Headers that live so long from `sent`.
    #[must_use]
    pub fn new(headers: Vec<(HeaderName, HeaderValue)>, sent: Now, lifetime: Duration) -> Self {
        Self {
            headers,
            sent,
            lifetime,
            facts: Vec::new(),
        }
    }
}

impl fmt::Debug for Obtained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Obtained")
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

/// Obtains leases for one credential whose secrets are resolved.
///
/// ```
/// use gatepass_core::Clock;
/// use gatepass_oauth::{Grant, Obtained, TokenError};
///
/// #[derive(Debug)]
/// struct Fixed;
///
/// #[async_trait::async_trait]
/// impl Grant for Fixed {
///     fn label(&self) -> &str {
///         "a drawer"
///     }
///     async fn obtain(&self, clock: &dyn Clock) -> Result<Obtained, TokenError> {
///         Ok(Obtained::new(Vec::new(), clock.now(), std::time::Duration::from_secs(60)))
///     }
/// }
/// ```
#[async_trait]
pub trait Grant: fmt::Debug + Send + Sync + 'static {
    /// Where tokens come from, for people: the token endpoint without its query, a program.
    fn label(&self) -> &str;

    /// Asks once, and ends within a time limit of its own.
    ///
    /// # Errors
    /// What came instead of a token.
    async fn obtain(&self, clock: &dyn Clock) -> Result<Obtained, TokenError>;
}

/// Resolves the secrets of a credential into a grant; [`TokenMethod`](crate::TokenMethod) makes a
/// method of it.
///
/// ```
/// # use gatepass_core::{AuthError, Clock};
/// # use gatepass_oauth::{CredentialKey, Grant, Obtained, ResolveGrant, Resolved, TokenError};
/// # #[derive(Debug)]
/// # struct Fixed;
/// # #[async_trait::async_trait]
/// # impl Grant for Fixed {
/// #     fn label(&self) -> &str { "a drawer" }
/// #     async fn obtain(&self, clock: &dyn Clock) -> Result<Obtained, TokenError> {
/// #         Ok(Obtained::new(Vec::new(), clock.now(), std::time::Duration::from_secs(60)))
/// #     }
/// # }
/// #[derive(Debug)]
/// struct Drawer;
///
/// #[async_trait::async_trait]
/// impl ResolveGrant for Drawer {
///     async fn resolve(&self) -> Result<Resolved, AuthError> {
///         Ok(Resolved::new(CredentialKey::of([b"drawer".as_slice()]), Fixed))
///     }
///     fn may_change(&self) -> bool {
///         false
///     }
/// }
/// ```
#[async_trait]
pub trait ResolveGrant: fmt::Debug + Send + Sync + 'static {
    /// The credential as its secrets are now.
    ///
    /// # Errors
    /// When a secret is not there.
    async fn resolve(&self) -> Result<Resolved, AuthError>;

    /// Whether a secret may have changed where it comes from.
    fn may_change(&self) -> bool;
}

/// A credential whose secrets are resolved: what tells it apart, and what obtains its leases.
///
/// See [`ResolveGrant`].
///
/// ```
/// fn key_of(resolved: &gatepass_oauth::Resolved) -> String {
///     resolved.key.to_string()
/// }
/// # let _ = key_of;
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Resolved {
    /// What tells it apart.
    pub key: CredentialKey,
    /// What obtains its leases.
    pub grant: Box<dyn Grant>,
}

impl Resolved {
    /// A resolved credential.
    #[must_use]
    pub fn new(key: CredentialKey, grant: impl Grant) -> Self {
        Self {
            key,
            grant: Box::new(grant),
        }
    }
}
