//! What a configuration may ask for and isn't built yet: refused by name before anything is connected to, by the
//! commands that would need it and by no other.

use super::*;

/// A configuration for Kamal 2.
const TWO: &str = "service: app
image: app
servers:
  web: {hosts: [a, b], proxy: false}
  workers: {hosts: [c], cmd: work}
readiness_delay: 1
";

async fn refused(config: &str, kind: Kind) -> Option<String> {
    let scripted = Scripted::new(&HOSTS);
    let project = project(config);
    match deploy::deploy(&scripted.world, &project, &options("v1"), kind).await {
        Err(RunError::Usage { message, hint }) => {
            assert!(hint.is_some_and(|hint| !hint.is_empty()));
            assert!(scripted.recorder.events().is_empty(), "nothing was begun");
            Some(message)
        }
        Ok(()) => None,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_certificate_of_ones_own_is_refused_by_name() {
    let ssl = "proxy: {host: a.test, ssl: {certificate_pem: CERT, private_key_pem: KEY}}";
    let proxied = TWO.replace("proxy: false", ssl);
    for kind in [Kind::Deploy, Kind::Redeploy, Kind::Boot] {
        let message = refused(&proxied, kind).await.unwrap();
        assert!(message.contains("web has one"), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn roles_without_a_proxy_are_deployed_for_kamal_2_too() {
    let scripted = Scripted::new(&HOSTS);
    deploy(&scripted, &project(TWO), "v1").await.unwrap();
    assert!(scripted.network.machine("a").running().contains(&"app-web-v1"));
    assert!(!scripted.network.machine("a").routes(), "no Traefik was booted");
}
