//! Roles without a proxy in a configuration for Kamal 2.

use super::*;

const TWO: &str = "service: app
image: app
servers:
  web: {hosts: [a, b], proxy: false}
  workers: {hosts: [c], cmd: work}
readiness_delay: 1
";

#[tokio::test(start_paused = true)]
async fn roles_without_a_proxy_are_deployed_for_kamal_2_too() {
    let scripted = Scripted::new(&HOSTS);
    deploy(&scripted, &project(TWO), "v1").await.unwrap();
    assert!(scripted.network.machine("a").running().contains(&"app-web-v1"));
    assert!(!scripted.network.machine("a").routes(), "no Traefik was booted");
}
