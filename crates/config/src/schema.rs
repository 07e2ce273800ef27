//! The TOML form as a JSON Schema, for editors.

use gatepass_core::{KeyKind, KeySpec, MethodFactory, Registry};
use serde_json::{Map, Value, json};

use crate::keys::{CHECK_KEYS, SHARED_KEYS, TABLE_KEYS};

/// The TOML form as a JSON Schema (draft 7, which editors of TOML read).
///
/// ```
/// let schema = gatepass_config::schema(&gatepass_core::Registry::builtin());
/// assert_eq!(schema["properties"]["deployments"]["type"], "object");
/// ```
#[must_use]
pub fn schema(registry: &Registry) -> Value {
    let flat = registry
        .factories()
        .map(|factory| deployment(Some(factory)));
    let forms: Vec<Value> = flat.chain([deployment(None)]).collect();
    let methods: Vec<Value> = registry.factories().map(method).collect();
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Gatepass configuration",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "gateway": gateway(),
            "deployments": {
                "type": "object",
                "description": "externally hosted models, by name",
                "propertyNames": { "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" },
                "additionalProperties": { "oneOf": forms },
            }
        },
        "definitions": {
            "secret": secret(),
            "method": { "oneOf": methods },
        },
    })
}

fn gateway() -> Value {
    let text = || json!({ "type": "string" });
    let texts = || json!({ "type": "array", "items": { "type": "string" } });
    json!({
        "type": "object",
        "description": "where `gatepass serve` listens, and who may call what",
        "additionalProperties": false,
        "properties": {
            "listen": text(),
            "admin": text(),
            "threads": { "type": "integer", "minimum": 1, "maximum": 1024 },
            "tls_cert": text(),
            "tls_key": text(),
            "hosts": texts(),
            "access_log": { "enum": ["off", "json", "text"] },
            "keys": {
                "type": "array",
                "items": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["name", "sha256"],
                    "properties": {
                        "name": text(),
                        "sha256": { "type": "string", "pattern": "^[0-9A-Fa-f]{64}$" },
                        "deployments": texts(),
                        "expires": { "type": "string", "format": "date-time" },
                    },
                },
            },
        },
    })
}

/// A deployment with the flat keys of this method; without one, with `auth` tables.
fn deployment(factory: Option<&dyn MethodFactory>) -> Value {
    let mut properties = Map::new();
    for spec in SHARED_KEYS {
        add(&mut properties, spec);
    }
    for (name, meaning) in TABLE_KEYS {
        properties.insert((*name).to_owned(), table(name, meaning));
    }
    let mut needs =
        vec![json!({ "anyOf": [{ "required": ["url"] }, { "required": ["base_url"] }] })];
    if let Some(factory) = factory {
        properties.remove("auth");
        properties.insert("authentication".to_owned(), tag(factory));
        for spec in factory.keys() {
            add(&mut properties, spec);
        }
        needs.push(json!({ "required": ["authentication"] }));
        needs.extend(required(factory));
    } else {
        properties.remove("authentication");
        needs.push(json!({ "required": ["auth"] }));
    }
    json!({
        "title": factory.map_or("several methods", MethodFactory::tag),
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "allOf": needs,
    })
}

/// One method in an `auth` table of its own.
fn method(factory: &dyn MethodFactory) -> Value {
    let mut properties = Map::new();
    properties.insert("authentication".to_owned(), tag(factory));
    for spec in factory.keys() {
        add(&mut properties, spec);
    }
    let mut needs = vec![json!({ "required": ["authentication"] })];
    needs.extend(required(factory));
    json!({
        "title": factory.tag(),
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "allOf": needs,
    })
}

fn tag(factory: &dyn MethodFactory) -> Value {
    json!({ "const": factory.tag(), "description": factory.about() })
}

/// A required key under either of its names, and no key under both.
fn required(factory: &dyn MethodFactory) -> impl Iterator<Item = Value> {
    factory.keys().iter().filter_map(|spec| {
        if !spec.unless().is_empty() {
            return Some(unless(spec));
        }
        let either = spec
            .alias_name()
            .map(|alias| json!([{ "required": [spec.name()] }, { "required": [alias] }]));
        match (spec.is_required(), either) {
            (true, Some(either)) => Some(json!({ "oneOf": either })),
            (true, None) => Some(json!({ "required": [spec.name()] })),
            (false, _) => None,
        }
    })
}

/// A key under either of its names, or one of those that excuse it.
fn unless(spec: &KeySpec) -> Value {
    let names = [Some(spec.name()), spec.alias_name()];
    let mut any: Vec<Value> = names
        .into_iter()
        .flatten()
        .map(|name| json!({ "required": [name] }))
        .collect();
    for (other, text) in spec.unless() {
        any.push(if text.is_empty() {
            json!({ "required": [other] })
        } else {
            json!({ "required": [other], "properties": { *other: { "const": text } } })
        });
    }
    json!({ "anyOf": any })
}

fn add(properties: &mut Map<String, Value>, spec: &KeySpec) {
    let mut value = kind(spec);
    let mut meaning = spec.meaning().to_owned();
    if let Some(default) = spec.default_value() {
        meaning.push_str(&format!(" (default: {default})"));
    }
    value["description"] = meaning.into();
    for name in [Some(spec.name()), spec.alias_name()].into_iter().flatten() {
        properties.insert(name.to_owned(), value.clone());
    }
}

fn kind(spec: &KeySpec) -> Value {
    if !spec.allowed().is_empty() {
        return json!({ "enum": spec.allowed() });
    }
    match spec.kind() {
        KeyKind::Secret => json!({ "allOf": [{ "$ref": "#/definitions/secret" }] }),
        KeyKind::Boolean => json!({ "type": "boolean" }),
        KeyKind::Seconds => {
            json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 31_536_000 })
        }
        KeyKind::Bytes => json!({ "type": "integer", "minimum": 0 }),
        KeyKind::Count => json!({ "type": "integer", "minimum": 1 }),
        KeyKind::TextList => json!({ "type": "array", "items": { "type": "string" } }),
        KeyKind::SecretTable => {
            json!({ "type": "object", "additionalProperties": { "$ref": "#/definitions/secret" } })
        }
        KeyKind::TextTable => {
            json!({ "type": "object", "additionalProperties": { "type": "string" } })
        }
        _ => json!({ "type": "string" }),
    }
}

fn table(name: &str, meaning: &str) -> Value {
    let mut value = match name {
        "headers" => json!({
            "type": "object",
            "additionalProperties": { "$ref": "#/definitions/secret" },
        }),
        "auth" => json!({
            "type": "array",
            "minItems": 1,
            "items": { "$ref": "#/definitions/method" },
        }),
        _ => {
            let mut properties = Map::new();
            for spec in CHECK_KEYS {
                add(&mut properties, spec);
            }
            json!({ "type": "object", "additionalProperties": false, "properties": properties })
        }
    };
    value["description"] = meaning.into();
    value
}

/// Text, or where it comes from.
fn secret() -> Value {
    let reference = |kind: &str, value: Value| {
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": [kind],
            "properties": { kind: value },
        })
    };
    let text = json!({ "type": "string", "minLength": 1 });
    json!({
        "description": "text, or where it comes from: { env = \"NAME\" }, { file = \"PATH\" } or { command = [\"PROGRAM\", ..] }",
        "oneOf": [
            { "type": "string" },
            reference("env", text.clone()),
            reference("file", text.clone()),
            reference("command", json!({ "type": "array", "minItems": 1, "items": text })),
        ],
    })
}
