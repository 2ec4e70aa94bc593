//! The agent: which keys it holds, and its signatures.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use russh::Signer;
use russh::keys::agent::client::AgentClient;
use russh::keys::agent::{AgentIdentity, AgentSessionBinding};
use russh::keys::{HashAlg, PublicKey};
use tokio::net::UnixStream;

/// A connection to the agent.
pub(crate) struct Agent {
    client: AgentClient<UnixStream>,
    keys: Vec<PublicKey>,
    /// Whether a signature is being waited for: the agent may be asking its owner.
    signing: AtomicBool,
}

impl Agent {
    /// Asks the agent what it holds. The error says why it can't be used.
    pub(crate) async fn open(
        socket: &Path,
        binding: Option<&AgentSessionBinding>,
        limit: Duration,
    ) -> Result<Self, String> {
        let open = async {
            let mut client = AgentClient::connect_uds(socket).await?;
            // Keys that are bound to destinations are only shown to a bound session. Agents that know
            // nothing of it say no, or hang up.
            if let Some(binding) = binding
                && client.bind_session(binding, false).await.is_err()
            {
                client = AgentClient::connect_uds(socket).await?;
            }
            let identities = client.request_identities().await?;
            Ok::<_, russh::keys::Error>((client, identities))
        };
        match tokio::time::timeout(limit, open).await {
            Ok(Ok((client, identities))) => {
                let keys = identities.into_iter().filter_map(|identity| match identity {
                    AgentIdentity::PublicKey { key, .. } => Some(key),
                    AgentIdentity::Certificate { .. } => None,
                });
                Ok(Self { client, keys: keys.collect(), signing: AtomicBool::new(false) })
            }
            Ok(Err(e)) => Err(format!("the agent at {} is of no use: {e}", socket.display())),
            Err(_) => Err(format!(
                "the agent at {} gave no answer within {} s (`timeouts: {{agent: SECONDS}}` gives it more)",
                socket.display(),
                limit.as_secs_f32()
            )),
        }
    }

    pub(crate) fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    pub(crate) fn holds(&self, key: &PublicKey) -> bool {
        self.keys.iter().any(|held| held.key_data() == key.key_data())
    }

    /// The signer, and the flag that is up while it signs.
    pub(crate) fn signer(&mut self) -> (AgentSigner<'_>, &AtomicBool) {
        (AgentSigner { client: &mut self.client, signing: &self.signing }, &self.signing)
    }
}

/// Signs with a key of the agent.
pub(crate) struct AgentSigner<'a> {
    client: &'a mut AgentClient<UnixStream>,
    signing: &'a AtomicBool,
}

impl Signer for AgentSigner<'_> {
    type Error = russh::AgentAuthError;

    async fn auth_sign(
        &mut self,
        key: &AgentIdentity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, Self::Error> {
        self.signing.store(true, Ordering::Relaxed);
        let signed = self.client.auth_sign(key, hash, data).await;
        self.signing.store(false, Ordering::Relaxed);
        signed
    }
}
