//! The keys of an accessory.

use crate::describe::{Form, Keys, LIST, Like, OPTIONS, Setting, TEXTS};
use crate::{env, proxy, registry};

const MOUNT: Like = Like {
    wanted: "`LOCAL:REMOTE`, or `LOCAL:REMOTE:OPTIONS`",
    help: "",
    reads: |text| text.contains(':'),
    pattern: ":",
    words: &[],
    examples: &["config/my.cnf:/etc/mysql/my.cnf"],
};

const MODE: Like = Like {
    wanted: "a file mode in octal digits, such as 0640",
    help: "",
    reads: |text| (3..=4).contains(&text.len()) && text.chars().all(|c| ('0'..='7').contains(&c)),
    pattern: "^[0-7]{3,4}$",
    words: &[],
    examples: &["\"0640\"", "755"],
};

const MOUNTS: Form = Form::List(&Form::Either(&[Form::Like(&MOUNT), Form::Keys(&MOUNT_KEYS)]));

pub(in crate) const KEYS: Keys = Keys::new(
    "accessories/NAME",
    "A container that the app needs, such as a database. `bowline accessory boot NAME` starts it; deploys leave it alone. \
     Set exactly one of `host`, `hosts`, `role`, `roles`, `tag` and `tags` to say where it runs.",
    &[
        Setting::new("image", Form::Filled, "the accessory's image, with a tag").default("required").examples(&["\"mysql:8.4\""]),
        Setting::new("service", Form::Filled, "the name of its container and of its directory on the server")
            .default("`SERVICE-NAME`")
            .examples(&["shop-database"]),
        Setting::new("host", Form::Filled, "the server that it runs on").examples(&["10.0.0.3"]),
        Setting::new("hosts", LIST, "the servers that it runs on").examples(&["[10.0.0.3, 10.0.0.4]"]),
        Setting::new("role", Form::Filled, "the role on whose servers it runs").kamal2("roles").examples(&["web"]),
        Setting::new("roles", LIST, "the roles on whose servers it runs").examples(&["[web]"]),
        Setting::new("tag", Form::Filled, "the tag of the servers that it runs on").kamal2("hosts").examples(&["fast"]),
        Setting::new("tags", LIST, "the tags of the servers that it runs on; a server needs one of them").kamal2("hosts").examples(&["[fast]"]),
        Setting::new("cmd", Form::Filled, "the command that the container runs").default("the image's command").examples(&["\"--max-connections=200\""]),
        Setting::new("port", Form::Filled, "the value of `docker run --publish`. `PORT` means `PORT:PORT` on all addresses of the server; Bowline warns if that exposes a database")
            .examples(&["3306", "\"127.0.0.1:3306:3306\""]),
        Setting::new("env", env::FORM, "its environment variables; it doesn't inherit the app's").examples(&["{A: b}", "{secret: [MYSQL_ROOT_PASSWORD]}"]),
        Setting::new("files", MOUNTS, "files of the project to upload and mount: `LOCAL:REMOTE`, `LOCAL:REMOTE:OPTIONS` or a map. Bowline renders files that end in `erb` as ERB templates, with the accessory's env")
            .examples(&["[\"config/my.cnf:/etc/mysql/my.cnf:ro\"]", "[{local: a, remote: /a, mode: \"0600\"}]"]),
        Setting::new("directories", MOUNTS, "directories to create on the server and mount, in the same forms as `files`").examples(&["[\"data:/var/lib/mysql\"]"]),
        Setting::new("volumes", LIST, "values of `docker run --volume`").examples(&["[\"/mnt/data:/data\"]"]),
        Setting::new("labels", TEXTS, "labels of the container").examples(&["{team: data}"]),
        Setting::new("options", OPTIONS, "more flags for `docker run`").examples(&["{memory: 2g}"]),
        Setting::new("network", Form::Filled, "the Docker network of the container").default("`kamal`").kamal2("").examples(&["data"]),
        Setting::new("registry", Form::Keys(&registry::KEYS), "the registry of its image")
            .default("the root's, if the image's name starts with that registry's address")
            .kamal2("")
            .examples(&["{server: ghcr.io, username: me, password: [TOKEN]}"]),
        Setting::new("proxy", Form::Either(&[Form::False, Form::Keys(&proxy::KEYS)]), "how kamal-proxy sends requests to it; `false` for no proxy. It doesn't inherit the root's `proxy`")
            .kamal2("labels for Traefik")
            .examples(&["{host: db.example.com, app_port: 8080}"]),
    ],
)
.slips(&[("ports", "port"), ("command", "cmd"), ("environment", "env"), ("server", "host"), ("servers", "hosts")]);

const MOUNT_KEYS: Keys = Keys::new(
    "accessories/NAME/files",
    "An entry of `files` or `directories`, as a map.",
    &[
        Setting::new(
            "local",
            Form::Filled,
            "in `files`: the path of a file in the project. In `directories`: the path on the server; a relative one is below the \
             accessory's directory",
        )
        .default("required")
        .examples(&["config/my.cnf"]),
        Setting::new("remote", Form::Filled, "the path in the container")
            .default("required")
            .examples(&["/etc/mysql/my.cnf"]),
        Setting::new("mode", Form::Like(&MODE), "the mode on the server (`chmod`). Use `600` for a file with secrets: Bowline warns if other users can read it")
            .default("`755` for files, as in Kamal; the umask's for directories")
            .kamal2(""),
        Setting::new("owner", Form::Filled, "the owner on the server (`chown`)").kamal2("").examples(&["\"999:999\""]),
        Setting::new("options", Form::Filled, "mount options, such as `ro`").kamal2("").examples(&["ro"]),
    ],
);
