//! An externally hosted model: where it is, how it is reached, how to authenticate.

use std::fmt;

use http::{HeaderMap, Method};
use url::Url;

use crate::clock::Clock;
use crate::credentials::{AppliedAll, Attempt, Credentials};
use crate::error::{AuthError, ErrorKind};
use crate::limits::Limits;
use crate::method::{ResponseView, SharedMethod, Verdict};
use crate::origin::{Origin, endpoint_url};
use crate::path;
use crate::request::{BodyView, Outbound};
use crate::settings::SettingProblem;
use crate::transport::TransportSettings;

/// Where a deployment is: a URL for calls without a path, a base for calls with one, or both.
///
/// ```
/// use gatepass_core::Endpoint;
/// let endpoint = Endpoint::parse(None, Some("https://models.example.com/v1"), false).unwrap();
/// assert_eq!(endpoint.origin().to_string(), "https://models.example.com");
/// ```
#[derive(Clone)]
pub struct Endpoint {
    single: Url,
    base: Url,
    origin: Origin,
}

/// The origin alone: paths and queries may carry keys.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.origin)
    }
}

impl Endpoint {
    /// Parses `url` and `base_url`, at least one of them; both must share one origin.
    ///
    /// # Errors
    /// Everything that is wrong, by key.
    pub fn parse(
        url: Option<&str>,
        base_url: Option<&str>,
        allow_insecure_http: bool,
    ) -> Result<Self, Vec<SettingProblem>> {
        let parse = |key, text: Option<&str>| {
            text.map(|text| endpoint_url(text, allow_insecure_http))
                .transpose()
                .map_err(|what| SettingProblem::new(key, what))
        };
        let (url, base) = SettingProblem::both(parse("url", url), parse("base_url", base_url))?;
        let (single, base) = match (url, base) {
            (Some(url), Some(base)) => (url, base),
            (Some(one), None) | (None, Some(one)) => (one.clone(), one),
            (None, None) => {
                let what = "is missing: give `url`, or `base_url` for calls with paths, or both";
                return Err(vec![SettingProblem::new("url", what)]);
            }
        };
        let origin = Origin::of(&base);
        match origin.filter(|origin| Some(origin) == Origin::of(&single).as_ref()) {
            Some(origin) => Ok(Self {
                single,
                base,
                origin,
            }),
            None => {
                let what = "has another origin (scheme, host, port) than `url`: a credential goes to one origin only";
                Err(vec![SettingProblem::new("base_url", what)])
            }
        }
    }

    /// The host of both.
    #[must_use]
    pub fn host(&self) -> &str {
        self.base.host_str().unwrap_or("")
    }

    /// The origin of both.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

/// An externally hosted model, ready to be called.
///
/// ```
/// use gatepass_core::{Bearer, BodyView, Deployment, Endpoint, SystemClock};
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let endpoint = Endpoint::parse(Some("https://models.example.com/v1"), None, false).unwrap();
/// let churn = Deployment::new("churn", endpoint, vec![Bearer::method("abc")])?;
/// let mut request = http::Request::get(churn.target("predict")?.as_str()).body(()).unwrap();
/// churn.authorize(&mut request, BodyView::Empty, &SystemClock).await?;
/// assert_eq!(request.headers()["authorization"], "Bearer abc");
/// # Ok::<(), gatepass_core::AuthError>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Deployment {
    name: String,
    endpoint: Endpoint,
    credentials: Credentials,
    transport: TransportSettings,
    limits: Limits,
    probe: Probe,
    tags: Vec<&'static str>,
}

/// How `gatepass check` asks whether the credential is accepted: a GET of `url` unless a definition
/// says otherwise, because a call of a model may cost money.
///
/// ```
/// let probe = gatepass_core::Probe::default();
/// assert_eq!((probe.method.as_str(), probe.path.as_str()), ("GET", ""));
/// ```
#[derive(Clone)]
pub struct Probe {
    /// The method.
    pub method: Method,
    /// Appended to the base URL; empty means `url`.
    pub path: String,
    /// The body, sent as JSON.
    pub body: Option<String>,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            method: Method::GET,
            path: String::new(),
            body: None,
        }
    }
}

/// Without path and body, which may carry what is private.
impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Probe({})", self.method)
    }
}

impl Deployment {
    /// A deployment with default transport settings.
    ///
    /// # Errors
    /// When its methods contradict each other.
    pub fn new(
        name: impl Into<String>,
        endpoint: Endpoint,
        methods: Vec<SharedMethod>,
    ) -> Result<Self, AuthError> {
        let name = name.into();
        let credentials = Credentials::new(methods).map_err(|error| error.for_deployment(&name))?;
        Ok(Self {
            name,
            endpoint,
            credentials,
            transport: TransportSettings::default(),
            limits: Limits::default(),
            probe: Probe::default(),
            tags: Vec::new(),
        })
    }

    /// The same, probed like this.
    #[must_use]
    pub fn with_probe(mut self, probe: Probe) -> Self {
        self.probe = probe;
        self
    }

    /// How to ask whether the credential is accepted.
    #[must_use]
    pub fn probe(&self) -> &Probe {
        &self.probe
    }

    /// The same place without its methods: what it answers tells whether it wants a credential.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        Self {
            credentials: Credentials::none(),
            ..self.clone()
        }
    }

    /// The same, reached by these settings.
    #[must_use]
    pub fn with_transport(mut self, transport: TransportSettings) -> Self {
        self.transport = transport;
        self
    }

    /// The same, within these limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The same, with the tags that its definition named its methods by.
    #[must_use]
    pub fn with_tags(mut self, tags: Vec<&'static str>) -> Self {
        self.tags = tags;
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The origin its credential belongs to.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.endpoint.origin
    }

    /// Its methods.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// What a gateway may pass on to it at most.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// What `authentication` says in its definition, one for each method; empty without a definition.
    #[must_use]
    pub fn tags(&self) -> &[&'static str] {
        &self.tags
    }

    /// How it is reached.
    #[must_use]
    pub fn transport(&self) -> &TransportSettings {
        &self.transport
    }

    /// Path and query of a URL or of an absolute path, below this deployment's base URL; `None` where
    /// it leads elsewhere.
    ///
    /// ```
    /// use gatepass_core::{Deployment, Endpoint};
    /// let endpoint = Endpoint::parse(None, Some("https://models.example.com/v1/"), false).unwrap();
    /// let deployment = Deployment::new("churn", endpoint, vec![])?;
    /// let below = |url| deployment.path_below_base(url);
    /// assert_eq!(below("https://models.example.com/v1/jobs/7?x=1").as_deref(), Some("/jobs/7?x=1"));
    /// assert_eq!(below("/v1/jobs").as_deref(), Some("/jobs"));
    /// assert_eq!(below("https://evil.test/v1/jobs"), None);
    /// assert_eq!(below("/v10/jobs"), None);
    /// # Ok::<(), gatepass_core::AuthError>(())
    /// ```
    #[must_use]
    pub fn path_below_base(&self, location: &str) -> Option<String> {
        let base = &self.endpoint.base;
        let absolute_path = location.starts_with('/') && !location.starts_with("//");
        let url = if absolute_path {
            base.join(location)
        } else {
            Url::parse(location)
        };
        let url = url
            .ok()
            .filter(|url| Origin::of(url).as_ref() == Some(self.origin()))?;
        let rest = url.path().strip_prefix(base.path().trim_end_matches('/'))?;
        if !rest.is_empty() && !rest.starts_with('/') {
            return None;
        }
        let query = url.query().map(|query| format!("?{query}"));
        Some(format!("{rest}{}", query.unwrap_or_default()))
    }

    /// Path and query of a call, ready for a request line: what [`Deployment::target`] says without
    /// its origin. Paths and queries of plain characters cost no parsing of URLs.
    ///
    /// # Errors
    /// When the path would leave the base URL, or cannot be part of a URL.
    ///
    /// ```
    /// use gatepass_core::{Deployment, Endpoint};
    /// let endpoint = Endpoint::parse(None, Some("https://models.example.com/v1/"), false).unwrap();
    /// let deployment = Deployment::new("churn", endpoint, vec![])?;
    /// assert_eq!(deployment.request_target("/predict?n=1")?, "/v1/predict?n=1");
    /// assert!(deployment.request_target("/../admin").is_err());
    /// # Ok::<(), gatepass_core::AuthError>(())
    /// ```
    pub fn request_target(&self, path: &str) -> Result<String, AuthError> {
        if let Some(target) = path::join_plain(&self.endpoint.single, &self.endpoint.base, path) {
            return Ok(target);
        }
        let url = self.target(path)?;
        Ok(url[url::Position::BeforePath..url::Position::AfterQuery].to_owned())
    }

    /// The URL for a call: `path` is appended to the base, bytes kept; an empty one means `url`.
    ///
    /// # Errors
    /// When the path could leave the base: `.` and `..` in any encoding, backslashes, controls.
    pub fn target(&self, path: &str) -> Result<Url, AuthError> {
        path::join(&self.endpoint.single, &self.endpoint.base, path).map_err(|what| {
            AuthError::new(ErrorKind::Path, format!("the path {what}")).for_deployment(&self.name)
        })
    }

    /// Adds the credential to a request for this deployment, obtaining it first where needed.
    ///
    /// The warm path neither waits nor takes a lock.
    ///
    /// # Errors
    /// When the request goes to another origin, or the credential is not to be had; the request
    /// then carries none of the owned headers.
    pub async fn authorize<T: Outbound>(
        &self,
        request: &mut T,
        body: BodyView<'_>,
        clock: &dyn Clock,
    ) -> Result<AppliedAll, AuthError> {
        self.authorize_with(request, body, clock, Attempt::default())
            .await
    }

    /// The same where nothing has to be waited for; `None` where [`Deployment::authorize`] has to.
    ///
    /// # Errors
    /// As [`Deployment::authorize`].
    ///
    /// ```
    /// use gatepass_core::{Bearer, BodyView, Deployment, Endpoint, SystemClock};
    /// let endpoint = Endpoint::parse(Some("https://models.example.com/"), None, false).unwrap();
    /// let deployment = Deployment::new("churn", endpoint, vec![Bearer::method("abc")])?;
    /// let mut request = http::Request::get("https://models.example.com/").body(()).unwrap();
    ///
    /// // A secret is read at the first use of its deployment, so that use may wait.
    /// assert!(deployment.authorize_now(&mut request, BodyView::Empty, &SystemClock)?.is_none());
    /// # Ok::<(), gatepass_core::AuthError>(())
    /// ```
    pub fn authorize_now<T: Outbound>(
        &self,
        request: &mut T,
        body: BodyView<'_>,
        clock: &dyn Clock,
    ) -> Result<Option<AppliedAll>, AuthError> {
        if self.credentials.needs() > crate::method::BodyNeed::Nothing {
            return Ok(None);
        }
        let now = clock.now();
        request
            .lend(body, |view| {
                if !self.endpoint.origin.covers(view) {
                    return Ok(None);
                }
                self.credentials.apply_now(view, now)
            })
            .map_err(|error| error.for_deployment(&self.name))
    }

    /// The same with what [`Credentials::renew`] prepared, for a replay.
    ///
    /// # Errors
    /// As [`Deployment::authorize`].
    pub async fn authorize_with<T: Outbound>(
        &self,
        request: &mut T,
        body: BodyView<'_>,
        clock: &dyn Clock,
        attempt: Attempt,
    ) -> Result<AppliedAll, AuthError> {
        let covered = request.lend(body, |view| {
            let covered = self.endpoint.origin.covers(view);
            if !covered {
                self.credentials.strip(view);
            }
            covered
        });
        if !covered {
            let message = format!(
                "the request does not go to {}, the only place its credential may go",
                self.origin()
            );
            return Err(AuthError::new(ErrorKind::Origin, message).for_deployment(&self.name));
        }
        let result = self
            .credentials
            .authorize(request, body, clock, attempt)
            .await;
        result.map_err(|error| error.for_deployment(&self.name))
    }

    /// How much of the body must be seen, in bytes, before [`Deployment::reconsider`] can tell whether
    /// the credential was rejected; mostly none.
    #[must_use]
    pub fn wants_body(&self, applied: &AppliedAll, answer: &ResponseView<'_>) -> Option<usize> {
        match self.credentials.observe(applied, answer) {
            Verdict::NeedsBody(bytes) if answer.body.is_none() => Some(bytes),
            _ => None,
        }
    }

    /// What an answer calls for: `Some` to send the request once more, with what is in it; `None` to
    /// hand the answer on. Call it once for each call, so that nothing is sent a third time.
    ///
    /// `repeatable` tells whether the request can be sent again; where it cannot, a refused
    /// credential is renewed for the next call.
    pub async fn reconsider(
        &self,
        applied: &AppliedAll,
        answer: &ResponseView<'_>,
        repeatable: bool,
    ) -> Option<Attempt> {
        let again = match self.credentials.observe(applied, answer) {
            Verdict::Replay => Some(Attempt::default()),
            // Where nothing newer is to be had, the deployment's own answer says more.
            Verdict::Renew => self.credentials.renew(applied, answer).await.ok(),
            _ => None,
        };
        again.filter(|_| repeatable)
    }

    /// The headers a request to this deployment needs now, for people with an HTTP client of their
    /// own. Ask again for every call: they expire. Send them to this deployment's origin only.
    ///
    /// # Errors
    /// When the credential is not to be had, or depends on the request (signing methods).
    pub async fn headers(&self, clock: &dyn Clock) -> Result<HeaderMap, AuthError> {
        if self.credentials.needs() > crate::method::BodyNeed::Nothing {
            let message = "this method signs each request, so there is no header to take away: call through Gatepass";
            return Err(AuthError::new(ErrorKind::Body, message).for_deployment(&self.name));
        }
        let mut request = http::Request::new(());
        let uri = self
            .endpoint
            .single
            .as_str()
            .parse::<http::Uri>()
            .map_err(|_| {
                AuthError::new(ErrorKind::Path, "url does not fit a request")
                    .for_deployment(&self.name)
            })?;
        *request.uri_mut() = uri;
        self.authorize(&mut request, BodyView::Empty, clock).await?;
        Ok(std::mem::take(request.headers_mut()))
    }
}
