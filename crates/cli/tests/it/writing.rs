//! Commands that write: `add`, `import`, `schema`, `completions`, `man`.

use std::os::unix::fs::PermissionsExt;

use gatepass_testkit::{Access, Model};

use crate::command::Gatepass;

const WIRE: &str = r#"[
  {"name": "gpt", "url": "URL", "authentication": "custom", "username": "api-key", "password": "canary-1"},
  {"name": "churn", "url": "URL", "authentication": "bearer", "password": "canary-2", "region": "eu"}
]"#;

fn model(header: &str, value: &str) -> (tokio::runtime::Runtime, Model) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let access = Access::Header(header.into(), value.into());
    let model = runtime.block_on(Model::start(access)).unwrap();
    (runtime, model)
}

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_import_is_used_as_it_is() {
    let (_runtime, model) = model("api-key", "canary-1");
    let gatepass = Gatepass::new("");
    let wire = gatepass.file("wire.json", WIRE.replace("URL", &model.url("/v1")));
    let wire = wire.to_str().unwrap();
    let outcome = gatepass.run(&["import", wire]);
    outcome.check(
        0,
        &[
            "{ env = \"GATEPASS_GPT_VALUE\" }",
            "put value of \"gpt\" into $GATEPASS_GPT_VALUE",
            "`region` is no key",
        ],
    );
    assert!(!format!("{outcome:?}").contains("canary"));
    gatepass.file("gatepass.toml", &outcome.stdout);
    let variables = [("GATEPASS_GPT_VALUE", "canary-1")];
    gatepass
        .run_with(&["call", "gpt"], &variables, "")
        .check(0, &["prediction"]);
    // The same through a pipe.
    let piped = gatepass.run_with(
        &["import", "-", "-q"],
        &[],
        &std::fs::read_to_string(wire).unwrap(),
    );
    assert_eq!((piped.stdout, piped.stderr.as_str()), (outcome.stdout, ""));

    let secrets = gatepass.file("x", "").with_file_name("secrets");
    let directory = secrets.to_str().unwrap();
    let outcome = gatepass.run(&["import", wire, "--secrets-dir", directory]);
    outcome.check(0, &["wrote value of \"gpt\""]);
    assert_eq!(mode(&secrets), 0o700);
    assert_eq!(mode(&secrets.join("gpt.value")), 0o600);
    gatepass.file("gatepass.toml", &outcome.stdout);
    gatepass.run(&["call", "gpt"]).check(0, &["prediction"]);
    // Again is fine; over something else is not, and nothing is lost.
    gatepass
        .run(&["import", wire, "--secrets-dir", directory])
        .check(0, &[]);
    std::fs::write(secrets.join("gpt.value"), "mine").unwrap();
    gatepass
        .run(&["import", wire, "--secrets-dir", directory])
        .check(2, &["holds something else"]);
    assert_eq!(
        std::fs::read_to_string(secrets.join("gpt.value")).unwrap(),
        "mine"
    );
    gatepass
        .run(&["import", "/nonexistent.json"])
        .check(2, &["cannot be read"]);
}

#[test]
fn add_writes_what_works_and_keeps_what_is_there() {
    let (_runtime, model) = model("api-key", "canary-1");
    let gatepass = Gatepass::new("");
    let config = gatepass.file("mine/gatepass.toml", "");
    std::fs::remove_file(&config).unwrap();
    let path = config.to_str().unwrap();
    let add = |more: &[&str], input: &str| {
        let url = model.url("/v1");
        let all = [&["--config", path, "add"], more, &["--url", &url]].concat();
        gatepass.run_with(&all, &[], input)
    };
    let custom = ["--authentication", "custom", "--set", "header=api-key"];
    let piped = [&["gpt"][..], &custom, &["--stdin", "value"]].concat();
    let outcome = add(&piped, "canary-1\n");
    outcome.check(0, &["wrote deployment \"gpt\"", "accepted"]);
    assert!(!format!("{outcome:?}").contains("canary"));
    let secret = config.with_file_name("secrets").join("gpt.value");
    assert_eq!((mode(&secret), mode(&config)), (0o600, 0o600));
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "canary-1");

    // What a person wrote stays, rights included.
    let before = format!("# mine\n{}", std::fs::read_to_string(&config).unwrap());
    std::fs::write(&config, &before).unwrap();
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o640)).unwrap();
    let wrong = [&["other"][..], &custom, &["--env", "value=NOT_SET"]].concat();
    add(&wrong, "").check(1, &["wrote deployment", "NOT_SET is not set"]);
    let after = std::fs::read_to_string(&config).unwrap();
    assert!(after.starts_with(&before), "{after}");
    assert_eq!(mode(&config), 0o640);

    // What would not load is not written.
    let refused = |more: &[&str], needle: &str| {
        let all = [more, &["--no-check"]].concat();
        add(&all, "").check(2, &[needle]);
        assert_eq!(std::fs::read_to_string(&config).unwrap(), after);
    };
    refused(&wrong, "twice");
    refused(
        &[&["x"][..], &custom, &["--set", "value=canary-9"]].concat(),
        "a secret, and a command line shows",
    );
    refused(
        &[
            &["x"][..],
            &custom,
            &["--env", "valeu=X", "--env", "value=X"],
        ]
        .concat(),
        "did you mean `value`",
    );
    refused(&[&["x"][..], &custom].concat(), "add --env value=VARIABLE");
    refused(&["x"], "--authentication METHOD");
    refused(&["x", "--authentication", "nonsense"], "one of none, basic");
    refused(&["a/b", "--authentication", "none"], "is not a name");
    refused(
        &["x", "--authentication", "none", "--set", "canary"],
        "KEY=VALUE",
    );
}

#[test]
fn what_other_programs_read_is_whole() {
    let gatepass = Gatepass::new("");
    let schema = gatepass.run(&["schema"]);
    schema.check(0, &["draft-07", "\"oauth\""]);
    serde_json::from_str::<serde_json::Value>(&schema.stdout).unwrap();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        gatepass
            .run(&["completions", shell])
            .check(0, &["secrets-dir"]);
    }
    gatepass.run(&["man"]).check(0, &[".TH gatepass 1"]);
    let pages = gatepass.file("x", "").with_file_name("man");
    gatepass
        .run(&["man", pages.to_str().unwrap()])
        .check(0, &[]);
    let check = std::fs::read_to_string(pages.join("gatepass-check.1")).unwrap();
    assert!(check.contains("never runs a model"), "{check}");
}

#[test]
fn the_reference_in_the_repository_is_current() {
    let gatepass = Gatepass::new("");
    let written = include_str!("../../../../docs/configuration.md");
    let now = gatepass.run(&["schema", "--markdown"]).stdout;
    assert!(
        written == now,
        "docs/configuration.md is old: run `cargo xtask docs`"
    );
}
