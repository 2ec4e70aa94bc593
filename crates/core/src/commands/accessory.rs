//! Accessories on a server: one container each, and the directory with its files.
//!
//! Names, labels and paths are Kamal's: the container and the directory have the name of the accessory's service, and so does
//! the container's label `service`. A container of that name without that label belongs to something else and is never touched.
//!
//! Booting never replaces an existing container directly: it leaves a running one alone, and a new one takes over only after it
//! came up. Two containers must not use the same data at once, so the accessory is down in between.

mod answer;
mod files;

use super::app::{Environment, logging_words, option_words};
use super::ask;
use super::env::clear_words;
use super::ready;
use super::registry::{self, Login};
use super::status::Status::{NameTaken, NotStarted};
use super::{Action, network};
use super::{Scope, env, policy, published};
use crate::proxy::{self, Attach};
use crate::shell::{Line, Script, quote};
pub use answer::Answer;
use bowline_config::Pairs;
use bowline_config::secret::Secret;
pub use files::{Directory, Upload};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    pub scope: Scope,
    /// The accessory's name in the configuration.
    pub name: String,
    /// Its service: the name of its container and of its directory.
    pub service: String,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Make its directories.
    Directories(Vec<Directory>),
    /// Put a file in its place. Says [`Answer::changed`] unless it was the same already.
    Upload(Upload),
    /// Have its container run. Says [`Answer::runs`] if it did, [`Answer::started`] if it was there and stopped.
    Boot(Box<Container>),
    /// Put a new container in the place of the one that is there, once its image was pulled.
    Replace(Box<Container>),
    /// Pull its image, with a login if it is behind one.
    Pull { image: String, login: Option<Login> },
    /// Start or stop its container, with its restart policy, if one is configured. Says [`Answer::none`] if there is none.
    Power { action: Action, restart: Option<String> },
    /// Remove its container, its image unless something else needs it ([`Answer::kept`]), its directory and its env file.
    Remove { image: String },
}

/// What `docker run` makes an accessory's container of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub image: String,
    /// Env, volumes, options, logging.
    pub environment: Environment,
    /// `docker run --publish`.
    pub port: Option<String>,
    pub network: String,
    /// Its labels, except `service`.
    pub labels: Pairs,
    /// The command, if the image's own isn't wanted.
    pub cmd: Option<String>,
    /// Where its image comes from.
    pub from: ImageFrom,
    /// What makes it ready.
    pub ready: ready::Ready,
    /// How long one with a health check is waited for, in seconds.
    pub timeout: u64,
}

/// Where an accessory's image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageFrom {
    /// A registry, with a login if the image is behind one.
    Registry(Option<Login>),
    /// This run has sent it.
    ThisRun,
}

/// How long a container without health check must keep running, in seconds.
const DELAY_S: u64 = 1;

impl Container {
    /// How requests get to it, if its own labels say so.
    pub fn attach(&self, service: &str) -> Attach {
        proxy::by_labels(service, self.labels.iter().map(|(key, value)| (key, value)))
    }

    fn login(&self) -> Option<&Login> {
        match &self.from {
            ImageFrom::Registry(login) => login.as_ref(),
            ImageFrom::ThisRun => None,
        }
    }

    fn restart(&self) -> Option<String> {
        policy::configured(&self.environment.options)
    }
}

impl Act {
    pub fn script(&self) -> Script {
        let mut text = self.scope.fence();
        match &self.what {
            What::Directories(directories) => {
                let make = |directory: &Directory| directory.make(&self.service);
                text.push_str(&directories.iter().map(make).collect::<String>());
                Script::new(text)
            }
            What::Upload(upload) => {
                text.push_str(&upload.receive(&self.service));
                Script::new(text).with_bytes(upload.content.clone())
            }
            What::Boot(container) => self.boot(text, container),
            What::Replace(container) => self.replace(text, container),
            What::Pull { image, login } => {
                text.push_str(read_login(login.as_ref()));
                text.push_str(&registry::pull(login.as_ref(), image));
                text.push_str(&self.audit("Pull", "accessory image"));
                with_input(text, login.as_ref(), "")
            }
            What::Power { action, restart } => Script::new(text + &self.power(*action, restart.as_ref())),
            What::Remove { image } => Script::new(text + &self.remove(image)),
        }
    }

    pub fn describe(&self) -> String {
        let name = &self.name;
        match &self.what {
            What::Directories(_) => format!("make the directories of {name}"),
            What::Upload(upload) => format!("upload {} for {name}", upload.path),
            What::Boot(_) => format!("boot {name}"),
            What::Replace(_) => format!("reboot {name}"),
            What::Pull { image, .. } => format!("pull {image}"),
            What::Power { action, .. } => format!("{} {name}", action.verb()),
            What::Remove { .. } => format!("remove {name}"),
        }
    }

    fn boot(&self, mut text: String, container: &Container) -> Script {
        let service = quote(&self.service);
        let login = container.login();
        text.push_str(read_login(login));
        text.push_str(&self.find());
        text.push_str(&come_up(&self.service, container));
        text.push_str(&format!(
            "case ${{bowline_found%% *}} in\n\
             '') ;;\n\
             created|dead) docker container rm {service} >/dev/null || exit {NotStarted} ;;\n\
             exited)\n\
             {policy}docker container start {service} >/dev/null || exit {NotStarted}\n\
             {started}echo @started; come_up; exit ;;\n\
             running) docker container inspect --format '@id {{{{.ID}}}}' {service} && echo @runs; exit ;;\n\
             *) come_up && echo @runs; exit ;;\n\
             esac\n",
            policy = policy::give_back(container.restart().as_ref(), &self.service, NotStarted),
            started = self.audit("Started", "accessory"),
        ));
        text.push_str(&self.write_env(container));
        text.push_str(&format!(
            "bowline_have=$(docker images --quiet {}) || exit\nif [ -z \"$bowline_have\" ]; then\n{}fi\n",
            quote(&container.image),
            registry::pull(login, &container.image),
        ));
        text.push_str(&network::create());
        text.push_str(&self.audit("Booted", "accessory"));
        let run = self.line(container, &["run", "--detach"], &self.service);
        text.push_str(&format!(
            "{} >/dev/null || {{ docker container rm {service} >/dev/null 2>&1; exit {NotStarted}; }}\n\
             come_up || {{ bowline_status=$?; docker container rm --force {service} >/dev/null 2>&1; exit $bowline_status; }}\n",
            container.environment.secret.run(&run, &self.env_file()),
        ));
        with_input(text, login, container.environment.secret.input().expose())
    }

    fn replace(&self, mut text: String, container: &Container) -> Script {
        let login = container.login();
        text.push_str(read_login(login));
        text.push_str(&self.find());
        text.push_str(&come_up(&self.service, container));
        text.push_str(&self.write_env(container));
        if container.from != ImageFrom::ThisRun {
            text.push_str(&registry::pull(login, &container.image));
        }
        text.push_str(&network::create());
        text.push_str(&self.audit("Rebooted", "accessory"));
        let create = self.line(container, &["create"], &self.next());
        text.push_str(&format!(
            "{create} >/dev/null || exit {NotStarted}\n\
             {free}\
             back() {{\n\
             bowline_status=$1\n\
             docker container rm --force {service} {next} >/dev/null 2>&1\n\
             [ -z \"$bowline_found\" ] || docker container rename {old} {service} || exit $bowline_status\n\
             case $bowline_found in running*)\n\
             docker update --restart \"$bowline_policy\" {service} >/dev/null\n\
             docker container start {service} >/dev/null && echo @back ;; esac\n\
             exit $bowline_status\n\
             }}\n\
             image() {{ docker container inspect --format '{{{{.Image}}}}' \"$1\"; }}\n\
             if [ -n \"$bowline_found\" ]; then\n\
             [ \"$(image {service})\" = \"$(image {next})\" ] || echo @newer\n\
             {keep}docker container stop {service} >/dev/null && docker container rename {service} {old} || {{ docker container rm {next} >/dev/null; exit {NotStarted}; }}\n\
             fi\n\
             docker container rename {next} {service} && docker container start {service} >/dev/null || back {NotStarted}\n\
             come_up || back $?\n\
             docker container rm {old} >/dev/null 2>&1\n\
             exit 0\n",
            create = container.environment.secret.run(&create, &self.env_file()),
            free = published::free_or(
                &quote(&self.next()),
                &quote(&self.service),
                &format!("docker container rm {} >/dev/null", quote(&self.next())),
            ),
            keep = self.keep_stopped(),
            service = quote(&self.service),
            next = quote(&self.next()),
            old = quote(&self.old()),
        ));
        with_input(text, login, container.environment.secret.input().expose())
    }

    fn power(&self, action: Action, restart: Option<&String>) -> String {
        let service = quote(&self.service);
        let line =
            |verb: &str| format!("docker container {verb} {service} >/dev/null || exit {NotStarted}\n");
        let id =
            format!("docker container inspect --format '@id {{{{.ID}}}}' {service} || exit {NotStarted}\n");
        let start = || policy::give_back(restart, &self.service, NotStarted) + &line("start") + &id;
        let (lines, done) = match action {
            Action::Start => (start(), "Started"),
            Action::Stop => (self.keep_stopped() + &line("stop"), "Stopped"),
            Action::Restart => (line("stop") + &start(), "Restarted"),
        };
        format!(
            "{}if [ -z \"$bowline_found\" ]; then echo @none; exit 0; fi\n{lines}{}",
            self.find(),
            self.audit(done, "accessory")
        )
    }

    fn remove(&self, image: &str) -> String {
        let files = env::files(&self.env_file());
        let forget = Line::new("rm").word("-f").words(files.iter().map(String::as_str));
        let app = proxy::kamal::files::directory(&self.scope.names);
        let proxied =
            proxy::kamal::files::left_by_accessory(&self.service).map(|path| format!("{app}/{path}"));
        let proxied = Line::new("rm").word("-rf").words(proxied.iter().map(String::as_str));
        format!(
            "{find}\
             if [ -n \"$bowline_found\" ]; then\n\
             docker container stop {service} >/dev/null\n\
             docker container rm --force {service} >/dev/null || exit\n\
             {container}fi\n\
             bowline_have=$(docker images --quiet {image}) || exit\n\
             if [ -n \"$bowline_have\" ]; then\n\
             if docker image rm {image} >/dev/null 2>&1; then\n{removed}else echo @kept; fi\n\
             fi\n\
             rm -rf {service} && {forget} && {proxied}\n",
            find = self.find(),
            service = quote(&self.service),
            image = quote(image),
            container = self.audit("Remove", "accessory container"),
            removed = self.audit("Removed", "accessory image"),
        )
    }

    /// Shell lines that put the state of the container that is there in `$bowline_found` and its restart policy in
    /// `$bowline_policy`, after what a run that was killed left of a reboot is put right. They end the script if the container
    /// belongs to something else.
    fn find(&self) -> String {
        let (service, old) = (quote(&self.service), quote(&self.old()));
        format!(
            "{ask}ask_name {service} '{{{{.ID}}}}' || {{ ! ask_name {old} '{{{{.ID}}}}' || docker container rename {old} {service} || exit {NotStarted}; }}\n\
             docker container rm --force {next} {old} >/dev/null 2>&1\n\
             bowline_found=\n\
             ! ask_name {service} '{{{{.State.Status}}}} {policy} {{{{index .Config.Labels \"service\"}}}}' || bowline_found=$bowline_said\n\
             case $bowline_found in ''|*' '{service}) ;; *) exit {NameTaken} ;; esac\n\
             bowline_policy=${{bowline_found#* }}; bowline_policy=${{bowline_policy%% *}}\n",
            ask = ask::functions(),
            next = quote(&self.next()),
            policy = policy::FORMAT,
        )
    }

    /// A shell line that keeps the container stopped which [`Self::find`] found.
    fn keep_stopped(&self) -> String {
        policy::keep_stopped(&quote(&self.service), "\"$bowline_policy\"")
    }

    fn write_env(&self, container: &Container) -> String {
        container.environment.secret.write(&self.env_file())
    }

    fn line(&self, container: &Container, how: &[&str], name: &str) -> Line {
        let environment = &container.environment;
        let mut line = Line::new("docker").words(how.iter().copied()).words(["--name", name]);
        line = line.words(["--restart", "unless-stopped", "--network", &container.network]);
        line = logging_words(line, &environment.logging);
        if let Some(port) = &container.port {
            line = line.word("--publish").expanding(port);
        }
        line = clear_words(line, &environment.clear);
        line = environment.secret.words(line, &self.env_file());
        line = environment.volumes.iter().fold(line, |line, volume| line.word("--volume").path(volume));
        line = line.words(["--label", &format!("service={}", self.service)]);
        for (key, value) in &container.labels {
            line = line.word("--label").expanding(&format!("{key}={value}"));
        }
        line = option_words(line, &environment.options).word(&container.image);
        match &container.cmd {
            Some(cmd) => line.command(cmd),
            None => line,
        }
    }

    fn env_file(&self) -> String {
        self.scope.names.accessory_env_file(&self.name)
    }

    /// The new container until the old one has stopped.
    fn next(&self) -> String {
        format!("{}_next", self.service)
    }

    /// The old container until the new one runs.
    fn old(&self) -> String {
        format!("{}_replaced", self.service)
    }

    fn audit(&self, verb: &str, what: &str) -> String {
        self.scope.audit(None, &format!("{verb} {} {what}", self.name))
    }
}

/// Shell lines that read the login, which comes first if there is one.
fn read_login(login: Option<&Login>) -> &'static str {
    if login.is_some() { registry::READ } else { "" }
}

fn with_input(text: String, login: Option<&Login>, rest: &str) -> Script {
    match login.map(Login::input) {
        None if rest.is_empty() => Script::new(text),
        login => Script::new(text).with_input(Secret::new(login.unwrap_or_default() + rest)),
    }
}

/// A shell function that waits until the container came up: it keeps running, or is healthy if it has a check. One that
/// has done its work and ended well is fine, and so is one that needs longer. What is said is [`ready::wait`]'s. It needs
/// [`ask::functions`].
fn come_up(service: &str, container: &Container) -> String {
    format!(
        "come_up() {{\n\
         bowline_said=$(\nask_name {} '{{{{.ID}}}}' || {{ echo 'the container is gone' >&2; exit {NotStarted}; }}\nbowline_id=$bowline_said\necho \"@id $bowline_id\"\n{wait})\n\
         bowline_status=$?\n\
         printf '%s\\n' \"$bowline_said\"\n\
         case ${{bowline_said%%@log*}} in *'@failed timeout'*|*'@state exited none 0 '*'@failed exited'*) return 0 ;; esac\n\
         return $bowline_status\n\
         }}\n",
        quote(service),
        wait = ready::wait(
            container.ready,
            container.timeout,
            DELAY_S,
            &proxy::network(container.labels.iter().map(|(key, value)| (key, value)))
        ),
    )
}
