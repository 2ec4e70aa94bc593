//! AWS Secrets Manager, through `aws`. A secret that is a JSON object yields `NAME/KEY` for each of its keys. Any other one
//! yields `NAME`. `--account` is a profile.

use bowline_config::secret::Secret;
use serde::Deserialize;

use crate::secrets::fetch::{FetchRequest, Fetched};
use crate::secrets::json::Object;
use crate::secrets::tool::{Tool, Vendor};
use crate::secrets::trouble::Trouble;

pub(super) const VENDOR: Vendor =
    Vendor { title: "AWS", program: "aws", version: "--version", home: "https://docs.aws.amazon.com/cli" };

/// AWS's limit of names per request.
const BATCH: usize = 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    secret_values: Vec<Value>,
    #[serde(default)]
    errors: Vec<Refusal>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Value {
    #[serde(rename = "ARN", default)]
    arn: String,
    name: String,
    secret_string: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
    secret_id: String,
    #[serde(default)]
    message: String,
}

pub(super) async fn fetch(tool: &Tool<'_>, request: &FetchRequest) -> Result<Fetched, Trouble> {
    let names = request.prefixed();
    let mut fetched = Fetched::new();
    for batch in names.chunks(BATCH) {
        let mut words = vec!["secretsmanager", "batch-get-secret-value", "--secret-id-list"];
        words.extend(batch.iter().map(String::as_str));
        if let Some(profile) = &request.account {
            words.extend(["--profile", profile]);
        }
        words.extend(["--output", "json"]);
        let what = format!("could not read {} from AWS Secrets Manager", batch.join(", "));
        let answer: Answer = tool.json(&words, &what).await?;
        complete(batch, &answer)?;
        for value in answer.secret_values {
            fetched.extend(entries(value)?);
        }
    }
    Ok(fetched)
}

fn complete(names: &[String], answer: &Answer) -> Result<(), Trouble> {
    if !answer.errors.is_empty() {
        let describe = |error: &Refusal| format!("{}: {}", error.secret_id, error.message);
        let errors: Vec<String> = answer.errors.iter().map(describe).collect();
        return Err(Trouble::failed(format!("AWS Secrets Manager: {}", errors.join("; "))));
    }
    // An id is a name or an ARN, and an ARN may lack its random suffix.
    let there = |name: &str| {
        answer.secret_values.iter().any(|value| value.name == name || value.arn.starts_with(name))
    };
    super::complete(names.iter().map(String::as_str), there, "AWS Secrets Manager")
}

fn entries(value: Value) -> Result<Fetched, Trouble> {
    let Value { name, secret_string, .. } = value;
    let Some(text) = secret_string else {
        return Err(Trouble::failed(format!("{name} in AWS Secrets Manager is binary"))
            .hint("Bowline can only use text secrets"));
    };
    match serde_json::from_str::<Object>(&text) {
        Ok(Object(entries)) => Ok(entries
            .into_iter()
            // JSON `null` becomes the text `null`.
            .map(|(key, value)| (format!("{name}/{key}"), value.0.unwrap_or_else(|| Secret::new("null"))))
            .collect()),
        Err(_) => Ok(vec![(name, Secret::new(text))]),
    }
}
