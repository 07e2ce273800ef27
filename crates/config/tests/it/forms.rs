//! The published forms load unchanged.

use gatepass_config::Config;
use gatepass_core::SystemClock;

use crate::bad_configs::registry;

async fn header(config: &Config, name: &str) -> Vec<(String, String)> {
    let headers = config
        .deployment(name)
        .unwrap()
        .headers(&SystemClock)
        .await
        .unwrap();
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect()
}

fn one(name: &str, value: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), value.to_owned())]
}

const DESIGN: &str = r#"
[deployments.churn]
url            = "https://models.example.com/v1/churn:predict"
authentication = "oauth"
client_id      = "client_12345"                     # = username
client_secret  = { env = "CHURN_CLIENT_SECRET" }    # = password
token_url      = "https://auth.example.com/oauth/token"   # = tokenURL
scope          = "all-apis"                         # = oidcCustomScope

[deployments.gpt]
base_url       = "https://example.openai.azure.com/openai/v1"
authentication = "custom"
header         = "api-key"                          # = username
value          = { env = "AZURE_OPENAI_KEY" }       # = password
"#;

#[test]
fn the_designed_toml_loads() {
    let config = Config::from_toml(DESIGN, "gatepass.toml".as_ref(), &registry()).unwrap();
    let names: Vec<_> = config
        .deployments()
        .map(|deployment| deployment.name())
        .collect();
    assert_eq!(names, ["churn", "gpt"]);
    let url = |name: &str, path: &str| config.deployment(name).unwrap().target(path).unwrap();
    assert_eq!(
        url("churn", "").as_str(),
        "https://models.example.com/v1/churn:predict"
    );
    assert_eq!(
        url("gpt", "/models").as_str(),
        "https://example.openai.azure.com/openai/v1/models"
    );
}

#[tokio::test]
async fn overloaded_names_mean_the_same() {
    let config = r#"
        [deployments.a]
        url = "https://h.test"
        authentication = "custom"
        username = "api-key"
        password = "abcd1234"
        [deployments.b]
        url = "https://h.test"
        authentication = "basic"
        username = "apiuser"
        password = "secret123"
        [deployments.c]
        url = "https://h.test"
        authentication = "bearer"
        password = "tok"
    "#;
    let config = Config::from_toml(config, "gatepass.toml".as_ref(), &registry()).unwrap();
    assert_eq!(header(&config, "a").await, one("api-key", "abcd1234"));
    assert_eq!(
        header(&config, "b").await,
        one("authorization", "Basic YXBpdXNlcjpzZWNyZXQxMjM=")
    );
    assert_eq!(
        header(&config, "c").await,
        one("authorization", "Bearer tok")
    );
}

#[tokio::test]
async fn several_methods_and_extra_headers_go_together() {
    let config = r#"
        [deployments.both]
        url = "https://h.test"
        [[deployments.both.auth]]
        authentication = "custom"
        header = "x-key"
        value = "k"
        [[deployments.both.auth]]
        authentication = "bearer"
        token = "t"
        [deployments.both.headers]
        x-team = "ml"
    "#;
    let config = Config::from_toml(config, "gatepass.toml".as_ref(), &registry()).unwrap();
    let mut headers = header(&config, "both").await;
    headers.sort();
    let names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["authorization", "x-key", "x-team"]);
}

#[tokio::test]
async fn the_wire_json_loads_unchanged() {
    let json = r#"{
        "name": "My Model (v2)", "url": "https://h.test/v1", "baseURL": "",
        "authentication": "basic", "username": "apiuser", "password": "secret123",
        "tokenURL": "", "oidcCustomScope": "", "deploymentType": "external", "deep": {"a": [1, null]}
    }"#;
    let config = Config::from_json(json, "whatever.json".as_ref(), &registry()).unwrap();
    assert_eq!(
        header(&config, "My-Model--v2-").await,
        one("authorization", "Basic YXBpdXNlcjpzZWNyZXQxMjM=")
    );
    assert!(
        config.warnings()[0].contains("My-Model--v2-"),
        "{:?}",
        config.warnings()
    );
}

#[test]
fn json_names_come_from_the_file_and_null_is_absent() {
    let json = "\u{feff}{\"baseURL\": \"https://h.test\", \"url\": null, \"authentication\": \"none\", \"username\": null}";
    let config = Config::from_json(json, "dir/churn.json".as_ref(), &registry()).unwrap();
    assert!(config.deployment("churn").is_ok());
    let list = r#"[{"name":"a","url":"https://h.test","authentication":"none"},
        {"name":"b","url":"https://h.test","authentication":"oauth","username":"i","password":"s","tokenURL":"https://a.test/t","oidcCustomScope":""}]"#;
    let config = Config::from_json(list, "list.json".as_ref(), &registry()).unwrap();
    assert_eq!(config.deployments().count(), 2);
}

#[test]
fn a_name_is_defined_once_over_all_files() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    file(
        "a.toml",
        "[deployments.x]\nurl = \"https://h.test\"\nauthentication = \"none\"\n",
    );
    file(
        "b.json",
        "{\"name\": \"y\", \"url\": \"https://h.test\", \"authentication\": \"none\"}",
    );
    file("ignored.txt", "no config");
    let files = gatepass_config::locate(&[directory.path().to_owned()]).unwrap();
    let config = Config::load(&files, &registry()).unwrap();
    assert_eq!(config.deployments().count(), 2);
    file(
        "c.toml",
        "[deployments.x]\nurl = \"https://h.test\"\nauthentication = \"none\"\n",
    );
    let files = gatepass_config::locate(&[directory.path().to_owned()]).unwrap();
    let error = Config::load(&files, &registry()).unwrap_err().to_string();
    assert!(error.contains("is defined already"), "{error}");
}

#[test]
fn transport_settings_are_read() {
    let toml = r#"
        [deployments.x]
        url = "https://h.test"
        authentication = "none"
        ca_file = "ca.pem"
        connect_timeout = 1.5
        total_timeout = 60
        proxy = "http://user:pw@proxy.test:3128"
    "#;
    let config = Config::from_toml(toml, "/etc/gatepass/x.toml".as_ref(), &registry()).unwrap();
    let transport = config.deployment("x").unwrap().transport();
    assert_eq!(
        transport.ca_file.as_deref(),
        Some("/etc/gatepass/ca.pem".as_ref())
    );
    assert_eq!(transport.connect_timeout.as_millis(), 1500);
    assert_eq!(
        transport.total_timeout.map(|limit| limit.as_secs()),
        Some(60)
    );
    assert_eq!(transport.first_byte_timeout.as_secs(), 600);
    assert!(!format!("{transport:?}").contains("pw"));
}

mod never_panics {
    use super::*;
    use proptest::prelude::*;

    /// Pieces of configs, put together at random: most combinations are wrong in some way.
    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("[deployments.a]".to_owned()),
            Just("[[deployments.a.auth]]".to_owned()),
            Just("[deployments.a.headers]".to_owned()),
            Just("authentication = \"oauth\"".to_owned()),
            Just("authentication = \"custom\"".to_owned()),
            Just("url = \"https://h.test\"".to_owned()),
            "[a-z_]{1,12} = (\"c4nary\"|1|-1.5|true|\\{ env = \"X\" \\}|\\[\\]|1979-05-27)",
            "[ -~]{0,20}",
        ]
    }

    proptest! {
        #[test]
        fn toml(pieces in proptest::collection::vec(piece(), 0..12)) {
            let text = pieces.join("\n");
            if let Err(error) = Config::from_toml(&text, "f.toml".as_ref(), &registry()) {
                prop_assert!(!error.to_string().contains("c4nary"));
                prop_assert!(!error.problems().is_empty());
            }
        }

        #[test]
        fn json(text in "[\\[\\]{}\",:a-z0-9 ]{0,80}") {
            let _either = Config::from_json(&text, "f.json".as_ref(), &registry());
        }
    }
}
