//! Turns the texts of files into trees with source positions, and reports errors at these positions: templates, YAML,
//! secrets files, diagnostics.

pub mod diagnostic;
pub mod dotenv;
pub(crate) mod given;
pub(crate) mod mask;
pub(crate) mod merge;
pub(crate) mod rendered;
pub(crate) mod source;
pub mod template;
