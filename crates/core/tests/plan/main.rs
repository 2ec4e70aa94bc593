//! The plan as a function: the same configuration and the same servers give the same steps.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A panic fails the test.

mod assets;
mod change;
mod deploy;
mod kamal_proxy;
mod rollback;
mod selection;
mod traefik;

use std::collections::BTreeMap;

use bowline_config::secret::Secret;
use bowline_config::{Config, SourceFile, load};
use bowline_core::commands::Scope;
use bowline_core::error::PlanError;
use bowline_core::names::Names;
use bowline_core::observed::Observed;
use bowline_core::plan::Plan;
use bowline_core::plan::deploy::plan;
use bowline_core::request::{DeployKind, DeployRequest};
use bowline_core::secrets::Secrets;
use bowline_core::selection::{Filters, Selection};
use serde_json::json;

const BASE: &str = "service: app
image: org/app
registry: {server: r.test, username: u, password: [PW]}
servers:
  web: {hosts: [a, b]}
  workers: {hosts: [b], cmd: work}
env: {secret: [PW]}
";

fn config(more: &str) -> Config {
    load(SourceFile::new("deploy.yml", format!("{BASE}{more}")), None)
        .unwrap_or_else(|e| panic!("{e}"))
        .config
}

fn container(name: &str, role: &str, created: u32, health: Option<&str>, cord: bool) -> String {
    let version = name.rsplit('-').next().unwrap();
    let mounts = if cord {
        json!([{"Source": format!("/root/.kamal/cords/{name}"), "Destination": "/tmp/kamal-cord"}])
    } else {
        json!([])
    };
    let container = json!({
        "id": format!("id-{name}"), "name": format!("/{name}"), "created": format!("2026-01-01T00:00:{created:02}Z"),
        "image": format!("r.test/org/app:{version}"), "image_id": format!("sha256:{version}"), "status": "running",
        "health": health, "labels": {"service": "app", "role": role, "destination": ""}, "mounts": mounts,
        "healthcheck": {"Test": ["CMD-SHELL", "(x) && (stat /tmp/kamal-cord/cord > /dev/null || exit 1)"], "Interval": 1_000_000_000_u64},
        "networks": {"kamal": {"IPAddress": "172.18.0.9"}}, "args": [],
    });
    format!("@container {container}\n")
}

fn server(containers: &str) -> Observed {
    let traefik = json!({
        "id": "t", "name": "/traefik", "created": "", "image": "traefik", "image_id": "", "status": "running",
        "health": null, "labels": {}, "mounts": [], "healthcheck": null,
        "networks": {"kamal": {"IPAddress": "172.18.0.2"}}, "args": ["--api.insecure=true"],
    });
    Observed::parse(&format!("@docker 26.1.5\n{containers}@proxy {traefik}\n@network kamal\n@image sha256:v1 r.test/org/app:v1\n@image sha256:v1 r.test/org/app:latest\n@end\n"))
        .unwrap()
}

fn planned(
    config: &Config,
    kind: DeployKind,
    version: &str,
    observed: &BTreeMap<String, Observed>,
) -> Result<Plan, PlanError> {
    let selection = Selection::new(config, &Filters::default()).unwrap();
    let secrets: Secrets = [("PW".to_string(), Secret::new("sentinel"))].into();
    let scope = Scope { names: Names::of(config), run: "f".repeat(32), performer: "me".into() };
    let request = DeployRequest {
        kind,
        version: version.into(),
        scope,
        secrets_known: true,
        pages: Default::default(),
    };
    plan(config, &selection, &secrets, &request, observed)
}

fn fleet(a: &str, b: &str) -> BTreeMap<String, Observed> {
    [("a".to_string(), server(a)), ("b".to_string(), server(b))].into()
}
