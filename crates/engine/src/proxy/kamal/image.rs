//! Bowline's own image of the proxy. The program `bowline-proxy`, which is installed with `bowline`, creates it.

use std::sync::Arc;

use bowline_config::secret::SecretBytes;
use tokio::sync::OnceCell;

use crate::error::Cause;
use crate::ports::{Local, LocalCommand};

const PROGRAM: &str = "bowline-proxy";

/// The image, created at most once and only if a server needs it.
pub struct OwnImage {
    local: Arc<dyn Local>,
    reference: OnceCell<Result<String, Cause>>,
    archive: OnceCell<Result<SecretBytes, Cause>>,
}

impl OwnImage {
    pub fn new(local: Arc<dyn Local>) -> Self {
        Self { local, reference: OnceCell::new(), archive: OnceCell::new() }
    }

    pub(crate) async fn reference(&self) -> Result<String, Cause> {
        let ask = || self.run(&["image", "--reference"]);
        self.reference.get_or_init(ask).await.clone()
    }

    /// The image's name, and its archive for `docker load`.
    pub(crate) async fn archive(&self) -> Result<(String, SecretBytes), Cause> {
        let reference = self.reference().await?;
        let archive = self.archive.get_or_init(|| self.made()).await.clone()?;
        Ok((reference, archive))
    }

    async fn made(&self) -> Result<SecretBytes, Cause> {
        let cache = self.local.cache().map_err(|reason| failed(&reason))?;
        let path = format!("{cache}/proxy-image-{}.tar", self.local.random_hex(8));
        let held = self.local.hold(&path).map_err(|reason| failed(&reason))?;
        let read = match self.run(&["image", "--output", &path]).await {
            Ok(_) => self.local.read_bytes(&path).map_err(|reason| failed(&reason)),
            Err(cause) => Err(cause),
        };
        drop(held);
        let remove =
            LocalCommand { words: ["rm", "-f", &path].map(String::from).into(), ..LocalCommand::default() };
        let _ = self.local.run(&remove, &|_| {}).await;
        read?.map(SecretBytes::new).ok_or_else(|| failed("it wrote no archive"))
    }

    async fn run(&self, words: &[&str]) -> Result<String, Cause> {
        let program = self.local.companion(PROGRAM);
        let words = [program.as_str()].into_iter().chain(words.iter().copied()).map(Into::into).collect();
        let command = LocalCommand { words, ..LocalCommand::default() };
        let output = self.local.run(&command, &|_| {}).await.map_err(|reason| failed(&reason))?;
        if !output.success() {
            return Err(failed(output.stderr.trim().trim_start_matches("Error: ")));
        }
        Ok(output.stdout.trim().to_owned())
    }
}

fn failed(reason: &str) -> Cause {
    Cause::Other {
        reason: format!("can't make the image of Bowline's own proxy: {reason}"),
        hint: Some(format!(
            "install `{PROGRAM}` next to `bowline` or on PATH, or choose Kamal's proxy: `proxy: {{run: {{version: v0.9.2}}}}`"
        )),
    }
}
