//! Tests the exact commands of each vault's vendor, and the values parsed from their answers.

mod clouds;

use std::time::Duration;

use bowline_config::secret::Secret;

use crate::secrets::fetch::{FetchRequest, Fetcher, object};
use crate::secrets::trouble::Trouble;
use crate::testing::{Shop, says};

const LIMIT: Duration = Duration::from_secs(300);

/// `secrets fetch` with these arguments: adapter, `account=…`, `from=…`, names.
async fn fetch(shop: &Shop, words: &[&str]) -> Result<String, Trouble> {
    let flag = |flag: &str| words.iter().find_map(|word| word.strip_prefix(flag).map(str::to_owned));
    let names =
        words.iter().skip(1).filter(|word| !word.starts_with("account=") && !word.starts_with("from="));
    let names = names.map(|name| (*name).to_owned()).collect();
    let request = FetchRequest::new(words[0], flag("account="), flag("from="), names)?;
    Fetcher::new(None, LIMIT).fetch(shop, &request).await.map(|fetched| object(&fetched))
}

/// The complete error, to check that it contains no secret.
async fn fails(shop: &Shop, words: &[&str]) -> String {
    let trouble = fetch(shop, words).await.unwrap_err();
    let all = [Some(trouble.message), trouble.said, trouble.hint];
    let text = all.into_iter().flatten().collect::<Vec<_>>().join("\n");
    assert!(!text.contains("hunter2"), "{text}");
    text
}

const OP: [&str; 2] = ["1password", "account=acc"];

fn op(more: &[&'static str]) -> Vec<&'static str> {
    OP.iter().chain(more).copied().collect()
}

fn field(reference: &str, value: &str) -> String {
    let label = reference.rsplit('/').next().unwrap();
    format!(r#"{{"id":"i","label":"{label}","reference":"{reference}","value":"{value}"}}"#)
}

#[tokio::test]
async fn one_password_asks_for_each_item_once() {
    let two = format!("[{},{}]", field("op://V/I/user", "u1"), field("op://V/I/password", "p1"));
    let shop = Shop::new(&[
        ("op --version", says("2.30", 0)),
        ("op account get", says("{}", 0)),
        ("op item get I --vault V ", says(&two, 0)),
        ("op item get J --vault V ", says(&field("op://V/J/sec/a b", "j"), 0)),
        ("op item get I --vault W ", says(&format!("[{}]", field("op://W/I/password", "w\\n\\\"é")), 0)),
    ]);
    let names = op(&["V/I/user", "W/I", "V/J/sec/a b", "op://V/I/password"]);
    assert_eq!(
        fetch(&shop, &names).await.unwrap(),
        r#"{"V/I/user":"u1","V/I":"p1","V/J/sec/a b":"j","W/I":"w\n\"é"}"#
    );
    assert_eq!(
        shop.lines(),
        [
            "op --version",
            "op account get --account acc",
            "op item get I --vault V --format json --account acc --fields label=user,label=password",
            "op item get J --vault V --format json --account acc --fields 'label=sec.a b'",
            "op item get I --vault W --format json --account acc --fields label=password",
        ]
    );
}

#[tokio::test]
async fn one_password_logs_in_at_the_terminal_and_goes_on_with_the_session() {
    let whole = r#"{"fields":[{"label":"x","reference":"op://V/I/x","value":"1"},{"label":"e","reference":"op://V/I/e"}]}"#;
    let shop = Shop::new(&[
        ("op --version", says("2.30", 0)),
        ("op account get", says("", 1)),
        ("op signin", says("hunter2\n", 0)),
        ("op item get", says(whole, 0)),
    ]);
    assert_eq!(fetch(&shop, &op(&["from=V/I"])).await.unwrap(), r#"{"V/I/x":"1","V/I/e":""}"#);
    assert_eq!(
        shop.lines()[2..],
        [
            "!op signin --account acc --force --raw",
            "op item get I --vault V --format json --account acc --session hunter2",
        ]
    );
    // The desktop app returns no token.
    let shop = Shop::new(&[
        ("op --version", says("2.30", 0)),
        ("op account get", says("", 1)),
        ("op signin", says("", 0)),
        ("op item get", says(&field("op://V/I/a", "1"), 0)),
    ]);
    fetch(&shop, &op(&["from=V", "I/a"])).await.unwrap();
    assert_eq!(shop.lines()[3], "op item get I --vault V --format json --account acc --fields label=a");
}

#[tokio::test]
async fn what_goes_wrong_with_one_password() {
    let there =
        [("op --version", says("2", 0)), ("op account get", says("", 1)), ("op signin", says("hunter2", 0))];
    let with = |answer| Shop::new(&[there.as_slice(), &[("op item get", answer)]].concat());
    let names = op(&["V/I/a", "V/I/b"]);
    insta::assert_snapshot!(
        [
            fails(&Shop::new(&[]), &names).await,
            fails(&Shop::new(&[("op --version", says("broken", 3))]), &names).await,
            fails(
                &Shop::new(&[there[0].clone(), there[1].clone(), ("op signin", says("no such account", 1))]),
                &names
            )
            .await,
            fails(&with(says("[ERROR] \"a\" isn't a field, token hunter2", 1)), &names).await,
            fails(&with(says("hunter2", 0)), &names).await,
            fails(&with(says(&field("op://V/I/a", "hunter2"), 0)), &names).await,
            fails(&Shop::new(&[]), &op(&["V"])).await,
            fails(&Shop::new(&[]), &op(&[])).await,
            fails(&Shop::new(&[]), &["1password", "V/I"]).await,
            fails(&Shop::new(&[]), &["onepass", "V/I"]).await,
        ]
        .join("\n--\n")
    );
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_hangs_is_not_called_missing() {
    let mut shop = Shop::new(&[]);
    shop.stay = vec![("op --version".into(), String::new())];
    let said = fails(&shop, &op(&["V/I/a"])).await;
    assert!(said.contains("`op --version` failed: it did not finish within 300 s"), "{said}");
}

#[tokio::test]
async fn last_pass() {
    let both = r#"[{"id":"1","fullname":"F/A","password":"pa"},{"fullname":"F/B","password":"pb"}]"#;
    let shop = Shop::new(&[
        ("lpass --version", says("1", 0)),
        ("lpass status", says("Logged in as me@x.\n", 0)),
        ("lpass show", says(both, 0)),
    ]);
    let words = ["lastpass", "account=me@x", "from=F", "A", "B"];
    assert_eq!(fetch(&shop, &words).await.unwrap(), r#"{"F/A":"pa","F/B":"pb"}"#);
    assert_eq!(shop.lines(), ["lpass --version", "lpass status --color never", "lpass show F/A F/B --json"]);
    let shop = Shop::new(&[
        ("lpass --version", says("1", 0)),
        ("lpass status", says("Logged in as other@x.", 0)),
        ("lpass login", says("", 0)),
        ("lpass show", says(r#"[{"fullname":"F/A","password":"hunter2"}]"#, 0)),
    ]);
    assert_eq!(fails(&shop, &words).await.lines().next(), Some("F/B not found in LastPass"));
    assert_eq!(shop.lines()[2], "!lpass login me@x");
    let shop = Shop::new(&[
        ("lpass --version", says("1", 0)),
        ("lpass status", says("", 1)),
        ("lpass login", says("denied", 1)),
    ]);
    assert_eq!(
        fails(&shop, &words).await,
        "could not log in to LastPass: `lpass` ended with exit code 1\nfailing: denied\n`lpass` can't ask without a terminal: log in first"
    );
}

const LOGIN: &str = r#"{"object":"item","login":{"password":"pw1"},"fields":[{"name":"f1","value":"v1"}]}"#;
const NOTE: &str =
    r#"{"object":"item","login":null,"fields":[{"name":"f1","value":"v1"},{"name":"f2","value":"v2"}]}"#;

#[tokio::test]
async fn bitwarden_items_and_fields() {
    let shop = Shop::new(&[
        ("bw --version", says("2024", 0)),
        ("bw status", says(r#"{"serverUrl":null,"status":"unlocked"}"#, 0)),
        ("bw sync", says("", 0)),
        ("bw get item B", says(NOTE, 0)),
        ("bw get item", says(LOGIN, 0)),
    ]);
    let words = ["bitwarden", "account=me", "A", "B", "C/f1", "A/f1"];
    assert_eq!(
        fetch(&shop, &words).await.unwrap(),
        r#"{"A":"pw1","A/f1":"v1","B/f1":"v1","B/f2":"v2","C/f1":"v1"}"#
    );
    assert_eq!(
        shop.lines(),
        ["bw --version", "bw status", "bw sync", "bw get item A", "bw get item B", "bw get item C"]
    );
}

#[tokio::test]
async fn bitwarden_logs_in_and_unlocks() {
    let status = |status: &str| says(&format!(r#"{{"status":"{status}"}}"#), 0);
    let shop = Shop::new(&[
        ("bw --version", says("2024", 0)),
        ("bw status", status("unauthenticated")),
        ("bw status", status("locked")),
        ("bw status", status("unlocked")),
        ("bw login", says("", 0)),
        ("bw unlock", says("hunter2\n", 0)),
        ("bw sync", says("", 0)),
        ("bw get item A", says(LOGIN, 0)),
    ]);
    assert_eq!(fetch(&shop, &["bitwarden", "account=me", "A"]).await.unwrap(), r#"{"A":"pw1"}"#);
    assert_eq!(
        shop.lines()[1..],
        [
            "bw status",
            "!bw login me",
            "bw status",
            "!bw unlock --raw",
            "BW_SESSION=hunter2 bw status",
            "BW_SESSION=hunter2 bw sync",
            "BW_SESSION=hunter2 bw get item A",
        ]
    );
}

#[tokio::test]
async fn what_goes_wrong_with_bitwarden() {
    let open = [
        ("bw --version", says("", 0)),
        ("bw status", says(r#"{"status":"unlocked"}"#, 0)),
        ("bw sync", says("", 0)),
    ];
    let with = |answer| Shop::new(&[open.as_slice(), &[("bw get", answer)]].concat());
    let locked = Shop::new(&[
        ("bw --version", says("", 0)),
        ("bw status", says(r#"{"status":"locked"}"#, 0)),
        ("bw unlock", says("hunter2", 0)),
    ]);
    let unlocked = |status| {
        let expired = says("session hunter2 expired", 1);
        Shop::new(&[
            ("bw --version", says("", 0)),
            ("bw status", says(r#"{"status":"locked"}"#, 0)),
            ("bw status", if status { says(r#"{"status":"unlocked"}"#, 0) } else { expired.clone() }),
            ("bw unlock", says("hunter2", 0)),
            ("bw sync", expired),
        ])
    };
    let words = ["bitwarden", "account=me", "A"];
    insta::assert_snapshot!(
        [
            fails(&locked, &words).await,
            fails(&unlocked(false), &words).await,
            fails(&unlocked(true), &words).await,
            fails(&with(says("Not found.", 1)), &words).await,
            fails(&with(says(r#"{"login":null}"#, 0)), &words).await,
            fails(&with(says(&LOGIN.replace("pw1", "hunter2"), 0)), &["bitwarden", "account=me", "A/zz"])
                .await,
        ]
        .join("\n--\n")
    );
}

#[tokio::test]
async fn bitwarden_secrets_manager() {
    let entry = |key: &str, value: &str| format!(r#"{{"id":"1","key":"{key}","value":"{value}"}}"#);
    let list = format!("[{},{}]", entry("A", "va"), entry("B", "v\\nb"));
    let shop = Shop::new(&[
        ("bws --version", says("1", 0)),
        ("bws project list", says("[]", 0)),
        ("bws secret list", says(&list, 0)),
        ("bws secret get 1", says(&entry("A", "va"), 0)),
        ("bws secret get 2", says(&entry("B", "vb"), 0)),
    ]);
    assert_eq!(fetch(&shop, &["bitwarden-sm", "1", "2"]).await.unwrap(), r#"{"A":"va","B":"vb"}"#);
    assert_eq!(fetch(&shop, &["bitwarden-sm", "all"]).await.unwrap(), r#"{"A":"va","B":"v\nb"}"#);
    assert_eq!(fetch(&shop, &["bitwarden-sm", "all", "1"]).await.unwrap(), r#"{"A":"va","B":"v\nb"}"#);
    assert_eq!(fetch(&shop, &["bitwarden-sm", "from=P", "all"]).await.unwrap(), r#"{"A":"va","B":"v\nb"}"#);
    let check = ["bws --version", "bws project list"];
    let expected: Vec<&str> = [
        &check[..],
        &["bws secret get 1", "bws secret get 2"],
        &check,
        &["bws secret list"],
        &check,
        &["bws secret list", "bws secret get 1"],
        &check,
        &["bws secret list P"],
    ]
    .concat();
    assert_eq!(shop.lines(), expected);
    let shut = Shop::new(&[("bws --version", says("1", 0)), ("bws project list", says("bad token", 1))]);
    assert!(fails(&shut, &["bitwarden-sm", "1"]).await.contains("BWS_ACCESS_TOKEN"));
    assert!(fails(&Shop::new(&[]), &["bitwarden-sm"]).await.starts_with("no names to fetch"));
}

#[tokio::test]
async fn enpass() {
    let answer = r#"[{"title":"T1","label":"L1","password":"p1"},{"title":"T1","label":"L2","password":"p2"},{"title":"T2","label":"L1","password":"p3"}]"#;
    let with = |answer: &str| {
        Shop::new(&[("enpass-cli version", says("1", 0)), ("enpass-cli -json", says(answer, 0))])
    };
    let shop = with(answer);
    let words = ["enpass", "from=/my vault", "T1/L1", "T2"];
    assert_eq!(fetch(&shop, &words).await.unwrap(), r#"{"T1/L1":"p1","T2/L1":"p3"}"#);
    assert_eq!(shop.lines(), ["enpass-cli version", "!enpass-cli -json -vault '/my vault' show T1 T2"]);
    let twice =
        r#"[{"title":"T","label":"L","password":"hunter2"},{"title":"T","label":"L","password":"x"}]"#;
    assert!(
        fails(&with(twice), &["enpass", "from=/v", "T/L"])
            .await
            .starts_with("T/L is in Enpass more than once")
    );
    assert!(
        fails(&with("[]"), &["enpass", "from=/v", "T/L", "U"])
            .await
            .starts_with("T/L, U not found in Enpass")
    );
    assert!(fails(&with("[]"), &["enpass", "T/L"]).await.contains("`--from`"));
}

#[tokio::test]
async fn passbolt_looks_folders_up_level_by_level() {
    let folder = |id: &str, parent: &str, name: &str| {
        format!(r#"{{"id":"{id}","folder_parent_id":"{parent}","name":"{name}"}}"#)
    };
    let secret = |name: &str| format!(r#"{{"name":"{name}","password":"of {name}"}}"#);
    let tops = format!("[{},{},{}]", folder("f9", "zz", "F"), folder("f1", "", "F"), folder("e1", "", "E"));
    let resources = format!("[{}]", ["A", "B", "C", "D"].map(secret).join(","));
    let shop = Shop::new(&[
        ("passbolt --version", says("1", 0)),
        ("passbolt verify", says("", 0)),
        ("passbolt list folders --filter 'Name == \"G\"", says(&format!("[{}]", folder("g", "f1", "G")), 0)),
        ("passbolt list folders --filter 'Name == \"H\"", says(&format!("[{}]", folder("h", "g", "H")), 0)),
        ("passbolt list folders", says(&tops, 0)),
        ("passbolt list resources", says(&resources, 0)),
    ]);
    let words = ["passbolt", "F/G/H/A", "B", "E/C", "F/G/D"];
    assert_eq!(fetch(&shop, &words).await.unwrap(), r#"{"A":"of A","B":"of B","C":"of C","D":"of D"}"#);
    let terms = r#"(Name == "A" && FolderParentID == "h") || Name == "B" || (Name == "C" && FolderParentID == "e1") || (Name == "D" && FolderParentID == "g")"#;
    assert_eq!(
        shop.lines()[2..],
        [
            r#"passbolt list folders --filter 'Name == "F" || Name == "E"' --json"#.to_owned(),
            r#"passbolt list folders --filter 'Name == "G" && FolderParentID == "f1"' --json"#.to_owned(),
            r#"passbolt list folders --filter 'Name == "H" && FolderParentID == "g"' --json"#.to_owned(),
            format!(
                "passbolt list resources --filter '{terms}' --folder f1 --folder e1 --folder g --folder h --column name --column password --json"
            ),
        ]
    );
}

#[tokio::test]
async fn what_goes_wrong_with_passbolt_and_names_that_try_to() {
    let open = [("passbolt --version", says("1", 0)), ("passbolt verify", says("", 0))];
    let with = |more: &[(&'static str, crate::testing::Answer)]| Shop::new(&[&open[..], more].concat());
    let hostile = r#"A" || Name != "$(touch x)\"#;
    let shop = with(&[("passbolt list resources", says("[]", 0))]);
    fails(&shop, &["passbolt", hostile]).await;
    assert_eq!(
        shop.ran()[2].words[4],
        r#"Name == "A\" || Name != \"$(touch x)\\""#,
        "a name can't get out of its quotes"
    );
    let folders = ("passbolt list folders", says(r#"[{"id":"f","name":"F"}]"#, 0));
    let some = ("passbolt list resources", says(r#"[{"name":"A","password":"hunter2"}]"#, 0));
    insta::assert_snapshot!(
        [
            fails(
                &Shop::new(&[open[0].clone(), ("passbolt verify", says("expired", 1))]),
                &["passbolt", "A"]
            )
            .await,
            fails(&with(&[("passbolt list folders", says("[]", 0))]), &["passbolt", "F/A"]).await,
            fails(&with(&[folders, some]), &["passbolt", "from=F", "A", "B", "C"]).await,
            fails(&with(&[]), &["passbolt", "F/A", "G/A"]).await,
        ]
        .join("\n--\n")
    );
}

#[tokio::test]
async fn the_test_adapter_and_names_of_adapters() {
    let shop = Shop::new(&[]);
    let words = ["test", "account=a", "from=x", "foo"];
    assert_eq!(fetch(&shop, &words).await.unwrap(), r#"{"x/foo":"oof/x"}"#);
    let words = ["test", "account=a", "LPARENbarRPAREN"];
    assert_eq!(fetch(&shop, &words).await.unwrap(), r#"{"LPARENbarRPAREN":")rab("}"#);
    assert_eq!(shop.lines(), [""; 0]);
    for name in [
        "1Password",
        "one_password",
        "LASTPASS",
        "Bitwarden-SM",
        "bitwarden_secrets_manager",
        "GCP",
        "aws-secrets-manager",
    ] {
        assert!(super::Adapter::named(name).is_ok(), "{name}");
    }
}

#[tokio::test]
async fn a_session_and_an_answer_are_for_all_who_want_the_same() {
    let shop = Shop::new(&[
        ("op --version", says("2", 0)),
        ("op account get", says("", 1)),
        ("op signin", says("token", 0)),
        ("op item get I", says(&field("op://V/I/a", "1"), 0)),
        ("op item get J", says(&field("op://V/J/a", "2"), 0)),
    ]);
    let fetcher = Fetcher::new(Some("staging"), LIMIT);
    let request =
        |name: &str| FetchRequest::new("1password", Some("acc".into()), None, vec![name.to_owned()]).unwrap();
    let (one, two) = (request("V/I/a"), request("V/J/a"));
    let (first, second, third) =
        tokio::join!(fetcher.fetch(&shop, &one), fetcher.fetch(&shop, &two), fetcher.fetch(&shop, &one));
    assert_eq!(first.unwrap(), third.unwrap());
    assert_eq!(*second.unwrap(), [("V/J/a".to_owned(), Secret::new("2"))]);
    assert_eq!(shop.lines().len(), 5, "{:?}", shop.lines());
    assert_eq!(shop.lines()[0], "KAMAL_DESTINATION=staging op --version");
}
