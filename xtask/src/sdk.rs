//! The OpenAI SDK for Python, LangChain and LiteLLM through `gatepass exec`, before a server that speaks
//! OpenAI's API.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gatepass_testkit::TokenServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::{python, shell};

const OPENAI: &str = "openai==3.57.0";
const LLMOCK: &str = "llmock==0.2.2";
const LANGCHAIN: &str = "langchain-openai==1.7.4";
const LITELLM: &str = "litellm==1.110.2";
const UPSTREAM_KEY: &str = "up-c4nary";

/// Chat, streamed chat and embeddings; nothing but the environment tells it where.
const WORKS: &str = r#"
import os
from openai import OpenAI
client = OpenAI()
messages = [{"role": "user", "content": "hello"}]
answer = client.chat.completions.create(model="gpt-4o", messages=messages)
assert answer.choices[0].message.content, answer
print("chat:", answer.choices[0].message.content)
stream = client.chat.completions.create(model="gpt-4o", messages=messages, stream=True)
pieces = [piece for piece in stream]
assert len(pieces) > 2, pieces
print("streamed chat:", len(pieces), "pieces")
vectors = client.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
assert len(vectors.data) == 2, vectors
print("embeddings:", len(vectors.data), "of", len(vectors.data[0].embedding), "numbers")
"#;

/// The same by LangChain, told where by its arguments.
const LANGCHAIN_WORKS: &str = r#"
import os
from langchain_openai import ChatOpenAI
model = ChatOpenAI(model="gpt-4o", base_url=os.environ["GATEPASS_URL"], api_key=os.environ["GATEPASS_KEY"])
answer = model.invoke("hello")
assert answer.content, answer
pieces = [piece.content for piece in model.stream("hello")]
assert len(pieces) > 2, pieces
print("LangChain:", len(pieces), "pieces")
"#;

/// And by LiteLLM.
const LITELLM_WORKS: &str = r#"
import os
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm
messages = [{"role": "user", "content": "hello"}]
where = {"api_base": os.environ["GATEPASS_URL"], "api_key": os.environ["GATEPASS_KEY"]}
answer = litellm.completion(model="openai/gpt-4o", messages=messages, **where)
assert answer.choices[0].message.content, answer
pieces = [piece for piece in litellm.completion(model="openai/gpt-4o", messages=messages, stream=True, **where)]
assert len(pieces) > 2, pieces
print("LiteLLM:", len(pieces), "pieces")
"#;

/// A fault that asking again cannot help is sent once and told in words that help; one that it may
/// help is sent again.
const FAILS: &str = r#"
import logging, os
from openai import OpenAI, APIStatusError
class Counting(logging.Handler):
    retries = 0
    def emit(self, record):
        self.retries += record.getMessage().startswith("Retrying")
counting = Counting()
logging.getLogger("openai").addHandler(counting)
logging.getLogger("openai").setLevel(logging.DEBUG)
try:
    OpenAI().models.list()
    raise SystemExit("it was served")
except APIStatusError as error:
    text = str(error)
assert os.environ["SAYS"] in text, text
again = "sent again" if counting.retries else "sent once"
assert again == os.environ["HOW"], again
print(f"{again}:", text)
"#;

/// Runs both programs; fails if either does.
pub(crate) fn run() -> Result<(), String> {
    let (openai, llmock) = (
        python::install(OPENAI, true)?,
        python::install(LLMOCK, true)?,
    );
    let (langchain, litellm) = (
        python::install(LANGCHAIN, true)?,
        python::install(LITELLM, true)?,
    );
    shell::run(&mut shell::cargo(&[
        "build",
        "--locked",
        "-p",
        "gatepass-cli",
    ]))?;
    let runtime = shell::runtime(1)?;
    let (server, server_port) = start_server(&llmock)?;
    let recorded = Arc::new(Mutex::new(Vec::new()));
    let (port, tokens) = runtime.block_on(async {
        let port = record(server_port, Arc::clone(&recorded)).await?;
        let tokens = TokenServer::start().await;
        tokens
            .map(|tokens| (port, tokens))
            .map_err(|cause| cause.to_string())
    })?;
    let config = format!(
        "[deployments.gpt]\nbase_url = \"http://127.0.0.1:{port}/v1\"\nauthentication = \"bearer\"\ntoken = \"{UPSTREAM_KEY}\"\n\
         [deployments.refused]\nbase_url = \"http://127.0.0.1:{port}/v1\"\nauthentication = \"oauth\"\nclient_id = \"nobody\"\n\
         client_secret = \"wrong\"\ntoken_url = \"{}\"\n\
         [deployments.gone]\nbase_url = \"http://127.0.0.1:1/v1\"\nauthentication = \"none\"\n",
        tokens.url()
    );
    let path = shell::root().join("target/sdk.toml");
    fs::write(&path, config).map_err(|cause| format!("target/sdk.toml: {cause}"))?;
    exec(&path, "gpt", WORKS, &openai, [])?;
    exec(&path, "gpt", LANGCHAIN_WORKS, &langchain, [])?;
    exec(&path, "gpt", LITELLM_WORKS, &litellm, [])?;
    let refused = [
        ("SAYS", "check client_id and client_secret"),
        ("HOW", "sent once"),
    ];
    exec(&path, "refused", FAILS, &openai, refused)?;
    let gone = [("SAYS", "it refuses connections"), ("HOW", "sent again")];
    exec(&path, "gone", FAILS, &openai, gone)?;
    let seen = recorded.lock().unwrap_or_else(PoisonError::into_inner);
    let seen = String::from_utf8_lossy(&seen);
    if !seen.contains(UPSTREAM_KEY) {
        return Err("the upstream never saw its own key".to_owned());
    }
    if seen.contains("gp_") {
        return Err("the SDK's key reached the upstream".to_owned());
    }
    println!("the upstream saw its own key, and never the SDK's");
    drop(server);
    Ok(())
}

fn exec<const N: usize>(
    config: &Path,
    deployment: &str,
    program: &str,
    packages: &Path,
    variables: [(&str, &str); N],
) -> Result<(), String> {
    let python = shell::find("python3").ok_or("python3 is not on the path: install it")?;
    let mut gatepass = Command::new(shell::root().join("target/debug/gatepass"));
    gatepass
        .args(["exec", deployment, "--config"])
        .arg(config)
        .arg("--")
        .arg(python)
        .args(["-c", program])
        .env("PYTHONPATH", packages)
        .env("NO_PROXY", "127.0.0.1")
        .envs(variables);
    let status = gatepass
        .status()
        .map_err(|cause| format!("gatepass does not start: {cause}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("the program for {deployment} failed: {status}"))
    }
}

/// Ends with this.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

fn start_server(packages: &Path) -> Result<(Server, u16), String> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0));
    let address = listener.and_then(|listener| listener.local_addr());
    let port = address.map_err(|cause| format!("no port: {cause}"))?.port();
    let python = shell::find("python3").ok_or("python3 is not on the path: install it")?;
    let server = Command::new(python)
        .args([
            "-c",
            "from llmock.cli import app; app()",
            "serve",
            "--port",
            &port.to_string(),
        ])
        .env("PYTHONPATH", packages)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|cause| format!("python3 does not start: {cause}"))?;
    let server = Server(server);
    for _ in 0..300 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok((server, port));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err("llmock did not begin to listen within 30 s".to_owned())
}

/// Passes connections on to a port, and keeps what callers send.
async fn record(to: u16, kept: Arc<Mutex<Vec<u8>>>) -> Result<u16, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await;
    let listener = listener.map_err(|cause| format!("no port: {cause}"))?;
    let port = listener
        .local_addr()
        .map_err(|cause| cause.to_string())?
        .port();
    tokio::spawn(async move {
        while let Ok((caller, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else {
                return;
            };
            let kept = Arc::clone(&kept);
            tokio::spawn(async move {
                let (mut from_caller, mut to_caller) = caller.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                tokio::spawn(async move {
                    let _over = tokio::io::copy(&mut from_server, &mut to_caller).await;
                });
                let mut buffer = [0; 16 * 1024];
                while let Ok(read @ 1..) = from_caller.read(&mut buffer).await {
                    kept.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .extend_from_slice(&buffer[..read]);
                    if to_server.write_all(&buffer[..read]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok(port)
}
