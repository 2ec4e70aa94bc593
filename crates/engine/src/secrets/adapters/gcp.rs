//! Google Cloud's Secret Manager, through `gcloud`. A secret is `NAME`, `PROJECT/NAME` or `PROJECT/NAME/VERSION`. The
//! project `default` is the one configured in `gcloud`. `--account` is `USER`, or `USER|SERVICE_ACCOUNT[,DELEGATE…]` to
//! impersonate a service account. The user `default` is the one who is logged in.

use bowline_config::secret::Secret;
use serde::Deserialize;

use super::SignedIn;
use crate::secrets::base64;
use crate::secrets::fetch::{FetchRequest, Fetched};
use crate::secrets::tool::{Tool, Vendor};
use crate::secrets::trouble::Trouble;

pub(super) const VENDOR: Vendor = Vendor {
    title: "gcloud",
    program: "gcloud",
    version: "--version",
    home: "https://cloud.google.com/sdk/docs/install",
};

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Version {
    project: String,
    name: String,
    version: String,
}

#[derive(Deserialize)]
struct Answer {
    payload: Payload,
}

#[derive(Deserialize)]
struct Payload {
    data: String,
}

pub(super) fn versions(request: &FetchRequest) -> Result<Vec<Version>, Trouble> {
    let version = |name: String| {
        let parts: Vec<&str> = name.split('/').collect();
        let (project, name, version) = match parts.as_slice() {
            [name] => ("default", *name, "latest"),
            [project, name] => (*project, *name, "latest"),
            [project, name, version] => (*project, *name, *version),
            _ => {
                return Err(Trouble::usage(format!("`{name}` is not the name of a Google Cloud secret"))
                    .hint("write NAME, PROJECT/NAME or PROJECT/NAME/VERSION"));
            }
        };
        Ok(Version { project: project.into(), name: name.into(), version: version.into() })
    };
    if request.names.is_empty() {
        return Err(Trouble::usage("no names to fetch from Google Cloud"));
    }
    request.prefixed().into_iter().map(version).collect()
}

pub(super) async fn log_in(tool: &Tool<'_>) -> Result<SignedIn, Trouble> {
    if !somebody(tool).await? {
        tool.ask(&["auth", "login"]).await?;
        if !somebody(tool).await? {
            return Err(Trouble::failed("could not log in to gcloud").hint("try `gcloud auth login` by hand"));
        }
    }
    Ok(SignedIn::default())
}

async fn somebody(tool: &Tool<'_>) -> Result<bool, Trouble> {
    let what = "could not ask gcloud who is logged in";
    let accounts: Vec<serde_json::Value> = tool.json(&["auth", "list", "--format=json"], what).await?;
    Ok(!accounts.is_empty())
}

pub(super) async fn fetch(tool: &Tool<'_>, request: &FetchRequest) -> Result<Fetched, Trouble> {
    let account = request.account.as_deref().unwrap_or("default");
    let mut fetched = Fetched::new();
    for version in versions(request)? {
        fetched.push(one(tool, account, &version).await?);
    }
    Ok(fetched)
}

async fn one(tool: &Tool<'_>, account: &str, version: &Version) -> Result<(String, Secret), Trouble> {
    let Version { project, name, version } = version;
    let (user, other) = account.split_once('|').unwrap_or((account, ""));
    let flag = |set: bool, flag: String| set.then_some(flag);
    let flags: Vec<String> = [
        Some(format!("--secret={name}")),
        flag(project != "default", format!("--project={project}")),
        flag(user != "default", format!("--account={user}")),
        flag(!other.is_empty(), format!("--impersonate-service-account={other}")),
        Some("--format=json".into()),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut words = vec!["secrets", "versions", "access", version.as_str()];
    words.extend(flags.iter().map(String::as_str));
    let what = format!("could not read {name} from Google Cloud's Secret Manager");
    let answer: Answer = tool.json(&words, &what).await?;
    let text = base64::decode(&answer.payload.data).and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.ok_or_else(|| Trouble::failed(format!("{what}: its value isn't text")))?;
    Ok((format!("{project}/{name}"), Secret::new(text)))
}
