//! `secrets fetch`: gets values from a vault through its vendor's command.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bowline_config::secret::Secret;
use tokio::sync::OnceCell;

use super::adapters::{Adapter, SignedIn};
pub use super::json::object;
use super::tool::{Tool, Turns};
use super::trouble::Trouble;
use crate::ports::Local;

/// Names and values, in the order of the vault's answer.
pub type Fetched = Vec<(String, Secret)>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRequest {
    pub(super) adapter: Adapter,
    pub(super) account: Option<String>,
    /// The argument of `--from`: a vault, a folder, a project.
    pub(super) from: Option<String>,
    /// The names to fetch. For some adapters, none means all.
    pub(super) names: Vec<String>,
    /// Additional variables for the vendor's command.
    pub(super) env: Vec<(String, Secret)>,
}

impl FetchRequest {
    /// Checks the request as far as possible without the vendor's command.
    ///
    /// # Errors
    /// An unknown adapter, a missing account, or invalid names.
    pub fn new(
        adapter: &str,
        account: Option<String>,
        from: Option<String>,
        names: Vec<String>,
    ) -> Result<Self, Trouble> {
        let adapter = Adapter::named(adapter)?;
        let request = Self { adapter, account, from, names, env: Vec::new() };
        if adapter.needs_account() && request.account.is_none() {
            let trouble = Trouble::usage(format!("{} needs `--account`", adapter.vendor().title));
            return Err(trouble);
        }
        adapter.check(&request)?;
        Ok(request)
    }

    /// The names, prefixed with `--from/` if it is given.
    pub(super) fn prefixed(&self) -> Vec<String> {
        let below = |name: &String| match &self.from {
            Some(from) => format!("{from}/{name}"),
            None => name.clone(),
        };
        self.names.iter().map(below).collect()
    }
}

/// Results by key. Each is resolved once.
type Memo<K, V> = Mutex<Vec<(K, Arc<OnceCell<Result<V, Trouble>>>)>>;

/// The key of a session: vault, account, and variables.
type Login = (Adapter, Option<String>, Vec<(String, Secret)>);

/// Fetches values. Logs in once per account, and fetches the same values once.
pub struct Fetcher {
    pub(super) turns: Turns,
    environment: Vec<(String, Secret)>,
    sessions: Memo<Login, SignedIn>,
    answers: Memo<FetchRequest, Arc<Fetched>>,
}

impl Fetcher {
    /// Vendors' commands get the destination in `KAMAL_DESTINATION`, as from Kamal. `limit` is the timeout of each command.
    pub fn new(destination: Option<&str>, limit: Duration) -> Self {
        let variable = |destination: &str| ("KAMAL_DESTINATION".to_owned(), Secret::new(destination));
        Self {
            turns: Turns::new(limit),
            environment: destination.map(variable).into_iter().collect(),
            sessions: Memo::default(),
            answers: Memo::default(),
        }
    }

    /// Variables that every command gets in addition to our environment.
    pub(super) fn environment(&self) -> &[(String, Secret)] {
        &self.environment
    }

    /// Fetches values, or returns those of an earlier equal request.
    pub async fn fetch(&self, local: &dyn Local, request: &FetchRequest) -> Result<Arc<Fetched>, Trouble> {
        let answer = cell(&self.answers, request);
        answer.get_or_init(|| self.fetch_now(local, request)).await.clone()
    }

    async fn fetch_now(&self, local: &dyn Local, request: &FetchRequest) -> Result<Arc<Fetched>, Trouble> {
        let env = self.environment.iter().chain(&request.env).cloned().collect();
        let tool = Tool::new(local, &self.turns, request.adapter.vendor(), env);
        request.adapter.check_here(&tool, request)?;
        let login = (request.adapter, request.account.clone(), request.env.clone());
        let session = cell(&self.sessions, &login);
        let log_in = || request.adapter.log_in(&tool, request.account.as_deref());
        let session = session.get_or_init(log_in).await.clone()?;
        request.adapter.fetch(&tool.within(&session), &session, request).await.map(each_once).map(Arc::new)
    }
}

/// If a name occurs twice, the later value wins and takes the position of the first.
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
