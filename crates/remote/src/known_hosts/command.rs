//! `KnownHostsCommand`: a program that prints lines in the format of a known_hosts file.

use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use russh::keys::{HashAlg, PublicKey};

use super::{HostName, unreachable};
use crate::Result;
use crate::local::Group;

#[derive(Debug, Clone)]
pub(crate) struct Command {
    /// The tokens of the destination are already replaced. `%H`, `%I`, `%K`, `%f` and `%t` are replaced when it runs.
    pub(crate) words: Vec<String>,
    pub(crate) limit: Duration,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Asks<'a> {
    /// All keys of the host, to ask the server for one of their types.
    Types,
    Key(&'a PublicKey),
}

impl Command {
    pub(crate) async fn run(&self, name: &HostName, asks: Asks<'_>) -> Result<String> {
        let words: Vec<String> = self.words.iter().map(|word| filled(word, name, asks)).collect();
        let failed = |why: String| {
            unreachable(
                format!("KnownHostsCommand `{}` {why}", words.join(" ")),
                Some("without it a server's host key can't be checked".into()),
            )
        };
        let Some((program, arguments)) = words.split_first() else {
            return Err(failed("is empty".into()));
        };
        let mut command = tokio::process::Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        let output = match tokio::time::timeout(self.limit, Group::output(&mut command)).await {
            Ok(Ok(output)) => output,
            Ok(Err(e)) => return Err(failed(format!("can't be run: {e}"))),
            Err(_) => return Err(failed(format!("did not respond within {} s", self.limit.as_secs_f32()))),
        };
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.trim().lines().last().unwrap_or_default().to_owned();
            return Err(failed(format!("failed ({}): {said}", output.status)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn filled(word: &str, name: &HostName, asks: Asks<'_>) -> String {
    let of_key = |value: fn(&PublicKey) -> String| match asks {
        Asks::Types => "NONE".to_owned(),
        Asks::Key(key) => value(key),
    };
    crate::ssh_config::expand(word, |letter| {
        Some(match letter {
            'H' => name.to_string(),
            'I' => match asks {
                Asks::Types => "ORDER".to_owned(),
                Asks::Key(_) => "HOSTNAME".to_owned(),
            },
            'K' => of_key(|key| key.to_bytes().map(|bytes| BASE64.encode(bytes)).unwrap_or_default()),
            'f' => of_key(|key| key.fingerprint(HashAlg::Sha256).to_string()),
            't' => of_key(|key| key.algorithm().to_string()),
            _ => return None,
        })
    })
}
