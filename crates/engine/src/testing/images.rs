//! Images that are kept on the machine of a test, by name.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bowline_config::secret::Secret;
use bowline_core::commands::registry::Layers;
use futures_util::future::BoxFuture;

use super::locked;
use crate::ports::{Accept, Given, Held, Image, Images, Offer, Output, Pieces, Stream, Variant};

#[derive(Debug, Default)]
pub(crate) struct FakeImages {
    pub kept: Arc<Mutex<BTreeSet<String>>>,
    pub did: Mutex<Vec<String>>,
    /// The label `service` of the images that are taken, for each platform.
    pub services: Mutex<Vec<Option<String>>>,
}

impl FakeImages {
    fn variants(&self) -> Vec<Variant> {
        locked(&self.services).iter().cloned().map(variant).collect()
    }
}

fn variant(service: Option<String>) -> Variant {
    let image = Layers { architecture: "amd64".into(), layers: Vec::new() };
    Variant { platform: "linux/amd64".into(), image, service }
}

#[async_trait]
impl Images for FakeImages {
    async fn workspace(&self) -> Result<(String, Held), String> {
        Ok(("/work".into(), Box::new(())))
    }

    async fn take(&self, layout: &str, name: &str) -> Result<(), String> {
        locked(&self.did).push(format!("take {layout}"));
        locked(&self.kept).insert(name.into());
        Ok(())
    }

    async fn look_into(&self, path: &str, name: &str) -> Result<Box<dyn Given>, String> {
        locked(&self.did).push(format!("look into {path}"));
        Ok(Box::new(FakeGiven { variants: self.variants(), name: name.into(), kept: Arc::clone(&self.kept) }))
    }

    async fn keep_as(&self, _: &str, other: &str) -> Result<(), String> {
        locked(&self.kept).insert(other.into());
        Ok(())
    }

    async fn receive(&self, saved: &mut dyn Pieces, name: &str) -> Result<(), String> {
        let mut bytes = 0;
        while let Some(piece) = saved.next().await? {
            bytes += piece.len();
        }
        locked(&self.did).push(format!("receive {bytes} bytes"));
        locked(&self.kept).insert(name.into());
        Ok(())
    }

    async fn open(&self, name: &str, _: &str) -> Result<Option<Arc<dyn Image>>, String> {
        let image: Arc<dyn Image> = Arc::new(FakeImage);
        Ok(locked(&self.kept).contains(name).then_some(image))
    }

    async fn tidy(&self, repository: &str, images: usize) -> Result<(), String> {
        locked(&self.did).push(format!("keep {images} of {repository}"));
        Ok(())
    }
}

struct FakeGiven {
    variants: Vec<Variant>,
    name: String,
    kept: Arc<Mutex<BTreeSet<String>>>,
}

impl Given for FakeGiven {
    fn variants(&self) -> Vec<Variant> {
        self.variants.clone()
    }

    fn keep(&self) -> Result<(), String> {
        locked(&self.kept).insert(self.name.clone());
        Ok(())
    }
}

struct FakeImage;

impl Image for FakeImage {
    fn size(&self) -> u64 {
        1000
    }

    fn variants(&self) -> Vec<Variant> {
        vec![variant(None)]
    }

    fn offer(&self) -> Arc<dyn Offer> {
        Arc::new(FakeOffer)
    }

    fn archive(&self, _: &str, architecture: &str) -> Box<dyn Pieces> {
        let pieces = if architecture == "amd64" { 3 } else { 0 };
        Box::new(FakePieces(pieces))
    }
}

struct FakeOffer;

impl Accept for FakeOffer {
    fn accept(&self, _: Box<dyn Stream>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

impl Offer for FakeOffer {
    fn auth(&self) -> Secret {
        Secret::new("sentinel-auth")
    }

    fn sent(&self) -> u64 {
        700
    }

    fn accepts(self: Arc<Self>) -> Arc<dyn Accept> {
        self
    }
}

struct FakePieces(usize);

#[async_trait]
impl Pieces for FakePieces {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        if self.0 == 0 {
            return Ok(None);
        }
        self.0 -= 1;
        Ok(Some(vec![0; 100]))
    }
}

/// The output of a program on the machine of a test, in one piece.
pub(crate) struct Printed(Option<Result<Vec<u8>, String>>);

impl Printed {
    pub(crate) fn of(answer: Result<Output, String>) -> Self {
        Self(Some(answer.and_then(|output| match output.success() {
            true => Ok(output.stdout.into_bytes()),
            false => Err(output.stderr),
        })))
    }
}

#[async_trait]
impl Pieces for Printed {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        self.0.take().transpose()
    }
}
