//! The command `image`: writes an image of this program for `docker load`.

use std::path::Path;

use crate::image;

pub(super) fn reference() -> String {
    format!("{}:{}", image::REPOSITORY, image::tag(env!("CARGO_PKG_VERSION")))
}

/// Writes the archive. Returns the image's name and a newline, ready to print.
pub(super) fn of_this_program(output: &str) -> Result<String, String> {
    let path = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let program = std::fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    write(&program, Path::new(output))
}

/// Builds the archive in memory first, so that a program that can't become an image leaves no file behind.
fn write(program: &[u8], output: &Path) -> Result<String, String> {
    let name = reference();
    let mut archive = Vec::with_capacity(program.len() + (64 << 10));
    image::write(program, &name, &mut archive).map_err(|error| error.to_string())?;
    std::fs::write(output, archive).map_err(|error| format!("cannot write {}: {error}", output.display()))?;
    Ok(format!("{name}\n"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::image::testing::elf;

    #[test]
    fn the_archive_is_written_under_the_name_that_is_printed() {
        let home = tempfile::tempdir().unwrap();
        let output = home.path().join("proxy.tar");
        let name = write(&elf(0x3e, 1), &output).unwrap();
        let archive = std::fs::read(&output).unwrap();
        let quoted = format!("\"{}\"", name.trim_end());
        assert!(archive.windows(quoted.len()).any(|bytes| bytes == quoted.as_bytes()), "{name}");
    }

    #[test]
    fn what_cannot_be_written_is_named_and_leaves_no_file() {
        let home = tempfile::tempdir().unwrap();
        let output = home.path().join("proxy.tar");
        assert!(write(&elf(0x3e, 3), &output).unwrap_err().contains("not linked statically"));
        assert!(!output.exists());
        let missing = home.path().join("missing/proxy.tar");
        assert!(write(&elf(0x3e, 1), &missing).unwrap_err().contains("missing/proxy.tar"));
    }
}
