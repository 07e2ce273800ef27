//! The shell recipes of the documentation, run as they stand.

use std::process::{Command, Stdio};

use gatepass_testkit::{Access, Model, TokenServer};

use crate::command::Gatepass;

const RECIPES: &str = include_str!("../../../../docs/shell.md");

fn recipes() -> Vec<&'static str> {
    let blocks = RECIPES.split("```sh\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap())
        .collect()
}

#[test]
fn each_recipe_works_and_keeps_the_token_out_of_arguments() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (tokens, model) = runtime.block_on(async {
        let tokens = TokenServer::start().await.unwrap();
        let model = Model::start(Access::Token(tokens.clone())).await.unwrap();
        (tokens, model)
    });
    let gatepass = Gatepass::new("");
    let config = gatepass.file(
        "gatepass.toml",
        format!(
            "[deployments.churn]\nurl = \"{}\"\nauthentication = \"oauth\"\nclient_id = \"client\"\n\
             client_secret = \"secret\"\ntoken_url = \"{}\"\n",
            model.url("/v1"),
            tokens.url()
        ),
    );
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_gatepass"));
    let path = format!(
        "{}:/usr/local/bin:/usr/bin:/bin",
        program.parent().unwrap().display()
    );
    let recipes = recipes();
    assert!(recipes.len() >= 8, "{}", recipes.len());
    for recipe in recipes {
        let output = Command::new("bash")
            // Each command is shown as it is run: with its arguments.
            .args(["-x", "-o", "pipefail", "-e", "-c", recipe])
            .env_clear()
            .env("PATH", &path)
            .env("HOME", config.parent().unwrap())
            .env("GATEPASS_CONFIG", &config)
            .env("URL", model.url("/v1"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (stdout, shown) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(output.status.success(), "{recipe}\n{stdout}\n{shown}");
        if recipe.contains("curl") {
            assert!(stdout.contains("prediction"), "{recipe}\n{stdout}\n{shown}");
            assert!(!shown.contains("tok-"), "{recipe}\n{shown}");
        }
    }
}
