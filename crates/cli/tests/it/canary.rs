//! Canaries in every secret, and every output of every command searched for them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gatepass_testkit::{Access, Model, Reply, TokenServer};

use crate::command::{Gatepass, Outcome};

const CANARY: &str = "cAnArY-4711";

/// The canary, and how it looks in Basic headers and forms.
fn shapes() -> Vec<String> {
    let mut shapes = vec![CANARY.to_owned(), CANARY.to_lowercase()];
    for user in ["user", "id"] {
        let encoded = STANDARD.encode(format!("{user}:{CANARY}"));
        // Without its end, which depends on what follows.
        shapes.push(encoded[..encoded.len() - 4].to_owned());
    }
    shapes
}

fn check_clean(outcome: &Outcome, what: &[&str]) {
    for shape in shapes() {
        let found = outcome.stdout.contains(&shape) || outcome.stderr.contains(&shape);
        assert!(!found, "{shape} in the output of {what:?}: {outcome:#?}");
    }
    assert_ne!(outcome.code, 101, "{outcome:#?}");
}

#[test]
fn no_command_shows_a_secret() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (tokens, model) = runtime.block_on(async {
        let tokens = TokenServer::start().await.unwrap().client("id", CANARY);
        (tokens, Model::start(Access::Open).await.unwrap())
    });
    let gatepass = Gatepass::new(&format!(
        r#"
        [deployments.basic]
        url = "{model}?key={CANARY}"
        authentication = "basic"
        username = "user"
        password = "{CANARY}"
        headers = {{ x-extra = "{CANARY}" }}
        [deployments.bearer]
        url = "{model}"
        authentication = "bearer"
        token = {{ env = "TOKEN" }}
        [deployments.broken-bearer]
        url = "{model}"
        authentication = "bearer"
        token = {{ env = "BROKEN" }}
        [deployments.custom]
        url = "{model}"
        authentication = "custom"
        header = "x-key"
        value = {{ file = "secret" }}
        [deployments.command]
        url = "{model}"
        authentication = "bearer"
        token = {{ command = ["sh", "-c", "echo {CANARY}; echo {CANARY} >&2; exit 3"] }}
        [deployments.oauth]
        url = "{model}"
        authentication = "oauth"
        client_id = "id"
        client_secret = "{CANARY}"
        token_url = "{tokens}?key={CANARY}"
        [deployments.post]
        url = "{model}"
        authentication = "oauth"
        client_auth = "post"
        client_id = "id"
        client_secret = "{CANARY}"
        token_url = "{tokens}?key={CANARY}"
        [deployments.unreachable]
        url = "http://127.0.0.1:1/?key={CANARY}"
        authentication = "bearer"
        token = "{CANARY}"
        [deployments.proxied]
        url = "http://127.0.0.1:1/"
        proxy = "http://user:{CANARY}@127.0.0.1:1"
        authentication = "none"
        "#,
        model = model.url("/m"),
        tokens = tokens.url(),
    ));
    gatepass.file("secret", format!("{CANARY}\n"));
    let broken = format!("{CANARY}\u{7}");
    let variables = [("TOKEN", CANARY), ("BROKEN", broken.as_str())];
    let echo = format!("{{\"error\":\"invalid_{CANARY}\",\"error_description\":\"{CANARY}\"}}");
    let replies = [
        None,
        Some(Reply::status(401).body(echo)),
        Some(Reply::status(200).body(format!("<html>{CANARY}"))),
        Some(Reply::json(format!(
            "{{\"access_token\":\"{CANARY}\\r\\nx: y\",\"token_type\":\"bearer\"}}"
        ))),
        Some(Reply::json(format!(
            "{{\"access_token\":\"{CANARY}\",\"token_type\":\"{CANARY}\"}}"
        ))),
        Some(Reply::status(302).header("location", &format!("http://127.0.0.1:1/{CANARY}"))),
    ];
    let names = [
        "basic",
        "bearer",
        "broken-bearer",
        "custom",
        "command",
        "oauth",
        "post",
        "unreachable",
        "proxied",
    ];
    for reply in replies {
        for name in names {
            for command in ["call", "header", "token"] {
                // Every reply of the token endpoint matters to the two that ask it.
                if reply.is_some() && !["oauth", "post"].contains(&name) {
                    continue;
                }
                tokens.heal();
                if let Some(reply) = &reply {
                    tokens.always(reply.clone());
                }
                let arguments = ["-vv", command, name];
                check_clean(&gatepass.run_with(&arguments, &variables, ""), &arguments);
            }
        }
    }
    check_clean(&gatepass.run(&["demo", "-vv"]), &["demo"]);
}

#[test]
fn no_broken_config_shows_a_secret() {
    for config in [
        format!("[deployments.a]\npassword = \"{CANARY}"),
        format!("[deployments.a]\npassword = {CANARY}"),
        format!("[deployments.a]\npassword = \"{CANARY}\"\npassword = \"{CANARY}\""),
        format!("[deployments.a]\nurl = \"{CANARY}\"\nauthentication = \"bearer\"\ntoken = 1"),
        format!("[deployments.a]\nurl = \"https://u:{CANARY}@h.test\"\nauthentication = \"none\""),
        format!(
            "[deployments.a]\nurl = \"https://h.test\"\nauthentication = \"basic\"\nusername = \"{CANARY}:\"\npassword = \"x\""
        ),
        format!(
            "[deployments.a]\nurl = \"https://h.test\"\nauthentication = \"bearer\"\ntoken = \"{CANARY}\\n\""
        ),
        format!(
            "[deployments.a]\nurl = \"https://h.test\"\nauthentication = \"bearer\"\nttoken = \"{CANARY}\""
        ),
        format!(
            "[deployments.a]\nurl = \"https://h.test\"\nauthentication = \"bearer\"\ntoken = {{ enf = \"{CANARY}\" }}"
        ),
        format!("\"{CANARY}"),
    ] {
        let outcome = Gatepass::new(&config).run(&["-vv", "call", "a"]);
        assert_eq!(outcome.code, 2, "{outcome:#?}");
        check_clean(&outcome, &[&config]);
        let gatepass = Gatepass::new("");
        let json = format!(
            "[{{\"name\":\"a\",\"url\":\"https://h.test\",\"authentication\":\"bearer\",\"password\":\"{CANARY}\","
        );
        let path = gatepass.file("broken.json", json);
        let arguments = ["call", "a", "--config", path.to_str().unwrap()];
        check_clean(&gatepass.run(&arguments), &arguments);
    }
}
