//! Containers get every value unchanged: hundreds of generated strings go from the configuration through SSH, a shell
//! and `docker run` into one container, and are read back from Docker and the app.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bowline_tests::expect;
use bowline_tests::project::Project;
use bowline_tests::sandbox::{Sandbox, Server};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{TestRng, TestRunner};
use serde_json::Value;

/// Text that shells, Docker or YAML treat specially, and common mistakes.
const PIECES: &[&str] = &[
    "$(touch /hacked)",
    "`touch /hacked`",
    "; touch /hacked #",
    "\n",
    "\r",
    "\t",
    " ",
    "'",
    "\"",
    "\\",
    "\\n",
    "$",
    "$HOME",
    "${",
    "}",
    "-",
    "--env",
    "=",
    ":",
    "#",
    "!!",
    "~/",
    "*",
    "{a,b}",
    "<",
    "|",
    "é",
    "日本",
    "\u{1F600}",
    "\u{feff}",
    "\u{1b}[31m",
    "%s",
    "yes",
];

/// Generates the same `count` strings each time, without U+FFFD, which means invalid text in a command's output.
fn generated(count: usize) -> Vec<String> {
    let piece =
        prop_oneof![4 => prop::sample::select(PIECES).prop_map(str::to_owned), 1 => "[^\0\u{fffd}]{1,4}"];
    let text = prop::collection::vec(piece, 0..7).prop_map(|pieces| pieces.concat());
    let rng = TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
    (0..count).map(|_| text.new_tree(&mut runner).unwrap().current()).collect()
}

/// A double-quoted YAML string with every character escaped.
fn yaml(text: &str) -> String {
    text.chars().fold(String::from("\""), |mut out, c| {
        write!(out, "\\U{:08x}", u32::from(c)).unwrap();
        out
    }) + "\""
}

fn named(prefix: &str, values: &[String]) -> BTreeMap<String, String> {
    values.iter().enumerate().map(|(n, value)| (format!("{prefix}{n}"), value.clone())).collect()
}

fn map(entries: &BTreeMap<String, String>) -> String {
    entries.iter().map(|(name, value)| format!("\n    {name}: {}", yaml(value))).collect()
}

fn inspected(server: &Server, container: &str, format: &str) -> Value {
    serde_json::from_str(&expect::inspect(server, container, &format!("{{{{json {format}}}}}"))).unwrap()
}

#[track_caller]
fn all_arrived(what: &str, wanted: &BTreeMap<String, String>, found: &Value) {
    for (name, value) in wanted {
        assert_eq!(found[name].as_str(), Some(value.as_str()), "{what} {name}");
    }
}

#[test]
fn any_text_arrives_as_it_is_in_variables_secrets_labels_options_words_and_file_names() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "quoted");
    // In the configuration, `${NAME}` is a variable of the server. A secret may contain it.
    let texts = generated(500);
    let values: Vec<String> = texts.iter().map(|text| text.replace("${", "$ {")).collect();
    let (clear, labels) = (named("CLEAR_", &values[..150]), named("label_", &values[150..250]));
    let (options, words) = (&values[250..300], &values[300..350]);
    let secrets = named("SECRET_", &texts[350..]);
    let files: Vec<String> =
        values[..12].iter().map(|text| format!("/srv/{}", text.replace(['$', ':', '/'], "_"))).collect();

    let mut env = format!("\n  clear:{}\n  secret:", map(&clear));
    for (name, value) in &secrets {
        write!(env, "\n    - {name}").unwrap();
        // Command substitution removes the final line break (`\r\n` counts as one), so this adds one.
        project.write(&format!("values/{name}"), &format!("{value}\r\n"));
        project.secret(name, &format!("$(cat values/{name})"));
    }
    let list = |values: &[String]| values.iter().map(|value| yaml(value)).collect::<Vec<_>>().join(", ");
    let options: Vec<String> =
        options.iter().enumerate().map(|(n, value)| format!("option_{n}={value}")).collect();
    let volumes: Vec<String> =
        files.iter().enumerate().map(|(n, file)| format!("{file}:/files/{n}")).collect();
    let command = words.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''")));
    let command = format!("/app/server {}", command.collect::<Vec<_>>().join(" "));
    let address = server.address.clone();
    let role = format!(
        "cmd: {}\nlabels:{}\noptions:\n  label: [{}]",
        yaml(&command),
        map(&labels).replace("\n    ", "\n  "),
        list(&options)
    );
    project
        .roles(&[("web", &[&address], &role)])
        .set("env", &env)
        .set("volumes", &format!("[{}]", list(&volumes)));
    project.deploy("v1").ok();

    let container = project.container("web", "v1");
    let app: Value = serde_json::from_str(&server.get("/env").unwrap()).unwrap();
    all_arrived("the app's variable", &clear, &app);
    all_arrived("the app's secret", &secrets, &app);
    let given = inspected(server, &container, ".Config.Labels");
    all_arrived("label", &labels, &given);
    for (n, value) in values[250..300].iter().enumerate() {
        assert_eq!(given[format!("option_{n}")].as_str(), Some(value.as_str()), "option {n}");
    }
    let cmd = inspected(server, &container, ".Config.Cmd");
    let cmd: Vec<&str> = cmd.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(&cmd[1..], words, "words of the command");
    let mounts = inspected(server, &container, ".Mounts");
    for (n, file) in files.iter().enumerate() {
        let mount =
            mounts.as_array().unwrap().iter().find(|mount| mount["Destination"] == format!("/files/{n}"));
        assert_eq!(mount.unwrap()["Source"].as_str(), Some(file.trim_end_matches('/')), "file {n}");
    }
    assert!(!server.has("/hacked") && !server.has("hacked"), "a value was run");

    // A new container for a command gets the same environment and leaves no file.
    let check: String = secrets.keys().fold(String::new(), |all, name| format!("{all} \"${name}\""));
    let exec = project.bowline(&["app", "exec", &format!("sh -c 'printf %s\\|{check} | md5sum'")]);
    let expected = secrets.values().map(|value| format!("{value}|")).collect::<String>();
    let local = std::process::Command::new("sh")
        .args(["-c", "printf %s \"$0\" | md5sum", &expected])
        .output()
        .unwrap();
    exec.exits(0).says(String::from_utf8(local.stdout).unwrap().trim());
    let files = server.run(&format!("ls .kamal/apps/{}/env/roles", project.service));
    assert_eq!(files.ok(), "web.env");
}
