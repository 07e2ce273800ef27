//! `basic`: user-id and password (RFC 7617), UTF-8.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

use super::{invalid, load};
use crate::error::AuthError;
use crate::header;
use crate::helper::{HeaderMethod, HeaderSource};
use crate::method::{Owned, SharedMethod};
use crate::secret::{IntoSource, SharedSource};
use crate::settings::{BuildContext, KeyKind, KeySpec, MethodFactory, SettingProblem, Settings};

/// A user-id and a password, sent as `Authorization: Basic ..` (RFC 7617 s2).
///
/// ```
/// let header = gatepass_core::Basic::header("apiuser", "secret123")?;
/// assert_eq!(header.to_str().unwrap(), "Basic YXBpdXNlcjpzZWNyZXQxMjM=");
/// # Ok::<(), &'static str>(())
/// ```
#[derive(Debug)]
pub struct Basic {
    username: SharedSource,
    password: SharedSource,
}

impl Basic {
    /// The method for this user-id and password.
    #[must_use]
    pub fn method(username: impl IntoSource, password: impl IntoSource) -> SharedMethod {
        let source = Self {
            username: username.into_source(),
            password: password.into_source(),
        };
        Arc::new(HeaderMethod::new(
            Owned::headers(vec![AUTHORIZATION]),
            source,
        ))
    }

    /// The header value: `Basic base64(user-id:password)`, UTF-8.
    ///
    /// # Errors
    /// A user-id with `:` and control characters cannot be sent (RFC 7617 s2).
    pub fn header(username: &str, password: &str) -> Result<HeaderValue, &'static str> {
        check_user_id(username)?;
        check_no_controls(password)?;
        let pair = Zeroizing::new(format!("{username}:{password}").into_bytes());
        // Sized before encoding: growing would leave unwiped copies behind.
        let mut text = Zeroizing::new(String::with_capacity(6 + pair.len().div_ceil(3) * 4));
        text.push_str("Basic ");
        STANDARD.encode_string(&*pair, &mut text);
        header::sensitive(std::mem::take(&mut *text).into_bytes())
    }
}

#[async_trait]
impl HeaderSource for Basic {
    async fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, AuthError> {
        let username = load("username", &self.username).await?;
        let password = load("password", &self.password).await?;
        check_user_id(username.expose()).map_err(|what| invalid("username (the user-id)", what))?;
        let value = Self::header(username.expose(), password.expose())
            .map_err(|what| invalid("password", what))?;
        Ok(vec![(AUTHORIZATION, value)])
    }

    fn may_change(&self) -> bool {
        self.username.may_change() || self.password.may_change()
    }
}

fn check_user_id(text: &str) -> Result<(), &'static str> {
    if text.contains(':') {
        return Err("holds a `:`, which would end it early (RFC 7617 s2): no user-id has one");
    }
    check_no_controls(text)
}

fn check_no_controls(text: &str) -> Result<(), &'static str> {
    if text.ends_with(['\n', '\r']) {
        return Err("ends with a line break: remove it");
    }
    if text.chars().any(char::is_control) {
        return Err("holds a control character, which RFC 7617 s2 forbids");
    }
    Ok(())
}

/// Makes [`Basic`] from a definition.
///
/// ```
/// use gatepass_core::{MethodFactory, BasicFactory};
/// assert_eq!(BasicFactory.tag(), "basic");
/// ```
#[derive(Debug)]
pub struct BasicFactory;

const KEYS: &[KeySpec] = &[
    KeySpec::new(
        "username",
        KeyKind::Secret,
        "the user-id sent to the deployment",
    )
    .public()
    .required(),
    KeySpec::new(
        "password",
        KeyKind::Secret,
        "the password sent to the deployment",
    )
    .required(),
];

impl MethodFactory for BasicFactory {
    fn tag(&self) -> &'static str {
        "basic"
    }

    fn about(&self) -> &'static str {
        "user and password in `Authorization: Basic` (RFC 7617)"
    }

    fn keys(&self) -> &'static [KeySpec] {
        KEYS
    }

    fn build(
        &self,
        settings: &Settings,
        _: &BuildContext<'_>,
    ) -> Result<SharedMethod, Vec<SettingProblem>> {
        let username = settings.source_checked("username", check_user_id);
        let password = settings.source_checked("password", check_no_controls);
        let (username, password) = SettingProblem::both(username, password)?;
        Ok(Basic::method(username, password))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(username: &str, password: &str, want: &str) {
        assert_eq!(Basic::header(username, password).unwrap(), want);
    }

    #[test]
    fn the_published_example() {
        check("apiuser", "secret123", "Basic YXBpdXNlcjpzZWNyZXQxMjM=");
    }

    #[test]
    fn colons_utf8_and_empty_passwords() {
        check("colon", "a:b:c:", "Basic Y29sb246YTpiOmM6");
        check("jürgen", "pässwörd€", "Basic asO8cmdlbjpww6Rzc3fDtnJk4oKs");
        check("key", "", "Basic a2V5Og==");
        check("", "key", "Basic OmtleQ==");
    }

    #[test]
    fn a_password_of_4_kib_comes_back_whole() {
        let password = "p".repeat(4096);
        let value = Basic::header("u", &password).unwrap();
        let encoded = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
        assert_eq!(
            STANDARD.decode(encoded).unwrap(),
            format!("u:{password}").into_bytes()
        );
    }

    #[test]
    fn what_rfc_7617_forbids_is_refused() {
        for (username, password) in [("a:b", "p"), ("a\n", "p"), ("a", "p\u{7f}"), ("a", "p\n")] {
            assert!(Basic::header(username, password).is_err());
        }
    }
}
