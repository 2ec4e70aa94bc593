//! The project's own private keys: they are set before the first connection, and a missing one is an error before that.

use super::*;
use crate::testing::{FakeLocal, project_with};

const KEYS: &str = "ssh:
  key_data:
    - DEPLOY_KEY
    - |
      -----BEGIN OPENSSH PRIVATE KEY-----
      inline
";

fn handed(scripted: &Scripted) -> Vec<(String, bool)> {
    let keys = scripted.network.keys.lock().unwrap();
    keys.iter().map(|(name, key)| (name.clone(), key.expose().contains("line"))).collect()
}

#[tokio::test(start_paused = true)]
async fn they_are_handed_over_by_whatever_connects() {
    let project = project_with(&format!("{CONFIG}{KEYS}"), "DEPLOY_KEY='first line\nsecond'\n");
    let expected = [("the secret DEPLOY_KEY".to_string(), true), ("ssh/key_data/1".to_string(), true)];
    let scripted = Scripted::new(&HOSTS);
    deploy(&scripted, &project, "v1").await.unwrap();
    assert_eq!(handed(&scripted), expected);
    let looked = Scripted::on(scripted.network.clone(), FakeLocal::default());
    scripted.network.keys.lock().unwrap().clear();
    let listing = crate::listing::Listing::Running;
    crate::listing::list(looked.call(&project, &Options::default()), listing).await.unwrap();
    assert_eq!(handed(&looked), expected);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_missing_is_told_before_anything_is_connected_to() {
    let project = project(&format!("{CONFIG}{KEYS}"));
    let scripted = Scripted::new(&HOSTS);
    let error = deploy(&scripted, &project, "v1").await.unwrap_err();
    let RunError::Invalid(missing) = error else { panic!("the secret is missing") };
    assert!(missing.render(false).contains("no secrets file defines `DEPLOY_KEY`"));
    let connects = |event: &Event| matches!(event, Event::Phase(crate::event::Phase::Connect(_)));
    assert!(!scripted.recorder.events().iter().any(connects));
}
