//! Runs the built command.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A command under test, with a config file of its own.
pub(crate) struct Gatepass {
    directory: TempDir,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Gatepass {
    pub(crate) fn new(config: &str) -> Self {
        let this = Self {
            directory: TempDir::new().unwrap(),
        };
        this.file("gatepass.toml", config);
        this
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(arguments, &[], "")
    }

    /// The command with this config, to be started as the test likes.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatepass"));
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .env(
                "GATEPASS_CONFIG",
                self.directory.path().join("gatepass.toml"),
            );
        command
    }

    /// Runs with `GATEPASS_CONFIG` naming this config, these variables and this input.
    pub(crate) fn run_with(
        &self,
        arguments: &[&str],
        variables: &[(&str, &str)],
        input: &str,
    ) -> Outcome {
        let mut child = self
            .command(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // The command may end without reading.
        let _unread = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        Outcome {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Outcome {
    /// Checks the exit code and that each text stands in one of the outputs.
    pub(crate) fn check(&self, code: i32, needles: &[&str]) {
        assert_eq!(self.code, code, "{self:#?}");
        for needle in needles {
            let found = self.stdout.contains(needle) || self.stderr.contains(needle);
            assert!(found, "no {needle:?} in {self:#?}");
        }
    }
}
