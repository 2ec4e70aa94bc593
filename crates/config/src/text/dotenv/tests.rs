//! The dialect, as Kamal 2's `secrets print` reads these lines, and Bowline's deliberate differences.

use super::*;
use crate::diagnostic::Diagnostic;

/// An entry in one line: literal texts, `‹$NAME›`, `‹sh …›`, `‹call …›`.
fn shown(file: &File) -> Vec<String> {
    file.entries.iter().map(|entry| format!("{}={}", entry.key, parts(&entry.parts))).collect()
}

fn parts(parts: &[Part]) -> String {
    let part = |part: &Part| match part {
        Part::Text(text) => text.expose().to_owned(),
        Part::Variable(variable) => format!("‹${}›", variable.name),
        Part::Command(command) => format!("‹{}›", kind(&command.kind)),
    };
    parts.iter().map(part).collect()
}

fn kind(kind: &CommandKind) -> String {
    match kind {
        CommandKind::Shell(pieces) => format!("sh {}", shell(pieces)),
        CommandKind::Secrets(found) => call(found),
    }
}

fn shell(pieces: &[Piece]) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Variable { name, raw, quotes } => format!("‹{name} as {raw} {quotes:?}›"),
        Piece::Call { call: found, quotes, .. } => format!("‹{} {quotes:?}›", call(found)),
    };
    pieces.iter().map(piece).collect()
}

fn call(call: &Call) -> String {
    let words: Vec<String> = call.words.iter().map(word).collect();
    let env: String = call.env.iter().map(|(name, value)| format!("{name}={} ", word(value))).collect();
    let pipe = call.pipe.as_ref().map(|pipe| format!(" |{}", shell(pipe))).unwrap_or_default();
    format!("{env}call [{}]{pipe}", words.join("] ["))
}

fn word(word: &Word) -> String {
    let part = |part: &WordPart| match part {
        WordPart::Text(text) => text.clone(),
        WordPart::Variable { variable, quoted } => format!("‹${}{}›", variable.name, mark(*quoted)),
        WordPart::Command { command, quoted } => format!("‹{}{}›", kind(&command.kind), mark(*quoted)),
    };
    word.iter().map(part).collect()
}

fn mark(quoted: bool) -> &'static str {
    if quoted { " quoted" } else { "" }
}

#[track_caller]
fn reads(text: &str, expected: &[&str]) {
    let file = parse("f", text, false);
    assert_eq!(file.errors, [], "{text}");
    assert_eq!(shown(&file), expected, "{text}");
}

#[test]
fn lines() {
    reads("A=1\n B = two words # c\n\texport\tC=3\n  export   D = 4", &["A=1", "B=two words", "C=3", "D=4"]);
    reads("A\nB=\nC= # c\nD # c\nexport A\n", &["A=", "B=", "C=", "D="]);
    reads("D: 4\nE:5\nF : 6\nG:\n", &["D=4"]);
    reads(
        "K-L=1\nM N=2\n# A=1\n\n   \n.q=1\nO=a=b\nP==x\nexport=y\nexport = z\n",
        &[".q=1", "O=a=b", "P==x", "export=y", "export=z"],
    );
    reads("A=x\r\nB=\"q\r\nr\"\r\n", &["A=x", "B=q\nr"]);
    reads("\u{feff}A=é\n", &["A=é"]);
    reads("A=1\nA=2", &["A=1", "A=2"]);
}

#[test]
fn quotes() {
    reads("A='x' # c\nG= 'q'\nB=\"a#b\" # c\nC='a#b'#c", &["A=x", "G=q", "B=a#b", "C=a#b"]);
    reads(r"E='don\'t'", &[r"E=don\'t"]);
    reads("F='a\\'\nG=1", &["F=a\\", "G=1"]);
    reads("G=\"C:\\dir\\\"\nH=\"x\"", &["G=C:dir\\", "H=x"]);
    reads(r#"H="q\\""#, &["H=q\\"]);
    reads(r#"C="a" and "b""#, &[r#"C=a" and "b"#]);
    reads("D='a'b'c'", &["D=a'b'c"]);
    reads("A=\"a\n\n b # not\nc\" # x\nB=after\nF='\nx\n'\n", &["A=a\n\n b # not\nc", "B=after", "F=\nx\n"]);
    reads("A='$B $(c) \\n'", &["A=$B $(c) \\n"]);
    reads("A=''\nB=\"\"", &["A=", "B="]);
}

#[test]
fn escapes() {
    reads(r"K=a\nb\ c\#d", &["K=anb c#d"]);
    reads(r#"L="a\nb\tc\"d\\e\rf""#, &[r#"L=a\nbtc"d\e\rf"#]);
    reads(r"G=\$A", &["G=$A"]);
    reads(r"H=\\$A", &["H=$A"]);
    reads(r#"I="\\$A""#, &["I=$A"]);
    reads(r"J=\\\$A", &[r"J=\$A"]);
    reads(r"M=\${A}", &["M=${A}"]);
    reads(r"N=a\", &[r"N=a\"]);
    let legacy = |text: &str, legacy| shown(&parse("f", text, legacy)).concat();
    assert_eq!(legacy("A=\"a\\nb\\rc\"", true), "A=a\nb\rc");
    assert_eq!(
        legacy("DOTENV_LINEBREAK_MODE=legacy\nA=\"a\\nb\"", false),
        "DOTENV_LINEBREAK_MODE=legacyA=a\nb"
    );
}

#[test]
fn references() {
    reads("A=$B\nC=x${B}y$D-$E.z\"", &["A=‹$B›", "C=x‹$B›y‹$D›-‹$E›.z\""]);
    reads("E=${}\nF=$\nG=a$\nH=$-\nI=$$B", &["E=${}", "F=$", "G=a$", "H=$-", "I=$‹$B›"]);
    reads("PW=pa$1wor$D", &["PW=pa‹$1wor›‹$D›"]);
    // The library drops a brace that follows.
    reads("A={\"a\":$B}", &["A={\"a\":‹$B›}"]);
}

#[test]
fn commands_for_the_shell() {
    reads("A=$(echo hi) # c", &["A=‹sh echo hi›"]);
    reads("L=x$(echo 1)y$(echo 2)", &["L=x‹sh echo 1›y‹sh echo 2›"]);
    reads(r#"E="$(echo \"hi\")""#, &[r#"E=‹sh echo "hi"›"#]);
    reads(r"F=\$(echo hi $A)", &["F=$(echo hi ‹$A›)"]);
    reads("F=\\$(a $(b)) $(c)", &["F=$(a $(b)) ‹sh c›"]);
    reads("D='$(echo hi)'\nE=$()", &["D=$(echo hi)", "E=$()"]);
    reads("G=$(echo $(echo n) (a))", &["G=‹sh echo $(echo n) (a)›"]);
    reads("A=\"$(one \\\ntwo)\"", &["A=‹sh one \ntwo›"]);
    // The library ends these at the first parenthesis and at the `#`.
    reads("A=$(echo \"a)b\" ')' # c)", &["A=‹sh echo \"a)b\" ')' # c›"]);
    reads("A=$(a $B \"$B\" '$B')", &["A=‹sh a ‹B as $B None› \"‹B as $B Double›\" '‹B as $B Single›'›"]);
    reads("A=$(a ${B}c ${B:-d} $1)", &["A=‹sh a ‹B as ${B} None›c ‹B as ${B None›:-d} ‹1 as $1 None››"]);
    reads(r"A=$(awk '{print \$1}' \$B)", &["A=‹sh awk '{print $1}' $B›"]);
    reads(r"A=$(a it\\'s $B)", &[r"A=‹sh a it\'s ‹B as $B None››"]);
}

#[test]
fn our_own_commands() {
    reads(
        "A=$(kamal secrets fetch -a x 'b c' \"d e\"f\\\\ g)",
        &["A=‹call [fetch] [-a] [x] [b c] [d ef g]›"],
    );
    for name in
        ["bowline", "bin/kamal", "./bin/kamal", "bundle exec kamal", "bundle exec bin/kamal", "  kamal  "]
    {
        reads(&format!("A=$({name} secrets extract B $S)"), &["A=‹call [extract] [B] [‹$S›]›"]);
    }
    for other in
        ["kamal lock status", "mykamal secrets", "bundle kamal secrets", "echo kamal secrets x", "$K secrets"]
    {
        assert!(
            shown(&parse("f", &format!("A=$({other})"), false)).concat().starts_with("A=‹sh "),
            "{other}"
        );
    }
    reads("A=$(kamal secrets extract B '$S')", &["A=‹call [extract] [B] [‹$S quoted›]›"]);
    reads(
        "A=$(kamal secrets extract B $(kamal secrets fetch -a x B))",
        &["A=‹call [extract] [B] [‹call [fetch] [-a] [x] [B]›]›"],
    );
    reads(
        "A=$(kamal secrets fetch --account $(op whoami) \"$(b)\"c)",
        &["A=‹call [fetch] [--account] [‹sh op whoami›] [‹sh b quoted›c]›"],
    );
    reads("A=$(T=$B kamal secrets fetch x)", &["A=‹T=‹$B› call [fetch] [x]›"]);
    reads("A=$(kamal secrets extract B $S | base64 -d)", &["A=‹call [extract] [B] [‹$S›] | base64 -d›"]);
    reads("A=\"$(kamal secrets fetch \\\n  -a x \\\n  B\n)\"", &["A=‹call [fetch] [-a] [x] [B]›"]);
    reads(
        "A=$(echo $(kamal secrets extract B $S) \"$(bowline secrets print)\")",
        &["A=‹sh echo ‹call [extract] [B] [‹$S›] None› \"‹call [print] Double›\"›"],
    );
    reads("A=$(echo $(cat $B))", &["A=‹sh echo $(cat ‹B as $B None›)›"]);
}

fn told(text: &str) -> String {
    let file = parse(".kamal/secrets", text, false);
    let errors = report([&file], file.errors.clone()).render(false);
    let warnings = report([&file], file.warnings.clone()).render(false);
    [errors, warnings].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n")
}

#[test]
fn what_is_wrong_is_shown_without_values() {
    let text = "GOOD=hunter2\n\
        A=\"hunter2\n\
        B='x' hunter2\n\
        C=hunter2$(op read x\n\
        D=hunter2${E:-x}\n\
        export F\n\
        G=$(kamal secrets print && echo hunter2)\n";
    insta::assert_snapshot!(told(text));
    assert!(!told(text).contains("hunter2"), "{}", told(text));
}

#[test]
fn what_is_doubtful_is_told() {
    insta::assert_snapshot!(told(
        "A=abc#def\nKEY=-----BEGIN-----\nMIIE+hunter2/\n B-C=hunter2\nB=x # fine\n"
    ));
}

#[test]
fn commands_are_shown_but_for_what_follows_a_word_that_sounds_secret() {
    let shown = |text: &str| {
        let file = parse("f", text, false);
        let at = file.entries.last().unwrap().key_at.clone();
        report([&file], vec![Diagnostic::error(at, "x")]).render(false).lines().nth(3).unwrap().to_owned()
    };
    insta::assert_snapshot!(
        [
            "A=$(op read op://v/i/f) # c",
            "A=pre$(curl -H 'Authorization: Bearer hunter2' $URL --token hunter2 --user me)post",
            "A=\"$(PASSWORD=hunter2 x --password=hunter2 -v)\"",
            "A=$(kamal secrets extract A '{\"A\":\"hunter2\"}')",
            "A=$B $HOME_DIR x$HOME_DIR $hunter2",
            "A='hunter2='",
        ]
        .map(shown)
        .join("\n")
    );
}

proptest::proptest! {
    /// Any text can be a value in single quotes.
    #[test]
    fn any_value_can_be_written(value in "[^'\\\\\0\r]{0,40}") {
        let file = parse("f", &format!("A='{value}'\nB=1\n"), false);
        let found = shown(&file);
        proptest::prop_assert_eq!(found.first(), Some(&format!("A={value}")));
    }

    /// Parsing never panics, and every problem points into the text.
    #[test]
    fn any_text_can_be_read(text in "[A\"'\\\\$(){}# =\n|éx:kamal secrets]{0,60}") {
        let file = parse("f", &text, false);
        for problem in file.errors.iter().chain(&file.warnings) {
            proptest::prop_assert!(file.source.text.get(problem.span.start..problem.span.end).is_some(), "{:?}", problem);
        }
        told(&text);
    }
}

#[test]
fn no_formatting_of_a_file_shows_a_value() {
    let text = "A=hunter2\nB=\"$A hunter2\"\nC=$(echo hunter2)\nD=$(X=hunter2 kamal secrets extract A hunter2 | tr hunter2 x)\n";
    let file = parse("f", text, false);
    assert_eq!(file.entries.len(), 4);
    assert!(!format!("{file:?}").contains("hunter2"), "{file:?}");
}
