//! All keys as Markdown, from the same data that definitions are checked by.

use std::fmt::Write;

use gatepass_core::{KeyKind, KeySpec, Registry};

use crate::keys::{CHECK_KEYS, SHARED_KEYS, TABLE_KEYS};

const INTRODUCTION: &str = r#"# Configuration

<!-- Written by `cargo xtask docs`; a test compares it with what the code says. -->

A configuration is TOML, one table for each deployment. It is found by `--config FILE|DIR` (repeatable; a directory
stands for its `.toml` and `.json` files), else `$GATEPASS_CONFIG`, else `gatepass/config.toml` in your config directory.
Only one of these is read, never the working directory: a cloned repository could pair your secret with its own URL.

```toml
[deployments.churn]
url            = "https://models.example.com/v1/churn:predict"
authentication = "oauth"
client_id      = "client_12345"
client_secret  = { env = "CHURN_CLIENT_SECRET" }
token_url      = "https://auth.example.com/oauth/token"

[deployments."gpt-4.1"]                  # a name with a dot is quoted
base_url       = "https://example.openai.azure.com/openai/v1"
authentication = "custom"
header         = "api-key"
value          = { file = "/run/secrets/azure-key" }
headers        = { x-tenant = "research" }

[deployments.both]                       # several methods at once
base_url = "https://models.example.com"
[[deployments.both.auth]]
authentication = "basic"
username       = "apiuser"
password       = { command = ["op", "read", "op://ml/api/password"] }
[[deployments.both.auth]]
authentication = "custom"
header         = "x-project"
value          = "research"
```

Everything that is wrong with a file is reported at once, with the line, the key and what the key means, and never with
a value. `gatepass check --offline` does only that, and needs no secrets.

A **secret** is text, `{ env = "NAME" }`, `{ file = "PATH" }` (one trailing line break is trimmed) or
`{ command = ["PROGRAM", ".."] }` (no shell, 30 s, at most 64 KiB). It is fetched when its deployment is first used, so
a missing one fails that deployment only. Relative paths are relative to the file they are written in. Names of
deployments are letters, digits, `.`, `_` and `-`, 64 at most.

Paths of calls: without a path `url` is called, else `base_url`. With one, `base_url` (else `url`) without its trailing
`/`, then `/` and the path, bytes kept. `.` and `..` in any encoding, backslashes and controls are refused. A configured
query comes first and wins over a caller's pairs of the same name.

Editors complete and check this form by a JSON Schema: `gatepass schema > gatepass.schema.json`, and
`#:schema ./gatepass.schema.json` as the first line of the TOML.
"#;

const GATEWAY: &str = r#"
## The `[gateway]` table

Read by `gatepass serve` alone; options of the command win.

| key | takes | default | meaning |
|---|---|---|---|
| `listen` | text | 127.0.0.1:4780 | `HOST:PORT` or `unix:PATH` |
| `admin` | text | 127.0.0.1:4781 | where health, metrics and the status page are |
| `threads` | whole number | one for each core | threads that serve |
| `tls_cert` | text | none: plain http | PEM file of the certificate chain that callers see; read again when it changes |
| `tls_key` | text | none | PEM file of its private key |
| `hosts` | list of texts | none | names it may be called by, beside its addresses |
| `access_log` | `off`, `json`, `text` | off | a line for each request |

Callers are `[[gateway.keys]]` tables, as `gatepass key new` prints them:

| key | takes | default | meaning |
|---|---|---|---|
| `name` | text | required | who it belongs to; shown in logs and metrics |
| `sha256` | 64 hexadecimal digits | required | the digest of the key |
| `deployments` | list of texts | none at all | the deployments it opens, `["*"]` for all |
| `expires` | text, RFC 3339 | never | from then on it opens nothing |
"#;

const JSON_FORM: &str = r#"
## The JSON form

`{name, url, baseURL, authentication, username, password, tokenURL, oidcCustomScope}`, one object or a list of them, as
other tools emit it, loads unchanged from a file that ends in `.json`. Keys may also have the names above. `null` is
absent, `""` too for keys that are not required; keys of other tools are ignored. A name with other characters is folded
(each becomes `-`) with a warning. `gatepass import FILE.json` turns it into TOML and moves its secrets out.

| in JSON | in TOML | of |
|---|---|---|
"#;

/// All keys of all methods, as Markdown.
///
/// ```
/// let text = gatepass_config::reference(&gatepass_core::Registry::builtin());
/// assert!(text.contains("| `base_url` |"));
/// ```
#[must_use]
pub fn reference(registry: &Registry) -> String {
    let mut text = INTRODUCTION.to_owned();
    section(&mut text, "Keys of every deployment", None, SHARED_KEYS);
    text.push('\n');
    for (name, meaning) in TABLE_KEYS {
        line(&mut text, &format!("- `{name}`: {meaning}"));
    }
    section(&mut text, "Keys of a `check` table", None, CHECK_KEYS);
    for factory in registry.factories() {
        let title = format!("`authentication = \"{}\"`", factory.tag());
        section(&mut text, &title, Some(factory.about()), factory.keys());
    }
    text.push_str(GATEWAY);
    text.push_str(JSON_FORM);
    wire(&mut text, SHARED_KEYS, "every deployment");
    for factory in registry.factories() {
        wire(&mut text, factory.keys(), &format!("`{}`", factory.tag()));
    }
    text
}

fn section(text: &mut String, title: &str, about: Option<&str>, keys: &[KeySpec]) {
    line(text, &format!("\n## {title}"));
    if let Some(about) = about {
        let mut sentence = format!("\nOn the request: {about}.");
        if keys.is_empty() {
            sentence.push_str(" It takes no keys.");
        }
        line(text, &sentence);
    }
    if keys.is_empty() {
        return;
    }
    line(
        text,
        "\n| key | takes | default | meaning |\n|---|---|---|---|",
    );
    for spec in keys {
        let name = match spec.alias_name() {
            Some(alias) => format!("`{}` (= `{alias}`)", spec.name()),
            None => format!("`{}`", spec.name()),
        };
        let default = match (spec.is_required(), spec.default_value()) {
            (true, _) if !spec.unless().is_empty() => {
                let others = spec.unless().iter().map(|(other, text)| match *text {
                    "" => format!("`{other}`"),
                    text => format!("`{other} = \"{text}\"`"),
                });
                format!("required without {}", others.collect::<Vec<_>>().join(", "))
            }
            (true, _) => "required".to_owned(),
            (false, Some(default)) => default.to_owned(),
            (false, None) => "-".to_owned(),
        };
        line(
            text,
            &format!(
                "| {name} | {} | {default} | {} |",
                takes(spec),
                spec.meaning()
            ),
        );
    }
}

fn takes(spec: &KeySpec) -> String {
    if !spec.allowed().is_empty() {
        let quoted: Vec<_> = spec
            .allowed()
            .iter()
            .map(|one| format!("`\"{one}\"`"))
            .collect();
        return quoted.join(", ");
    }
    let takes = match spec.kind() {
        KeyKind::Secret if spec.is_secret() => "secret",
        KeyKind::Secret => "text, or a reference like a secret",
        KeyKind::Boolean => "`true` or `false`",
        KeyKind::Seconds => "seconds, whole or not",
        KeyKind::Bytes => "bytes, whole",
        KeyKind::Count => "whole number above 0",
        KeyKind::TextList => "list of texts",
        KeyKind::TextTable => "table of texts",
        KeyKind::SecretTable => "table of secrets",
        _ => "text",
    };
    takes.to_owned()
}

/// Keys that the JSON form names differently.
fn wire(text: &mut String, keys: &[KeySpec], of: &str) {
    for spec in keys {
        if let Some(wire) = spec.wire_name().or(spec.alias_name()) {
            line(text, &format!("| `{wire}` | `{}` | {of} |", spec.name()));
        }
    }
}

fn line(text: &mut String, line: &str) {
    // Writing to a text cannot fail.
    let _infallible = writeln!(text, "{line}");
}
