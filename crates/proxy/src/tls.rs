//! TLS: the certificate resolver, the certificate cache and ACME.
