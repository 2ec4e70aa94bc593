//! Tests resolving whole secrets files: which commands run, how often and with what, and what errors say.

use bowline_config::secret::Secret;
use bowline_config::{Destination, SourceFile, load};

use super::*;
use crate::testing::{Shop, says};

const CONFIG: &str = "service: app\nimage: app\nservers: [a]\nregistry: {username: u, password: [PW]}\n";

fn store(shop: &Shop, destination: Option<&str>) -> Store {
    let destination = destination.map(|name| Destination {
        name: name.into(),
        file: SourceFile::new("config/deploy.d.yml", "x-none: 1\n"),
    });
    let config = load(SourceFile::new("config/deploy.yml", CONFIG), destination).unwrap().config;
    Store::load(shop, &config)
}

/// A machine with this secrets file and these answers of commands.
fn shop(text: &str, answers: &[(&str, crate::testing::Answer)]) -> Shop {
    Shop::new(answers).with_file(".kamal/secrets", text)
}

async fn values(shop: &Shop, names: &[&str]) -> Result<Vec<String>, Unavailable> {
    let values = store(shop, None).values(shop, names).await?;
    Ok(names.iter().filter_map(|name| values.get(*name).map(|value| value.expose().to_owned())).collect())
}

/// The text of an error, which must not contain a value.
fn told(error: Unavailable) -> String {
    let text = match error {
        Unavailable::Unreadable(text) => text,
        Unavailable::Invalid(report) => format!("invalid\n{}", report.render(false)),
        Unavailable::Failed(report) => format!("failed\n{}", report.render(false)),
    };
    assert!(!text.contains("hunter2"), "{text}");
    text
}

#[tokio::test]
async fn references_go_to_the_lines_above_and_then_to_the_environment() {
    let text = "B=2\nA=$X\nX=3\nC=$A$B-${X}\nB=4\nD=$B\n";
    let mut shop = shop(text, &[]);
    shop.variables.insert("X".into(), "env".into());
    assert_eq!(values(&shop, &["A", "B", "C", "D", "none"]).await.unwrap(), ["env", "4", "env2-3", "4"]);
}

#[tokio::test]
async fn later_files_win_and_each_is_read_by_itself() {
    let mut shop = Shop::new(&[])
        .with_file(".kamal/secrets-common", "B=0\nX=9\nY=8\n")
        .with_file(".kamal/secrets", "B=2\nA=$X\n")
        .with_file(".kamal/secrets.d", "B=3\nD=$KAMAL_DESTINATION\n");
    shop.variables.insert("X".into(), "env".into());
    assert_eq!(values(&shop, &["A", "B", "X", "Y"]).await.unwrap(), ["env", "2", "9", "8"]);
    let store = store(&shop, Some("d"));
    assert_eq!(store.files(), [".kamal/secrets-common", ".kamal/secrets.d"]);
    assert_eq!(store.names(), ["B", "X", "Y", "D"]);
    let found = store.values(&shop, &["B", "D", "A"]).await.unwrap();
    assert_eq!(found, [("B", "3"), ("D", "d")].map(|(name, value)| (name.into(), Secret::new(value))).into());
}

#[tokio::test]
async fn only_what_is_wanted_runs_and_once() {
    let text = "A=$(one)\nB=$(two)\nC=$A-$A\nD=$(three $A)\n";
    let answers = [("/bin/sh -c one", says("1\n", 0)), ("/bin/sh -c 'three", says("3\r\n", 0))];
    let shop = shop(text, &answers);
    let store = store(&shop, None);
    assert!(store.runs_commands(&["C"]) && !store.runs_commands(&["none"]));
    let found = store.values(&shop, &["C", "D", "A"]).await.unwrap();
    assert_eq!(found.len(), 3);
    assert_eq!(found["C"], Secret::new("1-1"));
    assert_eq!(found["D"], Secret::new("3"));
    assert!(!store.runs_commands(&["C"]) && store.runs_commands(&["B"]));
    store.values(&shop, &["A", "C"]).await.unwrap();
    assert_eq!(shop.lines(), ["!/bin/sh -c one", "A=1 !/bin/sh -c 'three $A'"]);
}

#[tokio::test]
async fn commands_that_dont_need_each_other_run_side_by_side() {
    let text = "A=$(x 1)$(x 2)\nB=$(x 3)\n";
    let answers = [("/bin/sh", says("y", 0))];
    let free = shop(text, &answers);
    assert_eq!(values(&free, &["A", "B"]).await.unwrap(), ["yy", "y"]);
    assert_eq!(free.at_once(), 3);
    // If there is a terminal, the first run of each program is alone.
    let mut asking = shop("A=$(x 1)\nB=$(x 2)\nC=$(x 3)\n", &answers);
    asking.terminal = true;
    values(&asking, &["A", "B", "C"]).await.unwrap();
    assert_eq!(asking.at_once(), 2);
}

#[tokio::test]
async fn a_value_never_becomes_a_command() {
    let hostile = "'; touch x; $(touch y) `touch z` \"";
    let text = format!(
        "A=\"{}\"\nB=$(echo $A \"$A\" '$A' '$1' ${{A:-x}})\n",
        hostile.replace(['"', '\\'], "").replace('$', "\\$")
    );
    let shop = shop(&text, &[("/bin/sh", says("out", 0))]);
    values(&shop, &["B"]).await.unwrap();
    let ran = &shop.ran()[0];
    assert_eq!(ran.words[2], r#"echo $A "$A" ''"${A}"'' '$1' ${A:-x}"#);
    assert_eq!(ran.env.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["A"; 4]);
    assert!(ran.env[0].1.expose().contains("$(touch y)"));
}

#[tokio::test]
async fn what_a_command_prints_is_the_value() {
    let shop = shop("A=$(x)\nB=\"-$(x)-\"\n", &[("/bin/sh", says("pa$1wor$D # '\"\\ $(x) é\n\n", 0))]);
    let value = "pa$1wor$D # '\"\\ $(x) é\n";
    assert_eq!(values(&shop, &["A", "B"]).await.unwrap(), [value.to_owned(), format!("-{value}-")]);
}

const FETCH: &str = "kamal secrets fetch -a 1password --account acc --from V/I";

fn vault() -> Vec<(&'static str, crate::testing::Answer)> {
    let field = |name: &str, value: &str| {
        format!(r#"{{"label":"{name}","reference":"op://V/I/{name}","value":"{value}"}}"#)
    };
    let all = format!("[{},{}]", field("A", "a  * b"), field("B", "$x'\\\"\\nz"));
    vec![("op --version", says("2", 0)), ("op account get", says("{}", 0)), ("op item get", says(&all, 0))]
}

#[tokio::test]
async fn what_several_lines_extract_is_fetched_once_without_a_kamal() {
    let text = format!(
        "NAMES='A B'\nS=$({FETCH} $NAMES)\nA=$(kamal secrets extract A $S)\nB=$(bundle exec kamal secrets extract B \"$S\")\n\
         C=$(bin/kamal secrets extract A $({FETCH} A B))\nD=x$(kamal secrets extract V/I/A '$S')\n"
    );
    let shop = shop(&text, &vault());
    let found = values(&shop, &["A", "B", "C", "D", "S"]).await.unwrap();
    assert_eq!(found[..4], ["a  * b", "$x'\"\nz", "a  * b", "xa  * b"]);
    assert_eq!(found[4], r#"{"V/I/A":"a  * b","V/I/B":"$x'\"\nz"}"#);
    assert_eq!(
        shop.lines(),
        [
            "op --version",
            "op account get --account acc",
            "op item get I --vault V --format json --account acc --fields label=A,label=B",
        ]
    );
}

#[tokio::test]
async fn what_was_fetched_is_one_word_in_a_shell_too() {
    let text = format!(
        "S=$({FETCH} A B)\nA=$(echo $S | jq .)\nB=$(echo $(kamal secrets extract A $S) \"$(bowline secrets extract A $S)\")\n\
         C=$(kamal secrets extract A $S | base64 -d)\n"
    );
    let mut answers = vault();
    answers.push(("/bin/sh", says("x", 0)));
    let shop = shop(&text, &answers);
    values(&shop, &["A", "B", "C"]).await.unwrap();
    let shells: Vec<LocalCommandView> = shop.ran().iter().skip(3).map(view).collect();
    let expected = [
        (r#"echo "${S}" | jq ."#, vec!["S"], None),
        (
            r#"echo "${BOWLINE_SECRET_1}" "${BOWLINE_SECRET_3}""#,
            vec!["BOWLINE_SECRET_1", "BOWLINE_SECRET_3"],
            None,
        ),
        (" base64 -d", vec![], Some("a  * b\n")),
    ];
    for (text, names, input) in expected {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let wanted = (text.to_owned(), names, input.map(str::to_owned));
        assert!(shells.contains(&wanted), "{wanted:?} in {shells:?}");
    }
}

type LocalCommandView = (String, Vec<String>, Option<String>);

fn view(command: &crate::ports::LocalCommand) -> LocalCommandView {
    let names = command.env.iter().map(|(name, _)| name.clone()).collect();
    (command.words[2].clone(), names, command.input.as_ref().map(|input| input.expose().to_owned()))
}

#[tokio::test]
async fn variables_before_our_own_command_are_the_vendors() {
    let text = "T=t\nA=$(TOKEN=x$T kamal secrets fetch -a bitwarden-sm 1 -d x -v)\n";
    let answers = [
        ("bws --version", says("", 0)),
        ("bws project", says("", 0)),
        ("bws secret", says(r#"{"key":"K","value":"v"}"#, 0)),
    ];
    let shop = shop(text, &answers);
    assert_eq!(values(&shop, &["A"]).await.unwrap(), [r#"{"K":"v"}"#]);
    assert_eq!(shop.lines()[2], "TOKEN=xt bws secret get 1");
}

#[tokio::test]
async fn what_goes_wrong_is_shown_where_it_stands() {
    let cases: [(&str, crate::testing::Answer); 9] = [
        ("A=hunter2$(op read x)", says("[ERROR] no such item\nsecond line", 1)),
        ("B=hunter2\nA=$(x $B)", says("it is hunter2", 2)),
        ("A=$(x)", Ok(crate::ports::Output { stdout: "\u{fffd}hunter2".into(), ..Default::default() })),
        ("A=$UNSET_NAME", says("", 0)),
        ("A=hunter2$1wor", says("", 0)),
        ("A=$(kamal secrets fetch -a nope X)", says("", 0)),
        ("A=$(kamal secrets fetch -a doppler --from p/c X)", says("", 0)),
        ("S='{\"x/C\":\"hunter2\"}'\nA=$(kamal secrets extract B $S)", says("", 0)),
        ("A=$(kamal secrets print)", says("", 0)),
    ];
    let mut all = Vec::new();
    for (text, answer) in cases {
        let shop = shop(text, &[("/bin/sh", answer)]);
        all.push(told(values(&shop, &["A"]).await.unwrap_err()));
    }
    insta::assert_snapshot!(all.join("\n--\n"));
}

#[tokio::test]
async fn a_line_that_fails_is_told_once_however_many_want_it() {
    let shop = shop(
        "A=$(x)\nB=$A\nC=$A\nD=$(y)\n",
        &[("/bin/sh -c x", says("no", 1)), ("/bin/sh -c y", says("no", 1))],
    );
    let Unavailable::Failed(report) = values(&shop, &["B", "C", "A", "D"]).await.unwrap_err() else {
        panic!()
    };
    assert_eq!(report.len(), 2, "{}", report.render(false));
    assert_eq!(shop.lines().len(), 2);
}

#[tokio::test]
async fn a_file_with_errors_gives_nothing_and_hooks_do_without_what_is_not_set() {
    let broken = shop("A=1\nB='\n", &[]);
    assert!(matches!(values(&broken, &["A"]).await, Err(Unavailable::Invalid(_))));
    let unset = shop("A=$UNSET\nB=1\nC=$A\n", &[]);
    let found = store(&unset, None).all_set(&unset).await.unwrap();
    assert_eq!(found, [("B".to_owned(), Secret::new("1"))].into());
    let (found, error) = store(&unset, None).all(&unset).await;
    assert_eq!(found.len(), 1);
    assert!(told(error.unwrap()).contains("UNSET"));
    let failing = shop("A=$(x)\n", &[]);
    assert!(store(&failing, None).all_set(&failing).await.is_err());
}
