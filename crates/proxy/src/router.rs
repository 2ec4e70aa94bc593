//! From host and path to a service.
