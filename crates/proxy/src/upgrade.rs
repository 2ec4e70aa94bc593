//! A new binary takes over the listeners of a running one.
