//! Sizes in bytes, for display.

/// For example `812 B` or `1.2 MB`.
pub fn bytes(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    #[allow(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut number = bytes as f64 / 1000.0;
    let mut unit = 0;
    // Makes 999,960 bytes 1.0 MB, not 1000.0 kB.
    while number >= 999.95 && unit + 1 < units.len() {
        number /= 1000.0;
        unit += 1;
    }
    format!("{number:.1} {}", units[unit])
}
