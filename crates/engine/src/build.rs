//! Building the image on this machine and pushing it to the registry, once for all servers.

use bowline_core::commands::registry::Login;
use bowline_core::config::{Config, Credential};
use bowline_core::plan::deploy::Secrets;

use crate::error::RunError;
use crate::event::{Event, Phase};
use crate::ports::{Line, LocalCommand, Output};
use crate::world::World;

/// Builds and pushes a version.
pub async fn build(world: &World, config: &Config, secrets: &Secrets, version: &str) -> Result<(), RunError> {
    let image = config.image_of(version);
    world.events.emit(Event::Phase(Phase::Build(image.clone())));
    if !answers(world, &["docker", "--version"]).await {
        return Err(RunError::Local {
            what: "build".into(),
            reason: "there is no `docker` on this machine".into(),
            hint: Some("install Docker here, or deploy an image that was pushed elsewhere: `--skip-push --version V`".into()),
            standing: Vec::new(),
        });
    }
    if let Some(login) = login(config, secrets)? {
        let mut words = vec!["docker"];
        words.extend(login.words());
        run(world, "registry login", &words, Some(&login)).await?;
    }
    let buildx = answers(world, &["docker", "buildx", "version"]).await;
    if !buildx {
        only_this_platform(world, config).await?;
    }
    let latest = config.latest_image();
    let words = build_words(config, buildx, &image, &latest);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    run(world, "build", &words, None).await?;
    if !buildx {
        for image in [&image, &latest] {
            run(world, "push", &["docker", "push", "--quiet", image], None).await?;
        }
    }
    Ok(())
}

/// Whether a program is there; what it prints is nobody's business.
async fn answers(world: &World, words: &[&str]) -> bool {
    let words = words.iter().map(|word| (*word).to_string()).collect();
    let command = LocalCommand { words, ..Default::default() };
    world.local.run(&command, &|_| {}).await.is_ok_and(|output| output.success())
}

/// Without buildx, Docker builds for its own platform and no other.
async fn only_this_platform(world: &World, config: &Config) -> Result<(), RunError> {
    let wanted = &config.builder.arch;
    if wanted.is_empty() {
        return Ok(());
    }
    let format = ["docker", "version", "--format", "{{.Server.Arch}}"];
    let own = run(world, "docker version", &format, None).await?.stdout.trim().to_string();
    if wanted.iter().all(|arch| *arch == own) {
        return Ok(());
    }
    Err(RunError::Local {
        what: "build".into(),
        reason: format!(
            "`builder: arch:` wants {}, and Docker here builds for {own} alone",
            wanted.join(", ")
        ),
        hint: Some("install the buildx plugin of Docker, or build on a machine of that platform".into()),
        standing: Vec::new(),
    })
}

/// The build's command line.
fn build_words(config: &Config, buildx: bool, image: &str, latest: &str) -> Vec<String> {
    let builder = &config.builder;
    let mut words: Vec<String> = vec!["docker".into()];
    words.extend(
        if buildx { ["buildx", "build", "--push"].as_slice() } else { &["build"] }
            .iter()
            .map(|w| (*w).into()),
    );
    if buildx && !builder.arch.is_empty() {
        let platforms: Vec<String> = builder.arch.iter().map(|arch| format!("linux/{arch}")).collect();
        words.extend(["--platform".into(), platforms.join(",")]);
    }
    words.extend(["-t".into(), image.into(), "-t".into(), latest.into()]);
    words.extend(["--label".into(), format!("service={}", config.service)]);
    for (key, value) in &builder.args {
        words.extend(["--build-arg".into(), format!("{key}={value}")]);
    }
    words.extend(["--file".into(), builder.dockerfile.clone()]);
    if let Some(target) = &builder.target {
        words.extend(["--target".into(), target.clone()]);
    }
    words.push(builder.context.clone());
    words
}

/// Who we are to the registry; nobody to one on this machine.
pub(crate) fn login(config: &Config, secrets: &Secrets) -> Result<Option<Login>, RunError> {
    let Some(credentials) = &config.registry.login else { return Ok(None) };
    let value = |credential: &Credential| match credential {
        Credential::Plain(value) => Ok(value.clone()),
        Credential::Secret(name) => secrets.get(name).cloned().ok_or_else(|| {
            RunError::from(bowline_core::plan::deploy::PlanError::MissingSecret(name.clone()))
        }),
    };
    Ok(Some(Login {
        server: config.registry.server.clone(),
        username: value(&credentials.username)?,
        password: value(&credentials.password)?,
    }))
}

async fn run(world: &World, what: &str, words: &[&str], login: Option<&Login>) -> Result<Output, RunError> {
    let command = LocalCommand {
        words: words.iter().map(|word| (*word).to_string()).collect(),
        input: login.map(|login| login.password.clone()),
        ..Default::default()
    };
    let told = |line: Line<'_>| {
        let (Line::Out(line) | Line::Err(line)) = line;
        world.events.emit(Event::Output { host: None, role: None, line: line.into() });
    };
    let failed = |reason: String| RunError::Local {
        what: what.into(),
        reason,
        hint: login.map(|login| {
            let server = login.server.as_deref().unwrap_or("Docker Hub");
            format!(
                "see `registry:` (server {server}): username, password, and that it can be reached from here"
            )
        }),
        standing: Vec::new(),
    };
    let output = tokio::select! {
        output = world.local.run(&command, &told) => output.map_err(failed)?,
        () = world.stop.triggered() => return Err(RunError::interrupted()),
    };
    if output.success() {
        return Ok(output);
    }
    let said = if output.stderr.trim().is_empty() { &output.stdout } else { &output.stderr };
    let tail: Vec<&str> = said.trim().lines().rev().take(20).collect();
    Err(failed(tail.into_iter().rev().collect::<Vec<_>>().join("\n")))
}
