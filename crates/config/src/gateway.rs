//! The `[gateway]` table: where it listens, who may call what.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::problem::Problem;
use crate::tree::{Node, Table, Tree};

/// What a `[gateway]` table says; all of it may be absent.
///
/// ```
/// use gatepass_config::{AccessLog, Config};
/// let text = r#"
///     [gateway]
///     listen     = "127.0.0.1:4780"
///     access_log = "json"
///     [[gateway.keys]]
///     name        = "search"
///     sha256      = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
///     deployments = ["churn"]
///     expires     = "2027-01-01T00:00:00Z"
/// "#;
/// let config = Config::from_toml(text, "gatepass.toml".as_ref(), &gatepass_core::Registry::builtin())?;
/// assert_eq!(config.gateway().access_log, Some(AccessLog::Json));
/// assert!(config.gateway().keys[0].allows("churn"));
/// # Ok::<(), gatepass_config::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GatewaySettings {
    /// Where it listens: `HOST:PORT` or `unix:PATH`.
    pub listen: Option<String>,
    /// Where its admin listener is.
    pub admin: Option<String>,
    /// How many threads serve.
    pub threads: Option<usize>,
    /// PEM files of the certificate chain that callers see, and of its key; plain http without.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Names it may be called by, beside addresses.
    pub hosts: Vec<String>,
    /// Whether requests are logged.
    pub access_log: Option<AccessLog>,
    /// Who may call what.
    pub keys: Vec<GatewayKey>,
}

/// How requests are logged.
///
/// ```
/// assert_ne!(gatepass_config::AccessLog::Off, gatepass_config::AccessLog::Text);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Not at all.
    Off,
    /// A JSON object a line.
    Json,
    /// A line for people.
    Text,
}

/// A key that callers of the gateway present; only its digest is known.
///
/// ```
/// let key = gatepass_config::GatewayKey::new("search", [7; 32], vec!["*".to_owned()]);
/// assert!(key.allows("anything"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GatewayKey {
    /// Who it belongs to; shown in logs and metrics.
    pub name: String,
    /// SHA-256 of the key.
    pub sha256: [u8; 32],
    /// The deployments it opens; `*` is all.
    pub deployments: Vec<String>,
    /// From here on it opens nothing.
    pub expires: Option<SystemTime>,
}

impl GatewayKey {
    /// A key that does not expire.
    #[must_use]
    pub fn new(name: impl Into<String>, sha256: [u8; 32], deployments: Vec<String>) -> Self {
        Self {
            name: name.into(),
            sha256,
            deployments,
            expires: None,
        }
    }

    /// Whether it opens this deployment.
    #[must_use]
    pub fn allows(&self, deployment: &str) -> bool {
        self.deployments
            .iter()
            .any(|open| open == "*" || open == deployment)
    }
}

const KEYS: [&str; 8] = [
    "listen",
    "admin",
    "threads",
    "tls_cert",
    "tls_key",
    "hosts",
    "access_log",
    "keys",
];
const KEY_KEYS: [&str; 4] = ["name", "sha256", "deployments", "expires"];

/// Reads the table, with everything that is wrong with it.
pub(crate) fn read(table: &Table, file: &Path, problems: &mut Vec<Problem>) -> GatewaySettings {
    let mut reader = Reader { file, problems };
    let mut settings = GatewaySettings::default();
    let (mut cert, mut tls_key) = (None, None);
    for (key, node) in table {
        match key.as_str() {
            "listen" => settings.listen = reader.text(key, node),
            "admin" => settings.admin = reader.text(key, node),
            "threads" => settings.threads = reader.threads(key, node),
            "tls_cert" => cert = reader.path(key, node),
            "tls_key" => tls_key = reader.path(key, node),
            "hosts" => settings.hosts = reader.texts(key, node),
            "access_log" => settings.access_log = reader.access_log(key, node),
            "keys" => settings.keys = reader.keys(node),
            _ => reader.unknown(key, node, &KEYS),
        }
    }
    let given = |key: &str| table.iter().find(|(name, _)| name == key);
    match (given("tls_cert"), given("tls_key")) {
        (Some((_, node)), None) => {
            reader.wrong("tls_cert", node, "stands alone: give its `tls_key`")
        }
        (None, Some((_, node))) => {
            reader.wrong("tls_key", node, "stands alone: give its `tls_cert`")
        }
        _ => settings.tls = cert.zip(tls_key),
    }
    settings
}

struct Reader<'a> {
    file: &'a Path,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn wrong(&mut self, key: &str, node: &Node, what: impl Into<String>) {
        let problem = Problem::of_file(self.file, what).on_line(node.line);
        self.problems.push(problem.of_key(key, None));
    }

    fn unknown(&mut self, key: &str, node: &Node, known: &[&'static str]) {
        let near = crate::definition::nearest(key, known.iter().copied());
        let what = match near {
            Some(near) => format!("is not a known key of the gateway: did you mean `{near}`?"),
            None => format!(
                "is not a known key of the gateway: one of {}",
                known.join(", ")
            ),
        };
        self.wrong(key, node, what);
    }

    fn text(&mut self, key: &str, node: &Node) -> Option<String> {
        let text = node.text().map(str::to_owned);
        if text.is_none() {
            self.wrong(key, node, "must be text");
        }
        text
    }

    /// Meant relative to the file it is written in.
    fn path(&mut self, key: &str, node: &Node) -> Option<PathBuf> {
        let directory = self.file.parent().unwrap_or(Path::new(""));
        self.text(key, node).map(|path| directory.join(path))
    }

    fn texts(&mut self, key: &str, node: &Node) -> Vec<String> {
        let texts = match &node.value {
            Tree::List(items) => items
                .iter()
                .map(|item| item.text().map(str::to_owned))
                .collect::<Option<Vec<_>>>(),
            _ => None,
        };
        texts.unwrap_or_else(|| {
            self.wrong(key, node, "must be a list of texts");
            Vec::new()
        })
    }

    fn threads(&mut self, key: &str, node: &Node) -> Option<usize> {
        match node.value {
            Tree::Integer(number @ 1..=1024) => usize::try_from(number).ok(),
            _ => {
                self.wrong(key, node, "must be a whole number from 1 to 1024");
                None
            }
        }
    }

    fn access_log(&mut self, key: &str, node: &Node) -> Option<AccessLog> {
        match node.text() {
            Some("off") => Some(AccessLog::Off),
            Some("json") => Some(AccessLog::Json),
            Some("text") => Some(AccessLog::Text),
            _ => {
                self.wrong(key, node, "must be \"off\", \"json\" or \"text\"");
                None
            }
        }
    }

    fn keys(&mut self, node: &Node) -> Vec<GatewayKey> {
        let Tree::List(items) = &node.value else {
            self.wrong("keys", node, "must hold tables: write [[gateway.keys]]");
            return Vec::new();
        };
        let mut keys: Vec<GatewayKey> = Vec::new();
        for item in items {
            let Some(table) = item.table() else {
                self.wrong("keys", node, "must hold tables: write [[gateway.keys]]");
                continue;
            };
            let Some(key) = self.key(table, item) else {
                continue;
            };
            let twice = keys.iter().find(|other| other.sha256 == key.sha256);
            if let Some(other) = twice {
                let what = format!(
                    "is that of \"{}\" as well: give each caller a key of its own",
                    other.name
                );
                self.wrong("sha256", item, what);
            }
            keys.push(key);
        }
        keys
    }

    fn key(&mut self, table: &Table, item: &Node) -> Option<GatewayKey> {
        let before = self.problems.len();
        let mut key = GatewayKey::new("", [0; 32], Vec::new());
        for (name, node) in table {
            match name.as_str() {
                "name" => match node.text().filter(|name| is_name(name)) {
                    Some(given) => key.name = given.to_owned(),
                    None => {
                        let what = "must be text of 1 to 64 letters, digits, spaces, `.`, `_`, `-`, `@`: logs and metrics show it";
                        self.wrong(name, node, what);
                    }
                },
                "sha256" => match node.text().and_then(digest) {
                    Some(sha256) => key.sha256 = sha256,
                    None => {
                        let what = "must be 64 hexadecimal digits: `gatepass key new` prints them";
                        self.wrong(name, node, what);
                    }
                },
                "deployments" => key.deployments = self.texts(name, node),
                "expires" => match node.text().and_then(instant) {
                    Some(expires) => key.expires = Some(expires),
                    None => {
                        let what = "must be a time as text, like \"2027-01-01T00:00:00Z\"";
                        self.wrong(name, node, what);
                    }
                },
                _ => self.unknown(name, node, &KEY_KEYS),
            }
        }
        for needed in ["name", "sha256"] {
            if !table.iter().any(|(name, _)| name == needed) {
                self.wrong(needed, item, "is missing: each key of the gateway needs it");
            }
        }
        (self.problems.len() == before).then_some(key)
    }
}

/// What needs no escapes in logs and metrics.
fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || " ._-@".contains(c);
    (1..=64).contains(&name.len()) && name.chars().all(plain)
}

fn digest(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(digest)
}

/// A time by RFC 3339.
fn instant(text: &str) -> Option<SystemTime> {
    let instant: jiff::Timestamp = text.parse().ok()?;
    let seconds = u64::try_from(instant.as_second()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use crate::Config;

    fn problems(text: &str) -> String {
        let registry = gatepass_core::Registry::builtin();
        let read = Config::from_toml(text, "g.toml".as_ref(), &registry);
        read.map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn each_wrong_value_is_named_with_its_line() {
        let text = "[gateway]\nlisten = 1\nthreads = 0\nhosts = \"x\"\naccess_log = \"loud\"\n\
                    lisen = \"x\"\n[[gateway.keys]]\nsha256 = \"c4nary\"\nexpires = \"soon\"\n\
                    [[gateway.keys]]\nname = \"a\\\"b\"\nsha256 = \"\"\n";
        let found = problems(text);
        for want in [
            "g.toml:2: `listen` must be text",
            "g.toml:3: `threads` must be a whole number from 1 to 1024",
            "g.toml:4: `hosts` must be a list of texts",
            "g.toml:5: `access_log` must be \"off\", \"json\" or \"text\"",
            "g.toml:6: `lisen` is not a known key of the gateway: did you mean `listen`?",
            "g.toml:8: `sha256` must be 64 hexadecimal digits",
            "g.toml:9: `expires` must be a time as text",
            "`name` is missing",
            "g.toml:11: `name` must be text of 1 to 64 letters",
        ] {
            assert!(found.contains(want), "{want}\n{found}");
        }
        assert!(!found.contains("c4nary"));
    }

    #[test]
    fn two_callers_cannot_share_a_key() {
        let digest = "ab".repeat(32);
        let key =
            |name: &str| format!("[[gateway.keys]]\nname = \"{name}\"\nsha256 = \"{digest}\"\n");
        let found = problems(&format!("{}{}", key("a"), key("b")));
        assert!(found.contains("is that of \"a\" as well"), "{found}");
        assert_eq!(problems(&key("a")), "");
    }
}
