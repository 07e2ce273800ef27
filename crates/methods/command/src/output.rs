//! What a command prints: a bare token, or JSON of one of the known shapes.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepass_core::Secret;
use jiff::Timestamp;
use serde_json::Value;
use zeroize::Zeroizing;

/// Where a token may stand, as a path of keys: `databricks` and OAuth replies; `az`; `gcloud config
/// config-helper`; kubectl's `ExecCredential`.
const TOKENS: &[&[&str]] = &[
    &["access_token"],
    &["accessToken"],
    &["credential", "access_token"],
    &["status", "token"],
    &["token"],
    &["id_token"],
];

/// Where an instant may stand. `az` prints its `expiresOn` in local time without saying so, and
/// `expires_on` since the epoch beside it.
const INSTANTS: &[&[&str]] = &[
    &["expires_on"],
    &["expiry"],
    &["credential", "token_expiry"],
    &["status", "expirationTimestamp"],
    &["expiration"],
    &["expires_at"],
];

/// A printed token, and when it ends as far as that is said.
pub(crate) struct Printed {
    pub(crate) token: Secret,
    ends: Ends,
}

enum Ends {
    /// Since the Unix epoch.
    At(Duration),
    In(Duration),
    Unknown,
}

impl Printed {
    /// Reads what a command printed; the error continues a sentence and quotes nothing.
    pub(crate) fn read(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if !text.starts_with('{') {
            if text.contains(char::is_whitespace) {
                return Err("prints more than a token: print the token alone, or JSON");
            }
            return Ok(Self::of(text, Ends::Unknown));
        }
        let json: Value = serde_json::from_str(text)
            .map_err(|_| "prints something that begins like JSON and is none: run it by hand")?;
        let token = TOKENS.iter().find_map(|path| at(&json, path)?.as_str());
        let token = token.filter(|token| !token.is_empty()).ok_or(
            "prints JSON without a token: access_token, accessToken or token is looked for",
        )?;
        let instant = INSTANTS.iter().find_map(|path| instant(at(&json, path)?));
        let seconds = at(&json, &["expires_in"]).and_then(number);
        let ends = match (seconds, instant) {
            (Some(seconds), _) => {
                Ends::In(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX))
            }
            (None, Some(at)) => Ends::At(at),
            (None, None) => Ends::Unknown,
        };
        Ok(Self::of(token, ends))
    }

    fn of(token: &str, ends: Ends) -> Self {
        let ends = match ends {
            Ends::Unknown => jwt_expiry(token).map_or(Ends::Unknown, Ends::At),
            known => known,
        };
        Self {
            token: Secret::new(token),
            ends,
        }
    }

    /// How long it lives from `wall`, where that is said.
    pub(crate) fn lifetime(&self, wall: Duration) -> Option<Duration> {
        match self.ends {
            Ends::At(end) => Some(end.saturating_sub(wall)),
            Ends::In(lifetime) => Some(lifetime),
            Ends::Unknown => None,
        }
    }
}

fn at<'a>(json: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(json, |value, key| value.get(key))
}

fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

/// Seconds since the epoch, or a date of RFC 3339.
fn instant(value: &Value) -> Option<Duration> {
    if let Some(seconds) = number(value) {
        return Duration::try_from_secs_f64(seconds.max(0.0)).ok();
    }
    let stamp: Timestamp = value.as_str()?.trim().parse().ok()?;
    Some(Duration::from_secs(
        u64::try_from(stamp.as_second()).unwrap_or(0),
    ))
}

/// The `exp` of a token that is a readable JWT (RFC 7519 s4.1.4).
fn jwt_expiry(token: &str) -> Option<Duration> {
    let payload = token.split('.').nth(1)?;
    let json = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload).ok()?);
    let claims: Value = serde_json::from_slice(&json).ok()?;
    instant(claims.get("exp")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Duration = Duration::from_secs(1_790_000_000);

    fn check(text: &str, want: Result<(&str, Option<u64>), &str>) {
        let got = Printed::read(text).map(|printed| {
            let lifetime = printed.lifetime(NOW).map(|lifetime| lifetime.as_secs());
            (printed.token.expose().to_owned(), lifetime)
        });
        match want {
            Ok((token, lifetime)) => assert_eq!(got, Ok((token.to_owned(), lifetime)), "{text}"),
            Err(needle) => assert!(got.unwrap_err().contains(needle), "{text}"),
        }
    }

    #[test]
    fn each_known_shape_is_read() {
        check("ya29.abc\n", Ok(("ya29.abc", None)));
        let az = r#"{"accessToken":"t","expiresOn":"2026-09-21 16:13:20.000000","expires_on":1790000600,"tokenType":"Bearer"}"#;
        check(az, Ok(("t", Some(600))));
        let databricks =
            r#"{"access_token":"t","token_type":"Bearer","expiry":"2026-09-21T16:23:20+02:00"}"#;
        check(databricks, Ok(("t", Some(600))));
        let gcloud = r#"{"credential":{"access_token":"t","token_expiry":"2026-09-21T14:23:20Z"}}"#;
        check(gcloud, Ok(("t", Some(600))));
        let kubectl = r#"{"kind":"ExecCredential","status":{"token":"t","expirationTimestamp":"2026-09-21T14:23:20Z"}}"#;
        check(kubectl, Ok(("t", Some(600))));
        check(
            r#"{"access_token":"t","expires_in":"60"}"#,
            Ok(("t", Some(60))),
        );
        check(r#"{"access_token":"t","expiry":"soon"}"#, Ok(("t", None)));
        check(r#"{"access_token":"t","expires_on":0}"#, Ok(("t", Some(0))));
        let jwt = format!("e30.{}.s", URL_SAFE_NO_PAD.encode(r#"{"exp":1790000060}"#));
        check(&jwt, Ok((&jwt, Some(60))));
        check(
            r#"{"access_token":"t","expires_in":1e300}"#,
            Ok(("t", Some(u64::MAX))),
        );
        check("ERROR: please run az login", Err("more than a token"));
        check("{", Err("begins like JSON"));
        check("{}", Err("without a token"));
        check(r#"{"access_token":""}"#, Err("without a token"));
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".*", keys in prop::collection::vec("[a-z_]{1,12}", 0..4), number: f64) {
            let _ = Printed::read(&text).map(|printed| printed.lifetime(NOW));
            for key in keys.iter().map(String::as_str).chain(["expires_in", "expires_on", "expiry"]) {
                let json = serde_json::json!({ "access_token": text, key: number });
                let _ = Printed::read(&json.to_string()).map(|printed| printed.lifetime(NOW));
            }
        }
    }
}
