//! Which answers of an upstream reject a token, beside 401.

use http::StatusCode;

/// How much of a body is looked at, in bytes.
const LOOKED_AT: usize = 4096;

/// An answer that rejects a token: a status, or a status with a text in the body.
///
/// Some deployments say "expired" with a 403 whose status alone also means "not permitted".
///
/// ```
/// use gatepass_oauth::Matcher;
/// let expired: Matcher = "403 token is expiring".parse().unwrap();
/// assert!("expired".parse::<Matcher>().is_err());
/// # drop(expired);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    status: StatusCode,
    /// Lower case; empty matches any body.
    text: String,
}

impl std::str::FromStr for Matcher {
    type Err = &'static str;

    /// `STATUS` or `STATUS TEXT`, the text compared without case within the first 4 KiB.
    fn from_str(text: &str) -> Result<Self, &'static str> {
        let (status, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let status = status
            .parse::<u16>()
            .ok()
            .filter(|status| (400..600).contains(status));
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        Ok(Self {
            status: status.ok_or("must be a status of 400 to 599, or a status and a text of the body: \"403 expired\"")?,
            text: rest.trim().to_ascii_lowercase(),
        })
    }
}

/// What matchers say to an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    No,
    Yes,
    /// Undecided without this much of the body.
    NeedsBody(usize),
}

/// Whether an answer rejects a token: a 401 always, others by matcher.
pub(crate) fn rejects(matchers: &[Matcher], status: StatusCode, body: Option<&[u8]>) -> Match {
    if status == StatusCode::UNAUTHORIZED {
        return Match::Yes;
    }
    let mut found = Match::No;
    for matcher in matchers.iter().filter(|matcher| matcher.status == status) {
        if matcher.text.is_empty() {
            return Match::Yes;
        }
        match body {
            None => found = Match::NeedsBody(LOOKED_AT),
            Some(body) => {
                let body = &body[..body.len().min(LOOKED_AT)];
                let body = String::from_utf8_lossy(body).to_ascii_lowercase();
                if body.contains(&matcher.text) {
                    return Match::Yes;
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(matchers: &[&str], status: u16, body: Option<&str>, want: Match) {
        let matchers: Vec<Matcher> = matchers.iter().map(|text| text.parse().unwrap()).collect();
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(rejects(&matchers, status, body.map(str::as_bytes)), want);
    }

    #[test]
    fn a_401_rejects_and_others_by_matcher_alone() {
        check(&[], 401, None, Match::Yes);
        check(&[], 403, None, Match::No);
        check(&["403"], 403, None, Match::Yes);
        check(&["403 Expiring"], 403, None, Match::NeedsBody(4096));
        check(
            &["403 Expiring"],
            403,
            Some("Token is EXPIRING within 30 seconds"),
            Match::Yes,
        );
        check(&["403 Expiring"], 403, Some("PERMISSION_DENIED"), Match::No);
        check(
            &["403 Expiring", "400 expired jwt"],
            400,
            Some("x Expired JWT x"),
            Match::Yes,
        );
        check(&["403 Expiring"], 200, None, Match::No);
        for bad in ["", "expired", "200", "999 x", "403x"] {
            assert!(bad.parse::<Matcher>().is_err(), "{bad}");
        }
    }
}
