//! Compressed answers: negotiation and streaming.
