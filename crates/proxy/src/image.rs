//! The proxy's image, built without a Dockerfile and without Docker: `FROM scratch`, this program under two names.
//!
//! The archive has both forms that `docker load` accepts: an OCI layout for Docker 25 and later, and `manifest.json`
//! for older versions. User, paths and command are those of kamal-proxy's image, so that the same container options
//! and volumes work. The same program always produces the same archive, byte for byte.

use std::fmt;
use std::io::{self, Write};

use ring::digest;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

/// The image's name without its tag.
pub const REPOSITORY: &str = "bowline-proxy";
/// The label that distinguishes this program's image from others of the same name.
const VENDOR: (&str, &str) = ("org.opencontainers.image.vendor", "Bowline");
/// The title label, by which Kamal finds the proxy's containers and images to remove them.
const TITLE: &str = "kamal-proxy";
/// The user and group ID of kamal-proxy's image, which own its volume.
const USER: u64 = 1001;
const HOME: &str = "/home/kamal-proxy";
const DATA: &str = "home/kamal-proxy/.config/kamal-proxy";
const PROGRAM: &str = "usr/local/bin/bowline-proxy";
const OTHER_NAME: &str = "usr/local/bin/kamal-proxy";

#[derive(Debug)]
pub enum Error {
    /// It is not a static Linux program for a supported processor.
    Program(&'static str),
    Io(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Program(what) => write!(f, "can't make an image of this program: {what}"),
            Error::Io(e) => write!(f, "can't write the image: {e}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::Io(error)
    }
}

/// Kamal reads the tag as the proxy's version and refuses one older than its minimum (`v0.9.2`, in RubyGems order).
/// The number in front keeps ours above every minimum, and in the order of our own versions.
pub fn tag(version: &str) -> String {
    format!("v10.{}", version.split('+').next().unwrap_or(version))
}

/// Writes the archive of a program under a name such as `bowline-proxy:v10.0.1.0`.
pub fn write(program: &[u8], name: &str, out: impl Write) -> Result<(), Error> {
    let architecture = architecture(program)?;
    let layer = layer(program)?;
    let layer_digest = sha256(&layer);
    let config = json_bytes(&config(architecture, &layer_digest));
    let config_digest = sha256(&config);
    let manifest = json_bytes(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config_digest, config.len()),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer_digest, layer.len())],
    }));
    let manifest_digest = sha256(&manifest);

    let mut archive = Builder::new(out);
    directories(&mut archive, &[("blobs", 0o755, 0), ("blobs/sha256", 0o755, 0)])?;
    for (digest, content) in
        [(&layer_digest, &layer), (&config_digest, &config), (&manifest_digest, &manifest)]
    {
        file(&mut archive, &format!("blobs/sha256/{digest}"), content, 0o644)?;
    }
    file(&mut archive, "index.json", &json_bytes(&index(name, &manifest_digest, manifest.len())), 0o644)?;
    let old = json!([{
        "Config": format!("blobs/sha256/{config_digest}"),
        "RepoTags": [name],
        "Layers": [format!("blobs/sha256/{layer_digest}")],
    }]);
    file(&mut archive, "manifest.json", &json_bytes(&old), 0o644)?;
    file(&mut archive, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#, 0o644)?;
    archive.into_inner()?.flush()?;
    Ok(())
}

/// Docker's name for the processor in the ELF header. The image has no loader or libraries for dynamic programs.
fn architecture(program: &[u8]) -> Result<&'static str, Error> {
    let short = Error::Program("it is not a Linux program");
    let Some((head, _)) = program.split_first_chunk::<64>() else { return Err(short) };
    if !head.starts_with(b"\x7fELF\x02\x01") {
        return Err(short);
    }
    let architecture = match u16::from_le_bytes([head[18], head[19]]) {
        0x3e => "amd64",
        0xb7 => "arm64",
        _ => return Err(Error::Program("it is for a processor other than x86-64 and ARM64")),
    };
    match needs_loader(program, head) {
        Some(false) => Ok(architecture),
        Some(true) => Err(Error::Program("it is not linked statically")),
        None => Err(Error::Program("its program headers are incomplete")),
    }
}

fn needs_loader(program: &[u8], head: &[u8; 64]) -> Option<bool> {
    const INTERPRETER: [u8; 4] = [3, 0, 0, 0];
    let start = usize::try_from(u64::from_le_bytes(*head[32..].first_chunk()?)).ok()?;
    let size = usize::from(u16::from_le_bytes([head[54], head[55]]));
    let count = usize::from(u16::from_le_bytes([head[56], head[57]]));
    let headers = program.get(start..start.checked_add(size.checked_mul(count)?)?)?;
    Some(size >= 4 && headers.chunks(size).any(|header| header.starts_with(&INTERPRETER)))
}

/// The file system: the program, and the files that programs expect. `/tmp` is for the socket and buffered bodies.
fn layer(program: &[u8]) -> io::Result<Vec<u8>> {
    let mut layer = Builder::new(Vec::with_capacity(program.len() + (32 << 10)));
    directories(&mut layer, &[("etc", 0o755, 0), ("home", 0o755, 0), ("home/kamal-proxy", 0o755, USER)])?;
    directories(&mut layer, &[("home/kamal-proxy/.config", 0o700, USER), (DATA, 0o700, USER)])?;
    directories(
        &mut layer,
        &[("tmp", 0o1777, 0), ("usr", 0o755, 0), ("usr/local", 0o755, 0), ("usr/local/bin", 0o755, 0)],
    )?;
    let passwd =
        format!("root:x:0:0:root:/:/sbin/nologin\nkamal-proxy:x:{USER}:{USER}::{HOME}:/sbin/nologin\n");
    file(&mut layer, "etc/passwd", passwd.as_bytes(), 0o644)?;
    file(&mut layer, "etc/group", format!("root:x:0:\nkamal-proxy:x:{USER}:\n").as_bytes(), 0o644)?;
    file(&mut layer, PROGRAM, program, 0o755)?;
    let mut link = header(EntryType::Link, 0o755, 0, 0);
    layer.append_link(&mut link, OTHER_NAME, PROGRAM)?;
    layer.into_inner()
}

fn directories<W: Write>(archive: &mut Builder<W>, list: &[(&str, u32, u64)]) -> io::Result<()> {
    for (path, mode, owner) in list {
        archive.append_data(
            &mut header(EntryType::Directory, *mode, *owner, 0),
            format!("{path}/"),
            io::empty(),
        )?;
    }
    Ok(())
}

fn file<W: Write>(archive: &mut Builder<W>, path: &str, content: &[u8], mode: u32) -> io::Result<()> {
    let size = u64::try_from(content.len()).map_err(io::Error::other)?;
    archive.append_data(&mut header(EntryType::Regular, mode, 0, size), path, content)
}

fn header(kind: EntryType, mode: u32, owner: u64, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(owner);
    header.set_gid(owner);
    header.set_size(size);
    header.set_mtime(0);
    header
}

fn config(architecture: &str, layer_digest: &str) -> Value {
    json!({
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": format!("{USER}:{USER}"),
            "ExposedPorts": {"80/tcp": {}, "443/tcp": {}},
            "Env": ["PATH=/usr/local/bin", format!("HOME={HOME}")],
            "Cmd": ["kamal-proxy", "run"],
            "WorkingDir": "/",
            "Labels": {
                "org.opencontainers.image.title": TITLE,
                "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
                VENDOR.0: VENDOR.1,
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_digest}")]},
        "history": [{"created_by": "bowline-proxy image"}],
    })
}

fn index(name: &str, manifest_digest: &str, size: usize) -> Value {
    let mut manifest = descriptor("application/vnd.oci.image.manifest.v1+json", manifest_digest, size);
    let tag = name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
    manifest["annotations"] = json!({
        "io.containerd.image.name": full_name(name),
        "org.opencontainers.image.ref.name": tag,
    });
    json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [manifest]})
}

/// The name as containerd stores it.
fn full_name(name: &str) -> String {
    match name.split_once('/') {
        None => format!("docker.io/library/{name}"),
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
    }
}

fn descriptor(media_type: &str, digest: &str, size: usize) -> Value {
    json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size})
}

fn json_bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn sha256(content: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, content);
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub(crate) mod testing {
    /// The start of an ELF program with one program header of the given kind.
    pub(crate) fn elf(machine: u16, kind: u32) -> Vec<u8> {
        let mut program = vec![0; 200];
        program[..6].copy_from_slice(b"\x7fELF\x02\x01");
        program[18..20].copy_from_slice(&machine.to_le_bytes());
        program[32..40].copy_from_slice(&64u64.to_le_bytes());
        program[54..56].copy_from_slice(&56u16.to_le_bytes());
        program[56..58].copy_from_slice(&1u16.to_le_bytes());
        program[64..68].copy_from_slice(&kind.to_le_bytes());
        program
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;

    use super::testing::elf;
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Entry {
        kind: EntryType,
        mode: u32,
        owner: u64,
        link: Option<String>,
        content: Vec<u8>,
    }

    fn unpack(archive: &[u8]) -> BTreeMap<String, Entry> {
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let header = entry.header();
            let (kind, mode, owner) = (header.entry_type(), header.mode().unwrap(), header.uid().unwrap());
            let link = entry.link_name().unwrap().map(|link| link.display().to_string());
            let path = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (path, Entry { kind, mode, owner, link, content })
        });
        entries.collect()
    }

    fn made(program: &[u8], name: &str) -> Vec<u8> {
        let mut archive = Vec::new();
        write(program, name, &mut archive).unwrap();
        archive
    }

    #[test]
    fn both_forms_lead_to_the_same_image() {
        let archive = made(&elf(0xb7, 1), "bowline-proxy:v10.0.1.0");
        let files = unpack(&archive);
        let json = |path: &str| serde_json::from_slice::<Value>(&files[path].content).unwrap();
        let blob = |value: &Value| {
            format!("blobs/sha256/{}", value.as_str().unwrap().strip_prefix("sha256:").unwrap())
        };
        for (path, entry) in files.iter().filter(|(path, _)| path.len() > 20) {
            assert_eq!(path, &format!("blobs/sha256/{}", sha256(&entry.content)));
        }
        let manifest = json(&blob(&json("index.json")["manifests"][0]["digest"]));
        let old = &json("manifest.json")[0];
        assert_eq!(old["Config"], blob(&manifest["config"]["digest"]));
        assert_eq!(old["Layers"][0], blob(&manifest["layers"][0]["digest"]));
        assert_eq!(old["RepoTags"][0], "bowline-proxy:v10.0.1.0");
        let config = json(&blob(&manifest["config"]["digest"]));
        assert_eq!(config["architecture"], "arm64");
        assert_eq!(config["config"]["Labels"]["org.opencontainers.image.title"], "kamal-proxy");
        assert_eq!(config["config"]["Labels"]["org.opencontainers.image.vendor"], "Bowline");
        assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
        assert_eq!(
            manifest["layers"][0]["size"],
            files[&blob(&manifest["layers"][0]["digest"])].content.len()
        );
        let annotations = &json("index.json")["manifests"][0]["annotations"];
        assert_eq!(annotations["io.containerd.image.name"], "docker.io/library/bowline-proxy:v10.0.1.0");
        assert_eq!(archive, made(&elf(0xb7, 1), "bowline-proxy:v10.0.1.0"));
    }

    #[test]
    fn the_layer_has_one_program_and_kamal_proxys_paths() {
        let program = elf(0x3e, 1);
        let files = unpack(&layer(&program).unwrap());
        assert_eq!(files[PROGRAM].content, program);
        assert_eq!((files[PROGRAM].mode, files[PROGRAM].owner), (0o755, 0));
        assert_eq!(
            (files[OTHER_NAME].kind, files[OTHER_NAME].link.as_deref()),
            (EntryType::Link, Some(PROGRAM))
        );
        let data = &files[&format!("{DATA}/")];
        assert_eq!((data.kind, data.mode, data.owner), (EntryType::Directory, 0o700, 1001));
        assert_eq!(files["tmp/"].mode, 0o1777);
        assert!(
            files["etc/passwd"]
                .content
                .ends_with(b"kamal-proxy:x:1001:1001::/home/kamal-proxy:/sbin/nologin\n")
        );
    }

    #[test]
    fn only_static_linux_programs_become_images() {
        let refused = |program: &[u8]| write(program, "a:b", io::sink()).unwrap_err().to_string();
        let text = "can't make an image of this program: ";
        assert_eq!(refused(b"#!/bin/sh\n"), format!("{text}it is not a Linux program"));
        assert_eq!(refused(&[0; 100]), format!("{text}it is not a Linux program"));
        assert_eq!(
            refused(&elf(0x28, 1)),
            format!("{text}it is for a processor other than x86-64 and ARM64")
        );
        assert_eq!(refused(&elf(0x3e, 3)), format!("{text}it is not linked statically"));
        assert_eq!(refused(&elf(0x3e, 1)[..100]), format!("{text}its program headers are incomplete"));
        let mut random = crate::seeded::Random::new(6);
        for _ in 0..2_000 {
            let mut program = elf(0x3e, 1);
            for _ in 0..3 {
                program[6 + random.below(114)] = u8::try_from(random.below(256)).unwrap();
            }
            let _ = architecture(&program);
        }
    }

    #[test]
    fn tags_satisfy_kamals_minimum() {
        assert_eq!(tag("0.1.0"), "v10.0.1.0");
        assert_eq!(tag("1.2.3-rc.1+build.5"), "v10.1.2.3-rc.1");
        assert_eq!(full_name("localhost:5000/x:1"), "localhost:5000/x:1");
        assert_eq!(full_name("acme/x:1"), "docker.io/acme/x:1");
    }
}
