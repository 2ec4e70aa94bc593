//! Builds images as image builders write them, and a client for the registry.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test program uses a part of this")]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use bowline_registry::{Access, Digest, Image, Limits, Registry, Store, Traffic};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;

pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub const NAME: &str = "localhost:5000/app:v1";

/// The files of a layout or an archive, by their paths.
#[derive(Debug, Clone, Default)]
pub struct Files(pub BTreeMap<String, Vec<u8>>);

impl Files {
    /// Adds a blob and returns its descriptor.
    pub fn blob(&mut self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        self.0.insert(format!("blobs/sha256/{}", digest.hex()), bytes.to_vec());
        json!({ "mediaType": media_type, "digest": digest.to_string(), "size": bytes.len() })
    }

    pub fn image(&mut self, layers: &[&[u8]], compressed: bool, architecture: &str) -> Value {
        let config = config(layers, architecture);
        let config = self.blob("application/vnd.oci.image.config.v1+json", &config);
        let layers: Vec<Value> = layers
            .iter()
            .map(|layer| match compressed {
                true => self.blob(&format!("{LAYER}+gzip"), &gzip(layer)),
                false => self.blob(LAYER, layer),
            })
            .collect();
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
        let mut descriptor = self.blob(MANIFEST, manifest.to_string().as_bytes());
        descriptor["platform"] = json!({ "os": "linux", "architecture": architecture });
        descriptor
    }

    pub fn index(&mut self, manifests: &[Value]) -> Value {
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
        self.blob(INDEX, index.to_string().as_bytes())
    }

    /// Writes `index.json` with these roots, and `oci-layout`.
    pub fn roots(mut self, roots: &[Value]) -> Self {
        let index = json!({ "schemaVersion": 2, "manifests": roots });
        self.0.insert("index.json".into(), index.to_string().into_bytes());
        self.0.insert("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
        self
    }

    pub fn write(&self, directory: &Path) {
        for (name, bytes) in &self.0 {
            let path = directory.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }

    pub fn archive(&self) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, bytes) in &self.0 {
            add(&mut archive, name, bytes);
        }
        archive.into_inner().unwrap()
    }

    /// The content of the only file whose path ends with `end`, for a test to change.
    pub fn file(&mut self, end: &str) -> &mut Vec<u8> {
        let mut found = self.0.iter_mut().filter(|(name, _)| name.ends_with(end));
        let (_, bytes) = found.next().unwrap();
        assert!(found.next().is_none());
        bytes
    }
}

pub fn config(layers: &[&[u8]], architecture: &str) -> Vec<u8> {
    let diff_ids: Vec<String> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
    let rootfs = json!({ "type": "layers", "diff_ids": diff_ids });
    json!({ "architecture": architecture, "os": "linux", "rootfs": rootfs }).to_string().into_bytes()
}

pub fn add(archive: &mut tar::Builder<Vec<u8>>, name: &str, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, name, bytes).unwrap();
}

/// A layer with one file of pseudo-random bytes, which hardly compress.
pub fn layer(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed + 1;
    let noise = std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as u8
    });
    let mut archive = tar::Builder::new(Vec::new());
    add(&mut archive, "file", &noise.take(length).collect::<Vec<_>>());
    archive.into_inner().unwrap()
}

/// The files that `docker save` wrote before Docker 25.
pub fn old_archive(tags: &[&str], layers: &[&[u8]]) -> Files {
    let mut files = Files::default();
    let config = config(layers, "amd64");
    let name = format!("{}.json", Digest::of(&config).hex());
    let mut paths = Vec::new();
    for (at, layer) in layers.iter().enumerate() {
        let path = format!("{at:064}/layer.tar");
        files.0.insert(path.clone(), layer.to_vec());
        files.0.insert(format!("{at:064}/VERSION"), b"1.0".to_vec());
        paths.push(path);
    }
    let table = json!([{ "Config": name, "RepoTags": tags, "Layers": paths }]);
    files.0.insert(name, config);
    files.0.insert("manifest.json".into(), table.to_string().into_bytes());
    files
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

pub fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(bytes), &mut plain).unwrap();
    plain
}

/// A new store in a temporary directory.
pub fn store() -> (TempDir, Store) {
    let directory = TempDir::new().unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    (directory, store)
}

pub fn take(store: &Store, files: &Files) -> Result<Image, bowline_registry::Error> {
    let layout = TempDir::new().unwrap();
    files.write(layout.path());
    store.take_layout(layout.path(), NAME)
}

pub struct Served {
    pub registry: Arc<Registry>,
    pub image: Image,
    pub traffic: Arc<Traffic>,
    pub directory: TempDir,
}

impl Served {
    pub fn new(files: &Files, access: Option<Access>, limits: Limits) -> Self {
        let (directory, store) = store();
        let image = take(&store, files).unwrap();
        let registry = Registry::new(Arc::new(store), access, limits);
        registry.offer("me/app:v1", &image).unwrap();
        Self { registry: Arc::new(registry), image, traffic: Arc::default(), directory }
    }

    /// A connection to the registry through a pipe that buffers at most `holds` bytes.
    pub fn pipe(&self, holds: usize) -> tokio::io::DuplexStream {
        let (near, far) = tokio::io::duplex(holds);
        let (registry, traffic) = (Arc::clone(&self.registry), Arc::clone(&self.traffic));
        tokio::spawn(async move { registry.serve(far, traffic).await });
        near
    }

    pub async fn client(&self) -> Client {
        let (sender, connection) = http1::handshake(TokioIo::new(self.pipe(1 << 16))).await.unwrap();
        tokio::spawn(connection);
        Client(sender)
    }
}

pub struct Client(pub SendRequest<Empty<Bytes>>);

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The code of an error response.
    pub fn code(&self) -> String {
        let errors: Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(self.header("content-type"), "application/json");
        assert!(errors["errors"][0]["message"].is_string());
        errors["errors"][0]["code"].as_str().unwrap().into()
    }
}

impl Client {
    pub async fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.0.ready().await.unwrap();
        let response = self.0.send_request(request.body(Empty::new()).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, &[]).await
    }
}
