//! What preparing and removing assets leaves on a server. The scripts run under real shells with real tools, and a
//! `docker` that can only print a directory of an image as an archive.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A panic fails the test.

mod server;
#[path = "../common/shells.rs"]
mod shells;

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use bowline_core::commands::app;
use bowline_core::commands::assets::{Clean, Running};
use bowline_core::commands::status::Status;
use server::{PATH, Server, age, clean_but, content, counted, home, tree, v1_serves};

#[test]
fn s13_whatever_names_and_kinds_an_image_has_arrives_in_the_volume() {
    shells::each(|| {
        let server = Server::new();
        let names = [
            "plain.js",
            ".hidden",
            ".dir/.x",
            "a b",
            "it's \"q\" `x` $HOME \\",
            "new\nline",
            "-n",
            "--",
            "é☃",
        ];
        for name in names {
            server.image("v1", &[(name, name)]);
        }
        let assets = server.path(&format!("images/app:v1{PATH}"));
        fs::create_dir_all(assets.join("empty/er")).unwrap();
        for (link, target) in [
            ("relative", "plain.js"),
            ("dangling", "nowhere"),
            ("directory", ".dir"),
            ("outside", "../../../../../../etc"),
            ("absolute", "/etc/passwd"),
        ] {
            symlink(target, assets.join(link)).unwrap();
        }
        let mode = |path: &str, mode| {
            fs::set_permissions(assets.join(path), fs::Permissions::from_mode(mode)).unwrap();
        };
        for (path, bits) in [("plain.js", 0o400), (".hidden", 0o4700), (".dir/.x", 0o400), (".dir", 0o500)] {
            mode(path, bits);
        }
        let wanted = tree(&assets);

        server.prepared("v1", &[]);
        assert_eq!(tree(&server.extracted("v1")), wanted);
        assert_eq!(tree(&server.volume("v1")), wanted);
        // With any modes in the image and any umask, the container's user can read all files.
        let of =
            |path: &str| server.volume("v1").join(path).metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!(
            [of(""), of("plain.js"), of(".hidden"), of(".dir/.x"), of(".dir")],
            [0o755, 0o644, 0o755, 0o644, 0o755]
        );

        mode(".dir", 0o755);

        // The file also reaches the volume of the previous version, and from there that of the next.
        server.image("v2", &[("plain.js", "of v2")]);
        server.prepared("v2", &["v1"]);
        let mut both = wanted;
        assert_eq!(tree(&server.volume("v1")), both);
        both.insert(b"plain.js".into(), "of v2".into());
        assert_eq!(tree(&server.volume("v2")), both);
    });
}

#[test]
fn s15_each_volume_gets_the_others_files_and_keeps_its_own_of_the_same_name() {
    shells::each(|| {
        let server = Server::new();
        server
            .image("v1", &[("app-v1.js", "1"), ("manifest.json", "of v1"), ("error-no-space.css", "of v1")]);
        server
            .image("v2", &[("app-v2.js", "2"), ("manifest.json", "of v2"), ("error-no-space.css", "of v2")]);
        server.prepared("v1", &[]);
        server.prepared("v2", &["v1"]);
        for (version, volume) in [("v1", server.volume("v1")), ("v2", server.volume("v2"))] {
            assert_eq!(content(&volume, "app-v1.js"), "1");
            assert_eq!(content(&volume, "app-v2.js"), "2");
            assert_eq!(content(&volume, "manifest.json"), format!("of {version}"));
            assert_eq!(content(&volume, "error-no-space.css"), format!("of {version}"));
        }
        assert!(!server.extracted("v2").join("app-v1.js").exists(), "extracted is what the image has");
        // An app that writes to its volume doesn't change another version's.
        fs::write(server.volume("v1").join("app-v2.js"), "changed").unwrap();
        fs::write(server.volume("v2").join("app-v2.js"), "changed, too").unwrap();
        assert_eq!(content(&server.extracted("v2"), "app-v2.js"), "2");
        assert_eq!(content(&server.volume("v1"), "app-v2.js"), "changed");
    });
}

#[test]
fn s15_the_status_of_cp_counts_for_nothing_when_it_leaves_files_alone() {
    shells::each(|| {
        for status in [0, 1] {
            let server = Server::new();
            let copies = format!("#!/bin/sh\n/usr/bin/cp \"$@\"\n[ \"$1\" != -RPli ] || exit {status}\n");
            server.tool("cp", &copies);
            server.image("v1", &[("app-v1.js", "1"), ("same", "of v1")]);
            server.image("v2", &[("app-v2.js", "2"), ("same", "of v2")]);
            server.prepared("v1", &[]);
            server.prepared("v2", &["v1"]);
            assert_eq!(content(&server.volume("v1"), "app-v2.js"), "2");
            assert_eq!(content(&server.volume("v2"), "app-v1.js"), "1");
        }
    });
}

#[test]
fn s15_a_run_that_a_later_one_has_taken_over_from_stops_before_it_touches_anything() {
    shells::each(|| {
        let server = v1_serves(1);
        let before = tree(&server.path(".kamal/apps/app/assets"));
        let mark = server.path(".kamal/apps/app/run").display().to_string();
        server.tool("tar", &format!("#!/bin/sh\necho later >{mark}\nexec /usr/bin/tar \"$@\"\n"));
        let output = server.run(&server.prepare("v2", &["v1"]));
        assert_eq!(output.status.code(), Some(Status::Fenced as i32), "{output:?}");
        server.assert_tidy();
        assert_eq!(tree(&server.path(".kamal/apps/app/assets")), before);
    });
}

#[test]
fn s15_what_is_a_file_in_one_version_and_a_directory_in_the_other_stays_what_it_is_and_no_link_is_followed() {
    shells::each(|| {
        let server = Server::new();
        fs::create_dir(server.path("outside")).unwrap();
        for (version, links, directories) in [("v1", ["a", "b"], ["c", "d"]), ("v2", ["c", "d"], ["a", "b"])]
        {
            server.image(version, &[("file", version)]);
            let assets = server.path(&format!("images/app:{version}{PATH}"));
            fs::write(assets.join(links[0]), version).unwrap();
            symlink(server.path("outside"), assets.join(links[1])).unwrap();
            for directory in directories {
                fs::create_dir(assets.join(directory)).unwrap();
                fs::write(assets.join(directory).join("below"), version).unwrap();
            }
        }
        server.prepared("v1", &[]);
        let before = tree(&server.volume("v1"));
        server.prepared("v2", &["v1"]);
        assert_eq!(tree(&server.volume("v1")), before);
        assert_eq!(tree(&server.volume("v2")), tree(&server.path(&format!("images/app:v2{PATH}"))));
        assert_eq!(tree(&server.path("outside")), BTreeMap::new(), "nothing was written through a link");
    });
}

#[test]
fn s16_assets_are_handed_on_from_version_to_version_for_a_day_after_they_were_replaced() {
    shells::each(|| {
        let server = Server::new();
        let mut running: Vec<String> = Vec::new();
        for number in 1..=10 {
            let version = format!("v{number}");
            server.image(&version, &[(&format!("app-{version}.js"), &version), ("same", &version)]);
            let old: Vec<&str> = running.iter().map(String::as_str).collect();
            server.prepared(&version, &old);
            let keep: Vec<&str> = old.iter().copied().chain([version.as_str()]).collect();
            server.clean(&clean_but(&keep));
            running = vec![version];
        }
        for number in 1..=10 {
            assert_eq!(content(&server.volume("v10"), &format!("app-v{number}.js")), format!("v{number}"));
        }
        assert_eq!(content(&server.volume("v10"), "same"), "v10");
        for directory in ["extracted", "earlier", "volumes"] {
            assert_eq!(server.names(directory), ["web-v10", "web-v9"]);
        }
        // A day later: v10 was deployed long ago but is replaced only now. v1 to v5 were replaced more than a day ago.
        age(&server.extracted("v10").join("app-v10.js"), 100);
        for number in 1..=5 {
            age(&server.earlier("v10").join(format!("app/public/app-v{number}.js")), 25);
        }
        server.image("v11", &[("app-v11.js", "v11")]);
        server.prepared("v11", &["v10"]);
        let there: Vec<Vec<u8>> = tree(&server.volume("v11")).into_keys().collect();
        let expected =
            ["app-v10.js", "app-v11.js", "app-v6.js", "app-v7.js", "app-v8.js", "app-v9.js", "same"];
        assert_eq!(there, expected.map(|name| name.as_bytes().to_vec()));
        // What v10 serves stays unchanged.
        assert_eq!(content(&server.volume("v10"), "app-v1.js"), "v1");
    });
}

#[test]
fn s16_a_rollback_brings_the_versions_assets_back_even_when_its_directories_are_gone() {
    shells::each(|| {
        let server = Server::new();
        for version in ["v1", "v2", "v3"] {
            server.image(version, &[(&format!("app-{version}.js"), version), ("same", version)]);
        }
        server.prepared("v1", &[]);
        server.prepared("v2", &["v1"]);
        server.prepared("v3", &["v2"]);
        server.clean(&clean_but(&["v3"]));
        server.prepared("v1", &["v3"]);
        for volume in [server.volume("v1"), server.volume("v3")] {
            assert_eq!(content(&volume, "app-v1.js"), "v1");
            assert_eq!(content(&volume, "app-v2.js"), "v2");
            assert_eq!(content(&volume, "app-v3.js"), "v3");
        }
        assert_eq!(content(&server.volume("v1"), "same"), "v1");
        assert_eq!(content(&server.volume("v3"), "same"), "v3");
    });
}

#[test]
fn s14_the_same_version_again_gets_a_volume_of_its_own_beside_the_one_in_use() {
    shells::each(|| {
        let server = Server::new();
        server.image("v1", &[("app-1.js", "1"), ("manifest.json", "old")]);
        server.prepared("v1", &[]);
        // The running container has this directory mounted, even if it is renamed later.
        let mounted = fs::File::open(server.volume("v1")).unwrap();
        server.image("v1", &[("app-2.js", "2"), ("manifest.json", "new")]);
        fs::remove_file(server.path(&format!("images/app:v1{PATH}/app-1.js"))).unwrap();
        for _ in 0..2 {
            server.prepared("v1", &["v1"]);
            let live = PathBuf::from(format!("/proc/self/fd/{}", mounted.as_raw_fd()));
            for (volume, manifest) in [(live, "old"), (server.volume("v1"), "new")] {
                assert_eq!(content(&volume, "app-1.js"), "1");
                assert_eq!(content(&volume, "app-2.js"), "2");
                assert_eq!(content(&volume, "manifest.json"), manifest);
            }
        }
        // Another version is deployed before the old container is removed. It finds the volume that was moved aside.
        server.image("v2", &[("app-3.js", "3")]);
        server.prepared("v2", &["v1"]);
        let live = PathBuf::from(format!("/proc/self/fd/{}", mounted.as_raw_fd()));
        assert_eq!(content(&live, "app-3.js"), "3");
        server.clean(&clean_but(&["v1", "v2"]));
        assert_eq!(server.names("volumes"), ["web-v1", "web-v2"]);
    });
}

#[test]
fn s13_an_image_without_the_directory_is_an_error_that_leaves_nothing_behind() {
    shells::each(|| {
        let server = Server::new();
        server.image("v1", &[("app.js", "1")]);
        server.prepared("v1", &[]);
        let before = tree(server.home.path().join(".kamal").as_path());
        for (path, said) in [
            ("/app/missing", "there is no such path\n"),
            ("/app/public/app.js", "it is a file, not a directory\n"),
        ] {
            let mut prepare = server.prepare("v1", &["v1"]);
            prepare.path.path = path.into();
            let output = server.run(&prepare);
            assert_eq!(output.status.code(), Some(Status::NoAssets as i32));
            assert_eq!(String::from_utf8_lossy(&output.stderr), said);
            server.assert_tidy();
            let mut after = tree(server.home.path().join(".kamal").as_path());
            let mark = b"apps/app/run".to_vec();
            after.insert(mark.clone(), before[&mark].clone());
            assert_eq!(after, before);
        }
        // An empty directory is fine.
        fs::create_dir_all(server.path(&format!("images/app:v0{PATH}"))).unwrap();
        server.prepared("v0", &["v1"]);
        assert_eq!(tree(&server.extracted("v0")), BTreeMap::new());
    });
}

#[test]
fn s13_what_docker_or_tar_say_is_told_when_something_else_goes_wrong() {
    shells::each(|| {
        let server = Server::new();
        server.image("v1", &[("app.js", "1")]);
        let full =
            "#!/bin/sh\ncase $1 in -x*) echo 'no space left' >&2; exit 2 ;; esac\nexec /usr/bin/tar \"$@\"\n";
        server.tool("tar", full);
        let output = server.run(&server.prepare("v1", &[]));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("no space left"), "{output:?}");
        server.assert_tidy();
        fs::remove_file(server.path("bin/tar")).unwrap();

        // If a volume can't be written to, the error names the missing files.
        server.prepared("v1", &[]);
        server.image("v2", &[("new/app-v2.js", "2"), ("app.js", "2")]);
        let refuse = "#!/bin/sh\ncase $3 in */volumes/*) [ \"$1\" != -RPli ] || { echo \"cp: overwrite 'x'? cp: cannot create: Permission denied\" >&2; exit 1; } ;; esac\nexec /usr/bin/cp \"$@\"\n";
        server.tool("cp", refuse);
        let output = server.run(&server.prepare("v2", &["v1"]));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            said.starts_with("cp: cannot create: Permission denied\nnot everything could be copied to "),
            "{said}"
        );
        assert!(said.contains("./new/app-v2.js") && !said.contains("./app.js"), "{said}");
        server.assert_tidy();
        assert_eq!(server.names("volumes"), ["web-v1"], "the new one was not put in place");
    });
}

#[test]
fn s16_with_another_asset_path_files_are_found_where_they_are_in_the_container() {
    shells::each(|| {
        let server = Server::new();
        server.image("v1", &[("assets/app-v1.js", "1"), ("robots.txt", "1")]);
        server.image("v2", &[("assets/app-v2.js", "2"), ("robots.txt", "2")]);
        let mut first = server.prepare("v1", &[]);
        first.path.path = format!("{PATH}/assets");
        server.well(&first);
        // From /app/public/assets to /app/public …
        let mut second = server.prepare("v2", &["v1"]);
        second.running[0].volume.as_mut().unwrap().at = format!("{PATH}/assets");
        server.well(&second);
        assert_eq!(content(&server.volume("v2"), "assets/app-v1.js"), "1");
        assert_eq!(content(&server.volume("v1"), "app-v2.js"), "2");
        assert!(
            !server.volume("v1").join("robots.txt").exists() && !server.volume("v1").join("assets").exists()
        );
        // … and back.
        server.image("v3", &[("assets/app-v3.js", "3")]);
        let mut third = server.prepare("v3", &["v2"]);
        third.path.path = format!("{PATH}/assets");
        server.well(&third);
        for number in 1..=3 {
            assert_eq!(content(&server.volume("v3"), &format!("app-v{number}.js")), number.to_string());
        }
        assert!(!server.volume("v3").join("robots.txt").exists());
        assert_eq!(content(&server.volume("v2"), "assets/app-v3.js"), "3");
    });
}

#[test]
fn s16_a_container_that_somebody_else_booted_is_asked_for_its_images_assets() {
    shells::each(|| {
        let server = Server::new();
        server.image("v1", &[("app-v1.js", "1")]);
        server.image("v2", &[("app-v2.js", "2")]);
        // Without a volume, because there was no asset path yet. Its image may also lack the directory.
        let mut prepare = server.prepare("v2", &["v1"]);
        prepare.running[0].volume = None;
        prepare.running.push(Running { image: "app:v0".into(), volume: None });
        fs::create_dir_all(server.path("images/app:v0")).unwrap();
        server.well(&prepare);
        assert_eq!(content(&server.volume("v2"), "app-v1.js"), "1");
        // With a volume where Kamal 1 puts it.
        let elsewhere = server.path(".kamal/assets/volumes/app-web-v1");
        fs::create_dir_all(&elsewhere).unwrap();
        fs::create_dir_all(server.path(".kamal/assets/extracted/app-web-v1")).unwrap();
        let mut prepare = server.prepare("v2", &["v1"]);
        prepare.running[0].volume.as_mut().unwrap().directory = elsewhere.display().to_string();
        server.well(&prepare);
        assert_eq!(content(&elsewhere, "app-v2.js"), "2");
        assert_eq!(content(&server.volume("v2"), "app-v1.js"), "1");
        let volume = elsewhere.display().to_string();
        server.clean(&Clean { elsewhere: vec![volume], ..clean_but(&["v2"]) });
        assert_eq!(
            tree(&server.path(".kamal/assets")).into_keys().collect::<Vec<_>>(),
            [b"extracted".to_vec(), b"volumes".to_vec()]
        );
    });
}

#[test]
fn a_container_whose_volume_is_gone_is_not_started_with_an_empty_one() {
    shells::each(|| {
        let server = Server::new();
        let start = |volume: &str| {
            let start = app::Start {
                ready: bowline_core::commands::ready::Ready::Healthy,
                scope: server.scope(),
                role: "web".into(),
                version: "v1".into(),
                name: "app-web-v1".into(),
                id: "id".into(),
                attach: Default::default(),
                network: Default::default(),
                cord: None,
                assets: Some(volume.into()),
                restart: None,
                timeout: 0,
                readiness_delay: 0,
            };
            server.command(&start.scope, &start.script().text, "022").output().unwrap()
        };
        let (gone, there) = (start("/nowhere/assets/volumes/web-v1"), start("."));
        assert_eq!((gone.status.code(), gone.stdout.len()), (Some(1), 0));
        assert!(String::from_utf8_lossy(&gone.stderr).contains("`bowline rollback`"), "{gone:?}");
        assert!(String::from_utf8_lossy(&there.stdout).starts_with("@id id"), "{there:?}");
    });
}

#[test]
fn cleaning_leaves_other_roles_and_versions_whose_names_begin_alike() {
    shells::each(|| {
        let server = Server::new();
        let all =
            ["web-v1", "web-v1-2", "web-v2", "web-v2_replaced_0f", "web-api-v1", "web-api-v0", "website-v1"];
        for base in ["extracted", "earlier", "volumes"] {
            for name in all {
                fs::create_dir_all(server.path(&format!(".kamal/apps/app/assets/{base}/{name}/x"))).unwrap();
            }
        }
        server.clean(&Clean { siblings: vec!["web-api".into()], ..clean_but(&["v1", "v2"]) });
        for base in ["extracted", "earlier", "volumes"] {
            assert_eq!(server.names(base), ["web-api-v0", "web-api-v1", "web-v1", "web-v2", "website-v1"]);
        }
        server.clean(&Clean { role: "web-api".into(), ..clean_but(&["v1"]) });
        assert_eq!(server.names("volumes"), ["web-api-v1", "web-v1", "web-v2", "website-v1"]);
    });
}

#[test]
fn s15_killed_at_any_call_the_next_run_sets_all_right() {
    shells::each(|| {
        let server = v1_serves(2);
        let copy_of = |original: &Server| {
            let server = Server { home: home() };
            let from = original.home.path().join(".");
            assert!(
                Command::new("cp").arg("-a").arg(from).arg(server.home.path()).status().unwrap().success()
            );
            server
        };
        let original = copy_of(&server);
        let calls = counted(&server, 0).unwrap();
        let found = |server: &Server| {
            [server.volume("v1"), server.volume("v2"), server.extracted("v2")].map(|d| tree(&d))
        };
        let wanted = found(&server);
        for kill_at in 1..=calls {
            let server = copy_of(&original);
            assert_eq!(counted(&server, kill_at), None, "killed at call {kill_at} of {calls}");
            // Until then, the old container has all files that it had before.
            assert_eq!(content(&server.volume("v1"), "d/1-v1.js"), "content");
            assert_eq!(content(&server.volume("v1"), "same"), "v1");
            let output = server.run(&server.prepare("v2", &["v1"]));
            assert!(output.status.success() && output.stderr.is_empty(), "after call {kill_at}: {output:?}");
            server.assert_tidy();
            assert_eq!(found(&server), wanted, "killed at call {kill_at}");
        }
    });
}

#[test]
fn the_number_of_processes_does_not_grow_with_the_number_of_files() {
    shells::each(|| {
        let few = counted(&v1_serves(3), 0).unwrap();
        let many = counted(&v1_serves(1000), 0).unwrap();
        assert!(many <= few + 3, "{few} calls for a few files, {many} for many");
    });
}
