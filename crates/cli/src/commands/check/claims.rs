//! What a token says of itself, if it is a readable JWT (RFC 7519 s4.1). Read for explanations
//! only, never trusted.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// The longest claim that is shown, in bytes.
const LONGEST: usize = 120;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Claims {
    pub(super) audience: Option<String>,
    pub(super) issuer: Option<String>,
    pub(super) not_before: Option<Duration>,
    pub(super) expires: Option<Duration>,
}

impl Claims {
    pub(super) fn of(token: &str) -> Option<Self> {
        let payload = token.split('.').nth(1)?;
        let json = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let claims: Value = serde_json::from_slice(&json).ok()?;
        let time = |name: &str| {
            let seconds = claims.get(name)?.as_f64()?;
            Duration::try_from_secs_f64(seconds).ok()
        };
        Some(Self {
            audience: claims.get("aud").and_then(audience),
            issuer: claims.get("iss").and_then(plain),
            not_before: time("nbf").or_else(|| time("iat")),
            expires: time("exp"),
        })
    }
}

fn audience(value: &Value) -> Option<String> {
    match value {
        Value::Array(items) => {
            let all: Option<Vec<_>> = items.iter().map(plain).collect();
            all.map(|all| all.join(", "))
        }
        one => plain(one),
    }
}

/// A claim that can be shown: visible ASCII, and short.
fn plain(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let shown = text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic());
    shown.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(payload: &str, want: Option<(Option<&str>, Option<u64>)>) {
        let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload));
        let got = Claims::of(&token);
        let got = got.map(|claims| (claims.audience, claims.expires.map(|at| at.as_secs())));
        assert_eq!(got, want.map(|(aud, exp)| (aud.map(str::to_owned), exp)));
    }

    #[test]
    fn readable_claims_are_read_and_odd_ones_left_alone() {
        check(
            r#"{"aud":"urn:model","exp":99}"#,
            Some((Some("urn:model"), Some(99))),
        );
        check(
            r#"{"aud":["a","b"],"exp":1.5}"#,
            Some((Some("a, b"), Some(1))),
        );
        check(r#"{"aud":"line\nbreak","exp":-1}"#, Some((None, None)));
        check("[]", Some((None, None)));
        check("no json", None);
        assert_eq!(Claims::of("opaque"), None);
        assert_eq!(Claims::of("a.!.c"), None);
    }
}
