//! How a server gets an image from the run itself, with a login for this pull only.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};

use bowline_config::secret::Secret;
use bowline_core::commands::registry::{self, Held, Layer, Layers, Receive, Served, Way};
use bowline_core::commands::status::Status;

use super::*;

/// Records its arguments, and the configuration that a pull uses. `fails` is a file.
const DOCKER: &str = r#"#!/bin/sh
echo "$*" >>asked
case $* in
"--config "*) cat "$2/config.json" >config; stat -c %a "$2" "$2/config.json" >modes; ls "$2/contexts" >contexts; [ ! -e fails ] ;;
version*) echo amd64 ;;
"context inspect"*) echo rootless ;;
"image ls"*) echo localhost:1/bowline/app-app-staging:v0; echo localhost:40000/bowline/app-app-staging:v1 ;;
"image inspect --format"*) echo sha256:1f app ;;
esac
"#;

fn receive(home: &Path, way: Way) -> Output {
    let receive =
        Receive { scope: scope("f00d"), locked: true, image: "me/app:v1".into(), version: "v1".into(), way };
    fs::write(home.join("bin/docker"), DOCKER).unwrap();
    fs::create_dir_all(home.join(".docker/contexts/meta")).unwrap();
    assert!(sh(home, &scope("f00d").claim()).status().unwrap().success());
    let script = receive.script();
    let mut command = sh(home, &script.sent());
    command.env("HOME", home).env_remove("DOCKER_CONFIG");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.input.expose()).unwrap();
    child.wait_with_output().unwrap()
}

fn pull() -> Way {
    pull_of(&["amd64"])
}

fn pull_of(architectures: &[&str]) -> Way {
    let architectures = architectures.iter().map(ToString::to_string).collect();
    Way::Pull(Served { port: 40_000, auth: Secret::new("c2VjcmV0"), architectures })
}

#[test]
fn a_pull_has_a_login_of_its_own_and_leaves_no_name_but_the_images() {
    shells::each(|| {
        let home = server();
        let read = |name: &str| fs::read_to_string(home.path().join(name)).unwrap_or_default();
        let ended = receive(home.path(), pull());
        let said = String::from_utf8_lossy(&ended.stdout).into_owned();
        assert!(ended.status.success() && said.contains("@image sha256:1f\n"), "{ended:?}");
        let config = r#"{"auths":{"localhost:40000":{"auth":"c2VjcmV0"}},"currentContext":"rootless"}"#;
        assert_eq!(read("config").trim_end(), config);
        assert_eq!(read("modes"), "700\n600\n");
        assert_eq!(read("contexts"), "meta\n");
        let asked = read("asked");
        let directory = asked.split_once("--config ").and_then(|(_, rest)| rest.split_once(' ')).unwrap().0;
        assert!(!Path::new(directory).exists(), "{directory} is left");
        let expected = format!(
            "version --format {{{{.Server.Arch}}}}\n\
             context inspect --format {{{{.Name}}}}\n\
             --config {directory} pull --quiet localhost:40000/bowline/app-app-staging:v1\n\
             tag localhost:40000/bowline/app-app-staging:v1 me/app:v1\n\
             image ls --filter reference=localhost:*/bowline/app-app-staging --format {{{{.Repository}}}}:{{{{.Tag}}}}\n\
             rmi localhost:1/bowline/app-app-staging:v0 localhost:40000/bowline/app-app-staging:v1\n\
             image inspect --format {{{{.ID}}}} {{{{.Config.Labels.service}}}} me/app:v1\n"
        );
        assert_eq!(asked, expected);
        assert_eq!(read(".kamal/apps/app-staging/pulled"), "me/app:v1\n");
        assert!(fs::metadata(home.path().join(".docker")).unwrap().permissions().mode() & 0o700 == 0o700);
        assert!(!home.path().join(".docker/config.json").exists(), "it is no login of this user");
    });
}

#[test]
fn a_pull_that_fails_leaves_nothing_either() {
    shells::each(|| {
        let home = server();
        fs::write(home.path().join("fails"), "").unwrap();
        let ended = receive(home.path(), pull());
        assert_eq!(
            ended.status.code(),
            Some(i32::try_from(Status::NotReceived.code()).unwrap()),
            "{ended:?}"
        );
        let asked = fs::read_to_string(home.path().join("asked")).unwrap();
        let directory = asked.split_once("--config ").and_then(|(_, rest)| rest.split_once(' ')).unwrap().0;
        assert!(!Path::new(directory).exists(), "{directory} is left");
        assert!(asked.lines().all(|line| !line.starts_with("tag")), "{asked}");
    });
}

#[test]
fn what_a_server_could_not_run_is_not_pulled() {
    shells::each(|| {
        for (architectures, fits) in [
            (&["arm64"][..], false),
            (&[], false),
            (&["arm64", "amd64"], true),
            (&["386"], true),
            (&["arm"], false),
        ] {
            let home = server();
            let ended = receive(home.path(), pull_of(architectures));
            let asked = fs::read_to_string(home.path().join("asked")).unwrap();
            assert_eq!(asked.contains("pull"), fits, "{architectures:?}: {asked}");
            if !fits {
                let code = i32::try_from(Status::OtherPlatform.code()).unwrap();
                assert_eq!(ended.status.code(), Some(code), "{ended:?}");
                let said = String::from_utf8_lossy(&ended.stderr).into_owned();
                assert!(said.contains("and this server is amd64"), "{said}");
            }
        }
    });
}

#[test]
fn what_a_server_has_of_an_image_is_counted_from_its_lowest_layer_up() {
    let image = |architecture: &str, layers: &[&str]| Layers {
        architecture: architecture.into(),
        layers: layers.iter().map(|layer| Layer { content: (*layer).into(), size: 1 }).collect(),
    };
    let images = [image("arm64", &["sha256:9"]), image("amd64", &["sha256:1", "sha256:2", "sha256:3"])];
    shells::each(|| {
        for (there, held) in [
            ("", 0),
            ("sha256:1 sha256:2 \n", 2),
            ("sha256:7 sha256:2 \nsha256:1 sha256:8 \n\nsha256:9 \n", 1),
            ("sha256:1 sha256:2 sha256:3 sha256:4 \n", 3),
            ("sha256:2 sha256:3 \nsha256:12 \n", 0),
        ] {
            let home = server();
            let ids = if there.is_empty() { "" } else { "sha256:a\nsha256:b" };
            let docker = format!(
                "#!/bin/sh\ncase $* in\nversion*) echo amd64 ;;\n\"image ls\"*) echo '{ids}' ;;\n\"image inspect\"*) printf '{there}' ;;\nesac\n"
            );
            fs::write(home.path().join("bin/docker"), docker).unwrap();
            let ended = sh(home.path(), &registry::held(&images).sent()).output().unwrap();
            let said = String::from_utf8_lossy(&ended.stdout).into_owned();
            let expected = Held { architecture: "amd64".into(), layers: held };
            assert_eq!(said.parse::<Held>(), Ok(expected), "{there:?}: {ended:?}");
        }
    });
}
