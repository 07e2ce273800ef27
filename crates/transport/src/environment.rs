//! The proxy of the environment: the only variables this crate reads.

use url::Url;

/// The proxy for https, if the environment names one that is a URL.
#[expect(clippy::disallowed_methods, reason = "this file owns the environment")]
pub(crate) fn https_proxy() -> Option<Url> {
    ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|text| !text.is_empty())
        .and_then(|text| Url::parse(&text).ok())
        .filter(|url| matches!(url.scheme(), "http" | "https"))
}
