//! What a test expects of servers after a run, each in one line.

use crate::project::Project;
use crate::sandbox::Server;

/// Exactly these roles and versions run on a server, and nothing else of the service.
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

/// Nobody holds the deploy lock, or is just taking it over.
#[track_caller]
pub fn unlocked(project: &Project, server: &Server) {
    let locks = server.run(&format!("ls -d .kamal/lock-{}* 2>/dev/null", project.service));
    assert_eq!(locks.stdout, "", "locks on {}", server.name);
}

/// Every cord on the server is one that a container there mounts.
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

/// Nothing of the service was ever on the server: no container, no image, no file.
#[track_caller]
pub fn untouched(project: &Project, server: &Server) {
    assert_eq!(server.containers(&project.service), [""; 0], "containers on {}", server.name);
    let found = server.run(&format!(
        "docker images -q '*/{0}'; ls -d .kamal .docker 2>/dev/null; docker ps -aq --filter name=traefik",
        project.service
    ));
    assert_eq!(found.stdout, "", "found on {}", server.name);
}

/// The image that a tag of the app names on a server; empty if there is none.
#[must_use]
pub fn image_id(project: &Project, server: &Server, tag: &str) -> String {
    let image = project.image(tag);
    server.run(&format!("docker image inspect -f '{{{{.Id}}}}' {image} 2>/dev/null")).stdout.trim().to_owned()
}

/// The number of a container's label or state, as `docker inspect -f` prints it.
#[must_use]
pub fn inspect(server: &Server, container: &str, format: &str) -> String {
    server.run(&format!("docker inspect -f '{format}' '{container}'")).ok().to_owned()
}
