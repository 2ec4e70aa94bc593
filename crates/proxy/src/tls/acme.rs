//! Orders certificates from one ACME directory.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Identifier, Key, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use rustls::pki_types::PrivateKeyDer;
use tokio::sync::{Mutex, Semaphore};

use super::cache::Cache;
use super::certificate::Certificate;
use super::challenge::{Challenges, Guard};
use super::client::{Client, with_retry_after};

/// Concurrent orders.
const AT_ONCE: usize = 4;
/// How long the authority may take to validate a challenge, and to sign.
const PATIENCE: Duration = Duration::from_secs(90);

/// An ACME directory, our account there, and the cache for the certificates that it issues.
pub(super) struct Issuer {
    pub(super) cache: Cache,
    directory: String,
    client: Client,
    challenges: Arc<Challenges>,
    account: Mutex<Option<Account>>,
    permits: Semaphore,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issuer({})", self.directory)
    }
}

#[derive(Debug)]
pub(super) struct Failure {
    pub(super) what: String,
    /// When the authority allows the next attempt.
    pub(super) not_before: Option<SystemTime>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

fn failure(what: impl fmt::Display) -> Failure {
    Failure { what: what.to_string(), not_before: None }
}

/// The kind of challenge that proves our control of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    Http,
    Alpn,
}

impl Issuer {
    pub(super) fn new(cache: Cache, directory: &str, client: Client, challenges: Arc<Challenges>) -> Self {
        let directory = if directory.is_empty() { crate::options::ACME_PRODUCTION } else { directory };
        Issuer {
            cache,
            directory: directory.to_owned(),
            client,
            challenges,
            account: Mutex::default(),
            permits: Semaphore::new(AT_ONCE),
        }
    }

    /// Orders a certificate and stores it. `replaces` is the certificate that it renews (RFC 9773).
    pub(super) async fn issue(
        &self,
        name: &str,
        proof: Proof,
        replaces: Option<&Certificate>,
    ) -> Result<Certificate, Failure> {
        let _permit = self.permits.acquire().await.map_err(failure)?;
        let (issued, refused) = with_retry_after(self.order(name, proof, replaces)).await;
        issued.map_err(|e| Failure { not_before: e.not_before.max(refused), ..e })
    }

    async fn order(
        &self,
        name: &str,
        proof: Proof,
        replaces: Option<&Certificate>,
    ) -> Result<Certificate, Failure> {
        let account = self.account().await?;
        let names = [Identifier::Dns(name.to_owned())];
        let mut new_order = NewOrder::new(&names);
        let id = replaces.and_then(identifier);
        if let Some(id) = &id {
            new_order = new_order.replaces(id.clone());
        }
        let mut order = match account.new_order(&new_order).await {
            Ok(order) => order,
            // The certificate was replaced by an unknown order, or this authority doesn't know it.
            Err(instant_acme::Error::Api(_)) if id.is_some() => {
                account.new_order(&NewOrder::new(&names)).await.map_err(api)?
            }
            Err(e) => {
                self.forget_account().await;
                return Err(api(e));
            }
        };
        let _open = self.prove(&mut order, name, proof).await?;
        let policy =
            RetryPolicy::new().initial_delay(Duration::from_millis(500)).backoff(1.5).timeout(PATIENCE);
        match order.poll_ready(&policy).await.map_err(api)? {
            OrderStatus::Ready | OrderStatus::Valid => {}
            _ => return Err(failure(reason(&mut order).await)),
        }
        let key_pem = order.finalize().await.map_err(api)?;
        let chain_pem = order.poll_certificate(&policy).await.map_err(api)?;
        let certificate = Certificate::from_pem(chain_pem.as_bytes(), key_pem.as_bytes()).map_err(failure)?;
        if !certificate.covers(name) {
            return Err(failure("the authority issued a certificate for another name"));
        }
        if let Err(e) = self.cache.store(name, &key_pem, &chain_pem) {
            // The certificate can still be served. Since it isn't stored, the next start will order again.
            crate::log::error("Failed to store certificate", &[("host", &name), ("error", &e)]);
        }
        Ok(certificate)
    }

    /// Opens the challenges and reports to the authority that they are ready.
    async fn prove(&self, order: &mut Order, name: &str, proof: Proof) -> Result<Vec<Guard>, Failure> {
        let mut open = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(api)?;
            match authorization.status {
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                status => return Err(failure(format!("the authorization is {status:?}"))),
            }
            let kind = match proof {
                Proof::Http => ChallengeType::Http01,
                Proof::Alpn => ChallengeType::TlsAlpn01,
            };
            let mut challenge = authorization
                .challenge(kind)
                .ok_or_else(|| failure(format!("the authority does not offer {proof:?} challenges")))?;
            let answer = challenge.key_authorization();
            open.push(match proof {
                Proof::Http => self.challenges.open_http(name, &challenge.token, answer.as_str()),
                Proof::Alpn => self.challenges.open_alpn(name, answer.digest().as_ref()).map_err(failure)?,
            });
            challenge.set_ready().await.map_err(api)?;
        }
        Ok(open)
    }

    async fn account(&self) -> Result<Account, Failure> {
        let mut account = self.account.lock().await;
        if let Some(account) = account.as_ref() {
            return Ok(account.clone());
        }
        let key = match self.cache.account_key().map_err(failure)? {
            Some(key) => key,
            None => {
                let (_, key) = Key::generate_pkcs8().map_err(api)?;
                self.cache
                    .store_account_key(&key)
                    .map_err(|e| failure(format!("can't store the account's key: {e}")))?;
                key
            }
        };
        let pair = (Key::from_pkcs8_der(key.clone_key()).map_err(api)?, PrivateKeyDer::Pkcs8(key));
        let builder = Account::builder_with_http(Box::new(self.client.clone()));
        let (opened, _) = builder.create_from_key(pair, self.directory.clone()).await.map_err(api)?;
        Ok(account.insert(opened).clone())
    }

    /// The account may be gone, or the directory moved, so the next order starts from the beginning.
    async fn forget_account(&self) {
        *self.account.lock().await = None;
    }

    /// When the authority suggests renewal, and how long to rely on that. `None` without a suggestion.
    pub(super) async fn renewal(
        &self,
        certificate: &Certificate,
        fraction: f64,
    ) -> Option<(SystemTime, Duration)> {
        let _permit = self.permits.acquire().await.ok()?;
        let account = self.account().await.ok()?;
        let id = identifier(certificate)?;
        let (info, holds) = account.renewal_info(&id).await.ok()?;
        let (start, end) =
            (SystemTime::from(info.suggested_window.start), SystemTime::from(info.suggested_window.end));
        let width = end.duration_since(start).unwrap_or_default();
        Some((start + width.mul_f64(fraction.clamp(0.0, 1.0)), holds))
    }
}

fn identifier(certificate: &Certificate) -> Option<CertificateIdentifier<'static>> {
    CertificateIdentifier::try_from(certificate.leaf()?).ok().map(CertificateIdentifier::into_owned)
}

fn api(error: instant_acme::Error) -> Failure {
    let limited = |problem: &instant_acme::Problem| {
        problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:rateLimited")
    };
    let not_before = match &error {
        instant_acme::Error::Api(problem) if limited(problem) => {
            SystemTime::now().checked_add(Duration::from_secs(3600))
        }
        _ => None,
    };
    Failure { what: error.to_string(), not_before }
}

/// The authority's error for the challenge that failed.
async fn reason(order: &mut Order) -> String {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { continue };
        if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            return problem.to_string();
        }
    }
    "the authority could not confirm the name".to_owned()
}
