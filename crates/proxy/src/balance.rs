//! Which target gets a request: round robin over the healthy ones, readers for reads.
