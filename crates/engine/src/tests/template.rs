//! Templates in a project's files: variables, commands and Ruby, on a simulated machine.

use std::collections::BTreeMap;

use super::*;
use crate::ports::{Exit, Output};
use crate::project::{self, LoadError};
use crate::template::Templates;
use crate::testing::FakeLocal;

const BASE: &str = "service: <%= ENV['SERVICE'] %>\nimage: me/<%= `echo app`.strip %>\nservers: [1.1.1.1]\nlabels: {to: \"<%= ENV['KAMAL_DESTINATION'] %>\", again: \"<%= `echo app`.strip %>\"}\nregistry: {username: me, password: [P]}\naliases: {x: deploy}\n";

/// A machine with these files and answers: a program's last word, its exit status and its output.
fn machine(files: &[(&str, &str)], answers: &[(&str, u32, &str)]) -> FakeLocal {
    let file = |(name, text): &(&str, &str)| (format!("config/{name}"), (*text).to_owned());
    let answer = |(word, status, said): &(&str, u32, &str)| {
        let exit = Exit::Status(*status);
        ((*word).to_owned(), Output { exit, stdout: (*said).into(), stderr: (*said).into() })
    };
    FakeLocal {
        files: files.iter().map(file).collect(),
        answers: answers.iter().map(answer).collect(),
        variables: BTreeMap::from([("SERVICE".into(), "shop".into())]),
        ..FakeLocal::default()
    }
}

async fn load(local: &FakeLocal, destination: Option<&str>) -> Result<Project, String> {
    match project::load(local, &Templates::default(), "config/deploy.yml", destination, &[]).await {
        Ok((project, _)) => Ok(project),
        Err(LoadError::Invalid(errors)) => Err(errors.render(false)),
        Err(error) => Err(error.to_string()),
    }
}

fn ran(local: &FakeLocal) -> Vec<String> {
    let commands = local.ran.lock().unwrap();
    let shown = |command: &crate::ports::LocalCommand| {
        let env = command.env.iter().map(|(name, value)| format!("{name}={} ", value.expose()));
        env.collect::<String>() + &command.words.join(" ")
    };
    commands.iter().map(shown).collect()
}

#[tokio::test]
async fn variables_and_commands_of_this_machine() {
    let local = machine(&[("deploy.yml", BASE)], &[("echo app", 0, "app\n")]);
    let project = load(&local, None).await.unwrap();
    assert_eq!((&*project.config.service, &*project.config.image), ("shop", "me/app"));
    assert_eq!(
        project.config.roles[0].labels,
        [("to".into(), String::new()), ("again".into(), "app".into())]
    );
    assert_eq!(ran(&local), ["/bin/sh -c echo app"]);
}

#[tokio::test]
async fn the_destination_is_told_to_both_files_and_their_commands() {
    let over = "image: <%= `echo app`.strip %>-<%= ENV.fetch('KAMAL_DESTINATION') %>\n";
    let local = machine(&[("deploy.yml", BASE), ("deploy.staging.yml", over)], &[("echo app", 0, "app\n")]);
    let project = load(&local, Some("staging")).await.unwrap();
    assert_eq!(project.config.image, "app-staging");
    assert_eq!(ran(&local), ["KAMAL_DESTINATION=staging /bin/sh -c echo app"], "once for both files");
}

#[tokio::test]
async fn without_a_destination_one_in_the_environment_is_hidden() {
    let mut local = machine(&[("deploy.yml", BASE)], &[("echo app", 0, "app\n")]);
    local.variables.insert("KAMAL_DESTINATION".into(), "stray".into());
    let project = load(&local, None).await.unwrap();
    assert_eq!(project.config.roles[0].labels[0].1, "");
    assert_eq!(ran(&local), ["env -u KAMAL_DESTINATION /bin/sh -c echo app"]);
}

#[tokio::test]
async fn nothing_runs_twice_between_a_look_at_the_aliases_and_the_load() {
    let local = machine(&[("deploy.yml", BASE)], &[("echo app", 0, "app\n")]);
    let templates = Templates::default();
    let aliases = project::aliases(&local, &templates, "config/deploy.yml", None).await.unwrap();
    assert_eq!(aliases, [("x".into(), "deploy".into())]);
    project::load(&local, &templates, "config/deploy.yml", None, &[]).await.unwrap();
    assert_eq!(ran(&local).len(), 1);
}

#[tokio::test]
async fn a_command_that_fails_is_told_with_its_place_and_last_words() {
    let local = machine(&[("deploy.yml", BASE)], &[("echo app", 3, "warning\nfatal: oh\n")]);
    insta::assert_snapshot!(load(&local, None).await.unwrap_err(), @r#"
    error: the command failed
     --> config/deploy.yml:2:15
      |
    2 | image: me/<%= `echo app`.strip %>
      |               ^^^^^^^^^^ exit code 3: fatal: oh
      |
      = help: run it by itself to see why, or append `|| true` to ignore the failure

    error: the command failed
     --> config/deploy.yml:4:61
      |
    4 | labels: {to: "<%= ENV['KAMAL_DESTINATION'] %>", again: "<%= `echo app`.strip %>"}
      |                                                             ^^^^^^^^^^ exit code 3: fatal: oh
      |
      = help: run it by itself to see why, or append `|| true` to ignore the failure
    "#);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_hangs_is_given_up() {
    let mut local = machine(&[("deploy.yml", BASE)], &[]);
    local.hangs = Some("echo app".into());
    let error = load(&local, None).await.unwrap_err();
    assert!(
        error.contains("did not respond within 60 s (BOWLINE_TEMPLATE_TIMEOUT raises the limit)"),
        "{error}"
    );
    local.variables.insert("BOWLINE_TEMPLATE_TIMEOUT".into(), "7".into());
    let error = load(&local, None).await.unwrap_err();
    assert!(error.contains("did not respond within 7 s"), "{error}");
}

const FOREIGN: &str = "service: <%= ENV['SERVICE'].downcase %>\nimage: me/app\nservers: [1.1.1.1]\nregistry: {username: me, password: [P]}\nlabels: 1\n";

/// A machine on which Ruby, given the template, ends like this. `@` and `;` stand for the marks around its pieces.
fn by_ruby(status: u32, said: &str) -> FakeLocal {
    let mut local = machine(&[("deploy.yml", FOREIGN)], &[]);
    let said = said.replace('@', "\u{2}").replace(';', "\u{3}");
    local.otherwise = Output { exit: Exit::Status(status), stdout: said.clone(), stderr: said };
    local
}

#[tokio::test]
async fn what_is_not_built_in_is_rendered_by_ruby() {
    let local = by_ruby(
        0,
        &FOREIGN.replace("<%= ENV['SERVICE'].downcase %>", "@1;shop@2;").replacen("service", "@0;service", 1),
    );
    let error = load(&local, None).await.unwrap_err();
    assert!(error.starts_with("error: labels: should be a map\n --> config/deploy.yml:5:9"), "{error}");
    assert!(ran(&local)[0].starts_with("env ruby -EUTF-8 "));
    let input = local.ran.lock().unwrap()[0].input.clone().unwrap();
    assert!(input.expose().contains("<%= ENV['SERVICE'].downcase %>"));
}

#[tokio::test]
async fn ruby_that_fails_or_is_not_there() {
    let mut local = by_ruby(1, "");
    local.otherwise.stderr = "\n@ruby 1 RuntimeError: oh\n".into();
    insta::assert_snapshot!(load(&local, None).await.unwrap_err(), @r"
    error: Ruby can't render this template
     --> config/deploy.yml:1:1
      |
    1 | service: <%= ENV['SERVICE'].downcase %>
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ RuntimeError: oh
    ");
    let error = load(&by_ruby(127, ""), None).await.unwrap_err();
    insta::assert_snapshot!(error, @r#"
    error: this template needs Ruby, and there is no `ruby` on this machine
     --> config/deploy.yml:1:28
      |
    1 | service: <%= ENV['SERVICE'].downcase %>
      |                            ^^^^^^^^^ this is not built in
      |
      = help: install Ruby, or write it with what is built in: `ENV["X"]`, `ENV.fetch("X", "default")`, `` `command` ``, `File.read("path")`, `Dotenv.load`, `name = …`, `strip`, `chomp`, `to_s`, `split`, `presence`, `nil?`, `empty?`, `||`, `&&`, `==`, `if`/`else`, `….each do |x|`
    "#);
}

#[tokio::test]
async fn a_base_file_that_needs_a_destination_names_those_there_are() {
    let base = "service: app\nregistry: {username: me, password: [P]}\n";
    let files =
        [("deploy.yml", base), ("deploy.staging.yml", ""), ("deploy.production.yml", ""), ("other.yml", "")];
    let said = load(&machine(&files, &[]), None).await.unwrap_err();
    assert!(said.contains("error: `servers` is required"), "{said}");
    let named = "help: config/deploy.production.yml, config/deploy.staging.yml exist: if you mean one of these, select it, as in `-d production`";
    assert!(said.ends_with(named), "{said}");
    let wanted = [("deploy.yml", "require_destination: true\nnonsense: 1\n"), ("deploy.staging.yml", "")];
    let said = load(&machine(&wanted, &[]), None).await.unwrap_err();
    assert!(said.contains("You must specify a destination") && !said.contains("nonsense: 1"), "{said}");
    assert!(
        said.ends_with(
            "help: config/deploy.staging.yml exists: if you mean one of these, select it, as in `-d staging`"
        ),
        "{said}"
    );
    let alone = load(&machine(&[("deploy.yml", base)], &[]), None).await.unwrap_err();
    assert!(!alone.contains("exist"), "{alone}");
    let said = load(&machine(&files, &[]), Some("staging")).await.unwrap_err();
    assert!(!said.contains("exist"), "{said}");
}

#[tokio::test]
async fn kamal_1s_env_file_is_pointed_at_where_there_are_no_secrets_files() {
    let base = BASE
        .replace("image: me/<%= `echo app`.strip %>", "image: me/app")
        .replace("<%= `echo app`.strip %>", "");
    let mut local = machine(&[("deploy.yml", &base)], &[]);
    let told = |project: &Project| {
        project.doubtful_secrets().iter().map(|found| found.render(false)).collect::<String>()
    };
    assert_eq!(told(&load(&local, None).await.unwrap()), "", "just cloned");
    local.files.insert(".env".into(), "P=1\n".into());
    let said = told(&load(&local, None).await.unwrap());
    assert!(
        said.contains(".env is not read, unlike in Kamal 1: move its secrets to .kamal/secrets"),
        "{said}"
    );
    local.files.insert(".kamal/secrets".into(), "P=1\n".into());
    assert_eq!(told(&load(&local, None).await.unwrap()), "");
}

#[tokio::test]
async fn without_ruby_files_are_read_here() {
    let base = "service: <%= File.read('.name').strip %>\nimage: a\nservers: [h]\nregistry: {username: me, password: [P]}\n";
    let local = machine(&[("deploy.yml", base)], &[(".name", 0, "shop\n")]);
    let no_ruby = Output { exit: crate::ports::Exit::Status(127), ..Output::default() };
    let local = FakeLocal { otherwise: no_ruby, ..local };
    assert_eq!(load(&local, None).await.unwrap().config.service, "shop");
    assert_eq!(ran(&local).last().unwrap(), "cat -- .name");
}

#[test]
fn a_file_that_cannot_be_read_is_named_once() {
    let reason = "can't read z.yml: Is a directory".to_owned();
    let error = LoadError::Unreadable { path: "z.yml".into(), reason: reason.clone() };
    assert_eq!(error.to_string(), reason);
}
