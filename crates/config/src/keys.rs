//! The keys every deployment has, whatever its method.

use gatepass_core::{KeyKind, KeySpec};

/// The keys of a deployment that do not belong to its method.
///
/// ```
/// let names: Vec<_> = gatepass_config::SHARED_KEYS.iter().map(|key| key.name()).collect();
/// assert!(names.contains(&"base_url"));
/// ```
pub const SHARED_KEYS: &[KeySpec] = &[
    KeySpec::new("url", KeyKind::Text, "the URL for calls without a path"),
    KeySpec::new(
        "base_url",
        KeyKind::Text,
        "the URL that paths are appended to",
    )
    .wire("baseURL"),
    KeySpec::new("authentication", KeyKind::Text, "how to authenticate"),
    KeySpec::new(
        "ca_file",
        KeyKind::Text,
        "PEM file of certificate authorities to trust",
    )
    .default_is("the system's authorities"),
    KeySpec::new(
        "client_cert",
        KeyKind::Text,
        "PEM file of the client certificate chain",
    ),
    KeySpec::new(
        "client_key",
        KeyKind::Text,
        "PEM file of the client certificate's key",
    ),
    KeySpec::new("proxy", KeyKind::Secret, "the URL of the proxy")
        .default_is("HTTPS_PROXY, for https beyond this machine"),
    KeySpec::new(
        "connect_timeout",
        KeyKind::Seconds,
        "seconds to establish a connection",
    )
    .default_is("3"),
    KeySpec::new(
        "first_byte_timeout",
        KeyKind::Seconds,
        "seconds until the response begins",
    )
    .default_is("600"),
    KeySpec::new(
        "idle_timeout",
        KeyKind::Seconds,
        "seconds between pieces of the response",
    )
    .default_is("300"),
    KeySpec::new(
        "total_timeout",
        KeyKind::Seconds,
        "seconds for the whole call",
    )
    .default_is("none"),
    KeySpec::new(
        "replay_body_limit",
        KeyKind::Bytes,
        "bytes of a body that is sent once more after a rejected token; a longer one is not",
    )
    .default_is("8388608"),
    KeySpec::new(
        "in_flight_limit",
        KeyKind::Count,
        "requests that the gateway has under way with it at once; more get a 503",
    )
    .default_is("none"),
    KeySpec::new(
        "request_body_limit",
        KeyKind::Bytes,
        "bytes of a request's body that the gateway passes on; a longer one gets a 413",
    )
    .default_is("none"),
    KeySpec::new(
        "allow_insecure_http",
        KeyKind::Boolean,
        "permits http beyond this machine",
    )
    .default_is("false"),
];

/// Keys that hold tables of their own, with what they mean.
///
/// ```
/// assert!(gatepass_config::TABLE_KEYS.iter().any(|(name, _)| *name == "headers"));
/// ```
pub const TABLE_KEYS: &[(&str, &str)] = &[
    (
        "headers",
        "extra headers of every call, each written down or by reference",
    ),
    (
        "auth",
        "several methods at once, one table each, instead of the flat keys",
    ),
    (
        "check",
        "what `gatepass check` sends instead of a GET of url: method, path, body",
    ),
];

/// Whether a key holds a table of its own.
pub(crate) fn is_table_key(key: &str) -> bool {
    TABLE_KEYS.iter().any(|(name, _)| *name == key)
}

/// The keys of a `check` table.
///
/// ```
/// assert_eq!(gatepass_config::CHECK_KEYS[0].name(), "method");
/// ```
pub const CHECK_KEYS: &[KeySpec] = &[
    KeySpec::new("method", KeyKind::Text, "the method of the check").default_is("GET"),
    KeySpec::new(
        "path",
        KeyKind::Text,
        "the path of the check, below the base URL",
    )
    .default_is("none: url itself"),
    KeySpec::new("body", KeyKind::Text, "the JSON body of the check").default_is("none"),
];
