//! A JSON Schema of the configuration (draft 2020-12) for editors, generated from the tables.
//!
//! The schema says what a file may contain, not what it must contain: a destination's file has only some of the keys, so
//! none is required. Where a number or a boolean is expected, text with ERB in it is valid too, because its value is only
//! known after rendering. An editor may read YAML 1.2, in which `yes` is text, so the schema lists such words.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::describe::{A_DAY, Form, Keys, Like, Setting, Status};
use super::docs::unlinked;
use super::root;

pub fn text() -> String {
    // Serializing maps and texts can't fail.
    let mut text = serde_json::to_string_pretty(&schema()).unwrap_or_default();
    text.push('\n');
    text
}

pub fn schema() -> Value {
    let mut definitions = Definitions::default();
    let root = definitions.keys(&root::KEYS);
    let mut schema = Map::new();
    schema.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".into(), json!("Bowline's config/deploy.yml"));
    if let Value::Object(root) = root {
        schema.extend(root);
    }
    schema.insert("patternProperties".into(), json!({ "^x-": true }));
    let mut all = basics();
    all.extend(definitions.0);
    schema.insert("$defs".into(), Value::Object(all));
    Value::Object(schema)
}

/// The definitions of scalars.
fn basics() -> Map<String, Value> {
    let any_case = |word: &str| {
        let mut chars = word.chars();
        let first = chars.next().map(|c| c.to_uppercase().collect::<String>()).unwrap_or_default();
        [word.to_owned(), format!("{first}{}", chars.as_str()), word.to_uppercase()]
    };
    let words: Vec<String> = ["yes", "no", "on", "off"].into_iter().flat_map(any_case).collect();
    let definitions = [
        ("text", json!({ "type": ["string", "number", "boolean"] })),
        ("filled", json!({ "type": ["string", "number", "boolean"], "pattern": "\\S" })),
        ("erb", json!({ "type": "string", "pattern": "<%" })),
        (
            "boolean",
            json!({ "anyOf": [{ "type": "boolean" }, { "enum": words }, { "$ref": "#/$defs/erb" }] }),
        ),
        (
            "credential",
            json!({ "anyOf": [
            { "$ref": "#/$defs/filled" },
            { "type": "array", "items": { "$ref": "#/$defs/filled" }, "minItems": 1, "maxItems": 1 },
        ] }),
        ),
    ];
    definitions.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

#[derive(Default)]
struct Definitions(BTreeMap<String, Value>);

impl Definitions {
    fn keys(&mut self, keys: &'static Keys) -> Value {
        let mut properties = Map::new();
        for setting in keys.settings {
            properties.insert(setting.name.into(), self.setting(keys, setting));
        }
        json!({ "type": "object", "properties": properties, "additionalProperties": false })
    }

    fn setting(&mut self, keys: &Keys, setting: &'static Setting) -> Value {
        let mut schema = match self.form(&setting.form) {
            Value::Object(schema) => schema,
            refused => return refused,
        };
        let mut description = plain(setting.what);
        match keys.status_of(setting) {
            Status::Works => {}
            Status::NoEffect(_) => description.push_str(" (ignored)"),
            Status::NotYet(_) => description.push_str(" (not implemented yet)"),
        }
        schema.insert("description".into(), json!(description));
        Value::Object(schema)
    }

    /// A reference to a section. A variant that refuses some keys has its own name.
    fn section(&mut self, keys: &'static Keys) -> Value {
        let refused = keys.settings.iter().any(|setting| matches!(setting.form, Form::Refused(_)));
        let name = format!("{}{}", keys.path.replace('/', "."), if refused { ".nested" } else { "" });
        if !self.0.contains_key(&name) {
            self.0.insert(name.clone(), Value::Null);
            let schema = self.keys(keys);
            self.0.insert(name.clone(), schema);
        }
        json!({ "$ref": format!("#/$defs/{name}") })
    }

    fn form(&mut self, form: &'static Form) -> Value {
        match form {
            Form::Text => reference("text"),
            Form::Filled | Form::Usual(_) => reference("filled"),
            Form::Credential => reference("credential"),
            Form::Boolean => reference("boolean"),
            Form::Nothing => json!({ "type": "null" }),
            Form::False => json!({ "enum": [false, "no", "No", "NO", "off", "Off", "OFF"] }),
            Form::Like(like) => self::like(like, true),
            Form::Word(words) => {
                let symbols = words.iter().map(|word| format!(":{word}"));
                let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).chain(symbols).collect();
                json!({ "anyOf": [{ "enum": words }, { "$ref": "#/$defs/erb" }] })
            }
            Form::Integer(least, most) => integer(*least, *most),
            Form::Seconds(least) => integer(*least, A_DAY),
            Form::Port => integer(1, 65535),
            Form::List(form) => json!({ "type": "array", "items": self.form(form) }),
            Form::Map(_, form) => json!({ "type": "object", "additionalProperties": self.form(form) }),
            Form::One(_, form) => json!({
                "type": "object",
                "additionalProperties": self.form(form),
                "minProperties": 1,
                "maxProperties": 1,
            }),
            Form::Keys(keys) => self.section(keys),
            Form::KeysOr(keys, other) => self.keys_or(keys, other),
            Form::Either(forms) => {
                // A number has its own bounds here, so an unquoted one must not pass as text.
                let numbers = forms.iter().any(|form| matches!(form, Form::Integer(..) | Form::Port));
                let forms = forms.iter().filter(|form| !matches!(form, Form::Refused(_)));
                let schema = |form: &'static Form| match form {
                    Form::Like(like) => self::like(like, !numbers),
                    form => self.form(form),
                };
                let forms: Vec<Value> = forms.map(schema).collect();
                match <[Value; 1]>::try_from(forms) {
                    Ok([only]) => only,
                    Err(forms) => json!({ "anyOf": forms }),
                }
            }
            Form::Refused(_) => Value::Bool(false),
        }
    }

    /// Checks the known keys if the map has one of them. The errors are then about these keys and not about the other
    /// form.
    fn keys_or(&mut self, keys: &'static Keys, other: &'static Form) -> Value {
        let known: Vec<Value> =
            keys.settings.iter().map(|setting| json!({ "required": [setting.name] })).collect();
        let (section, other) = (self.section(keys), self.form(other));
        json!({ "if": { "type": "object", "anyOf": known }, "then": section, "else": other })
    }
}

/// Text that matches a pattern. `numbers` accepts an unquoted number too.
fn like(like: &Like, numbers: bool) -> Value {
    let types = if numbers { json!(["string", "number"]) } else { json!("string") };
    json!({ "anyOf": [{ "type": types, "pattern": like.pattern }, { "$ref": "#/$defs/erb" }] })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn integer(least: i64, most: i64) -> Value {
    let mut bounds = Map::new();
    bounds.insert("type".into(), json!("integer"));
    if least != i64::MIN {
        bounds.insert("minimum".into(), json!(least));
    }
    if most != i64::MAX {
        bounds.insert("maximum".into(), json!(most));
    }
    // Integers that YAML 1.1 reads and YAML 1.2 doesn't: `40_000`, `0b11`.
    let other = json!({ "type": "string", "pattern": "^[-+]?(0b[01_]+|[0-9]+[_,][0-9_,]*)$" });
    json!({ "anyOf": [bounds, other, { "$ref": "#/$defs/erb" }] })
}

/// Removes links and backticks from Markdown, for a tooltip.
fn plain(text: &str) -> String {
    unlinked(text).replace("``", "").replace('`', "")
}
