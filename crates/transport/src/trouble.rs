//! Why a server was not reached, in words that say what to do. No URL, no header.

use std::error::Error;

/// Why a server was not reached, and what to do about it.
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// # use gatepass_core::TransportSettings;
/// let client = gatepass_transport::Connector::default().connect(&TransportSettings::default(), false).unwrap();
/// let error = client.get("http://127.0.0.1:1/").send().await.unwrap_err();
/// let trouble = gatepass_transport::Trouble::of(&error);
/// assert_eq!(trouble.cause, "it refuses connections");
/// assert_eq!(trouble.fix, "check host and port of the URL, and whether it runs");
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trouble {
    /// What happened, in a few words that follow the name of the server.
    pub cause: String,
    /// What to do.
    pub fix: &'static str,
}

/// What the innermost causes of the libraries below look like, and what they mean to people.
const KNOWN: &[(&str, &str, &str)] = &[
    (
        "UnknownIssuer",
        "its certificate comes from an authority that is not trusted here",
        "set ca_file to that authority's PEM file",
    ),
    (
        "BadSignature",
        "its certificate comes from an authority of a trusted one's name, with another key",
        "set ca_file to that authority's PEM file",
    ),
    (
        "NotValidForName",
        "its certificate is for another host name",
        "use the host name of the certificate in the URL",
    ),
    (
        "certificate not valid for name",
        "its certificate is for another host name",
        "use the host name of the certificate in the URL",
    ),
    (
        "certificate expired",
        "its certificate has expired by the clock of this machine",
        "check the clock, else ask its operator to renew the certificate",
    ),
    (
        "certificate not valid yet",
        "its certificate is not valid yet by the clock of this machine",
        "check the clock, it may be behind",
    ),
    (
        "CertificateRequired",
        "it wants a client certificate",
        "set client_cert and client_key",
    ),
    (
        "HandshakeFailure",
        "it broke off the TLS handshake, maybe for want of a client certificate",
        "set client_cert and client_key if it wants one",
    ),
    (
        "InvalidContentType",
        "it does not speak TLS on this port",
        "check the port of the URL, or write http:// for plain HTTP",
    ),
    (
        "proxy authorization required",
        "the proxy wants a user and a password",
        "write them into proxy = \"http://user:password@host:port\"",
    ),
    (
        "unsuccessful",
        "the proxy refuses to connect to it",
        "check proxy (or HTTPS_PROXY), and whether the proxy allows this host",
    ),
    (
        "failed to lookup address",
        "its host name is not known here",
        "check the host of the URL, and the network's name server",
    ),
    (
        "Connection refused",
        "it refuses connections",
        "check host and port of the URL, and whether it runs",
    ),
    (
        "unreachable",
        "there is no route to it",
        "check the network, a VPN, and whether a proxy is needed",
    ),
];

impl Trouble {
    /// Reads the causes of an error of reqwest.
    #[must_use]
    pub fn of(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self {
                cause: "no connection came about in time".to_owned(),
                fix: "check host, network and proxy, or raise connect_timeout",
            };
        }
        Self::of_causes(&causes(error))
    }

    /// Reads an error of another client and its causes.
    ///
    /// ```
    /// let refused = std::io::Error::other("Connection refused (os error 111)");
    /// assert_eq!(gatepass_transport::Trouble::of_any(&refused).cause, "it refuses connections");
    /// ```
    #[must_use]
    pub fn of_any(error: &(dyn Error + 'static)) -> Self {
        let texts = std::iter::successors(Some(error), |error| (*error).source());
        Self::of_causes(&texts.map(ToString::to_string).collect::<Vec<_>>())
    }

    fn of_causes(causes: &[String]) -> Self {
        let known = KNOWN
            .iter()
            .find(|(text, ..)| causes.iter().any(|cause| cause.contains(text)));
        match known {
            Some((_, cause, fix)) => Self {
                cause: (*cause).to_owned(),
                fix,
            },
            None => Self {
                // The innermost cause never holds the URL; reqwest's own text does.
                cause: causes.last().cloned().unwrap_or_default(),
                fix: "check the URL, network, proxy and ca_file",
            },
        }
    }
}

/// The texts of all causes below reqwest's own, outermost first.
fn causes(error: &reqwest::Error) -> Vec<String> {
    let mut found = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        found.push(cause.to_string());
        next = cause.source();
    }
    found
}
