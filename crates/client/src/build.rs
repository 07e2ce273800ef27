//! A deployment in a few words, without a file.

use std::sync::Arc;

use gatepass_core::{
    Basic, Bearer, BuildContext, Clock, Custom, Deployment, Endpoint, ExtraHeaders, IntoSource,
    NoAuth, SharedMethod, SharedSource, TransportSettings, header,
};
use gatepass_transport::Connector;

use crate::caller::Caller;
use crate::error::{Error, ErrorKind};

/// A deployment without a credential.
///
/// ```
/// let open = gatepass_client::none().url("https://models.example.com/ready").build()?;
/// assert_eq!(open.name(), "models.example.com");
/// # Ok::<(), gatepass_client::Error>(())
/// ```
pub fn none() -> Builder {
    Builder::of(|_| Ok(Arc::new(NoAuth::default())))
}

/// A deployment that wants a user-id and a password (RFC 7617).
///
/// ```
/// let churn = gatepass_client::basic("apiuser", "secret123").url("https://models.example.com/").build()?;
/// # Ok::<(), gatepass_client::Error>(())
/// ```
pub fn basic(username: impl IntoSource, password: impl IntoSource) -> Builder {
    let (username, password) = (username.into_source(), password.into_source());
    Builder::of(move |_| Ok(Basic::method(username, password)))
}

/// A deployment that wants a token somebody handed out (RFC 6750).
///
/// ```
/// let churn = gatepass_client::bearer("s3cr3t").url("https://models.example.com/").build()?;
/// # Ok::<(), gatepass_client::Error>(())
/// ```
pub fn bearer(token: impl IntoSource) -> Builder {
    let token = token.into_source();
    Builder::of(move |_| Ok(Bearer::method(token)))
}

/// A deployment that wants a header of its own.
///
/// ```
/// let gpt = gatepass_client::custom("api-key", "abcd1234").base_url("https://example.openai.azure.com/openai/v1").build()?;
/// # Ok::<(), gatepass_client::Error>(())
/// ```
pub fn custom(name: &str, value: impl IntoSource) -> Builder {
    let (name, value) = (name.to_owned(), value.into_source());
    Builder::of(move |_| Custom::method(&name, value).map_err(|what| format!("header {what}")))
}

/// A deployment that wants an OAuth 2.0 access token, obtained by client credentials.
///
/// ```
/// let churn = gatepass_client::oauth("https://auth.example.com/oauth/token")
///     .client("client_12345", "s3cr3t")
///     .scope("ml")
///     .base_url("https://models.example.com/v1")
///     .build()?;
/// # Ok::<(), gatepass_client::Error>(())
/// ```
#[cfg(feature = "oauth")]
pub fn oauth(token_url: &str) -> OAuthCall {
    OAuthCall::of("token_url", token_url)
}

/// The same, with the token endpoint that an issuer publishes (RFC 8414, OpenID Connect Discovery).
///
/// ```
/// let churn = gatepass_client::oauth_issuer("https://auth.example.com/tenant")
///     .client("client_12345", "s3cr3t")
///     .url("https://models.example.com/")
///     .build()?;
/// # Ok::<(), gatepass_client::Error>(())
/// ```
#[cfg(feature = "oauth")]
pub fn oauth_issuer(issuer: &str) -> OAuthCall {
    OAuthCall::of("issuer", issuer)
}

/// The same, with what is known of a provider filled in; the rest is set with
/// [`OAuthCall::set`].
///
/// ```
/// let gpt = gatepass_client::oauth_provider("azure-openai")
///     .set("tenant", "contoso.onmicrosoft.com")
///     .client("client_12345", "s3cr3t")
///     .base_url("https://example.openai.azure.com/openai/v1")
///     .build()?;
/// # Ok::<(), gatepass_client::Error>(())
/// ```
#[cfg(feature = "oauth")]
pub fn oauth_provider(name: &str) -> OAuthCall {
    OAuthCall::of("provider", name)
}

/// An OAuth deployment that still wants to know its client.
///
/// ```
/// let builder = gatepass_client::oauth("https://auth.example.com/token")
///     .set("client_auth", "post")
///     .seconds("margin", 40.0)
///     .list("rejected_when", &["403 expired"])
///     .client("id", "s3cr3t");
/// assert!(builder.url("https://models.example.com/").build().is_ok());
/// ```
#[cfg(feature = "oauth")]
#[must_use]
#[derive(Debug)]
pub struct OAuthCall {
    settings: Vec<(&'static str, gatepass_core::Value)>,
    params: Vec<(String, SharedSource)>,
}

/// The keys are those of a configuration with `authentication = "oauth"`; a wrong one is an error
/// when the deployment is built.
#[cfg(feature = "oauth")]
impl OAuthCall {
    fn of(key: &'static str, text: &str) -> Self {
        let new = Self {
            settings: Vec::new(),
            params: Vec::new(),
        };
        new.set(key, text)
    }

    fn value(mut self, key: &'static str, value: gatepass_core::Value) -> Self {
        self.settings.push((key, value));
        self
    }

    /// Sets a key that takes text: `client_auth`, `audience`, `resource`, `tenant`, `host`, ..
    pub fn set(self, key: &'static str, text: &str) -> Self {
        self.value(key, gatepass_core::Value::Text(text.to_owned()))
    }

    /// Sets a key that takes seconds: `margin`, `renew_before`, `max_lifetime`, ..
    pub fn seconds(self, key: &'static str, seconds: f64) -> Self {
        self.value(key, gatepass_core::Value::Seconds(seconds))
    }

    /// Sets a key that takes texts: `rejected_when`, `token_origins`.
    pub fn list(self, key: &'static str, texts: &[&str]) -> Self {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        self.value(key, gatepass_core::Value::TextList(texts))
    }

    /// One more form pair of the token request.
    pub fn param(mut self, name: &str, value: impl IntoSource) -> Self {
        self.params.push((name.to_owned(), value.into_source()));
        self
    }

    /// How the client proves itself: `basic` (the default), `basic_raw`, `post` or `none`.
    pub fn client_auth(self, name: &str) -> Self {
        self.set("client_auth", name)
    }

    /// The client's id and secret.
    pub fn client(self, id: impl IntoSource, secret: impl IntoSource) -> Builder {
        use gatepass_core::{MethodFactory, Settings, Value};
        let (id, secret) = (id.into_source(), secret.into_source());
        Builder::of(move |parts| {
            let mut settings = self.settings;
            settings.push(("client_id", Value::Secret(id)));
            settings.push(("client_secret", Value::Secret(secret)));
            if !self.params.is_empty() {
                settings.push(("params", Value::SecretTable(self.params)));
            }
            settings.extend(
                parts
                    .scope
                    .map(|scope| ("scope", Value::Text(scope.to_owned()))),
            );
            let settings: Settings = settings.into_iter().collect();
            let cache = gatepass_oauth::TokenCache::shared();
            let mut factory = gatepass_oauth::OAuthFactory::new(cache, parts.connector.clone());
            if let Some(clock) = parts.clock {
                factory = factory.with_clock(Arc::clone(clock));
            }
            if let Some(key) = settings.keys().find(|key| {
                let known = factory.keys().iter();
                !known
                    .map(gatepass_core::KeySpec::name)
                    .any(|known| known == *key)
            }) {
                return Err(format!(
                    "{key} is no key of authentication = \"oauth\": see docs/configuration.md"
                ));
            }
            factory
                .build(&settings, &parts.context)
                .map_err(|problems| {
                    let texts: Vec<_> = problems
                        .iter()
                        .map(|p| format!("{} {}", p.key, p.message))
                        .collect();
                    texts.join("; ")
                })
        })
    }
}

/// What a method may know when it is made.
#[cfg_attr(
    not(feature = "oauth"),
    expect(dead_code, reason = "only token requests need it")
)]
struct Parts<'a> {
    context: BuildContext<'a>,
    connector: &'a Connector,
    scope: Option<&'a str>,
    clock: Option<&'a Arc<dyn Clock>>,
}

type MakeMethod = Box<dyn FnOnce(&Parts<'_>) -> Result<SharedMethod, String> + Send>;

/// A deployment being described.
///
/// ```
/// let gpt = gatepass_client::custom("api-key", "abcd1234")
///     .name("gpt")
///     .base_url("https://example.openai.azure.com/openai/v1")
///     .header("x-tenant", "research")
///     .build()?;
/// assert_eq!(gpt.name(), "gpt");
/// # Ok::<(), gatepass_client::Error>(())
/// ```
#[must_use]
pub struct Builder {
    make: MakeMethod,
    name: Option<String>,
    url: Option<String>,
    base_url: Option<String>,
    scope: Option<String>,
    headers: Vec<(String, SharedSource)>,
    transport: TransportSettings,
    connector: Connector,
    clock: Option<Arc<dyn Clock>>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Builder {
    fn of(make: impl FnOnce(&Parts<'_>) -> Result<SharedMethod, String> + Send + 'static) -> Self {
        Self {
            make: Box::new(make),
            name: None,
            url: None,
            base_url: None,
            scope: None,
            headers: Vec::new(),
            transport: TransportSettings::default(),
            connector: Connector::default(),
            clock: None,
        }
    }

    /// Its name in messages; the host by default.
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// The URL for calls without a path.
    pub fn url(mut self, url: &str) -> Self {
        self.url = Some(url.to_owned());
        self
    }

    /// The URL that paths are appended to.
    pub fn base_url(mut self, url: &str) -> Self {
        self.base_url = Some(url.to_owned());
        self
    }

    /// The scope to ask for; `all-apis` if this is not called, none if it is empty. OAuth only.
    pub fn scope(mut self, scope: &str) -> Self {
        self.scope = Some(scope.to_owned());
        self
    }

    /// A header that is sent with each call and guarded like a credential.
    pub fn header(mut self, name: &str, value: impl IntoSource) -> Self {
        self.headers.push((name.to_owned(), value.into_source()));
        self
    }

    /// How it is reached: time limits, trust, identity, proxy.
    pub fn transport(mut self, transport: TransportSettings) -> Self {
        self.transport = transport;
        self
    }

    /// Starts connections from reqwest builders of your own, called once for each client that is
    /// made. Redirects, referers and retries are switched off on top.
    pub fn client_builder(
        mut self,
        make: impl Fn() -> reqwest::ClientBuilder + Send + Sync + 'static,
    ) -> Self {
        self.connector = Connector::new(make);
        self
    }

    /// Another clock, for tests: with `gatepass-testkit` a token expires without anybody sleeping.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The deployment, ready to be called. No I/O.
    ///
    /// # Errors
    /// When URL, credential or headers are not usable as they are; all problems are named.
    pub fn build(self) -> Result<Caller, Error> {
        let (connector, clock) = (self.connector.clone(), self.clock.clone());
        let caller = Caller::new(self.deployment()?, connector)?;
        Ok(match clock {
            Some(clock) => caller.with_clock(clock),
            None => caller,
        })
    }

    /// The deployment alone, for an HTTP client of another kind. No I/O.
    ///
    /// ```
    /// let churn = gatepass_client::bearer("s3cr3t").url("https://models.example.com/").deployment()?;
    /// assert_eq!(churn.origin().to_string(), "https://models.example.com");
    /// # Ok::<(), gatepass_client::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn deployment(self) -> Result<Arc<Deployment>, Error> {
        let label = |name: Option<String>| name.unwrap_or_else(|| "unnamed".to_owned());
        let endpoint = Endpoint::parse(
            self.url.as_deref(),
            self.base_url.as_deref(),
            self.transport.allow_insecure_http,
        );
        let endpoint = match endpoint {
            Ok(endpoint) => endpoint,
            Err(problems) => {
                let texts: Vec<_> = problems
                    .iter()
                    .map(|p| format!("{} {}", p.key, p.message))
                    .collect();
                return Err(Error::new(
                    ErrorKind::Definition,
                    &label(self.name),
                    texts.join("; "),
                ));
            }
        };
        let name = self.name.unwrap_or_else(|| endpoint.host().to_owned());
        let wrong = |what: String| Error::new(ErrorKind::Definition, &name, what);
        let mut methods = Vec::new();
        if !self.headers.is_empty() {
            let mut headers = Vec::new();
            for (text, source) in self.headers {
                let header =
                    header::name(&text).map_err(|what| wrong(format!("header {text:?} {what}")))?;
                headers.push((header, source));
            }
            methods.push(ExtraHeaders::method(headers));
        }
        let context = BuildContext::new(&name, Some(endpoint.origin()), &self.transport);
        let parts = Parts {
            context,
            connector: &self.connector,
            scope: self.scope.as_deref(),
            clock: self.clock.as_ref(),
        };
        methods.push((self.make)(&parts).map_err(wrong)?);
        let deployment = Deployment::new(&name, endpoint, methods)
            .map_err(|error| Error::of_auth(error, &name))?
            .with_transport(self.transport);
        Ok(Arc::new(deployment))
    }
}
