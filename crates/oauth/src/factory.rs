//! The method from a definition (`authentication = "oauth"`).

use std::sync::Arc;
use std::time::Duration;

use gatepass_core::{
    BuildContext, Clock, KeyKind, KeySpec, Literal, MethodFactory, Origin, SettingProblem,
    Settings, SharedMethod, SharedSource, endpoint_url, header,
};
use gatepass_transport::Connector;
use http::HeaderName;
use url::Url;

use crate::cache::TokenCache;
use crate::client::{OAuth, OAuthBuilder};
use crate::client_auth::{ClientAuth, client_auth};
use crate::credential::{RESERVED_PARAMS, Scope};
use crate::matcher::Matcher;
use crate::preset::{Preset, fill, preset};
use crate::store::TokenStore;
use crate::tuning::Tuning;

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

/// Every provider's name.
const PROVIDERS: &[&str] = &[
    "databricks",
    "databricks-account",
    "entra",
    "azure-openai",
    "okta",
    "auth0",
    "keycloak",
];

const KEYS: &[KeySpec] = &[
    KeySpec::new("client_id", KeyKind::Secret, "the client id sent to the token endpoint")
        .alias("username")
        .public()
        .required(),
    KeySpec::new("client_secret", KeyKind::Secret, "the client secret sent to the token endpoint")
        .alias("password")
        .required_unless(&[("client_auth", "none")]),
    KeySpec::new("token_url", KeyKind::Text, "where access tokens are handed out")
        .wire("tokenURL")
        .required_unless(&[("issuer", ""), ("provider", "")]),
    KeySpec::new("issuer", KeyKind::Text, "whose published metadata names the token endpoint"),
    KeySpec::new("token_origins", KeyKind::TextList, "other origins an issuer's token endpoint may have")
        .default_is("its own origin only"),
    KeySpec::new("provider", KeyKind::Text, "fills in token_url, scope and what else its definitions share")
        .choices(PROVIDERS),
    KeySpec::new("host", KeyKind::Text, "the provider's host, for databricks, okta, auth0, keycloak"),
    KeySpec::new("tenant", KeyKind::Text, "the directory (tenant) id, for entra, azure-openai"),
    KeySpec::new("realm", KeyKind::Text, "the realm of keycloak, the authorization server of okta"),
    KeySpec::new("resource", KeyKind::Text, "what the token is for: a resource of entra, an audience of auth0, else the form pair of that name (RFC 8707)"),
    KeySpec::new("account_id", KeyKind::Text, "the account, for databricks-account"),
    KeySpec::new("scope", KeyKind::Text, "the scope asked for, none if empty")
        .wire("oidcCustomScope")
        .default_is("all-apis"),
    KeySpec::new("audience", KeyKind::Text, "the form pair of that name"),
    KeySpec::new("params", KeyKind::SecretTable, "more form pairs of the token request"),
    KeySpec::new("token_headers", KeyKind::SecretTable, "more headers of the token request"),
    KeySpec::new("client_auth", KeyKind::Text, "how the client proves itself to the token endpoint")
        .choices(&["basic", "basic_raw", "post", "none"])
        .default_is("basic"),
    KeySpec::new("assume_bearer", KeyKind::Boolean, "takes a reply without token_type for a bearer token")
        .default_is("false"),
    KeySpec::new("default_lifetime", KeyKind::Seconds, "seconds a token lives whose reply does not say")
        .default_is("300"),
    KeySpec::new("max_lifetime", KeyKind::Seconds, "seconds no lifetime is trusted beyond")
        .default_is("86400"),
    KeySpec::new("margin", KeyKind::Seconds, "seconds before its end a token is used no more, half of its life at most")
        .default_is("a tenth of its life, 30 at most"),
    KeySpec::new("renew_before", KeyKind::Seconds, "seconds before that it is renewed in the background")
        .default_is("15 % of its life, 300 to 3600 at most"),
    KeySpec::new("min_interval", KeyKind::Seconds, "seconds between the starts of two exchanges, 1 at least")
        .default_is("1"),
    KeySpec::new("token_timeout", KeyKind::Seconds, "seconds one exchange may take")
        .default_is("10"),
    KeySpec::new("rejected_when", KeyKind::TextList, "answers that reject a token beside 401: a status, or a status and a text of the body, like \"403 expired\"")
        .default_is("none"),
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
        let mut reader = Reader::new(settings, context);
        let builder = reader.read();
        let Some(mut builder) = builder.filter(|_| reader.problems.is_empty()) else {
            return Err(reader.problems);
        };
        builder = builder.cache(self.cache.clone());
        if let Some(clock) = &self.clock {
            builder = builder.clock(Arc::clone(clock));
        }
        if let Some(store) = &self.store {
            builder = builder.store(Arc::clone(store));
        }
        Ok(builder.build_with_reqwest(self.connector.clone()))
    }
}

/// Where tokens are handed out, or who says where.
enum Place {
    Url(Url),
    Issuer(Url, Vec<Origin>),
}

/// Reads a definition, collecting whatever is wrong.
struct Reader<'a> {
    settings: &'a Settings,
    context: &'a BuildContext<'a>,
    preset: Option<&'static Preset>,
    problems: Vec<SettingProblem>,
}

impl<'a> Reader<'a> {
    fn new(settings: &'a Settings, context: &'a BuildContext<'a>) -> Self {
        let provider = settings.optional_text("provider");
        let mut problems = Vec::new();
        let preset = provider.and_then(preset);
        if provider.is_some() && preset.is_none() {
            problems.push(SettingProblem::new(
                "provider",
                format!("must be one of {}", PROVIDERS.join(", ")),
            ));
        }
        Self {
            settings,
            context,
            preset,
            problems,
        }
    }

    fn wrong(&mut self, key: &'static str, what: impl Into<String>) {
        let problem = SettingProblem::new(key, what);
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn keep<T>(&mut self, result: Result<T, SettingProblem>) -> Option<T> {
        result.map_err(|problem| self.problems.push(problem)).ok()
    }

    fn read(&mut self) -> Option<OAuthBuilder> {
        let settings = self.settings;
        let auth = self.client_auth();
        let id = self.keep(settings.source_checked("client_id", not_empty));
        let secret = if settings.optional_text("client_auth") == Some("none") {
            Some(Literal::shared(""))
        } else {
            self.keep(settings.source_checked("client_secret", not_empty))
        };
        let scope = self.scope();
        let tuning = self.tuning();
        let matchers = self.matchers();
        let params = self.params();
        let headers = self.token_headers();
        let place = self.place();
        let builder = match place? {
            Place::Url(url) => OAuth::builder(url, id?, secret?),
            Place::Issuer(issuer, allowed) => OAuth::discover(issuer, allowed, id?, secret?),
        };
        let mut builder = builder
            .client_auth(auth?)
            .scope(scope?)
            .tuning(tuning)
            .rejected_when(matchers)
            .assume_bearer(settings.boolean("assume_bearer").unwrap_or(false))
            .transport_settings(self.context.transport.clone());
        if let Some(lifetime) = settings.seconds("default_lifetime") {
            builder = builder.default_lifetime(lifetime);
        }
        for (name, source) in params {
            builder = builder.param(&name, source);
        }
        for (name, source) in headers {
            builder = builder.header(name, source);
        }
        Some(builder)
    }

    /// Where tokens are handed out: written down, published by an issuer, or known of a provider.
    fn place(&mut self) -> Option<Place> {
        let http = self.context.transport.allow_insecure_http;
        let (url, issuer) = (
            self.settings.optional_text("token_url"),
            self.settings.optional_text("issuer"),
        );
        let parsed = |key: &'static str, text: &str| {
            endpoint_url(text, http).map_err(|what| SettingProblem::new(key, what))
        };
        let origins = self.settings.text_list("token_origins");
        if issuer.is_none() && !origins.is_empty() {
            self.wrong(
                "token_origins",
                "is for an issuer: set issuer, or remove it",
            );
        }
        match (url, issuer, self.preset) {
            (Some(_), Some(_), _) => {
                self.wrong("issuer", "stands beside token_url: keep one");
                None
            }
            (Some(text), None, _) => {
                let url = self.keep(parsed("token_url", text))?;
                Some(Place::Url(url))
            }
            (None, Some(text), _) => {
                let issuer = self.keep(parsed("issuer", text));
                let mut allowed = Vec::new();
                for text in origins {
                    let url = self.keep(parsed("token_origins", text));
                    allowed.extend(url.as_ref().and_then(Origin::of));
                }
                Some(Place::Issuer(issuer?, allowed))
            }
            (None, None, Some(preset)) => {
                let text = self.filled(preset.token_url)?;
                let url = endpoint_url(&text, http).ok();
                if url.is_none() {
                    let what =
                        "does not make a URL with what else is set: check host, tenant or realm";
                    self.wrong("provider", what);
                }
                url.map(Place::Url)
            }
            (None, None, None) => {
                self.wrong(
                    "token_url",
                    "is missing: give token_url, issuer or provider",
                );
                None
            }
        }
    }

    /// A template of the preset with what the definition holds.
    fn filled(&mut self, template: &'static str) -> Option<String> {
        let settings = self.settings;
        let held = |key| match (key, settings.optional_text(key)) {
            // Okta's own name for the server that everybody has.
            ("realm", None) if settings.optional_text("provider") == Some("okta") => {
                Some("default")
            }
            (_, text) => text.filter(|text| !text.is_empty()),
        };
        let bare = |text: &str| !text.contains(|c: char| "/?#@\\ ".contains(c) || c.is_control());
        for key in ["host", "tenant", "realm", "account_id"] {
            if held(key).is_some_and(|text| !bare(text)) {
                self.wrong(key, "must be the bare name, without https:// and paths");
                return None;
            }
        }
        match fill(template, held) {
            Ok(text) => Some(text),
            Err(key) => {
                let provider = settings.optional_text("provider").unwrap_or_default();
                self.wrong(
                    key,
                    format!("is missing: provider = \"{provider}\" needs it"),
                );
                None
            }
        }
    }

    fn client_auth(&mut self) -> Option<Arc<dyn ClientAuth>> {
        let default = self.preset.map_or("basic", |preset| preset.client_auth);
        let name = self
            .settings
            .optional_text("client_auth")
            .unwrap_or(default);
        let auth = client_auth(name);
        if auth.is_none() {
            self.wrong(
                "client_auth",
                "must be \"basic\" (form-encoded, the default), \"basic_raw\", \"post\" or \"none\"",
            );
        }
        auth
    }

    fn scope(&mut self) -> Option<Scope> {
        let Some(text) = self.settings.optional_text("scope") else {
            let Some(preset) = self.preset else {
                return Some(Scope::Default);
            };
            let Some(scope) = preset.scope else {
                let name = preset.name;
                self.wrong(
                    "scope",
                    format!("is missing: provider = \"{name}\" has no common one"),
                );
                return None;
            };
            let filled = self.filled(scope)?;
            if is_scope(&filled) {
                return Some(Scope::of(Some(&filled)));
            }
            self.wrong("resource", SCOPE_RULE);
            return None;
        };
        if is_scope(text) {
            return Some(Scope::of(Some(text)));
        }
        self.wrong("scope", SCOPE_RULE);
        None
    }

    fn tuning(&mut self) -> Tuning {
        let (settings, mut tuning) = (self.settings, Tuning::default());
        let preset = self.preset.and_then(|preset| preset.margin);
        tuning.margin = settings
            .seconds("margin")
            .or(preset.map(Duration::from_secs));
        tuning.renew_before = settings.seconds("renew_before");
        let set = |knob: &mut Duration, key| *knob = settings.seconds(key).unwrap_or(*knob);
        set(&mut tuning.max_lifetime, "max_lifetime");
        set(&mut tuning.min_interval, "min_interval");
        set(&mut tuning.exchange_timeout, "token_timeout");
        tuning.wait_timeout = tuning.exchange_timeout + Duration::from_secs(1);
        tuning
    }

    fn matchers(&mut self) -> Vec<Matcher> {
        let preset = self.preset.map_or(&[][..], |preset| preset.rejected_when);
        let given = self.settings.text_list("rejected_when");
        let texts: Vec<&str> = match given {
            [] => preset.to_vec(),
            given => given.iter().map(String::as_str).collect(),
        };
        let mut matchers = Vec::new();
        for text in texts {
            match text.parse() {
                Ok(matcher) => matchers.push(matcher),
                Err(what) => self.wrong("rejected_when", what),
            }
        }
        matchers
    }

    fn params(&mut self) -> Vec<(String, SharedSource)> {
        let mut params: Vec<(String, SharedSource)> = Vec::new();
        for (name, template) in self.preset.map_or(&[][..], |preset| preset.params) {
            if let Some(text) = self.filled(template) {
                params.push(((*name).to_owned(), Literal::shared(text)));
            }
        }
        // With a preset `resource` goes where its templates say.
        let own = ["audience"]
            .into_iter()
            .chain(self.preset.is_none().then_some("resource"));
        for key in own {
            if let Some(text) = self.settings.optional_text(key) {
                params.retain(|(name, _)| name != key);
                params.push((key.to_owned(), Literal::shared(text)));
            }
        }
        for (name, source) in self.settings.secret_table("params") {
            if RESERVED_PARAMS.contains(&name.as_str()) {
                self.wrong(
                    "params",
                    format!("holds {name}, which has a key of its own: use that"),
                );
            } else if params.iter().any(|(known, _)| known == name) {
                self.wrong(
                    "params",
                    format!("holds {name}, which is set already: keep one"),
                );
            } else {
                params.push((name.clone(), source.clone()));
            }
        }
        params
    }

    fn token_headers(&mut self) -> Vec<(HeaderName, SharedSource)> {
        let mut headers = Vec::new();
        for (text, source) in self.settings.secret_table("token_headers") {
            let checked = header::name(text).and_then(|name| {
                let ours = ["authorization", "content-type", "accept"].contains(&name.as_str());
                if ours {
                    return Err("is written by Gatepass itself: remove it");
                }
                if let Some(literal) = source.literal() {
                    header::check_value(literal.expose())?;
                }
                Ok(name)
            });
            match checked {
                Ok(name) => headers.push((name, source.clone())),
                Err(what) => self.wrong("token_headers", format!("holds {text:?}, which {what}")),
            }
        }
        headers
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
