//! Wire JSON as TOML, its secrets moved to places of their own.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use gatepass_core::{KeyKind, KeySpec, Registry, Secret};

use crate::config::{Config, json_name};
use crate::definition::{Form, find, is_blank, names};
use crate::json_form;
use crate::keys::{SHARED_KEYS, is_table_key};
use crate::problem::{ConfigError, Problem};
use crate::tree::{Node, Table, Tree};
use crate::write::{Block, Written};

/// Where an import puts secrets.
///
/// ```
/// use gatepass_config::SecretPlace;
/// let places = [SecretPlace::Env, SecretPlace::Directory("/run/secrets".into())];
/// # drop(places);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SecretPlace {
    /// Into environment variables named `GATEPASS_<NAME>_<KEY>`.
    Env,
    /// Into files of this directory, named `<NAME>.<KEY>`.
    Directory(PathBuf),
}

/// A secret that was taken out of the JSON, and where the TOML looks for it.
///
/// ```
/// use gatepass_config::{SecretPlace, import};
/// let json = r#"{"name": "a", "url": "https://example.com/", "authentication": "bearer", "password": "s3cr3t"}"#;
/// let registry = gatepass_core::Registry::builtin();
/// let imported = import(json, "a.json".as_ref(), &registry, &SecretPlace::Env)?;
///
/// let moved = &imported.secrets[0];
/// assert_eq!((moved.key.as_str(), moved.place.as_str()), ("token", "GATEPASS_A_TOKEN"));
/// # Ok::<(), gatepass_config::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MovedSecret {
    /// The deployment it belongs to.
    pub deployment: String,
    /// The key it belongs to.
    pub key: String,
    /// Where the TOML looks for it: the name of a variable, or the path of a file.
    pub place: String,
    /// The secret.
    pub secret: Secret,
}

/// An import: the TOML, and what has to be done before it works.
///
/// ```
/// use gatepass_config::{SecretPlace, import};
/// let json = r#"{"name": "a", "url": "https://example.com/", "authentication": "bearer", "password": "s3cr3t"}"#;
/// let registry = gatepass_core::Registry::builtin();
/// let imported = import(json, "a.json".as_ref(), &registry, &SecretPlace::Env)?;
///
/// assert!(!imported.toml.contains("s3cr3t"));
/// assert!(imported.warnings.is_empty());
/// # Ok::<(), gatepass_config::ConfigError>(())
/// ```
#[non_exhaustive]
pub struct Imported {
    /// The definitions; no secret among them.
    pub toml: String,
    /// The secrets to put into their places.
    pub secrets: Vec<MovedSecret>,
    /// What was changed or left out.
    pub warnings: Vec<String>,
}

/// Without the text, which may hold what is private.
impl fmt::Debug for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imported")
            .field("secrets", &self.secrets.len())
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

/// Turns the wire JSON into TOML with clear key names.
///
/// ```
/// use gatepass_config::{SecretPlace, import};
/// use gatepass_core::Registry;
/// let json = r#"{"name": "gpt", "url": "https://example.com/v1", "authentication": "custom",
///                "username": "api-key", "password": "s3cr3t"}"#;
/// let imported = import(json, "gpt.json".as_ref(), &Registry::builtin(), &SecretPlace::Env)?;
/// assert!(imported.toml.contains(r#"value          = { env = "GATEPASS_GPT_VALUE" }"#));
/// assert_eq!(imported.secrets[0].place, "GATEPASS_GPT_VALUE");
/// # Ok::<(), gatepass_config::ConfigError>(())
/// ```
///
/// # Errors
/// Everything that is wrong with the JSON, and two secrets that would share a variable.
pub fn import(
    text: &str,
    file: &Path,
    registry: &Registry,
    place: &SecretPlace,
) -> Result<Imported, ConfigError> {
    let config = Config::from_json(text, file, registry)?;
    let objects = json_form::parse(text, file).map_err(ConfigError::new)?;
    let mut importer = Importer {
        file,
        registry,
        place,
        secrets: Vec::new(),
        warnings: config.warnings().to_vec(),
    };
    let blocks: Vec<String> = objects
        .iter()
        .map(|(_, table)| importer.deployment(table).to_string())
        .collect();
    importer.refuse_shared_places()?;
    Ok(Imported {
        toml: blocks.join("\n"),
        secrets: importer.secrets,
        warnings: importer.warnings,
    })
}

struct Importer<'a> {
    file: &'a Path,
    registry: &'a Registry,
    place: &'a SecretPlace,
    secrets: Vec<MovedSecret>,
    warnings: Vec<String>,
}

impl Importer<'_> {
    fn deployment(&mut self, table: &Table) -> Block {
        let name = json_name(table, self.file);
        let mut block = Block::new(&name);
        let mut taken = vec!["name".to_owned()];
        let (places, rest): (Vec<KeySpec>, Vec<KeySpec>) = SHARED_KEYS
            .iter()
            .partition(|spec| matches!(spec.name(), "url" | "base_url"));
        for (key, value) in self.keys(&name, "", table, &places, &mut taken) {
            block.set(&key, value);
        }
        for (key, value) in self.method(&name, "", table, &mut taken) {
            block.set(&key, value);
        }
        for (key, value) in self.keys(&name, "", table, &rest, &mut taken) {
            block.set(&key, value);
        }
        if let Some((_, node)) = find(table, "check")
            && let Some(value) = written_table(node)
        {
            block.set("check", value);
        }
        if let Some(headers) = find(table, "headers").and_then(|(_, node)| node.table()) {
            for (header, node) in headers {
                let value = self.secret(&name, &format!("headers.{header}"), node);
                block.header(header, value);
            }
        }
        if let Some((
            _,
            Node {
                value: Tree::List(items),
                ..
            },
        )) = find(table, "auth")
        {
            for (at, item) in items.iter().filter_map(Node::table).enumerate() {
                let prefix = format!("auth.{at}.");
                let keys = self.method(&name, &prefix, item, &mut Vec::new());
                block.method(keys);
            }
        }
        for (key, node) in table {
            let known = taken.contains(key) || is_table_key(key);
            if !known && !is_blank(node) {
                self.warnings.push(format!(
                    "deployment \"{name}\": `{key}` is no key of Gatepass and was left out"
                ));
            }
        }
        block
    }

    fn method(
        &mut self,
        name: &str,
        prefix: &str,
        table: &Table,
        taken: &mut Vec<String>,
    ) -> Vec<(String, Written)> {
        let tag = find(table, "authentication").and_then(|(_, node)| node.text());
        let Some(factory) = tag.and_then(|tag| self.registry.factory(tag)) else {
            return Vec::new();
        };
        let tag = Written::Text(factory.tag().to_owned());
        taken.push("authentication".to_owned());
        let mut keys = vec![("authentication".to_owned(), tag)];
        keys.extend(self.keys(name, prefix, table, factory.keys(), taken));
        keys
    }

    /// The values of these keys, by clear name, in the order they are declared.
    fn keys(
        &mut self,
        name: &str,
        prefix: &str,
        table: &Table,
        specs: &[KeySpec],
        taken: &mut Vec<String>,
    ) -> Vec<(String, Written)> {
        let mut keys = Vec::new();
        for spec in specs.iter().filter(|spec| spec.name() != "authentication") {
            let found = table.iter().find(|(key, _)| names(spec, key, Form::Json));
            let Some((key, node)) = found else {
                continue;
            };
            taken.push(key.clone());
            if !is_blank(node) || spec.is_required() {
                let value = self.value(name, prefix, spec, node);
                keys.push((spec.name().to_owned(), value));
            }
        }
        keys
    }

    fn value(&mut self, name: &str, prefix: &str, spec: &KeySpec, node: &Node) -> Written {
        let is_path =
            spec.name().ends_with("_file") || matches!(spec.name(), "client_cert" | "client_key");
        match (&node.value, spec.kind()) {
            // A proxy takes no reference; whoever put a password there has to know.
            (Tree::Text(text), KeyKind::Secret) if spec.name() == "proxy" => {
                if text.contains('@') {
                    self.warnings.push(format!(
                        "deployment \"{name}\": `proxy` holds a password in the TOML: keep that file private"
                    ));
                }
                Written::Text(text.to_string())
            }
            (_, KeyKind::Secret) if spec.is_secret() => {
                self.secret(name, &format!("{prefix}{}", spec.name()), node)
            }
            (Tree::Text(text), _) if is_path => {
                Written::Text(self.absolute(text).to_string_lossy().into_owned())
            }
            _ => self.plain(node),
        }
    }

    fn plain(&self, node: &Node) -> Written {
        match &node.value {
            Tree::Text(text) => Written::Text(text.to_string()),
            Tree::Boolean(value) => Written::Boolean(*value),
            Tree::Table(_) => self
                .reference(node)
                .unwrap_or_else(|| written_table(node).unwrap_or(Written::Table(Vec::new()))),
            Tree::List(items) => {
                let texts = items
                    .iter()
                    .filter_map(|item| item.text().map(str::to_owned));
                Written::Texts(texts.collect())
            }
            _ => Written::Number(node.number().unwrap_or_default()),
        }
    }

    /// A reference stays one; text moves to its place.
    fn secret(&mut self, deployment: &str, key: &str, node: &Node) -> Written {
        let Some(text) = node.text() else {
            return self.plain(node);
        };
        let (written, place) = match self.place {
            SecretPlace::Env => {
                let name = variable(deployment, key);
                (Written::Env(name.clone()), name)
            }
            SecretPlace::Directory(directory) => {
                let path = directory.join(format!("{deployment}.{key}"));
                let path = std::path::absolute(&path).unwrap_or(path);
                let shown = path.display().to_string();
                (Written::File(path), shown)
            }
        };
        self.secrets.push(MovedSecret {
            deployment: deployment.to_owned(),
            key: key.to_owned(),
            place,
            secret: Secret::new(text),
        });
        written
    }

    fn reference(&self, node: &Node) -> Option<Written> {
        let [(kind, value)] = node.table()?.as_slice() else {
            return None;
        };
        match (kind.as_str(), &value.value) {
            ("env", Tree::Text(name)) => Some(Written::Env(name.to_string())),
            ("file", Tree::Text(path)) => Some(Written::File(self.absolute(path))),
            ("command", Tree::List(items)) => {
                let argv = items.iter().map(|item| item.text().map(str::to_owned));
                Some(Written::Command(argv.collect::<Option<Vec<_>>>()?))
            }
            _ => None,
        }
    }

    /// Paths were relative to the JSON file, and the TOML may lie elsewhere.
    fn absolute(&self, path: &str) -> PathBuf {
        let path = self.file.parent().unwrap_or(Path::new("")).join(path);
        std::path::absolute(&path).unwrap_or(path)
    }

    fn refuse_shared_places(&self) -> Result<(), ConfigError> {
        let mut first: BTreeMap<&str, &MovedSecret> = BTreeMap::new();
        let mut problems = Vec::new();
        for secret in &self.secrets {
            let Some(other) = first.insert(&secret.place, secret) else {
                continue;
            };
            let message = format!(
                "would share {} with `{}` of deployment \"{}\": rename one of the deployments, or use --secrets-dir",
                secret.place, other.key, other.deployment
            );
            let problem = Problem::of_file(self.file, message).of_deployment(&secret.deployment);
            problems.push(problem.of_key(&secret.key, None));
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(ConfigError::new(problems))
        }
    }
}

/// `GATEPASS_<NAME>_<KEY>`: upper case, other characters `_`.
fn variable(deployment: &str, key: &str) -> String {
    let fold = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    let text = format!("GATEPASS_{deployment}_{key}");
    text.chars().map(fold).collect()
}

fn written_table(node: &Node) -> Option<Written> {
    let texts = node.table()?.iter().filter_map(|(key, node)| {
        let text = node.text()?.to_owned();
        Some((key.clone(), Written::Text(text)))
    });
    Some(Written::Table(texts.collect()))
}
