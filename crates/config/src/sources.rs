//! Where secrets come from: the environment, a file, a command.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gatepass_core::{Literal, Secret, SecretError, SecretSource, SharedSource};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use crate::environment;
use crate::tree::{Node, Tree};

/// The longest secret that is read, in bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// How long a secret command may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// An environment variable.
///
/// ```
/// let source = gatepass_config::EnvSource::shared("CHURN_KEY");
/// assert!(source.literal().is_none(), "read when it is first needed");
/// ```
#[derive(Debug)]
pub struct EnvSource(String);

impl EnvSource {
    /// The variable of this name; read when the secret is first needed.
    #[must_use]
    pub fn shared(name: impl Into<String>) -> SharedSource {
        Arc::new(Self(name.into()))
    }
}

#[async_trait]
impl SecretSource for EnvSource {
    async fn load(&self) -> Result<Secret, SecretError> {
        let name = &self.0;
        let value = environment::variable(name).ok_or_else(|| {
            SecretError::new(format!(
                "environment variable {name} is not set (or empty): export it, or use {{ file = \"..\" }}"
            ))
        })?;
        let text = value.into_string().map_err(|_| {
            SecretError::new(format!(
                "environment variable {name} is not valid UTF-8: set it anew"
            ))
        })?;
        Ok(Secret::new(text))
    }

    fn literal(&self) -> Option<&Secret> {
        None
    }

    fn may_change(&self) -> bool {
        false
    }
}

/// A file that holds the secret and nothing else; one trailing line break is trimmed.
///
/// ```
/// let source = gatepass_config::FileSource::shared("/run/secrets/churn");
/// assert!(source.literal().is_none(), "read when it is first needed");
/// ```
#[derive(Debug)]
pub struct FileSource(PathBuf);

impl FileSource {
    /// The file at this path; read when the secret is first needed, and again when it is rejected.
    #[must_use]
    pub fn shared(path: impl Into<PathBuf>) -> SharedSource {
        Arc::new(Self(path.into()))
    }
}

#[async_trait]
impl SecretSource for FileSource {
    async fn load(&self) -> Result<Secret, SecretError> {
        let path = self.0.clone();
        let read = match Handle::try_current() {
            Ok(runtime) => runtime
                .spawn_blocking(move || read_file(&path))
                .await
                .map_err(|_| {
                    SecretError::new("the reader of the secret file was stopped: try again")
                })?,
            Err(_) => read_file(&path),
        };
        secret_text(&format!("file {}", self.0.display()), read?)
    }

    fn literal(&self) -> Option<&Secret> {
        None
    }

    fn may_change(&self) -> bool {
        true
    }
}

fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let fail = |cause: std::io::Error| {
        let place = path.display();
        SecretError::new(format!(
            "file {place} cannot be read ({}): check path and rights",
            cause.kind()
        ))
    };
    let file = std::fs::File::open(path).map_err(fail)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(fail)?;
    Ok(bytes)
}

/// A command that prints the secret: argv without a shell, 30 s, one trailing line break trimmed.
///
/// ```
/// let source = gatepass_config::CommandSource::shared(vec!["op".into(), "read".into()], "/etc/gatepass");
/// assert!(source.literal().is_none(), "read when it is first needed");
/// ```
pub struct CommandSource {
    argv: Vec<String>,
    directory: PathBuf,
}

impl CommandSource {
    /// The command; a relative program with a `/` is meant relative to `directory`.
    #[must_use]
    pub fn shared(argv: Vec<String>, directory: impl Into<PathBuf>) -> SharedSource {
        Arc::new(Self {
            argv,
            directory: directory.into(),
        })
    }

    fn program(&self) -> PathBuf {
        let program = PathBuf::from(self.argv.first().map_or("", String::as_str));
        if program.components().count() > 1 {
            self.directory.join(program)
        } else {
            program
        }
    }

    async fn run(&self) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let place = self.place();
        let mut child = Command::new(self.program())
            .args(self.argv.iter().skip(1))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|cause| {
                SecretError::new(format!(
                    "{place} does not start ({}): check its path",
                    cause.kind()
                ))
            })?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
        if let Some(output) = child.stdout.take() {
            let read = output.take(MAX_BYTES + 1).read_to_end(&mut bytes).await;
            read.map_err(|_| SecretError::new(format!("{place}: its output cannot be read")))?;
        }
        if bytes.len() as u64 > MAX_BYTES {
            return Ok(bytes);
        }
        let status = child.wait().await;
        match status {
            Ok(status) if status.success() => Ok(bytes),
            Ok(status) => Err(SecretError::new(format!(
                "{place} failed ({status}): run it by hand to see why"
            ))),
            Err(_) => Err(SecretError::new(format!("{place} was lost: try again"))),
        }
    }

    /// The program alone: arguments may hold what nobody should see.
    fn place(&self) -> String {
        format!("command {}", self.argv.first().map_or("", String::as_str))
    }
}

impl fmt::Debug for CommandSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommandSource({})", self.place())
    }
}

#[async_trait]
impl SecretSource for CommandSource {
    async fn load(&self) -> Result<Secret, SecretError> {
        if Handle::try_current().is_err() {
            return Err(SecretError::new(
                "a secret command needs a tokio runtime: call from within one",
            ));
        }
        let place = self.place();
        let bytes = tokio::time::timeout(COMMAND_TIMEOUT, self.run())
            .await
            .map_err(|_| {
                let seconds = COMMAND_TIMEOUT.as_secs();
                SecretError::new(format!(
                    "{place} took more than {seconds} s and was stopped"
                ))
            })??;
        secret_text(&place, bytes)
    }

    fn literal(&self) -> Option<&Secret> {
        None
    }

    fn may_change(&self) -> bool {
        false
    }
}

/// Bytes of a file or command as a secret: UTF-8, one trailing line break trimmed.
fn secret_text(place: &str, mut bytes: Zeroizing<Vec<u8>>) -> Result<Secret, SecretError> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(SecretError::new(format!(
            "{place} gives more than {MAX_BYTES} bytes: is it the right one?"
        )));
    }
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    if bytes.is_empty() {
        return Err(SecretError::new(format!(
            "{place} gives nothing: put the secret there"
        )));
    }
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => Ok(Secret::new(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            Err(SecretError::new(format!("{place} is not valid UTF-8 text")))
        }
    }
}

/// What a secret key was given: text, or a reference. The error continues a sentence.
pub(crate) fn source_of(node: &Node, directory: &Path) -> Result<SharedSource, String> {
    const FORMS: &str =
        "must be text, { env = \"NAME\" }, { file = \"PATH\" } or { command = [\"PROGRAM\", ..] }";
    let reference = match &node.value {
        Tree::Text(text) => return Ok(Literal::shared(text.to_string())),
        Tree::Table(table) => table,
        _ => return Err(FORMS.into()),
    };
    let [(kind, value)] = reference.as_slice() else {
        return Err(FORMS.into());
    };
    match (kind.as_str(), &value.value) {
        ("env", Tree::Text(name)) if !name.is_empty() => Ok(EnvSource::shared(name.to_string())),
        ("file", Tree::Text(path)) if !path.is_empty() => {
            Ok(FileSource::shared(directory.join(path.as_str())))
        }
        ("command", Tree::List(items)) if !items.is_empty() => {
            let argv: Option<Vec<String>> = items
                .iter()
                .map(|item| item.text().map(str::to_owned))
                .collect();
            argv.map(|argv| CommandSource::shared(argv, directory))
                .ok_or_else(|| FORMS.into())
        }
        _ => Err(FORMS.into()),
    }
}
