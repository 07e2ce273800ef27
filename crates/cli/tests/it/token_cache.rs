//! `token --cache`: tokens kept between runs, by this flag alone.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use gatepass_testkit::{Access, Model, TokenServer};

use crate::command::{Gatepass, Outcome};

struct Fixture {
    _runtime: tokio::runtime::Runtime,
    model: Model,
    tokens: TokenServer,
    gatepass: Gatepass,
    cache: PathBuf,
}

impl Fixture {
    fn new(more: &str) -> Self {
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
        let this = Self {
            cache: gatepass.file("cache/x", "").with_file_name(""),
            _runtime: runtime,
            model,
            tokens,
            gatepass,
        };
        this.define(&this.model.url("/v1"), "ml", more);
        this
    }

    fn define(&self, url: &str, scope: &str, more: &str) {
        self.gatepass.file(
            "gatepass.toml",
            format!(
                "[deployments.churn]\nurl = \"{url}\"\nauthentication = \"oauth\"\nclient_id = \"client\"\n\
                 client_secret = \"secret\"\nscope = \"{scope}\"\ntoken_url = \"{}\"\n{more}",
                self.tokens.url()
            ),
        );
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let cache = self.cache.to_str().unwrap();
        self.gatepass
            .run_with(arguments, &[("XDG_CACHE_HOME", cache), ("HOME", cache)], "")
    }

    fn token(&self, more: &[&str]) -> String {
        let outcome = self.run(&[&["token", "churn", "--reveal"], more].concat());
        outcome.check(0, &[]);
        outcome.stdout
    }

    fn kept(&self) -> Vec<PathBuf> {
        let directory = self.cache.join("gatepass/tokens");
        let files = std::fs::read_dir(directory).into_iter().flatten();
        let paths = files.map(|entry| entry.unwrap().path());
        paths
            .filter(|path| path.extension().unwrap() == "json")
            .collect()
    }
}

#[test]
fn a_loop_is_no_storm_and_nothing_else_touches_the_file() {
    let fixture = Fixture::new("");
    let first = fixture.token(&["--cache"]);
    assert_eq!(fixture.token(&["--cache"]), first);
    assert_eq!(fixture.tokens.requests(), 1);
    let kept = fixture.kept();
    let mode = |path: &PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&kept[0]), 0o600);
    assert_eq!(mode(&kept[0].parent().unwrap().to_owned()), 0o700);
    fixture
        .run(&["token", "churn", "--reveal", "--cache", "--details"])
        .check(0, &["scope:", "ml", "lifetime: 3600 s"]);
    assert_eq!(fixture.tokens.requests(), 1);

    // Neither read nor written by anything else.
    let before = std::fs::read(&kept[0]).unwrap();
    assert_ne!(fixture.token(&[]), first);
    fixture.run(&["call", "churn"]).check(0, &["prediction"]);
    fixture.run(&["check", "churn"]).check(0, &["accepted"]);
    assert_eq!(fixture.tokens.requests(), 4);
    assert_eq!(std::fs::read(&kept[0]).unwrap(), before);
    assert_eq!(fixture.kept().len(), 1);
}

#[test]
fn a_kept_token_is_used_only_if_it_is_the_same_and_fresh() {
    let fixture = Fixture::new("");
    fixture.token(&["--cache"]);
    // Another scope is another credential.
    fixture.define("http://127.0.0.1:1/", "other", "");
    fixture.token(&["--cache"]);
    assert_eq!(fixture.tokens.requests(), 2);
    // Damaged, expired, or from the future: asked anew, and the dead are swept.
    let damage = |change: &dyn Fn(&mut serde_json::Value)| {
        for path in fixture.kept() {
            let mut content: serde_json::Value =
                serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            change(&mut content);
            std::fs::write(&path, content.to_string()).unwrap();
        }
        let before = fixture.tokens.requests();
        fixture.token(&["--cache"]);
        assert_eq!(fixture.tokens.requests(), before + 1);
    };
    damage(&|content| content["soft"] = 1.into());
    damage(&|content| content["stored"] = 9e12.into());
    damage(&|content| content["token"] = "two words".into());
    damage(&|content| content["soft"] = (-1).into());
    damage(&|content| content["hard"] = 1.into());
    assert_eq!(fixture.kept().len(), 1, "what was dead is gone");
    std::fs::write(&fixture.kept()[0], "no json").unwrap();
    fixture.token(&["--cache"]);
}

#[test]
fn runs_at_the_same_time_share_one_exchange() {
    let fixture = Fixture::new("");
    let outputs: Vec<String> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| fixture.token(&["--cache"])))
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert!(outputs.iter().all(|token| *token == outputs[0]));
    assert_eq!(fixture.tokens.requests(), 1);
}
