//! Login: tries the configured keys, then the agent's, then the default key files.
//!
//! A server hangs up after a few wrong keys (OpenSSH after six), so configured keys come first and no key is offered
//! twice. A key's certificates come before the key itself. An encrypted key that the agent holds goes through the
//! agent, without asking for the passphrase.

use std::ops::ControlFlow::{self, Break, Continue};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::{Certificate, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};

use crate::agent::{Agent, FileSigner};
use crate::budget::Budget;
use crate::keys::{self, Given, KeyFile, KeyStore};
use crate::session::Client;

#[derive(Debug, Clone, Default)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) named: Vec<PathBuf>,
    pub(crate) defaults: Vec<PathBuf>,
    pub(crate) certificates: Vec<PathBuf>,
    pub(crate) agent: Option<PathBuf>,
    /// Whether to use only those of the agent's keys that are also in key files.
    pub(crate) agent_only_files: bool,
    /// The SSH configuration keyword that forbids keys.
    pub(crate) keyless: Option<&'static str>,
    /// The configured `PKCS11Provider`. Its keys are not offered.
    pub(crate) pkcs11: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) reason: String,
    pub(crate) hint: String,
}

enum Half<'a> {
    Agent(&'a mut Agent),
    File(&'a PrivateKey),
}

impl Half<'_> {
    fn again(&mut self) -> Half<'_> {
        match self {
            Half::Agent(agent) => Half::Agent(agent),
            Half::File(key) => Half::File(key),
        }
    }
}

enum End {
    In,
    /// The connection ended, or the server asked for more than a key.
    Over(String),
}

/// The result of one attempt. `Continue` means that the next attempt may succeed.
type Try<T = ()> = ControlFlow<End, T>;

const NO: Try = Continue(());

fn over<T>(why: impl Into<String>) -> Try<T> {
    Break(End::Over(why.into()))
}

pub(crate) struct Login<'a> {
    pub(crate) handle: &'a mut Handle<Client>,
    pub(crate) credentials: &'a Credentials,
    pub(crate) keys: &'a KeyStore,
    pub(crate) budget: &'a mut Budget,
    offered: Vec<PublicKey>,
    /// The certificates offered so far, in wire format.
    shown: Vec<Vec<u8>>,
    /// The keys tried or skipped, for the error message. The last entry is the current attempt.
    notes: Vec<String>,
    without_key: bool,
    /// The authentication methods that the server last offered.
    takes: Vec<String>,
}

impl<'a> Login<'a> {
    pub(crate) fn new(
        handle: &'a mut Handle<Client>,
        credentials: &'a Credentials,
        keys: &'a KeyStore,
        budget: &'a mut Budget,
    ) -> Self {
        Self {
            handle,
            credentials,
            keys,
            budget,
            offered: Vec::new(),
            shown: Vec::new(),
            notes: Vec::new(),
            without_key: false,
            takes: Vec::new(),
        }
    }

    /// Logs in. Returns the name of the key that worked, for display, or `None` if the server required no key.
    pub(crate) async fn run(mut self) -> Result<Option<String>, Refused> {
        let mut agent = match &self.credentials.agent {
            Some(socket) => {
                match Agent::open(socket, self.handle.agent_session_binding(), self.budget.timeouts.agent)
                    .await
                {
                    Ok(agent) => Some(agent),
                    Err(why) => {
                        self.notes.push(why);
                        None
                    }
                }
            }
            None => None,
        };
        match self.tries(agent.as_mut()).await {
            Break(End::In) => Ok(self.notes.pop().filter(|_| !self.without_key)),
            Continue(()) => Err(self.refused(None)),
            Break(End::Over(why)) => Err(self.refused(Some(why))),
        }
    }

    async fn tries(&mut self, agent: Option<&mut Agent>) -> Try {
        if self.credentials.keyless.is_none() {
            self.keys(agent).await?;
        }
        // Some servers authenticate without a key, such as Tailscale's.
        self.without_key = true;
        let result = self.budget.spend(self.handle.authenticate_none(&self.credentials.user)).await;
        self.judge(result)
    }

    fn note(&mut self, text: String) -> Try {
        self.notes.push(text);
        NO
    }

    async fn keys(&mut self, mut agent: Option<&mut Agent>) -> Try {
        let credentials = self.credentials;
        for given in self.keys.given() {
            self.given(given, agent.as_deref_mut()).await?;
        }
        for path in &credentials.named {
            self.file(path, agent.as_deref_mut(), true).await?;
        }
        if let Some(agent) = agent.as_deref_mut()
            && !credentials.agent_only_files
        {
            self.whole_agent(agent).await?;
        }
        for path in &credentials.defaults {
            self.file(path, agent.as_deref_mut(), false).await?;
        }
        NO
    }

    async fn whole_agent(&mut self, agent: &mut Agent) -> Try {
        let identities = agent.identities().to_vec();
        let count = identities.len();
        self.notes.push(format!("the agent with {count} {}", if count == 1 { "key" } else { "keys" }));
        for identity in identities {
            match identity {
                AgentIdentity::Certificate { certificate, .. } => {
                    self.certificate(certificate, Half::Agent(agent)).await?;
                }
                AgentIdentity::PublicKey { key, .. } => {
                    self.certified(&key, None, Half::Agent(agent)).await?;
                    self.agent_key(agent, &key).await?;
                }
            }
        }
        NO
    }

    /// Tries a key given as text. Never asks for its passphrase: where keys are given as text, no user is present.
    async fn given(&mut self, given: Given, agent: Option<&mut Agent>) -> Try {
        let name = given.name;
        let why = match (given.key, agent) {
            (KeyFile::Ready(key), _) => {
                self.notes.push(name);
                return self.private_key(key, None).await;
            }
            (KeyFile::Public(key) | KeyFile::Token(key) | KeyFile::Encrypted(Some(key)), Some(agent))
                if agent.holds(&key) =>
            {
                return self.through_agent(agent, &key, &name, None).await;
            }
            (KeyFile::Public(_), _) => "a public key whose private key no agent holds",
            (KeyFile::Token(_), _) => "in a security token, and no agent holds it",
            (KeyFile::Encrypted(Some(_)), _) => {
                "encrypted, and no agent holds it: remove its passphrase with `ssh-keygen -p`"
            }
            (KeyFile::Encrypted(None), _) => "encrypted: remove its passphrase with `ssh-keygen -p`",
            (KeyFile::Unusable(why), _) => return self.note(format!("{name} ({why})")),
            (KeyFile::Missing, _) => return NO,
        };
        self.note(format!("{name} ({why})"))
    }

    /// Tries one key file. A missing file is reported only if it is configured (`named`).
    async fn file(&mut self, path: &Path, agent: Option<&mut Agent>, named: bool) -> Try {
        let shown = path.display();
        match (self.keys.read(path).await, agent) {
            (KeyFile::Missing, _) if named => self.note(format!("{shown} (no such file)")),
            (KeyFile::Missing, _) => NO,
            (KeyFile::Unusable(why), _) => self.note(format!("{shown} ({why})")),
            (KeyFile::Ready(key), _) => {
                self.notes.push(shown.to_string());
                self.private_key(key, Some(path)).await
            }
            (KeyFile::Token(key) | KeyFile::Public(key), Some(agent)) if agent.holds(&key) => {
                self.through_agent(agent, &key, &shown.to_string(), Some(path)).await
            }
            (KeyFile::Token(_), _) => self.note(format!(
                "{shown} (in a security token, which only an agent can use: `ssh-add {shown}`)"
            )),
            (KeyFile::Public(_), _) => {
                self.note(format!("{shown} (a public key whose private key no agent holds)"))
            }
            (KeyFile::Encrypted(public), agent) => self.encrypted(path, public, agent).await,
        }
    }

    async fn encrypted(&mut self, path: &Path, public: Option<PublicKey>, agent: Option<&mut Agent>) -> Try {
        let shown = path.display();
        if let Some(public) = &public {
            if self.was_offered(public) {
                return NO;
            }
            if let Some(agent) = agent
                && agent.holds(public)
            {
                return self.through_agent(agent, public, &shown.to_string(), Some(path)).await;
            }
        }
        match self.keys.unlock(path).await {
            Ok(key) => {
                self.notes.push(shown.to_string());
                self.private_key(key, Some(path)).await
            }
            Err(why) => self.note(format!("{shown} ({why})")),
        }
    }

    fn was_offered(&self, key: &PublicKey) -> bool {
        self.offered.iter().any(|offered| offered.key_data() == key.key_data())
    }

    async fn through_agent(
        &mut self,
        agent: &mut Agent,
        key: &PublicKey,
        name: &str,
        path: Option<&Path>,
    ) -> Try {
        self.notes.push(format!("{name} through the agent"));
        self.certified(key, path, Half::Agent(agent)).await?;
        self.agent_key(agent, key).await
    }

    /// Tries the certificates of a key: the one next to its file, the configured ones, and the agent's.
    async fn certified(&mut self, key: &PublicKey, path: Option<&Path>, mut half: Half<'_>) -> Try {
        let files = path.map(keys::beside).into_iter().chain(self.credentials.certificates.iter().cloned());
        let mut certificates = Vec::new();
        for file in files {
            if let Some(certificate) = keys::certificate(&file)
                && certificate.public_key() == key.key_data()
            {
                self.notes.push(file.display().to_string());
                certificates.push(certificate);
            }
        }
        if let Half::Agent(agent) = &half {
            certificates.extend(agent.certificates(key).cloned());
        }
        for certificate in certificates {
            self.certificate(certificate, half.again()).await?;
        }
        NO
    }

    async fn certificate(&mut self, certificate: Certificate, half: Half<'_>) -> Try {
        let Ok(bytes) = certificate.to_bytes() else { return NO };
        if self.shown.contains(&bytes) {
            return NO;
        }
        self.shown.push(bytes);
        let hash = self.hash_for(&PublicKey::from(certificate.public_key().clone())).await?;
        let (user, handle) = (&self.credentials.user, &mut *self.handle);
        let signed = match half {
            Half::Agent(agent) => {
                let (mut signer, signing) = agent.signer();
                let login = handle.authenticate_certificate_with(user, certificate, hash, &mut signer);
                self.budget.spend_unless(signing, login).await
            }
            Half::File(key) => {
                let mut signer = FileSigner(key);
                let login = handle.authenticate_certificate_with(user, certificate, hash, &mut signer);
                self.budget.spend(login).await
            }
        };
        self.judge_signed(signed)
    }

    async fn private_key(&mut self, key: Arc<PrivateKey>, path: Option<&Path>) -> Try {
        self.certified(key.public_key(), path, Half::File(&key)).await?;
        if self.was_offered(key.public_key()) {
            return NO;
        }
        self.offered.push(key.public_key().clone());
        let hash = self.hash_for(key.public_key()).await?;
        let key = PrivateKeyWithHashAlg::new(key, hash);
        let user = &self.credentials.user;
        let result = self.budget.spend(self.handle.authenticate_publickey(user, key)).await;
        self.judge(result)
    }

    async fn agent_key(&mut self, agent: &mut Agent, key: &PublicKey) -> Try {
        if self.was_offered(key) {
            return NO;
        }
        self.offered.push(key.clone());
        let hash = self.hash_for(key).await?;
        let (mut signer, signing) = agent.signer();
        let user = &self.credentials.user;
        let login = self.handle.authenticate_publickey_with(user, key.clone(), hash, &mut signer);
        let signed = self.budget.spend_unless(signing, login).await;
        self.judge_signed(signed)
    }

    fn judge_signed(&mut self, signed: Result<Result<AuthResult, russh::AgentAuthError>, String>) -> Try {
        match signed {
            Ok(Ok(result)) => self.judge(Ok(Ok(result))),
            Ok(Err(e)) if self.handle.is_closed() => over(e.to_string()),
            Ok(Err(e)) => self.note(format!("the agent did not sign ({e})")),
            Err(why) => over(why),
        }
    }

    /// The hash to sign with an RSA key: the best that the server supports. Current sshd versions reject SHA-1.
    async fn hash_for(&mut self, key: &PublicKey) -> Try<Option<HashAlg>> {
        if !key.algorithm().is_rsa() {
            return Continue(None);
        }
        match self.budget.spend(self.handle.best_supported_rsa_hash()).await {
            Ok(Ok(Some(hash))) => Continue(hash),
            Ok(Ok(None)) => Continue(Some(HashAlg::Sha256)),
            Ok(Err(e)) => over(e.to_string()),
            Err(why) => over(why),
        }
    }

    fn judge(&mut self, result: Result<Result<AuthResult, russh::Error>, String>) -> Try {
        match result {
            Ok(Ok(AuthResult::Success)) => Break(End::In),
            Ok(Ok(AuthResult::Failure { partial_success: true, .. })) => {
                over("the server accepted the key and asked for a second factor, which is not supported")
            }
            Ok(Ok(AuthResult::Failure { remaining_methods, .. })) => {
                if remaining_methods.is_empty() && self.handle.is_closed() {
                    return over("the server hung up");
                }
                self.takes = remaining_methods.iter().map(|m| <&str>::from(m).to_owned()).collect();
                NO
            }
            Ok(Err(e)) => over(e.to_string()),
            Err(why) => over(why),
        }
    }

    fn refused(self, over: Option<String>) -> Refused {
        let user = &self.credentials.user;
        let tried = match (self.credentials.keyless, self.notes.as_slice()) {
            (Some(keyword), _) => format!("{keyword} in the SSH configuration allows no keys"),
            (None, []) => "there was no key to try".to_owned(),
            (None, notes) => format!("tried {}", notes.join(", ")),
        };
        let many = self.offered.len() > 4 && over.is_some();
        let over = over.map(|why| format!("; {why}")).unwrap_or_default();
        let hint = if let Some(keyword) = self.credentials.keyless {
            format!(
                "only keys are supported here: allow them with {keyword}, or set `ssh: {{config: false}}`"
            )
        } else if let Some(provider) = &self.credentials.pkcs11 {
            format!(
                "keys of a PKCS11Provider are not offered: give them to an agent with `ssh-add -s {provider}`"
            )
        } else if many {
            "too many keys were offered: set the right one in `ssh: keys`, and `keys_only: true`".to_owned()
        } else if !self.takes.is_empty() && !self.takes.iter().any(|method| method == "publickey") {
            format!("the server accepts no keys, only {}", self.takes.join(", "))
        } else {
            format!(
                "add the public key to ~{user}/.ssh/authorized_keys on the server, or set another key in `ssh: keys`"
            )
        };
        Refused { reason: format!("the login as {user} was refused: {tried}{over}"), hint }
    }
}
