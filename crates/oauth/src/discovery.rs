//! The token URL of an issuer, from its published metadata (RFC 8414, OpenID Connect Discovery 1.0).

use std::time::Duration;

use bytes::Bytes;
use gatepass_core::{Clock, Now, Origin, endpoint_url};
use http::header::ACCEPT;
use http::{HeaderValue, Request, Uri};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use crate::error::{TokenError, TokenErrorKind};
use crate::transport::{MAX_REPLY, TokenTransport, TransportFailure};

/// Metadata is asked for anew after this.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// Finds out, and remembers, where an issuer hands out tokens.
#[derive(Debug)]
pub(crate) struct Discovery {
    issuer: Url,
    /// Other origins that its token endpoint may have.
    allowed: Vec<Origin>,
    allow_insecure_http: bool,
    known: Mutex<Option<(Url, Now)>>,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    token_endpoint: String,
}

impl Discovery {
    pub(crate) fn new(issuer: Url, allowed: Vec<Origin>, allow_insecure_http: bool) -> Self {
        Self {
            issuer,
            allowed,
            allow_insecure_http,
            known: Mutex::default(),
        }
    }

    pub(crate) async fn token_url(
        &self,
        transport: &dyn TokenTransport,
        clock: &dyn Clock,
    ) -> Result<Url, TokenError> {
        let mut known = self.known.lock().await;
        let now = clock.now();
        if let Some((url, until)) = known.as_ref().filter(|(_, until)| !now.reached(*until)) {
            let _ = until;
            return Ok(url.clone());
        }
        let mut last = None;
        for place in self.places() {
            match self.ask(&place, transport).await {
                Ok(url) => {
                    *known = Some((url.clone(), now.after(KEPT)));
                    return Ok(url);
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| self.fail("has no address for its metadata: set token_url")))
    }

    /// OpenID's place, which nearly everybody serves, then that of RFC 8414 s3.1.
    fn places(&self) -> Vec<Url> {
        let path = self.issuer.path().trim_end_matches('/');
        let at = |path: String| {
            let mut url = self.issuer.clone();
            url.set_path(&path);
            url.set_query(None);
            url
        };
        vec![
            at(format!("{path}/.well-known/openid-configuration")),
            at(format!("/.well-known/oauth-authorization-server{path}")),
        ]
    }

    async fn ask(&self, place: &Url, transport: &dyn TokenTransport) -> Result<Url, TokenError> {
        let uri = place.as_str().parse::<Uri>();
        let uri = uri.map_err(|_| self.fail("does not fit a request: check issuer"))?;
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = uri;
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(ACCEPT, json);
        let reply = transport
            .send(request, MAX_REPLY)
            .await
            .map_err(|failure| {
                let (kind, what) = match failure {
                    TransportFailure::Connect(why) => (
                        TokenErrorKind::Unreachable,
                        format!("cannot be reached, {why}"),
                    ),
                    TransportFailure::Timeout => (
                        TokenErrorKind::Timeout,
                        "did not answer in time: check issuer and network".into(),
                    ),
                    _ => (
                        TokenErrorKind::Unreadable,
                        "broke off, or answered with too much: it is asked again by itself".into(),
                    ),
                };
                TokenError::new(kind, format!("issuer {} {what}", self.shown()))
            })?;
        if !reply.status.is_success() {
            let status = reply.status.as_u16();
            let what = format!(
                "answered {status} where its metadata should be: check issuer, or set token_url"
            );
            return Err(self.fail(&what));
        }
        let metadata: Metadata = serde_json::from_slice(&reply.body).map_err(|_| {
            self.fail("serves no metadata with a token_endpoint: check issuer, or set token_url")
        })?;
        // RFC 8414 s3.3: what names another issuer must not be used.
        if metadata.issuer.trim_end_matches('/') != self.issuer.as_str().trim_end_matches('/') {
            return Err(self.fail(
                "calls itself by another name in its metadata: set issuer to exactly that name",
            ));
        }
        let url =
            endpoint_url(&metadata.token_endpoint, self.allow_insecure_http).map_err(|_| {
                self.fail("names a token endpoint that no secret may go to: set token_url")
            })?;
        let origin = Origin::of(&url);
        let trusted = origin == Origin::of(&self.issuer)
            || self
                .allowed
                .iter()
                .any(|allowed| Some(allowed) == origin.as_ref());
        if trusted {
            return Ok(url);
        }
        let shown = origin.map_or_else(String::new, |origin| origin.to_string());
        Err(self.fail(&format!(
            "names a token endpoint at {shown}, another origin than its own: list that in token_origins if you trust it"
        )))
    }

    fn shown(&self) -> &str {
        &self.issuer[..url::Position::AfterPath]
    }

    fn fail(&self, what: &str) -> TokenError {
        TokenError::new(
            TokenErrorKind::Unreadable,
            format!("issuer {} {what}", self.shown()),
        )
    }
}
