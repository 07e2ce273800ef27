//! A request as a method sees it: everything to read, and the two places it may write.

use std::borrow::Cow;
use std::fmt;
use std::mem;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, uri::PathAndQuery};

/// What is known of a request's body.
///
/// ```
/// use gatepass_core::BodyView;
/// assert_eq!(format!("{:?}", BodyView::Bytes(b"prompt")), "Bytes(6 bytes)");
/// ```
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum BodyView<'a> {
    /// There is none.
    Empty,
    /// It streams, or is over the cap: nobody has seen all of it.
    Unread,
    /// All of it.
    Bytes(&'a [u8]),
    /// Its SHA-256 digest.
    Sha256([u8; 32]),
}

/// Its shape, without its content.
impl fmt::Debug for BodyView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Unread => f.write_str("Unread"),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::Sha256(_) => f.write_str("Sha256"),
        }
    }
}

/// A request lent to a method for the time of one `apply`.
///
/// ```
/// use gatepass_core::{BodyView, Outbound};
/// let mut request = http::Request::get("https://models.example.com/v1?x=1").body(()).unwrap();
/// let host = request.lend(BodyView::Empty, |view| view.host().to_owned());
/// assert_eq!(host, "models.example.com");
/// ```
pub struct RequestView<'a> {
    method: &'a Method,
    scheme: &'a str,
    host: &'a str,
    port: Option<u16>,
    path: &'a str,
    query: Cow<'a, str>,
    headers: &'a mut HeaderMap,
    body: BodyView<'a>,
}

/// Where a request goes, as borrowed from the request at hand.
///
/// ```
/// use gatepass_core::{BodyView, Destination, RequestView};
/// let to = Destination { scheme: "https", host: "h.test", port: None, path: "/v1", query: "" };
/// let (method, mut headers) = (http::Method::GET, http::HeaderMap::new());
/// let view = RequestView::new(&method, to, &mut headers, BodyView::Empty);
/// assert_eq!(view.port(), Some(443));
/// ```
#[derive(Clone, Copy)]
pub struct Destination<'a> {
    /// `https` or `http`.
    pub scheme: &'a str,
    /// The host without port or user-info.
    pub host: &'a str,
    /// The port, where it is written.
    pub port: Option<u16>,
    /// The path, beginning with `/`.
    pub path: &'a str,
    /// The query without its `?`; empty without one.
    pub query: &'a str,
}

/// Without path and query, which may carry keys.
impl fmt::Debug for Destination<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination")
            .field("scheme", &self.scheme)
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// Without path, query, headers and body.
impl fmt::Debug for RequestView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestView")
            .field("method", &self.method)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

impl<'a> RequestView<'a> {
    /// Puts a view together; adapters for other request types call this.
    #[must_use]
    pub fn new(
        method: &'a Method,
        to: Destination<'a>,
        headers: &'a mut HeaderMap,
        body: BodyView<'a>,
    ) -> Self {
        let Destination {
            scheme,
            host,
            port,
            path,
            query,
        } = to;
        Self {
            method,
            scheme,
            host,
            port,
            path,
            query: Cow::Borrowed(query),
            headers,
            body,
        }
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        self.method
    }

    /// `https` or `http`; empty where the request does not say.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.scheme
    }

    /// The host, without port or user-info.
    #[must_use]
    pub fn host(&self) -> &str {
        self.host
    }

    /// The port: as written, else the scheme's own.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port.or_else(|| default_port(self.scheme))
    }

    /// The path as it goes on the wire.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path
    }

    /// The query as it goes on the wire, without `?`.
    #[must_use]
    pub fn query(&self) -> &str {
        &self.query
    }

    /// The body, as far as it is known.
    #[must_use]
    pub fn body(&self) -> BodyView<'a> {
        self.body
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.headers
    }

    /// Sets a header: whatever stood under that name is gone.
    pub fn set_header(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.insert(name, value);
    }

    /// Takes a header off.
    pub fn remove_header(&mut self, name: &HeaderName) {
        self.headers.remove(name);
    }

    /// Sets a query pair, encoded by the caller: whatever stood under that name is gone.
    pub fn set_query_pair(&mut self, name: &str, value: &str) {
        let mut query = self.without_query_pair(name);
        if !query.is_empty() {
            query.push('&');
        }
        query.push_str(name);
        query.push('=');
        query.push_str(value);
        self.query = Cow::Owned(query);
    }

    /// Takes a query pair off.
    pub fn remove_query_pair(&mut self, name: &str) {
        self.query = Cow::Owned(self.without_query_pair(name));
    }

    fn without_query_pair(&self, name: &str) -> String {
        let stays = |pair: &&str| !pair.is_empty() && pair.split('=').next() != Some(name);
        self.query
            .split('&')
            .filter(stays)
            .collect::<Vec<_>>()
            .join("&")
    }

    /// The new query, if a method changed it. For adapters.
    #[must_use]
    pub fn into_changed_query(self) -> Option<String> {
        match self.query {
            Cow::Owned(query) => Some(query),
            Cow::Borrowed(_) => None,
        }
    }
}

pub(crate) fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    }
}

/// A request type that can be lent to a method.
///
/// No request type can be borrowed field by field, so an adapter takes the header map out, lends it
/// together with borrows of the rest, and puts it back.
///
/// ```
/// use gatepass_core::{BodyView, Outbound};
/// let mut request = http::Request::get("https://h.test/v1").body(()).unwrap();
/// request.lend(BodyView::Empty, |view| view.set_query_pair("key", "abc"));
/// assert_eq!(request.uri(), "https://h.test/v1?key=abc");
/// ```
pub trait Outbound {
    /// Lends the request to `call`, and takes over what it changed.
    fn lend<R>(&mut self, body: BodyView<'_>, call: impl FnOnce(&mut RequestView<'_>) -> R) -> R;
}

/// The URI must be absolute: an origin-form one has no scheme, and the origin check refuses it.
impl<B> Outbound for http::Request<B> {
    fn lend<R>(&mut self, body: BodyView<'_>, call: impl FnOnce(&mut RequestView<'_>) -> R) -> R {
        let mut headers = mem::take(self.headers_mut());
        let uri = self.uri();
        let to = Destination {
            scheme: uri.scheme_str().unwrap_or(""),
            // User-info in front of a host is refused by never matching an origin.
            host: match uri.authority() {
                Some(authority) if !authority.as_str().contains('@') => authority.host(),
                _ => "",
            },
            port: uri.port_u16(),
            path: uri.path(),
            query: uri.query().unwrap_or(""),
        };
        let mut view = RequestView::new(self.method(), to, &mut headers, body);
        let result = call(&mut view);
        let query = view.into_changed_query();
        if let Some(uri) = query.and_then(|query| with_query(self.uri(), &query)) {
            *self.uri_mut() = uri;
        }
        *self.headers_mut() = headers;
        result
    }
}

fn with_query(uri: &Uri, query: &str) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    let text = if query.is_empty() {
        uri.path().to_owned()
    } else {
        format!("{}?{query}", uri.path())
    };
    parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_query_is_taken_over_and_headers_come_back() {
        let mut request = http::Request::post("https://h.test/p?a=1&key=old&b=2")
            .body(())
            .unwrap();
        request
            .headers_mut()
            .insert("x-mine", HeaderValue::from_static("kept"));
        request.lend(BodyView::Empty, |view| view.set_query_pair("key", "new"));
        assert_eq!(request.uri(), "https://h.test/p?a=1&b=2&key=new");
        assert_eq!(request.headers()["x-mine"], "kept");
        request.lend(BodyView::Empty, |view| view.remove_query_pair("key"));
        assert_eq!(request.uri(), "https://h.test/p?a=1&b=2");
    }
}
