//! `env push` and `env delete`: the files of each server, and the errors that come before any connection.

use super::*;
use crate::testing::project_with;

const CONFIG: &str = "service: app
image: app
servers: {web: {hosts: [a]}, workers: {hosts: [a, b], cmd: work}}
env: {secret: [KEY]}
traefik: {env: {secret: [PROXY]}}
accessories:
  db: {image: postgres, host: b, env: {secret: [DB]}}
  search: {image: search, host: z, env: {secret: [NOBODY]}}
";

#[tokio::test(start_paused = true)]
async fn every_role_and_the_accessories_beside_it_get_their_file() {
    let scripted = Scripted::new(&["a", "b"]);
    let project = project_with(CONFIG, "KEY=sentinel-key\nDB='two\nlines'\n");
    let options = Options::default();
    let pushed = change(scripted.call(&project, &options), &Intent::PushEnv).await.unwrap();
    assert_eq!(pushed.failures, []);
    let said: Vec<_> =
        pushed.outputs.iter().map(|out| (out.host.as_str(), out.output.stdout.trim())).collect();
    let directory = ".kamal/apps/app/env";
    let db = format!(
        "wrote {directory}/accessories/db.env, without DB: an env file can't hold a value with a line break, only a container's environment can"
    );
    let role = |name: &str| format!("wrote {directory}/roles/{name}.env");
    let (web, workers) = (role("web"), role("workers"));
    assert_eq!(said, [("a", web.as_str()), ("a", &workers), ("b", &workers), ("b", &db)]);
    assert!(!format!("{:?}", scripted.recorder.events()).contains("sentinel-key"));
    let deleted = change(scripted.call(&project, &options), &Intent::DeleteEnv).await.unwrap();
    assert_eq!((deleted.outputs.len(), deleted.failures), (4, vec![]));
    let last = format!("remove {directory}/accessories/db.env");
    assert_eq!(scripted.network.machine("b").changes.last(), Some(&last));
    assert_eq!(scripted.network.machine("a").lock, None);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_not_there_is_told_before_any_server_is_asked() {
    let scripted = Scripted::new(&["a", "b"]);
    let error =
        change(scripted.call(&project_with(CONFIG, "KEY=1\n"), &Options::default()), &Intent::PushEnv).await;
    let RunError::Invalid(missing) = error.unwrap_err() else { panic!("the secret is missing") };
    assert!(missing.render(false).contains("`DB`") && scripted.recorder.events().is_empty());
    // A value that is too long for an environment is also an error before any change. Secrets of Traefik aren't needed.
    let long = format!("KEY=1\nDB={}\n", "x".repeat(200_000));
    let error =
        change(scripted.call(&project_with(CONFIG, &long), &Options::default()), &Intent::PushEnv).await;
    assert!(error.unwrap_err().to_string().contains("longer than Linux allows"));
    assert!(scripted.network.machine("a").changes.is_empty());
    // Removing the files needs no secrets.
    change(scripted.call(&project_with(CONFIG, ""), &Options::default()), &Intent::DeleteEnv).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_role_that_is_removed_takes_its_secrets_along_though_others_stay() {
    let scripted = Scripted::new(&["a", "b"]);
    let project = project_with(CONFIG, "KEY=1\nDB=2\n");
    let mut options = Options::default();
    options.filters.roles = vec!["workers".into()];
    let removed = change(scripted.call(&project, &options), &Intent::Remove(Removal::App)).await.unwrap();
    assert_eq!(removed.failures, []);
    let machine = scripted.network.machine("a");
    assert!(machine.changes.contains(&"remove .kamal/apps/app/env/roles/workers.env".to_owned()));
    assert!(!machine.changes.iter().any(|change| change.ends_with("web.env")), "{:?}", machine.changes);
}
