//! OAuth definitions beyond a token URL: providers, issuers, parameters, knobs.

use std::path::Path;

use gatepass_config::Config;
use gatepass_core::Registry;
use gatepass_oauth::{OAuthFactory, PRESETS};

fn read(keys: &str) -> Result<Config, String> {
    let text = format!(
        "[deployments.x]\nurl = \"https://models.example.com/v1\"\nauthentication = \"oauth\"\n\
         client_id = \"id\"\nclient_secret = \"canary\"\n{keys}\n"
    );
    let registry = Registry::builtin().with(OAuthFactory::default());
    Config::from_toml(&text, Path::new("x.toml"), &registry).map_err(|error| error.to_string())
}

fn right(keys: &str) {
    let read = read(keys);
    assert!(read.is_ok(), "{keys}\n{read:?}");
}

fn wrong(keys: &str, needle: &str) {
    let error = read(keys).unwrap_err();
    assert!(error.contains(needle), "no {needle:?} in {error}");
    assert!(!error.contains("canary"), "{error}");
}

#[test]
fn each_provider_needs_what_people_hold() {
    right("provider = \"databricks\"\nhost = \"dbc-1.cloud.databricks.com\"");
    right("provider = \"databricks-account\"\naccount_id = \"42\"");
    right("provider = \"entra\"\ntenant = \"t-1\"\nresource = \"api://model\"");
    right("provider = \"azure-openai\"\ntenant = \"t-1\"");
    right("provider = \"okta\"\nhost = \"dev-1.okta.com\"\nscope = \"ml\"");
    right("provider = \"okta\"\nhost = \"dev-1.okta.com\"\nrealm = \"aus1\"\nscope = \"ml\"");
    right("provider = \"auth0\"\nhost = \"x.eu.auth0.com\"\nresource = \"https://api\"");
    right("provider = \"keycloak\"\nhost = \"sso.example.com\"\nrealm = \"ml\"");
    wrong("provider = \"databricks\"", "`host` (the provider's host");
    wrong(
        "provider = \"entra\"\ntenant = \"t-1\"",
        "provider = \"entra\" needs it",
    );
    wrong(
        "provider = \"okta\"\nhost = \"dev-1.okta.com\"",
        "has no common one",
    );
    wrong("provider = \"nobody\"", "must be one of databricks");
    wrong(
        "provider = \"keycloak\"\nhost = \"https://sso.example.com\"\nrealm = \"ml\"",
        "must be the bare name",
    );
    wrong(
        "provider = \"keycloak\"\nhost = \"user@evil.test\"\nrealm = \"ml\"",
        "must be the bare name",
    );
    // Whatever a definition sets wins.
    right(
        "provider = \"okta\"\ntoken_url = \"https://own.example.com/t\"\nscope = \"\"\nclient_auth = \"post\"",
    );
}

#[test]
fn the_list_of_providers_is_whole() {
    let registry = Registry::builtin().with(OAuthFactory::default());
    let oauth = registry.factory("oauth").unwrap();
    let spec = oauth
        .keys()
        .iter()
        .find(|spec| spec.name() == "provider")
        .unwrap();
    let names: Vec<_> = PRESETS.iter().map(|preset| preset.name).collect();
    assert_eq!(spec.allowed(), names);
}

#[test]
fn parameters_and_headers_are_checked() {
    let url = "token_url = \"https://auth.example.com/t?tenant=7\"\n";
    right(&format!(
        "{url}audience = \"a\"\nresource = \"r\"\nparams = {{ x = \"1\", y = {{ env = \"Y\" }} }}"
    ));
    right(&format!(
        "{url}token_headers = {{ x-tenant = {{ file = \"t\" }} }}"
    ));
    wrong(
        &format!("{url}params = {{ grant_type = \"password\" }}"),
        "grant_type, which has a key of its own",
    );
    wrong(
        &format!("{url}params = {{ client_secret = \"canary\" }}"),
        "client_secret, which has a key",
    );
    wrong(
        &format!("{url}audience = \"a\"\nparams = {{ audience = \"b\" }}"),
        "audience, which is set already",
    );
    wrong(
        &format!("{url}token_headers = {{ Authorization = \"x\" }}"),
        "written by Gatepass itself",
    );
    wrong(
        &format!("{url}token_headers = {{ host = \"x\" }}"),
        "frames or routes",
    );
    wrong(
        &format!("{url}token_headers = {{ x = \"canary\\n\" }}"),
        "line break",
    );
    wrong(&format!("{url}params = {{ x = 1 }}"), "must be text");
}

#[test]
fn issuers_and_knobs_are_checked() {
    right("issuer = \"https://auth.example.com/tenant\"");
    right(
        "issuer = \"https://auth.example.com\"\ntoken_origins = [\"https://tokens.example.com\"]",
    );
    wrong(
        "issuer = \"http://auth.example.com\"",
        "allow_insecure_http",
    );
    wrong(
        "issuer = \"https://a.example.com\"\ntoken_url = \"https://a.example.com/t\"",
        "keep one",
    );
    wrong(
        "token_url = \"https://a.example.com/t\"\ntoken_origins = [\"https://b.example.com\"]",
        "set issuer",
    );
    wrong(
        "",
        "`token_url` (where access tokens are handed out) is missing",
    );
    let url = "token_url = \"https://auth.example.com/t\"\n";
    right(&format!(
        "{url}margin = 40\nrenew_before = 300\nmax_lifetime = 600\nmin_interval = 5\ntoken_timeout = 20"
    ));
    right(&format!("{url}rejected_when = [\"403 expired\", \"419\"]"));
    wrong(
        &format!("{url}rejected_when = [\"expired\"]"),
        "a status of 400 to 599",
    );
    wrong(&format!("{url}margin = -1"), "above 0");
    wrong(&format!("{url}client_auth = \"guess\""), "\"none\"");
}

#[test]
fn a_client_without_a_secret_needs_none() {
    let text = "[deployments.x]\nurl = \"https://models.example.com/v1\"\nauthentication = \"oauth\"\n\
                client_id = \"id\"\ntoken_url = \"https://auth.example.com/t\"\n";
    let registry = Registry::builtin().with(OAuthFactory::default());
    let read = |text: &str| Config::from_toml(text, Path::new("x.toml"), &registry);
    assert!(read(&format!("{text}client_auth = \"none\"")).is_ok());
    let error = read(text).unwrap_err().to_string();
    assert!(
        error.contains("`client_secret`") && error.contains("is missing"),
        "{error}"
    );
}
