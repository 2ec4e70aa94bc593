//! Removes what the app left on a server. It removes nothing that runs: a step of its own stops containers first.

use std::str::FromStr;

use super::answer::{self, Unreadable};
use super::{Scope, listing, prune};
use crate::names::ALL_PULLED;
use crate::proxy;
use crate::shell::{Line, Script, quote};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remove {
    pub scope: Scope,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// One stopped container, by its name.
    Container { role: String, name: String },
    /// The stopped containers of a role.
    Containers(String),
    /// The app's images (`[SERVER/]IMAGE`) that nothing else needs, and our `latest[-DEST]`, not that of other destinations.
    Images { repository: String, latest: String },
    /// The app's directory: env files, assets, cords, the history; and its files for the proxy. The mark of this run is in it, so this is the
    /// last step on a server. It stays if a container of another app mounts something of it (destination `staging` of
    /// `app` and the service `app-staging` have one directory): then prints [`Removed::shared`].
    Directory,
}

impl Remove {
    pub fn script(&self) -> Script {
        let (scope, docker) = (&self.scope, || Line::new("docker"));
        let mut text = scope.fence();
        match &self.what {
            What::Container { role, name } => {
                let line = docker().words(["container", "rm", name]);
                text.push_str(&format!("{line} >/dev/null || exit\n"));
                text.push_str(&scope.audit(Some(role), &format!("Removed app container {name}")));
            }
            What::Containers(role) => {
                let prune =
                    prune::in_turn("container", |line| listing::filters(line, &scope.names, Some(role)));
                text.push_str(&format!("{prune} || exit\n"));
                text.push_str(&scope.audit(Some(role), "Removed all app containers"));
            }
            What::Images { repository, latest } => {
                text.push_str(&images(scope, repository, latest));
                text.push_str(&scope.audit(None, "Removed all app images"));
            }
            What::Directory => text.push_str(&directory(scope)),
        }
        Script::new(text)
    }

    pub fn describe(&self) -> String {
        match &self.what {
            What::Container { name, .. } => format!("remove {name}"),
            What::Containers(role) => format!("remove the stopped containers of {role}"),
            What::Images { .. } => "remove the app's images".into(),
            What::Directory => "remove the app's directory".into(),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// The containers that have files in the app's directory, which therefore stays.
    pub shared: Option<String>,
}

impl FromStr for Removed {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let line = answer::lines(text).find(|line| line.word == "shared");
        Ok(Self { shared: line.map(|line| line.some().map(Into::into)).transpose()? })
    }
}

fn directory(scope: &Scope) -> String {
    let directory = quote(&scope.names.directory());
    let list = Line::new("docker").words(["container", "ls", "--all", "--quiet"]);
    let inspect = Line::new("docker")
        .words(["container", "inspect", "--format"])
        .word("{{$name := .Name}}{{range .Mounts}}{{println $name .Source}}{{end}}");
    format!(
        "bowline_ids=$({list}) || exit\n\
         bowline_shared=; [ -z \"$bowline_ids\" ] || bowline_shared=$({inspect} $bowline_ids | grep -F \"$PWD/\"{directory}/ | cut -d' ' -f1 | sed 's,^/,,' | sort -u)\n\
         if [ -n \"$bowline_shared\" ]; then echo \"@shared\" $bowline_shared; exit 0; fi\n\
         {sweep}{audit}rm -rf {directory} {proxied}\n",
        proxied = quote(&proxy::kamal::files::directory(&scope.names)),
        sweep = proxy::maintenance::sweep(&scope.names),
        audit = scope.audit(None, "Removed app directory"),
    )
}

/// Untags every image of the repository but those that a container uses, those that another app has pulled and not
/// run yet, and those that are the latest of another destination, under whatever tag.
fn images(scope: &Scope, repository: &str, latest: &str) -> String {
    let used =
        Line::new("docker").words(["container", "ls", "--all", "--no-trunc", "--format", "{{.Image}}"]);
    let list = Line::new("docker")
        .words(["image", "ls", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"])
        .word(repository);
    format!(
        "rm -f {pulled}\n\
         bowline_list=$({list}) && bowline_used=$({used}) || exit\n\
         bowline_used=$(printf '%s\\n' \"$bowline_used\"; cat {ALL_PULLED} 2>/dev/null; :)\n\
         bowline_others=$(printf '%s\\n' \"$bowline_list\" | awk -v own={own} '$1 ~ /:latest(-[^ ]*)?$/ && $1 != own {{ print $2 }}')\n\
         printf '%s\\n' \"$bowline_list\" | while read -r bowline_image bowline_id; do\n\
         [ -n \"$bowline_image\" ] || continue\n\
         case $bowline_image in *:'<none>') bowline_image=$bowline_id ;; esac\n\
         printf '%s\\n' \"$bowline_used\" | grep -qxF -e \"$bowline_image\" && continue\n\
         printf '%s\\n' \"$bowline_others\" | grep -qxF -e \"$bowline_id\" && continue\n\
         docker image rm \"$bowline_image\" >/dev/null 2>&1\n\
         done\n\
         {nameless}\n",
        pulled = quote(&scope.names.pulled()),
        own = quote(&format!("{repository}:{latest}")),
        nameless = prune::nameless(&format!("label=service={}", scope.names.service())),
    )
}
