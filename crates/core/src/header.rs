//! Bytes for the wire: header names and values by RFC 9110, sensitive and wiped.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

/// Names that frame or route the message, or belong to one hop only (RFC 9110 s7.6.1): no
/// credential may be written there.
const NOT_FOR_CREDENTIALS: [&str; 12] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "expect",
    "http2-settings",
];

/// Parses a header name that may carry a credential.
///
/// # Errors
/// Says what is wrong when it is no token (RFC 9110 s5.6.2), or frames or routes the message.
///
/// ```
/// use gatepass_core::header;
/// assert!(header::name("api-key").is_ok());
/// assert!(header::name("Host").is_err());
/// assert!(header::name("api key").is_err());
/// ```
pub fn name(text: &str) -> Result<HeaderName, &'static str> {
    let name = HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| "is not a header name: use letters, digits and - only (RFC 9110 s5.6.2)")?;
    if NOT_FOR_CREDENTIALS.contains(&name.as_str()) {
        return Err("names a header that frames or routes the message; no credential goes there");
    }
    Ok(name)
}

/// Checks the text of a header value (RFC 9110 s5.5): visible ASCII, inner spaces and tabs.
///
/// # Errors
/// Says what is wrong, never the value itself.
///
/// ```
/// use gatepass_core::header;
/// assert!(header::check_value("k3y with = and ; chars").is_ok());
/// assert_eq!(header::check_value("key\n").unwrap_err(), "ends with a line break: remove it");
/// ```
pub fn check_value(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("is empty");
    }
    if text.ends_with(['\n', '\r']) {
        return Err("ends with a line break: remove it");
    }
    if text
        .bytes()
        .any(|byte| byte.is_ascii_control() && byte != b'\t')
    {
        return Err("holds a control character, which no header value may (RFC 9110 s5.5)");
    }
    if text.starts_with([' ', '\t']) || text.ends_with([' ', '\t']) {
        return Err(
            "starts or ends with a space, which servers cut off (RFC 9110 s5.5): remove it",
        );
    }
    if !text.is_ascii() {
        return Err(
            "holds a character beyond ASCII, which header values do not carry reliably (RFC 9110 s5.5)",
        );
    }
    Ok(())
}

/// Makes a header value that is marked sensitive and owns bytes which are wiped on drop.
///
/// # Errors
/// Says what is wrong with the bytes, never the bytes.
///
/// ```
/// let value = gatepass_core::header::sensitive(b"Bearer abc".to_vec())?;
/// assert_eq!(format!("{value:?}"), "Sensitive");
/// # Ok::<(), &'static str>(())
/// ```
pub fn sensitive(bytes: impl Into<Zeroizing<Vec<u8>>>) -> Result<HeaderValue, &'static str> {
    let bytes: Zeroizing<Vec<u8>> = bytes.into();
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(bytes))
        .map_err(|_| "holds a control character, which no header value may (RFC 9110 s5.5)")?;
    value.set_sensitive(true);
    Ok(value)
}

/// A copy with bytes of its own, so that threads do not share one reference count.
pub(crate) fn deep_copy(value: &HeaderValue) -> HeaderValue {
    let mut copy = sensitive(value.as_bytes().to_vec()).unwrap_or_else(|_| value.clone());
    copy.set_sensitive(value.is_sensitive());
    copy
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_that_frame_the_message_are_refused_in_any_case() {
        for text in [
            "Host",
            "content-LENGTH",
            "Transfer-Encoding",
            "connection",
            "TE",
        ] {
            assert!(name(text).is_err(), "{text}");
        }
        for text in ["", "a b", "a:b", "ü", "a\n"] {
            assert!(name(text).is_err(), "{text:?}");
        }
        for text in [
            "api-key",
            "X_Api_Key",
            "Authorization",
            "x-goog-api-key",
            "Cookie",
        ] {
            assert!(name(text).is_ok(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_checked_value_is_always_a_header_value(text in ".{0,64}") {
            if check_value(&text).is_ok() {
                prop_assert!(sensitive(text.as_bytes().to_vec()).is_ok());
            }
        }
    }
}
