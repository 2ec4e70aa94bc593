//! Errors about a file as text: broken YAML, ERB, and passwords in the lines shown.

use super::*;

#[test]
fn a_duplicate_key() {
    insta::assert_snapshot!(errors("labels:\n  a: 1\n  a: 2\n"), @r##"
    error: duplicate key: a
     --> config/deploy.yml:7:3
      |
    6 |   a: 1
      |   - first given here
    7 |   a: 2
      |   ^ given again here
    "##);
}

#[test]
fn an_empty_file() {
    insta::assert_snapshot!(rendered(read("# nothing\n")), @r##"
    error: the configuration is empty
    --> config/deploy.yml:1:1
     = help: it needs at least `service` and `servers`; `bowline init` writes an example
    "##);
}

#[test]
fn a_password_is_masked() {
    insta::assert_snapshot!(errors("x-a: {password: hunter2, password: hunter2}\n"), @r##"
    error: duplicate key: password
     --> config/deploy.yml:5:26
      |
    5 | x-a: {password: [REDACTED]
      |       --------  ^^^^^^^^^^ given again here
      |       |
      |       first given here
    "##);
}

#[test]
fn a_password_of_the_wrong_form_is_masked() {
    insta::assert_snapshot!(rendered(read("service: a\nimage: b\nservers: [h]\nregistry: {usernam: me, password: hunter2}\n")), @r##"
    error: registry: unknown key: usernam
     --> config/deploy.yml:4:12
      |
    4 | registry: {usernam: me, password: [REDACTED]}
      |            ^^^^^^^
      |
      = help: did you mean `username`?
    "##);
}

#[test]
fn a_password_that_was_replaced_is_masked() {
    insta::assert_snapshot!(rendered(read_for("staging", &MINIMAL.replace("[REGISTRY_PASSWORD]", "hunter2"), "registry: {password: [A, B]}
")), @r##"
    error: registry/password: should be a string or a list with the name of one secret
     --> config/deploy.staging.yml:1:12
      |
    1 | registry: {password: [A, B]}
      |            ^^^^^^^^ this is a list
      |
     ::: config/deploy.yml:4:36
      |
    4 | registry: {username: me, password: [REDACTED]}
      |                                    ---------- replaces this
    "##);
}

#[test]
fn a_password_in_a_broken_file_is_masked() {
    insta::assert_snapshot!(errors("x-a:\n  password: \"hunter2\n"), @r##"
    error: a quote is opened here and never closed
     --> config/deploy.yml:6:13
      |
    6 |   password: [REDACTED]
      |             ^^^^^^^^^^
      |
      = help: close it, or remove it
    "##);
}

#[test]
fn a_tab() {
    insta::assert_snapshot!(errors("ssh:\n\tport: 22\n"), @r##"
    error: a tab where YAML wants spaces
     --> config/deploy.yml:6:1
      |
    6 |     port: 22
      | ^^^^
      |
      = help: indent with spaces only
    "##);
}

#[test]
fn an_open_quote() {
    insta::assert_snapshot!(errors("cmd: \"abc\nfoo: 1\n"), @r##"
    error: a quote is opened here and never closed
     --> config/deploy.yml:5:6
      |
    5 | cmd: "abc
      |      ^
      |
      = help: close it, or remove it
    "##);
}

#[test]
fn an_open_bracket() {
    insta::assert_snapshot!(errors("labels: {a: b\n"), @r##"
    error: `{` is opened here and never closed
     --> config/deploy.yml:5:9
      |
    5 | labels: {a: b
      |         ^
      |
      = help: close it
    "##);
}

#[test]
fn a_second_colon() {
    insta::assert_snapshot!(errors("image: a: b\n"), @r##"
    error: a `:` that isn't allowed here
     --> config/deploy.yml:5:9
      |
    5 | image: a: b
      |         ^
      |
      = help: quote a value that contains `: `, and give each key its own line
    "##);
}

#[test]
fn indentation() {
    insta::assert_snapshot!(errors("labels:\n  a: b\n c: d\n"), @r##"
    error: this line does not fit the ones above it
     --> config/deploy.yml:7:2
      |
    7 |  c: d
      |  ^
      |
      = help: give the keys of a map, and the entries of a list, the same indentation
    "##);
}

#[test]
fn a_special_character() {
    insta::assert_snapshot!(errors("cmd: @x\n"), @r##"
    error: a value can't start with `@`
     --> config/deploy.yml:5:6
      |
    5 | cmd: @x
      |      ^
      |
      = help: quote the value
    "##);
}

#[test]
fn an_unknown_alias() {
    insta::assert_snapshot!(errors("cmd: *x\n"), @r##"
    error: an alias to an anchor that isn't defined above it
     --> config/deploy.yml:5:6
      |
    5 | cmd: *x
      |      ^
      |
      = help: define it with `&name` first, or quote the value if it should start with `*`
    "##);
}

#[test]
fn a_tag_of_ruby() {
    insta::assert_snapshot!(errors("env:\n  A: !ruby/object x\n"), @r##"
    error: the YAML tag `!ruby/object` has no meaning here
     --> config/deploy.yml:6:6
      |
    6 |   A: !ruby/object x
      |      ^^^^^^^^^^^^
      |
      = help: remove the tag
    "##);
}

#[test]
fn a_nul_character() {
    insta::assert_snapshot!(errors("env: {A: \"a\\0b\"}\n"), @r##"
    error: a NUL character, which no setting can contain
     --> config/deploy.yml:5:10
      |
    5 | env: {A: "a\0b"}
      |          ^^^^^^
    "##);
}

#[test]
fn a_second_document() {
    insta::assert_snapshot!(errors("---\nservice: b\n"), @r##"
    error: a second YAML document in this file
     --> config/deploy.yml:6:1
      |
    6 | service: b
      | ^^^^^^^
      |
      = help: remove the `---` line before it
    "##);
}

#[test]
fn a_long_line_is_cut() {
    insta::assert_snapshot!(errors(&format!("env: {{A: \"{}\", B: [1]}}\n", "x".repeat(300))), @r##"
    error: env/B: should be a string
     --> config/deploy.yml:5:314
      |
    5 | ...xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", B: [1]}
      |                                                             ^ this is a list
    "##);
}

#[test]
fn places_are_those_of_the_users_file() {
    insta::assert_snapshot!(rendered(read("service: a
servers: [h]
registry:
  password: |
    hunter2
    hunter3
  username: {A: hunter4}
env: {clear: {TOKEN: hunter5hunter5hunter5}, secrets: [A]}
")), @r##"
    error: `image` is required
    --> config/deploy.yml:1:1
     = help: `image: me/myapp`, the image's name without server and tag

    error: registry/username: should be a string or a list with the name of one secret
     --> config/deploy.yml:7:3
      |
    7 |   username: {A: hunter4}
      |   ^^^^^^^^ this is a map

    error: env: unknown key: secrets
     --> config/deploy.yml:8:46
      |
    8 | env: {clear: {TOKEN: [REDACTED]}, secrets: [A]}
      |                                   ^^^^^^^
      |
      = help: did you mean `secret`?
    "##);
}
