//! Real commands, against a model that verifies.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use gatepass_command::CommandFactory;
use gatepass_config::Config;
use gatepass_core::{ErrorKind, Registry};
use gatepass_oauth::{Engine, TokenCache};
use gatepass_testkit::TestClock;
use tempfile::TempDir;

struct Fixture {
    directory: TempDir,
    clock: TestClock,
    config: Config,
}

impl Fixture {
    /// A script that prints this and counts its runs.
    fn new(prints: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let clock = TestClock::start();
        let runs = directory.path().join("runs");
        let script = format!("echo run >> '{}'\n{prints}", runs.display());
        let mut engine = Engine::default();
        engine.clock = clock.shared();
        engine.cache = TokenCache::new();
        let text = format!(
            "[deployments.x]\nurl = \"https://models.example.com/\"\nauthentication = \"command\"\n\
             command = [\"sh\", \"-c\", '''{script}''']\n"
        );
        let registry = Registry::builtin().with(CommandFactory::new(engine));
        let config = Config::from_toml(&text, "x.toml".as_ref(), &registry).unwrap();
        Self {
            directory,
            clock,
            config,
        }
    }

    async fn header(&self) -> Result<String, gatepass_core::AuthError> {
        let deployment = self.config.deployment("x").unwrap();
        let headers = deployment.headers(&self.clock).await?;
        Ok(headers["authorization"].to_str().unwrap().to_owned())
    }

    fn runs(&self) -> usize {
        let runs = std::fs::read_to_string(self.directory.path().join("runs"));
        runs.unwrap_or_default().lines().count()
    }
}

#[tokio::test]
async fn a_token_is_kept_until_it_should_be_renewed() {
    let fixture = Fixture::new(r#"echo '{"access_token": "tok", "expires_in": 3600}'"#);
    for _ in 0..5 {
        assert_eq!(fixture.header().await.unwrap(), "Bearer tok");
    }
    assert_eq!(fixture.runs(), 1);
    fixture.clock.advance(Duration::from_secs(3600));
    assert_eq!(fixture.header().await.unwrap(), "Bearer tok");
    assert_eq!(fixture.runs(), 2);
}

#[tokio::test]
async fn a_bare_token_lives_for_five_minutes() {
    let fixture = Fixture::new("echo ya29.abc");
    assert_eq!(fixture.header().await.unwrap(), "Bearer ya29.abc");
    fixture.clock.advance(Duration::from_secs(200));
    fixture.header().await.unwrap();
    assert_eq!(fixture.runs(), 1);
    fixture.clock.advance(Duration::from_secs(100));
    fixture.header().await.unwrap();
    assert_eq!(fixture.runs(), 2);
}

#[tokio::test]
async fn a_failing_command_is_named_and_nothing_it_printed_is_shown() {
    let check = async |prints: &str, needle: &str| {
        let error = Fixture::new(prints).header().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TokenEndpoint);
        let text = error.to_string();
        assert!(text.contains(needle), "no {needle:?} in {text}");
        assert!(!text.contains("canary"), "{text}");
    };
    check("echo canary >&2; exit 1", "run it by hand").await;
    check("echo canary please log in", "prints more than a token").await;
    check("echo '{\"error\": \"canary\"}'", "JSON without a token").await;
    check("printf 'canary\\001x'", "prints a token that").await;
    check("true", "gives nothing").await;
}

#[test]
fn a_definition_is_checked() {
    let check = |command: &str, needle: &str| {
        let text = format!(
            "[deployments.x]\nurl = \"https://models.example.com/\"\nauthentication = \"command\"\n{command}\n"
        );
        let registry = Registry::builtin().with(CommandFactory::default());
        let error = Config::from_toml(&text, "x.toml".as_ref(), &registry).unwrap_err();
        assert!(
            error.to_string().contains(needle),
            "no {needle:?} in {error}"
        );
    };
    check("", "`command` (the program");
    check("command = []", "names no program");
    check(
        "command = [\"az account get-access-token\"]",
        "without a shell",
    );
    check("command = [\"./token.sh\"]", "a full path");
    check("command = \"az\"", "a list of texts");
}
