//! `ssh`: how servers are reached.

/// `ssh`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh {
    /// `user` (`root`).
    pub user: String,
    /// `port` (22).
    pub port: u16,
    /// `keys`: private key files; `~` is expanded by whoever reads them.
    pub keys: Vec<String>,
    /// `keys_only`: neither the agent nor the default key files are tried.
    pub keys_only: bool,
    /// `proxy`: jump hosts, first hop first.
    pub proxy: Vec<Jump>,
    /// `proxy_command`: a local command whose standard input and output are the connection (`%h`, `%p`, `%r`).
    pub proxy_command: Option<String>,
}

impl Default for Ssh {
    fn default() -> Self {
        Self {
            user: "root".into(),
            port: 22,
            keys: Vec::new(),
            keys_only: false,
            proxy: Vec::new(),
            proxy_command: None,
        }
    }
}

/// One jump host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jump {
    /// The user there (`root` unless given as `user@host`).
    pub user: String,
    /// Name or address.
    pub host: String,
    /// Port (22).
    pub port: u16,
}
