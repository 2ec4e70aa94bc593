//! Not a vault: each name's value is the reversed name. For trying out a secrets file, as in Kamal.

use bowline_config::secret::Secret;

use crate::secrets::fetch::{FetchRequest, Fetched};
use crate::secrets::tool::Vendor;

pub(super) const VENDOR: Vendor =
    Vendor { title: "the test adapter", program: "true", version: "", home: "" };

pub(super) fn fetch(request: &FetchRequest) -> Fetched {
    let value =
        |name: &str| -> String { name.replace("LPAREN", "(").replace("RPAREN", ")").chars().rev().collect() };
    request.prefixed().into_iter().map(|name| (name.clone(), Secret::new(value(&name)))).collect()
}
