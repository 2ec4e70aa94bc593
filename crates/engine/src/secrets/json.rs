//! JSON from vaults. Objects keep their order, and values can have any type.

use std::fmt;

use bowline_config::secret::Secret;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::fetch::Fetched;

/// A value as text: a string's content, or compact JSON for other types. `None` for `null`.
#[derive(Debug, Clone, Default)]
pub(super) struct Text(pub(super) Option<Secret>);

/// An object that keeps the order of its entries.
pub(super) struct Object(pub(super) Vec<(String, Text)>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let text = raw.get();
        if text == "null" {
            return Ok(Self(None));
        }
        if text.starts_with('"') {
            return serde_json::from_str(text).map(|text: String| Self(Some(Secret::new(text)))).map_err(
                |_| {
                    // The library's own message would contain the text.
                    serde::de::Error::custom("a string can't be read")
                },
            );
        }
        Ok(Self(Some(Secret::new(without_blanks(text)))))
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Object(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

fn without_blanks(json: &str) -> String {
    let (mut out, mut in_string, mut escaped) = (String::with_capacity(json.len()), false, false);
    for c in json.chars() {
        if in_string || !c.is_ascii_whitespace() {
            out.push(c);
        }
        match c {
            '"' if !escaped => in_string = !in_string,
            _ => {}
        }
        escaped = in_string && c == '\\' && !escaped;
    }
    out
}

/// Fetched values as a JSON object, in order.
pub fn object(fetched: &Fetched) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let entries: Vec<String> =
        fetched.iter().map(|(name, value)| format!("{}:{}", quoted(name), quoted(value.expose()))).collect();
    format!("{{{}}}", entries.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_keep_their_order_and_values_become_texts() {
        let text = r#"{"z":"a\nb","a":1.50,"m":{"x": [1, " b\" c "], "y":null},"n":null,"t":true,"z":""}"#;
        let Object(entries) = serde_json::from_str(text).unwrap();
        let shown: Vec<(&str, Option<&str>)> =
            entries.iter().map(|(key, value)| (key.as_str(), value.0.as_ref().map(Secret::expose))).collect();
        assert_eq!(
            shown,
            [
                ("z", Some("a\nb")),
                ("a", Some("1.50")),
                ("m", Some(r#"{"x":[1," b\" c "],"y":null}"#)),
                ("n", None),
                ("t", Some("true")),
                ("z", Some("")),
            ]
        );
    }

    #[test]
    fn no_message_shows_a_value() {
        for text in [r#"{"a":"hunter2\x"}"#, r#"["hunter2"]"#, r#""hunter2""#, r#"{"a":hunter2}"#] {
            let error = serde_json::from_str::<Object>(text).err().unwrap().to_string();
            assert!(!error.contains("hunter2") || text.starts_with('"'), "{error}");
        }
    }

    #[test]
    fn what_was_fetched_is_written_in_its_order() {
        let fetched = vec![("b".into(), Secret::new("x\"\n\u{1}é")), ("a/b".into(), Secret::new(""))];
        assert_eq!(object(&fetched), "{\"b\":\"x\\\"\\n\\u0001é\",\"a/b\":\"\"}");
    }
}
