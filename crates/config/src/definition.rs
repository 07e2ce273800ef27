//! One deployment, checked key by key against what its method declares.

use std::path::{Path, PathBuf};

use gatepass_core::{
    BuildContext, Deployment, Endpoint, ExtraHeaders, KeyKind, KeySpec, MethodFactory, Probe,
    Registry, SettingProblem, Settings, SharedMethod, TransportSettings, Value, header,
};

use crate::keys::{CHECK_KEYS, SHARED_KEYS, is_table_key};
use crate::problem::Problem;
use crate::reach::limits;
use crate::sources::source_of;
use crate::tree::{Node, Table, Tree};

/// The longest time a limit may have: a year, in seconds.
const MAX_SECONDS: f64 = 31_536_000.0;

/// Which form a definition is written in: TOML is strict, the wire JSON tolerates what others emit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Toml,
    Json,
}

/// A definition and where it stands.
pub(crate) struct Definition<'a> {
    pub(crate) name: &'a str,
    pub(crate) table: &'a Table,
    pub(crate) form: Form,
    pub(crate) file: &'a Path,
    pub(crate) line: Option<usize>,
    pub(crate) index: Option<usize>,
}

impl Definition<'_> {
    /// Checks everything and makes the deployment.
    pub(crate) fn build(&self, registry: &Registry) -> Result<Deployment, Vec<Problem>> {
        let mut problems = Vec::new();
        if let Some(hint) = self.dotted_name() {
            return Err(vec![hint]);
        }
        let shared = self.values(self.table, SHARED_KEYS, &mut problems);
        let transport = self.transport(&shared, &mut problems);
        let text = |key| shared.optional_text(key);
        // A URL that is there but no text has its problem already: it is not missing as well.
        let unreadable = problems.iter().any(|problem| {
            let of_key = problem.key().and_then(|key| shared_spec(key, self.form));
            of_key.is_some_and(|spec| matches!(spec.name(), "url" | "base_url"))
        });
        let parsed = Endpoint::parse(text("url"), text("base_url"), transport.allow_insecure_http);
        let endpoint = match parsed {
            Ok(endpoint) => Some(endpoint),
            Err(_) if unreadable => None,
            Err(found) => {
                problems.extend(self.explain(self.table, SHARED_KEYS, found));
                None
            }
        };
        let probe = self.probe(&mut problems);
        let mut methods = self.extra_headers(&mut problems);
        methods.extend(self.methods(registry, endpoint.as_ref(), &transport, &mut problems));
        let Some(endpoint) = endpoint.filter(|_| problems.is_empty()) else {
            problems.sort_by_key(Problem::line);
            return Err(problems);
        };
        Deployment::new(self.name, endpoint, methods)
            .map(|deployment| {
                deployment
                    .with_transport(transport)
                    .with_limits(limits(&shared))
                    .with_probe(probe)
                    .with_tags(self.tags(registry))
            })
            .map_err(|error| {
                let message = error.to_string();
                let bare = message
                    .split_once("\": ")
                    .map_or(message.as_str(), |(_, bare)| bare);
                vec![self.problem(self.line, bare)]
            })
    }

    /// `[deployments.gpt-4.1]` is a table in a table: TOML reads the dot as a step down.
    fn dotted_name(&self) -> Option<Problem> {
        let known =
            |key: &str| is_table_key(key) || SHARED_KEYS.iter().any(|spec| spec.is_named(key));
        let [(key, inner)] = self.table.as_slice() else {
            return None;
        };
        if self.form == Form::Json || known(key) {
            return None;
        }
        inner
            .table()
            .filter(|inner| inner.iter().any(|(key, _)| known(key)))?;
        let message = format!(
            "has a dot in its name, which TOML reads as a step down: write [deployments.\"{}.{key}\"]",
            self.name
        );
        Some(self.problem(inner.line, message))
    }

    fn methods(
        &self,
        registry: &Registry,
        endpoint: Option<&Endpoint>,
        transport: &TransportSettings,
        problems: &mut Vec<Problem>,
    ) -> Vec<SharedMethod> {
        let flat = find(self.table, "authentication");
        let Some((_, several)) = find(self.table, "auth") else {
            let table: Table = self
                .table
                .iter()
                .filter(|(key, _)| !is_table_key(key))
                .cloned()
                .collect();
            return self
                .method(&table, true, registry, endpoint, transport, problems)
                .into_iter()
                .collect();
        };
        if let Some((_, node)) = flat {
            let what = "stands beside `[[auth]]` tables: keep one of the two forms";
            problems.push(self.problem(node.line, what).of_key("authentication", None));
        }
        // Whatever is neither shared nor a table belongs into one of the tables.
        for (key, node) in self.table {
            // The JSON form tolerates keys of other tools, and its own name.
            let foreign = self.form == Form::Json
                && (is_blank(node)
                    || !registry.factories().any(|factory| {
                        factory
                            .keys()
                            .iter()
                            .any(|spec| names(spec, key, self.form))
                    }));
            if !foreign && !is_table_key(key) && shared_spec(key, self.form).is_none() {
                let what = "stands beside `[[auth]]` tables: move it into the one it belongs to";
                problems.push(self.problem(node.line, what).of_key(key, None));
            }
        }
        let Tree::List(items) = &several.value else {
            let what = "must be a list of tables: write [[deployments.NAME.auth]]";
            problems.push(self.problem(several.line, what).of_key("auth", None));
            return Vec::new();
        };
        let mut methods = Vec::new();
        for item in items {
            match item.table() {
                Some(table) => {
                    methods
                        .extend(self.method(table, false, registry, endpoint, transport, problems));
                }
                None => {
                    let what = "must be a list of tables";
                    problems.push(self.problem(item.line, what).of_key("auth", None));
                }
            }
        }
        methods
    }

    /// One method: from the flat keys of the deployment (which has shared keys too), or from a
    /// table of its own.
    fn method(
        &self,
        table: &Table,
        flat: bool,
        registry: &Registry,
        endpoint: Option<&Endpoint>,
        transport: &TransportSettings,
        problems: &mut Vec<Problem>,
    ) -> Option<SharedMethod> {
        let tags = || registry.tags().collect::<Vec<_>>().join(", ");
        let Some((_, node)) = find(table, "authentication") else {
            let what = format!("is missing: one of {}", tags());
            problems.push(self.problem(self.line, what).of_key("authentication", None));
            return None;
        };
        let tag = node.text().unwrap_or("");
        let Some(factory) = registry.factory(tag) else {
            let near = nearest(tag, registry.tags());
            let hint = near
                .map(|near| format!(", did you mean \"{near}\"?"))
                .unwrap_or_default();
            let what = format!(
                "is {tag:?}, which is not known here{hint} (known: {})",
                tags()
            );
            problems.push(self.problem(node.line, what).of_key("authentication", None));
            return None;
        };
        let before = problems.len();
        let own: Table = table
            .iter()
            .filter(|(key, _)| key != "authentication")
            .filter(|(key, _)| !flat || shared_spec(key, self.form).is_none())
            .filter(|(key, _)| !(flat && self.form == Form::Json && key == "name"))
            .cloned()
            .collect();
        let meant = self.unknown_keys(&own, factory, flat, registry, problems);
        let settings = self.values(&own, factory.keys(), problems);
        self.missing_keys(&own, factory, &meant, problems);
        if problems.len() > before {
            return None;
        }
        let context = BuildContext::new(self.name, endpoint.map(Endpoint::origin), transport);
        match factory.build(&settings, &context) {
            Ok(method) => Some(method),
            Err(found) => {
                problems.extend(self.explain(&own, factory.keys(), found));
                None
            }
        }
    }

    /// Returns the keys that were probably meant, so that they are not called missing as well.
    fn unknown_keys(
        &self,
        own: &Table,
        factory: &dyn MethodFactory,
        flat: bool,
        registry: &Registry,
        problems: &mut Vec<Problem>,
    ) -> Vec<&'static str> {
        let mut meant = Vec::new();
        for (key, node) in own {
            if factory
                .keys()
                .iter()
                .any(|spec| names(spec, key, self.form))
            {
                continue;
            }
            let tag = factory.tag();
            let elsewhere = registry
                .factories()
                .find(|other| other.keys().iter().any(|spec| names(spec, key, self.form)));
            match (self.form, elsewhere) {
                (Form::Json, _) if is_blank(node) => {}
                (Form::Json, None) => {
                    tracing::debug!(deployment = self.name, key, "ignored a key of another tool");
                }
                (_, Some(other)) => {
                    let what = format!(
                        "is not used by authentication = \"{tag}\" (\"{}\" takes it): remove it, or change the method",
                        other.tag()
                    );
                    problems.push(self.problem(node.line, what).of_key(key, None));
                }
                (Form::Toml, None) => {
                    let of_method = factory.keys().iter().map(KeySpec::name);
                    let shared = SHARED_KEYS.iter().map(KeySpec::name).filter(|_| flat);
                    let what = match nearest(key, of_method.chain(shared)) {
                        Some(near) => {
                            meant.push(near);
                            format!("is not a known key: did you mean `{near}`?")
                        }
                        None => {
                            format!("is not a known key of authentication = \"{tag}\": remove it")
                        }
                    };
                    problems.push(self.problem(node.line, what).of_key(key, None));
                }
            }
        }
        meant
    }

    fn missing_keys(
        &self,
        own: &Table,
        factory: &dyn MethodFactory,
        meant: &[&str],
        problems: &mut Vec<Problem>,
    ) {
        let required = factory.keys().iter().filter(|spec| spec.is_required());
        let excused = |spec: &KeySpec| {
            spec.unless().iter().any(|(other, text)| {
                let other = factory.keys().iter().find(|known| known.is_named(other));
                let found = other
                    .and_then(|other| own.iter().find(|(key, _)| names(other, key, self.form)));
                found.is_some_and(|(_, node)| {
                    !is_blank(node) && (text.is_empty() || node.text() == Some(text))
                })
            })
        };
        for spec in required.filter(|spec| !meant.contains(&spec.name()) && !excused(spec)) {
            let given = own.iter().any(|(key, node)| {
                names(spec, key, self.form) && !matches!(node.value, Tree::Null)
            });
            if !given {
                let what = format!(
                    "is missing: authentication = \"{}\" needs it",
                    factory.tag()
                );
                let key = self.written(spec);
                problems.push(
                    self.problem(self.line, what)
                        .of_key(key, Some(spec.meaning())),
                );
            }
        }
    }

    /// The name of a key as people write it in this form.
    fn written(&self, spec: &KeySpec) -> &'static str {
        match self.form {
            Form::Toml => spec.name(),
            Form::Json => spec
                .wire_name()
                .or(spec.alias_name())
                .unwrap_or(spec.name()),
        }
    }

    /// The values of the known keys of a table, by clear name.
    fn values(
        &self,
        table: &Table,
        specs: &'static [KeySpec],
        problems: &mut Vec<Problem>,
    ) -> Settings {
        let mut values = Vec::new();
        for spec in specs {
            let mut given = table.iter().filter(|(key, node)| {
                names(spec, key, self.form) && !self.counts_as_absent(spec, node)
            });
            let Some((key, node)) = given.next() else {
                continue;
            };
            if let Some((second, node)) = given.next() {
                let what = format!("means the same as `{key}`, which stands there too: keep one");
                problems.push(
                    self.problem(node.line, what)
                        .of_key(second, Some(spec.meaning())),
                );
                continue;
            }
            match self.value(spec.kind(), node) {
                Ok(value) => values.push((spec.name(), value)),
                Err(what) => {
                    problems.push(
                        self.problem(node.line, what)
                            .of_key(key, Some(spec.meaning())),
                    );
                }
            }
        }
        values.into_iter().collect()
    }

    /// In the wire JSON `null` is absent, and forms emit `""` for optional keys left blank.
    fn counts_as_absent(&self, spec: &KeySpec, node: &Node) -> bool {
        match self.form {
            Form::Toml => false,
            Form::Json => {
                matches!(node.value, Tree::Null) || (!spec.is_required() && is_blank(node))
            }
        }
    }

    fn value(&self, kind: KeyKind, node: &Node) -> Result<Value, String> {
        let wrong = |what: &str| Err(what.to_owned());
        match kind {
            KeyKind::Text => match &node.value {
                Tree::Text(text) => Ok(Value::Text(text.to_string())),
                Tree::Table(_) => {
                    wrong("must be text, written here: it is no secret and takes no reference")
                }
                _ => wrong("must be text"),
            },
            KeyKind::Secret => source_of(node, &self.directory()).map(Value::Secret),
            KeyKind::Boolean => match node.value {
                Tree::Boolean(value) => Ok(Value::Boolean(value)),
                _ => wrong("must be true or false"),
            },
            KeyKind::Seconds => match node.number() {
                Some(number) if number > 0.0 && number <= MAX_SECONDS => Ok(Value::Seconds(number)),
                _ => wrong("must be a number of seconds above 0 and at most a year"),
            },
            KeyKind::Bytes => match node.value {
                Tree::Integer(number) => u64::try_from(number)
                    .map(Value::Bytes)
                    .map_err(|_| "must be a whole number of bytes, 0 or above".to_owned()),
                _ => wrong("must be a whole number of bytes, 0 or above"),
            },
            KeyKind::Count => match node.value {
                Tree::Integer(number @ 1..) => Ok(Value::Count(number.unsigned_abs())),
                _ => wrong("must be a whole number above 0"),
            },
            KeyKind::TextList => match &node.value {
                Tree::List(items) => items
                    .iter()
                    .map(|item| item.text().map(str::to_owned))
                    .collect::<Option<Vec<_>>>()
                    .map(Value::TextList)
                    .ok_or_else(|| "must be a list of texts".to_owned()),
                _ => wrong("must be a list of texts"),
            },
            KeyKind::SecretTable => match &node.value {
                Tree::Table(items) => items
                    .iter()
                    .map(|(key, item)| Ok((key.clone(), source_of(item, &self.directory())?)))
                    .collect::<Result<Vec<_>, String>>()
                    .map(Value::SecretTable),
                _ => wrong("must be a table of texts or references"),
            },
            KeyKind::TextTable => match &node.value {
                Tree::Table(items) => items
                    .iter()
                    .map(|(key, item)| item.text().map(|text| (key.clone(), text.to_owned())))
                    .collect::<Option<Vec<_>>>()
                    .map(Value::TextTable)
                    .ok_or_else(|| "must be a table of texts".to_owned()),
                _ => wrong("must be a table of texts"),
            },
            _ => wrong("has a kind this version does not know"),
        }
    }

    fn extra_headers(&self, problems: &mut Vec<Problem>) -> Vec<SharedMethod> {
        let Some((_, node)) = find(self.table, "headers") else {
            return Vec::new();
        };
        let Some(table) = node.table() else {
            if self.form == Form::Toml {
                let what = "must be a table: write [deployments.NAME.headers]";
                problems.push(self.problem(node.line, what).of_key("headers", None));
            }
            return Vec::new();
        };
        let mut headers = Vec::new();
        for (key, node) in table {
            let made = header::name(key).map_err(str::to_owned).and_then(|name| {
                let source = source_of(node, &self.directory())?;
                if let Some(literal) = source.literal() {
                    header::check_value(literal.expose())?;
                }
                Ok((name, source))
            });
            match made {
                Ok(header) => headers.push(header),
                Err(what) => {
                    let key = format!("headers.{key}");
                    problems.push(self.problem(node.line, what).of_key(&key, None));
                }
            }
        }
        if headers.is_empty() {
            Vec::new()
        } else {
            vec![ExtraHeaders::method(headers)]
        }
    }

    fn probe(&self, problems: &mut Vec<Problem>) -> Probe {
        let mut probe = Probe::default();
        let Some((_, node)) = find(self.table, "check") else {
            return probe;
        };
        let Some(table) = node.table() else {
            if self.form == Form::Toml {
                let what =
                    "must be a table like { method = \"POST\", path = \"..\", body = \"..\" }";
                problems.push(self.problem(node.line, what).of_key("check", None));
            }
            return probe;
        };
        let mut wrong = |line, key: &str, what: &str| {
            let problem = self.problem(line, what);
            problems.push(problem.of_key(&format!("check.{key}"), None));
        };
        for (key, node) in table {
            if !CHECK_KEYS.iter().any(|spec| spec.name() == key) {
                wrong(node.line, key, "is not known: method, path and body are");
                continue;
            }
            let Some(text) = node.text() else {
                wrong(node.line, key, "must be text");
                continue;
            };
            match key.as_str() {
                "method" => match http::Method::from_bytes(text.as_bytes()) {
                    Ok(method) => probe.method = method,
                    Err(_) => wrong(node.line, key, "must be a method like \"POST\""),
                },
                "path" => text.clone_into(&mut probe.path),
                _ => probe.body = Some(text.to_owned()),
            }
        }
        probe
    }

    /// What its methods are called, in the order they stand in.
    fn tags(&self, registry: &Registry) -> Vec<&'static str> {
        let of = |table: &Table| {
            let tag = find(table, "authentication")?.1.text()?;
            registry.factory(tag).map(MethodFactory::tag)
        };
        match find(self.table, "auth").map(|(_, several)| &several.value) {
            Some(Tree::List(items)) => items
                .iter()
                .filter_map(Node::table)
                .filter_map(of)
                .collect(),
            _ => of(self.table).into_iter().collect(),
        }
    }

    /// Problems of a method or an endpoint, with the key as written, its line and its meaning.
    pub(crate) fn explain(
        &self,
        table: &Table,
        specs: &'static [KeySpec],
        found: Vec<SettingProblem>,
    ) -> Vec<Problem> {
        let one = |problem: SettingProblem| {
            let spec = specs.iter().find(|spec| spec.is_named(problem.key));
            let written = table
                .iter()
                .find(|(key, _)| spec.is_some_and(|spec| names(spec, key, self.form)));
            let line = written.map_or(self.line, |(_, node)| node.line);
            let key = match (written, spec) {
                (Some((key, _)), _) => key.as_str(),
                (None, Some(spec)) => self.written(spec),
                (None, None) => problem.key,
            };
            self.problem(line, problem.message)
                .of_key(key, spec.map(KeySpec::meaning))
        };
        found.into_iter().map(one).collect()
    }

    fn problem(&self, line: Option<usize>, message: impl Into<String>) -> Problem {
        Problem::of_file(self.file, message)
            .on_line(line)
            .at_index(self.index)
            .of_deployment(self.name)
    }

    /// Paths are meant relative to the file they are written in.
    pub(crate) fn directory(&self) -> PathBuf {
        self.file.parent().map(Path::to_owned).unwrap_or_default()
    }
}

pub(crate) fn find<'a>(table: &'a Table, key: &str) -> Option<&'a (String, Node)> {
    table.iter().find(|(name, _)| name == key)
}

fn shared_spec(key: &str, form: Form) -> Option<&'static KeySpec> {
    SHARED_KEYS.iter().find(|spec| names(spec, key, form))
}

pub(crate) fn names(spec: &KeySpec, key: &str, form: Form) -> bool {
    spec.is_named(key) || (form == Form::Json && spec.wire_name() == Some(key))
}

pub(crate) fn is_blank(node: &Node) -> bool {
    matches!(node.value, Tree::Null) || node.text() == Some("")
}

/// The known word a misspelt one is closest to, if it is close; `tokenURL` is close to `token_url`.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let fold = |text: &str| text.to_lowercase().replace(['_', '-'], "");
    let word = fold(word);
    known
        .map(|known| (strsim::damerau_levenshtein(&word, &fold(known)), known))
        .filter(|(distance, known)| *distance <= 1 + known.len() / 5)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}
