//! The method from a definition (`authentication = "oauth"`).

use std::sync::Arc;
use std::time::Duration;

use gatepass_core::{
    BuildContext, Clock, KeyKind, KeySpec, MethodFactory, SettingProblem, Settings, SharedMethod,
    Value, endpoint_url,
};
use gatepass_transport::Connector;

use crate::cache::TokenCache;
use crate::client::OAuth;
use crate::client_auth::client_auth;
use crate::credential::Scope;
use crate::store::TokenStore;

/// Makes OAuth methods from definitions; their tokens live in one cache.
///
/// ```
/// use gatepass_core::Registry;
/// let registry = Registry::builtin().with(gatepass_oauth::OAuthFactory::default());
/// assert!(registry.factory("oauth").is_some());
/// ```
#[derive(Clone, Debug)]
pub struct OAuthFactory {
    cache: TokenCache,
    connector: Connector,
    store: Option<Arc<dyn TokenStore>>,
    clock: Option<Arc<dyn Clock>>,
}

impl OAuthFactory {
    /// Uses this cache, and this connector for token requests.
    #[must_use]
    pub fn new(cache: TokenCache, connector: Connector) -> Self {
        Self {
            cache,
            connector,
            store: None,
            clock: None,
        }
    }

    /// The same by another clock, for tests, and with a cache of its own.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self.cache = TokenCache::new();
        self
    }

    /// The same, keeping tokens outside this process as well.
    #[must_use]
    pub fn with_store(mut self, store: Arc<dyn TokenStore>) -> Self {
        self.store = Some(store);
        self
    }
}

impl Default for OAuthFactory {
    fn default() -> Self {
        Self::new(TokenCache::shared(), Connector::default())
    }
}

const KEYS: &[KeySpec] = &[
    KeySpec::new(
        "client_id",
        KeyKind::Secret,
        "the client id sent to the token endpoint",
    )
    .alias("username")
    .public()
    .required(),
    KeySpec::new(
        "client_secret",
        KeyKind::Secret,
        "the client secret sent to the token endpoint",
    )
    .alias("password")
    .required(),
    KeySpec::new(
        "token_url",
        KeyKind::Text,
        "where access tokens are handed out",
    )
    .wire("tokenURL")
    .required(),
    KeySpec::new("scope", KeyKind::Text, "the scope asked for, none if empty")
        .default_is("all-apis")
        .wire("oidcCustomScope"),
    KeySpec::new(
        "client_auth",
        KeyKind::Text,
        "how the client proves itself to the token endpoint",
    )
    .choices(&["basic", "basic_raw", "post"])
    .default_is("basic"),
    KeySpec::new(
        "assume_bearer",
        KeyKind::Boolean,
        "takes a reply without token_type for a bearer token",
    )
    .default_is("false"),
    KeySpec::new(
        "default_lifetime",
        KeyKind::Seconds,
        "seconds a token lives whose reply does not say",
    )
    .default_is("300"),
];

impl MethodFactory for OAuthFactory {
    fn tag(&self) -> &'static str {
        "oauth"
    }

    fn about(&self) -> &'static str {
        "a token by client credentials, renewed by itself (RFC 6749 s4.4)"
    }

    fn keys(&self) -> &'static [KeySpec] {
        KEYS
    }

    fn build(
        &self,
        settings: &Settings,
        context: &BuildContext<'_>,
    ) -> Result<SharedMethod, Vec<SettingProblem>> {
        let id = settings.source_checked("client_id", not_empty);
        let secret = settings.source_checked("client_secret", not_empty);
        let token_url = settings.text("token_url").and_then(|text| {
            endpoint_url(text, context.transport.allow_insecure_http)
                .map_err(|what| SettingProblem::new("token_url", what))
        });
        let auth = match settings.optional_text("client_auth") {
            None => client_auth("basic"),
            Some(name) => client_auth(name),
        };
        let auth = auth.ok_or_else(|| {
            let what = "must be \"basic\" (form-encoded, the default), \"basic_raw\" or \"post\"";
            SettingProblem::new("client_auth", what)
        });
        let scope = settings.optional_text("scope");
        let scope = match scope.filter(|text| !is_scope(text)) {
            None => Ok(Scope::of(scope)),
            Some(_) => Err(SettingProblem::new("scope", SCOPE_RULE)),
        };
        let (client, rest) = (
            SettingProblem::both(id, secret),
            SettingProblem::both(token_url, auth),
        );
        let (((id, secret), (token_url, auth)), scope) = match (client, rest, scope) {
            (Ok(client), Ok(rest), Ok(scope)) => ((client, rest), scope),
            (client, rest, scope) => {
                let problems = client.err().into_iter().chain(rest.err()).flatten();
                return Err(problems.chain(scope.err()).collect());
            }
        };
        let mut builder = OAuth::builder(token_url, id, secret)
            .client_auth(auth)
            .scope(scope)
            .assume_bearer(settings.boolean("assume_bearer").unwrap_or(false))
            .transport_settings(context.transport.clone())
            .cache(self.cache.clone());
        if let Some(Value::Seconds(seconds)) = settings.value("default_lifetime") {
            builder =
                builder.default_lifetime(Duration::try_from_secs_f64(*seconds).unwrap_or_default());
        }
        if let Some(clock) = &self.clock {
            builder = builder.clock(Arc::clone(clock));
        }
        if let Some(store) = &self.store {
            builder = builder.store(Arc::clone(store));
        }
        Ok(builder.build_with_reqwest(self.connector.clone()))
    }
}

const SCOPE_RULE: &str = "holds what no scope may (RFC 6749 s3.3): names of visible ASCII without \
                          quotes and backslashes, separated by one space";

fn is_scope(text: &str) -> bool {
    text.is_empty()
        || text.split(' ').all(|name| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
        })
}

fn not_empty(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        Err("is empty")
    } else {
        Ok(())
    }
}
