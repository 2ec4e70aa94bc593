//! Doppler, through `doppler`. A secret is a name, or `PROJECT/CONFIG/NAME`, or a name with `--from PROJECT/CONFIG`. A
//! service token (`DOPPLER_TOKEN`, `dp.st…`) belongs to one config, which then needs no naming.

use serde::Deserialize;

use super::SignedIn;
use crate::secrets::fetch::{FetchRequest, Fetched};
use crate::secrets::json::Text;
use crate::secrets::tool::{Tool, Vendor};
use crate::secrets::trouble::Trouble;
use std::collections::BTreeMap;

pub(super) const VENDOR: Vendor = Vendor {
    title: "Doppler",
    program: "doppler",
    version: "--version",
    home: "https://docs.doppler.com/docs/install-cli",
};

#[derive(Deserialize)]
struct Value {
    #[serde(default)]
    computed: Text,
}

pub(super) struct Config {
    /// The names of its project and config. `None` if the token belongs to the config.
    place: Option<(String, String)>,
    names: Vec<String>,
}

pub(super) async fn log_in(tool: &Tool<'_>) -> Result<SignedIn, Trouble> {
    if !tool.output(&["me", "--json"]).await?.success() {
        tool.log_in(&["login", "-y"]).await?;
    }
    Ok(SignedIn::default())
}

pub(super) async fn fetch(tool: &Tool<'_>, request: &FetchRequest) -> Result<Fetched, Trouble> {
    let mut fetched = Fetched::new();
    for config in configs(tool, request)? {
        let mut words = vec!["secrets", "get"];
        words.extend(config.names.iter().map(String::as_str));
        words.push("--json");
        if let Some((project, config)) = &config.place {
            words.extend(["-p", project, "-c", config]);
        }
        let what = format!("could not read {} from Doppler", config.names.join(", "));
        let mut answer: BTreeMap<String, Value> = tool.json(&words, &what).await?;
        let mut missing = Vec::new();
        for name in &config.names {
            match answer.remove(name).and_then(|value| value.computed.0) {
                Some(value) => fetched.push((name.clone(), value)),
                None => missing.push(name.as_str()),
            }
        }
        if !missing.is_empty() {
            return Err(super::not_found(&missing, "Doppler"));
        }
    }
    Ok(fetched)
}

/// The requested configs, with the names to fetch from each.
pub(super) fn configs(tool: &Tool<'_>, request: &FetchRequest) -> Result<Vec<Config>, Trouble> {
    let with_token = tool.variable("DOPPLER_TOKEN").is_some_and(|token| token.starts_with("dp.st"));
    let mut configs: Vec<Config> = Vec::new();
    for name in request.prefixed() {
        let parts: Vec<&str> = name.split('/').collect();
        let (place, last) = match parts.as_slice() {
            [.., last] if with_token => (None, *last),
            [project, config, last] => (Some(((*project).into(), (*config).into())), *last),
            _ => {
                return Err(Trouble::usage(format!("`{name}` has no Doppler project or config")).hint(
                    "give them with `--from PROJECT/CONFIG`, or set DOPPLER_TOKEN to a service token",
                ));
            }
        };
        match configs.iter_mut().find(|known| known.place == place) {
            Some(known) => known.names.push(last.into()),
            None => configs.push(Config { place, names: vec![last.into()] }),
        }
    }
    Ok(configs)
}
