//! `app logs`: containers, merged and labelled lines, and following from one container to the next.

use bowline_core::commands::logs::Lines;
use bowline_core::selection::Filters;

use super::*;
use crate::logs::{Whose, logs};
use crate::world::Gathered;

async fn show(
    scripted: &Scripted,
    project: &Project,
    follow: bool,
    whose: Whose,
) -> Result<Gathered, RunError> {
    let lines = Lines { follow, tail: Some(10), ..Lines::default() };
    let options = Options::default();
    let run = logs(scripted.call(project, &options), &lines, &whose);
    timeout(Duration::from_secs(3600), run).await.expect("it ends")
}

fn heard(scripted: &Scripted) -> Vec<String> {
    let said = |event| match event {
        Event::Output { host: Some(host), role, line } if line.ends_with("says") => {
            Some(format!("{host} {}: {line}", role.unwrap_or_default()))
        }
        Event::Note { host: Some(host), text } if text.contains("exited") => Some(format!("{host}: {text}")),
        _ => None,
    };
    scripted.recorder.events().into_iter().filter_map(said).collect()
}

#[tokio::test(start_paused = true)]
async fn all_servers_are_followed_at_once_and_through_a_deploy() {
    let (scripted, project) = fleet().await;
    let during = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut before = heard(&scripted);
        before.sort();
        assert_eq!(
            before,
            ["a web: app-web-v1 says", "b web: app-web-v1 says", "c workers: app-workers-v1 says"]
        );
        deploy(&scripted, &project, "v2").await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        let after = heard(&scripted).split_off(3);
        for host in ["a", "b"] {
            let note = after
                .iter()
                .position(|said| *said == format!("{host}: app-web-v1 has exited; following app-web-v2"));
            let line = after.iter().position(|said| *said == format!("{host} web: app-web-v2 says"));
            assert!(note.unwrap() < line.unwrap(), "{after:?}");
        }
        assert!(after.contains(&"c workers: app-workers-v2 says".into()), "{after:?}");
        scripted.trigger.stop();
    };
    let (ended, ()) = tokio::join!(show(&scripted, &project, true, Whose::Serving), during);
    assert!(matches!(ended, Err(RunError::Interrupted { .. })), "{ended:?}");
    let later = scripted.recorder.events().into_iter().filter_map(|event| match event {
        Event::StepStarted { what, command, .. } if what == "follow the log" => Some(command),
        _ => None,
    });
    let tails: Vec<bool> = later.map(|command| command.contains("--tail")).collect();
    assert_eq!(tails, [true, true, true, false, false, false], "nothing of the new ones is left out");
}

#[tokio::test(start_paused = true)]
async fn when_nothing_runs_any_more_it_says_so_and_ends() {
    let (scripted, project) = fleet().await;
    let stop = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let filters = Filters { hosts: vec!["b".into(), "c".into()], ..Filters::default() };
        let options = Options { filters, ..Options::default() };
        change(scripted.call(&project, &options), &Intent::Stop).await.unwrap();
        scripted.network.faults().unreachable.insert("a".into());
    };
    let (ended, ()) = tokio::join!(show(&scripted, &project, true, Whose::Serving), stop);
    let failures = ended.unwrap().failures;
    assert!(failures.len() == 1 && failures[0].host == "a" && failures[0].is_unreachable(), "{failures:?}");
    let said = heard(&scripted);
    assert!(said.contains(&"b: app-web-v1 has exited; end of its log".into()), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn a_container_is_named_by_its_name_or_its_id_and_need_not_run() {
    let (scripted, project) = fleet().await;
    deploy(&scripted, &project, "v2").await.unwrap();
    let named =
        async |name: &str, follow| show(&scripted, &project, follow, Whose::Container(name.into())).await;
    let of = |gathered: &Gathered| {
        let said = |out: &crate::world::HostOutput| format!("{}: {}", out.host, out.output.stdout.trim());
        gathered.outputs.iter().map(said).collect::<Vec<_>>()
    };
    let both = named("app-web-v1", false).await.unwrap();
    assert_eq!(of(&both), ["a: app-web-v1 says", "b: app-web-v1 says"]);
    let id = scripted.network.machine("c").containers[0].id.clone();
    assert!(of(&named(&id, false).await.unwrap()).contains(&"c: app-workers-v1 says".into()));
    named("app-web-v1", true).await.unwrap();
    let RunError::Usage { message, hint } = named("app-web-v9", false).await.unwrap_err() else { panic!() };
    assert!(message.contains("`app-web-v9`") && hint.unwrap().contains("app containers"));
}
