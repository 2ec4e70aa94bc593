//! Tests the vaults of cloud providers.

use super::*;

#[tokio::test]
async fn aws() {
    let answer = r#"{"SecretValues":[
        {"ARN":"arn:aws:x:secret:p/N1-abc","Name":"p/N1","SecretString":"{\"K2\":\"v\",\"K1\":5,\"o\":{\"b\": [1, \"x\"]},\"n\":null,\"t\":true}"},
        {"ARN":"b","Name":"p/N2","SecretString":"plain {"},{"Name":"p/N3","SecretString":"\"quoted\""}],"Errors":[]}"#;
    let shop = Shop::new(&[("aws --version", says("2", 0)), ("aws secretsmanager", says(answer, 0))]);
    let words = ["aws_secrets_manager", "account=prof", "from=p", "N1", "N2", "N3"];
    assert_eq!(
        fetch(&shop, &words).await.unwrap(),
        r#"{"p/N1/K2":"v","p/N1/K1":"5","p/N1/o":"{\"b\":[1,\"x\"]}","p/N1/n":"null","p/N1/t":"true","p/N2":"plain {","p/N3":"\"quoted\""}"#
    );
    assert_eq!(
        shop.lines(),
        [
            "aws --version",
            "aws secretsmanager batch-get-secret-value --secret-id-list p/N1 p/N2 p/N3 --profile prof --output json",
        ]
    );
    let names: Vec<String> = (1..=21).map(|number| format!("n{number}")).collect();
    let values: Vec<String> =
        names.iter().map(|name| format!(r#"{{"Name":"{name}","SecretString":"x"}}"#)).collect();
    let values = format!(r#"{{"SecretValues":[{}]}}"#, values.join(","));
    let shop = Shop::new(&[("aws --version", says("2", 0)), ("aws secretsmanager", says(&values, 0))]);
    let words: Vec<&str> =
        std::iter::once("aws_secrets_manager").chain(names.iter().map(String::as_str)).collect();
    fetch(&shop, &words).await.unwrap();
    assert_eq!(
        shop.lines()[2],
        "aws secretsmanager batch-get-secret-value --secret-id-list n21 --output json",
        "twenty at once is all that AWS takes"
    );
}

#[tokio::test]
async fn what_goes_wrong_with_aws() {
    let with =
        |answer: &str| Shop::new(&[("aws --version", says("2", 0)), ("aws secretsmanager", says(answer, 0))]);
    let refused = r#"{"SecretValues":[{"Name":"N2","SecretString":"hunter2"}],"Errors":[{"SecretId":"N1","ErrorCode":"X","Message":"no such secret"}]}"#;
    let less = r#"{"SecretValues":[{"Name":"N2","SecretString":"hunter2"}]}"#;
    let binary =
        r#"{"SecretValues":[{"Name":"N1","SecretBinary":"hunter2"},{"Name":"N2","SecretString":"x"}]}"#;
    let words = ["aws_secrets_manager", "N1", "N2"];
    insta::assert_snapshot!(
        [
            fails(&with(refused), &words).await,
            fails(&with(less), &words).await,
            fails(&with(binary), &words).await,
            fails(
                &Shop::new(&[
                    ("aws --version", says("2", 0)),
                    ("aws secretsmanager", says("ExpiredToken", 254))
                ]),
                &words
            )
            .await,
        ]
        .join("\n--\n")
    );
}

#[tokio::test]
async fn gcp() {
    let payload = |data: &str| says(&format!(r#"{{"name":"x","payload":{{"data":"{data}"}}}}"#), 0);
    let shop = Shop::new(&[
        ("gcloud --version", says("", 0)),
        ("gcloud auth list", says(r#"[{"account":"a@x"}]"#, 0)),
        ("gcloud secrets versions access 7", payload("Pz8_Pg==")),
        ("gcloud secrets", payload("dsOpCg==")),
    ]);
    let words = ["gcp", "account=u@x|sa@y,sb@y", "N1", "P/N2", "P/N3/7", "default/N4"];
    assert_eq!(
        fetch(&shop, &words).await.unwrap(),
        r#"{"default/N1":"vé\n","P/N2":"vé\n","P/N3":"???>","default/N4":"vé\n"}"#
    );
    let flags = "--account=u@x --impersonate-service-account=sa@y,sb@y --format=json";
    assert_eq!(
        shop.lines(),
        [
            "gcloud --version".to_owned(),
            "gcloud auth list --format=json".to_owned(),
            format!("gcloud secrets versions access latest --secret=N1 {flags}"),
            format!("gcloud secrets versions access latest --secret=N2 --project=P {flags}"),
            format!("gcloud secrets versions access 7 --secret=N3 --project=P {flags}"),
            format!("gcloud secrets versions access latest --secret=N4 {flags}"),
        ]
    );
    fetch(&shop, &["gcp_secret_manager", "account=default", "from=P", "N"]).await.unwrap();
    assert_eq!(shop.lines()[8], "gcloud secrets versions access latest --secret=N --project=P --format=json");
}

#[tokio::test]
async fn gcp_logs_in_and_says_what_it_lacks() {
    let shop = Shop::new(&[
        ("gcloud --version", says("", 0)),
        ("gcloud auth list", says("[]", 0)),
        ("gcloud auth login", says("", 0)),
    ]);
    let words = ["gcp", "account=default", "N"];
    assert!(fails(&shop, &words).await.starts_with("could not log in to gcloud"));
    assert_eq!(shop.lines()[2..], ["!gcloud auth login", "gcloud auth list --format=json"]);
    let with = |answer| {
        let there = r#"[{"account":"a"}]"#;
        Shop::new(&[
            ("gcloud --version", says("", 0)),
            ("gcloud auth list", says(there, 0)),
            ("gcloud secrets", answer),
        ])
    };
    assert_eq!(
        fails(&with(says("NOT_FOUND: N", 1)), &words).await,
        "could not read N from Google Cloud's Secret Manager: `gcloud` ended with exit code 1\nfailing: NOT_FOUND: N"
    );
    assert!(
        fails(&with(says(r#"{"payload":{"data":"/w=="}}"#, 0)), &words)
            .await
            .ends_with("its value isn't text")
    );
    assert!(
        fails(&with(says("", 0)), &["gcp", "account=u", "a/b/c/d"])
            .await
            .starts_with("`a/b/c/d` is not the name")
    );
}

#[tokio::test]
async fn doppler() {
    let answer = r#"{"B":{"computed":"cb","raw":"r"},"A":{"computed":"ca"}}"#;
    let there = [
        ("doppler --version", says("3", 0)),
        ("doppler me", says("{}", 0)),
        ("doppler secrets", says(answer, 0)),
    ];
    let shop = Shop::new(&there);
    assert_eq!(fetch(&shop, &["doppler", "from=p/c", "A", "B"]).await.unwrap(), r#"{"A":"ca","B":"cb"}"#);
    fetch(&shop, &["doppler", "p/c/A", "q/d/B"]).await.unwrap();
    let check = ["doppler --version", "doppler me --json"];
    let expected = [
        &check[..],
        &["doppler secrets get A B --json -p p -c c"],
        &check,
        &["doppler secrets get A --json -p p -c c", "doppler secrets get B --json -p q -c d"],
    ];
    assert_eq!(shop.lines(), expected.concat());
    let mut shop = Shop::new(&there);
    shop.variables.insert("DOPPLER_TOKEN".into(), "dp.st.x".into());
    fetch(&shop, &["doppler", "from=p/c", "A"]).await.unwrap();
    assert_eq!(shop.lines()[2], "doppler secrets get A --json");
}

#[tokio::test]
async fn what_goes_wrong_with_doppler() {
    let shop = |answer: &str| {
        Shop::new(&[
            ("doppler --version", says("3", 0)),
            ("doppler me", says("", 1)),
            ("doppler login", says("", 0)),
            ("doppler secrets", says(answer, 0)),
        ])
    };
    let one = shop(r#"{"A":{"computed":"hunter2"},"B":{"computed":null}}"#);
    assert_eq!(
        fails(&one, &["doppler", "from=p/c", "A", "B"]).await.lines().next(),
        Some("B not found in Doppler")
    );
    assert_eq!(one.lines()[2], "!doppler login -y");
    for words in [&["doppler", "A"][..], &["doppler", "from=p", "A"]] {
        let told = fails(&shop("{}"), words).await;
        assert!(
            told.contains("has no Doppler project or config") && told.contains("--from PROJECT/CONFIG"),
            "{told}"
        );
    }
}
