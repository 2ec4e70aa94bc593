//! Waiting for requests in flight, and ending them when their time is up.
