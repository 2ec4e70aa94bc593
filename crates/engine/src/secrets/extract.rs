//! `secrets extract`: one value from the output of `secrets fetch`.

use bowline_config::secret::Secret;

use super::json::Object;
use super::trouble::Trouble;

/// The value of this key, or else of the first key that ends in `/NAME`.
pub fn extract(name: &str, json: &str) -> Result<Secret, Trouble> {
    let Ok(Object(entries)) = serde_json::from_str::<Object>(json.trim()) else {
        return Err(Trouble::usage(format!("{name} can't be extracted: the input isn't a JSON object"))
            .hint("pass the output of `secrets fetch`, in quotes"));
    };
    let set = |(key, value): &(String, super::json::Text)| value.0.clone().map(|value| (key.clone(), value));
    let entries: Vec<(String, Secret)> = entries.iter().filter_map(set).collect();
    let suffix = format!("/{name}");
    let exact = entries.iter().rfind(|(key, _)| key == name);
    match exact.or_else(|| entries.iter().find(|(key, _)| key.ends_with(&suffix))) {
        Some((_, value)) => Ok(value.clone()),
        None => {
            let names: Vec<&str> = entries.iter().map(|(key, _)| key.as_str()).collect();
            let there = if names.is_empty() {
                "nothing was fetched".into()
            } else {
                format!("fetched: {}", names.join(", "))
            };
            Err(Trouble::failed(format!("secret `{name}` was not fetched")).hint(there))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_itself_or_the_first_that_ends_in_it() {
        let cases = [
            ("A", r#"{"x/A":"1","A":"2"}"#, "2"),
            ("A", r#"{"x/yA":"1","x/A":"3","z/A":"4"}"#, "3"),
            ("x/A", r#"{"q/x/A":"3"}"#, "3"),
            ("A", r#" {"A":"a\nb\"\\é"} "#, "a\nb\"\\é"),
            ("A", r#"{"A":5}"#, "5"),
            ("A", r#"{"A":{"b": 1}}"#, r#"{"b":1}"#),
            ("A", r#"{"A":"1","A":"2"}"#, "2"),
            ("A", r#"{"A":null,"x/A":"1"}"#, "1"),
        ];
        for (name, json, value) in cases {
            assert_eq!(extract(name, json), Ok(Secret::new(value)), "{json}");
        }
    }

    #[test]
    fn a_name_that_is_not_there_is_told_with_those_that_are() {
        let error = extract("N", r#"{"x/A":"hunter2","B":"hunter2","C":null}"#).unwrap_err();
        assert_eq!(error.message, "secret `N` was not fetched");
        assert_eq!(error.hint.as_deref(), Some("fetched: x/A, B"));
        assert!(extract("N", "hunter2").unwrap_err().is_usage());
        assert!(!format!("{:?}", extract("N", "[\"hunter2\"]")).contains("hunter2"));
    }
}
