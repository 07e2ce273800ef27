//! What is written for others: imports, the schema, the reference.

use std::path::Path;

use gatepass_config::{Config, SecretPlace, import, reference, schema};
use gatepass_core::Registry;
use gatepass_oauth::OAuthFactory;

fn registry() -> Registry {
    Registry::builtin().with(OAuthFactory::default())
}

const WIRE: &str = r#"[
  {"name": "Churn Model", "deploymentType": "external", "url": "https://models.example.com/v1",
   "baseURL": "https://models.example.com/v1", "authentication": "oauth", "username": "client_12345",
   "password": "canary-\"1", "tokenURL": "https://auth.example.com/t", "oidcCustomScope": "",
   "ca_file": "ca.pem", "connect_timeout": 2.5, "headers": {"x-tenant": "canary-2"}, "proxy": null},
  {"name": "gpt", "url": "https://x.example.com", "authentication": "custom", "username": "api-key",
   "password": "canary-3", "check": {"method": "POST", "path": "ping"}},
  {"name": "two", "url": "https://x.example.com", "auth": [
     {"authentication": "basic", "username": "u", "password": {"env": "ELSEWHERE"}},
     {"authentication": "custom", "username": "x-k", "password": "canary-4"}]},
  {"name": "open", "url": "https://x.example.com", "authentication": "none", "username": ""}
]"#;

#[test]
fn an_import_loads_and_holds_no_secret() {
    let imported = import(
        WIRE,
        Path::new("/etc/wire.json"),
        &registry(),
        &SecretPlace::Env,
    )
    .unwrap();
    insta::assert_snapshot!(imported.toml);
    assert!(!imported.toml.contains("canary"));
    let places: Vec<_> = imported
        .secrets
        .iter()
        .map(|moved| moved.place.as_str())
        .collect();
    assert_eq!(
        places,
        [
            "GATEPASS_CHURN_MODEL_CLIENT_SECRET",
            "GATEPASS_CHURN_MODEL_HEADERS_X_TENANT",
            "GATEPASS_GPT_VALUE",
            "GATEPASS_TWO_AUTH_1_VALUE",
        ]
    );
    assert_eq!(imported.secrets[0].secret.expose(), "canary-\"1");
    assert_eq!(imported.warnings.len(), 2, "{:?}", imported.warnings);
    assert!(imported.warnings[1].contains("`deploymentType` is no key of Gatepass"));
    let config = Config::from_toml(&imported.toml, Path::new("x.toml"), &registry()).unwrap();
    let names: Vec<_> = config
        .deployments()
        .map(|one| one.name().to_owned())
        .collect();
    assert_eq!(names, ["Churn-Model", "gpt", "open", "two"]);
    assert_eq!(config.deployment("gpt").unwrap().probe().method, "POST");
}

#[test]
fn an_import_into_files_names_them() {
    let place = SecretPlace::Directory("/run/secrets".into());
    let imported = import(WIRE, Path::new("wire.json"), &registry(), &place).unwrap();
    assert_eq!(imported.secrets[2].place, "/run/secrets/gpt.value");
    assert!(
        imported
            .toml
            .contains("{ file = \"/run/secrets/gpt.value\" }")
    );
    Config::from_toml(&imported.toml, Path::new("x.toml"), &registry()).unwrap();
}

#[test]
fn what_cannot_be_imported_is_said() {
    let one = |name: &str| {
        format!(
            r#"{{"name": "{name}", "url": "https://x.example.com", "authentication": "bearer", "password": "canary"}}"#
        )
    };
    let text = format!("[{}, {}]", one("a.b"), one("a-b"));
    let error = import(&text, Path::new("x.json"), &registry(), &SecretPlace::Env).unwrap_err();
    assert!(
        error.to_string().contains("would share GATEPASS_A_B_TOKEN"),
        "{error}"
    );
    let place = SecretPlace::Directory("d".into());
    assert!(import(&text, Path::new("x.json"), &registry(), &place).is_ok());
    let error = import(
        "{\"url\": 1}",
        Path::new("x.json"),
        &registry(),
        &SecretPlace::Env,
    );
    assert!(error.unwrap_err().problems().len() >= 2);
}

/// The schema and the reader agree: on what is right, and on what is wrong.
#[test]
fn the_schema_says_what_the_reader_says() {
    let schema = schema(&registry());
    let validator = jsonschema::validator_for(&schema).unwrap();
    let check = |definition: &str, right: bool| {
        let text = format!("[deployments.x]\n{definition}\n");
        let value: serde_json::Value = toml_value(&text);
        assert_eq!(
            validator.is_valid(&value),
            right,
            "{text}\n{:?}",
            validator.validate(&value)
        );
        let read = Config::from_toml(&text, Path::new("x.toml"), &registry());
        assert_eq!(read.is_ok(), right, "{text}\n{read:?}");
    };
    let url = "url = \"https://x.example.com\"\n";
    let basic = format!("{url}authentication = \"basic\"\n");
    check(
        &format!("{basic}username = \"u\"\npassword = {{ env = \"P\" }}"),
        true,
    );
    check(
        &format!("{basic}username = {{ file = \"u\" }}\npassword = {{ command = [\"p\"] }}"),
        true,
    );
    check(&format!("{basic}username = \"u\""), false);
    check(
        &format!("{basic}username = \"u\"\npassword = {{ envv = \"P\" }}"),
        false,
    );
    check(
        &format!("{basic}username = \"u\"\npassword = \"p\"\ntoken = \"t\""),
        false,
    );
    check(&format!("{url}authentication = \"nonsense\""), false);
    check("authentication = \"none\"", false);
    check(
        &format!("{url}authentication = \"none\"\nconnect_timeout = 0"),
        false,
    );
    check(
        &format!("{url}authentication = \"none\"\nconnect_timeout = 1.5"),
        true,
    );
    check(
        &format!("{url}authentication = \"none\"\nheaders = {{ x-a = \"b\" }}"),
        true,
    );
    check(
        &format!("{url}authentication = \"none\"\ncheck = {{ method = \"POST\", body = \"1\" }}"),
        true,
    );
    check(
        &format!("{url}authentication = \"none\"\ncheck = {{ verb = \"POST\" }}"),
        false,
    );
    let oauth =
        format!("{url}authentication = \"oauth\"\ntoken_url = \"https://a.example.com/t\"\n");
    check(
        &format!("{oauth}client_id = \"i\"\nclient_secret = \"s\"\nclient_auth = \"post\""),
        true,
    );
    check(
        &format!("{oauth}username = \"i\"\npassword = \"s\"\nscope = \"\""),
        true,
    );
    check(
        &format!("{oauth}client_id = \"i\"\nusername = \"i\"\nclient_secret = \"s\""),
        false,
    );
    check(
        &format!("{oauth}client_id = \"i\"\nclient_secret = \"s\"\nclient_auth = \"guess\""),
        false,
    );
    let auth = "[[deployments.x.auth]]\nauthentication = \"bearer\"\ntoken = \"t\"";
    check(&format!("{url}{auth}"), true);
    check(&format!("{url}authentication = \"none\"\n{auth}"), false);
    check(
        &format!("{url}[[deployments.x.auth]]\nauthentication = \"bearer\""),
        false,
    );
}

fn toml_value(text: &str) -> serde_json::Value {
    toml::from_str(text).unwrap()
}

#[test]
fn the_reference_names_every_key() {
    let text = reference(&registry());
    let of_methods = registry();
    let keys = of_methods.factories().flat_map(|factory| factory.keys());
    for spec in keys.chain(gatepass_config::SHARED_KEYS) {
        assert!(
            text.contains(&format!("| `{}`", spec.name())),
            "{}",
            spec.name()
        );
    }
}
