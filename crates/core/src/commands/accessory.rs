//! Accessories on a server: one container each, and the directory with its files.
//!
//! Names, labels and paths are Kamal's: the container, the directory and the label `service` all have the name of the
//! accessory's service. A container of that name without that label belongs to something else and is never touched.
//!
//! Booting leaves a running container alone. Replacing starts a new container and removes the old one only after the new
//! one came up. Two containers must not use the same data at once, so the accessory is down in between.

mod answer;
mod files;

use super::answer::sent;
use super::app::{Environment, logging_words, option_words};
use super::env::clear_words;
use super::ready;
use super::registry::{self, Login};
use super::replacement::Replacement;
use super::status::Status::{NameTaken, NotStarted};
use super::{Action, network};
use super::{Scope, env, policy};
use crate::proxy::{self, Attach};
use crate::shell::{Line, Script, function, quote};
pub use answer::Answer;
use bowline_config::Pairs;
use bowline_config::secret::Secret;
pub use files::{Directory, Upload};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    pub scope: Scope,
    /// The accessory's name in the configuration.
    pub name: String,
    /// The accessory's service, which is also the name of its container and of its directory.
    pub service: String,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Create its directories.
    Directories(Vec<Directory>),
    /// Install a file. Prints [`Answer::changed`] if it differs from the existing one.
    Upload(Upload),
    /// Make sure that its container runs. Prints [`Answer::runs`] if it already did, [`Answer::started`] if it was stopped.
    Boot(Box<Container>),
    /// Pull the image, then replace the existing container with a new one.
    Replace(Box<Container>),
    /// Pull its image, after a login if the registry needs one.
    Pull { image: String, login: Option<Login> },
    /// Start or stop its container, and set the restart policy that is configured. Prints [`Answer::none`] if there is no
    /// container.
    Power { action: Action, restart: Option<String> },
    /// Remove its container, directory and env file, and its image unless something else uses it ([`Answer::kept`]).
    Remove { image: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub image: String,
    pub environment: Environment,
    /// `docker run --publish`.
    pub port: Option<String>,
    pub network: String,
    /// Its labels, except `service`.
    pub labels: Pairs,
    /// Replaces the image's command.
    pub cmd: Option<String>,
    pub from: ImageFrom,
    pub ready: ready::Ready,
    /// The most seconds to wait for a container with a health check.
    pub timeout: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageFrom {
    /// A registry, and the login if it needs one.
    Registry(Option<Login>),
    /// This run has already sent it to the server.
    ThisRun,
}

/// How long a container without a health check must keep running, in seconds.
const DELAY_S: u64 = 1;

impl Container {
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
            What::Directories(_) => format!("create the directories of {name}"),
            What::Upload(upload) => format!("upload {} for {name}", upload.path),
            What::Boot(_) => format!("boot {name}"),
            What::Replace(_) => format!("reboot {name}"),
            What::Pull { image, .. } => format!("pull {image}"),
            What::Power { action, .. } => format!("{} {name}", action.verb()),
            What::Remove { .. } => format!("remove {name}"),
        }
    }

    fn boot(&self, text: String, container: &Container) -> Script {
        let run = self.line(container, &["run", "--detach"], &self.service);
        let parts = [
            function("again", &policy::give_back(container.restart().as_ref(), &self.service, NotStarted)),
            function("note_start", &self.audit("Started", "accessory")),
            function("note", &self.audit("Booted", "accessory")),
            self.makes(container, "run", &run),
            format!("bowline_image={}\n", quote(&container.image)),
            sent(include_str!("accessory/boot.sh")),
        ];
        self.with(text, container, &parts)
    }

    fn replace(&self, text: String, container: &Container) -> Script {
        let create = self.line(container, &["create"], &self.next());
        let parts = [
            function("note", &self.audit("Rebooted", "accessory")),
            self.makes(container, "make", &create),
            sent(include_str!("accessory/replace.sh")),
        ];
        self.with(text, container, &parts)
    }

    /// Shell functions that create a container: `come_up`, `write_env`, `pull`, `make_network`, and `name`, which executes
    /// `line`.
    fn makes(&self, container: &Container, name: &str, line: &Line) -> String {
        let secret = &container.environment.secret;
        let pull = match container.from {
            ImageFrom::ThisRun => String::new(),
            ImageFrom::Registry(_) => registry::pull(container.login(), &container.image),
        };
        [
            come_up(container),
            function("write_env", &secret.write(&self.env_file())),
            function("pull", &pull),
            function("make_network", &network::create()),
            function(name, &format!("{}\n", secret.run(line, &self.env_file()))),
        ]
        .concat()
    }

    /// The script with these parts. Its input is the login, if there is one, then the env file.
    fn with(&self, text: String, container: &Container, parts: &[String]) -> Script {
        let login = container.login();
        let text = text + read_login(login) + &self.find() + &parts.concat();
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
            Action::Stop => {
                ("keep_stopped \"$bowline_name\" \"$bowline_policy\"\n".to_owned() + &line("stop"), "Stopped")
            }
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
        [
            self.find(),
            function("note_container", &self.audit("Remove", "accessory container")),
            function("note_image", &self.audit("Removed", "accessory image")),
            function("forget", &format!("{forget} && {proxied}\n")),
            format!("bowline_image={}\n", quote(image)),
            sent(include_str!("accessory/remove.sh")),
        ]
        .concat()
    }

    /// Shell lines that repair what a killed run left of a reboot, and find the existing container
    /// ([`Replacement::functions`]). They end the script if that container belongs to something else.
    fn find(&self) -> String {
        let (next, old) = (self.next(), self.old());
        let replacement = Replacement {
            name: &self.service,
            next: &next,
            old: &old,
            gives: &self.service,
            stop_wait: None,
            failed: NotStarted,
        };
        format!(
            "{functions}put_right\nfind_old\ncase $bowline_found in '' | *\" $bowline_name\") ;; *) exit {NameTaken} ;; esac\n",
            functions = replacement.functions(),
        )
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

    /// The new container's name until the old one has stopped.
    fn next(&self) -> String {
        format!("{}_next", self.service)
    }

    /// The old container's name until the new one runs.
    fn old(&self) -> String {
        format!("{}_replaced", self.service)
    }

    fn audit(&self, verb: &str, what: &str) -> String {
        self.scope.audit(None, &format!("{verb} {} {what}", self.name))
    }
}

fn read_login(login: Option<&Login>) -> &'static str {
    if login.is_some() { registry::READ } else { "" }
}

fn with_input(text: String, login: Option<&Login>, rest: &str) -> Script {
    match login.map(Login::input) {
        None if rest.is_empty() => Script::new(text),
        login => Script::new(text).with_input(Secret::new(login.unwrap_or_default() + rest)),
    }
}

fn come_up(container: &Container) -> String {
    let network = proxy::network(container.labels.iter().map(|(key, value)| (key, value)));
    let wait = ready::wait(container.ready, container.timeout, DELAY_S, &network);
    function("wait_for", &wait) + &sent(include_str!("accessory/come_up.sh"))
}
