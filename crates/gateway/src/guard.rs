//! Who may speak to the gateway at all: by which name it is called, from which page, with which key.

use std::net::IpAddr;

use http::uri::Authority;
use http::{StatusCode, Uri};

use crate::problem::{Part, Problem};
use crate::routes::Callers;
use crate::strip::Seen;

/// The listener's end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Here {
    Address(IpAddr, u16),
    Unix,
}

/// What a request asks for, whatever host it names.
pub(crate) fn path_and_query(uri: &Uri) -> &str {
    uri.path_and_query().map_or("", |path| path.as_str())
}

/// Refuses a body whose end two readers could find in different places (RFC 9112 s6.3).
pub(crate) fn framing(seen: &Seen<'_>) -> Result<(), Problem> {
    if !seen.ambiguous {
        return Ok(());
    }
    let detail =
        "the body is framed ambiguously: send either Content-Length or Transfer-Encoding: chunked";
    Err(Problem::new(StatusCode::BAD_REQUEST, Part::Gateway, detail))
}

/// Checks that the gateway is called by a name of its own: a page whose name was rebound to this
/// address sends another one.
pub(crate) fn host(
    seen: &Seen<'_>,
    uri: &Uri,
    here: Here,
    hosts: &[String],
) -> Result<(), Problem> {
    let misdirected = || {
        let detail = "this host name is not one of the gateway's: call it by its address, or list the name in `hosts`";
        Problem::new(StatusCode::MISDIRECTED_REQUEST, Part::Gateway, detail)
    };
    let bad = |detail: &str| Problem::new(StatusCode::BAD_REQUEST, Part::Gateway, detail);
    if seen.second_host {
        return Err(bad("two Host headers: send one"));
    }
    let stated_host = match seen.host {
        Some(value) => Some(value.to_str().map_err(|_| misdirected())?),
        None => None,
    };
    let authority = uri.authority().map(Authority::as_str);
    let name = match (stated_host, authority) {
        (Some(host), Some(authority)) if !host.eq_ignore_ascii_case(authority) => {
            return Err(bad(
                "Host and the request line name different hosts: send one",
            ));
        }
        (_, Some(name)) | (Some(name), None) => name,
        (None, None) => return Err(bad("no Host header: send one")),
    };
    if name.contains('@') {
        return Err(misdirected());
    }
    let bare = without_port(name);
    let own = match (
        here,
        bare.trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>(),
    ) {
        (Here::Address(address, _), Ok(named)) => named == address.to_canonical(),
        (Here::Address(address, _), Err(_)) if address.to_canonical().is_loopback() => {
            bare.eq_ignore_ascii_case("localhost")
        }
        (Here::Unix, _) => bare.eq_ignore_ascii_case("localhost"),
        _ => false,
    };
    let listed = || hosts.iter().any(|host| host.eq_ignore_ascii_case(bare));
    if own || listed() {
        Ok(())
    } else {
        Err(misdirected())
    }
}

/// `host` of `host:port`, brackets kept.
fn without_port(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => name,
    }
}

/// Refuses what a page in a browser sends, unless the page is the gateway's own.
pub(crate) fn origin(seen: &Seen<'_>) -> Result<(), Problem> {
    let Some(origin) = seen.origin else {
        return Ok(());
    };
    let own = seen.host.is_some_and(|host| {
        let origin = origin.as_bytes();
        let bare = origin
            .strip_prefix(b"http://")
            .or_else(|| origin.strip_prefix(b"https://"));
        bare == Some(host.as_bytes())
    });
    if own {
        return Ok(());
    }
    let detail =
        "requests of web pages are not taken: call from a program, without an Origin header";
    Err(Problem::new(StatusCode::FORBIDDEN, Part::Gateway, detail))
}

/// The caller whose key the request carries.
pub(crate) fn caller(seen: &Seen<'_>, callers: &Callers) -> Result<usize, Problem> {
    if !callers.wants_key() {
        return Ok(0);
    }
    let mut presented = 0;
    let [authorization, named @ ..] = seen.keys;
    let token = authorization.and_then(|value| bearer(value.as_bytes()));
    let named = named.map(|value| value.map(http::HeaderValue::as_bytes));
    for key in [token, named[0], named[1]].into_iter().flatten() {
        presented += 1;
        if let Some(caller) = callers.find(key) {
            return Ok(caller);
        }
    }
    let detail = if presented == 0 {
        "no gateway key: send `Authorization: Bearer KEY`, or `x-api-key`; the upstream's own key stays out of it"
    } else {
        "this is no key of the gateway, or it has expired: `gatepass key new` makes one"
    };
    Err(Problem::key(detail))
}

/// The token of `Bearer TOKEN`, the scheme in any case.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

/// A request id of the caller's that is fit to be passed on and written down.
pub(crate) fn is_request_id(value: &http::HeaderValue) -> bool {
    let bytes = value.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
    !bytes.is_empty() && bytes.len() <= 128 && bytes.iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strip::look;
    use http::header::{HOST, ORIGIN};
    use http::{HeaderMap, HeaderValue};

    fn check(host_header: &str, uri: &str, here: Here, want: u16) {
        let mut headers = HeaderMap::new();
        if !host_header.is_empty() {
            headers.insert(HOST, HeaderValue::try_from(host_header).unwrap());
        }
        let hosts = ["gate.internal".to_owned()];
        let result = host(&look(&headers), &uri.parse().unwrap(), here, &hosts);
        let status = result.map_or_else(|problem| problem.status.as_u16(), |()| 200);
        assert_eq!(status, want, "{host_header} {uri} {here:?}");
    }

    #[test]
    fn only_its_own_names_are_answered_to() {
        let loopback = Here::Address("127.0.0.1".parse().unwrap(), 4780);
        let six = Here::Address("::1".parse().unwrap(), 4780);
        let lan = Here::Address("10.0.0.5".parse().unwrap(), 4780);
        check("127.0.0.1:4780", "/x", loopback, 200);
        check("localhost:4780", "/x", loopback, 200);
        check("LOCALHOST", "/x", loopback, 200);
        check("[::1]:4780", "/x", six, 200);
        check("10.0.0.5:4780", "/x", lan, 200);
        check("gate.internal:4780", "/x", lan, 200);
        check("localhost", "/x", Here::Unix, 200);
        check("localhost", "/x", lan, 421);
        check("evil.test", "/x", loopback, 421);
        check("127.0.0.1.evil.test", "/x", loopback, 421);
        check("127.0.0.2", "/x", loopback, 421);
        check("a@127.0.0.1", "/x", loopback, 421);
        check("", "/x", loopback, 400);
        check("127.0.0.1", "http://127.0.0.1/x", loopback, 200);
        check("127.0.0.1", "http://evil.test/x", loopback, 400);
        check("evil.test", "http://127.0.0.1/x", loopback, 400);
    }

    #[test]
    fn a_page_may_speak_only_to_where_it_came_from() {
        let check = |page: &str, want: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("127.0.0.1:4781"));
            headers.insert(ORIGIN, HeaderValue::try_from(page).unwrap());
            assert_eq!(origin(&look(&headers)).is_ok(), want, "{page}");
        };
        check("http://127.0.0.1:4781", true);
        check("http://evil.test", false);
        check("null", false);
        check("http://127.0.0.1:4780", false);
    }
}
