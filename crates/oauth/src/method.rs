//! The authentication method: the warm path on every request, the cold path to the slot.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use gatepass_core::{
    Applied, AuthError, AuthMethod, BodyNeed, Clock, ErrorKind, IntoSource, Lease, LeaseCell,
    NotApplied, Now, Owned, Ready, RequestView, ResponseView, Secret, SharedMethod, SharedSource,
    Stage, SystemClock, TransportSettings, Verdict, Why, put_headers,
};
use http::StatusCode;
use http::header::AUTHORIZATION;
use tokio::sync::Mutex;
use url::Url;

use crate::cache::TokenCache;
use crate::client_auth::{Basic, ClientAuth};
use crate::credential::{ClientCredentials, DEFAULT_LIFETIME, Key, Scope};
use crate::exchange::Exchange;
use crate::slot::Slot;
use crate::store::{Kept, StoreKey, TokenStore};
use crate::transport::TokenTransport;

/// A handle to the access token of one client.
///
/// Handles with the same credential share one token through the [`TokenCache`].
///
/// ```
/// use gatepass_oauth::OAuth;
/// let method = OAuth::builder("https://auth.example.com/oauth/token".parse()?, "id", "s3cr3t")
///     .build_with_reqwest(Default::default());
/// assert!(method.owned().has_header("authorization"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct OAuth {
    settings: OAuthBuilder,
    transport: Arc<dyn TokenTransport>,
    transport_id: u64,
    owned: Owned,
    /// What requests are served from: the lease of the slot, as this handle last saw it.
    front: LeaseCell,
    /// The slot of the credential in its current version; empty until its secrets were resolved.
    slot: RwLock<Option<Arc<Slot>>>,
    /// Held while secrets are resolved, so that many callers resolve them once.
    resolving: Mutex<()>,
}

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
    client_id: SharedSource,
    client_secret: SharedSource,
    client_auth: Arc<dyn ClientAuth>,
    scope: Scope,
    assume_bearer: bool,
    default_lifetime: Duration,
    tls: TransportSettings,
    clock: Arc<dyn Clock>,
    cache: TokenCache,
    store: Option<Arc<dyn TokenStore>>,
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
            clock: Arc::new(SystemClock),
            cache: TokenCache::shared(),
            store: None,
        }
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
        self.clock = clock;
        self
    }

    /// Another cache than the shared one.
    #[must_use]
    pub fn cache(mut self, cache: TokenCache) -> Self {
        self.cache = cache;
        self
    }

    /// Keeps tokens outside this process as well.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn TokenStore>) -> Self {
        self.store = Some(store);
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
        Arc::new(OAuth {
            settings: self,
            transport,
            transport_id,
            owned: Owned::headers(vec![AUTHORIZATION]),
            front: LeaseCell::new(),
            slot: RwLock::new(None),
            resolving: Mutex::new(()),
        })
    }
}

impl OAuth {
    fn known_slot(&self) -> Option<Arc<Slot>> {
        self.slot
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The slot of the credential as its secrets are now.
    async fn resolved_slot(&self) -> Result<Arc<Slot>, AuthError> {
        let _one_at_a_time = self.resolving.lock().await;
        let settings = &self.settings;
        if let Some(slot) = self.known_slot() {
            // A changed secret ends a holding: worth a look when the old one is being refused.
            let may_change = settings.client_id.may_change() || settings.client_secret.may_change();
            if !(may_change && slot.is_failing()) {
                return Ok(slot);
            }
        }
        let credential = ClientCredentials {
            token_url: settings.token_url.clone(),
            client_auth: Arc::clone(&settings.client_auth),
            client_id: load("client_id", &settings.client_id).await?,
            client_secret: load("client_secret", &settings.client_secret).await?,
            scope: settings.scope.clone(),
            assume_bearer: settings.assume_bearer,
            default_lifetime: settings.default_lifetime,
        };
        let key = Key::of(&credential, &settings.tls, self.transport_id);
        let transport = Arc::clone(&self.transport);
        let exchange = Exchange {
            credential,
            transport,
            clock: Arc::clone(&settings.clock),
            kept: settings.store.clone().map(|store| Kept {
                store,
                key: StoreKey::of(key),
            }),
        };
        let slot = settings.cache.slot(key, exchange);
        *self.slot.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&slot));
        Ok(slot)
    }

    /// Past the soft deadline: has the lease renewed, and takes over what another handle renewed.
    #[cold]
    fn refresh(&self, held: gatepass_core::Stamp, now: Now) {
        if let Some(slot) = self.known_slot() {
            slot.renew_if_due(now);
            if let Some(lease) = slot.current().filter(|lease| lease.stamp() != held) {
                self.front.replace(lease);
            }
        }
    }
}

async fn load(key: &str, source: &SharedSource) -> Result<Secret, AuthError> {
    source.load().await.map_err(|cause| {
        AuthError::new(ErrorKind::SecretMissing, format!("{key}: {cause}"))
            .with_source(Arc::new(cause))
    })
}

#[async_trait]
impl AuthMethod for OAuth {
    fn owned(&self) -> &Owned {
        &self.owned
    }

    fn needs(&self) -> BodyNeed {
        BodyNeed::Nothing
    }

    fn stage(&self) -> Stage {
        Stage::Header
    }

    fn apply(
        &self,
        request: &mut RequestView<'_>,
        ready: Option<&Ready>,
        now: Now,
    ) -> Result<Applied, NotApplied> {
        let applied = put_headers(&self.front, request, ready, now)?;
        let due = |lease: &Lease| lease.soft().is_some_and(|soft| now.reached(soft));
        if let (Some(stamp), Some(true)) = (applied.stamp, self.front.read(due)) {
            self.refresh(stamp, now);
        }
        Ok(applied)
    }

    async fn prepare(&self, why: Why) -> Result<Ready, AuthError> {
        let slot = self.resolved_slot().await?;
        if let Why::Rejected(stamp) = why {
            slot.reject(stamp)?;
            self.front.remove(stamp);
        }
        let ready = slot.lease().await?;
        // A token that serves only those who waited for it is no better than none here: `apply`
        // looks at its deadline.
        if let Some(lease) = slot.current() {
            self.front.replace(lease);
        }
        Ok(ready)
    }

    fn observe(&self, applied: &Applied, response: &ResponseView<'_>) -> Verdict {
        if response.status != StatusCode::UNAUTHORIZED {
            return Verdict::Accepted;
        }
        let (Some(stamp), Some(slot)) = (applied.stamp, self.known_slot()) else {
            return Verdict::Refused;
        };
        let verdict = slot.verdict(stamp);
        if verdict == Verdict::Replay
            && let Some(lease) = slot.current()
        {
            self.front.replace(lease);
        }
        verdict
    }
}
