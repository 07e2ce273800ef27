//! What tells credentials apart.

use std::fmt;

use sha2::{Digest, Sha256};

/// What tells credentials apart: SHA-256 over every input, the secret among them, each prefixed
/// with its length.
///
/// ```
/// use gatepass_oauth::CredentialKey;
/// let key = |fields: &[&[u8]]| CredentialKey::of(fields.iter().copied());
/// assert_ne!(key(&[b"ab", b"c"]), key(&[b"a", b"bc"]));
/// assert_eq!(key(&[b"a"]).to_string().len(), 64);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CredentialKey([u8; 32]);

impl CredentialKey {
    /// The key of these inputs, in this order.
    pub fn of<'a>(fields: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hash = Sha256::new();
        for field in fields {
            hash.update((field.len() as u64).to_be_bytes());
            hash.update(field);
        }
        Self(hash.finalize().into())
    }
}

/// As 64 lower-case hexadecimal digits.
impl fmt::Display for CredentialKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
