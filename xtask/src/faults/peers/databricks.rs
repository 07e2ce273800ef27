//! The token source of the Databricks SDK for Python, as its `ClientCredentials` gives tokens.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::super::world::CANARY;
use super::Answer;
use super::endpoint::Endpoint;
use crate::{python, shell};

const PACKAGE: &str = "databricks-sdk==0.162.0";

/// A token for each line on its input.
const ASK: &str = r#"
import sys
from databricks.sdk.oauth import ClientCredentials
source = ClientCredentials(
    client_id="id", client_secret=sys.argv[2], token_url=sys.argv[1],
    use_header=True, disable_async=False)
for _ in sys.stdin:
    try:
        print("token", source.token().access_token, flush=True)
    except Exception as error:
        print("error", type(error).__name__, flush=True)
"#;

/// Installs it; its name and version.
pub(super) fn prepare() -> Result<String, String> {
    python::install(PACKAGE, true)?;
    Ok(
        "databricks-sdk 0.162.0 for Python, `ClientCredentials` with renewal in the background; \
        calls are sent with the token it gives"
            .to_owned(),
    )
}

pub(super) struct Source {
    /// Ends with this.
    _process: Child,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Source {
    pub(super) fn start(endpoint: &Endpoint) -> Result<Self, String> {
        let python = shell::find("python3").ok_or("python3 is not on the path: install it")?;
        let mut process = Command::new(python)
            .args(["-c", ASK])
            .arg(format!("http://{}/token", endpoint.token_address))
            .arg(CANARY)
            .env("PYTHONPATH", python::install(PACKAGE, true)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|cause| format!("python3 does not start: {cause}"))?;
        let questions = process.stdin.take().ok_or("no input to python3")?;
        let answers = process.stdout.take().ok_or("no output of python3")?;
        Ok(Self {
            _process: process,
            questions,
            answers: BufReader::new(answers).lines(),
        })
    }

    pub(super) async fn call(&mut self, endpoint: &Endpoint) -> Answer {
        if self.questions.write_all(b"?\n").await.is_err() {
            return Answer::Failed("the process is gone".to_owned());
        }
        let Ok(Some(line)) = self.answers.next_line().await else {
            return Answer::Failed("the process is gone".to_owned());
        };
        match line.split_once(' ') {
            Some(("token", token)) if endpoint.takes(token) => Answer::Served,
            Some(("token", _)) => Answer::Failed("401".to_owned()),
            Some((_, error)) => Answer::Failed(error.to_owned()),
            None => Answer::Failed("an empty token".to_owned()),
        }
    }
}
