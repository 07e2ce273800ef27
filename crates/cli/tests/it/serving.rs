//! `serve`, `exec` and `key`: the built command as a gateway.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gatepass_testkit::{Access, Model, TokenServer};

use crate::command::Gatepass;

pub(crate) const CANARY: &str = "c4nary-serving";

/// A token endpoint, a model that wants its tokens, and a configuration for both.
pub(crate) struct World {
    _runtime: tokio::runtime::Runtime,
    pub(crate) tokens: TokenServer,
    model: Model,
}

impl World {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (tokens, model) = runtime.block_on(async {
            let tokens = TokenServer::start().await.unwrap().client("id", CANARY);
            let access = Access::Token(tokens.clone());
            (tokens, Model::start(access).await.unwrap())
        });
        Self {
            _runtime: runtime,
            tokens,
            model,
        }
    }

    pub(crate) fn deployment(&self, name: &str) -> String {
        format!(
            "[deployments.{name}]\nbase_url = \"{}\"\nauthentication = \"oauth\"\nclient_id = \"id\"\n\
             client_secret = \"{CANARY}\"\ntoken_url = \"{}\"\nscope = \"\"\n",
            self.model.url("/v1"),
            self.tokens.url()
        )
    }
}

/// A gateway that was started by the command; ends with this.
pub(crate) struct Serving {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
    pub(crate) seen: Vec<String>,
}

impl Serving {
    pub(crate) fn start(gatepass: &Gatepass, more: &[&str]) -> Self {
        let mut child = gatepass
            .command(&["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, lines) = std::sync::mpsc::channel();
        let stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _over = to.send(line);
            }
        });
        Self {
            child,
            lines,
            seen: Vec::new(),
        }
    }

    /// The rest of the first line on stderr, from now on, that holds this.
    pub(crate) fn line(&mut self, holds: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(20));
            let line =
                line.unwrap_or_else(|_| panic!("no line with {holds:?} in {:#?}", self.seen));
            self.seen.push(line.clone());
            if let Some((_, rest)) = line.split_once(holds) {
                return rest.to_owned();
            }
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let kill = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
    }

    pub(crate) fn ends_with(&mut self) -> Option<i32> {
        for _ in 0..1000 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it did not end");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test reads where its programs are"
)]
fn path() -> String {
    std::env::var("PATH").unwrap()
}

pub(crate) fn get(url: &str, key: &str) -> (u16, String) {
    let output = Command::new("curl")
        .args(["-s", "--noproxy", "*", "-o", "-", "-w", "\n%{http_code}"])
        .args(["-H", &format!("x-api-key: {key}"), url])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

#[test]
fn a_key_is_made_and_pasted_and_the_configuration_read_again() {
    let world = World::new();
    let gatepass = Gatepass::new(&world.deployment("churn"));
    let mut serving = Serving::start(&gatepass, &[]);
    let url = serving.line("listening on ");
    let admin = serving.line("admin on ");
    assert_eq!(serving.line("GATEPASS_URL="), url);
    let key = serving.line("GATEPASS_KEY=");
    let pair = serving.line("OPENAI_BASE_URL=");
    assert_eq!(pair, format!("{url}/churn OPENAI_API_KEY={key}"));
    assert_eq!(get(&format!("{url}/churn/x"), &key).0, 200);
    assert_eq!(get(&format!("{url}/churn/x"), "wrong").0, 401);
    assert_eq!(get(&format!("{admin}/-/readyz"), "").0, 200);
    let metrics = get(&format!("{admin}/-/metrics"), "").1;
    let endpoint = world.tokens.url();
    for line in [
        format!("gatepass_token_exchanges_total{{source=\"{endpoint}\",outcome=\"obtained\"}} 1"),
        format!("gatepass_token_usable_seconds{{source=\"{endpoint}\"}} 3"),
    ] {
        assert!(metrics.contains(&line), "no {line} in\n{metrics}");
    }

    // One more deployment, by signal.
    let both = format!("{}{}", world.deployment("churn"), world.deployment("more"));
    gatepass.file("gatepass.toml", &both);
    serving.signal("HUP");
    serving.line("was read again");
    assert_eq!(get(&format!("{url}/more/x"), &key).0, 200);
    assert_eq!(
        world.tokens.requests(),
        1,
        "the same credential keeps its token"
    );

    // A broken one changes nothing, and is told with its line.
    gatepass.file(
        "gatepass.toml",
        format!("{both}\n[deployments.bad]\nurl = 1\n"),
    );
    serving.line("was not taken over");
    serving.line("`url`");
    assert_eq!(get(&format!("{url}/more/x"), &key).0, 200);

    // By its content alone, without a signal.
    gatepass.file("gatepass.toml", world.deployment("churn"));
    serving.line("was read again");
    assert_eq!(get(&format!("{url}/more/x"), &key).0, 404);

    serving.signal("TERM");
    assert_eq!(serving.ends_with(), Some(0));
    assert!(!serving.seen.join("\n").contains(CANARY));
}

#[test]
fn a_configured_key_replaces_the_made_one_and_requests_are_logged() {
    let world = World::new();
    let gatepass = Gatepass::new("");
    let made = gatepass.run(&["key", "new", "search team", "--deployment", "churn"]);
    made.check(0, &["[[gateway.keys]]", "name        = \"search team\""]);
    let key = made.stdout.trim().to_owned();
    let (_, table) = made.stderr.split_once("[[gateway.keys]]").unwrap();
    assert!(!table.contains(&key), "the table holds the digest alone");
    let config = format!("{}[[gateway.keys]]{table}", world.deployment("churn"));
    gatepass.file(
        "gatepass.toml",
        format!("[gateway]\naccess_log = \"json\"\n{config}"),
    );
    let mut serving = Serving::start(&gatepass, &["--threads", "1"]);
    let url = serving.line("listening on ");
    assert_eq!(get(&format!("{url}/churn/x?secret=1"), &key).0, 200);
    assert_eq!(get(&format!("{url}/churn/%2e%2e"), &key).0, 400);
    serving.signal("TERM");
    assert_eq!(serving.ends_with(), Some(0));
    let mut log = String::new();
    serving
        .child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut log)
        .unwrap();
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert_eq!(lines[0]["caller"], "search team");
    assert_eq!(lines[0]["deployment"], "churn");
    assert_eq!(lines[0]["status"], 200);
    assert_eq!(lines[0]["failed"], "");
    assert!(lines[0]["credential"].is_u64() && lines[0]["upstream_us"].is_u64());
    assert_eq!(
        (&lines[1]["status"], &lines[1]["failed"]),
        (&400.into(), &"gateway".into())
    );
    let all = format!("{log}{}", serving.seen.join("\n"));
    for secret in [CANARY, &key, "secret=1", "tok-"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
}

#[test]
fn serve_refuses_what_it_cannot_keep_safe() {
    let world = World::new();
    let gatepass = Gatepass::new(&world.deployment("churn"));
    gatepass
        .run(&["serve", "--listen", "0.0.0.0:0", "--no-keys"])
        .check(2, &["keys are wanted", "--no-keys"]);
    gatepass
        .run(&["serve", "--listen", "example.com:80"])
        .check(2, &["listen is no place to listen", "unix:PATH"]);
    gatepass
        .run(&["key", "new", "x", "--expires", "soon"])
        .check(2, &["expires", "2027-01-01T00:00:00Z"]);
}

#[test]
fn exec_gives_a_program_a_gateway_and_ends_with_its_code() {
    let world = World::new();
    let both = format!("{}{}", world.deployment("churn"), world.deployment("other"));
    let gatepass = Gatepass::new(&both);
    let script = "test \"$OPENAI_BASE_URL\" = \"$GATEPASS_URL\" && test \"$OPENAI_API_KEY\" = \"$GATEPASS_KEY\" \
        && curl -s --noproxy '*' -o /dev/null -w '%{http_code} ' -H \"authorization: Bearer $OPENAI_API_KEY\" $OPENAI_BASE_URL/x \
        && curl -s --noproxy '*' -o /dev/null -w '%{http_code}' -H \"x-api-key: $GATEPASS_KEY\" ${GATEPASS_URL%/churn}/other/x; exit 7";
    let path = path();
    let outcome = gatepass.run_with(
        &["exec", "churn", "--", "sh", "-c", script],
        &[("PATH", &path)],
        "",
    );
    outcome.check(7, &["200 404"]);
    assert!(!format!("{outcome:?}").contains(CANARY));
    gatepass
        .run(&["exec", "nobody", "--", "true"])
        .check(2, &["no deployment is named \"nobody\""]);
    gatepass
        .run(&["exec", "churn", "--", "/nowhere/at-all"])
        .check(2, &["/nowhere/at-all does not start"]);
}

#[test]
fn exec_passes_signals_on() {
    let world = World::new();
    let gatepass = Gatepass::new(&world.deployment("churn"));
    let script = "trap 'echo got it; exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    let mut child = gatepass
        .command(&["exec", "churn", "--", "sh", "-c", script])
        .env("PATH", path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    let kill = Command::new("kill").arg(child.id().to_string()).status();
    assert!(kill.unwrap().success());
    assert_eq!(lines.next().unwrap().unwrap(), "got it");
    assert_eq!(child.wait().unwrap().code(), Some(9));
}
