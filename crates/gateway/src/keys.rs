//! Keys of callers: 32 random bytes each; a configuration holds only their digests.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// A fresh key for a caller: 32 random bytes as text.
///
/// # Errors
/// When the system gives no randomness.
///
/// ```
/// assert!(gatepass_gateway::new_key()?.starts_with("gp_"));
/// # Ok::<(), String>(())
/// ```
pub fn new_key() -> Result<String, String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|cause| format!("no randomness to be had: {cause}"))?;
    Ok(format!("gp_{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// The digest of a key, as a configuration holds it: SHA-256 in hexadecimal digits.
///
/// ```
/// assert!(gatepass_gateway::digest("test").starts_with("9f86d081"));
/// ```
#[must_use]
pub fn digest(key: &str) -> String {
    let digest = Sha256::digest(key.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
