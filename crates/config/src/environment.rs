//! The one file that reads environment variables and the user's directories.

use std::ffi::OsString;
use std::path::PathBuf;

use etcetera::BaseStrategy;

/// The value of an environment variable, if it is set and not empty.
///
/// ```
/// assert!(gatepass_config::environment::variable("GATEPASS_SURELY_NOT_SET").is_none());
/// ```
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this file owns the environment")]
pub fn variable(name: &str) -> Option<OsString> {
    // A name with `=` or NUL can be no variable; asking for it would panic on some systems.
    if name.is_empty() || name.contains(['=', '\0']) {
        return None;
    }
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// `gatepass` in the user's cache directory, where that can be told.
#[must_use]
pub fn user_cache_directory() -> Option<PathBuf> {
    let base = etcetera::choose_base_strategy().ok()?;
    Some(base.cache_dir().join("gatepass"))
}

/// `gatepass/config.toml` in the user's config directory, where that can be told.
#[must_use]
pub fn user_config_file() -> Option<PathBuf> {
    let base = etcetera::choose_base_strategy().ok()?;
    Some(base.config_dir().join("gatepass").join("config.toml"))
}
