//! What an answer means for the credential: verdict, likely cause, and what to do.

use std::time::Duration;

use gatepass_core::Now;
use gatepass_oauth::Skew;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, StatusCode};

use super::claims::Claims;
use super::row::{Row, Verdict};

/// The answer to the probe.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) now: Now,
}

/// What the probe carried.
#[derive(Default)]
pub(super) struct Sent {
    /// Names of the headers, as people write them.
    pub(super) headers: Vec<String>,
    /// The scheme of `Authorization`, if that was sent.
    pub(super) scheme: Option<String>,
    /// What its token says of itself.
    pub(super) claims: Option<Claims>,
    /// Whether it is renewed by itself.
    pub(super) renewable: bool,
    /// Whether the request was signed.
    pub(super) signed: bool,
}

impl Sent {
    pub(super) fn is_something(&self) -> bool {
        self.signed || !self.headers.is_empty()
    }

    fn is(&self, scheme: &str) -> bool {
        let ours = self.scheme.as_deref();
        ours.is_some_and(|ours| ours.eq_ignore_ascii_case(scheme))
    }
}

/// Whether a status refuses a credential.
pub(super) fn refuses(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// Fills in the verdict; `bare` is the answer to the same probe without the credential.
pub(super) fn diagnose(row: &mut Row, answer: &Answer, sent: &Sent, bare: Option<StatusCode>) {
    let skew = Skew::of(&answer.headers, answer.now).filter(|skew| skew.is_worth_a_note());
    if let Some(skew) = skew {
        let note = format!("{skew} of the deployment: set this machine's clock");
        row.notes.push(note);
    }
    if refuses(answer.status) {
        let (cause, fix) = if sent.is_something() {
            why_refused(answer, sent, skew)
        } else {
            let asked = match challenge(&answer.headers).scheme {
                Some(scheme) => format!(" ({scheme})"),
                None => String::new(),
            };
            (
                format!("it wants a credential{asked}, and authentication = \"none\" sends none"),
                "set authentication to what the deployment's owner names".to_owned(),
            )
        };
        row.fail(Verdict::Refused, &cause, Some(&fix));
        return;
    }
    let wanted = bare.is_some_and(refuses);
    let succeeded = answer.status.is_success();
    row.verdict = match (wanted, succeeded, bare) {
        (true, ..) => Verdict::Accepted,
        (false, true, None) => Verdict::Accepted,
        _ => Verdict::NotProved,
    };
    if row.verdict == Verdict::Accepted {
        return;
    }
    let number = answer.status.as_u16();
    let (cause, fix) = if succeeded {
        (
            format!("it answers {number} without the credential as well"),
            "set check = { path = \"..\" } to a path that wants the credential",
        )
    } else if answer.status.is_server_error() {
        (
            format!("it answers {number}, which says nothing about the credential"),
            "ask its operator if this lasts",
        )
    } else {
        (
            format!("it answers {number} to a GET, which says nothing about the credential"),
            "set check = { method = \"POST\", path = \"..\", body = \"..\" } if a call may be made",
        )
    };
    row.fail(Verdict::NotProved, &cause, Some(fix));
}

fn why_refused(answer: &Answer, sent: &Sent, skew: Option<Skew>) -> (String, String) {
    let text = |cause: &str, fix: &str| (cause.to_owned(), fix.to_owned());
    let challenge = challenge(&answer.headers);
    let number = answer.status.as_u16();
    if let Some(name) = sent.headers.iter().find(|name| name.contains('_')) {
        let other = name.replace('_', "-");
        return (
            format!("nginx and its kin drop headers with `_` in their name, like {name}"),
            format!(
                "try header = \"{other}\", or have `underscores_in_headers on` set there; else check the value"
            ),
        );
    }
    if let Some(explained) = sent
        .claims
        .as_ref()
        .and_then(|claims| by_time(claims, answer, sent, skew))
    {
        return explained;
    }
    if challenge.is("insufficient_scope") {
        return text(
            "the token lacks a scope the deployment wants (insufficient_scope)",
            "set scope to what the deployment's owner names",
        );
    }
    if let (Some(asked), Some(ours)) = (challenge.scheme.as_deref(), sent.scheme.as_deref())
        && !asked.eq_ignore_ascii_case(ours)
    {
        return (
            format!("it asks for {asked}, and {ours} was sent"),
            "set authentication to what it asks for".to_owned(),
        );
    }
    if let (Some(asked), None) = (challenge.scheme.as_deref(), sent.scheme.as_deref()) {
        let names = sent.headers.join(", ");
        return (
            format!("it asks for {asked} in Authorization, and {names} was sent"),
            "set authentication to what it asks for, or check the value".to_owned(),
        );
    }
    let for_whom = sent.claims.as_ref().and_then(|claims| {
        let audience = claims.audience.as_deref()?;
        let issuer = claims.issuer.as_deref().unwrap_or("an unnamed issuer");
        Some(format!("it is made out to \"{audience}\" by \"{issuer}\""))
    });
    if let Some(for_whom) = for_whom {
        return (
            format!("the token was refused ({number}); {for_whom}"),
            "compare that with the audience and issuer the deployment expects, then set scope or token_url"
                .to_owned(),
        );
    }
    if answer.status == StatusCode::FORBIDDEN {
        return text(
            "the credential was refused, or it is known and has no right to this path (403)",
            "ask the deployment's owner for the right; check scope, or the value",
        );
    }
    if sent.signed {
        return text(
            "the signature was refused (401)",
            "check key id, secret and region, and this machine's clock",
        );
    }
    if sent.is("basic") {
        return text(
            "user and password were refused (401)",
            "check username and password, and that they belong to this deployment",
        );
    }
    if sent.renewable {
        return text(
            "a fresh token was refused (401)",
            "check that token_url and scope belong to this deployment",
        );
    }
    text(
        "the credential was refused (401)",
        "check its value where it comes from, and that it belongs to this deployment",
    )
}

/// What the times in a token explain, by the deployment's own clock where it tells.
fn by_time(
    claims: &Claims,
    answer: &Answer,
    sent: &Sent,
    skew: Option<Skew>,
) -> Option<(String, String)> {
    let ahead = skew.map_or(0, Skew::ahead);
    let ours = i64::try_from(answer.now.wall().as_secs()).ok()?;
    let theirs = ours.saturating_sub(ahead);
    let seconds = |at: Duration| i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    let clocks = || "set this machine's clock, or the deployment's".to_owned();
    if let Some(expires) = claims.expires.map(seconds).filter(|at| *at <= theirs) {
        let ago = theirs - expires;
        if expires <= ours && !sent.renewable {
            return Some((
                format!("the token has expired, {ago} s ago"),
                "put a fresh one there, or use authentication = \"oauth\", which renews".to_owned(),
            ));
        }
        let cause = format!("by the deployment's clock the token expired {ago} s ago");
        return Some((cause, clocks()));
    }
    let begins = claims.not_before.map(seconds).filter(|at| *at > theirs)?;
    let cause = format!(
        "by the deployment's clock the token begins in {} s",
        begins - theirs
    );
    Some((cause, clocks()))
}

/// What `WWW-Authenticate` says (RFC 9110 s11.6.1, RFC 6750 s3), as far as it is plain.
struct Challenge {
    scheme: Option<String>,
    text: String,
}

impl Challenge {
    fn is(&self, error: &str) -> bool {
        self.text.contains(&format!("error=\"{error}\""))
            || self.text.contains(&format!("error={error}"))
    }
}

fn challenge(headers: &HeaderMap) -> Challenge {
    let text = headers
        .get(WWW_AUTHENTICATE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let scheme = text.split([' ', ',']).next().unwrap_or("");
    let known = ["Basic", "Bearer", "Digest", "Negotiate", "DPoP", "NTLM"];
    let scheme = known
        .iter()
        .find(|known| known.eq_ignore_ascii_case(scheme));
    Challenge {
        scheme: scheme.map(|scheme| (*scheme).to_owned()),
        text: text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now::new(Duration::ZERO, Duration::from_secs(1_000_000));

    fn answer(status: u16, headers: &[(&'static str, &str)]) -> Answer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: map,
            now: NOW,
        }
    }

    fn custom(name: &str) -> Sent {
        Sent {
            headers: vec![name.to_owned()],
            ..Sent::default()
        }
    }

    fn bearer(claims: Option<Claims>, renewable: bool) -> Sent {
        Sent {
            scheme: Some("Bearer".into()),
            claims,
            renewable,
            ..custom("Authorization")
        }
    }

    fn check(answer: &Answer, sent: &Sent, bare: Option<u16>, verdict: Verdict, needle: &str) {
        let mut row = Row::defined("x");
        let bare = bare.map(|bare| StatusCode::from_u16(bare).unwrap());
        diagnose(&mut row, answer, sent, bare);
        assert_eq!(row.verdict, verdict, "{row:?}");
        let text = format!(
            "{} | {} | {}",
            row.cause.unwrap_or_default(),
            row.fix.unwrap_or_default(),
            row.notes.join(" ")
        );
        assert!(text.contains(needle), "no {needle:?} in {text}");
    }

    #[test]
    fn an_answer_proves_a_credential_only_if_it_is_wanted() {
        let key = custom("api-key");
        check(&answer(200, &[]), &key, Some(401), Verdict::Accepted, "");
        check(&answer(405, &[]), &key, Some(401), Verdict::Accepted, "");
        check(&answer(200, &[]), &key, None, Verdict::Accepted, "");
        check(
            &answer(200, &[]),
            &Sent::default(),
            None,
            Verdict::Accepted,
            "",
        );
        check(
            &answer(200, &[]),
            &key,
            Some(200),
            Verdict::NotProved,
            "without the credential as well",
        );
        check(
            &answer(405, &[]),
            &key,
            Some(405),
            Verdict::NotProved,
            "method = \"POST\"",
        );
        check(
            &answer(404, &[]),
            &key,
            None,
            Verdict::NotProved,
            "answers 404 to a GET",
        );
        check(
            &answer(503, &[]),
            &key,
            Some(503),
            Verdict::NotProved,
            "ask its operator",
        );
    }

    #[test]
    fn a_refusal_is_explained_by_what_is_known() {
        let refused = |headers: &[(&'static str, &str)], sent: &Sent, needle: &str| {
            check(&answer(401, headers), sent, None, Verdict::Refused, needle);
        };
        refused(&[], &custom("api_key"), "try header = \"api-key\"");
        refused(&[], &custom("api-key"), "check its value");
        refused(
            &[],
            &Sent::default(),
            "authentication = \"none\" sends none",
        );
        let basic = [("www-authenticate", "Basic realm=\"models\"")];
        refused(
            &basic,
            &bearer(None, true),
            "asks for Basic, and Bearer was sent",
        );
        refused(
            &basic,
            &custom("x-key"),
            "asks for Basic in Authorization, and x-key was sent",
        );
        let scope = [("www-authenticate", "Bearer error=\"insufficient_scope\"")];
        refused(&scope, &bearer(None, true), "lacks a scope");
        refused(&[], &bearer(None, true), "a fresh token was refused");
        let claims = |expires: u64, begins: u64| Claims {
            audience: Some("urn:a".into()),
            issuer: None,
            not_before: Some(Duration::from_secs(begins)),
            expires: Some(Duration::from_secs(expires)),
        };
        refused(
            &[],
            &bearer(Some(claims(999_990, 0)), false),
            "expired, 10 s ago",
        );
        refused(
            &[],
            &bearer(Some(claims(1_000_100, 0)), true),
            "made out to \"urn:a\"",
        );
        // 1970-01-12 13:46:40 is second 1,000,000; the deployment is 600 s ahead, then behind.
        let ahead = [("date", "Mon, 12 Jan 1970 13:56:40 GMT")];
        refused(
            &ahead,
            &bearer(Some(claims(1_000_100, 0)), true),
            "clock the token expired 500 s ago",
        );
        let behind = [("date", "Mon, 12 Jan 1970 13:36:40 GMT")];
        refused(
            &behind,
            &bearer(Some(claims(2_000_000, 1_000_000)), true),
            "begins in 600 s",
        );
        refused(
            &behind,
            &custom("x-key"),
            "clock is 600 s ahead of that of the deployment",
        );
        let forbidden = answer(403, &[]);
        check(
            &forbidden,
            &custom("x-key"),
            None,
            Verdict::Refused,
            "no right to this path",
        );
    }
}
