//! The SSH agent: its keys and signatures.

use std::path::Path;
use std::time::Duration;

use russh::Signer;
use russh::keys::agent::client::AgentClient;
use russh::keys::agent::{AgentIdentity, AgentSessionBinding};
use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::Encode;
use russh::keys::ssh_key::{self, private::KeypairData};
use russh::keys::{Certificate, HashAlg, PrivateKey, PublicKey};
use tokio::net::UnixStream;

use crate::budget::Pause;

pub(crate) struct Agent {
    client: AgentClient<UnixStream>,
    identities: Vec<AgentIdentity>,
    /// While a signature is pending, the agent may be asking its user for confirmation.
    signing: Pause,
}

impl Agent {
    /// Connects to the agent and lists its keys. The error says why the agent can't be used.
    pub(crate) async fn open(
        socket: &Path,
        binding: Option<&AgentSessionBinding>,
        limit: Duration,
    ) -> Result<Self, String> {
        let open = async {
            let mut client = AgentClient::connect_uds(socket).await?;
            // An agent lists destination-constrained keys only to a bound session. An agent without that extension
            // refuses or hangs up, so connect again.
            if let Some(binding) = binding
                && client.bind_session(binding, false).await.is_err()
            {
                client = AgentClient::connect_uds(socket).await?;
            }
            let identities = client.request_identities().await?;
            Ok::<_, russh::keys::Error>((client, identities))
        };
        match tokio::time::timeout(limit, open).await {
            Ok(Ok((client, identities))) => Ok(Self { client, identities, signing: Pause::default() }),
            Ok(Err(e)) => Err(format!("the agent at {} can't be used: {e}", socket.display())),
            Err(_) => Err(format!(
                "the agent at {} did not respond within {} s (`timeouts: {{agent: SECONDS}}` raises the limit)",
                socket.display(),
                limit.as_secs_f32()
            )),
        }
    }

    pub(crate) fn identities(&self) -> &[AgentIdentity] {
        &self.identities
    }

    pub(crate) fn holds(&self, key: &PublicKey) -> bool {
        self.identities.iter().any(|held| held.public_key().key_data() == key.key_data())
    }

    pub(crate) fn certificates(&self, key: &PublicKey) -> impl Iterator<Item = &Certificate> {
        self.identities.iter().filter_map(|held| match held {
            AgentIdentity::Certificate { certificate, .. } if certificate.public_key() == key.key_data() => {
                Some(certificate)
            }
            _ => None,
        })
    }

    pub(crate) fn signer(&mut self) -> (AgentSigner<'_>, &Pause) {
        self.signing = Pause::default();
        let Self { client, identities, signing } = self;
        (AgentSigner { client, identities, signing }, signing)
    }
}

pub(crate) struct AgentSigner<'a> {
    client: &'a mut AgentClient<UnixStream>,
    identities: &'a [AgentIdentity],
    signing: &'a Pause,
}

impl Signer for AgentSigner<'_> {
    type Error = russh::AgentAuthError;

    async fn auth_sign(
        &mut self,
        key: &AgentIdentity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, Self::Error> {
        // The agent doesn't hold a certificate that was read from a file, only its key.
        let plain = match key {
            AgentIdentity::Certificate { certificate, .. } if !self.holds(certificate) => {
                Some(AgentIdentity::from(key.public_key().into_owned()))
            }
            _ => None,
        };
        self.signing.during(self.client.auth_sign(plain.as_ref().unwrap_or(key), hash, data)).await
    }
}

impl AgentSigner<'_> {
    fn holds(&self, wanted: &Certificate) -> bool {
        self.identities.iter().any(|held| match held {
            AgentIdentity::Certificate { certificate, .. } => certificate == wanted,
            AgentIdentity::PublicKey { .. } => false,
        })
    }
}

pub(crate) struct FileSigner<'a>(pub(crate) &'a PrivateKey);

impl Signer for FileSigner<'_> {
    type Error = russh::AgentAuthError;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        mut data: Vec<u8>,
    ) -> Result<Vec<u8>, Self::Error> {
        let signature = match (self.0.key_data(), hash) {
            (KeypairData::Rsa(pair), Some(_)) => (pair, hash).try_sign(&data),
            _ => self.0.try_sign(&data),
        };
        let signature = signature.map_err(|e| russh::keys::Error::from(ssh_key::Error::from(e)))?;
        let mut encoded = Vec::new();
        signature.encode(&mut encoded).map_err(russh::keys::Error::from)?;
        encoded.encode(&mut data).map_err(russh::keys::Error::from)?;
        Ok(data)
    }
}
