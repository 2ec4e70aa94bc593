//! Pages for answers that the proxy itself gives.
