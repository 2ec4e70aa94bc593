//! The client's address, seen past proxies that are trusted.
