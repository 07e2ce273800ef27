//! Secret bytes: never printed, wiped when dropped; and where they come from.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use zeroize::Zeroizing;

/// A piece of text that is never printed and is wiped when dropped.
///
/// There is no `Display` and no `Serialize`; `Debug` prints `[redacted]`.
///
/// ```
/// let secret = gatepass_core::Secret::new("hunter2");
/// assert_eq!(format!("{secret:?}"), "[redacted]");
/// assert_eq!(secret.expose(), "hunter2");
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes ownership of the text; a `String` is moved in, not copied.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself. Every call of this is a place where a secret may leak; keep it short.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        let (left, right) = (self.expose().as_bytes(), other.expose().as_bytes());
        left.len() == right.len()
            && left
                .iter()
                .zip(right)
                .fold(0, |found, (a, b)| found | (a ^ b))
                == 0
    }
}

impl Eq for Secret {}

/// Where a secret comes from; asked on the first use of its deployment, not at load.
///
/// Implementations may do I/O; `gatepass-config` has the environment, files and commands.
///
/// ```
/// use gatepass_core::{Secret, SecretError, SecretSource};
///
/// #[derive(Debug)]
/// struct Vault;
///
/// #[async_trait::async_trait]
/// impl SecretSource for Vault {
///     async fn load(&self) -> Result<Secret, SecretError> {
///         Ok(Secret::new("from the vault"))
///     }
///     fn literal(&self) -> Option<&Secret> {
///         None
///     }
///     fn may_change(&self) -> bool {
///         true
///     }
/// }
/// ```
#[async_trait]
pub trait SecretSource: fmt::Debug + Send + Sync + 'static {
    /// Fetches the secret as it is now.
    ///
    /// # Errors
    /// When it is not there or cannot be read; the message names the place, never the content.
    async fn load(&self) -> Result<Secret, SecretError>;

    /// The secret, where it is known without I/O, so that it can be checked at load.
    fn literal(&self) -> Option<&Secret>;

    /// Whether the place may hold something newer, so that a rejection is worth another look.
    fn may_change(&self) -> bool;
}

/// A shared source of a secret.
///
/// ```
/// let source: gatepass_core::SharedSource = gatepass_core::Literal::shared("abc");
/// assert!(!source.may_change());
/// ```
pub type SharedSource = Arc<dyn SecretSource>;

/// A secret that was not there, or could not be read: where, why, and what to do.
///
/// ```
/// let error = gatepass_core::SecretError::new("file /run/key cannot be read (not found): check path and rights");
/// assert!(error.to_string().ends_with("check path and rights"));
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct SecretError {
    message: String,
}

impl SecretError {
    /// An error with its whole message: lower case, names the place, says what to do.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

/// A secret that was written down in the definition itself.
///
/// ```
/// use gatepass_core::{Literal, SecretSource};
/// assert!(Literal::shared("abcd1234").literal().is_some());
/// ```
#[derive(Debug)]
pub struct Literal(Secret);

impl Literal {
    /// Wraps the text as a source.
    #[must_use]
    pub fn shared(text: impl Into<String>) -> SharedSource {
        Arc::new(Self(Secret::new(text)))
    }
}

#[async_trait]
impl SecretSource for Literal {
    async fn load(&self) -> Result<Secret, SecretError> {
        Ok(self.0.clone())
    }

    fn literal(&self) -> Option<&Secret> {
        Some(&self.0)
    }

    fn may_change(&self) -> bool {
        false
    }
}

/// Anything that can name a secret: text, a [`Secret`], or a source.
///
/// ```
/// use gatepass_core::IntoSource;
/// assert!("s3cr3t".into_source().literal().is_some());
/// ```
pub trait IntoSource {
    /// The value as a source.
    fn into_source(self) -> SharedSource;
}

impl IntoSource for &str {
    fn into_source(self) -> SharedSource {
        Literal::shared(self)
    }
}

impl IntoSource for String {
    fn into_source(self) -> SharedSource {
        Literal::shared(self)
    }
}

impl IntoSource for Secret {
    fn into_source(self) -> SharedSource {
        Arc::new(Literal(self))
    }
}

impl IntoSource for SharedSource {
    fn into_source(self) -> SharedSource {
        self
    }
}
