//! `plan`: what a run would do. It looks at the servers and changes nothing.

use bowline_core::plan::{Kind, show};
use bowline_engine::deploy::Planned;
use bowline_engine::error::RunError;

use crate::args::{PlanArgs, Run};
use crate::exit::{self, Ended};
use crate::session::Session;
use crate::settings::{Settings, View};
use crate::ui::{Sort, clean, json, out};
use bowline_engine as engine;

/// Shows the plan.
pub(super) async fn run(settings: &mut Settings, args: PlanArgs) -> Result<u8, Ended> {
    settings.options.skip_push = args.skip_push;
    let kind = match args.run {
        Run::Deploy => Kind::Deploy,
        Run::Redeploy => Kind::Redeploy,
        Run::Rollback => Kind::Rollback,
    };
    match (kind, args.to) {
        (Kind::Rollback, Some(version)) => settings.options.version = Some(version),
        (_, Some(version)) => {
            let message = format!("only a rollback goes to a named version, but `{version}` is given");
            let hint = format!("--version {version} deploys that version");
            return Err(RunError::Usage { message, hint: Some(hint) }.into());
        }
        _ => {}
    }
    let session = Session::open(settings, Sort::Query, false).await?;
    let plan =
        session.query(engine::deploy::plan(&session.world, &session.project, &settings.options, kind)).await;
    let Planned { plan, unseen } = session.close(plan)?;
    if settings.view == View::Json {
        out::stdout([json::plan("plan", &plan).to_string()]);
    } else {
        out::stdout([clean::lines(&show::text(&plan))]);
    }
    match unseen {
        Some(error) => Err(error.into()),
        None => Ok(exit::DONE),
    }
}
