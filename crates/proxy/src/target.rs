//! A target: its state and its requests in flight.
