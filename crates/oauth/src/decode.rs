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
mod tests {
    use super::*;
    use gatepass_core::Secret;
    use proptest::prelude::*;

    const NOW: Now = Now::new(Duration::ZERO, Duration::from_secs(1_000));

    fn credential() -> ClientCredentials {
        let token_url = "https://auth.test/token?key=canary".parse().unwrap();
        ClientCredentials::new(token_url, Secret::new("id"), Secret::new("canary"))
    }

    fn reply(status: u16, body: impl Into<Vec<u8>>) -> TokenReply {
        let status = StatusCode::from_u16(status).unwrap();
        TokenReply {
            status,
            headers: HeaderMap::new(),
            body: Zeroizing::new(body.into()),
        }
    }

    fn check_lifetime(field: &str, want: f64) {
        let body = format!(r#"{{"access_token":"tok","token_type":"bearer"{field}}}"#);
        for status in [200, 201] {
            let got = decode(&credential(), &reply(status, body.clone()), NOW).unwrap();
            assert_eq!(got.header, "Bearer tok");
            assert!(
                (got.lifetime.as_secs_f64() - want).abs() < 1e-6,
                "{field}: {:?}",
                got.lifetime
            );
        }
    }

    #[test]
    fn lifetimes_in_every_shape() {
        check_lifetime(r#","expires_in":3599"#, 3599.0);
        check_lifetime(r#","expires_in":3599.0"#, 3599.0);
        check_lifetime(r#","expires_in":"3599""#, 3599.0);
        check_lifetime(r#","expires_in":" 3599 ""#, 3599.0);
        check_lifetime(r#","expires_in":1000000000000000000"#, 86_400.0);
        check_lifetime(r#","expires_in":1e300"#, 86_400.0);
        check_lifetime(r#","expires_in":0"#, 0.0);
        check_lifetime(r#","expires_in":-1"#, 0.0);
        check_lifetime(r#","expires_in":-1e300"#, 0.0);
        check_lifetime(r#","expires_in":null"#, 300.0);
        check_lifetime(r#","expires_in":"soon""#, 300.0);
        check_lifetime(r#","expires_in":"NaN""#, 300.0);
        check_lifetime("", 300.0);
        check_lifetime(r#","expires_on":"1600""#, 600.0);
        check_lifetime(r#","expires_on":500"#, 0.0);
    }

    #[test]
    fn a_jwt_shortens_an_unstated_lifetime() {
        let jwt = |exp: u64| {
            let payload = URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{exp}}}"#));
            format!(r#"{{"access_token":"e30.{payload}.sig","token_type":"Bearer"}}"#)
        };
        for (exp, want) in [(1_060, 60), (9_999, 300), (10, 0)] {
            let got = decode(&credential(), &reply(200, jwt(exp)), NOW).unwrap();
            assert_eq!(got.lifetime.as_secs(), want);
            assert!(!got.lifetime_stated);
        }
    }

    #[test]
    fn a_byte_order_mark_and_a_declared_form_are_read() {
        let body = "\u{feff} {\"access_token\":\"tok\",\"token_type\":\"BEARER\",\"scope\":\"ml\"}";
        let got = decode(&credential(), &reply(200, body), NOW).unwrap();
        assert_eq!(got.scope.as_deref(), Some("ml"));
        let mut form = reply(200, "access_token=tok&token_type=bearer&expires_in=60");
        form.headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8"),
        );
        assert_eq!(
            decode(&credential(), &form, NOW)
                .unwrap()
                .lifetime
                .as_secs(),
            60
        );
    }

    fn check_error(status: u16, body: &str, kind: TokenErrorKind, needle: &str) {
        let error = decode(&credential(), &reply(status, body), NOW).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), kind, "{text}");
        assert!(text.contains(needle), "{text}");
        assert!(!format!("{error:?}{text}").contains("canary"), "{text}");
    }

    #[test]
    fn each_refusal_has_its_own_words() {
        use TokenErrorKind::{Refused, Unavailable, Unreadable, UnusableToken};
        check_error(
            400,
            r#"{"error":"invalid_client"}"#,
            Refused,
            "check client_id and client_secret",
        );
        check_error(
            401,
            r#"{"error":"invalid_client","error_description":"canary"}"#,
            Refused,
            "invalid_client",
        );
        check_error(
            400,
            r#"{"error":"invalid_scope"}"#,
            Refused,
            "so `all-apis` was sent",
        );
        check_error(
            400,
            r#"{"error":"canary-42"}"#,
            Refused,
            "an error code of its own",
        );
        check_error(
            400,
            r#"{"error":{"deep":"canary"}}"#,
            Refused,
            "an error code of its own",
        );
        check_error(
            200,
            r#"{"error":"invalid_client"}"#,
            Refused,
            "invalid_client",
        );
        check_error(401, "canary", Refused, "401, without saying why");
        check_error(403, "", Refused, "403, without saying why");
        check_error(404, "canary", Unreadable, "check token_url");
        check_error(429, "", Unavailable, "fewer requests");
        check_error(500, "canary", Unavailable, "cannot serve now (500)");
        check_error(302, "", Unreadable, "final address");
        check_error(200, "", Unreadable, "an empty body");
        check_error(200, "<html>canary</html>", Unreadable, "an HTML page");
        check_error(
            200,
            "{\"access_token\":\"canary",
            Unreadable,
            "ends too early",
        );
        check_error(200, "[1]", Unreadable, "no token reply");
        check_error(
            200,
            r#"{"access_token":"canary","access_token":"b","token_type":"bearer"}"#,
            Unreadable,
            "no token reply",
        );
        check_error(
            200,
            r#"{"access_token":"canary","token_type":"mac"}"#,
            UnusableToken,
            "no bearer token",
        );
        check_error(
            200,
            r#"{"access_token":"canary"}"#,
            UnusableToken,
            "assume_bearer",
        );
        check_error(
            200,
            r#"{"token_type":"bearer"}"#,
            UnusableToken,
            "no access_token",
        );
        check_error(
            200,
            r#"{"access_token":"a\r\nx: canary","token_type":"bearer"}"#,
            UnusableToken,
            "control character",
        );
        check_error(
            200,
            r#"{"access_token":"a b","token_type":"bearer"}"#,
            UnusableToken,
            "a space",
        );
        check_error(
            200,
            r#"{"access_token":"","token_type":"bearer"}"#,
            UnusableToken,
            "empty",
        );
        check_error(
            200,
            r#"{"access_token":7,"token_type":"bearer"}"#,
            Unreadable,
            "no token reply",
        );
    }

    #[test]
    fn retry_after_counts_dates_against_the_replys_own() {
        let mut busy = reply(503, "");
        let mut check = |value: &'static str, want: Option<u64>| {
            busy.headers
                .insert(RETRY_AFTER, HeaderValue::from_static(value));
            busy.headers.insert(
                DATE,
                HeaderValue::from_static("Tue, 24 Nov 2026 10:00:00 GMT"),
            );
            let error = decode(&credential(), &busy, NOW).unwrap_err();
            assert_eq!(
                error.retry_after().map(|wait| wait.as_secs()),
                want,
                "{value}"
            );
        };
        check("30", Some(30));
        check("99999999", Some(900));
        check("Tue, 24 Nov 2026 10:00:20 GMT", Some(20));
        check("Tue, 24 Nov 2026 09:00:00 GMT", Some(0));
        check("soon", None);
    }

    fn provider(status: u16, body: &str) -> String {
        decode(&credential(), &reply(status, body), NOW).map_or_else(
            |error| error.to_string(),
            |granted| format!("{} s, {:?}", granted.lifetime.as_secs(), granted.scope),
        )
    }

    /// Replies of the shape each provider documents, and its common refusals.
    #[test]
    fn replies_of_providers_are_read() {
        let entra = r#"{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"eyJ0.e30.x"}"#;
        assert_eq!(provider(200, entra), "3599 s, None");
        let entra_v1 = r#"{"token_type":"Bearer","expires_in":"3599","expires_on":"4600","not_before":"1000","resource":"r","access_token":"t"}"#;
        assert_eq!(provider(200, entra_v1), "3599 s, None");
        let databricks =
            r#"{"access_token":"t","token_type":"Bearer","expires_in":3600,"scope":"all-apis"}"#;
        assert_eq!(provider(200, databricks), "3600 s, Some(\"all-apis\")");
        let okta = r#"{"token_type":"Bearer","expires_in":86400,"access_token":"t","scope":"ml"}"#;
        assert_eq!(provider(200, okta), "86400 s, Some(\"ml\")");
        let auth0 =
            r#"{"access_token":"t","scope":"read:m","expires_in":86400,"token_type":"Bearer"}"#;
        assert_eq!(provider(200, auth0), "86400 s, Some(\"read:m\")");
        let keycloak = r#"{"access_token":"t","expires_in":300,"refresh_expires_in":0,"token_type":"Bearer","not-before-policy":0,"scope":"email profile"}"#;
        assert_eq!(provider(200, keycloak), "300 s, Some(\"email profile\")");
        let check = |status, body: &str, needle: &str| {
            let text = provider(status, body);
            assert!(text.contains(needle), "no {needle:?} in {text}");
            assert!(!text.contains("canary"), "{text}");
        };
        check(
            401,
            r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided. canary","error_codes":[7000215]}"#,
            "the secret's value, not its id",
        );
        check(
            400,
            r#"{"error":"unauthorized_client","error_description":"AADSTS700016: Application with identifier 'canary' was not found"}"#,
            "check client_id and tenant",
        );
        check(
            400,
            r#"{"error":"invalid_request","error_description":"AADSTS90002: Tenant 'canary' not found."}"#,
            "no such tenant",
        );
        check(
            401,
            r#"{"error":"invalid_client","error_description":"Client authentication failed"}"#,
            "check client_id and client_secret",
        );
        check(
            400,
            r#"{"error":"invalid_scope","error_description":"One or more scopes are not configured for the authorization server resource."}"#,
            "has no such scope (Okta)",
        );
        check(
            403,
            r#"{"error":"access_denied","error_description":"Service not enabled within domain: https://canary"}"#,
            "no API of that audience",
        );
        check(
            401,
            r#"{"error":"unauthorized_client","error_description":"Client not enabled to retrieve service account"}"#,
            "has no service account",
        );
    }

    proptest! {
        #[test]
        fn no_reply_panics_or_leaks(
            status in 100u16..600,
            body in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..200),
                r#"\{"access_token":"[ -~]{0,8}","token_type":"(bearer|mac)","expires_in":"?-?[0-9.eE+]{0,24}"?\}"#
                    .prop_map(String::into_bytes),
            ],
        ) {
            if let Ok(granted) = decode(&credential(), &reply(status, body), NOW) {
                prop_assert!(granted.lifetime <= MAX_LIFETIME);
                prop_assert!(granted.header.is_sensitive());
            }
        }
    }
}
