//! The built command against nginx and a real OAuth server.

use std::time::Duration;

use crate::command::Gatepass;
use crate::servers::{self, Servers};
use crate::serving::{Serving, get};

fn config(servers: &Servers) -> String {
    let (nginx, token_url) = (&servers.nginx.base, servers.oauth.token_url());
    let basic = |name: &str, user: &str, password: &str| {
        format!(
            "[deployments.{name}]\nbase_url = \"{nginx}\"\nauthentication = \"basic\"\n\
             username = \"{user}\"\npassword = \"{password}\"\n"
        )
    };
    let bearer = |name: &str, token: &str| {
        format!(
            "[deployments.{name}]\nbase_url = \"{nginx}\"\nauthentication = \"bearer\"\ntoken = \"{token}\"\n"
        )
    };
    let custom = |name: &str, value: &str| {
        format!(
            "[deployments.{name}]\nbase_url = \"{nginx}\"\nauthentication = \"custom\"\n\
             header = \"X-Model-Key\"\nvalue = \"{value}\"\n"
        )
    };
    let oauth = |name: &str, id: &str, secret: &str, more: &str| {
        format!(
            "[deployments.{name}]\nbase_url = \"{nginx}\"\nauthentication = \"oauth\"\n\
             client_id = \"{id}\"\nclient_secret = \"{secret}\"\ntoken_url = \"{token_url}\"\n{more}\n"
        )
    };
    [
        basic("basic", "alice", "secret"),
        basic("colon", "colon", "a:b:c:"),
        basic("utf8", "jürgen", "pässwörd€"),
        basic("percent", "pct", "p%40+&=/?#"),
        basic("wrong-basic", "alice", "wrong"),
        bearer("bearer", "tok-~+/=.static"),
        bearer("wrong-bearer", "tok"),
        custom("custom", "k3y with = and ; chars"),
        custom("wrong-custom", "k3y"),
        oauth("oauth", "basic", "plain-basic", ""),
        oauth("odd", "odd id:1", "a+b%c d&e=:/~", ""),
        oauth("post", "post", "plain&post=+", "client_auth = \"post\""),
        oauth("raw", "basic", "plain-basic", "client_auth = \"basic_raw\""),
        oauth(
            "odd-raw",
            "basic",
            "a+b%c d&e=:/~",
            "client_auth = \"basic_raw\"",
        ),
        oauth("wrong-oauth", "basic", "wrong-secret-4711", ""),
        oauth("short", "short", "plain-short", "scope = \"model:predict\""),
        oauth(
            "unknown-scope",
            "basic",
            "plain-basic",
            "scope = \"nope all-apis\"",
        ),
    ]
    .concat()
}

#[test]
fn real_servers_accept_what_is_right_and_refuse_what_is_wrong() {
    let Some(servers) = servers::start() else {
        return;
    };
    let gatepass = Gatepass::new(&config(&servers));
    let check = |name: &str, path: &str, code: i32, needle: &str| {
        gatepass.run(&["call", name, path]).check(code, &[needle]);
    };

    for name in ["basic", "colon", "utf8", "percent"] {
        check(name, "/basic-file/model", 0, "model ok");
    }
    check("wrong-basic", "/basic-file/model", 22, "answered 401");
    check("bearer", "/bearer/x", 0, "bearer ok");
    check("wrong-bearer", "/bearer/x", 22, "answered 401");
    check("custom", "/header/x", 0, "header ok");
    check("wrong-custom", "/header/x", 22, "answered 401");
    for name in ["oauth", "odd", "post", "raw"] {
        check(name, "/oauth/model", 0, "model ok");
    }
    check(
        "wrong-oauth",
        "/oauth/model",
        3,
        "check client_id and client_secret",
    );
    check("odd-raw", "/oauth/model", 3, "refused the");

    // What cannot be told from acceptance: this server takes either form from either client.
    gatepass
        .run(&["call", "post", "/oauth/model"])
        .check(0, &[]);
    let last = servers.oauth.last();
    assert!(last.contains("\"authorization\":\"\""), "{last}");
    assert!(last.contains("client_secret=plain%26post%3D%2B"), "{last}");

    // An unknown scope is dropped silently by this server; we show what was granted.
    let details = gatepass.run(&["token", "unknown-scope", "--reveal", "--details"]);
    details.check(
        0,
        &["all-apis (asked for: nope all-apis)", "lifetime: 3600 s"],
    );

    redirects_keep_credentials_at_home(&servers, &gatepass);
    a_private_ca_and_a_client_certificate(&servers);
    a_token_crosses_its_expiry(&servers, &gatepass);
}

fn redirects_keep_credentials_at_home(servers: &Servers, gatepass: &Gatepass) {
    // 307 to another origin would take the body along: it is given to the caller instead.
    let outcome = gatepass.run(&[
        "call",
        "custom",
        "/elsewhere/x",
        "-d",
        "{\"prompt\":\"private\"}",
    ]);
    outcome.check(22, &["answered 307"]);
    assert_eq!(servers.nginx.leak_log(), "");
    // 302 is followed, bare.
    for name in ["basic", "bearer", "custom", "oauth"] {
        gatepass
            .run(&["call", name, "/moved/x", "-H", "cookie: a=b"])
            .check(0, &["elsewhere"]);
    }
    let log = servers.nginx.leak_log();
    let bare = "authorization=\"-\" key=\"-\" cookie=\"-\"";
    assert_eq!(
        log.lines().filter(|line| line.ends_with(bare)).count(),
        4,
        "{log}"
    );
    assert_eq!(log.lines().count(), 4, "{log}");
}

fn a_private_ca_and_a_client_certificate(servers: &Servers) {
    let nginx = &servers.nginx;
    let definition = |name: &str, more: &str| {
        format!(
            "[deployments.{name}]\nbase_url = \"{}\"\nauthentication = \"bearer\"\n\
             token = \"tok-~+/=.static\"\n{more}\n",
            nginx.tls
        )
    };
    let path = |name: &str| nginx.file(name).display().to_string();
    let ca = format!("ca_file = \"{}\"\n", path("ca.pem"));
    let identity = format!(
        "{ca}client_cert = \"{}\"\nclient_key = \"{}\"\n",
        path("client.pem"),
        path("client.key")
    );
    let config = [
        definition("trusted", &ca),
        definition("unknown-ca", ""),
        definition("mutual", &identity),
        definition("wrong-file", "ca_file = \"/nonexistent.pem\""),
    ];
    let gatepass = Gatepass::new(&config.concat());
    let check = |name: &str, path: &str, code: i32, needle: &str| {
        gatepass.run(&["call", name, path]).check(code, &[needle]);
    };
    check("trusted", "/bearer/x", 0, "tls bearer ok");
    check("unknown-ca", "/bearer/x", 7, "ca_file");
    check("trusted", "/mutual/x", 22, "answered 403");
    check("mutual", "/mutual/x", 0, "mutual ok");
    check(
        "wrong-file",
        "/bearer/x",
        2,
        "ca_file /nonexistent.pem cannot be read",
    );
    // `localhost` is another origin than `127.0.0.1`: the certificate stays at home as well.
    check("mutual", "/moved/x", 22, "answered 403");
}

/// The gateway before nginx: connections are kept, the client certificate is shown, HTTP/2 is spoken, and
/// real tokens are put on.
#[test]
fn the_gateway_calls_a_real_server() {
    let Some(servers) = servers::start() else {
        return;
    };
    let (nginx, path) = (&servers.nginx, |name: &str| {
        servers.nginx.file(name).display().to_string()
    });
    let config = format!(
        "[deployments.plain]\nbase_url = \"{}\"\nauthentication = \"bearer\"\ntoken = \"tok-~+/=.static\"\n\
         [deployments.mutual]\nbase_url = \"{}\"\nauthentication = \"none\"\nca_file = \"{}\"\n\
         client_cert = \"{}\"\nclient_key = \"{}\"\n{}",
        nginx.base,
        nginx.tls,
        path("ca.pem"),
        path("client.pem"),
        path("client.key"),
        config(&servers)
    );
    let gatepass = Gatepass::new(&config);
    let mut serving = Serving::start(&gatepass, &["--threads", "1"]);
    let url = serving.line("listening on ");
    let key = serving.line("GATEPASS_KEY=");
    let check = |path: &str, status: u16, holds: &str| {
        let got = get(&format!("{url}{path}"), &key);
        assert_eq!(got.0, status, "{path}: {}", got.1);
        assert!(got.1.contains(holds), "{path}: {}", got.1);
    };
    for number in 1..=5 {
        check("/plain/kept/x", 200, &format!("request {number} here"));
    }
    for _ in 0..3 {
        check("/mutual/mutual/x", 200, "mutual ok HTTP/2.0");
    }
    check("/short/oauth/model", 200, "model ok");
}

fn a_token_crosses_its_expiry(servers: &Servers, gatepass: &Gatepass) {
    let token = || {
        let outcome = gatepass.run(&["token", "short", "--reveal"]);
        outcome.check(0, &[]);
        outcome.stdout.trim().to_owned()
    };
    let old = token();
    let authorization = format!("Bearer {old}");
    assert_eq!(servers.nginx.status("/oauth/model", &authorization), 200);
    // The server's own clock decides: wait for the condition, not for a time.
    let expired = (0..400).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        servers.nginx.status("/oauth/model", &authorization) == 401
    });
    assert!(expired, "a token of 5 s is still accepted");
    gatepass
        .run(&["call", "short", "/oauth/model"])
        .check(0, &["model ok"]);
    assert_ne!(token(), old);
}

/// One long-lived client calls through several lifetimes of real tokens: no call fails, and the
/// token endpoint is asked about once for each lifetime.
#[test]
fn a_client_crosses_expiry_without_a_failed_call() {
    let Some(servers) = servers::start() else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let caller = gatepass_client::oauth(&servers.oauth.token_url())
            .client("short", "plain-short")
            .base_url(&servers.nginx.base)
            .build()
            .unwrap();
        let before = servers.oauth.count();
        let mut tokens = std::collections::BTreeSet::new();
        // Until three tokens were seen: two expiries were crossed.
        for call in 0..2_000 {
            let response = caller.get("/oauth/model").send().await.unwrap();
            assert_eq!(response.status(), 200, "call {call}");
            tokens.insert(
                caller.header().await.unwrap()["authorization"]
                    .as_bytes()
                    .to_vec(),
            );
            if tokens.len() == 3 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(tokens.len(), 3, "two renewals");
        assert_eq!(
            servers.oauth.count() - before,
            3,
            "one exchange for each token"
        );
    });
}
