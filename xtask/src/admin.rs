//! The gateway's admin listener before those it is made for: its page in Chromium, its metrics before
//! promtool.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use gatepass_testkit::{Access, Model, TokenServer};

use crate::shell;

/// Kept out of everything that is shown.
const CANARY: &str = "c4nary-admin";

/// Ends with this.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// Fails if either finds anything wrong; leaves a screenshot in `target/admin-page.png`.
pub(crate) fn run() -> Result<(), String> {
    let chromium = shell::find("chromium").or_else(|| shell::find("google-chrome"));
    let chromium = chromium.ok_or("chromium is not on the path: install the package chromium")?;
    let promtool = shell::find("promtool");
    let promtool = promtool.ok_or("promtool is not on the path: install the package prometheus")?;
    shell::run(&mut shell::cargo(&[
        "build",
        "--locked",
        "-p",
        "gatepass-cli",
    ]))?;
    let runtime = shell::runtime(1)?;
    let (tokens, model) = runtime
        .block_on(async {
            let tokens = TokenServer::start().await?.client("id", CANARY);
            let model = Model::start(Access::Token(tokens.clone())).await?;
            Ok::<_, std::io::Error>((tokens, model))
        })
        .map_err(|cause| format!("no server: {cause}"))?;
    let config = format!(
        "[deployments.churn]\nbase_url = \"{0}\"\nauthentication = \"oauth\"\nclient_id = \"id\"\n\
         client_secret = \"{CANARY}\"\ntoken_url = \"{1}\"\nscope = \"\"\nin_flight_limit = 8\n\
         [deployments.refused]\nbase_url = \"{0}\"\nauthentication = \"oauth\"\nclient_id = \"nobody\"\n\
         client_secret = \"{CANARY}\"\ntoken_url = \"{1}\"\nscope = \"\"\n\
         [deployments.gone]\nurl = \"http://127.0.0.1:1/\"\nauthentication = \"none\"\n",
        model.url("/v1"),
        tokens.url()
    );
    let path = shell::root().join("target/admin.toml");
    fs::write(&path, config).map_err(|cause| format!("target/admin.toml: {cause}"))?;
    let (_serving, url, admin) = serve(&path)?;
    for name in ["churn", "churn", "refused", "gone"] {
        get(&format!("{url}/{name}/x"))?;
    }

    let page = browse(&chromium, &format!("{admin}/-/"))?;
    for holds in [
        "churn",
        "live, ",
        "0 of 8",
        "check client_id and client_secret",
        "gone",
    ] {
        if !page.contains(holds) {
            return Err(format!("the page does not show {holds:?}:\n{page}"));
        }
    }
    println!(
        "the page shows three deployments, what they hold and what went wrong: target/admin-page.png"
    );

    let metrics = get(&format!("{admin}/-/metrics"))?;
    check_metrics(&promtool, &metrics)?;
    let samples = metrics
        .lines()
        .filter(|line| !line.starts_with('#'))
        .count();
    println!("promtool finds nothing wrong with {samples} samples");
    for (what, text) in [("the page", &page), ("the metrics", &metrics)] {
        if text.contains(CANARY) || text.contains("tok-") {
            return Err(format!("{what} tell a secret"));
        }
    }
    Ok(())
}

fn serve(config: &Path) -> Result<(Serving, String, String), String> {
    let child = Command::new(shell::root().join("target/debug/gatepass"))
        .args([
            "serve",
            "--no-keys",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
        ])
        .arg("--config")
        .arg(config)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|cause| format!("gatepass does not start: {cause}"))?;
    let mut serving = Serving(child);
    let stderr = serving.0.stderr.take().ok_or("no stderr")?;
    let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
    let mut url = |begins: &str| {
        let line = lines.next().unwrap_or_default();
        let found = line.strip_prefix(begins).map(str::to_owned);
        found.ok_or_else(|| format!("gatepass said: {line}"))
    };
    let (url, admin) = (url("listening on ")?, url("admin on ")?);
    Ok((serving, url, admin))
}

fn get(url: &str) -> Result<String, String> {
    let curl = shell::find("curl").ok_or("curl is not on the path: install it")?;
    shell::output(Command::new(curl).args(["-s", "--noproxy", "*", url]))
}

/// What stands on a page; a picture of it, too.
fn browse(chromium: &Path, url: &str) -> Result<String, String> {
    let profile = shell::root().join("target/chromium");
    let browser = |what: &str| {
        let mut browser = Command::new(chromium);
        browser
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
            ])
            .args(["--no-first-run", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .args(["--window-size=1280,720", what, url]);
        browser
    };
    let picture: PathBuf = shell::root().join("target/admin-page.png");
    shell::output(&mut browser(&format!("--screenshot={}", picture.display())))?;
    shell::output(&mut browser("--dump-dom"))
}

fn check_metrics(promtool: &Path, metrics: &str) -> Result<(), String> {
    use std::io::Write;
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|cause| format!("promtool does not start: {cause}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        let told = stdin.write_all(metrics.as_bytes());
        told.map_err(|cause| format!("promtool does not read: {cause}"))?;
    }
    let output = child
        .wait_with_output()
        .map_err(|cause| cause.to_string())?;
    if !output.status.success() || !output.stderr.is_empty() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("promtool is not content:\n{why}"));
    }
    Ok(())
}
