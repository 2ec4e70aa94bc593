//! The images on this machine, in the user's cache directory, and the registry from which servers pull them.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bowline_config::secret::Secret;
use bowline_core::commands::registry::{Layer, Layers};
use bowline_engine::ports::{Accept, Given, Held, Image, Images, Local, Offer, Pieces, Stream, Variant};
use bowline_registry::{Access, Limits, Registry, Store, Traffic};
use bytes::Bytes;
use tokio::sync::{OnceCell, mpsc};

use crate::local::{LocalMachine, secret_hex};

/// The maximum size of all images together, in bytes.
const MOST: u64 = 20_000_000_000;
/// The user name with which servers log in to the registry.
const USER: &str = "bowline";
/// The size in bytes of the pieces in which an archive is sent.
const PIECE: usize = 64 * 1024;
/// How many pieces can wait to be sent to each server.
const WAITING: usize = 1;
/// How many pieces of a server's image can wait to be stored.
const ARRIVED: usize = 8;

/// The images on this machine. Opens the store on first use.
#[derive(Default)]
pub struct KeptImages {
    /// The store's directory. Default: `images` in the user's cache directory.
    directory: Option<PathBuf>,
    store: OnceCell<Arc<Store>>,
}

impl KeptImages {
    pub fn below(directory: &Path) -> Self {
        Self { directory: Some(directory.to_owned()), store: OnceCell::new() }
    }

    async fn store(&self) -> Result<Arc<Store>, String> {
        let open = async {
            let directory = match &self.directory {
                Some(directory) => directory.clone(),
                None => Path::new(&LocalMachine::default().cache()?).join("images"),
            };
            aside(move || Store::open(&directory)).await.map(Arc::new)
        };
        self.store.get_or_try_init(|| open).await.cloned()
    }
}

/// Runs work that reads or writes files on a thread for blocking work.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, bowline_registry::Error> + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?;
    done.map_err(|error| error.to_string())
}

#[async_trait]
impl Images for KeptImages {
    async fn workspace(&self) -> Result<(String, Held), String> {
        let store = self.store().await?;
        let workspace = aside(move || store.workspace()).await?;
        let path =
            workspace.path().to_str().ok_or("the name of the cache directory is not valid UTF-8")?.to_owned();
        Ok((path, Box::new(workspace)))
    }

    async fn take(&self, layout: &str, name: &str) -> Result<(), String> {
        let (store, layout, name) = (self.store().await?, PathBuf::from(layout), name.to_owned());
        aside(move || store.take_layout(&layout, &name)).await.map(drop)
    }

    async fn look_into(&self, path: &str, name: &str) -> Result<Box<dyn Given>, String> {
        let (store, path, name) = (self.store().await?, PathBuf::from(path), name.to_owned());
        let found = aside(move || Ok(Found { image: store.look_into(&path, &name)?, store, name }));
        Ok(Box::new(found.await?))
    }

    async fn keep_as(&self, name: &str, other: &str) -> Result<(), String> {
        let (store, name, other) = (self.store().await?, name.to_owned(), other.to_owned());
        aside(move || store.keep_as(&name, &other)).await
    }

    async fn receive(&self, saved: &mut dyn Pieces, name: &str) -> Result<(), String> {
        let (store, name) = (self.store().await?, name.to_owned());
        let (sender, receiver) = mpsc::channel(ARRIVED);
        let taking = tokio::task::spawn_blocking(move || {
            let archive = Receiving { pieces: receiver, piece: Bytes::new() };
            store.take_archive(archive, &name).map(drop).map_err(|error| error.to_string())
        });
        let broken = loop {
            match saved.next().await {
                Ok(Some(piece)) => {
                    // `taking` has ended, and its result says why.
                    if sender.send(Bytes::from(piece)).await.is_err() {
                        break None;
                    }
                }
                Ok(None) => break None,
                Err(reason) => break Some(reason),
            }
        };
        drop(sender);
        let taken = taking.await.map_err(|error| error.to_string())?;
        // If the transfer broke off, that explains the incomplete archive.
        broken.map_or(taken, Err)
    }

    async fn open(&self, name: &str, offered: &str) -> Result<Option<Arc<dyn Image>>, String> {
        let (store, kept) = (self.store().await?, name.to_owned());
        let opened = {
            let store = Arc::clone(&store);
            tokio::task::spawn_blocking(move || store.image(&kept))
                .await
                .map_err(|error| error.to_string())?
        };
        let image = match opened {
            Ok(image) => image,
            // The caller rebuilds an image that was damaged or deleted by hand.
            Err(bowline_registry::Error::Unknown(_) | bowline_registry::Error::Missing(_)) => {
                return Ok(None);
            }
            Err(error) => return Err(error.to_string()),
        };
        let password = secret_hex(16)?;
        let access = Some(Access::new(USER, &password));
        let registry = Arc::new(Registry::new(Arc::clone(&store), access, Limits::default()));
        registry.offer(offered, &image).map_err(|error| error.to_string())?;
        let auth = Secret::new(STANDARD.encode(format!("{USER}:{password}")));
        Ok(Some(Arc::new(KeptImage { store, image, registry, auth })))
    }

    async fn tidy(&self, repository: &str, images: usize) -> Result<(), String> {
        let (store, repository) = (self.store().await?, repository.to_owned());
        aside(move || store.retain(&repository, images, MOST)).await.map(drop)
    }
}

fn variants(image: &bowline_registry::Image) -> Vec<Variant> {
    let layer =
        |layer: &bowline_registry::Layer| Layer { content: layer.content.to_string(), size: layer.size };
    let variant = |variant: &bowline_registry::Variant| Variant {
        platform: variant.platform.to_string(),
        image: Layers {
            architecture: variant.platform.architecture.clone(),
            layers: variant.layers.iter().map(layer).collect(),
        },
        service: variant.labels.get("service").cloned(),
    };
    image.variants().iter().map(variant).collect()
}

struct Found {
    store: Arc<Store>,
    image: bowline_registry::Image,
    name: String,
}

impl Given for Found {
    fn variants(&self) -> Vec<Variant> {
        variants(&self.image)
    }

    fn keep(&self) -> Result<(), String> {
        self.store.keep(&self.name, &self.image).map_err(|error| error.to_string())
    }
}

struct KeptImage {
    store: Arc<Store>,
    image: bowline_registry::Image,
    registry: Arc<Registry>,
    auth: Secret,
}

impl Image for KeptImage {
    fn size(&self) -> u64 {
        self.image.parts().map(|(_, size)| size).sum()
    }

    fn variants(&self) -> Vec<Variant> {
        variants(&self.image)
    }

    fn offer(&self) -> Arc<dyn Offer> {
        let (registry, auth) = (Arc::clone(&self.registry), self.auth.clone());
        Arc::new(Served { registry, auth, traffic: Arc::default() })
    }

    fn archive(&self, name: &str, architecture: &str) -> Box<dyn Pieces> {
        let (store, image) = (Arc::clone(&self.store), self.image.clone());
        let (name, architecture) = (name.to_owned(), architecture.to_owned());
        let (sender, receiver) = mpsc::channel(WAITING);
        tokio::task::spawn_blocking(move || {
            let mut to = io::BufWriter::with_capacity(PIECE, Sending(sender.clone()));
            let saved = store.save(&image, &name, &architecture, &mut to);
            let ended = saved
                .map_err(|error| error.to_string())
                .and_then(|()| to.flush().map_err(|error| error.to_string()));
            if let Err(reason) = ended {
                // The receiver may be gone.
                let _ = sender.blocking_send(Err(reason));
            }
        });
        Box::new(Archive(receiver))
    }
}

/// The registry as offered to one server.
struct Served {
    registry: Arc<Registry>,
    auth: Secret,
    traffic: Arc<Traffic>,
}

impl Accept for Served {
    fn accept(&self, stream: Box<dyn Stream>) -> futures_util::future::BoxFuture<'static, ()> {
        let (registry, traffic) = (Arc::clone(&self.registry), Arc::clone(&self.traffic));
        Box::pin(async move {
            // The other end of the connection reports what broke it.
            let _ = registry.serve(stream, traffic).await;
        })
    }
}

impl Offer for Served {
    fn auth(&self) -> Secret {
        self.auth.clone()
    }

    fn sent(&self) -> u64 {
        self.traffic.sent()
    }

    fn accepts(self: Arc<Self>) -> Arc<dyn Accept> {
        self
    }
}

struct Sending(mpsc::Sender<Result<Bytes, String>>);

impl Write for Sending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(bytes);
        self.0.blocking_send(Ok(piece)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Receiving {
    pieces: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Receiving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.piece.len());
        let now = self.piece.split_to(length);
        if let Some(buffer) = buffer.get_mut(..length) {
            buffer.copy_from_slice(&now);
        }
        Ok(length)
    }
}

struct Archive(mpsc::Receiver<Result<Bytes, String>>);

#[async_trait]
impl Pieces for Archive {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        self.0.recv().await.transpose().map(|piece| piece.map(Vec::from))
    }
}
