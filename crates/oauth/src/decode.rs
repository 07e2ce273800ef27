//! The token reply: tolerant in what it reads, strict in what it hands out. Pure, so that it can be
//! fuzzed.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepass_core::{Bearer, Now};
use http::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::credential::ClientCredentials;
use crate::credential::Scope;
use crate::error::{TokenError, TokenErrorKind};
use crate::lifetime::MAX_LIFETIME;
use crate::provider_errors;
use crate::skew::Skew;
use crate::transport::TokenReply;

/// A `Retry-After` is obeyed up to this.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(15 * 60);

/// A token that was handed out.
///
/// ```
/// # use std::sync::Arc;
/// # use gatepass_core::Secret;
/// # use gatepass_oauth::{Basic, ClientCredentials, Scope};
/// # let token_url = "https://auth.example.com/oauth/token".parse().unwrap();
/// # let mut credential = ClientCredentials::new(token_url, Secret::new("id"), Secret::new("s3cr3t"));
/// # credential.client_auth = Arc::new(Basic);
/// # credential.scope = Scope::None;
///
/// use gatepass_core::{Clock, SystemClock};
/// use gatepass_oauth::{TokenReply, decode};
/// let reply = TokenReply {
///     status: http::StatusCode::OK,
///     headers: http::HeaderMap::new(),
///     body: br#"{"access_token": "abc", "token_type": "bearer", "expires_in": "3600"}"#.to_vec().into(),
/// };
/// let granted = decode(&credential, &reply, SystemClock.now())?;
/// assert_eq!(granted.header, "Bearer abc");
/// assert_eq!((granted.lifetime.as_secs(), granted.scope), (3600, None));
/// # Ok::<(), gatepass_oauth::TokenError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Granted {
    /// `Bearer <token>`, sensitive.
    pub header: HeaderValue,
    /// How long it lives from the moment before its request left; zero serves only who waited.
    pub lifetime: Duration,
    /// Whether the reply stated a lifetime.
    pub lifetime_stated: bool,
    /// The scope that was granted, where stated (RFC 6749 s5.1).
    pub scope: Option<String>,
    /// How far our clock is from the token endpoint's, where its reply has a date.
    pub skew: Option<Skew>,
}

/// Reads a token reply (RFC 6749 s5).
///
/// Tolerated: `expires_in` as an integer, a float or a text; `expires_on`; any 2xx; an odd or absent
/// content type; a byte order mark; a form body where declared. Refused: an `error` even in a 200,
/// an absent or other token type than bearer, a token that no header can carry.
///
/// ```
/// # use std::sync::Arc;
/// # use gatepass_core::Secret;
/// # use gatepass_oauth::{Basic, ClientCredentials, Scope};
/// # let token_url = "https://auth.example.com/oauth/token".parse().unwrap();
/// # let mut credential = ClientCredentials::new(token_url, Secret::new("id"), Secret::new("s3cr3t"));
/// # credential.client_auth = Arc::new(Basic);
/// # credential.scope = Scope::None;
///
/// use gatepass_core::{Clock, SystemClock};
/// use gatepass_oauth::{TokenReply, decode};
/// let reply = TokenReply {
///     status: http::StatusCode::OK,
///     headers: http::HeaderMap::new(),
///     body: br#"{"access_token": "abc", "token_type": "bearer", "expires_in": "3600"}"#.to_vec().into(),
/// };
/// let granted = decode(&credential, &reply, SystemClock.now())?;
/// assert_eq!(granted.header, "Bearer abc");
/// assert!(granted.lifetime_stated);
/// # Ok::<(), gatepass_oauth::TokenError>(())
/// ```
///
/// # Errors
/// What the token endpoint did instead, with what to do; nothing of the body but a plain error code.
pub fn decode(
    credential: &ClientCredentials,
    reply: &TokenReply,
    now: Now,
) -> Result<Granted, TokenError> {
    let endpoint = credential.endpoint();
    let fields = read_fields(reply);
    if let Some(code) = fields
        .as_ref()
        .ok()
        .and_then(|fields| fields.error.as_ref())
    {
        let description = fields.as_ref().ok().and_then(Fields::description);
        return Err(refusal(
            credential,
            reply,
            Some(&plain_code(code)),
            description,
        ));
    }
    if !reply.status.is_success() {
        return Err(refusal(credential, reply, None, None));
    }
    let status = reply.status.as_u16();
    let fields = fields.map_err(|what| {
        let message =
            format!("token endpoint {endpoint} answered {status} with {what}: check token_url");
        TokenError::new(TokenErrorKind::Unreadable, message)
    })?;
    let unusable = |what: &str| {
        let message = format!("token endpoint {endpoint} answered {status}, but {what}");
        TokenError::new(TokenErrorKind::UnusableToken, message)
    };
    match fields.token_type.as_ref().and_then(Value::as_str) {
        Some(kind) if kind.trim().eq_ignore_ascii_case("bearer") => {}
        Some(_) => {
            return Err(unusable(
                "the token is no bearer token, and nothing else is supported: have bearer tokens handed out to this client",
            ));
        }
        None if credential.assume_bearer => {}
        None => {
            return Err(unusable(
                "does not say what type the token is: set assume_bearer = true to take it",
            ));
        }
    }
    let token = fields
        .access_token
        .as_ref()
        .ok_or_else(|| unusable("the reply has no access_token: check token_url"))?;
    let header = Bearer::header(token).map_err(|what| unusable(&format!("the token {what}")))?;
    let stated = fields.lifetime(now);
    let lifetime = stated.unwrap_or_else(|| {
        let by_jwt = jwt_expiry(token).map(|at| at.saturating_sub(now.wall()));
        by_jwt.map_or(credential.default_lifetime, |left| {
            left.min(credential.default_lifetime)
        })
    });
    Ok(Granted {
        header,
        lifetime: lifetime.min(credential.max_lifetime),
        lifetime_stated: stated.is_some(),
        scope: fields
            .scope
            .as_ref()
            .and_then(Value::as_str)
            .map(str::to_owned),
        skew: Skew::of(&reply.headers, now),
    })
}

/// The fields of a reply that matter; twice the same one is an error.
#[derive(Default, Deserialize)]
struct Fields {
    #[serde(default, deserialize_with = "wiped_text")]
    access_token: Option<Zeroizing<String>>,
    token_type: Option<Value>,
    expires_in: Option<Value>,
    expires_on: Option<Value>,
    scope: Option<Value>,
    error: Option<Value>,
    error_description: Option<Value>,
}

impl Fields {
    fn description(&self) -> Option<&str> {
        self.error_description.as_ref()?.as_str()
    }

    /// The stated lifetime; zero for one that is over already.
    fn lifetime(&self, now: Now) -> Option<Duration> {
        let from_now = self.expires_in.as_ref().and_then(number);
        let seconds = from_now.or_else(|| {
            let at = self.expires_on.as_ref().and_then(number)?;
            Some(at - now.wall().as_secs_f64())
        })?;
        Some(
            Duration::try_from_secs_f64(seconds.max(0.0))
                .unwrap_or(MAX_LIFETIME)
                .min(MAX_LIFETIME),
        )
    }
}

fn wiped_text<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Zeroizing<String>>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Zeroizing::new))
}

/// A number as a number or as a text.
fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    (!number.is_nan()).then_some(number)
}

/// The fields of the body, or what it is instead.
fn read_fields(reply: &TokenReply) -> Result<Fields, &'static str> {
    let body = reply
        .body
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(&reply.body);
    if body.trim_ascii().is_empty() {
        return Err("an empty body");
    }
    let text = std::str::from_utf8(body).map_err(|_| "a body that is not UTF-8")?;
    let declared = reply
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if declared.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
        return Ok(form_fields(text));
    }
    if text.trim_start().starts_with('<') {
        return Err("an HTML page");
    }
    serde_json::from_str(text).map_err(|error| {
        if error.is_eof() {
            "a JSON body that ends too early"
        } else {
            "a body that is no token reply"
        }
    })
}

fn form_fields(text: &str) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        let value = value.into_owned();
        match &*name {
            "access_token" => fields.access_token = Some(Zeroizing::new(value)),
            "token_type" => fields.token_type = Some(value.into()),
            "expires_in" => fields.expires_in = Some(value.into()),
            "expires_on" => fields.expires_on = Some(value.into()),
            "scope" => fields.scope = Some(value.into()),
            "error" => fields.error = Some(value.into()),
            "error_description" => fields.error_description = Some(value.into()),
            _ => {}
        }
    }
    fields
}

/// An error code if it is one: lower-case letters and `_`. Anything else might be an echo.
fn plain_code(code: &Value) -> String {
    let is_plain = |text: &&str| {
        !text.is_empty()
            && text.len() <= 40
            && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    };
    code.as_str()
        .filter(is_plain)
        .unwrap_or("an error code of its own")
        .to_owned()
}

/// What a refusing reply means, and what to do (RFC 6749 s5.2).
fn refusal(
    credential: &ClientCredentials,
    reply: &TokenReply,
    code: Option<&str>,
    description: Option<&str>,
) -> TokenError {
    let endpoint = credential.endpoint();
    let status = reply.status;
    let number = status.as_u16();
    let wait = retry_after(&reply.headers);
    let fail = |kind, what: String| TokenError::new(kind, what).with_retry_after(wait);
    let busy = matches!(
        code,
        Some("temporarily_unavailable" | "server_error" | "slow_down")
    );
    if busy || status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        let what = match (status, code) {
            (StatusCode::TOO_MANY_REQUESTS, _) => "asks for fewer requests (429)".to_owned(),
            (_, Some(code)) => format!("cannot serve now ({code})"),
            _ => format!("cannot serve now ({number})"),
        };
        let fix = "it is asked again by itself; ask its operator if this lasts";
        return fail(
            TokenErrorKind::Unavailable,
            format!("token endpoint {endpoint} {what}: {fix}"),
        );
    }
    if status.is_redirection() {
        let what = format!(
            "token endpoint {endpoint} redirects elsewhere ({number}), where no secret is sent: set token_url to its final address"
        );
        return fail(TokenErrorKind::Unreadable, what);
    }
    if let Some((cause, fix)) = description.and_then(provider_errors::explain) {
        let what = format!("token endpoint {endpoint} says {cause}: {fix}");
        return fail(TokenErrorKind::Refused, what);
    }
    let scope_hint = match credential.scope {
        Scope::Default => {
            "`scope` is not set, so `all-apis` was sent; set it, or `scope = \"\"` for none"
        }
        Scope::Custom(_) | Scope::None => "check scope",
    };
    let (kind, cause, fix) = match code {
        Some(code @ "invalid_client") => (
            TokenErrorKind::Refused,
            format!("refused the client ({code})"),
            "check client_id and client_secret, and client_auth if they are right".to_owned(),
        ),
        Some(code @ ("invalid_scope" | "scope_invalid")) => (
            TokenErrorKind::Refused,
            format!("refused the scope ({code})"),
            scope_hint.to_owned(),
        ),
        Some(code @ ("unauthorized_client" | "unsupported_grant_type" | "access_denied")) => (
            TokenErrorKind::Refused,
            format!("refused the grant ({code})"),
            "allow client_credentials for this client there".to_owned(),
        ),
        Some(code) => (
            TokenErrorKind::Refused,
            format!("refused the request ({code})"),
            format!("check token_url and the client's settings there; {scope_hint}"),
        ),
        None if matches!(number, 401 | 403) => (
            TokenErrorKind::Refused,
            format!("refused the client ({number}, without saying why)"),
            format!("check client_id, client_secret and client_auth; {scope_hint}"),
        ),
        None => (
            TokenErrorKind::Unreadable,
            format!("answered {number} and no token reply"),
            "check token_url".to_owned(),
        ),
    };
    fail(kind, format!("token endpoint {endpoint} {cause}: {fix}"))
}

/// `Retry-After` in seconds or as a date (RFC 9110 s10.2.3); a date counts against the reply's own.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let value = text(RETRY_AFTER)?.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = httpdate::parse_http_date(value).ok()?;
            let from = httpdate::parse_http_date(text(DATE)?).ok()?;
            until.duration_since(from).unwrap_or_default()
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// The `exp` of a token that is a readable JWT (RFC 7519 s4.1.4), since the Unix epoch.
fn jwt_expiry(token: &str) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Claims {
        exp: Option<Value>,
    }
    let mut parts = token.split('.');
    let (_, payload, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    let claims = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload).ok()?);
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    Duration::try_from_secs_f64(number(&claims.exp?)?).ok()
}

#[cfg(test)]
mod tests; // replies as servers write them, and as none should
