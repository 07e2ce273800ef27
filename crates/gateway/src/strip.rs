//! Which headers go no further: hop by hop (RFC 9110 s7.6.1), and whatever may be a credential.

use gatepass_core::Owned;
use http::HeaderValue;
use http::header::{CONNECTION, HeaderMap, HeaderName, TE, UPGRADE};

use crate::problem::ERROR_HEADER;

/// Takes hop-by-hop headers away, those that `Connection` names among them. Returns the protocol a
/// request wants to switch to.
pub(crate) fn hop_by_hop(headers: &mut HeaderMap) -> Option<HeaderValue> {
    let mut upgrade = None;
    if headers.contains_key(CONNECTION) {
        let mut named = Vec::new();
        for value in headers.get_all(CONNECTION) {
            for name in value.to_str().unwrap_or_default().split(',') {
                if let Ok(name) = HeaderName::try_from(name.trim()) {
                    named.push(name);
                }
            }
        }
        if named.contains(&UPGRADE) {
            upgrade = headers.get(UPGRADE).cloned();
        }
        // What carries meaning end to end stays, whatever a sender calls it.
        let keeps = ["host", "content-length", "content-type"];
        for name in named.iter().filter(|name| !keeps.contains(&name.as_str())) {
            headers.remove(name);
        }
    }
    let trailers = headers
        .get(TE)
        .is_some_and(|te| te.to_str().is_ok_and(|te| te.contains("trailers")));
    remove_where(headers, |name| {
        matches!(
            name,
            "connection"
                | "keep-alive"
                | "proxy-connection"
                | "proxy-authenticate"
                | "te"
                | "transfer-encoding"
                | "upgrade"
                | "http2-settings"
                // Answered here: the body is asked for when it is wanted.
                | "expect"
        )
    });
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    upgrade
}

/// Takes a caller's own credentials away, and what the deployment's method writes; `_` counts as
/// `-`, because some servers read it so. Returns how many went.
pub(crate) fn credentials(headers: &mut HeaderMap, owned: &Owned) -> usize {
    remove_where(headers, |name| {
        let mut folded = String::new();
        let name = if name.contains('_') {
            folded.extend(name.chars().map(|c| if c == '_' { '-' } else { c }));
            folded.as_str()
        } else {
            name
        };
        is_credential(name) || owned.has_header(name)
    })
}

fn is_credential(name: &str) -> bool {
    matches!(
        name,
        "authorization"
            | "cookie"
            | "proxy-authorization"
            | "x-api-key"
            | "api-key"
            | "x-goog-api-key"
            | "x-amz-security-token"
            | "x-auth-token"
            | "ocp-apim-subscription-key"
    )
}

/// From an answer: hop by hop, and what only the gateway may say.
pub(crate) fn answer(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        hop_by_hop(headers);
    } else {
        remove_where(headers, |name| {
            matches!(name, "keep-alive" | "transfer-encoding" | "upgrade" | "te")
        });
    }
    headers.remove(ERROR_HEADER);
}

fn remove_where(headers: &mut HeaderMap, goes: impl Fn(&str) -> bool) -> usize {
    let mut removed = 0;
    loop {
        let found = headers.keys().find(|name| goes(name.as_str())).cloned();
        let Some(name) = found else {
            return removed;
        };
        headers.remove(&name);
        removed += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_connection_names_goes_no_further() {
        let mut sent = headers(&[
            ("connection", "keep-alive, X-Hop"),
            ("connection", "content-length, authorization"),
            ("x-hop", "1"),
            ("authorization", "Bearer x"),
            ("content-length", "3"),
            ("keep-alive", "timeout=5"),
            ("te", "gzip, trailers"),
            ("accept", "*/*"),
        ]);
        assert!(hop_by_hop(&mut sent).is_none());
        assert_eq!(names(&sent), ["accept", "content-length", "te"]);
        assert_eq!(sent["te"], "trailers");
    }

    #[test]
    fn a_wanted_upgrade_is_told() {
        let mut sent = headers(&[("connection", "Upgrade"), ("upgrade", "websocket")]);
        assert_eq!(hop_by_hop(&mut sent).unwrap(), "websocket");
        assert!(sent.is_empty());
        let mut alone = headers(&[("upgrade", "websocket")]);
        assert!(hop_by_hop(&mut alone).is_none());
    }

    #[test]
    fn credentials_go_in_any_spelling() {
        let owned = Owned::headers(vec![HeaderName::from_static("x-model-key")]);
        let mut sent = headers(&[
            ("authorization", "Bearer gp"),
            ("api_key", "x"),
            ("x_api-key", "x"),
            ("x-model-key", "x"),
            ("x_model_key", "x"),
            ("cookie", "a=b"),
            ("x-request-id", "1"),
        ]);
        assert_eq!(credentials(&mut sent, &owned), 6);
        assert_eq!(names(&sent), ["x-request-id"]);
    }
}
