//! The origin a credential belongs to (scheme, host, port), and what URLs are acceptable.

use std::fmt;

use url::{Host, Url};

use crate::request::{RequestView, default_port};

/// Scheme, host and port: the place, and the only place, a credential goes to.
///
/// ```
/// use gatepass_core::Origin;
/// let origin = Origin::of(&"https://models.example.com/v1".parse()?).unwrap();
/// assert_eq!(origin.to_string(), "https://models.example.com");
/// # Ok::<(), url::ParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of an http or https URL.
    #[must_use]
    pub fn of(url: &Url) -> Option<Self> {
        Some(Self {
            scheme: url.scheme().to_owned(),
            host: url.host_str()?.to_ascii_lowercase(),
            port: url.port_or_known_default()?,
        })
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Its host, an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port, stated or not.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is reached over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.scheme == "https"
    }

    /// Whether it is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        Url::parse(&self.to_string()).is_ok_and(|url| is_loopback(&url))
    }

    /// Whether the request goes there.
    #[must_use]
    pub fn covers(&self, request: &RequestView<'_>) -> bool {
        self.scheme == request.scheme()
            && self.host.eq_ignore_ascii_case(request.host())
            && Some(self.port) == request.port()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        if default_port(&self.scheme) == Some(self.port) {
            return Ok(());
        }
        write!(f, ":{}", self.port)
    }
}

/// Parses a URL that a credential is sent to.
///
/// # Errors
/// Says what is wrong: not absolute, not http or https, user-info, a fragment, or plain http beyond
/// loopback without `allow_insecure_http`. The URL itself is never quoted, it may carry keys.
///
/// ```
/// use gatepass_core::endpoint_url;
/// assert!(endpoint_url("http://127.0.0.1:8080/v1", false).is_ok());
/// assert!(endpoint_url("http://models.example.com/v1", false).is_err());
/// assert!(endpoint_url("https://user:pass@models.example.com/", false).is_err());
/// ```
pub fn endpoint_url(text: &str, allow_insecure_http: bool) -> Result<Url, String> {
    if text.chars().any(|c| c.is_control() || c == '\\') || text.trim() != text {
        return Err("holds a space at an end, a backslash or a control character".into());
    }
    let url = Url::parse(text)
        .map_err(|cause| format!("is not an absolute URL ({cause}): write https://host/path"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must begin with https://".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "holds a user or password before the host: use authentication = \"basic\" instead"
                .into(),
        );
    }
    if url.fragment().is_some() {
        return Err("holds a fragment (#..), which is never sent: remove it".into());
    }
    if url.scheme() == "http" && !is_loopback(&url) && !allow_insecure_http {
        return Err("uses http, which shows the credential to the network: use https, or set allow_insecure_http = true".into());
    }
    Ok(url)
}

/// Whether the URL names this machine: `localhost`, 127.0.0.0/8 or `[::1]`.
///
/// ```
/// assert!(gatepass_core::is_loopback(&"http://127.0.0.1:8080/".parse().unwrap()));
/// assert!(!gatepass_core::is_loopback(&"http://127.0.0.1.evil.test/".parse().unwrap()));
/// ```
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{BodyView, Outbound};

    fn check(origin: &str, request: &str, covered: bool) {
        let origin = Origin::of(&Url::parse(origin).unwrap()).unwrap();
        let mut request = http::Request::get(request).body(()).unwrap();
        let got = request.lend(BodyView::Empty, |view| origin.covers(view));
        assert_eq!(got, covered, "{origin} {}", request.uri());
    }

    #[test]
    fn scheme_host_and_port_must_match() {
        check("https://h.test/a", "https://h.test/b", true);
        check("https://h.test", "https://H.TEST:443/", true);
        check("https://h.test", "http://h.test/", false);
        check("https://h.test", "https://h.test:8443/", false);
        check("https://h.test", "https://h.test.evil.test/", false);
        check("https://h.test", "https://h.test@evil.test/", false);
        check("https://h.test", "https://evil.test@h.test/", false);
        check("http://[::1]:80", "http://[::1]/", true);
        check("https://h.test", "/only-a-path", false);
    }

    #[test]
    fn plain_http_needs_loopback_or_permission() {
        for ok in [
            "http://127.9.9.9/",
            "http://localhost:1/",
            "http://[::1]/",
            "https://h.test",
        ] {
            assert!(endpoint_url(ok, false).is_ok(), "{ok}");
        }
        for bad in [
            "http://10.0.0.1/",
            "http://localhost.evil.test/",
            "http://127.0.0.1.evil.test/",
        ] {
            assert!(endpoint_url(bad, false).is_err(), "{bad}");
            assert!(endpoint_url(bad, true).is_ok(), "{bad}");
        }
        for bad in [
            "",
            "models",
            "ftp://h.test",
            "https://",
            "https://u@h.test",
            "https://h/#f",
            " https://h",
            "https://h\\x",
        ] {
            assert!(endpoint_url(bad, true).is_err(), "{bad}");
        }
    }
}
