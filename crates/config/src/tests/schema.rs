//! The schema and the loader accept and reject the same values.

use serde_json::{Map, Value};

use super::super::describe::{Form, Setting};
use super::super::schema::schema;
use super::super::source::{Node, NodeKind, Plain, parse};
use super::keys::{all, document, refused};

/// Reads a file as an editor does: with YAML 1.1 if `old`, or with 1.2, which knows fewer words and numbers.
fn json(node: &Node, old: bool) -> Value {
    match &node.kind {
        NodeKind::Map(entries) => {
            let entry = |(key, node): &(super::super::source::Key, Node)| (key.text.clone(), json(node, old));
            Value::Object(entries.iter().map(entry).collect::<Map<_, _>>())
        }
        NodeKind::List(items) => items.iter().map(|item| json(item, old)).collect(),
        NodeKind::Null | NodeKind::Wrong => Value::Null,
        NodeKind::Scalar(scalar) => match scalar.read() {
            Some(Plain::Boolean(value)) if old || ["true", "false"].contains(&scalar.text.as_str()) => {
                value.into()
            }
            Some(Plain::Integer(Some(value))) if old || scalar.text.parse::<i64>().is_ok() => value.into(),
            Some(Plain::Float) => scalar.text.parse::<f64>().map_or(Value::Null, Into::into),
            _ => scalar.text.clone().into(),
        },
    }
}

/// A validator for the part of draft 2020-12 that the schema uses. It panics if it finds an unknown keyword.
pub(super) struct Validator {
    root: Value,
}

impl Validator {
    pub(super) fn new() -> Self {
        Self { root: schema() }
    }

    pub(super) fn takes(&self, text: &str, old: bool) -> bool {
        let node = parse(0, text, &mut Vec::new()).unwrap();
        self.fits(&self.root, &json(&node, old))
    }

    fn fits(&self, schema: &Value, value: &Value) -> bool {
        let keywords = match schema {
            Value::Bool(always) => return *always,
            Value::Object(keywords) => keywords,
            other => panic!("no schema: {other}"),
        };
        keywords.iter().all(|(keyword, schema)| match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "then" | "else" => true,
            "$ref" => {
                let path = schema.as_str().unwrap().strip_prefix('#').unwrap();
                self.fits(self.root.pointer(path).unwrap_or_else(|| panic!("{path}")), value)
            }
            "type" => match schema {
                Value::Array(types) => types.iter().any(|name| is(name, value)),
                name => is(name, value),
            },
            "enum" => schema.as_array().unwrap().contains(value),
            "pattern" => value.as_str().is_none_or(|text| matches(schema, text)),
            "minimum" => value.as_i64().is_none_or(|number| number >= schema.as_i64().unwrap()),
            "maximum" => value.as_i64().is_none_or(|number| number <= schema.as_i64().unwrap()),
            "anyOf" => schema.as_array().unwrap().iter().any(|schema| self.fits(schema, value)),
            "if" => match self.fits(schema, value) {
                true => self.fits(&keywords["then"], value),
                false => self.fits(&keywords["else"], value),
            },
            "items" => value.as_array().is_none_or(|items| items.iter().all(|item| self.fits(schema, item))),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= schema.as_u64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= schema.as_u64().unwrap()),
            "minProperties" => {
                value.as_object().is_none_or(|map| map.len() as u64 >= schema.as_u64().unwrap())
            }
            "maxProperties" => {
                value.as_object().is_none_or(|map| map.len() as u64 <= schema.as_u64().unwrap())
            }
            "required" => {
                let there = |name: &Value| value.get(name.as_str().unwrap()).is_some();
                !value.is_object() || schema.as_array().unwrap().iter().all(there)
            }
            "properties" | "patternProperties" | "additionalProperties" => self.properties(keywords, value),
            other => panic!("the keyword {other}"),
        })
    }

    fn properties(&self, keywords: &Map<String, Value>, value: &Value) -> bool {
        let Value::Object(map) = value else { return true };
        map.iter().all(|(name, value)| {
            let named = keywords.get("properties").and_then(|properties| properties.get(name));
            let patterns = keywords.get("patternProperties").and_then(Value::as_object).into_iter().flatten();
            let mut by_pattern =
                patterns.filter(|(pattern, _)| matches(&Value::from(pattern.as_str()), name));
            match (named, by_pattern.next(), keywords.get("additionalProperties")) {
                (Some(schema), _, _) | (None, Some((_, schema)), _) => self.fits(schema, value),
                (None, None, Some(schema)) => self.fits(schema, value),
                (None, None, None) => true,
            }
        })
    }
}

fn is(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the type {other}"),
    }
}

fn matches(pattern: &Value, text: &str) -> bool {
    regex_lite::Regex::new(pattern.as_str().unwrap()).unwrap().is_match(text)
}

#[test]
fn what_the_loader_takes_the_schema_takes() {
    let validator = Validator::new();
    for (path, _, setting) in all() {
        for value in setting.values().into_iter().chain(more(setting)) {
            let text = document(&path, setting.name, &value);
            assert!(super::read(&text).is_ok(), "{text}");
            for old in [true, false] {
                assert!(validator.takes(&text, old), "{text}");
            }
        }
    }
}

/// Other spellings of the same values.
fn more(setting: &Setting) -> Vec<String> {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    match &setting.form {
        Form::Boolean if setting.name != "require_destination" => texts(&["yes", "No", "ON", "off"]),
        Form::Integer(..) => texts(&["1_0", "0b11"]),
        Form::Word(words) => words.iter().map(|word| format!(":{word}")).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn what_the_loader_refuses_the_schema_refuses() {
    let validator = Validator::new();
    for (path, _, setting) in all() {
        for (text, _) in refused(&path, setting) {
            assert!(!validator.takes(&text, true), "{text}");
        }
    }
}

#[test]
fn a_file_as_an_editor_sees_it() {
    let validator = Validator::new();
    for text in [
        "# of a destination\nservers: [h]\n",
        "x-anything: {a: [1]}\n",
        "retain_containers: <%= ENV[\"N\"] %>\nrequire_destination: \"<%= true %>\"\n",
        "{}",
    ] {
        assert!(validator.takes(text, false), "{text}");
    }
    for text in [
        "servies: x\n",
        "ssh: {x-a: 1}\n",
        "servers: {web: {hosts: [h], env: {tags: {a: {B: c}}}}}\n",
        "servers: [{a: b, c: d}]\n",
        "registry: {password: [A, B]}\n",
        "env: {secret: NAME}\n",
    ] {
        assert!(!validator.takes(text, false), "{text}");
    }
}
