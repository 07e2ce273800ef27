//! The keys every deployment has, whatever its method.

use gatepass_core::{KeyKind, KeySpec};

/// The keys of a deployment that do not belong to its method.
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
    ),
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
    KeySpec::new("proxy", KeyKind::Secret, "the URL of the proxy"),
    KeySpec::new(
        "connect_timeout",
        KeyKind::Seconds,
        "seconds to establish a connection",
    ),
    KeySpec::new(
        "first_byte_timeout",
        KeyKind::Seconds,
        "seconds until the response begins",
    ),
    KeySpec::new(
        "idle_timeout",
        KeyKind::Seconds,
        "seconds between pieces of the response",
    ),
    KeySpec::new(
        "total_timeout",
        KeyKind::Seconds,
        "seconds for the whole call",
    ),
    KeySpec::new(
        "allow_insecure_http",
        KeyKind::Boolean,
        "permits http beyond this machine",
    ),
];

/// Keys that hold tables of their own.
pub(crate) const TABLE_KEYS: [&str; 2] = ["headers", "auth"];
