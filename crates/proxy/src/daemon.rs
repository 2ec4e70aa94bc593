//! The daemon: start order, signals, the end.
