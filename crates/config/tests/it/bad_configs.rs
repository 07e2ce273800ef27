//! Wrong configs and their messages. Each names file, line, deployment, key and meaning, says what to
//! do, and never shows a value.

use gatepass_config::Config;

/// Every value in these configs that somebody might not want to see in a message.
const CANARY: &str = "c4nary";

pub(crate) fn registry() -> gatepass_core::Registry {
    gatepass_core::Registry::builtin().with(gatepass_oauth::OAuthFactory::default())
}

fn check(name: &str, config: &str) {
    let file = if config.trim_start().starts_with(['[', '{']) && config.contains("\":") {
        "gatepass.json"
    } else {
        "gatepass.toml"
    };
    let result = if file.ends_with("json") {
        Config::from_json(config, file.as_ref(), &registry())
    } else {
        Config::from_toml(config, file.as_ref(), &registry())
    };
    let message = result.unwrap_err().to_string();
    assert!(!message.contains(CANARY), "{message}");
    insta::with_settings!({ description => config.trim(), omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, message);
    });
}

macro_rules! bad_configs {
    ($($name:ident: $config:expr;)+) => {
        $(#[test] fn $name() { check(stringify!($name), $config); })+
    };
}

bad_configs! {
    unknown_tag: "
[deployments.churn]
url = \"https://h.test\"
authentication = \"oauth2\"
client_secret = \"c4nary\"
";
    missing_tag_and_unknown_url: "
[deployments.churn]
url = \"models.c4nary\"
";
    unknown_key_with_a_near_one: "
[deployments.churn]
base_url = \"https://h.test\"
authentication = \"oauth\"
client_id = \"c4nary\"
client_secret = \"c4nary\"
tokenURL = \"https://auth.test/token\"
";
    key_of_another_method: "
[deployments.churn]
url = \"https://h.test\"
authentication = \"basic\"
username = \"c4nary\"
password = \"c4nary\"
scope = \"c4nary\"
";
    both_names_of_one_key: "
[deployments.gpt]
url = \"https://h.test\"
authentication = \"custom\"
header = \"api-key\"
username = \"c4nary\"
value = \"c4nary\"
";
    everything_missing: "
[deployments.churn]
authentication = \"oauth\"
";
    several_deployments_at_once: "
[deployments.a]
url = \"https://h.test\"
authentication = \"basic\"
username = \"with:c4nary\"
password = \"c4nary\\n\"

[deployments.b]
url = \"http://h.test\"
authentication = \"custom\"
header = \"Content-Length\"
value = \"c4nary\"
total_timeout = -1
";
    two_origins: "
[deployments.churn]
url = \"https://a.test/c4nary\"
base_url = \"https://b.test\"
authentication = \"none\"
";
    user_info_in_the_url: "
[deployments.churn]
url = \"https://user:c4nary@h.test\"
authentication = \"none\"
";
    dotted_name: "
[deployments.gpt-4.1]
url = \"https://h.test\"
authentication = \"bearer\"
token = \"c4nary\"
";
    not_a_name: "
[deployments.\"my model\"]
url = \"https://h.test\"
authentication = \"none\"
";
    broken_toml: "
[deployments.churn]
url = \"https://h.test\"
authentication = \"bearer\"
token = c4nary
";
    a_key_twice: "
[deployments.churn]
token = \"c4nary\"
token = \"c4nary\"
";
    wrong_secret_reference: "
[deployments.churn]
url = \"https://h.test\"
authentication = \"bearer\"
token = { envv = \"c4nary\" }
";
    reference_where_none_is_taken: "
[deployments.churn]
url = { env = \"c4nary\" }
authentication = \"none\"
";
    auth_tables_beside_flat_keys: "
[deployments.churn]
url = \"https://h.test\"
authentication = \"bearer\"
token = \"c4nary\"
[[deployments.churn.auth]]
authentication = \"custom\"
header = \"x-key\"
value = \"c4nary\"
";
    two_methods_for_one_header: "
[deployments.churn]
url = \"https://h.test\"
[[deployments.churn.auth]]
authentication = \"bearer\"
token = \"c4nary\"
[[deployments.churn.auth]]
authentication = \"basic\"
username = \"c4nary\"
password = \"c4nary\"
";
    misplaced_table: "
[deployment.churn]
url = \"https://h.test\"
";
    client_auth_and_scope: "
[deployments.churn]
url = \"https://h.test\"
authentication = \"oauth\"
client_id = \"\"
client_secret = \"c4nary\"
token_url = \"ftp://c4nary\"
client_auth = \"digest\"
scope = \"two  spaces\"
";
    bad_extra_headers: "
[deployments.churn]
url = \"https://h.test\"
authentication = \"none\"
[deployments.churn.headers]
\"x team\" = \"c4nary\"
x-other = 7
";
    json_list: "
[{\"name\": \"a b\", \"url\": \"https://h.test\", \"authentication\": \"basic\", \"username\": \"c4nary\"},
 {\"url\": \"https://h.test\", \"authentication\": \"none\"},
 {\"name\": \"a-b\", \"url\": \"https://h.test\", \"authentication\": \"none\"},
 {\"name\": \"c\", \"url\": \"https://h.test\", \"authentication\": \"bearer\", \"password\": \"c4nary\", \"tokenURL\": \"c4nary\"},
 {\"name\": \"d\", \"baseURL\": \"https://h.test\", \"authentication\": \"oauth\", \"username\": \"c4nary\", \"password\": \"c4nary\"}]
";
    broken_json: "
{\"name\": \"a\", \"password\": \"c4nary\",, }
";
}
