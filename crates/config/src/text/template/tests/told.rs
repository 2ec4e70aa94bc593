//! Errors about templates that can't be rendered, and about rendered texts that aren't configurations.

use super::*;
use crate::{Loaded, load};

#[test]
fn without_ruby_each_construct_is_shown() {
    insta::assert_snapshot!(refused("service: <%= ENV['S'].try(:strip) %>\nimage: a\n<% 2.times do |n| %>\n<% end %>\n"), @r#"
    error: this template needs Ruby, and there is no `ruby` on this machine
     --> deploy.yml:1:22
      |
    1 | service: <%= ENV['S'].try(:strip) %>
      |                      ^^^^ a method of Rails, not of Ruby
    2 | image: a
    3 | <% 2.times do |n| %>
      |    -------------- this is not built in
      |
      = help: install Ruby, or write it with what is built in: `ENV["X"]`, `ENV.fetch("X", "default")`, `` `command` ``, `File.read("path")`, `Dotenv.load`, `name = …`, `strip`, `chomp`, `to_s`, `split`, `presence`, `nil?`, `empty?`, `||`, `&&`, `==`, `if`/`else`, `….each do |x|`
    "#);
    insta::assert_snapshot!(refused("registry:\n  password: <%= Rails.root || 'hunter2' %>\n"), @r##"
    error: this template needs Ruby, and there is no `ruby` on this machine
     --> deploy.yml:2:17
      |
    2 |   password: [REDACTED]
      |             ^^^^^^^^^^ this is not built in
      |
      = help: install Ruby, or write it with what is built in: `ENV["X"]`, `ENV.fetch("X", "default")`, `` `command` ``, `File.read("path")`, `Dotenv.load`, `name = …`, `strip`, `chomp`, `to_s`, `split`, `presence`, `nil?`, `empty?`, `||`, `&&`, `==`, `if`/`else`, `….each do |x|`
    "##);
}

#[test]
fn conditions_that_do_not_fit() {
    insta::assert_snapshot!(refused("a: <% if ENV['A'] %>\nb"), @r"
    error: this condition has no `end`
     --> deploy.yml:1:4
      |
    1 | a: <% if ENV['A'] %>
      |    ^^^^^^^^^^^^^^^^^
      |
      = help: close it with `<% end %>`
    ");
    insta::assert_snapshot!(refused("a: b\n<% end %>\n"), @r"
    error: `end` without an `if` before it
     --> deploy.yml:2:1
      |
    2 | <% end %>
      | ^^^^^^^^^
    ");
    insta::assert_snapshot!(refused("<% else %>"), @r"
    error: `else` without an `if` before it
     --> deploy.yml:1:1
      |
    1 | <% else %>
      | ^^^^^^^^^^
    ");
    insta::assert_snapshot!(refused("<% if ENV['A'] %>\n<% else %>\n<% elsif ENV['B'] %>\n<% end %>"), @r"
    error: `elsif` after the `else`
     --> deploy.yml:3:1
      |
    1 | <% if ENV['A'] %>
      | ----------------- of this
    2 | <% else %>
    3 | <% elsif ENV['B'] %>
      | ^^^^^^^^^^^^^^^^^^^^
    ");
    insta::assert_snapshot!(refused("a: b\nc: <%= ENV['A']\nd: e\n"), @r"
    error: this tag is never closed
     --> deploy.yml:2:4
      |
    2 | c: <%= ENV['A']
      |    ^^^^^^^^^^^^
      |
      = help: close it with `%>`; write `<%%` for a `<%` that doesn't begin a tag
    ");
}

#[test]
fn values_that_cannot_be_had_all_at_once() {
    insta::assert_snapshot!(refused(
        "service: <%= ENV.fetch(\"NONE\") %>\nimage: <%= ENV['NONE'].strip %>/x\nlabels:\n  a: <%= `false` %>\n  b: <%= ENV[1] %>\n  c: <%= 1.empty? %>\n"
    ), @r#"
    error: the variable NONE is not set
     --> deploy.yml:1:14
      |
    1 | service: <%= ENV.fetch("NONE") %>
      |              ^^^^^^^^^^^^^^^^^ this requires it
      |
      = help: set NONE in the environment, or give a default: `ENV.fetch("NONE", "…")`

    error: `strip` is for strings only
     --> deploy.yml:2:12
      |
    2 | image: <%= ENV['NONE'].strip %>/x
      |            ^^^^^^^^^^^ the variable is not set, so this is nil
      |
      = help: `to_s` turns it into a string: `….to_s.strip`

    error: the command failed
     --> deploy.yml:4:10
      |
    4 |   a: <%= `false` %>
      |          ^^^^^^^ exit code 1: no such thing
      |
      = help: run it by itself to see why, or append `|| true` to ignore the failure

    error: the name of a variable should be a string
     --> deploy.yml:5:14
      |
    5 |   b: <%= ENV[1] %>
      |              ^ this is a number
      |
      = help: write it in quotes

    error: `empty?` is for strings only
     --> deploy.yml:6:10
      |
    6 |   c: <%= 1.empty? %>
      |          ^ this is a number
      |
      = help: leave `.empty?` out
    "#);
}

#[test]
fn what_goes_wrong_with_files_and_lists() {
    insta::assert_snapshot!(refused(
        "service: <%= File.read('none').strip %>\nimage: <%= 'a'.first %>\n<% Dotenv.load!('missing') %>\n<% ENV['A'].each do |x| %>\n<% end %>\n"
    ), @r#"
    error: none can't be read
     --> deploy.yml:1:14
      |
    1 | service: <%= File.read('none').strip %>
      |              ^^^^^^^^^^^^^^^^^ cat: No such file or directory
      |
      = help: paths are relative to the directory where bowline is run

    error: `first` is for lists only
     --> deploy.yml:2:12
      |
    2 | image: <%= 'a'.first %>
      |            ^^^ this is a string
      |
      = help: `.split(",")` turns a string into a list

    error: missing can't be read
     --> deploy.yml:3:1
      |
    3 | <% Dotenv.load!('missing') %>
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ cat: No such file or directory
      |
      = help: paths are relative to the directory where bowline is run

    error: `each` is for lists only
     --> deploy.yml:4:4
      |
    4 | <% ENV['A'].each do |x| %>
      |    ^^^^^^^^ this is a string
      |
      = help: `.split(",")` turns a string into a list
    "#);
    let said = refused("<% 'a'.split.each do |x| %>\n<% else %>\n");
    assert!(said.contains("error: `else` without an `if` before it"), "{said}");
    let said = refused("<% 'a'.split.each do |x| %>\n");
    assert!(said.contains("error: this loop has no `end`"), "{said}");
}

#[test]
fn a_dotenv_file_that_calls_kamal_secrets_is_refused() {
    for line in ["A=$(kamal secrets extract A $B)", "A=$(echo $(kamal secrets extract A $B))"] {
        let run = |program: &Program| match program {
            Program::File(_) => Ended::Well(line.into()),
            other => run(other),
        };
        let said = render_with("<% Dotenv.load %><%= ENV['A'] %>", run).0.unwrap_err();
        assert!(said.contains("a `.env` file can't use `kamal secrets`"), "{line}\n{said}");
    }
}

#[test]
fn an_error_in_a_dotenv_file_has_its_line() {
    let run = |program: &Program| match program {
        Program::File(_) => Ended::Well("A=1\nB=\"2\n".into()),
        other => run(other),
    };
    let said = render_with("<% Dotenv.load %>", run).0.unwrap_err();
    assert!(said.starts_with("error: .env:2: "), "{said}");
}

#[test]
fn a_password_in_a_tag_is_not_shown_and_where_it_comes_from_is() {
    insta::assert_snapshot!(refused(
        "registry:\n  password: <%= ENV.fetch('NONE') %>\n  api_token: \"<%= ENV.fetch('NONE') %>\"\n  secret_key: <%= ENV['A'] ? ENV.fetch('NONE') : 'hunter2' %>\n"
    ), @r##"
    error: the variable NONE is not set
     --> deploy.yml:2:17
      |
    2 |   password: <%= ENV.fetch('NONE') %>
      |                 ^^^^^^^^^^^^^^^^^ this requires it
      |
      = help: set NONE in the environment, or give a default: `ENV.fetch("NONE", "…")`

    error: the variable NONE is not set
     --> deploy.yml:3:19
      |
    3 |   api_token: "<%= ENV.fetch('NONE') %>"
      |                   ^^^^^^^^^^^^^^^^^ this requires it
      |
      = help: set NONE in the environment, or give a default: `ENV.fetch("NONE", "…")`

    error: the variable NONE is not set
     --> deploy.yml:4:30
      |
    4 |   secret_key: [REDACTED]
      |               ^^^^^^^^^^ this requires it
      |
      = help: set NONE in the environment, or give a default: `ENV.fetch("NONE", "…")`
    "##);
}

/// The diagnostics for a configuration that is a template.
fn loaded(text: &str) -> String {
    match load(render(text).unwrap(), None) {
        Ok(Loaded { warnings, .. }) => format!("accepted\n{warnings}"),
        Err(errors) => errors.render(false),
    }
}

const MINIMAL: &str = "service: app\nimage: me/app\nregistry: {username: me, password: [P]}\n";

#[test]
fn errors_of_the_rendered_text_point_at_the_file() {
    insta::assert_snapshot!(loaded(&format!(
        "<% if ENV[\"A\"] -%>\n# first\n<% end -%>\n{MINIMAL}servers: [<%= `echo 1.1.1.1`.strip %>, 2.2.2.2]\nretain_containers: <%= ENV['NAME'] %>x # how many\nservies: 1\nx-a: <%= 'long long long' %>\nenv: {{<%= ENV['NAME'] %>: 1, B: [1]}}\n"
    )), @r##"
    error: retain_containers: should be an integer
     --> deploy.yml:8:20
      |
    8 | retain_containers: <%= ENV['NAME'] %>x # how many
      |                    ^^^^^^^^^^^^^^^^^^^ this is a string

    error: unknown key: servies
     --> deploy.yml:9:1
      |
    9 | servies: 1
      | ^^^^^^^
      |
      = help: did you mean `service`?

    error: env/B: should be a string
      --> deploy.yml:11:30
       |
    11 | env: {<%= ENV['NAME'] %>: 1, B: [1]}
       |                              ^ this is a list
    "##);
    insta::assert_snapshot!(loaded(&format!("{MINIMAL}servers:\n  <%- if ENV['A'] -%>\n  - a: [b\n  <%- end -%>\n")), @r"
    error: `[` is opened here and never closed
     --> deploy.yml:6:8
      |
    6 |   - a: [b
      |        ^
      |
      = help: close it
    ");
}

#[test]
fn a_tag_that_gave_nothing_is_named() {
    insta::assert_snapshot!(loaded(&format!("{MINIMAL}servers: <%= ENV['NONE'] %>\n")), @r##"
    error: servers: should be a list or a map
     --> deploy.yml:4:1
      |
    4 | servers: <%= ENV['NONE'] %>
      | ^^^^^^^  ------------------ this tag's output is empty
      | |
      | this is empty
    "##);
}

#[test]
fn what_a_tag_gave_is_not_told() {
    let table = [
        "ssh: {proxy: '<%= ENV['PASSWORD'] %>@@'}",
        "<%= ENV['PASSWORD'] %>: 1",
        "servers: [1.1.1.1: <%= ENV['PASSWORD'] %>]",
        "servers: {web: <%= ENV['PASSWORD'] %>}",
        "boot: {limit: <%= ENV['PASSWORD'] %>}",
        "labels: <%= ENV['LINES'] %>",
        "env: {A: <%= ENV['LINES'] %>: 1}",
    ];
    let said: Vec<String> = table.iter().map(|line| loaded(&format!("{MINIMAL}{line}\n"))).collect();
    let said = said.join("\n\n");
    assert!(!said.contains("hunter2") && !said.contains("swordfish"), "{said}");
    insta::assert_snapshot!(said, @r##"
    error: `servers` is required
    --> deploy.yml:1:1
     = help: `servers: [192.0.2.1]`, or a map of roles

    error: ssh/proxy: should be false or `HOST`, `USER@HOST` or `USER@HOST:PORT`, or several, comma-separated
     --> deploy.yml:4:14
      |
    4 | ssh: {proxy: '<%= ENV['PASSWORD'] %>@@'}
      |              ^^^^^^^^^^^^^^^^^^^^^^^^^^

    error: `servers` is required
    --> deploy.yml:1:1
     = help: `servers: [192.0.2.1]`, or a map of roles

    error: unknown key: <%= ENV['PASSWORD'] %>
     --> deploy.yml:4:1
      |
    4 | <%= ENV['PASSWORD'] %>: 1
      | ^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: `bowline docs` lists the keys

    error: servers/0/1.1.1.1: unknown tag: <%= ENV['PASSWORD'] %>
     --> deploy.yml:4:20
      |
    4 | servers: [1.1.1.1: <%= ENV['PASSWORD'] %>]
      |                    ^^^^^^^^^^^^^^^^^^^^^^ no env is given for this tag
      |
      = help: give the tag an env: `env_tags: {<%= ENV['PASSWORD'] %>: {NAME: value}}`

    error: servers/web: should be a list or a map
     --> deploy.yml:4:16
      |
    4 | servers: {web: <%= ENV['PASSWORD'] %>}
      |                ^^^^^^^^^^^^^^^^^^^^^^ this is a string

    error: `servers` is required
    --> deploy.yml:1:1
     = help: `servers: [192.0.2.1]`, or a map of roles

    error: boot/limit: should be an integer or a percentage from 1% to 100%
     --> deploy.yml:4:15
      |
    4 | boot: {limit: <%= ENV['PASSWORD'] %>}
      |               ^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: such as `2`, or `25%`

    error: a key without `:`
     --> deploy.yml:4:9
      |
    4 | labels: <%= ENV['LINES'] %>
      |         ^^^^^^^^^^^^^^^^^^^ the output of this tag contains a line break
      |
      = help: write `key: value`, and indent what continues the line above

    error: a map in braces continues without `,` or `}`
     --> deploy.yml:4:29
      |
    4 | env: {A: <%= ENV['LINES'] %>: 1}
      |                             ^
      |
      = help: close it, or quote a value with special characters
    "##);
}

#[test]
fn a_tag_in_a_comment_is_left_alone_unless_it_belongs_to_a_value() {
    let text = format!("{MINIMAL}servers: [1.1.1.1]\n# a: <%= RUBY_VERSION %> <%= `false` %>\n");
    assert_eq!(loaded(&text), "accepted\n");
    insta::assert_snapshot!(loaded(&format!("{MINIMAL}servers: [1.1.1.1]\nlabels:\n  a: |\n    b\n    # <%= ENV['A'] %>\n")), @r#"
    error: this tag looks like part of a comment, but is part of a value
     --> deploy.yml:8:7
      |
    8 |     # <%= ENV['A'] %>
      |       ^^^^^^^^^^^^^^^
      |
      = help: tags in comments are left alone; put the whole line into a `<%= "…" %>`
    "#);
}
