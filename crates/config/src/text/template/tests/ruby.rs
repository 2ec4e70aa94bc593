//! Templates that Ruby renders.

use super::*;

/// The input that Ruby gets, and the file for this output of Ruby. `@` and `;` surround the numbers of marks.
fn by_ruby(text: &str, output: &str) -> (String, SourceFile) {
    let output = output.replace('@', "\u{2}").replace(';', "\u{3}");
    let (file, ran) = render_with(text, |_| Ended::Well(output.clone()));
    let [program] = ran.as_slice() else { panic!("{ran:?}") };
    assert_eq!(program.words()[..2], ["env", "ruby"]);
    let input = program.input().unwrap().replace('\u{2}', "@").replace('\u{3}', ";");
    (input, file.unwrap())
}

#[test]
fn ruby_is_given_marks_and_gives_them_back() {
    let text = "a: <%= RUBY_VERSION %>\n<% 2.times do |n| -%>\n- <%= n %> é\n<% end -%>\n# <%= x %>\n<%% b\n";
    let (input, file) =
        by_ruby(text, "@0;a: @1;3.1@2;\n@4;- @5;0@6; é\n@4;- @5;1@6; é\n@8;# @9;<%= x %>@10;\n<%@11; b\n");
    assert_eq!(
        input,
        "@0;a: @1;<%= RUBY_VERSION %>@2;\n<% 2.times do |n| -%>\n@4;- @5;<%= n %>@6; é\n<% end -%>\n@8;# @9;<%%= x %>@10;\n<%%@11; b\n"
    );
    assert_eq!(file.yaml(), "a: 3.1\n- 0 é\n- 1 é\n# <%= x %>\n<% b\n");
    let origin = |what: &str| {
        let at = file.yaml().rfind(what).unwrap();
        &text[file.template().unwrap().origin(at..at + what.len())]
    };
    assert_eq!(origin("3.1"), "<%= RUBY_VERSION %>");
    assert_eq!(origin("1 é"), "<%= n %> é");
    assert_eq!(origin("é\n"), "é\n");
    assert_eq!(origin("<% b"), "<%% b");
}

#[test]
fn marks_that_ruby_did_not_give_back_do_no_harm() {
    let (_, file) = by_ruby("a: <%= x %>\nb: c\n", "x@0;A: @1;1@7;?@@2;\nb: c\n;");
    assert_eq!(file.yaml(), "xA: 1?\nb: c\n\u{3}");
}

#[test]
fn ruby_that_fails_is_told_with_the_line() {
    let failed = |stderr: &str| {
        let ended = Ended::Badly { how: "exit code 7".into(), stderr: stderr.into() };
        render_with("service: a\n  <%= x.y -%>\n", |_| ended.clone()).0.unwrap_err()
    };
    insta::assert_snapshot!(failed("warning: hm\n\n@ruby 2 NameError: undefined local variable or method `x'\n"), @r"
    error: Ruby can't render this template
     --> deploy.yml:2:3
      |
    2 |   <%= x.y -%>
      |   ^^^^^^^^^^^ NameError: undefined local variable or method `x'
    ");
    insta::assert_snapshot!(failed("\n@ruby 2 LoadError: cannot load such file -- dotenv\n"), @r"
    error: Ruby can't render this template
     --> deploy.yml:2:3
      |
    2 |   <%= x.y -%>
      |   ^^^^^^^^^^^ LoadError: cannot load such file -- dotenv
      |
      = help: `gem install dotenv`
    ");
    insta::assert_snapshot!(failed("\n@ruby 0 SystemExit\n"), @r"
    error: Ruby can't render this template: SystemExit
    --> deploy.yml:1:1
    ");
    insta::assert_snapshot!(failed("ruby: oh\n"), @r"
    error: Ruby can't render this template: exit code 7
    --> deploy.yml:1:1
    ");
}
