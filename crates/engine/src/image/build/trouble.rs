//! Extracts the cause from the output of a failed build, and hints at what to do.

use crate::local::Failed;

/// Removes the progress lines of BuildKit. The summary at the end has the failed step, the last lines of its output, and
/// its place in the Dockerfile.
pub(super) fn explained(failed: Failed) -> Failed {
    let Failed::Because(said) = failed else { return failed };
    let lines: Vec<&str> = said.lines().collect();
    let begins = lines.iter().rposition(|line| step(line).is_some()).map_or(0, |last| last + 1);
    let summary = lines.get(begins..).unwrap_or_default();
    // Without an error line there is no summary, for example because the build was killed. Then the whole output stays.
    let sums_up = summary.iter().any(|line| line.starts_with("ERROR: "));
    Failed::Because(if sums_up { summary.join("\n").trim_end().to_string() } else { said })
}

/// The step number and the text of a progress line such as `#7 DONE 0.3s`.
fn step(line: &str) -> Option<(&str, &str)> {
    let (number, rest) = line.strip_prefix('#')?.split_once(' ')?;
    let digits = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit());
    digits.then_some((number, rest))
}

/// Whether the manifest list of a build on several machines was not created. buildx before 0.14 exits with 0 in this case
/// (<https://github.com/docker/buildx/pull/2424>). The tag then doesn't exist, or belongs to an older image.
pub(super) fn was_not_merged(said: &str) -> bool {
    let mut merging = None;
    said.lines().filter_map(step).any(|(number, rest)| {
        if rest.starts_with("merging manifest list") {
            merging = Some(number);
        }
        merging == Some(number) && rest.starts_with("ERROR")
    })
}

/// Whether the output is a refusal by a registry, directly or through Docker. A file that the build may not read doesn't count.
pub(super) fn is_refused(said: &str) -> bool {
    const WORDS: [&str; 6] = [
        "denied",
        "unauthorized",
        "401 Unauthorized",
        "authentication required",
        "no basic auth credentials",
        "authorization failed",
    ];
    said.lines().any(|line| {
        WORDS.iter().any(|word| line.contains(word)) && !line.to_lowercase().contains("permission denied")
    })
}

pub(super) fn hint(said: &str, cloned: bool) -> Option<String> {
    if is_refused(said) {
        return Some(
            "see `registry:` (server, username, password): does this user have permission to push?".into(),
        );
    }
    let found = USUAL.iter().find(|(words, _)| words.iter().any(|word| said.contains(word)));
    found.map(|(_, hint)| (*hint).to_string()).filter(|hint| cloned || !hint.starts_with("is the file"))
}

/// Parts of common errors, and the hint for each.
const USUAL: [(&[&str], &str); 8] = [
    (
        &[
            "Cache export is not supported for the docker driver",
            "Multi-platform build is not supported",
            "Attestation is not supported for the docker driver",
        ],
        "`builder: {driver: docker-container}` supports it",
    ),
    (
        &["exec format error"],
        "this machine can't run programs of that platform: install emulation (`docker run --privileged --rm \
         tonistiigi/binfmt --install all`), or build there: `builder: {remote: ssh://…}`",
    ),
    (&["no space left on device"], "free space: `docker system df`, `docker builder prune`"),
    (
        &["failed to calculate checksum", "COPY failed", "ADD failed", "failed to compute cache key"],
        "is the file committed? A clone of the last commit is built; `builder: {context: .}` builds the working \
         directory",
    ),
    (
        &["Cannot connect to the Docker daemon"],
        "start Docker, and check that you can use it: `docker version`",
    ),
    (
        &["signed by unknown authority", "server gave HTTP response to HTTPS client"],
        "a builder in a container doesn't use Docker's own settings for the registry: write them to \
         ~/.docker/buildx/buildkitd.default.toml (`[registry.\"HOST:PORT\"]` with `ca = [\"FILE\"]`, or `http = true`), \
         then `bowline build remove`",
    ),
    (
        &["invalid empty ssh agent socket", "SSH_AUTH_SOCK"],
        "`builder: {ssh: default}` needs an SSH agent: start one (`eval \"$(ssh-agent)\"; ssh-add`), or name a key: \
         `ssh: default=${HOME}/.ssh/id_ed25519`",
    ),
    (
        &["unknown flag: --mount", "the --mount option requires BuildKit"],
        "`RUN --mount` needs Docker's buildx plugin: https://docs.docker.com/go/buildx/",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: &str = "\
#0 building with \"default\" instance using docker driver

#7 [2/2] RUN exit 3
#7 0.36 no
#7 ERROR: process \"/bin/sh -c exit 3\" did not complete successfully: exit code: 3
------
 > [2/2] RUN exit 3:
0.36 no
------
Dockerfile:2
--------------------
   2 | >>> RUN exit 3
--------------------
ERROR: failed to solve: exit code: 3";

    fn shown(said: &str) -> String {
        explained(Failed::Because(said.into())).said().to_string()
    }

    #[test]
    fn why_it_failed_is_shown_without_what_went_before() {
        let summary = FAILED.split_once("exit code: 3\n").unwrap().1;
        assert_eq!(shown(FAILED), summary);
        assert!(summary.starts_with("------\n > [2/2]"), "{summary}");
        for whole in
            ["bundle install failed", "it had not ended\n#7 0.36 no\n\nnearly", "#7 ERROR: x\n#8 CANCELED"]
        {
            assert_eq!(shown(whole), whole);
        }
        assert_eq!(explained(Failed::Stopped), Failed::Stopped);
    }

    #[test]
    fn a_manifest_list_that_failed_is_told_from_other_errors() {
        let merging =
            |end: &str| was_not_merged(&format!("#12 DONE 1s\n#14 merging manifest list r/app:v1\n{end}\n"));
        assert!(merging("#14 ERROR: httpReadSeeker: failed open"));
        assert!(!merging("#14 DONE 0.1s"));
        assert!(!merging("#15 ERROR: importing cache: not found"));
        assert!(!was_not_merged("#3 importing cache manifest from r/app-build-cache\n#3 ERROR: not found\n"));
        assert!(
            !was_not_merged("#9 0.1 merging manifest list\n#9 0.1 ERROR"),
            "what the app's own build prints"
        );
    }

    #[test]
    fn usual_mishaps_have_a_hint() {
        for (said, advice) in [
            ("ERROR: Attestation is not supported for the docker driver.", "driver: docker-container"),
            ("ERROR: invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set", "ssh-agent"),
            ("x509: certificate signed by unknown authority", "buildkitd.default.toml"),
            ("push access denied", "registry:"),
        ] {
            assert!(hint(said, true).is_some_and(|hint| hint.contains(advice)), "{said}");
        }
        assert_eq!(hint("bundle install failed", true), None);
        assert_eq!(hint("failed to compute cache key: \"/x\": not found", false), None);
    }
}
