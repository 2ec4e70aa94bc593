//! The control socket: a small versioned protocol of JSON lines between the commands and the daemon.
