//! Which files are read. Never the working directory: a cloned repository could pair a secret of
//! the user with a URL of its own.

use std::fs;
use std::path::{Path, PathBuf};

use crate::environment;
use crate::problem::{ConfigError, Problem};

/// The files to read: the given ones (a directory stands for its `.toml` and `.json` files), else
/// `$GATEPASS_CONFIG`, else `gatepass/config.toml` in the user's config directory.
///
/// ```
/// let files = gatepass_config::locate(&["gatepass.toml".into()])?;
/// assert_eq!(files, [std::path::Path::new("gatepass.toml")]);
/// # Ok::<(), gatepass_config::ConfigError>(())
/// ```
///
/// # Errors
/// When there is nothing to read, with the places that were looked at.
pub fn locate(given: &[PathBuf]) -> Result<Vec<PathBuf>, ConfigError> {
    if !given.is_empty() {
        return expand(given);
    }
    if let Some(path) = environment::variable("GATEPASS_CONFIG") {
        return expand(&[PathBuf::from(path)]);
    }
    match environment::user_config_file() {
        Some(path) if path.is_file() => Ok(vec![path]),
        Some(path) => Err(nothing_found(&format!("{} is not there", path.display()))),
        None => Err(nothing_found("this user has no config directory")),
    }
}

fn nothing_found(why: &str) -> ConfigError {
    let message = format!(
        "no configuration: --config is not given, $GATEPASS_CONFIG is not set, and {why}: \
         write one of them (the working directory is never searched)"
    );
    ConfigError::new(vec![Problem::general(message)])
}

fn expand(given: &[PathBuf]) -> Result<Vec<PathBuf>, ConfigError> {
    let mut files = Vec::new();
    let mut problems = Vec::new();
    for path in given {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        match directory_files(path) {
            Ok(found) if found.is_empty() => {
                let message = "holds no .toml or .json file: add one, or name a file";
                problems.push(Problem::of_file(path, message));
            }
            Ok(found) => files.extend(found),
            Err(cause) => {
                problems.push(Problem::of_file(
                    path,
                    format!("cannot be listed: {}", cause.kind()),
                ));
            }
        }
    }
    if problems.is_empty() {
        Ok(files)
    } else {
        Err(ConfigError::new(problems))
    }
}

fn directory_files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let wanted = path
            .extension()
            .is_some_and(|end| end == "toml" || end == "json");
        if wanted && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
