//! Every key of every section in the tables: valid values are accepted and shown, invalid ones are rejected.

use std::fmt::Write as _;

use super::super::describe::{Form, Keys, Setting, Status, sections};
use super::super::{root, show::show};
use super::*;

/// The other keys that a section needs to be valid.
fn company(path: &str) -> &'static [(&'static str, &'static str)] {
    let last = path.rsplit('/').next().unwrap_or_default();
    match (path, last) {
        ("", _) => &[
            ("service", "app"),
            ("image", "me/app"),
            ("servers", "{web: [10.0.0.1], jobs: [10.0.0.2]}"),
            ("registry", "{username: me, password: [PASSWORD]}"),
            ("env", "{tags: {fast: {X: 1}, slow: {X: 2}}}"),
        ],
        ("servers/ROLE", _) => &[("hosts", "[10.0.0.1: fast]")],
        ("accessories/NAME", _) => &[("image", "i"), ("host", "h")],
        (_, "registry") => &[("server", "r.io"), ("username", "me"), ("password", "[PASSWORD]")],
        (_, "files" | "directories") => &[("local", "a"), ("remote", "/a")],
        (_, "proxy") => &[("host", "a.example.com")],
        (_, "ssl") => &[("certificate_pem", "A"), ("private_key_pem", "B")],
        (_, "pack") => &[("builder", "b")],
        _ => &[],
    }
}

/// Keys that exclude each other.
const EXCLUSIVE: &[&[&str]] = &[
    &["host", "hosts", "role", "roles", "tag", "tags"],
    &["stop_timeout", "stop_wait_time"],
    &["env", "env_tags"],
];

/// A minimal file with `key: value` in the section at the path.
pub(super) fn document(path: &str, key: &str, value: &str) -> String {
    let mut text = String::new();
    let mut names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    names.push(key);
    let (mut section, mut indent, mut first) = (String::new(), String::new(), "");
    for (depth, name) in names.iter().enumerate() {
        let written = match *name {
            "ROLE" => "web",
            "NAME" => "db",
            "TAG" => "fast",
            name => name,
        };
        let last = depth + 1 == names.len();
        let value = if last { format!(" {value}") } else { String::new() };
        let excludes = |other: &str| {
            other == *name || EXCLUSIVE.iter().any(|group| group.contains(name) && group.contains(&other))
        };
        let mut beside: Vec<(&str, &str)> = company(&section).to_vec();
        if (section.as_str(), *name) == ("builder", "local") {
            beside.push(("remote", "ssh://b@h"));
        }
        if *name == "tls_staging" {
            beside.push(("ssl", "true"));
        }
        for (other, value) in beside.into_iter().filter(|(other, _)| !excludes(other)) {
            let _ = writeln!(text, "{indent}{first}{other}: {value}");
            first = if first.is_empty() { "" } else { "  " };
        }
        let _ = writeln!(text, "{indent}{first}{written}:{value}");
        indent.push_str("  ");
        if first == "  " {
            indent.push_str("  ");
        }
        first = if ["files", "directories"].contains(name) { "- " } else { "" };
        section = if section.is_empty() { (*name).to_owned() } else { format!("{section}/{name}") };
    }
    text
}

/// Every key at every place, except for those that are always refused.
pub(super) fn all() -> impl Iterator<Item = (String, &'static Keys, &'static Setting)> {
    sections(&root::KEYS).into_iter().flat_map(|(path, keys)| {
        let settings = keys.settings.iter().filter(|setting| !matches!(setting.form, Form::Refused(_)));
        settings.map(move |setting| (path.clone(), keys, setting)).collect::<Vec<_>>()
    })
}

/// Keys that only change checks, and so aren't shown.
const CHECKS: &[&str] = &["allow_empty_roles", "require_destination"];

#[test]
fn every_key_is_taken_and_shown() {
    for (path, keys, setting) in all() {
        let mut shown = Vec::new();
        let examples = setting.values();
        assert!(!examples.is_empty(), "{path} {} needs examples", setting.name);
        for example in &examples {
            let text = document(&path, setting.name, example);
            let loaded = read(&text).unwrap_or_else(|errors| panic!("{text}\n{errors}"));
            shown.push(show(&loaded.config));
        }
        if matches!(keys.status_of(setting), Status::NoEffect(_)) || CHECKS.contains(&setting.name) {
            continue;
        }
        let base = document(&path, "x-nothing", "0");
        let base = match read(&base.replace("x-nothing: 0", "")) {
            Ok(loaded) => show(&loaded.config),
            // The file is invalid without the key, so the key has an effect.
            Err(_) => continue,
        };
        assert!(
            shown.iter().any(|shown| *shown != base),
            "{path} {}: {examples:?} leave no trace",
            setting.name
        );
    }
}

/// Values of the wrong type for a form, and values that are out of its bounds.
fn wrong(form: &Form) -> Vec<String> {
    let scalar = |more: &[&str]| {
        let mut values: Vec<String> = more.iter().map(|value| (*value).to_owned()).collect();
        values.insert(0, "[a]".into());
        values
    };
    let slipped = |word: &str| {
        let (start, end) = word.split_at(word.len() / 2);
        format!("{start}{}", end.get(1..).unwrap_or_default())
    };
    match form {
        Form::Text => scalar(&["~"]),
        Form::Filled | Form::Usual(_) => scalar(&["\" \""]),
        Form::Like(like) => {
            let word = like.words.first().map(|word| slipped(word)).unwrap_or_else(|| "not this".into());
            scalar(&[&word])
        }
        Form::Word(words) => scalar(&[&slipped(words[0]), "other"]),
        Form::Nothing => vec!["text".into()],
        Form::Boolean | Form::False => scalar(&["maybe", "\"true\""]),
        Form::Integer(i64::MIN, i64::MAX) => scalar(&["\"1\""]),
        Form::Integer(least, i64::MAX) => scalar(&[&(least - 1).to_string(), "\"1\""]),
        Form::Integer(least, most) => scalar(&[&(least - 1).to_string(), &(most + 1).to_string(), "\"2\""]),
        Form::Seconds(least) => scalar(&[&(least - 1).to_string(), "100000", "1.5", "10s"]),
        Form::Port => scalar(&["0", "70000", "\"80\""]),
        Form::Credential => vec!["{a: b}".into(), "[A, B]".into(), "\"\"".into()],
        Form::List(item) => {
            let item = wrong(item).into_iter().next().map(|item| format!("[{item}]"));
            ["text".into(), "{a: b}".into()].into_iter().chain(item).collect()
        }
        Form::Map(_, value) | Form::One(_, value) => {
            let value = wrong(value).into_iter().next().map(|value| format!("{{a: {value}}}"));
            ["text".into(), "[a]".into()].into_iter().chain(value).collect()
        }
        Form::Keys(_) => vec!["text".into(), "[a]".into(), "{nonsense: 1}".into()],
        Form::KeysOr(_, other) => wrong(other),
        // A value that is wrong for one form may be right for another. The caller skips those.
        Form::Either(forms) => {
            let nothing = forms.iter().any(|form| matches!(form, Form::Nothing));
            let mut values = vec![if nothing { "{a: b}".to_owned() } else { "~".to_owned() }];
            for value in forms.iter().flat_map(wrong) {
                if !values.contains(&value) {
                    values.push(value);
                }
            }
            values
        }
        Form::Refused(_) => Vec::new(),
    }
}

/// The wrong values for a key at a place: each file, and the errors about it.
pub(super) fn refused(path: &str, setting: &Setting) -> Vec<(String, String)> {
    let mut refused = Vec::new();
    for value in wrong(&setting.form) {
        let text = document(path, setting.name, &value);
        match read(&text) {
            Ok(_) if matches!(setting.form, Form::Either(_)) && value != "~" => {}
            Ok(loaded) => panic!("accepted:\n{text}\n{}", loaded.warnings),
            Err(errors) => refused.push((text, errors.render(false))),
        }
    }
    refused
}

/// One snapshot for each part of the configuration.
#[test]
fn every_key_refuses_what_it_does_not_take() {
    let mut told: Vec<(String, String)> = Vec::new();
    for (path, keys, setting) in all() {
        // Only the first place of a section that has several.
        let place = if path.is_empty() { keys.path.to_owned() } else { path.clone() };
        if place != keys.path {
            continue;
        }
        for (_, said) in refused(&path, setting) {
            let name = if path.is_empty() { "root" } else { keys.path.split('/').next().unwrap_or_default() };
            match told.iter_mut().find(|(known, _)| known == name) {
                Some((_, all)) => all.push_str(&format!("{said}\n\n")),
                None => told.push((name.to_owned(), format!("{said}\n\n"))),
            }
        }
    }
    for (name, said) in told {
        insta::assert_snapshot!(format!("refused_{name}"), said.trim_end());
    }
}

#[test]
fn the_tables_are_in_order() {
    for (path, keys) in sections(&root::KEYS) {
        let mut names: Vec<&str> = keys.settings.iter().map(|setting| setting.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "{path}: a key twice");
        for (slip, right) in keys.slips {
            assert!(keys.get(right).is_some() && keys.get(slip).is_none(), "{path}: {slip} for {right}");
        }
        for setting in keys.settings.iter().filter(|setting| !matches!(setting.form, Form::Refused(_))) {
            assert!(!setting.what.is_empty() && !setting.what.ends_with('.'), "{path} {}", setting.name);
            for like in setting.form.likes() {
                for example in like.examples {
                    let text = example.trim_matches('"');
                    assert!((like.reads)(text), "{}: {example}", like.wanted);
                }
            }
        }
    }
}

#[test]
fn a_key_under_a_wrong_name_is_not_missing_too() {
    let text = "service: app\nimge: app\nservers: [a]\nbuilder: {arch: amd64}\nproxy: {}\n";
    let errors = crate::load(crate::SourceFile::new("config/deploy.yml", text), None).unwrap_err();
    let said: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(said, ["unknown key: imge"]);
}
