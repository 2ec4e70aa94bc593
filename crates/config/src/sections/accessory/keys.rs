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

/// `accessories`, one of them.
pub(in crate) const KEYS: Keys = Keys::new(
    "accessories/NAME",
    "A container beside the app, such as a database. `bowline accessory boot NAME` boots it; a deploy leaves it alone. \
     Its servers count for a `boot: limit` in percent. Exactly one of `host`, `hosts`, \
     `role`, `roles`, `tag` and `tags` says where it runs.",
    &[
        Setting::new("image", Form::Filled, "its image, with the tag").default("required").examples(&["\"mysql:8.4\""]),
        Setting::new("service", Form::Filled, "its container's name, and that of its directory on a server")
            .default("`SERVICE-NAME`")
            .examples(&["shop-database"]),
        Setting::new("host", Form::Filled, "the server").examples(&["10.0.0.3"]),
        Setting::new("hosts", LIST, "several servers").examples(&["[10.0.0.3, 10.0.0.4]"]),
        Setting::new("role", Form::Filled, "the servers of a role").kamal2("roles").examples(&["web"]),
        Setting::new("roles", LIST, "the servers of several roles").examples(&["[web]"]),
        Setting::new("tag", Form::Filled, "the servers with a tag, in whatever form the roles are written").kamal2("hosts").examples(&["fast"]),
        Setting::new("tags", LIST, "the servers with one of several tags").kamal2("hosts").examples(&["[fast]"]),
        Setting::new("cmd", Form::Filled, "in place of the image's own").examples(&["\"--max-connections=200\""]),
        Setting::new("port", Form::Filled, "`docker run --publish`; `PORT` is `PORT:PORT`, on all addresses of the server. A database there is a warning")
            .examples(&["3306", "\"127.0.0.1:3306:3306\""]),
        Setting::new("env", env::FORM, "its variables; the app's don't count").examples(&["{A: b}", "{secret: [MYSQL_ROOT_PASSWORD]}"]),
        Setting::new("files", MOUNTS, "uploaded from the project and mounted: `LOCAL:REMOTE`, `LOCAL:REMOTE:OPTIONS` or a map. One that ends in `erb` is rendered with the accessory's env")
            .examples(&["[\"config/my.cnf:/etc/mysql/my.cnf:ro\"]", "[{local: a, remote: /a, mode: \"0600\"}]"]),
        Setting::new("directories", MOUNTS, "made on the server and mounted, in the same forms").examples(&["[\"data:/var/lib/mysql\"]"]),
        Setting::new("volumes", LIST, "`--volume` each").examples(&["[\"/mnt/data:/data\"]"]),
        Setting::new("labels", TEXTS, "labels of its container").examples(&["{team: data}"]),
        Setting::new("options", OPTIONS, "further flags of `docker run`").examples(&["{memory: 2g}"]),
        Setting::new("network", Form::Filled, "Docker's network for it").default("`kamal`").kamal2("").examples(&["data"]),
        Setting::new("registry", Form::Keys(&registry::KEYS), "one of its own")
            .kamal2("")
            .examples(&["{server: ghcr.io, username: me, password: [TOKEN]}"]),
        Setting::new("proxy", Form::Either(&[Form::False, Form::Keys(&proxy::KEYS)]), "how kamal-proxy serves it, `false` for not at all; the root's has nothing to do with it")
            .kamal2("labels for Traefik")
            .examples(&["{host: db.example.com, app_port: 8080}"]),
    ],
)
.slips(&[("ports", "port"), ("command", "cmd"), ("environment", "env"), ("server", "host"), ("servers", "hosts")]);

const MOUNT_KEYS: Keys = Keys::new(
    "accessories/NAME/files",
    "An entry of `files` or `directories` as a map.",
    &[
        Setting::new(
            "local",
            Form::Filled,
            "a file: its path in the project; a directory: its path on the server, below the \
             accessory's unless absolute",
        )
        .default("required")
        .examples(&["config/my.cnf"]),
        Setting::new("remote", Form::Filled, "its path in the container")
            .default("required")
            .examples(&["/etc/mysql/my.cnf"]),
        Setting::new("mode", Form::Like(&MODE), "`chmod` on the server")
            .default("`755` for files")
            .kamal2(""),
        Setting::new("owner", Form::Filled, "`chown` on the server").kamal2("").examples(&["\"999:999\""]),
        Setting::new("options", Form::Filled, "mount options").kamal2("").examples(&["ro"]),
    ],
);
