//! Errors that the gateway itself answers with: problem+json (RFC 9457), in words that stock SDKs show.

use std::time::Duration;

use bytes::Bytes;
use gatepass_core::{AuthError, ErrorKind};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};

/// Says which part the error is about; never taken over from an upstream.
pub(crate) const ERROR_HEADER: HeaderName = HeaderName::from_static("x-gatepass-error");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Who failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Config,
    TokenEndpoint,
    Upstream,
    Gateway,
}

impl Part {
    /// In the order of their numbers.
    pub(crate) const ALL: [Self; 4] = [
        Self::Config,
        Self::TokenEndpoint,
        Self::Upstream,
        Self::Gateway,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::TokenEndpoint => "token_endpoint",
            Self::Upstream => "upstream",
            Self::Gateway => "gateway",
        }
    }
}

/// An answer that the gateway makes itself.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) part: Part,
    pub(crate) detail: String,
    pub(crate) retry_after: Option<Duration>,
    /// Asking again without changing anything will not help.
    permanent: bool,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, part: Part, detail: impl Into<String>) -> Self {
        Self {
            status,
            part,
            detail: detail.into(),
            retry_after: None,
            permanent: status.is_client_error(),
        }
    }

    /// A wrong key of the gateway's own, or none.
    pub(crate) fn key(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Part::Gateway, detail)
    }

    /// Unknown and forbidden deployments look the same.
    pub(crate) fn unknown(name: &str) -> Self {
        let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
        let detail = format!(
            "no deployment {shown:?} is open to this key: the path begins with /NAME/, and the key's `deployments` must list it"
        );
        Self::new(StatusCode::NOT_FOUND, Part::Gateway, detail)
    }

    /// A credential that is not to be had.
    pub(crate) fn credential(error: &AuthError) -> Self {
        let (status, part) = match error.kind() {
            ErrorKind::Path => (StatusCode::BAD_REQUEST, Part::Gateway),
            ErrorKind::Body => (StatusCode::PAYLOAD_TOO_LARGE, Part::Gateway),
            ErrorKind::TokenEndpoint if error.retry_after().is_some() => {
                (StatusCode::SERVICE_UNAVAILABLE, Part::TokenEndpoint)
            }
            ErrorKind::TokenEndpoint => (StatusCode::BAD_GATEWAY, Part::TokenEndpoint),
            _ => (StatusCode::BAD_GATEWAY, Part::Config),
        };
        Self {
            retry_after: error.retry_after(),
            permanent: !error.is_retryable(),
            ..Self::new(status, part, error.to_string())
        }
    }

    /// Too much is under way; a moment later there may be room.
    pub(crate) fn busy(detail: String) -> Self {
        Self {
            retry_after: Some(Duration::ZERO),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, Part::Gateway, detail)
        }
    }

    /// What cannot be.
    pub(crate) fn internal() -> Self {
        let detail = "the gateway lost track of this request: report it";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, Part::Gateway, detail)
    }

    pub(crate) fn upstream(status: StatusCode, detail: String) -> Self {
        Self::new(status, Part::Upstream, detail)
    }

    pub(crate) fn permanent(mut self) -> Self {
        self.permanent = true;
        self
    }

    pub(crate) fn into_response(self, request_id: &HeaderValue) -> Response<Bytes> {
        let id = request_id.to_str().unwrap_or_default();
        let body = serde_json::json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "message": self.detail,
            "request_id": id,
        });
        let mut response = Response::new(Bytes::from(body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(CONTENT_TYPE, json);
        headers.insert(ERROR_HEADER, HeaderValue::from_static(self.part.name()));
        if self.permanent {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        if let Some(after) = self.retry_after {
            // Rounded up: a client that comes a moment early is turned away once more.
            headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs() + 1));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
