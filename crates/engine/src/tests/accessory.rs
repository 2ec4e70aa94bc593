//! Accessories: the steps on each server and their order, and the errors that come before any step.

use std::collections::BTreeMap;

use bowline_core::commands::Action;
use bowline_core::commands::exec::Mode;
use bowline_core::plan::step::Step;
use bowline_core::proxy::traefik::NAME as TRAEFIK;
use bowline_core::selection::Filters;

use super::*;
use crate::accessory::exec;
use crate::change::plan;
use crate::exec::ExecRequest;
use crate::ports::{Exit, Output};
use crate::testing::{FakeConsole, FakeLocal, FakeNetwork, project_with};
use crate::world::Gathered;

/// Two accessories. `db` also runs on a server without a role.
const CONFIG: &str = "service: app
image: app
servers: {web: [a]}
accessories:
  db:
    image: mysql:8
    hosts: [b, c]
    env: {clear: {PORT: 3306}, secret: [DB_PW]}
    files: ['config/my.cnf:/etc/my.cnf', 'config/init.sql.erb:/init.sql']
    directories: ['data:/var/lib/mysql']
  cache: {image: redis, host: a}
";

fn local() -> FakeLocal {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let files = [
        file("config/my.cnf", "[mysqld]\n"),
        file("config/init.sql.erb", "# <%= ENV['PORT'] %>\n<%= ENV[\"DB_PW\"] %>\n"),
    ];
    FakeLocal { files: files.into(), ..FakeLocal::default() }
}

fn scripted() -> (Scripted, Project) {
    let network = std::sync::Arc::new(FakeNetwork::new(&HOSTS));
    (Scripted::on(network, local()), project_with(CONFIG, "DB_PW=sentinel-db\n"))
}

fn said(gathered: &Gathered) -> Vec<String> {
    assert_eq!(gathered.failures, []);
    let outputs = gathered.outputs.iter();
    outputs.map(|output| format!("{}: {}", output.host, output.output.stdout.trim())).collect()
}

fn changes(scripted: &Scripted, host: &str) -> Vec<String> {
    assert!(scripted.network.machine(host).lock.is_none(), "{host} is unlocked");
    std::mem::take(&mut scripted.network.machine(host).changes)
}

#[tokio::test(start_paused = true)]
async fn booted_once_with_all_they_mount_and_left_alone_the_second_time() {
    let (scripted, project) = scripted();
    let options = Options::default();
    let gathered =
        change(scripted.call(&project, &options), &accessory_to("all", Deed::Boot, false)).await.unwrap();
    assert_eq!(said(&gathered), ["b: booted db", "c: booted db", "a: booted cache"]);
    let of_db =
        ["create the directories of db", "upload /etc/my.cnf for db", "upload /init.sql for db", "boot db"];
    assert_eq!(changes(&scripted, "b"), of_db);
    assert_eq!(changes(&scripted, "a"), ["boot cache"]);
    let rendered = scripted.network.machine("c").files["app-db/init.sql"].clone();
    assert_eq!(String::from_utf8(rendered).unwrap(), "# 3306\nsentinel-db\n");
    let shown = format!("{:?}", scripted.recorder.events());
    assert!(!shown.contains("sentinel-db"), "{shown}");

    let again =
        change(scripted.call(&project, &options), &accessory_to("db", Deed::Boot, false)).await.unwrap();
    assert_eq!(said(&again), ["b: db is already running", "c: db is already running"]);
    scripted.network.machine("c").files.insert("app-db/etc/my.cnf".into(), Vec::new());
    let again =
        change(scripted.call(&project, &options), &accessory_to("db", Deed::Boot, false)).await.unwrap();
    assert_eq!(
        said(&again)[1],
        "c: db is already running; run `accessory restart db` to apply the changed files (/etc/my.cnf)"
    );
}

#[tokio::test(start_paused = true)]
async fn stopped_started_rebooted_and_removed() {
    let (scripted, project) = scripted();
    let options = Options::default();
    let call = scripted.call(&project, &options);
    let power =
        async |action| said(&change(call, &accessory_to("cache", Deed::Power(action), false)).await.unwrap());
    assert_eq!(power(Action::Stop).await, ["a: cache has no container here"]);
    let gathered = change(call, &accessory_to("cache", Deed::Power(Action::Start), false)).await.unwrap();
    assert_eq!(gathered.failures[0].cause.to_string(), "there is none");
    assert_eq!(gathered.failures[0].hint().as_deref(), Some("`accessory boot cache` creates one"));
    change(call, &accessory_to("cache", Deed::Boot, false)).await.unwrap();
    assert_eq!(power(Action::Stop).await, ["a: stopped cache"]);
    let gathered = change(call, &accessory_to("cache", Deed::Boot, false)).await.unwrap();
    assert_eq!(said(&gathered), ["a: started the existing container of cache"]);
    assert_eq!(power(Action::Restart).await, ["a: restarted cache"]);
    let gathered = change(call, &accessory_to("cache", Deed::Reboot, false)).await.unwrap();
    assert_eq!(said(&gathered), ["a: rebooted cache"]);
    let gathered = change(call, &accessory_to("cache", Deed::Pull, false)).await.unwrap();
    assert_eq!(said(&gathered), ["a: pulled redis"]);
    let gathered = change(call, &accessory_to("cache", Deed::Remove, false)).await.unwrap();
    assert_eq!(said(&gathered), ["a: removed cache"]);
    assert!(scripted.network.machine("a").accessories.is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_with_a_router_of_its_own_serves_when_traefik_says_so() {
    let network = std::sync::Arc::new(FakeNetwork::new(&HOSTS));
    let scripted = Scripted::on(network, FakeLocal::default());
    let project = project_with(
        "service: app
image: app
servers: {web: [a]}
accessories:
  search:
    image: search
    host: a
    labels:
      traefik.http.routers.search.rule: Host(`search.test`)
      traefik.http.services.search.loadbalancer.server.port: 80
  queue:
    image: queue
    host: a
    labels:
      traefik.tcp.routers.queue.rule: HostSNI(`*`)
      traefik.tcp.services.queue.loadbalancer.server.port: 5672
",
        "",
    );
    let options = Options::default();
    let call = scripted.call(&project, &options);
    let told = || {
        let note = |event| if let Event::Note { text, .. } = event { Some(text) } else { None };
        scripted.recorder.events().into_iter().filter_map(note).collect::<Vec<String>>()
    };
    let gathered = change(call, &accessory_to("search", Deed::Boot, false)).await.unwrap();
    assert_eq!(said(&gathered), ["a: booted search"]);
    assert_eq!(
        told(),
        ["Traefik is not running here, so Bowline could not check that requests reach app-search"]
    );

    scripted.network.machine("a").proxies.insert(TRAEFIK.into(), true);
    let gathered = change(call, &accessory_to("all", Deed::Reboot, false)).await.unwrap();
    assert_eq!(said(&gathered), ["a: rebooted search, serving", "a: rebooted queue, serving"]);

    let refused = ("queue".to_owned(), "no valid entryPoint for this router".to_owned());
    scripted.network.machine("a").refused.extend([refused]);
    let gathered = change(call, &accessory_to("queue", Deed::Reboot, false)).await.unwrap();
    let failure = &gathered.failures[0];
    assert_eq!(failure.doing, "route requests to queue");
    let cause = failure.cause.to_string();
    assert!(cause.contains("it refuses the router queue: no valid entryPoint"), "{cause}");
    let hint = failure.hint().unwrap();
    assert!(hint.contains("`traefik.tcp.routers.queue.entrypoints`"), "{hint}");

    scripted.network.machine("a").no_api = true;
    let gathered = change(call, &accessory_to("queue", Deed::Reboot, false)).await.unwrap();
    assert_eq!(said(&gathered), ["a: rebooted queue"]);
    assert!(told().last().unwrap().contains("Traefik here has no API"), "{:?}", told());
}

#[tokio::test(start_paused = true)]
async fn one_server_after_the_other_ends_where_one_fails() {
    let (scripted, project) = scripted();
    let options = Options::default();
    change(scripted.call(&project, &options), &accessory_to("all", Deed::Boot, false)).await.unwrap();
    HOSTS.iter().for_each(|host| drop(changes(&scripted, host)));
    let failed =
        Output { exit: Exit::Status(74), stdout: "@back\n".into(), stderr: "no such network".into() };
    scripted.network.faults().accessories = BTreeMap::from([(("b".into(), "reboot db".into()), failed)]);
    let gathered =
        change(scripted.call(&project, &options), &accessory_to("db", Deed::Reboot, true)).await.unwrap();
    assert_eq!(
        gathered.failures.iter().map(|failure| failure.cause.to_string()).collect::<Vec<_>>(),
        ["Docker could not run the container: no such network; the old container runs again"]
    );
    assert_eq!(changes(&scripted, "c"), [""; 0], "its turn never came");
    let gathered =
        change(scripted.call(&project, &options), &accessory_to("db", Deed::Reboot, false)).await.unwrap();
    assert_eq!((gathered.failures.len(), gathered.outputs.len()), (1, 1));
    assert_eq!(changes(&scripted, "c").last().unwrap(), "reboot db");
}

#[tokio::test(start_paused = true)]
async fn a_command_runs_on_each_server_and_an_interactive_one_on_the_first() {
    let (scripted, project) = scripted();
    let options = Options::default();
    let call = scripted.call(&project, &options);
    let request = |mode, reuse| {
        let words = vec!["echo".into(), "hi".into()];
        ExecRequest { words, env: Vec::new(), reuse, mode }
    };
    let run = async |name, request: &ExecRequest| exec::exec(call, name, request).await;
    let gathered = run("db", &request(Mode::Gathered, true)).await.unwrap();
    assert_eq!(said(&gathered), ["b: hi", "c: hi"]);
    assert_eq!(changes(&scripted, "b"), [""; 0], "nothing is prepared in a container that is there");
    let gathered = run("db", &request(Mode::Gathered, false)).await.unwrap();
    assert_eq!(said(&gathered), ["b: hi", "c: hi"]);
    let prepared = changes(&scripted, "c");
    assert!(prepared[0].starts_with("prepare app-db-exec-"), "{prepared:?}");

    let attach = async |mode| {
        let (console, request) = (FakeConsole::default(), request(mode, true));
        exec::attach(call, "db", &request, &console).await
    };
    attach(Mode::Piped).await.unwrap();
    assert!(!scripted.network.machine("b").attached.is_empty());
    assert!(scripted.network.machine("c").attached.is_empty());
    assert!(matches!(attach(Mode::Raw).await, Err(RunError::Usage { .. })), "of two servers' bytes");
    let ended = run("all", &request(Mode::Gathered, true)).await;
    assert_eq!(ended.unwrap_err().to_string(), "there is no accessory `all`; the accessories are: db, cache");
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_known_before_anything_is_begun() {
    let cases = [
        (CONFIG.replace("my.cnf:", "no.cnf:"), "accessories/db/files: there is no file config/no.cnf"),
        (CONFIG.replace("DB_PW]", "NOBODY]"), "NOBODY"),
    ];
    for (config, message) in cases {
        let (scripted, _) = scripted();
        let project = project_with(&config, "DB_PW=x\n");
        let ended =
            change(scripted.call(&project, &Options::default()), &accessory_to("all", Deed::Boot, false))
                .await;
        let text = match ended.unwrap_err() {
            RunError::Invalid(found) => found.render(false),
            error => error.to_string(),
        };
        assert!(text.contains(message), "{text}");
        let touched =
            scripted.recorder.events().into_iter().any(|event| matches!(event, Event::StepStarted { .. }));
        assert!(!touched, "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_names_the_steps_that_follow_and_changes_nothing() {
    let (scripted, _) = scripted();
    let ui = "  ui: {image: i, host: a, proxy: {host: h.example}}\n";
    let project = project_with(&format!("{CONFIG}{ui}"), "DB_PW=x\n");
    let options = Options::default();
    let call = scripted.call(&project, &options);
    let power = [Action::Stop, Action::Start].map(Deed::Power);
    for deed in [Deed::Boot, Deed::Reboot, power[0], power[1], Deed::Pull, Deed::Remove] {
        let intent = accessory_to("all", deed, deed == Deed::Reboot);
        let before = HOSTS.map(|host| changes(&scripted, host));
        let planned = plan(call, &intent).await.unwrap();
        assert!(planned.wrong.is_none() && (deed != Deed::Boot || before.concat().is_empty()));
        assert!(HOSTS.map(|host| changes(&scripted, host)).concat().is_empty(), "{deed:?}");
        let earlier = scripted.recorder.events().len();
        said(&change(call, &intent).await.unwrap());
        let events = scripted.recorder.events().split_off(earlier);
        for piece in planned.plan.pieces() {
            for what in piece.work.steps().iter().map(Step::describe) {
                assert!(position(&events, started(&piece.host, &what)).is_some(), "{deed:?}: {what}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_accessory_with_a_proxy_is_registered_as_long_as_it_runs() {
    let (scripted, _) = scripted();
    let ui = "  ui: {image: i, host: a, proxy: {host: h.example}}\n";
    let project = project_with(&CONFIG.replace("  cache: {image: redis, host: a}\n", ui), "DB_PW=x\n");
    let options = Options::default();
    let call = scripted.call(&project, &options);
    let registered = || scripted.network.machine("a").services.contains_key("app-ui");
    let told =
        |gathered: Gathered| gathered.outputs.iter().map(|o| o.output.stdout.clone()).collect::<String>();
    let booted = change(call, &accessory_to("ui", Deed::Boot, false)).await.unwrap();
    assert_eq!((told(booted).as_str(), registered()), ("booted ui, serving\n", true));
    assert_eq!(scripted.network.machine("a").proxies.get("kamal-proxy"), Some(&true), "it was booted");
    change(call, &accessory_to("ui", Deed::Power(Action::Stop), false)).await.unwrap();
    assert!(!registered(), "stopped");
    change(call, &accessory_to("ui", Deed::Power(Action::Start), false)).await.unwrap();
    assert!(registered(), "started again");
    change(call, &accessory_to("ui", Deed::Reboot, false)).await.unwrap();
    assert!(registered(), "rebooted");
    change(call, &accessory_to("ui", Deed::Remove, false)).await.unwrap();
    assert!(!registered(), "removed");
}

#[tokio::test(start_paused = true)]
async fn a_failure_says_what_it_means() {
    let cases = [
        (71, "", "", "the registry refused the login"),
        (72, "", "not found", "the image mysql:8 could not be pulled: not found"),
        (76, "", "", "could not create the Docker network `kamal`"),
        (78, "", "", "the name app-db is taken by a container that doesn't belong to this accessory"),
        (
            70,
            "@state exited none 3 0 false\n@failed exited\n@log\n@back\n\n@health null\n",
            "",
            "the container exited with code 3",
        ),
        (1, "", "chown: invalid user", "chown: invalid user (exit code 1)"),
        (
            1,
            "",
            "chown: /x: Operation not permitted",
            "the SSH user has no permission for this: chown: /x: Operation not permitted",
        ),
    ];
    for (status, stdout, stderr, reason) in cases {
        let (scripted, project) = scripted();
        let failed = Output { exit: Exit::Status(status), stdout: stdout.into(), stderr: stderr.into() };
        scripted.network.faults().accessories = BTreeMap::from([(("b".into(), "boot db".into()), failed)]);
        let gathered =
            change(scripted.call(&project, &Options::default()), &accessory_to("all", Deed::Boot, false))
                .await
                .unwrap();
        let failures: Vec<String> =
            gathered.failures.iter().map(|failure| failure.cause.to_string()).collect();
        assert_eq!(failures, [reason]);
        assert_eq!(gathered.outputs.len(), 2, "the others came to their end");
    }
}

#[tokio::test(start_paused = true)]
async fn removing_everything_takes_accessories_with_it_and_the_app_alone_does_not() {
    for (removal, left) in [(Removal::App, true), (Removal::Everything, false)] {
        let (scripted, project) = scripted();
        let options = Options::default();
        change(scripted.call(&project, &options), &accessory_to("all", Deed::Boot, false)).await.unwrap();
        let gathered =
            change(scripted.call(&project, &options), &Intent::Remove(removal.clone())).await.unwrap();
        assert_eq!(gathered.failures, []);
        for host in HOSTS {
            let machine = scripted.network.machine(host);
            assert_eq!(!machine.accessories.is_empty(), left, "{host} {removal:?}");
            assert_eq!(machine.mark.is_some(), left && host != "a", "{host}: the directory");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_by_hand_on_the_apps_first_server_keeps_them_out() {
    let (scripted, project) = scripted();
    scripted.network.machine("a").lock =
        Some(crate::testing::FakeLock { owner: None, orphaned: false, details: "maintenance".into() });
    let filters = Filters { hosts: vec!["b".into()], ..Filters::default() };
    let options = Options { filters, ..Options::default() };
    let ended = change(scripted.call(&project, &options), &accessory_to("db", Deed::Boot, false)).await;
    assert!(matches!(&ended, Err(RunError::Locked { host, .. }) if host == "a"), "{ended:?}");
    assert_eq!(scripted.network.machine("b").changes, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_begins_nothing_more_and_unlocks() {
    let (scripted, project) = scripted();
    let options = Options::default();
    change(scripted.call(&project, &options), &accessory_to("all", Deed::Boot, false)).await.unwrap();
    HOSTS.iter().for_each(|host| drop(changes(&scripted, host)));
    scripted.network.take_boundaries();
    scripted.network.faults().notify_at = Some(3);
    let stop = accessory_to("all", Deed::Power(Action::Stop), false);
    let stop = change(scripted.call(&project, &options), &stop);
    let interrupt = async {
        scripted.network.reached.notified().await;
        scripted.trigger.stop();
    };
    let (ended, ()) = tokio::join!(stop, interrupt);
    assert!(matches!(ended, Err(RunError::Interrupted { .. })), "{ended:?}");
    let stopped: Vec<Vec<String>> = HOSTS.iter().map(|host| changes(&scripted, host)).collect();
    assert!(!stopped.concat().contains(&"stop cache".to_owned()), "{stopped:?}");
}

#[tokio::test(start_paused = true)]
async fn a_file_with_a_secret_that_everybody_could_read_is_told() {
    let private = "{local: config/init.sql.erb, remote: /init.sql, mode: '0640'}";
    for (file, told) in [("'config/init.sql.erb:/init.sql'", true), (private, false)] {
        let (scripted, _) = scripted();
        let config = CONFIG.replace("'config/init.sql.erb:/init.sql'", file);
        let project = project_with(&config, "DB_PW=sentinel-db\n");
        change(scripted.call(&project, &Options::default()), &accessory_to("db", Deed::Boot, false))
            .await
            .unwrap();
        let notes = format!("{:?}", scripted.recorder.events());
        assert_eq!(notes.contains("config/init.sql.erb contains a secret"), told, "{notes}");
        assert!(!notes.contains("config/my.cnf has") && !notes.contains("sentinel-db"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_renders_no_template_and_does_not_judge_its_placeholders() {
    let protected = "{image: redis, host: a, proxy: {host: a.test, app_port: 80, basic_auth: [LOGIN]}}";
    let config = CONFIG.replace("{image: redis, host: a}", protected).replace("web: [a]", "web: [b]");
    let project = project_with(&config, "DB_PW=$(make-one)\nLOGIN=no-login\n");
    let mut local = local();
    local.files.insert("config/init.sql.erb".into(), "<%= Integer(ENV.fetch('DB_PW')) %>".into());
    let scripted = Scripted::on(std::sync::Arc::new(FakeNetwork::new(&HOSTS)), local);
    let options = Options::default();
    let boot = accessory_to("all", Deed::Boot, false);
    let planned = plan(scripted.call(&project, &options), &boot).await.unwrap();
    assert!(planned.wrong.is_none(), "{:?}", planned.wrong);
    assert_eq!(scripted.local.ran(), []);

    let boot = accessory_to("cache", Deed::Boot, false);
    let error = change(scripted.call(&project, &options), &boot).await.unwrap_err();
    assert!(error.to_string().contains("the secret LOGIN of `basic_auth` is not a login"), "{error}");
    assert!(scripted.network.machine("a").lock.is_none() && changes(&scripted, "a").is_empty());
}
