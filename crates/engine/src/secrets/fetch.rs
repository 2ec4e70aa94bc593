//! `secrets fetch`: values from a vault, through its vendor's command.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bowline_config::secret::Secret;
use tokio::sync::OnceCell;

use super::adapters::{Adapter, SignedIn};
pub use super::json::object;
use super::tool::{Tool, Turns};
use super::trouble::Trouble;
use crate::ports::Local;

/// Names and values in the order of the vault's answer.
pub type Fetched = Vec<(String, Secret)>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRequest {
    /// The vault.
    pub(super) adapter: Adapter,
    /// `--account`.
    pub(super) account: Option<String>,
    /// `--from`: a vault, a folder, a project.
    pub(super) from: Option<String>,
    /// The names; for some adapters, an empty list means all.
    pub(super) names: Vec<String>,
    /// More variables for the vendor's command.
    pub(super) env: Vec<(String, Secret)>,
}

impl FetchRequest {
    /// A request, checked as far as possible without the vendor's command.
    ///
    /// # Errors
    /// An unknown adapter, a missing account, invalid names.
    pub fn new(
        adapter: &str,
        account: Option<String>,
        from: Option<String>,
        names: Vec<String>,
    ) -> Result<Self, Trouble> {
        let adapter = Adapter::named(adapter)?;
        let request = Self { adapter, account, from, names, env: Vec::new() };
        if adapter.needs_account() && request.account.is_none() {
            let trouble = Trouble::usage(format!("{} wants `--account`", adapter.vendor().title));
            return Err(trouble);
        }
        adapter.check(&request)?;
        Ok(request)
    }

    /// The names, each below `--from`.
    pub(super) fn prefixed(&self) -> Vec<String> {
        let below = |name: &String| match &self.from {
            Some(from) => format!("{from}/{name}"),
            None => name.clone(),
        };
        self.names.iter().map(below).collect()
    }
}

/// Results by key, each resolved once.
type Memo<K, V> = Mutex<Vec<(K, Arc<OnceCell<Result<V, Trouble>>>)>>;

/// The key of a session: vault, account, variables.
type Login = (Adapter, Option<String>, Vec<(String, Secret)>);

/// Fetches values. Logs in once for each account, and fetches the same values once.
pub struct Fetcher {
    pub(super) turns: Turns,
    environment: Vec<(String, Secret)>,
    sessions: Memo<Login, SignedIn>,
    answers: Memo<FetchRequest, Arc<Fetched>>,
}

impl Fetcher {
    /// Nothing was fetched yet. The vendors' commands are told the destination, as Kamal tells them.
    /// A command may take so long.
    pub fn new(destination: Option<&str>, limit: Duration) -> Self {
        let variable = |destination: &str| ("KAMAL_DESTINATION".to_owned(), Secret::new(destination));
        Self {
            turns: Turns::new(limit),
            environment: destination.map(variable).into_iter().collect(),
            sessions: Memo::default(),
            answers: Memo::default(),
        }
    }

    /// What every command gets in addition to our environment.
    pub(super) fn environment(&self) -> &[(String, Secret)] {
        &self.environment
    }

    /// Fetches, or gives what was fetched before.
    ///
    /// # Errors
    /// The vendor's message, without values.
    pub async fn fetch(&self, local: &dyn Local, request: &FetchRequest) -> Result<Arc<Fetched>, Trouble> {
        let answer = cell(&self.answers, request);
        answer.get_or_init(|| self.fetch_now(local, request)).await.clone()
    }

    async fn fetch_now(&self, local: &dyn Local, request: &FetchRequest) -> Result<Arc<Fetched>, Trouble> {
        let env = self.environment.iter().chain(&request.env).cloned().collect();
        let mut tool = Tool::new(local, &self.turns, request.adapter.vendor(), env);
        request.adapter.check_here(&tool, request)?;
        let login = (request.adapter, request.account.clone(), request.env.clone());
        let session = cell(&self.sessions, &login);
        let log_in = || request.adapter.log_in(&tool, request.account.as_deref());
        let session = session.get_or_init(log_in).await.clone()?;
        tool.use_session(&session);
        request.adapter.fetch(&tool, &session, request).await.map(each_once).map(Arc::new)
    }
}

/// Of two values with the same name, the later one wins, in the position of the first.
fn each_once(fetched: Fetched) -> Fetched {
    let mut once = Fetched::new();
    for (name, value) in fetched {
        match once.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => once.push((name, value)),
        }
    }
    once
}

fn cell<K: Clone + PartialEq, V>(memo: &Memo<K, V>, key: &K) -> Arc<OnceCell<Result<V, Trouble>>> {
    let mut memo = memo.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, cell)) = memo.iter().find(|(known, _)| known == key) {
        return Arc::clone(cell);
    }
    let cell = Arc::new(OnceCell::new());
    memo.push((key.clone(), Arc::clone(&cell)));
    cell
}
