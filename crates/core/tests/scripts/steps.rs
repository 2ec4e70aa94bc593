//! Every step, with hostile values.

use bowline_config::secret::{Secret, SecretBytes};
use bowline_config::{AssetPath, Logging, OptionValue, Run, Traefik};
use bowline_core::commands::env::{self, SecretEnv};
use bowline_core::commands::exec::{Exec, Missing, Mode, Of, Place};
use bowline_core::commands::finish::Finish;
use bowline_core::commands::serving::{Check, Serving};
use bowline_core::commands::{
    Action, Scope, accessory, app, assets, lock, network, observe, prune, ready, registry, remove, server,
};
use bowline_core::names::Names;
use bowline_core::plan::step::Step;
use bowline_core::proxy::kamal;
use bowline_core::proxy::takeover::{Ports, Settle, Survey, Verdict};
use bowline_core::proxy::traefik::{self, container, trouble};
use bowline_core::proxy::{self, cord};
use bowline_core::request::Direction;

/// Text that would do harm if a shell executed it.
pub(super) const HOSTILE: &str = "a'b\"c$(touch hacked)`touch hacked`;touch hacked #\\";

pub(super) fn scope(run: &str) -> Scope {
    Scope { names: Names::new("app", Some("staging")), run: run.into(), performer: HOSTILE.into() }
}

fn receive(way: registry::Way) -> Step {
    let scope = scope("f00d");
    Step::Receive(registry::Receive {
        scope,
        locked: true,
        image: HOSTILE.into(),
        version: HOSTILE.into(),
        way,
    })
}

/// A secret that an env file can hold, and one that it can't.
pub(super) fn secrets() -> SecretEnv {
    let secret = |name: &str, value: &str| (name.to_owned(), Secret::new(value));
    SecretEnv::new(vec![secret("KEY", "sentinel-secret"), secret("PEM", "sentinel-secret\nline two")])
        .unwrap()
}

pub(super) fn environment() -> app::Environment {
    app::Environment {
        host: "10.0.0.1".into(),
        clear: vec![("CLEAR".into(), HOSTILE.into())],
        secret: secrets(),
        volumes: vec!["$PWD/data:/data".into(), HOSTILE.into()],
        options: vec![
            ("memory".into(), OptionValue::Value("512m".into())),
            ("init".into(), OptionValue::Flag),
            ("dns".into(), OptionValue::List(vec!["1.1.1.1".into(), HOSTILE.into()])),
        ],
        logging: Logging {
            driver: Some("json-file".into()),
            options: vec![("max-size".into(), "1m".into())],
        },
    }
}

pub(super) fn boot() -> app::Boot {
    app::Boot {
        ready: ready::Ready::Healthy,
        scope: scope("0123456789abcdef0123456789abcdef"),
        role: "web".into(),
        version: "v1".into(),
        image: "r.test/app:v1".into(),
        environment: environment(),
        labels: vec![
            ("service".into(), "app".into()),
            ("destination".into(), String::new()),
            ("x".into(), HOSTILE.into()),
        ],
        made: Secret::new("bowline.config=sentinel-secret"),
        cmd: Some("bin/server --name 'a b' $(touch hacked)".into()),
        health: Some(app::HealthFlags { cmd: HOSTILE.into(), interval_ms: 1000, quick_start_s: Some(30) }),
        cord: Some("/tmp/kamal-cord".into()),
        assets: Some(AssetPath { path: "/app/public/assets".into(), mount_options: Some("ro".into()) }),
        timeout: 30,
        readiness_delay: 7,
    }
}

fn serving() -> Serving {
    Serving { id: HOSTILE.into(), restarts: Some(0), ready: ready::Ready::Healthy }
}

pub(super) fn all_steps() -> Vec<Step> {
    let scope = scope("f00d");
    let names = scope.names.clone();
    let run = |script| Step::Run("a script", script);
    let remove = |what| Step::Remove(remove::Remove { scope: scope.clone(), what });
    let mut steps = vec![
        Step::Observe(observe::Observe { scope: scope.clone(), repository: HOSTILE.into(), claim: true }),
        Step::Lock(lock::Keep { scope: scope.clone(), details: HOSTILE.into() }),
        Step::Pull(registry::Pull {
            scope: scope.clone(),
            locked: true,
            login: Some(login()),
            image: HOSTILE.into(),
            version: HOSTILE.into(),
        }),
        receive(registry::Way::There),
        receive(registry::Way::Load),
        receive(registry::Way::Pull(registry::Served {
            port: 40_000,
            auth: Secret::new("sentinel-secret"),
            architectures: vec!["amd64".into()],
        })),
        run(registry::login(&login())),
        run(registry::logout(Some(HOSTILE))),
        run(registry::mirror()),
        of_traefik(traefik::Step::Ensure(Box::new(container::Ensure {
            scope: scope.clone(),
            traefik: Traefik { labels: vec![(HOSTILE.into(), HOSTILE.into())], ..Traefik::default() },
            secret: secrets(),
            logging: Logging::default(),
        }))),
        of_traefik(traefik::Step::Settle(container::Settle {
            scope: scope.clone(),
            verdict: container::Verdict::Stays,
        })),
        of_traefik(traefik::Step::Settle(container::Settle {
            scope: scope.clone(),
            verdict: container::Verdict::GivesWay { restart: Some(HOSTILE.into()) },
        })),
        run(trouble::explain()),
        Step::Network(network::Network { scope: scope.clone() }),
        Step::Assets(assets::Prepare {
            scope: scope.clone(),
            role: "web".into(),
            image: HOSTILE.into(),
            version: "v2".into(),
            path: AssetPath { path: HOSTILE.into(), mount_options: None },
            running: vec![assets::Running {
                image: HOSTILE.into(),
                volume: Some(assets::Volume { directory: HOSTILE.into(), at: HOSTILE.into() }),
            }],
            in_use: true,
        }),
        Step::Boot(Box::new(boot())),
        Step::Find(boot().find()),
        of_traefik(traefik::Step::Cut(cord::Cut {
            scope: scope.clone(),
            name: HOSTILE.into(),
            id: HOSTILE.into(),
            directory: HOSTILE.into(),
            timeout: 9,
            protocols: [].into(),
            instead: Some(serving()),
        })),
        Step::Check(Check {
            scope: scope.clone(),
            name: HOSTILE.into(),
            serving: serving(),
            network: HOSTILE.into(),
            timeout: 1,
            readiness_delay: 1,
        }),
        Step::Stop(stop(&scope)),
        Step::Tag(tag(&scope)),
        Step::Prune(prune(&scope)),
        Step::Finish(Box::new(Finish {
            stop: Some(stop(&scope)),
            tag: Some(tag(&scope)),
            prune: Some(prune(&scope)),
        })),
        Step::Start(Box::new(app::Start {
            ready: ready::Ready::Healthy,
            scope: scope.clone(),
            role: HOSTILE.into(),
            version: HOSTILE.into(),
            name: HOSTILE.into(),
            id: HOSTILE.into(),
            attach: Default::default(),
            network: Default::default(),
            cord: Some(HOSTILE.into()),
            assets: Some(".".into()),
            restart: Some(HOSTILE.into()),
            timeout: 1,
            readiness_delay: 1,
        })),
        remove(remove::What::Container { role: HOSTILE.into(), name: HOSTILE.into() }),
        remove(remove::What::Containers(HOSTILE.into())),
        remove(remove::What::Images { repository: HOSTILE.into(), latest: HOSTILE.into() }),
        remove(remove::What::Directory),
        of_traefik(traefik::Step::Remove(container::Remove { scope: scope.clone() })),
        of_kamal(kamal::Step::Remove(kamal::container::Remove { scope: scope.clone(), force: false })),
        of_kamal(kamal::Step::List),
        run(lock::status(&names)),
        run(lock::acquire(&names, HOSTILE)),
        run(lock::release(&names)),
        Step::Bootstrap(server::Bootstrap),
    ];
    for secret in [None, Some(secrets())] {
        let (scope, role, path) = (scope.clone(), Some(HOSTILE.into()), names.env_file(HOSTILE));
        steps.push(Step::Env(env::EnvFile { scope, role, path, secret }));
    }
    steps.extend(of_accessories(&scope));
    steps.extend(of_services(&scope));
    steps.extend(of_takeovers(&scope));
    let modes = [Mode::Gathered, Mode::Raw, Mode::Piped, Mode::Terminal, Mode::Detached];
    for mode in modes {
        let (scope, host, command) = (scope.clone(), HOSTILE.into(), HOSTILE.into());
        let command = server::OnServer { scope, host, command, mode };
        steps.push(run(command.end()));
        steps.push(Step::OnServer(command));
    }
    for exec in modes.into_iter().flat_map(|mode| [in_new(mode), in_serving(mode)]) {
        steps.push(Step::Prepare(Box::new(exec.clone())));
        steps.push(run(exec.end(5)));
        steps.push(Step::Exec(Box::new(exec)));
    }
    steps
}

fn stop(scope: &Scope) -> app::Stop {
    app::Stop {
        scope: scope.clone(),
        role: "web".into(),
        name: HOSTILE.into(),
        id: HOSTILE.into(),
        drain: Some(30),
        stop_wait: Some(5),
        cord: Some(HOSTILE.into()),
        if_healthy: app::IfHealthy::Leave,
        instead: Some(serving()),
        undoes: Some(HOSTILE.into()),
    }
}

fn tag(scope: &Scope) -> app::Tag {
    app::Tag {
        scope: scope.clone(),
        image: HOSTILE.into(),
        latest: HOSTILE.into(),
        version: HOSTILE.into(),
        kind: Some("deploy"),
        serving: vec![serving()],
    }
}

fn prune(scope: &Scope) -> prune::Prune {
    prune::Prune {
        scope: scope.clone(),
        roles: vec![HOSTILE.into()],
        retain: 5,
        repository: HOSTILE.into(),
        assets: vec![assets::Clean {
            role: "web".into(),
            keep: vec!["v1".into(), HOSTILE.into()],
            siblings: vec!["web-api".into()],
            elsewhere: vec![HOSTILE.into()],
            helper: true,
        }],
        ended: vec![HOSTILE.into()],
        unread: vec![HOSTILE.into()],
        parts: Some(prune::Parts::All),
    }
}

fn of_kamal(step: kamal::Step) -> Step {
    Step::Proxy(proxy::Step::Kamal(step))
}

fn of_services(scope: &Scope) -> Vec<Step> {
    let route = kamal::Route {
        scope: scope.clone(),
        service: HOSTILE.into(),
        container: HOSTILE.into(),
        port: 80,
        flags: vec![HOSTILE.into()],
        pages: Some(kamal::service::ErrorPages { directory: HOSTILE.into(), flag: HOSTILE.into() }),
        timeout: 1,
        drain: 1,
    };
    let run = Run {
        publish: true,
        http_port: Some(80),
        https_port: Some(443),
        bind_ips: vec!["::1".into(), HOSTILE.into()],
        metrics_port: Some(9090),
        debug: true,
        log_max_size: Some(HOSTILE.into()),
        registry: Some(HOSTILE.into()),
        repository: Some(HOSTILE.into()),
        version: Some(HOSTILE.into()),
        options: environment().options,
    };
    let ensure = |run: Option<Run>| kamal::container::Ensure {
        scope: scope.clone(),
        image: run.as_ref().map_or(kamal::container::Image::Own, kamal::container::Image::of),
        ports: Ports::Published,
        needs_own: Some("basic_auth"),
        run,
        own: HOSTILE.into(),
    };
    let archive = SecretBytes::new(*b"archive");
    let unregister = kamal::service::Unregister {
        scope: scope.clone(),
        service: HOSTILE.into(),
        id: Some(HOSTILE.into()),
        drain: 1,
    };
    let pause = |to| kamal::service::Pause {
        scope: scope.clone(),
        role: HOSTILE.into(),
        service: HOSTILE.into(),
        to,
    };
    let stop = kamal::service::Pausing::Stop { drain: 1, message: Some(HOSTILE.into()), retry_after: 60 };
    let secret = || Secret::new("sentinel-secret");
    let files = kamal::files::Files {
        scope: scope.clone(),
        private: vec![
            (format!("tls/{HOSTILE}/cert.pem"), secret()),
            (format!("auth/{HOSTILE}/logins"), secret()),
        ],
        pages: [("503.html".into(), HOSTILE.into())].into(),
        shelf: kamal::files::Shelf::Version { version: HOSTILE.into(), keep: vec![HOSTILE.into()] },
    };
    let of_accessory =
        kamal::files::Files { shelf: kamal::files::Shelf::Accessory(HOSTILE.into()), ..files.clone() };
    let steps = [
        kamal::Step::Files(Box::new(files)),
        kamal::Step::Files(Box::new(of_accessory)),
        kamal::Step::Ensure(Box::new(ensure(None))),
        kamal::Step::Ensure(Box::new(ensure(Some(run.clone())))),
        kamal::Step::Load(kamal::container::Load { scope: scope.clone(), image: HOSTILE.into(), archive }),
        kamal::Step::Replace(Box::new(kamal::container::Replace { ensure: ensure(None) })),
        kamal::Step::Replace(Box::new(kamal::container::Replace { ensure: ensure(Some(run.clone())) })),
        kamal::Step::Look(Box::new(kamal::upgrade::Look { ensure: ensure(None) })),
        kamal::Step::Look(Box::new(kamal::upgrade::Look { ensure: ensure(Some(run.clone())) })),
        kamal::Step::InPlace(Box::new(kamal::upgrade::InPlace {
            ensure: ensure(None),
            version: HOSTILE.into(),
        })),
        kamal::Step::TakeOver(Box::new(kamal::takeover::TakeOver { ensure: ensure(None) })),
        kamal::Step::TakeOver(Box::new(kamal::takeover::TakeOver { ensure: ensure(Some(run)) })),
        kamal::Step::Power(kamal::container::Power { scope: scope.clone(), action: Action::Restart }),
        kamal::Step::Register(Box::new(route.register(HOSTILE))),
        kamal::Step::Unregister(unregister),
        kamal::Step::Forget(kamal::service::Forget {
            scope: scope.clone(),
            service: HOSTILE.into(),
            id: HOSTILE.into(),
        }),
        kamal::Step::Pause(pause(stop)),
        kamal::Step::Pause(pause(kamal::service::Pausing::Resume)),
    ];
    steps.into_iter().map(of_kamal).collect()
}

fn of_traefik(step: traefik::Step) -> Step {
    Step::Proxy(proxy::Step::Traefik(step))
}

fn of_takeovers(scope: &Scope) -> Vec<Step> {
    let ensure = container::Ensure {
        scope: scope.clone(),
        traefik: Traefik { labels: vec![(HOSTILE.into(), HOSTILE.into())], ..Traefik::default() },
        secret: secrets(),
        logging: Logging::default(),
    };
    let mut steps =
        vec![of_traefik(traefik::Step::TakeOver(Box::new(traefik::takeover::TakeOver { ensure })))];
    for direction in [Direction::Upgrade, Direction::Downgrade] {
        let survey = Survey { scope: scope.clone(), direction, services: vec![HOSTILE.into()] };
        steps.push(Step::Proxy(proxy::Step::Survey(survey)));
        let gives_back = Verdict::GivesBack { restart: Some(HOSTILE.into()) };
        for verdict in [Verdict::Stays, gives_back, Verdict::GivesUp] {
            let settle = Settle { scope: scope.clone(), direction, verdict, services: vec![HOSTILE.into()] };
            steps.push(Step::Proxy(proxy::Step::Settle(settle)));
        }
    }
    steps
}

fn of_accessories(scope: &Scope) -> Vec<Step> {
    let directory = accessory::Directory {
        path: HOSTILE.into(),
        mode: Some(HOSTILE.into()),
        owner: Some(HOSTILE.into()),
    };
    let upload = accessory::Upload {
        path: format!("/{HOSTILE}"),
        mode: None,
        owner: Some(HOSTILE.into()),
        content: SecretBytes::new(*b"sentinel-secret"),
    };
    let container = || {
        Box::new(accessory::Container {
            image: HOSTILE.into(),
            environment: environment(),
            port: Some(HOSTILE.into()),
            network: HOSTILE.into(),
            labels: vec![("x".into(), HOSTILE.into())],
            cmd: Some("run --name 'a b' $(touch hacked)".into()),
            from: accessory::ImageFrom::Registry(Some(login())),
            ready: ready::Ready::Healthy,
            timeout: 1,
        })
    };
    let done = [
        accessory::What::Directories(vec![directory]),
        accessory::What::Upload(upload),
        accessory::What::Boot(container()),
        accessory::What::Replace(container()),
        accessory::What::Pull { image: HOSTILE.into(), login: Some(login()) },
        accessory::What::Power { action: Action::Restart, restart: Some(HOSTILE.into()) },
        accessory::What::Remove { image: HOSTILE.into() },
    ];
    let act = |what| {
        let (scope, name, service) = (scope.clone(), HOSTILE.into(), HOSTILE.into());
        Step::Accessory(Box::new(accessory::Act { scope, name, service, what }))
    };
    done.into_iter().map(act).collect()
}

fn in_new(mode: Mode) -> Exec {
    Exec {
        scope: scope("0123456789abcdef0123456789abcdef"),
        of: Of::Role { name: "web".into(), version: HOSTILE.into() },
        place: Place::New {
            image: HOSTILE.into(),
            environment: Box::new(environment()),
            missing: Missing::Pull(Some(login())),
        },
        env: vec![("A".into(), HOSTILE.into())],
        words: vec![HOSTILE.into()],
        mode,
    }
}

fn in_serving(mode: Mode) -> Exec {
    Exec { place: Place::Serving(HOSTILE.into()), ..in_new(mode) }
}

pub(super) fn login() -> registry::Login {
    registry::Login {
        server: Some(HOSTILE.into()),
        username: Secret::new(HOSTILE),
        password: Secret::new("sentinel-secret"),
    }
}
