//! Tests accessories on real servers.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use bowline_tests::expect;
use bowline_tests::project::Project;
use bowline_tests::sandbox::{Lease, Sandbox, Server};

/// Characters that get mangled easily, all in one line.
const NASTY: &str = "pa$1wor$D # ' \" \\ \\n `x` $(touch x) ${HOME} * é =";

/// A project with an accessory of the sample app's image on its first server. Its app is never deployed.
fn project(sandbox: &Sandbox, lease: &Lease, name: &str, more: &str) -> Project {
    let mut project = Project::new(sandbox, lease, name);
    sandbox.push_version(&project.service, &project.service, "v1", &[]);
    let text = format!("\n  tool:\n    image: {}\n    host: {}{more}", project.image("v1"), lease[0].address);
    project.set("accessories", &text);
    project
}

fn container(project: &Project) -> String {
    format!("{}-tool", project.service)
}

fn id(project: &Project, server: &Server) -> String {
    expect::inspect(server, &container(project), "{{.Id}}")
}

#[test]
fn it_is_booted_with_all_it_mounts_looked_at_stopped_and_removed_without_a_trace() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = project(
        sandbox,
        &lease,
        "accessory",
        "
    cmd: /app/server worker
    port: 127.0.0.1:7000:3000
    env: {clear: {GREETING: hello}, secret: [NASTY]}
    labels: {team: data}
    options: {memory: 64m}
    files:
      - config/a.conf:/etc/a b.conf:ro
      - {local: config/b.erb, remote: /etc/b, mode: '0640', owner: '1000:1000'}
    directories: ['data:/data']",
    );
    project.secret("NASTY", &format!("'{}'", NASTY.replace('\'', "’")));
    let nasty = NASTY.replace('\'', "’");
    let bytes: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    project.write("config/a.conf", "");
    std::fs::write(project.path().join("config/a.conf"), &bytes).unwrap();
    project.write("config/b.erb", "# <%= ENV['GREETING'] %> <%= ENV.fetch(\"NASTY\") %>\n");
    let name = container(&project);

    project.bowline(&["accessory", "boot", "all"]).says("booted tool").never_says("touch x").ok();
    expect::unlocked(&project, server);
    let shown = "{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.Memory}} {{.Config.Labels.service}} \
                 {{.Config.Labels.team}} {{json .HostConfig.PortBindings}} {{.HostConfig.NetworkMode}}";
    assert_eq!(
        expect::inspect(server, &name, shown),
        format!(
            "unless-stopped 67108864 {name} data {{\"3000/tcp\":[{{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"7000\"}}]}} kamal"
        )
    );
    let inside = |command: &str| server.run(&format!("docker exec {name} {command}"));
    assert_eq!(
        inside("md5sum '/etc/a b.conf'").ok(),
        server.run(&format!("md5sum '/root/{name}/etc/a b.conf' | sed 's,/root/{name},,'")).ok()
    );
    assert_eq!(inside("wc -c '/etc/a b.conf'").ok().split(' ').next(), Some("200000"));
    assert_eq!(inside("cat /etc/b").ok(), format!("# hello {nasty}"));
    assert_eq!(server.run(&format!("stat -c '%a %u:%g' /root/{name}/etc/b")).ok().trim(), "640 1000:1000");
    let env = format!("/root/.kamal/apps/{}/env/accessories/tool.env", project.service);
    assert_eq!(server.run(&format!("stat -c %a {env}; cat {env}")).ok(), format!("600\nNASTY={nasty}"));
    assert!(inside("env").ok().contains(&format!("KAMAL_HOST={}", server.address)));

    let first = id(&project, server);
    project.bowline(&["accessory", "boot", "tool"]).says("tool is already running").ok();
    project.bowline(&["accessory", "details", "tool"]).says("Accessory tool Host: ").says(&name).ok();
    project.bowline(&["accessory", "logs", "tool", "-n", "1"]).ok();
    project.bowline(&["details"]).says(&name).ok();
    project
        .bowline(&["accessory", "boot", "toll"])
        .says("there is no accessory `toll`")
        .says("tool")
        .exits(2);

    project.bowline(&["accessory", "exec", "tool", "--reuse", "touch", "/data/kept"]).ok();
    let asked = "cat /etc/b && ls /data && echo $GREETING";
    let ran = project.bowline(&["accessory", "exec", "tool", "--raw", "sh", "-c", asked]);
    assert_eq!(ran.ok(), format!("# hello {nasty}\nkept\nhello"));
    project.bowline(&["accessory", "exec", "tool", "--reuse", "sh", "-c", "exit 9"]).exits(9);
    project.bowline(&["accessory", "stop", "tool"]).says("stopped tool").ok();
    assert_eq!(expect::inspect(server, &name, "{{.State.Running}}"), "false");
    project.bowline(&["accessory", "boot", "tool"]).says("started the existing container of tool").ok();
    project.bowline(&["accessory", "restart", "tool"]).ok();
    project.bowline(&["accessory", "stop", "all"]).ok();
    project.bowline(&["accessory", "start", "tool"]).says("started tool").ok();
    project.bowline(&["accessory", "pull-image", "tool"]).says("tool").ok();
    assert_eq!(id(&project, server), first, "it is the same container");

    project.bowline(&["accessory", "remove", "tool"]).says("-y").exits(2);
    assert!(server.has(&format!("/root/{name}/data/kept")));
    project.bowline(&["accessory", "remove", "tool", "-y"]).says("removed tool").ok();
    let left = server.ssh(&format!(
        "docker ps -aq; docker image ls -q {}; ls -d {name} {env} 2>/dev/null; true",
        project.image("v1")
    ));
    assert_eq!(left.ok().trim(), "", "container, image and files are gone");
}

#[test]
fn a_reboot_takes_the_new_configuration_over_and_one_that_fails_leaves_the_old_container() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = project(sandbox, &lease, "reboot", "\n    directories: ['data:/data']");
    let name = container(&project);
    project.bowline(&["accessory", "boot", "tool"]).says("booted tool").ok();
    let first = id(&project, server);
    server.ssh(&format!("docker exec {name} touch /data/kept")).ok();
    let works = project.section("accessories").to_owned();

    project.set(
        "accessories",
        &format!("{works}\n    env: {{EXIT_AT_BOOT: 3}}\n    options: {{restart: 'no'}}"),
    );
    project
        .bowline(&["accessory", "reboot", "tool"])
        .says("code 3")
        .says("the old container runs again")
        .exits(1);
    assert_eq!(expect::inspect(server, &name, "{{.Id}} {{.State.Running}}"), format!("{first} true"));
    expect::unlocked(&project, server);

    project.set("accessories", &format!("{works}\n    env: {{NEW: value}}"));
    project.bowline(&["accessory", "upgrade", "tool", "--rolling", "-y"]).says("rebooted tool").ok();
    assert_ne!(id(&project, server), first);
    assert!(server.ssh(&format!("docker exec {name} env")).ok().contains("NEW=value"));
    server.ssh(&format!("docker exec {name} stat /data/kept")).ok();
    assert_eq!(server.ssh("docker ps -aq").ok().lines().count(), 1, "nothing is left of the old one");
    project.bowline(&["remove", "-y"]).says("removed tool").ok();
    assert_eq!(server.ssh(&format!("docker ps -aq; ls -d {name} 2>/dev/null; true")).ok().trim(), "");
}

#[test]
fn by_role_and_by_tag_it_is_on_just_those_servers() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let (first, second) = (&lease[0], &lease[1]);
    let mut project = Project::new(sandbox, &lease, "placed");
    sandbox.push_version(&project.service, &project.service, "v1", &[]);
    project.set(
        "servers",
        &format!(
            "\n  web: [{{{}: east}}]\n  jobs:\n    hosts: [{}: [west, fast]]\n    cmd: /app/server worker",
            first.address, second.address
        ),
    );
    project.set("env_tags", "{east: {}, west: {}, fast: {}}");
    let image = format!("image: {}, cmd: /app/server worker", project.image("v1"));
    project.set(
        "accessories",
        &format!(
            "\n  both: {{{image}, roles: [web, jobs]}}\n  one: {{{image}, role: jobs}}\n  \
             tagged: {{{image}, tags: [fast, west]}}\n  east: {{{image}, tag: east}}"
        ),
    );
    let name = |accessory: &str| format!("{}-{accessory}", project.service);
    let runs = |server: &Server| {
        let names = server.ssh("docker ps --format '{{.Names}}' | sort").ok().to_owned();
        names.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    project.bowline(&["accessory", "boot", "all"]).ok();
    assert_eq!(runs(first), [name("both"), name("east")]);
    assert_eq!(runs(second), [name("both"), name("one"), name("tagged")]);
    let ran = project.bowline(&["accessory", "details", "all", "-h", &second.address]);
    ran.says(&name("tagged")).says(&name("one")).never_says(&name("east")).ok();
    project.bowline(&["accessory", "remove", "tagged", "-y"]).says("removed tagged").ok();
    assert_eq!(runs(second), [name("both"), name("one")]);
    project.bowline(&["accessory", "remove", "all", "-y"]).ok();
    assert_eq!((runs(first), runs(second)), (Vec::new(), Vec::new()));
}
