//! The image archive that the proxy runs from.
