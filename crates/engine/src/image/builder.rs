//! The builder on this machine: `build create`, `build remove`, `build details`. Before a build, the builder is created if
//! it is missing or differs from the configuration.

use bowline_config::Config;
use bowline_core::commands::builder::{Builder, BuilderKind, Here};

use crate::call::Call;
use crate::error::{Result, RunError};
use crate::event::Event;
use crate::local::{Failed, ask, error_line, run, words};
use crate::ports::LocalCommand;
use crate::world::World;

/// Chooses the builder for this project, depending on the programs on this machine.
pub(crate) async fn choose<'c>(world: &World, config: &'c Config) -> Result<Builder<'c>> {
    let here = look(world, config).await?;
    let hint = "install Docker's buildx plugin (https://docs.docker.com/go/buildx/), or build and push elsewhere \
                and deploy with `--skip-push --version V`";
    let builder = Builder::new(config, &here).map_err(|error| absent(&error.to_string(), hint))?;
    if builder.kind == BuilderKind::Pack && !answers(world, &["pack", "version"]).await? {
        return Err(absent(
            "`pack` is not installed on this machine, and `builder: pack:` needs it",
            "install it: https://buildpacks.io/docs/tools/pack/",
        ));
    }
    Ok(builder)
}

async fn look(world: &World, config: &Config) -> Result<Here> {
    if !answers(world, &["docker", "--version"]).await? {
        return Err(absent(
            "`docker` is not installed on this machine",
            "install Docker here, or deploy an image that was pushed elsewhere: `--skip-push --version V`",
        ));
    }
    let buildx = answers(world, &["docker", "buildx", "version"]).await?;
    let arch = ask(world, &words(&["docker", "version", "--format", "{{.Server.Arch}}"])).await;
    let arch = match arch {
        Ok(output) => output.stdout.trim().to_string(),
        // A remote builder may work without a Docker engine here.
        Err(Failed::Because(_)) if config.builder.remote.is_some() => String::new(),
        Err(failed) => {
            return Err(failed
                .at("build", Some("start Docker, and check that you can use it: `docker version`".into())));
        }
    };
    Ok(Here { buildx, arch })
}

fn absent(reason: &str, hint: &str) -> RunError {
    RunError::local("build", reason, Some(hint.into()))
}

/// Whether a command succeeds. Ignores its output.
async fn answers(world: &World, line: &[&str]) -> Result<bool> {
    match ask(world, &words(line)).await {
        Ok(_) => Ok(true),
        Err(Failed::Because(_)) => Ok(false),
        Err(Failed::Stopped) => Err(RunError::interrupted()),
    }
}

/// Makes sure that the builder exists as configured. Returns whether it was created.
pub(crate) async fn ensure(world: &World, builder: &Builder<'_>) -> Result<bool> {
    if is_sound(world, builder).await? {
        return Ok(false);
    }
    let name = builder.name.as_deref().unwrap_or_default();
    let text = format!("the builder {name} is missing or differs from the configuration: creating it");
    world.events.emit(Event::Note { host: None, text });
    for words in builder.ssh() {
        let line = words.join(" ");
        ask(world, &words).await.map_err(|failed| {
            let hint = format!("`{line}` must work without a prompt: see `builder: remote:`");
            failed.at("connecting to the build machine", Some(hint))
        })?;
    }
    take_away(world, builder).await?;
    for words in builder.create() {
        let command = LocalCommand { words, ..Default::default() };
        if let Err(failed) = run(world, &command).await {
            // Another build may have created it at the same moment.
            return match is_sound(world, builder).await {
                Ok(true) => Ok(false),
                _ => {
                    Err(failed
                        .at("creating the builder", Some(format!("`{}` failed", command.words.join(" ")))))
                }
            };
        }
    }
    Ok(true)
}

async fn is_sound(world: &World, builder: &Builder<'_>) -> Result<bool> {
    for check in builder.inspect() {
        match ask(world, &check.words).await {
            Ok(output) if check.passes(&output.stdout) => {}
            Ok(_) => return Ok(false),
            Err(failed) if Builder::is_absent(failed.said()) => return Ok(false),
            Err(failed) => return Err(failed.at("inspecting the builder", None)),
        }
    }
    Ok(true)
}

/// Removes the builder. Returns whether there was anything to remove.
async fn take_away(world: &World, builder: &Builder<'_>) -> Result<bool> {
    let mut removed = false;
    for words in builder.remove() {
        match ask(world, &words).await {
            Ok(_) => removed = true,
            Err(failed) if Builder::is_absent(failed.said()) => {}
            Err(failed) if is_gone_now(world, &words).await => {
                let said = error_line(failed.said());
                let text = format!("removed the builder, but its container may still exist: {said}");
                world.events.emit(Event::Note { host: None, text });
                removed = true;
            }
            Err(failed) => return Err(failed.at("removing the builder", None)),
        }
    }
    Ok(removed)
}

/// Whether a builder is gone although its removal failed. For a builder on an unreachable machine, buildx deletes its
/// record and fails.
async fn is_gone_now(world: &World, remove: &[String]) -> bool {
    matches!(ask(world, remove).await, Err(failed) if Builder::is_absent(failed.said()))
}

/// The message for a project that needs no builder.
fn as_it_is(builder: &Builder<'_>) -> String {
    format!("this project needs no builder: its class is {}", builder.class())
}

pub async fn create(call: Call<'_>) -> Result<String> {
    let builder = choose(call.world, call.config()).await?;
    let Some(name) = &builder.name else { return Ok(as_it_is(&builder)) };
    let made = ensure(call.world, &builder).await?;
    Ok(if made {
        format!("created the builder {name}")
    } else {
        format!("the builder {name} already exists")
    })
}

pub async fn remove(call: Call<'_>) -> Result<String> {
    let builder = choose(call.world, call.config()).await?;
    let Some(name) = &builder.name else { return Ok(as_it_is(&builder)) };
    let removed = take_away(call.world, &builder).await?;
    Ok(if removed { format!("removed the builder {name}") } else { format!("there is no builder {name}") })
}

/// `build details`: the builder's kind, and Docker's lists of contexts and builders.
pub async fn details(call: Call<'_>) -> Result<String> {
    let builder = choose(call.world, call.config()).await?;
    let name = builder.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    let mut text = format!("Builder: {}{name}\n", builder.class());
    for words in builder.details() {
        let output = ask(call.world, &words).await;
        text.push_str(&output.map_err(|failed| failed.at(&words.join(" "), None))?.stdout);
    }
    Ok(text)
}
