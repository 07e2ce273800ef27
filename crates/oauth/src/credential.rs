//! What is asked for, and by whom.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gatepass_core::{Secret, TransportSettings};
use http::HeaderName;
use url::Url;

use crate::client_auth::{Basic, ClientAuth};
use crate::key::CredentialKey;
use crate::lifetime::MAX_LIFETIME;

/// The scope that is asked for when none is set.
///
/// ```
/// assert_eq!(gatepass_oauth::Scope::Default.sent(), Some(gatepass_oauth::DEFAULT_SCOPE));
/// ```
pub const DEFAULT_SCOPE: &str = "all-apis";

/// The lifetime of a token whose reply does not state one.
pub(crate) const DEFAULT_LIFETIME: Duration = Duration::from_secs(300);

/// Which scope is asked for (RFC 6749 s3.3).
///
/// ```
/// use gatepass_oauth::Scope;
/// assert_eq!(Scope::Custom("ml".into()).sent(), Some("ml"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Not set: [`DEFAULT_SCOPE`] is sent, and errors say so.
    #[default]
    Default,
    /// This one.
    Custom(String),
    /// None is sent.
    None,
}

impl Scope {
    /// The scope a definition means: absent is the default, empty sends none.
    ///
    /// ```
    /// use gatepass_oauth::Scope;
    /// assert_eq!(Scope::of(None).sent(), Some("all-apis"));
    /// assert_eq!(Scope::of(Some("")).sent(), None);
    /// assert_eq!(Scope::of(Some("ml")).sent(), Some("ml"));
    /// ```
    #[must_use]
    pub fn of(text: Option<&str>) -> Self {
        match text {
            None => Self::Default,
            Some("") => Self::None,
            Some(text) => Self::Custom(text.to_owned()),
        }
    }

    /// What is sent.
    #[must_use]
    pub fn sent(&self) -> Option<&str> {
        match self {
            Self::Default => Some(DEFAULT_SCOPE),
            Self::Custom(text) => Some(text),
            Self::None => None,
        }
    }
}

/// A client's credentials with everything that shapes its token requests.
///
/// ```
/// use gatepass_core::Secret;
/// use gatepass_oauth::{ClientCredentials, Scope};
/// let token_url = "https://auth.example.com/oauth/token".parse().unwrap();
/// let mut credential = ClientCredentials::new(token_url, Secret::new("id"), Secret::new("s3cr3t"));
/// credential.scope = Scope::None;
/// assert!(!format!("{credential:?}").contains("s3cr3t"));
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct ClientCredentials {
    /// Where tokens are handed out (RFC 6749 s3.2).
    pub token_url: Url,
    /// How the client proves itself.
    pub client_auth: Arc<dyn ClientAuth>,
    /// The client's name there.
    pub client_id: Secret,
    /// The client's secret; empty where it has none.
    pub client_secret: Secret,
    /// What is asked for.
    pub scope: Scope,
    /// More form pairs of the token request; see [`RESERVED_PARAMS`].
    pub params: Vec<(String, Secret)>,
    /// More headers of the token request.
    pub headers: Vec<(HeaderName, Secret)>,
    /// Take a reply without `token_type` for a bearer token.
    pub assume_bearer: bool,
    /// The lifetime of a token whose reply does not state one.
    pub default_lifetime: Duration,
    /// No lifetime is trusted for longer than this.
    pub max_lifetime: Duration,
}

/// Form pairs of a token request that the client itself writes.
///
/// ```
/// assert!(gatepass_oauth::RESERVED_PARAMS.contains(&"grant_type"));
/// ```
pub const RESERVED_PARAMS: &[&str] = &[
    "grant_type",
    "scope",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
];

impl ClientCredentials {
    /// A client that proves itself by form-encoded Basic and asks for the default scope.
    #[must_use]
    pub fn new(token_url: Url, client_id: Secret, client_secret: Secret) -> Self {
        Self {
            token_url,
            client_auth: Arc::new(Basic),
            client_id,
            client_secret,
            scope: Scope::Default,
            params: Vec::new(),
            headers: Vec::new(),
            assume_bearer: false,
            default_lifetime: DEFAULT_LIFETIME,
            max_lifetime: MAX_LIFETIME,
        }
    }

    /// What tells it apart from others that are reached by other settings, or treated differently.
    pub(crate) fn key(
        &self,
        transport: &TransportSettings,
        transport_id: u64,
        more: &[u8],
    ) -> CredentialKey {
        let tls = format!(
            "{:?}",
            (
                &transport.ca_file,
                &transport.client_cert,
                &transport.client_key,
                transport.connect_timeout
            )
        );
        let scope = format!("{:?}", self.scope);
        let numbers = format!(
            "{} {:?} {:?} {transport_id} {} {}",
            self.assume_bearer,
            self.default_lifetime,
            self.max_lifetime,
            self.params.len(),
            self.headers.len()
        );
        let proxy = transport.proxy.as_ref().map_or("", Secret::expose);
        let fixed = [
            self.token_url.as_str(),
            self.client_auth.name(),
            self.client_id.expose(),
            self.client_secret.expose(),
            &scope,
            &numbers,
            &tls,
            proxy,
        ];
        let params = self.params.iter();
        let params = params.flat_map(|(name, value)| [name.as_str(), value.expose()]);
        let headers = self.headers.iter();
        let headers = headers.flat_map(|(name, value)| [name.as_str(), value.expose()]);
        let all = fixed.into_iter().chain(params).chain(headers);
        CredentialKey::of(all.map(str::as_bytes).chain([more]))
    }

    /// The token endpoint without its query, which may carry keys.
    pub(crate) fn endpoint(&self) -> &str {
        &self.token_url[..url::Position::AfterPath]
    }
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials")
            .field("token_url", &self.endpoint())
            .field("client_auth", &self.client_auth)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}
