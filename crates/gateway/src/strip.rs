//! Which headers go no further: hop by hop (RFC 9110 s7.6.1), and whatever may be a credential.

use bytes::Bytes;
use gatepass_core::Owned;
use http::HeaderValue;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HOST,
    HeaderMap, HeaderName, LOCATION, ORIGIN, SERVER, TE, UPGRADE, USER_AGENT,
};
use http_body::Frame;

/// Told apart by it in logs, on both sides.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What one look at all headers of a request found.
#[derive(Debug, Default)]
pub(crate) struct Seen<'a> {
    pub(crate) host: Option<&'a HeaderValue>,
    pub(crate) second_host: bool,
    pub(crate) origin: Option<&'a HeaderValue>,
    /// `Authorization`, `x-api-key`, `api-key`.
    pub(crate) keys: [Option<&'a HeaderValue>; 3],
    pub(crate) request_id: Option<&'a HeaderValue>,
    /// The caller's trace (W3C Trace Context); it goes on as it is.
    pub(crate) traceparent: Option<&'a HeaderValue>,
    pub(crate) upgrade: bool,
    /// Framed in two ways, or in one that is not plain `chunked`.
    pub(crate) ambiguous: bool,
    length: bool,
    chunked: bool,
    /// What is there of [`GOING`], a bit for each.
    going: u32,
    connection: bool,
    /// A name with `_`, which may be a spelling of another.
    odd: bool,
}

/// Headers of a request that go no further: the first ones hop by hop, then credentials.
const GOING: [&str; 18] = [
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "te",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    // Answered here: the body is asked for when it is wanted.
    "expect",
    "connection",
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "x-amz-security-token",
    "x-auth-token",
    "ocp-apim-subscription-key",
];
const FIRST_CREDENTIAL: usize = 9;
const TE_BIT: u32 = 1 << 3;
const EXPECT_BIT: u32 = 1 << 7;

fn going(name: &str) -> Option<usize> {
    // By length first: most names of a request are none of these.
    GOING
        .iter()
        .position(|going| going.len() == name.len() && *going == name)
}

/// Whether a trailer of this name goes on: none that frames a message, routes it, or may be a
/// credential (RFC 9110 s6.5.1).
pub(crate) fn may_trail(name: &str) -> bool {
    let folded = name.to_ascii_lowercase().replace('_', "-");
    let about_the_message = [
        "host",
        "content-length",
        "content-type",
        "content-encoding",
        "content-range",
        "trailer",
        "set-cookie",
        "x-gatepass-error",
    ];
    going(&folded).is_none() && !about_the_message.contains(&folded.as_str())
}

/// Takes away the trailers that go no further; `owned` is what the deployment's method writes.
pub(crate) fn trailers(frame: Frame<Bytes>, owned: Option<&Owned>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            remove_where(&mut trailers, |name| {
                !may_trail(name) || owned.is_some_and(|owned| owned.has_header(name))
            });
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}

/// Looks at each header once.
pub(crate) fn look(headers: &HeaderMap) -> Seen<'_> {
    let mut seen = Seen::default();
    for (name, value) in headers {
        match *name {
            HOST => seen.second_host |= seen.host.replace(value).is_some(),
            ORIGIN => seen.origin = Some(value),
            AUTHORIZATION => {
                seen.keys[0] = Some(value);
                seen.going |= 1 << 9;
            }
            // Sent by nearly everybody, and never taken away.
            ACCEPT | USER_AGENT | CONTENT_TYPE | ACCEPT_ENCODING => {}
            CONTENT_LENGTH => seen.length = true,
            _ => seen.look_closer(name.as_str(), value),
        }
    }
    seen.ambiguous |= seen.length && seen.chunked;
    seen
}

impl<'a> Seen<'a> {
    fn look_closer(&mut self, name: &str, value: &'a HeaderValue) {
        match name {
            "x-request-id" => self.request_id = Some(value),
            "traceparent" => self.traceparent = Some(value),
            "x-api-key" => self.keys[1] = Some(value),
            "api-key" => self.keys[2] = Some(value),
            // Most callers say no more than that they keep the connection.
            "connection" => {
                let value = value.as_bytes();
                self.connection |= !value.eq_ignore_ascii_case(b"keep-alive");
            }
            "upgrade" => self.upgrade = true,
            "transfer-encoding" => {
                let plain = value.as_bytes().eq_ignore_ascii_case(b"chunked");
                self.ambiguous |= self.chunked || !plain;
                self.chunked = true;
            }
            _ => {}
        }
        if let Some(at) = going(name) {
            self.going |= 1 << at;
        }
        self.odd |= name.contains('_');
    }

    /// What was found, without the values: they are about to change.
    pub(crate) fn found(&self) -> Found {
        Found {
            going: self.going,
            connection: self.connection,
            odd: self.odd,
        }
    }
}

/// What of a request's headers has to go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    going: u32,
    connection: bool,
    odd: bool,
}

impl Found {
    /// Whether the caller sends its body only when told to (RFC 9110 s10.1.1).
    pub(crate) fn asks_first(self) -> bool {
        self.going & EXPECT_BIT != 0
    }
}

/// Takes away what is hop by hop, headers that `Connection` names among it, and whatever may be a
/// credential: a caller's own, and what the deployment's method writes. `_` counts as `-`, because
/// some servers read it so. Returns the protocol the request wants to switch to, and how many
/// credentials went.
pub(crate) fn request(
    headers: &mut HeaderMap,
    found: Found,
    owned: &Owned,
) -> (Option<HeaderValue>, usize) {
    let upgrade = found
        .connection
        .then(|| named_by_connection(headers))
        .flatten();
    let trailers = found.going & TE_BIT != 0
        && headers
            .get(TE)
            .is_some_and(|te| te.to_str().is_ok_and(|te| te.contains("trailers")));
    let mut stripped = 0;
    let mut left = found.going;
    while left != 0 {
        let at = left.trailing_zeros() as usize;
        left &= left - 1;
        if headers.remove(GOING[at]).is_some() && at >= FIRST_CREDENTIAL {
            stripped += 1;
        }
    }
    for name in &owned.headers {
        if *name != AUTHORIZATION && headers.remove(name).is_some() {
            stripped += 1;
        }
    }
    if found.odd {
        stripped += remove_where(headers, |name| {
            let folded = name.replace('_', "-");
            let credential = going(&folded).is_some_and(|at| at >= FIRST_CREDENTIAL);
            name.contains('_') && (credential || owned.has_header(&folded))
        });
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    (upgrade, stripped)
}

/// Takes away what `Connection` names; returns the protocol it wants to switch to.
fn named_by_connection(headers: &mut HeaderMap) -> Option<HeaderValue> {
    let mut named = Vec::new();
    for value in headers.get_all(CONNECTION) {
        for name in value.to_str().unwrap_or_default().split(',') {
            if let Ok(name) = HeaderName::try_from(name.trim()) {
                named.push(name);
            }
        }
    }
    let upgrade = named
        .contains(&UPGRADE)
        .then(|| headers.get(UPGRADE).cloned());
    // What carries meaning end to end stays, whatever a sender calls it.
    let keeps = [HOST, CONTENT_LENGTH, CONTENT_TYPE];
    for name in named.iter().filter(|name| !keeps.contains(name)) {
        headers.remove(name);
    }
    upgrade.flatten()
}

/// From an answer: what is hop by hop, and what only the gateway may say. Tells whether it redirects.
pub(crate) fn answer(headers: &mut HeaderMap) -> bool {
    let (mut connection, mut names_more, mut redirects, mut goes) = (false, false, false, false);
    for (name, value) in &*headers {
        match *name {
            LOCATION => redirects = true,
            CONNECTION => {
                connection = true;
                let value = value.as_bytes();
                let usual = value.eq_ignore_ascii_case(b"keep-alive")
                    || value.eq_ignore_ascii_case(b"close");
                names_more |= !usual;
            }
            CONTENT_TYPE | CONTENT_LENGTH | DATE | SERVER => {}
            _ => goes |= is_hop_of_answer(name.as_str()),
        }
    }
    if names_more {
        named_by_connection(headers);
    }
    if connection {
        headers.remove(CONNECTION);
    }
    if goes {
        remove_where(headers, is_hop_of_answer);
    }
    redirects
}

fn is_hop_of_answer(name: &str) -> bool {
    matches!(
        name,
        "keep-alive"
            | "transfer-encoding"
            | "upgrade"
            | "te"
            | "proxy-connection"
            | "proxy-authenticate"
            | "x-gatepass-error"
    )
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

    fn stripped(headers: &mut HeaderMap, owned: &Owned) -> (Option<HeaderValue>, usize) {
        let found = look(headers).found();
        request(headers, found, owned)
    }

    #[test]
    fn an_answer_says_nothing_that_only_the_gateway_may() {
        let mut got = headers(&[
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("x-gatepass-error", "upstream"),
            ("content-type", "text/plain"),
            ("location", "/x"),
        ]);
        assert!(answer(&mut got));
        assert_eq!(names(&got), ["content-type", "location"]);
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
        assert!(stripped(&mut sent, &Owned::default()).0.is_none());
        assert_eq!(names(&sent), ["accept", "content-length", "te"]);
        assert_eq!(sent["te"], "trailers");
    }

    #[test]
    fn a_wanted_upgrade_is_told() {
        let mut sent = headers(&[("connection", "Upgrade"), ("upgrade", "websocket")]);
        let (upgrade, _) = stripped(&mut sent, &Owned::default());
        assert_eq!(upgrade.unwrap(), "websocket");
        assert!(sent.is_empty());
        let mut alone = headers(&[("upgrade", "websocket")]);
        assert!(stripped(&mut alone, &Owned::default()).0.is_none());
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
        assert_eq!(stripped(&mut sent, &owned).1, 6);
        assert_eq!(names(&sent), ["x-request-id"]);
    }
}
