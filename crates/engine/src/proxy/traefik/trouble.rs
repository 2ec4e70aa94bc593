//! Explains why requests don't reach a container, from Traefik's own messages and the names of containers, and says
//! what to do.

use std::time::Duration;

use bowline_core::plan::step::Step;
use bowline_core::proxy::ProxyKind;
use bowline_core::proxy::traefik::labels::Route;
use bowline_core::proxy::traefik::trouble::{Trouble, explain};
use tokio::time::sleep;

use super::api::{Last, called};
use super::listed::{Missing, Proof, by_docker};
use crate::error::Cause;
use crate::proxy::At;
use crate::run::fleet::Fleet;

/// How often, and at what interval, to read Traefik's log for an error that follows a new route.
const LOOKS: usize = 3;
const APART: Duration = Duration::from_millis(300);

const PORT: &str = "does the image EXPOSE the app's port, or a label `traefik.http.services.NAME.loadbalancer.server.port` name it?";
const NETWORKS: &str = "Traefik is not on that network: leave out the label `traefik.docker.network`, or connect Traefik \
                        to it";
const SOCKET: &str = "is Docker's socket at `traefik: docker_socket:`, and can Traefik use it? `traefik reboot` applies \
                      a change";

/// Asks the server for details. If that fails, returns none, so that the original failure is the only one.
async fn trouble(fleet: &Fleet, host: &str) -> Trouble {
    let step = Step::Run("ask why Traefik does not route", explain());
    match fleet.run(host, None, &step).await {
        Ok(output) => Trouble::parse(&output.stdout),
        Err(_) => Trouble::default(),
    }
}

pub(super) async fn not_routed(fleet: &Fleet, host: &str, route: &Route, last: Last<Missing>) -> Cause {
    let trouble = trouble(fleet, host).await;
    let (why, hint) = explained(route, &last, &trouble);
    let container = route.container.clone();
    let waited_s = fleet.timeouts().route.as_secs();
    Cause::NotRouted { proxy: ProxyKind::Traefik.name(), container, waited_s, why, hint }
}

fn explained(route: &Route, last: &Last<Missing>, trouble: &Trouble) -> (String, String) {
    if route.hidden {
        let why = "its label `traefik.enable` is `false`".into();
        return (why, "a role behind Traefik must not have that label".into());
    }
    let of_docker =
        trouble.of_docker().map(|error| (format!("it can't read from Docker: {error}"), SOCKET.into()));
    match last {
        Last::Silent(error) => (error.clone(), "`traefik logs` and `traefik details` show its state".into()),
        Last::Missing(Missing::Refused { router, error }) => (
            format!("it refuses the router {}: {error}", route.written(router)),
            hint_to(route, router, error),
        ),
        Last::Missing(Missing::Router(router)) => of_docker.unwrap_or_else(|| {
            let said =
                trouble.about(&[&route.container, &by_docker(router), &format!("routerName={router}")]);
            let missing = format!("it has no router {}", route.written(router));
            match said {
                Some(error) => (format!("{missing}: {error}"), hint_to(route, router, error)),
                None => (missing, PORT.into()),
            }
        }),
        Last::Missing(Missing::Elsewhere { router, to }) => of_docker.unwrap_or_else(|| {
            let said = trouble.about(&[&route.container]);
            let said = said.map(|error| format!("; its log: {error}")).unwrap_or_default();
            let to = match to.as_slice() {
                [] => "nothing".into(),
                to => trouble.named(to),
            };
            let hint = if to.contains("on the network") { NETWORKS } else { PORT };
            (format!("its router {} leads to {to}{said}", route.written(router)), hint.into())
        }),
    }
}

fn hint_to(route: &Route, router: &str, error: &str) -> String {
    let own = route.routers.iter().find(|own| own.name == router);
    let protocol = called(own.map(|own| own.protocol).unwrap_or_default());
    let label = format!("traefik.{protocol}.routers.{}", route.written(router));
    let lower = error.to_lowercase();
    if lower.contains("entrypoint") {
        format!(
            "`{label}.entrypoints` must name entry points that Traefik has; `traefik: args:` defines them \
             (`entryPoints.websecure.address: \":443\"`), and `traefik reboot` applies that"
        )
    } else if lower.contains("rule") {
        format!("correct `{label}.rule`: put values in backticks, as in Host(`shop.example.com`)")
    } else if lower.contains("middleware") {
        format!("`{label}.middlewares` must name middlewares that labels, or Traefik's files, define")
    } else if lower.contains("resolver") {
        format!(
            "`{label}.tls.certresolver` must name a resolver that `traefik: args:` defines \
             (`certificatesresolvers.NAME.acme.email: …`); `traefik reboot` applies that"
        )
    } else {
        format!("correct the labels that start with `{label}`")
    }
}

/// Checks that the certificate resolvers that routers name exist. The API doesn't say: it lists a router with an
/// unknown resolver as "enabled", and its visitors get a certificate that no browser accepts.
pub(super) async fn check_resolvers(
    fleet: &Fleet,
    host: &str,
    route: &Route,
    proof: &Proof,
) -> Result<(), Cause> {
    if proof.resolvers.is_empty() {
        return Ok(());
    }
    let mut unknown = Vec::new();
    for look in 0..LOOKS {
        if look > 0 {
            sleep(APART).await;
        }
        let trouble = trouble(fleet, host).await;
        unknown = proof.resolvers.iter().filter(|(_, resolver)| !trouble.resolves(resolver)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        for (router, resolver) in &unknown {
            if let Some(error) = trouble.no_resolver(&by_docker(router)) {
                let reason = format!(
                    "Traefik has no certificate resolver `{resolver}` for the router {}: {error}",
                    route.written(router)
                );
                return Err(Cause::Other { reason, hint: Some(hint_to(route, router, "resolver")) });
            }
        }
    }
    // The resolver may be defined in a file.
    for (router, resolver) in unknown {
        let text = format!(
            "Traefik's arguments define no certificate resolver `{resolver}`, which the router {} names; \
             its log has no error about it",
            route.written(router)
        );
        At { fleet, host }.note(text);
    }
    Ok(())
}

/// The failure for a Traefik that was just started and lists nothing from Docker.
pub(super) async fn deaf(fleet: &Fleet, host: &str, last: Last<()>) -> Cause {
    if let Some(cause) = complaint_of_docker(fleet, host).await {
        return cause;
    }
    let waited = fleet.timeouts().route.as_secs();
    let reason = match last {
        Last::Missing(()) => format!("Traefik runs, but did not route by its own labels within {waited} s"),
        Last::Silent(error) => {
            format!("Traefik runs, but its API did not respond within {waited} s: {error}")
        }
    };
    Cause::Other { reason, hint: Some("see `traefik logs`".into()) }
}

pub(super) async fn complaint_of_docker(fleet: &Fleet, host: &str) -> Option<Cause> {
    let trouble = trouble(fleet, host).await;
    let error = trouble.of_docker()?;
    Some(Cause::Other {
        reason: format!("Traefik can't read from Docker: {error}"),
        hint: Some(SOCKET.into()),
    })
}

pub(super) async fn not_again(fleet: &Fleet, host: &str, last: Last<Missing>) -> Cause {
    let waited = fleet.timeouts().route.as_secs();
    let (reason, hint) = match last {
        Last::Silent(error) => (format!("Traefik's API did not respond within {waited} s: {error}"), None),
        Last::Missing(Missing::Router(router)) => {
            (format!("Traefik no longer has the router {router}"), None)
        }
        Last::Missing(Missing::Refused { router, error }) => {
            let name = router.trim_end_matches("@docker");
            (
                format!("Traefik refuses the router {name} now: {error}"),
                Some(hint_to(&Route::default(), name, &error)),
            )
        }
        Last::Missing(Missing::Elsewhere { to, .. }) => {
            let to = trouble(fleet, host).await.named(&to);
            (format!("Traefik did not route to {to} again within {waited} s"), None)
        }
    };
    Cause::Other { reason, hint }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn route() -> Route {
        Route { container: "shop-web-v2".into(), ..Route::default() }
    }

    fn said(lines: &str) -> Trouble {
        Trouble::parse(lines)
    }

    #[test]
    fn containers_are_named_and_a_place_to_look_is_given() {
        let to: Vec<IpAddr> = ["172.18.0.3", "172.19.0.8"].map(|address| address.parse().unwrap()).into();
        let last = Last::Missing(Missing::Elsewhere { router: "shop-web".into(), to });
        let (why, hint) = explained(
            &route(),
            &last,
            &said("@at 172.18.0.3 /shop-web-v1\n@at 172.19.0.8 /shop-web-v2 aaa\n"),
        );
        assert_eq!(why, "its router shop-web leads to shop-web-v1, shop-web-v2 on the network aaa");
        assert!(hint.contains("traefik.docker.network"), "{hint}");
    }

    #[test]
    fn a_router_has_the_name_that_the_configuration_gives_it_though_traefik_knows_it_by_another() {
        let route = Route { suffix: "-b".into(), ..route() };
        let router = || "shop-web-b".to_owned();
        let error = "entryPoint \"websecure\" doesn't exist".to_owned();
        let refused = Last::Missing(Missing::Refused { router: router(), error });
        let (why, hint) = explained(&route, &refused, &Trouble::default());
        assert_eq!(why, "it refuses the router shop-web: entryPoint \"websecure\" doesn't exist");
        assert!(hint.contains("`traefik.http.routers.shop-web.entrypoints`"), "{hint}");
        let (why, _) = explained(&route, &Last::Missing(Missing::Router(router())), &Trouble::default());
        assert_eq!(why, "it has no router shop-web");
        let elsewhere = Last::Missing(Missing::Elsewhere { router: router(), to: Vec::new() });
        let (why, _) = explained(&route, &elsewhere, &Trouble::default());
        assert_eq!(why, "its router shop-web leads to nothing");
    }

    #[test]
    fn traefiks_own_words_come_first() {
        let docker = "@said level=error msg=\"Provider connection error Cannot connect to the Docker daemon\" providerName=docker\n";
        let missing = || Last::Missing(Missing::Router("shop-web".into()));
        let (why, hint) = explained(&route(), &missing(), &said(docker));
        assert!(
            why.contains("Cannot connect to the Docker daemon") && hint.contains("docker_socket"),
            "{why} {hint}"
        );
        let typo = "@said level=error msg=\"field not found, node: entrypoint\" container=shop-web-v2-0123\n";
        let (why, _) = explained(&route(), &missing(), &said(typo));
        assert!(why.contains("field not found, node: entrypoint"), "{why}");
        let refused = |error: &str| {
            let refused = Missing::Refused { router: "shop-web".into(), error: error.into() };
            explained(&route(), &Last::Missing(refused), &Trouble::default())
        };
        let (why, hint) = refused("entryPoint \"websecure\" doesn't exist");
        assert_eq!(why, "it refuses the router shop-web: entryPoint \"websecure\" doesn't exist");
        assert!(hint.contains("entryPoints.websecure.address"), "{hint}");
        assert!(refused("error while parsing rule Host(a.test)").1.contains("backticks"));
    }
}
