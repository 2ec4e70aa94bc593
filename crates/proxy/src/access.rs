//! Who may use a service: basic authentication and allowed addresses.
