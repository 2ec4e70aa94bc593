//! The output of templates.

mod origin;
mod ruby;
mod told;

use super::*;

const VARIABLES: [(&str, &str); 6] = [
    ("A", "1"),
    ("EMPTY", ""),
    ("BLANKS", " \t x \r\n"),
    ("NAME", "A"),
    ("PASSWORD", "hunter2"),
    ("LINES", "hunter2\nswordfish"),
];

fn variable(name: &str) -> Option<String> {
    VARIABLES.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
}

/// Simulates `sh` with `echo …` as its only command. There is no Ruby.
fn run(program: &Program) -> Ended {
    match program {
        Program::Shell(command) => match command.strip_prefix("echo ") {
            Some(words) => Ended::Well(format!("{}\n", words.trim().replace('\'', ""))),
            None => Ended::Badly { how: "exit code 1".into(), stderr: "oh\nno such thing\n".into() },
        },
        Program::File(path) => match path.as_str() {
            ".env" => Ended::Well("OF_FILE='from the file'\nA=2\nTWICE=\"$OF_FILE twice\"\n".into()),
            ".ruby-version" => Ended::Well("3.4.1\n".into()),
            _ => {
                Ended::Badly { how: "exit code 1".into(), stderr: "cat: No such file or directory\n".into() }
            }
        },
        Program::Ruby(_) => Ended::Missing,
    }
}

/// Renders a file and runs the programs that it needs. Also returns these.
fn render_with(text: &str, run: impl Fn(&Program) -> Ended) -> (Result<SourceFile, String>, Vec<Program>) {
    let (mut outputs, mut ran) = (Outputs::default(), Vec::new());
    let template = match Template::new(SourceFile::new("deploy.yml", text)) {
        Ok(template) => template,
        Err(errors) => return (Err(errors.render(false)), ran),
    };
    loop {
        match template.render(&variable, &outputs) {
            Ok(file) => return (Ok(file), ran),
            Err(Unrendered::Failed(errors)) => return (Err(errors.render(false)), ran),
            Err(Unrendered::Run(program)) => {
                ran.push(program.clone());
                outputs.insert(program.clone(), run(&program));
            }
        }
    }
}

fn render(text: &str) -> Result<SourceFile, String> {
    render_with(text, run).0
}

fn refused(text: &str) -> String {
    render(text).map(|file| file.yaml().to_owned()).unwrap_err()
}

/// Templates and their output. Ruby 3.1 agrees, see below.
const RENDERED: &[(&str, &str)] = &[
    // Values.
    (r#"<%= ENV["A"] %>"#, "1"),
    ("<%=ENV['A']%>|<%= ENV['NONE'] %>|<%= ENV['EMPTY'] %>|", "1|||"),
    (r#"<%= ENV[ENV["NAME"]] %>"#, "1"),
    (r#"<%= ENV.fetch("A") %><%= ENV.fetch("NONE", "d") %><%= ENV.fetch('NONE') { 'b' } %>"#, "1db"),
    (r#"<%= ENV.fetch "NONE", "d" %><%= ENV.fetch "A" %>"#, "d1"),
    (r#"<%= ENV.fetch("NONE", nil) %>|<%= ENV.fetch("NONE", 3000) %>"#, "|3000"),
    (r#"<%= ENV.fetch("EMPTY", "d") %>|<%= ENV["EMPTY"] || "d" %>|<%= ENV["NONE"] || "d" %>"#, "||d"),
    (r#"<%= ENV.key?("A") %> <%= ENV.has_key?("NONE") %> <%= ENV.include? "EMPTY" %>"#, "true false true"),
    ("<%= nil %><%= true %><%= false %><%= 0 %><%= 42 %>", "truefalse042"),
    // Commands.
    ("<%= `echo hi` %>", "hi\n"),
    ("<%= `echo hi`.strip %><%= %x(echo '(b)').chomp %>", "hi(b)"),
    ("<%= %x[echo a].strip %><%= %x{echo b}.strip %><%= %x<echo c>.strip %><%= %x|echo d|.strip %>", "abcd"),
    (r##"<%= `echo #{ENV["A"]}#{"2"}`.chomp %>"##, "12"),
    // Texts.
    (r#"<%= "a\tb\\\"\n\s\e\q#{1}#x\#{1}" %>"#, "a\tb\\\"\n \u{1b}q1#x#{1}"),
    (r#"<%= 'a\n\'\\#{1}' %>"#, r"a\n'\#{1}"),
    (r##"<%= "#{"#{ENV['A']}"}é" %>"##, "1é"),
    ("<%= \"a\\\nb\" %>", "ab"),
    // Methods.
    ("<%= ENV['BLANKS'].strip %>|<%= ENV['BLANKS'].chomp() %>|", "x| \t x |"),
    ("<%= ENV['NONE'].to_s.strip %>|<%= ENV['NONE']&.strip %>|<%= 1.to_s %>", "||1"),
    ("<%= ENV['NONE'].nil? %> <%= ENV['EMPTY'].empty? %> <%= 1.nil? %>", "true true false"),
    // Operators.
    (
        r#"<%= ENV["A"] == "1" %> <%= ENV["A"]!="1" %> <%= 1 == "1" %> <%= ENV["NONE"] == nil %>"#,
        "true false false true",
    ),
    (r#"<%= ENV["NONE"] || ENV["EMPTY"] && "x" || "y" %>"#, "x"),
    (r#"<%= !ENV["A"] %> <%= !!ENV["A"] %> <%= !ENV["A"] == false %>"#, "false true true"),
    (
        r#"<%= (ENV["NONE"] || "a").strip %> <%= ENV["A"].nil? ? "n" : "y" %> <%= nil ?'a':false ? 'b':'c' %>"#,
        "a y c",
    ),
    (r#"<%= "0" && 0 && "" && "true" %>"#, "true"),
    ("<%= ENV['NONE'].nil? || `false` %>", "true"),
    // Conditions.
    (r#"<% if ENV["A"] %>a<% else %>b<% end %>"#, "a"),
    (r#"<% if ENV["NONE"] %>a<% elsif ENV["A"]=="1" %>b<% else %>c<% end %>"#, "b"),
    (r#"<% if ENV["NONE"] %>a<% elsif nil %>b<% else %>c<% end %>"#, "c"),
    (r#"<% unless ENV["A"] %>a<% else %>b<% end %><% unless(ENV["NONE"]) %>c<% end %>"#, "bc"),
    ("<% if true %>1<% if false %>2<% else %>3<% end %>4<% end %><% if false %>5<% end %>", "134"),
    ("<% if false %><%= `false` %><%= ENV.fetch('NONE') %><% end %>", ""),
    // What an installed Ruby would render.
    (
        "<% require \"dotenv\"; Dotenv.load(\".env\") %><%= ENV['OF_FILE'] %> <%= ENV['A'] %>",
        "from the file 1",
    ),
    ("<% require 'dotenv'\n   Dotenv.load '.env', 'none' %><%= ENV.fetch('TWICE') %>", "from the file twice"),
    ("<% require 'dotenv/load' %><%= ENV['OF_FILE'] %>", "from the file"),
    ("<% Dotenv.load('none') -%>\n<%= ENV.key?('OF_FILE') %>", "false"),
    ("<%= File.read('.ruby-version').strip %>|<%= File.read \".ruby-version\" %>", "3.4.1|3.4.1\n"),
    ("<% name = ENV['A'] %><% other = name || 'x'; name ||= 'y' %><%= name %><%= other %>", "11"),
    (
        "<% hosts = 'a, b,c,'.split(',') -%>\n<%= hosts %> <%= hosts.first %> <%= hosts.last %>",
        "[\"a\", \" b\", \"c\"] a c",
    ),
    ("<%= 'a, b'.split(',').map(&:strip).join('+') %> <%= ' a  b '.split %>", "a+b [\"a\", \"b\"]"),
    ("<% 'a,b'.split(',').each do |host| -%>\n- <%= host %>\n<% end -%>\n", "- a\n- b\n"),
    ("<%= ENV['EMPTY'].presence || 'd' %> <%= ENV['A'].presence %> <%= ENV['NONE'].presence %>|", "d 1 |"),
    ("<%= ENV['BLANKS'].present? %> <%= ENV['NONE'].blank? %> <%= '\t'.blank? %>", "true true true"),
    // Comments, escapes, trimming.
    ("a<%# ENV.fetch('NONE') %>b<%#= 1 -%>\nc", "abc"),
    ("a <%%= 1 %> <%%", "a <%= 1 %> <%"),
    ("a:\n  <%- if true -%>\n  - b\n  <%- end -%>\r\n  - c\n", "a:\n  - b\n  - c\n"),
    ("a <%- if true %>\nb <% end -%>\n\nc", "a \nb \nc"),
    ("<%= 1 %> \t<%- if true %>b<%- end %>", "1b"),
    ("<% -%>\na<%- %>b<%-# c -%>\nd", "abd"),
    ("<% if\ntrue\n%>a<% end\n%>", "a"),
];

#[test]
fn what_templates_give() {
    for (template, text) in RENDERED {
        match render(template) {
            Ok(file) => assert_eq!(file.yaml(), *text, "{template:?}"),
            Err(error) => panic!("{template:?}\n{error}"),
        }
    }
}

/// Run it with `cargo nextest run -p bowline-config --run-ignored only` on a machine that has `ruby` with `dotenv` and
/// `activesupport`.
#[test]
#[ignore = "needs Ruby"]
fn ruby_says_the_same() {
    let directory = std::env::temp_dir().join("bowline-template");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join(".env"), "OF_FILE='from the file'\nA=2\nTWICE=\"$OF_FILE twice\"\n")
        .unwrap();
    std::fs::write(directory.join(".ruby-version"), "3.4.1\n").unwrap();
    for (template, text) in RENDERED {
        let program = format!("print ERB.new({}, trim_mode: '-').result", ruby_text(template));
        let mut ruby = std::process::Command::new("ruby");
        let libraries = ["-rerb", "-rdotenv", "-ractive_support/all"];
        ruby.arg("-EUTF-8").args(libraries).args(["-e", &program]).envs(VARIABLES).env_remove("NONE");
        ruby.current_dir(&directory);
        let output = ruby.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said, *text, "{template:?}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

fn ruby_text(text: &str) -> String {
    text.bytes().fold(String::from("String.new(\""), |all, byte| format!("{all}\\x{byte:02x}"))
        + "\", encoding: 'UTF-8')"
}

#[test]
fn a_command_runs_once_and_only_if_it_is_needed() {
    let text = "<%= `echo a` %><%= `echo a` %><%= ENV['A'] || `echo b` %><% if `echo c`.strip == 'c' %><%= `echo d` %><% end %>";
    let (_, ran) = render_with(text, run);
    let words: Vec<Vec<String>> = ran.iter().map(Program::words).collect();
    let sh = |command: &str| ["/bin/sh", "-c", command].map(String::from).to_vec();
    assert_eq!(words, [sh("echo a"), sh("echo c"), sh("echo d")]);
}

#[test]
fn a_file_without_a_tag_stays_as_it_is() {
    let file = SourceFile::new("deploy.yml", "a: 50%\nb: '%>'\n");
    assert_eq!(render(&file.text), Ok(file));
}

/// Code that isn't built in, and the part of it that the error points at.
const FOREIGN: &[(&str, &str)] = &[
    ("<%= ENV['A'].try(:a) %>", ".try"),
    ("<%= ENV['A'].upcase %>", ".upcase"),
    ("<%= ENV['A'].chomp('x') %>", "'x"),
    ("<%= ENV.fetch('A') { |name| name } %>", "|name"),
    ("<%= ENV.fetch('A', 'b', 'c') %>", ","),
    ("<%= ENV.to_h %>", "ENV"),
    ("<%= ENV %>", "ENV"),
    ("<%= RUBY_VERSION %>", "RUBY_VERSION"),
    ("<%= require 'x' %>", "require"),
    ("<%= File.open('.ruby-version') %>", "File"),
    ("<% require 'json' %>", "require 'json'"),
    ("<% a = 1 + 2 %>", "+"),
    ("<% a, b = 1, 2 %>", "a, b = 1, 2"),
    ("<%= 'a'.split(/,/) %>", "/,/)"),
    ("<% 'a'.split.each { |x| } %>", "'a'.split.each { |x| }"),
    ("<%= 'a' + 'b' %>", "+"),
    ("<%= 'a' 'b' %>", "'b"),
    ("<%= 'a' === 'b' %>", "==="),
    ("<%= -1 %>", "-1"),
    ("<%= 1.5 %>", "1"),
    ("<%= 010 %>", "010"),
    ("<%= \"\\u00e9\" %>", "\\u00e9"),
    ("<%= \"#$x\" %>", "#$x"),
    ("<%= 'a' if true %>", "if"),
    ("<%= 1; 2 %>", ";"),
    ("<%= (1 %>", ""),
    ("<%= 'a %>", "'a"),
    ("<%= %w(a b) %>", "%w"),
    ("<%= %xa %>", "%xa"),
    ("<%= '%%>' %>", "<%= '%%>' %>"),
    ("<%= %>", ""),
    ("<% 3.times do |n| %>", "3.times do |n|"),
    ("<% require 'dotenv'\nx %>", "x"),
    ("<% if x %>", "x"),
    ("<% if true then %>", "then"),
    ("<% end if true %>", "end if true"),
    ("<% # a %>", "# a"),
    ("<%-= 1 %>", "= 1"),
];

#[test]
fn ruby_renders_what_it_may_know_more_of() {
    let text = "<% require 'dotenv'; Dotenv.load %>a: <%= ENV['A'].presence %>\n";
    let (file, ran) =
        render_with(text, |_| Ended::Well("\u{2}1\u{3}a: \u{2}2\u{3}of Ruby\u{2}3\u{3}\n".into()));
    assert_eq!(file.unwrap().yaml(), "a: of Ruby\n");
    assert!(matches!(ran.as_slice(), [Program::Ruby(_)]), "{ran:?}");
    let (file, ran) = render_with(text, run);
    assert_eq!(file.unwrap().yaml(), "a: 1\n");
    assert!(matches!(ran.as_slice(), [Program::Ruby(_), Program::File(path)] if path == ".env"), "{ran:?}");
}

#[test]
fn what_is_not_built_in_is_left_to_ruby() {
    let found = |text: &str| match Template::new(SourceFile::new("f", text)) {
        Ok(Template { way: Way::Ruby(constructs), .. }) => {
            let of = |construct: &expr::Unsupported| text[construct.span.clone()].to_owned();
            constructs.iter().map(of).collect::<Vec<_>>().join(" ")
        }
        other => format!("{other:?}"),
    };
    for (text, construct) in FOREIGN {
        assert_eq!(found(text), *construct, "{text:?}");
    }
}

#[test]
fn too_deep_is_no_crash() {
    let deep = |open: &str, close: &str| format!("<%= {}1{} %>", open.repeat(5000), close.repeat(5000));
    for text in [deep("(", ")"), deep("!", ""), deep("\"#{", "}\""), deep("1 ? ", " : 1")] {
        assert!(refused(&text).contains("this is not built in"));
    }
    let conditions = format!("{}{}", "<% if true %>".repeat(5000), "<% end %>".repeat(5000));
    assert!(refused(&conditions).contains("nested too deeply"));
}
