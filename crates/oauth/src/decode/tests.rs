//! Token replies as servers write them, and as none should.

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
    let auth0 = r#"{"access_token":"t","scope":"read:m","expires_in":86400,"token_type":"Bearer"}"#;
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
