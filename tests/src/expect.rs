//! Assertions on servers after a run.

use crate::project::Project;
use crate::sandbox::{Lease, Ran, Server};

/// Asserts that exactly these roles and versions of the service run on a server.
#[track_caller]
pub fn runs(project: &Project, server: &Server, containers: &[(&str, &str)]) {
    let mut expected: Vec<String> =
        containers.iter().map(|(role, version)| project.container(role, version)).collect();
    expected.sort();
    assert_eq!(
        server.running(&project.service),
        expected,
        "running on {}; all containers: {:?}",
        server.name,
        server.containers(&project.service)
    );
}

/// Asserts that a deploy failed, the old version runs on both servers, with its worker on the second, and the new
/// containers are stopped.
#[track_caller]
pub fn all_as_before(project: &Project, lease: &Lease, ran: &Ran, [old, new]: [&str; 2]) {
    ran.exits(1);
    runs(project, &lease[0], &[("web", old)]);
    runs(project, &lease[1], &[("web", old), ("worker", old)]);
    for server in lease.iter() {
        unlocked(project, server);
        ran.says(&server.address);
        let state = inspect(server, &project.container("web", new), "{{.State.Status}}");
        assert_eq!(state, "exited", "the new container is kept, stopped, for a look");
        let latest = image_id(project, server, "latest");
        assert_eq!(latest, image_id(project, server, old), "latest on {}", server.name);
    }
}

/// Asserts that the deploy lock is free and is not being taken over.
#[track_caller]
pub fn unlocked(project: &Project, server: &Server) {
    let locks = server.run(&format!("ls -d .kamal/lock-{}* 2>/dev/null", project.service));
    assert_eq!(locks.stdout, "", "locks on {}", server.name);
}

/// Asserts that a container mounts each cord on the server.
#[track_caller]
pub fn no_loose_cords(project: &Project, server: &Server) {
    let loose = server.run(&format!(
        "mounts=$(docker ps -aq --filter label=service={0} | xargs -r docker inspect -f '{{{{range .Mounts}}}}{{{{println .Source}}}}{{{{end}}}}')
         for cord in \"$PWD\"/.kamal/apps/{0}*/cords/*; do
           [ ! -d \"$cord\" ] || grep -qxF \"$cord\" <<<\"$mounts\" || echo \"$cord\"
         done",
        project.service
    ));
    assert_eq!(loose.ok(), "", "cords that nothing mounts on {}", server.name);
}

/// Asserts that the server has no container, image or file of the service.
#[track_caller]
pub fn untouched(project: &Project, server: &Server) {
    assert_eq!(server.containers(&project.service), [""; 0], "containers on {}", server.name);
    let found = server.run(&format!(
        "docker images -q '*/{0}'; ls -d .kamal .docker 2>/dev/null; docker ps -aq --filter name=traefik",
        project.service
    ));
    assert_eq!(found.stdout, "", "found on {}", server.name);
}

/// The id of the image that a tag of the app names on a server. Empty if there is none.
#[must_use]
pub fn image_id(project: &Project, server: &Server, tag: &str) -> String {
    let image = project.image(tag);
    server.run(&format!("docker image inspect -f '{{{{.Id}}}}' {image} 2>/dev/null")).stdout.trim().to_owned()
}

#[must_use]
pub fn inspect(server: &Server, container: &str, format: &str) -> String {
    server.run(&format!("docker inspect -f '{format}' '{container}'")).ok().to_owned()
}
