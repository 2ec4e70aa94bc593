//! The state file.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::app::App;
use crate::proxy::Proxy;

fn path(home: &TempDir) -> PathBuf {
    home.path().join(".config/kamal-proxy/kamal-proxy.state")
}

fn read(proxy: &Proxy) -> Value {
    serde_json::from_str(&fs::read_to_string(path(&proxy.home)).unwrap()).unwrap()
}

/// A home with this state of a former proxy.
fn left(state: &str) -> Arc<TempDir> {
    let home = TempDir::new().unwrap();
    fs::create_dir_all(path(&home).parent().unwrap()).unwrap();
    fs::write(path(&home), state).unwrap();
    Arc::new(home)
}

#[test]
fn a_first_start_has_nothing_to_restore() {
    let proxy = Proxy::start();
    proxy.logged("No previous state to restore", |_| true);
}

#[test]
fn services_are_saved_in_kamals_form() {
    let (proxy, app, reader) = (Proxy::start(), App::start("app"), App::start("reader"));
    proxy.deploy(
        "web",
        &app,
        &format!("--read-target {} --host a.example,b.example --path-prefix api/ --strip-path-prefix=false --buffer-requests --max-request-body 99 --target-timeout 7s --log-request-header Cache-Control --canonical-host a.example", reader.address),
    );
    let state = read(&proxy);
    let service = &state[0];
    assert_eq!(service["name"], "web");
    assert_eq!(service["active_targets"], json!([app.address]));
    assert_eq!(service["active_readers"], json!([reader.address]));
    let options = &service["options"];
    for (name, value) in [
        ("hosts", json!(["a.example", "b.example"])),
        ("path_prefixes", json!(["/api"])),
        ("tls_enabled", json!(false)),
        ("canonical_host", json!("a.example")),
        ("strip_prefix", json!(false)),
        ("writer_affinity_timeout", json!(1_000_000_000)),
    ] {
        assert_eq!(options[name], value, "{name}");
    }
    let target = &service["target_options"];
    for (name, value) in [
        ("response_timeout", json!(7_000_000_000_i64)),
        ("buffer_requests", json!(true)),
        ("max_memory_buffer_size", json!(1_048_576)),
        ("max_request_body_size", json!(99)),
        ("forward_headers", json!(true)),
    ] {
        assert_eq!(target[name], value, "{name}");
    }
    let check = &target["health_check_config"];
    assert_eq!((&check["path"], &check["interval"]), (&json!("/up"), &json!(1_000_000_000)));
    assert_eq!(service["pause_controller"]["state"], 0);
    assert_eq!(service["rollout_controller"], Value::Null);
}

#[test]
fn each_command_saves() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "");
    proxy.ok("pause web --max-pause 7s");
    let pause = read(&proxy)[0]["pause_controller"].clone();
    assert_eq!((&pause["state"], &pause["fail_after"]), (&json!(1), &json!(7_000_000_000_i64)));
    proxy.ok("stop web --message later");
    let pause = read(&proxy)[0]["pause_controller"].clone();
    assert_eq!((&pause["state"], &pause["stop_message"]), (&json!(2), &json!("later")));
    proxy.ok("resume web");
    assert_eq!(read(&proxy)[0]["pause_controller"]["state"], 0);
    proxy.ok(&format!("rollout deploy web --target {}", app.address));
    proxy.ok("rollout set web --percent 20 --list a,b");
    let rollout = read(&proxy)[0]["rollout_controller"].clone();
    assert_eq!((&rollout["percentage"], &rollout["allowlist"]), (&json!(20), &json!(["a", "b"])));
    assert!((rollout["percentage_split_point"].as_f64().unwrap() - 858_993_459.0).abs() < 1.0);
    assert_eq!(read(&proxy)[0]["rollout_targets"], json!([app.address]));
    proxy.ok("rollout stop web");
    assert_eq!(read(&proxy)[0]["rollout_controller"], Value::Null);
    proxy.ok("remove web");
    assert_eq!(read(&proxy), json!([]));
}

#[test]
fn routes_are_back_after_a_restart_without_a_check() {
    let (proxy, app, api) = (Proxy::start(), App::start("app"), App::start("api"));
    proxy.deploy("web", &app, "--host a.example");
    proxy.deploy("api", &api, "--host a.example --path-prefix /api");
    app.set_healthy(false);
    let list = proxy.list();
    let proxy = proxy.restart();
    proxy.logged("Restored saved state", |_| true);
    assert_eq!(proxy.get("a.example", "/x").text(), "app GET /x");
    assert_eq!(proxy.get("a.example", "/api/x").text(), "api GET /x");
    assert_eq!(proxy.list(), list);
}

#[test]
fn kamals_own_file_is_taken_over() {
    let app = App::start("app");
    let home = left(&format!(
        r#"[{{"name":"web","options":{{"hosts":["a.example"],"path_prefixes":["/"],"tls_enabled":false,"tls_certificate_path":"","tls_private_key_path":"",
"tls_redirect":true,"canonical_host":"","acme_directory":"","acme_cache_path":"/x/certs","error_page_path":"","strip_prefix":true,
"writer_affinity_timeout":1000000000,"read_targets_accept_websockets":false}},"target_options":{{"health_check_config":{{"path":"/up","port":0,
"interval":1000000000,"timeout":5000000000,"host":""}},"response_timeout":30000000000,"buffer_requests":true,"buffer_responses":true,
"max_memory_buffer_size":1048576,"max_request_body_size":0,"max_response_body_size":0,"log_request_headers":null,"log_response_headers":null,
"forward_headers":true,"scope_cookie_paths":false}},"active_targets":["{0}"],"active_readers":[],"rollout_targets":null,"rollout_readers":null,
"pause_controller":{{"state":2,"stop_message":"soon","fail_after":0}},"rollout_controller":null}}]"#,
        app.address
    ));
    let proxy = Proxy::start_in(home, &[]);
    let answer = proxy.get("a.example", "/");
    assert!(answer.status == 503 && answer.text().contains("soon"));
    proxy.ok("resume web");
    assert_eq!(proxy.get("a.example", "/").text(), "app GET /");
    assert_eq!(proxy.get("b.example", "/").status, 404);
}

#[test]
fn older_files_are_taken_over() {
    let app = App::start("app");
    let home = left(&format!(
        r#"[{{"name":"web","hosts":["a.example"],"path_prefixes":["/api"],"options":{{"strip_prefix":true}},"active_target":"{0}","rollout_target":"{0}",
"target_options":{{"health_check_config":{{"path":"/up","interval":1000000000,"timeout":5000000000}},"response_timeout":30000000000,"forward_headers":true}},
"pause_controller":{{"state":0}},"rollout_controller":null}}]"#,
        app.address
    ));
    let proxy = Proxy::start_in(home, &[]);
    assert_eq!(proxy.get("a.example", "/api/x").text(), "app GET /x");
    proxy.ok("rollout set web --percent 100");
}

#[test]
fn one_bad_service_discards_no_other_and_is_kept() {
    ours_alone!();
    let app = App::start("app");
    let one = |name: &str, more: Value| {
        let mut service = json!({"name": name, "options": {"hosts": [format!("{name}.example")]}, "active_targets": [app.address],
            "target_options": {"response_timeout": 30_000_000_000_i64}, "pause_controller": {"state": 0}});
        service["options"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        service
    };
    let state = json!([
        one(
            "tls",
            json!({"tls_enabled": true, "tls_certificate_path": "/not/there", "tls_private_key_path": "/not/there"})
        ),
        one("pages", json!({"error_page_path": "/not/there"})),
        one("odd", json!({"path_prefixes": 3})),
        one("good", json!({})),
    ]);
    let proxy = Proxy::start_in(left(&state.to_string()), &[]);
    assert_eq!(proxy.get("good.example", "/").text(), "app GET /");
    proxy.deploy("new", &app, "--host new.example");
    let names = |proxy: &Proxy| {
        let mut names: Vec<String> =
            read(proxy).as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&proxy), ["good", "new", "odd", "pages", "tls"]);
    proxy.ok("remove tls");
    assert_eq!(names(&proxy), ["good", "new", "odd", "pages"]);
}

#[test]
fn an_unreadable_file_is_an_empty_start() {
    let proxy = Proxy::start_in(left("[{\"name\":\"we"), &[]);
    proxy.logged("Failed to decode saved state", |line| line["level"] == "ERROR");
    assert_eq!(proxy.list().lines().count(), 1);
}

#[test]
fn kill_at_any_moment_loses_no_route() {
    ours_alone!();
    let app = App::start("app");
    let home = Arc::new(TempDir::new().unwrap());
    let mut proxy = Proxy::start_in(Arc::clone(&home), &[]);
    for name in ["one", "two", "three"] {
        proxy.deploy(name, &app, &format!("--host {name}.example"));
    }
    for round in 0..200_u64 {
        std::thread::scope(|scope| {
            let changing = scope.spawn(|| {
                for _ in 0..20 {
                    if proxy.run(&["stop", "one"]).code != 0 || proxy.run(&["resume", "one"]).code != 0 {
                        return;
                    }
                }
            });
            std::thread::sleep(std::time::Duration::from_micros(3000 + 997 * round % 25_000));
            proxy.signal("KILL");
            changing.join().unwrap();
        });
        proxy.wait();
        proxy = Proxy::start_in(Arc::clone(&home), &[]);
        proxy.ok("resume one");
        for name in ["one", "two", "three"] {
            assert_eq!(proxy.get(&format!("{name}.example"), "/").status, 200, "{name} in round {round}");
        }
    }
}

#[test]
fn what_can_not_be_saved_does_not_happen() {
    ours_alone!();
    let (proxy, old, new) = (Proxy::start(), App::start("old"), App::start("new"));
    proxy.deploy("web", &old, "--host a.example");
    let saved = read(&proxy);
    // A directory is in the place of the file, with the same effect as a full disk.
    let way = path(&proxy.home).with_extension("state.new");
    fs::create_dir(&way).unwrap();
    for line in [
        &*format!("deploy web --target {} --host a.example", new.address),
        &format!("deploy other --target {} --host b.example", new.address),
        "pause web",
        "stop web",
        "remove web",
    ] {
        let said = proxy.fails(line);
        assert!(said.contains("can't save the state, so nothing has changed"), "{line}: {said}");
        assert_eq!(proxy.get("a.example", "/").text(), "old GET /", "{line}");
        assert_eq!(proxy.get("b.example", "/").status, 404, "{line}");
        assert_eq!(read(&proxy), saved, "{line}");
    }
    fs::remove_dir(&way).unwrap();
    proxy.deploy("web", &new, "--host a.example");
    assert_eq!(proxy.get("a.example", "/").text(), "new GET /");
    let proxy = proxy.restart();
    assert_eq!(proxy.get("a.example", "/").text(), "new GET /");
}
