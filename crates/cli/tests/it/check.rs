//! `gatepass check`: its contract, and its explanations against real servers.

use std::time::Duration;

use gatepass_testkit::{Access, Model, Reply, TokenServer};
use serde_json::Value;

use crate::command::{Gatepass, Outcome};
use crate::servers;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

fn row(outcome: &Outcome, name: &str) -> Value {
    let all: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let rows = all["deployments"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == name).unwrap().clone()
}

fn bearer(name: &str, url: &str, more: &str) -> String {
    format!(
        "[deployments.{name}]\nurl = \"{url}\"\nauthentication = \"bearer\"\ntoken = \"tok-1\"\n{more}\n"
    )
}

#[test]
fn verdicts_and_exit_codes_are_as_agreed() {
    let runtime = runtime();
    let (tokens, model, open) = runtime.block_on(async {
        let tokens = TokenServer::start().await.unwrap();
        let wants = Access::Header("authorization".into(), "Bearer tok-1".into());
        let model = Model::start(wants).await.unwrap();
        let open = Model::start(Access::Open).await.unwrap();
        (tokens, model, open)
    });
    let config = [
        bearer("good", &model.url("/v1"), ""),
        bearer("open", &open.url("/v1"), ""),
        bearer("nobody", "http://127.0.0.1:1/v1", ""),
        format!(
            "[deployments.wrong]\nurl = \"{}\"\nauthentication = \"custom\"\nheader = \"api-key\"\nvalue = \"canary-1\"\n",
            model.url("/v1")
        ),
        format!(
            "[deployments.refused]\nurl = \"{}\"\nauthentication = \"oauth\"\nclient_id = \"client\"\n\
             client_secret = \"canary-2\"\ntoken_url = \"{}\"\n",
            model.url("/v1"),
            tokens.url()
        ),
        format!(
            "[deployments.missing]\nurl = \"{}\"\nauthentication = \"bearer\"\ntoken = {{ env = \"NOT_SET\" }}\n",
            model.url("/v1")
        ),
    ]
    .concat();
    let gatepass = Gatepass::new(&config);
    let check = |name: &str, verdict: &str, status: Option<u64>, code: i32, fix: &str| {
        let outcome = gatepass.run(&["check", name, "--format", "json"]);
        outcome.check(code, &[]);
        let row = row(&outcome, name);
        assert_eq!(row["verdict"], verdict, "{row}");
        assert_eq!(row["status"].as_u64(), status, "{row}");
        assert!(row["fix"].as_str().unwrap_or("").contains(fix), "{row}");
        assert_eq!(row["cause"].is_null(), row["fix"].is_null(), "{row}");
        assert!(!outcome.stdout.contains("canary"), "{outcome:?}");
    };
    check("good", "accepted", Some(200), 0, "");
    check(
        "open",
        "reached, not proved",
        Some(200),
        0,
        "check = { path",
    );
    check("nobody", "not reached", None, 1, "whether it runs");
    check("wrong", "refused", Some(401), 1, "authentication");
    check("refused", "no credential", None, 1, "check client_id");
    check("missing", "no credential", None, 1, "export it");
    // All at once: a table, one failure fails the whole, and each is explained.
    let all = gatepass.run(&["check"]);
    all.check(
        1,
        &[
            "DEPLOYMENT",
            "accepted",
            "reached, not proved",
            "cause:",
            "fix:",
        ],
    );
    assert!(
        !all.stdout.contains('\u{1b}'),
        "no colour in a pipe: {all:?}"
    );
    assert_eq!(all.stderr, "", "no progress in a pipe");
    gatepass.run(&["check", "good", "open"]).check(0, &[]);
    gatepass
        .run(&["check", "godo"])
        .check(2, &["did you mean \"good\""]);
    gatepass
        .run(&["check", "good", "--timeout", "0"])
        .check(2, &["--timeout"]);
    // Offline nothing is sent and no secret is needed.
    let before = model.seen().len();
    let offline = gatepass.run(&["check", "--offline", "--format", "json"]);
    offline.check(0, &[]);
    assert_eq!(row(&offline, "missing")["verdict"], "defined");
    assert_eq!(model.seen().len(), before);
}

#[test]
fn a_model_is_never_run_unless_told_to() {
    let runtime = runtime();
    let model = runtime.block_on(Model::start(Access::Open)).unwrap();
    let asks = "check = { method = \"POST\", path = \"ping\", body = '{\"x\": 1}' }";
    let config = [
        bearer("asks", &model.url("/v1"), asks),
        bearer("plain", &model.url("/v1"), ""),
    ]
    .concat();
    let gatepass = Gatepass::new(&config);
    gatepass.run(&["check", "plain"]).check(0, &[]);
    let seen = model.seen();
    assert!(
        seen.iter()
            .all(|seen| seen.method == "GET" && seen.body.is_empty())
    );
    assert_eq!(seen.len(), 2, "once with the credential, once without");
    assert!(!seen[1].headers.contains_key("authorization"));
    gatepass.run(&["check", "asks"]).check(0, &["accepted"]);
    let seen = model.seen();
    assert_eq!(seen.len(), 3, "a POST is sent once");
    assert_eq!(
        (seen[2].method.as_str(), seen[2].target.as_str()),
        ("POST", "/v1/ping")
    );
    assert_eq!(&seen[2].body[..], b"{\"x\": 1}");
}

#[test]
fn a_slow_or_failing_deployment_is_no_riddle() {
    let runtime = runtime();
    let model = runtime.block_on(Model::start(Access::Open)).unwrap();
    let gatepass = Gatepass::new(&bearer("slow", &model.url("/v1"), ""));
    model.next(Reply::silence());
    let outcome = gatepass.run(&["check", "--timeout", "0.2"]);
    outcome.check(1, &["not reached", "no answer in time"]);
    model.next(Reply::status(503));
    model.next(Reply::status(503));
    let outcome = gatepass.run(&["check"]);
    outcome.check(0, &["reached, not proved", "503", "ask its operator"]);
}

#[test]
fn real_servers_are_explained() {
    let Some(servers) = servers::start() else {
        return;
    };
    let apache = servers::start_apache(&servers.oauth).unwrap();
    let (nginx, token_url) = (&servers.nginx, servers.oauth.token_url());
    let oauth = |name: &str, url: &str, id: &str, secret: &str, more: &str| {
        format!(
            "[deployments.{name}]\nurl = \"{url}\"\nauthentication = \"oauth\"\nclient_id = \"{id}\"\n\
             client_secret = \"{secret}\"\ntoken_url = \"{token_url}\"\n{more}\n"
        )
    };
    let custom = |name: &str, header: &str, value: &str, path: &str| {
        format!(
            "[deployments.{name}]\nurl = \"{}{path}\"\nauthentication = \"custom\"\nheader = \"{header}\"\nvalue = \"{value}\"\n",
            nginx.base
        )
    };
    let jwt = format!("{}/jwt/model", apache.base);
    let model = format!("{}/oauth/model", nginx.base);
    let config = [
        oauth("good", &model, "basic", "plain-basic", ""),
        oauth("wrong-secret", &model, "basic", "canary-secret", ""),
        oauth(
            "dropped-scope",
            &model,
            "basic",
            "plain-basic",
            "scope = \"nope all-apis\"",
        ),
        oauth("jwt", &jwt, "jwt", "plain-jwt", ""),
        oauth("jwt-short", &jwt, "jwt-short", "plain-jwt", ""),
        oauth("wrong-audience", &jwt, "jwt-other", "plain-jwt", ""),
        custom("underscore", "api_key", "tok-underscore", "/underscore/x"),
        custom("dash", "api-key", "tok-underscore", "/underscore/x"),
        custom("open", "api-key", "x", "/open/x"),
        bearer("unknown-ca", &format!("{}/bearer/x", nginx.tls), ""),
        // nginx is no proxy, and refuses to be one.
        bearer(
            "refusing-proxy",
            &format!("{}/bearer/x", nginx.tls),
            &format!("proxy = \"{}\"", nginx.base),
        ),
    ]
    .concat();
    let gatepass = Gatepass::new(&config);
    let explained = |gatepass: &Gatepass, name: &str, verdict: &str, needles: &[&str]| {
        let outcome = gatepass.run(&["check", name, "--format", "json"]);
        let row = row(&outcome, name);
        assert_eq!(row["verdict"], verdict, "{row}");
        for needle in needles {
            assert!(row.to_string().contains(needle), "no {needle:?} in {row}");
        }
    };
    let check = |name: &str, verdict: &str, needles: &[&str]| {
        explained(&gatepass, name, verdict, needles);
    };
    check("good", "accepted", &["bearer token"]);
    check(
        "wrong-secret",
        "no credential",
        &["invalid_client", "check client_id and client_secret"],
    );
    check(
        "dropped-scope",
        "accepted",
        &["granted scope", "nope all-apis", "set scope to what"],
    );
    check("jwt", "accepted", &[]);
    check(
        "wrong-audience",
        "refused",
        &["made out to", "urn:other", "audience"],
    );
    check(
        "underscore",
        "refused",
        &["drop headers with `_`", "try header = "],
    );
    check("dash", "accepted", &[]);
    check(
        "open",
        "reached, not proved",
        &["without the credential as well"],
    );
    check(
        "unknown-ca",
        "not reached",
        &["authority that is not trusted", "ca_file"],
    );
    check(
        "refusing-proxy",
        "not reached",
        &["the proxy refuses", "check proxy"],
    );

    // A token of 5 s, copied into a file by hand, and found there later.
    let outcome = gatepass.run(&["token", "jwt-short", "--reveal"]);
    let token = outcome.stdout.trim();
    let expired = (0..400).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        apache.status("/jwt/model", &format!("Bearer {token}")) == 401
    });
    assert!(expired, "a token of 5 s is still accepted");
    let stale = Gatepass::new(&format!(
        "[deployments.stale]\nurl = \"{jwt}\"\nauthentication = \"bearer\"\ntoken = \"{token}\"\n"
    ));
    explained(
        &stale,
        "stale",
        "refused",
        &["the token has expired", "which renews"],
    );

    // An authorization server ten minutes ahead of this machine.
    let skewed = servers::start_skewed(600).unwrap();
    let ahead = Gatepass::new(&format!(
        "[deployments.skewed]\nurl = \"{}/open/x\"\nauthentication = \"oauth\"\nclient_id = \"basic\"\n\
         client_secret = \"plain-basic\"\ntoken_url = \"{}\"\n",
        nginx.base,
        skewed.token_url()
    ));
    explained(
        &ahead,
        "skewed",
        "reached, not proved",
        &[
            "s behind that of the token endpoint",
            "set this machine's clock",
        ],
    );
}
