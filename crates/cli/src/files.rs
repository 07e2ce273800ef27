//! Files that are nobody else's business.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::exit::Failure;

/// Makes a directory that only its owner may enter, if it is not there.
pub(crate) fn private_directory(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(path)
        .map_err(|cause| cannot("make", path, &cause))
}

/// Writes a file that only its owner may read: whole, or not at all. A file that is there keeps its
/// rights; a link stays one.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), Failure> {
    replace(path, content).map_err(|cause| cannot("write", path, &cause))
}

/// The same, with the error as it is.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Made with rights for the owner alone.
    let mut file = NamedTempFile::new_in(directory)?;
    file.write_all(content)?;
    if let Ok(known) = fs::metadata(&path) {
        file.as_file().set_permissions(known.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|failed| failed.error)?;
    Ok(())
}

pub(crate) fn cannot(what: &str, path: &Path, cause: &io::Error) -> Failure {
    let (path, kind) = (path.display(), cause.kind());
    Failure::other(format!(
        "cannot {what} {path} ({kind}): check path and rights"
    ))
}
