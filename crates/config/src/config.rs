//! All deployments of all files together.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use gatepass_core::{Deployment, Registry};
use zeroize::Zeroizing;

use crate::definition::{Definition, Form, find, nearest};
use crate::gateway::{self, GatewaySettings};
use crate::problem::{ConfigError, Problem};
use crate::tree::{Node, Table};
use crate::{json_form, toml_form};

/// The longest name of a deployment, in characters.
const MAX_NAME: usize = 64;

/// Deployments by name.
///
/// ```
/// use gatepass_config::Config;
/// let json = r#"{"name": "open", "url": "https://models.example.com/", "authentication": "none"}"#;
/// let config = Config::from_json(json, "open.json".as_ref(), &gatepass_core::Registry::builtin())?;
/// assert_eq!(config.deployments().count(), 1);
/// # Ok::<(), gatepass_config::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Config {
    deployments: BTreeMap<String, Arc<Deployment>>,
    warnings: Vec<String>,
    gateway: GatewaySettings,
    /// A digest of each definition as it is written.
    written: BTreeMap<String, u64>,
}

impl Config {
    /// Reads all files; a name that is defined twice is an error.
    ///
    /// # Errors
    /// Every problem of every file, at once.
    pub fn load(files: &[PathBuf], registry: &Registry) -> Result<Self, ConfigError> {
        let mut all = Reader::new(registry);
        for file in files {
            match fs::read_to_string(file) {
                Ok(text) => all.file(&Zeroizing::new(text), file),
                Err(cause) => {
                    let what = format!("cannot be read ({}): check path and rights", cause.kind());
                    all.problems.push(Problem::of_file(file, what));
                }
            }
        }
        all.finish()
    }

    /// Reads TOML; `file` is its name in messages, and relative paths are relative to it.
    ///
    /// # Errors
    /// Every problem, at once.
    pub fn from_toml(text: &str, file: &Path, registry: &Registry) -> Result<Self, ConfigError> {
        let mut all = Reader::new(registry);
        all.toml(text, file);
        all.finish()
    }

    /// Reads the wire JSON: one object, or a list of them.
    ///
    /// # Errors
    /// Every problem, at once.
    pub fn from_json(text: &str, file: &Path, registry: &Registry) -> Result<Self, ConfigError> {
        let mut all = Reader::new(registry);
        all.json(text, file);
        all.finish()
    }

    /// The deployment of this name.
    ///
    /// # Errors
    /// When there is none; the error suggests a near name.
    pub fn deployment(&self, name: &str) -> Result<&Arc<Deployment>, UnknownDeployment> {
        self.deployments.get(name).ok_or_else(|| {
            let known = self.deployments.keys().map(String::as_str);
            UnknownDeployment {
                name: name.to_owned(),
                near: nearest(name, known).map(str::to_owned),
                known: self.deployments.keys().cloned().collect(),
            }
        })
    }

    /// All deployments, by name.
    pub fn deployments(&self) -> impl Iterator<Item = &Arc<Deployment>> {
        self.deployments.values()
    }

    /// This deployment alone, and nothing of the gateway's.
    ///
    /// ```
    /// use gatepass_config::Config;
    /// let text = "[deployments.a]\nurl = \"https://a.example.com\"\nauthentication = \"none\"\n\
    ///             [deployments.b]\nurl = \"https://b.example.com\"\nauthentication = \"none\"";
    /// let registry = gatepass_core::Registry::builtin();
    /// let config = Config::from_toml(text, "gatepass.toml".as_ref(), &registry)?;
    /// assert_eq!(config.only("a").deployments().count(), 1);
    /// # Ok::<(), gatepass_config::ConfigError>(())
    /// ```
    #[must_use]
    pub fn only(&self, name: &str) -> Self {
        let kept = self.deployments.get_key_value(name);
        Self {
            deployments: kept
                .map(|(name, deployment)| (name.clone(), Arc::clone(deployment)))
                .into_iter()
                .collect(),
            ..Self::default()
        }
    }

    /// The deployments that are not there in `before`, or are written differently there. What their
    /// references lead to does not count.
    ///
    /// ```
    /// use gatepass_config::Config;
    /// let read = |url: &str| {
    ///     let text = format!("[deployments.churn]\nurl = \"{url}\"\nauthentication = \"none\"");
    ///     let registry = gatepass_core::Registry::builtin();
    ///     Config::from_toml(&text, "gatepass.toml".as_ref(), &registry).unwrap()
    /// };
    /// let before = read("https://models.example.com/1");
    /// assert_eq!(read("https://models.example.com/1").changed_since(&before).count(), 0);
    /// assert_eq!(read("https://models.example.com/2").changed_since(&before).count(), 1);
    /// ```
    pub fn changed_since(&self, before: &Self) -> impl Iterator<Item = &Arc<Deployment>> {
        let changed = |name: &str| self.written.get(name) != before.written.get(name);
        let all = self.deployments.values();
        all.filter(move |deployment| changed(deployment.name()))
    }

    /// What the `[gateway]` table says.
    #[must_use]
    pub fn gateway(&self) -> &GatewaySettings {
        &self.gateway
    }

    /// What was accepted with a doubt: names that had to be changed.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// A name that no deployment has.
///
/// ```
/// let error = gatepass_config::Config::default().deployment("churn").unwrap_err();
/// assert!(error.to_string().contains("no deployment is named \"churn\""));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownDeployment {
    name: String,
    near: Option<String>,
    known: Vec<String>,
}

impl fmt::Display for UnknownDeployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no deployment is named {:?}", self.name)?;
        match &self.near {
            Some(near) => write!(f, ": did you mean \"{near}\"?"),
            None => write!(f, " (defined: {})", self.known.join(", ")),
        }
    }
}

impl std::error::Error for UnknownDeployment {}

/// Collects deployments, and problems, over several files.
struct Reader<'a> {
    registry: &'a Registry,
    config: Config,
    defined_in: BTreeMap<String, PathBuf>,
    gateway_in: Option<PathBuf>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn new(registry: &'a Registry) -> Self {
        let defined_in = BTreeMap::new();
        Self {
            registry,
            config: Config::default(),
            defined_in,
            gateway_in: None,
            problems: Vec::new(),
        }
    }

    fn finish(self) -> Result<Config, ConfigError> {
        if self.problems.is_empty() {
            Ok(self.config)
        } else {
            Err(ConfigError::new(self.problems))
        }
    }

    fn file(&mut self, text: &str, file: &Path) {
        if file
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("json"))
        {
            self.json(text, file);
        } else {
            self.toml(text, file);
        }
    }

    fn toml(&mut self, text: &str, file: &Path) {
        let root = match toml_form::parse(text, file) {
            Ok(root) => root,
            Err(problems) => return self.problems.extend(problems),
        };
        for (key, node) in &root {
            let problem = |what: &str| {
                Problem::of_file(file, what)
                    .on_line(node.line)
                    .of_key(key, None)
            };
            if key == "gateway" {
                self.gateway(node, file);
                continue;
            }
            if key != "deployments" {
                self.problems.push(problem(
                    "is not a known table: deployments stand in [deployments.NAME]",
                ));
                continue;
            }
            let Some(deployments) = node.table() else {
                self.problems
                    .push(problem("must hold tables: write [deployments.NAME]"));
                continue;
            };
            for (name, node) in deployments {
                let problem = |what: &str| {
                    Problem::of_file(file, what)
                        .on_line(node.line)
                        .of_deployment(name)
                };
                let Some(table) = node.table() else {
                    self.problems
                        .push(problem("must be a table: write [deployments.NAME]"));
                    continue;
                };
                if !is_name(name) {
                    self.problems.push(problem(NAME_RULE));
                    continue;
                }
                let form = Form::Toml;
                self.define(&Definition {
                    name,
                    table,
                    form,
                    file,
                    line: node.line,
                    index: None,
                });
            }
        }
    }

    fn gateway(&mut self, node: &Node, file: &Path) {
        let problem = |what: String| {
            let problem = Problem::of_file(file, what).on_line(node.line);
            problem.of_key("gateway", None)
        };
        let Some(table) = node.table() else {
            let what = "must be a table: write [gateway]".to_owned();
            return self.problems.push(problem(what));
        };
        if let Some(first) = &self.gateway_in {
            let what = format!("stands in {} already: keep one", first.display());
            return self.problems.push(problem(what));
        }
        self.gateway_in = Some(file.to_owned());
        self.config.gateway = gateway::read(table, file, &mut self.problems);
    }

    fn json(&mut self, text: &str, file: &Path) {
        let objects = match json_form::parse(text, file) {
            Ok(objects) => objects,
            Err(problems) => return self.problems.extend(problems),
        };
        let mut folded_from: BTreeMap<String, String> = BTreeMap::new();
        for (index, table) in &objects {
            let problem = |what: &str| {
                Problem::of_file(file, what)
                    .at_index(*index)
                    .of_key("name", None)
            };
            let given = given_name(table);
            if given.is_none() && index.is_some() {
                let what = "is missing: in a list each deployment needs one";
                self.problems.push(problem(what));
                continue;
            }
            let written = given.unwrap_or_else(|| stem(file));
            let name = fold_name(written);
            if !is_name(&name) {
                self.problems.push(problem(NAME_RULE));
                continue;
            }
            if name != written {
                let warning = format!("{}: {written:?} is called \"{name}\" here", file.display());
                self.config.warnings.push(warning);
            }
            if let Some(other) = folded_from.insert(name.clone(), written.to_owned())
                && other != *written
            {
                self.problems.push(problem(
                    "becomes the same as another one's here: rename one",
                ));
                continue;
            }
            let form = Form::Json;
            self.define(&Definition {
                name: &name,
                table,
                form,
                file,
                line: None,
                index: *index,
            });
        }
    }

    fn define(&mut self, definition: &Definition<'_>) {
        let (name, file) = (definition.name.to_owned(), definition.file.to_owned());
        if let Some(first) = self.defined_in.get(&name) {
            let what = format!(
                "is defined already, in {}: rename or remove one",
                first.display()
            );
            let problem = Problem::of_file(&file, what);
            self.problems.push(
                problem
                    .on_line(definition.line)
                    .at_index(definition.index)
                    .of_deployment(&name),
            );
            return;
        }
        self.defined_in.insert(name.clone(), file);
        match definition.build(self.registry) {
            Ok(deployment) => {
                let digest = digest(definition);
                self.config.written.insert(name.clone(), digest);
                self.config.deployments.insert(name, Arc::new(deployment));
            }
            Err(problems) => self.problems.extend(problems),
        }
    }
}

/// Tells whether a definition was changed between two readings in this process.
fn digest(definition: &Definition<'_>) -> u64 {
    static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    let mut hasher = SEED.build_hasher();
    definition.table.hash(&mut hasher);
    definition.file.hash(&mut hasher);
    hasher.finish()
}

const NAME_RULE: &str = "is not a name for a deployment: use letters, digits, `.`, `_` and `-`, \
                         beginning with a letter or digit, 64 characters at most";

fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(is_name_character)
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// The name that a JSON definition gives itself.
fn given_name(table: &Table) -> Option<&str> {
    let (_, node) = find(table, "name")?;
    node.text().filter(|name| !name.is_empty())
}

fn stem(file: &Path) -> &str {
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    stem.unwrap_or("deployment")
}

/// The name of a JSON definition: its own, else the file's stem, folded.
pub(crate) fn json_name(table: &Table, file: &Path) -> String {
    fold_name(given_name(table).unwrap_or_else(|| stem(file)))
}

/// A free-text name as a deployment name: each other character becomes `-`.
fn fold_name(text: &str) -> String {
    text.chars()
        .map(|c| if is_name_character(c) { c } else { '-' })
        .collect()
}
