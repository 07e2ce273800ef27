//! Client credentials as a method: what can be said about them, and how their secrets are resolved.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use gatepass_core::{
    AuthError, Clock, ErrorKind, IntoSource, Origin, Secret, SharedMethod, SharedSource,
    TransportSettings,
};
use http::HeaderName;
use url::Url;

use crate::cache::TokenCache;
use crate::client_auth::{Basic, ClientAuth};
use crate::credential::{ClientCredentials, DEFAULT_LIFETIME, Scope};
use crate::discovery::Discovery;
use crate::exchange::Exchange;
use crate::grant::{ResolveGrant, Resolved};
use crate::matcher::Matcher;
use crate::method::{Engine, TokenMethod};
use crate::store::TokenStore;
use crate::transport::TokenTransport;
use crate::tuning::Tuning;

/// OAuth 2.0 client credentials (RFC 6749 s4.4).
///
/// ```
/// use gatepass_oauth::OAuth;
/// let method = OAuth::builder("https://auth.example.com/oauth/token".parse()?, "id", "s3cr3t")
///     .build_with_reqwest(Default::default());
/// assert!(method.owned().has_header("authorization"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct OAuth;

/// Everything that can be said about how tokens are obtained.
///
/// ```
/// use gatepass_oauth::{OAuth, Scope};
/// let method = OAuth::builder("https://auth.example.com/oauth/token".parse()?, "id", "s3cr3t")
///     .scope(Scope::of(Some("ml")))
///     .build_with_reqwest(Default::default());
/// assert!(method.owned().has_header("authorization"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct OAuthBuilder {
    token_url: Url,
    /// The token URL is that of an issuer, whose metadata names the real one.
    issuer: Option<Vec<Origin>>,
    client_id: SharedSource,
    client_secret: SharedSource,
    params: Vec<(String, SharedSource)>,
    headers: Vec<(HeaderName, SharedSource)>,
    client_auth: Arc<dyn ClientAuth>,
    scope: Scope,
    assume_bearer: bool,
    default_lifetime: Duration,
    tls: TransportSettings,
    engine: Engine,
}

impl OAuth {
    /// Starts from the token URL and the client; the rest has defaults.
    ///
    /// ```
    /// use gatepass_core::AuthMethod;
    /// use gatepass_oauth::{OAuth, Scope};
    /// # #[cfg(feature = "reqwest")] {
    /// let method = OAuth::builder("https://auth.example.com/oauth/token".parse()?, "id", "secret")
    ///     .scope(Scope::of(Some("ml")))
    ///     .build_with_reqwest(Default::default());
    /// assert!(method.owned().has_header("authorization"));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn builder(
        token_url: Url,
        client_id: impl IntoSource,
        client_secret: impl IntoSource,
    ) -> OAuthBuilder {
        OAuthBuilder {
            token_url,
            client_id: client_id.into_source(),
            client_secret: client_secret.into_source(),
            client_auth: Arc::new(Basic),
            scope: Scope::Default,
            assume_bearer: false,
            default_lifetime: DEFAULT_LIFETIME,
            tls: TransportSettings::default(),
            engine: Engine::default(),
            issuer: None,
            params: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Starts from an issuer, whose published metadata names the token endpoint (RFC 8414, OpenID
    /// Connect Discovery 1.0). That must be of the issuer's own origin, or of one in `allowed`.
    #[must_use]
    pub fn discover(
        issuer: Url,
        allowed: Vec<Origin>,
        client_id: impl IntoSource,
        client_secret: impl IntoSource,
    ) -> OAuthBuilder {
        let mut builder = Self::builder(issuer, client_id, client_secret);
        builder.issuer = Some(allowed);
        builder
    }
}

impl fmt::Debug for OAuthBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthBuilder")
            // Without its query, which may carry keys.
            .field("token_url", &&self.token_url[..url::Position::AfterPath])
            .field("client_auth", &self.client_auth)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

impl OAuthBuilder {
    /// How the client proves itself; form-encoded Basic by default.
    #[must_use]
    pub fn client_auth(mut self, client_auth: Arc<dyn ClientAuth>) -> Self {
        self.client_auth = client_auth;
        self
    }

    /// What is asked for.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Takes a reply without `token_type` for a bearer token.
    #[must_use]
    pub fn assume_bearer(mut self, assume: bool) -> Self {
        self.assume_bearer = assume;
        self
    }

    /// The lifetime of a token whose reply does not state one; 300 s by default.
    #[must_use]
    pub fn default_lifetime(mut self, lifetime: Duration) -> Self {
        self.default_lifetime = lifetime;
        self
    }

    /// How the token endpoint is reached; part of what tells credentials apart.
    #[must_use]
    pub fn transport_settings(mut self, settings: TransportSettings) -> Self {
        self.tls = settings;
        self
    }

    /// Another clock, for tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.engine.clock = clock;
        self
    }

    /// Another cache than the shared one.
    #[must_use]
    pub fn cache(mut self, cache: TokenCache) -> Self {
        self.engine.cache = cache;
        self
    }

    /// How the engine treats its tokens.
    #[must_use]
    pub fn tuning(mut self, tuning: Tuning) -> Self {
        self.engine.tuning = tuning;
        self
    }

    /// Which answers of the upstream reject a token, beside 401.
    #[must_use]
    pub fn rejected_when(mut self, matchers: Vec<Matcher>) -> Self {
        self.engine.matchers = matchers;
        self
    }

    /// One more form pair of the token request (`audience`, `resource`); names of
    /// [`RESERVED_PARAMS`](crate::RESERVED_PARAMS) are the client's own and must not be given.
    #[must_use]
    pub fn param(mut self, name: &str, value: impl IntoSource) -> Self {
        self.params.push((name.to_owned(), value.into_source()));
        self
    }

    /// One more header of the token request.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl IntoSource) -> Self {
        self.headers.push((name, value.into_source()));
        self
    }

    /// Keeps tokens outside this process as well.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn TokenStore>) -> Self {
        self.engine.store = Some(store);
        self
    }

    /// The method, exchanging through a transport of your own. Tokens obtained through it are
    /// shared with clones of this method only.
    #[must_use]
    pub fn build(self, transport: Arc<dyn TokenTransport>) -> SharedMethod {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        self.finish(transport, NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The method, exchanging through reqwest by the transport settings.
    #[cfg(feature = "reqwest")]
    #[must_use]
    pub fn build_with_reqwest(self, connector: gatepass_transport::Connector) -> SharedMethod {
        let transport = crate::ReqwestTransport::new(self.tls.clone(), connector);
        self.finish(Arc::new(transport), 0)
    }

    fn finish(self, transport: Arc<dyn TokenTransport>, transport_id: u64) -> SharedMethod {
        let engine = self.engine.clone();
        let discovery = self.issuer.as_ref().map(|allowed| {
            let http = self.tls.allow_insecure_http;
            Arc::new(Discovery::new(
                self.token_url.clone(),
                allowed.clone(),
                http,
            ))
        });
        let client = Client {
            settings: self,
            transport,
            transport_id,
            discovery,
        };
        Arc::new(TokenMethod::bearer(client, engine))
    }
}

/// A client whose secrets are resolved when they are needed.
#[derive(Debug)]
struct Client {
    settings: OAuthBuilder,
    transport: Arc<dyn TokenTransport>,
    transport_id: u64,
    discovery: Option<Arc<Discovery>>,
}

#[async_trait]
impl ResolveGrant for Client {
    async fn resolve(&self) -> Result<Resolved, AuthError> {
        let settings = &self.settings;
        let id = load("client_id", &settings.client_id).await?;
        let secret = load("client_secret", &settings.client_secret).await?;
        let mut credential = ClientCredentials::new(settings.token_url.clone(), id, secret);
        credential.client_auth = Arc::clone(&settings.client_auth);
        credential.scope = settings.scope.clone();
        credential.assume_bearer = settings.assume_bearer;
        credential.default_lifetime = settings.default_lifetime;
        credential.max_lifetime = settings.engine.tuning.max_lifetime;
        for (name, source) in &settings.params {
            let value = load(&format!("params.{name}"), source).await?;
            credential.params.push((name.clone(), value));
        }
        for (name, source) in &settings.headers {
            let value = load(&format!("token_headers.{name}"), source).await?;
            credential.headers.push((name.clone(), value));
        }
        let mut more = settings.engine.tuning.fields();
        more.push(u8::from(self.discovery.is_some()));
        let key = credential.key(&settings.tls, self.transport_id, &more);
        let exchange = Exchange {
            credential,
            transport: Arc::clone(&self.transport),
            timeout: settings.engine.tuning.exchange_timeout,
            discovery: self.discovery.clone(),
        };
        Ok(Resolved::new(key, exchange))
    }

    fn may_change(&self) -> bool {
        let settings = &self.settings;
        let params = settings.params.iter().map(|(_, source)| source);
        let headers = settings.headers.iter().map(|(_, source)| source);
        let mut all = params
            .chain(headers)
            .chain([&settings.client_id, &settings.client_secret]);
        all.any(|source| source.may_change())
    }
}

async fn load(key: &str, source: &SharedSource) -> Result<Secret, AuthError> {
    source.load().await.map_err(|cause| {
        AuthError::new(ErrorKind::SecretMissing, format!("{key}: {cause}"))
            .with_source(Arc::new(cause))
    })
}
