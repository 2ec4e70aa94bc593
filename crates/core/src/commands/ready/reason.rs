//! Explains in one line why a container isn't ready, and what to do about it. Recognizes common causes.

mod refused;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::answer::{Explanation, Unreadable};
use super::{Answer, Failed, State, Why};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReady {
    pub container: String,
    /// One line, including the reason.
    pub summary: String,
    pub hint: Option<String>,
    pub log: Vec<String>,
    /// The exit codes and outputs of its last health checks.
    pub health: Vec<(i64, String)>,
    /// Whether the proxy confirmed that it sends the container no requests.
    pub refused: bool,
}

/// The number of log lines in a report.
const KEPT: usize = 50;

impl Answer {
    /// Explains why a container was not ready within `timeout` seconds.
    pub fn not_ready(self, container: &str, timeout: u64) -> Result<NotReady, Unreadable> {
        let failed = self.failed.ok_or(Unreadable::Missing("@failed"))?;
        let Explanation { reason: summary, hint } =
            Facts { timeout, failed: &failed, states: &self.states }.explain();
        let Failed { why, mut log, health, .. } = failed;
        let log = log.split_off(log.len().saturating_sub(KEPT));
        let refused = why == Why::Refused;
        Ok(NotReady { container: container.into(), summary, hint, log, health, refused })
    }
}

struct Facts<'a> {
    timeout: u64,
    failed: &'a Failed,
    states: &'a [State],
}

impl Facts<'_> {
    /// The last exit code. The container's state has it until Docker restarts the container. After that, it comes from the
    /// events, or else from the states seen before.
    fn code(&self) -> Option<String> {
        if self.failed.why == Why::Exited {
            return self.states.last().map(|state| state.code.to_string());
        }
        let reported = self.failed.ends.split(' ').rev().find_map(|end| end.strip_prefix("die="));
        let seen = || self.states.iter().rev().map(|state| state.code).find(|code| *code != 0);
        reported.map(Into::into).or_else(|| seen().map(|code| code.to_string()))
    }

    fn out_of_memory(&self) -> bool {
        self.failed.ends.split(' ').any(|end| end == "oom")
            || self.states.iter().any(|state| state.out_of_memory)
    }

    fn restarts(&self) -> u32 {
        self.states.last().map_or(0, |state| state.restarts)
    }

    fn explain(&self) -> Explanation {
        let Failed { why, health, log, .. } = self.failed;
        let timeout = self.timeout;
        let ended = self.code();
        let code = ended.as_deref().unwrap_or("0");
        if self.out_of_memory() {
            let ended = self.restarts() > 0 || *why != Why::Timeout;
            let killed = if ended { "the container" } else { "a process in the container" };
            return Explanation::new(
                format!("{killed} was killed: out of memory"),
                "give it more memory (`options: memory:`), or make the app use less when it starts",
            );
        }
        let (reason, hint) = match why {
            Why::Exited => (format!("the container exited with code {code}"), exit_hint(code, log)),
            Why::Restarting => {
                (format!("the container keeps exiting, last with code {code}"), exit_hint(code, log))
            }
            // If the container ran long enough to be checked, the check explains more, unless the container keeps exiting.
            Why::Timeout if self.restarts() > u32::from(!health.is_empty()) && ended.is_some() => {
                let times = self.restarts();
                let reason = format!(
                    "not ready within {timeout} s: the container exited {times}×, last with code {code}"
                );
                (reason, exit_hint(code, log))
            }
            Why::Refused => {
                let Explanation { reason, hint } = refused::explain(self.failed, timeout);
                (reason, hint)
            }
            Why::Gone => ("the container was removed".into(), None),
            Why::Timeout => match health.last() {
                Some((status, said)) => {
                    let said = said.trim();
                    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
                    let reason =
                        format!("not healthy within {timeout} s; the last check ended with {status}{said}");
                    (reason, Some(check_hint(*status, &said, self.failed)))
                }
                None => {
                    let seen = self.states.last().map_or("nothing".into(), ToString::to_string);
                    (format!("not ready within {timeout} s (last seen: {seen})"), None)
                }
            },
        };
        Explanation { reason, hint }
    }
}

/// The hint for a missing command, whether Docker or a shell in the container reports it.
const NOT_FOUND: &str = "the command was not found in the image: see `cmd` and the image's ENTRYPOINT";

fn exit_hint(code: &str, log: &[String]) -> Option<String> {
    let says = |text: &str| log.iter().any(|line| line.to_lowercase().contains(text));
    let hint = if says("exec format error") {
        "the image was built for a different platform from the server's: see `builder: arch:`"
    } else if says("address already in use") || says("eaddrinuse") {
        "the port that the app needs is taken: by another process in the container, or on the server, if `options:` \
         have `network: host`"
    } else {
        match code {
            "126" => {
                "the command can't be executed: is it a program of the image's platform, with its executable bit set?"
            }
            "127" => NOT_FOUND,
            "137" => "it was killed from outside (SIGKILL), often because memory ran out",
            _ => return None,
        }
    };
    Some(hint.into())
}

/// Whether Docker reports that a port is taken, by another container or any other program.
pub fn is_port_taken(said: &str) -> bool {
    said.contains("port is already allocated") || said.contains("address already in use")
}

pub fn start_failed(said: &str) -> Explanation {
    let said = said.trim();
    let reason = format!("Docker could not run the container: {said}");
    Explanation { reason, hint: start_hint(said).map(Into::into) }
}

/// The hint for a container that Docker would not start. Messages depend on the runtime: runc says "exec: \"x\": executable
/// file not found in $PATH", crun says "executable file `x` not found: No such file or directory".
fn start_hint(said: &str) -> Option<&'static str> {
    let said = said.to_lowercase();
    let says = |text: &str| said.contains(text);
    let hint = if is_port_taken(&said) {
        "a fixed port can't be published by the old and the new container at the same time, or if \
         something else on the server uses it: remove `publish` from `options`"
    } else if says("unable to set memory limit") {
        "that is less than any container needs to start: see `options: memory:`"
    } else if says("exec format error") || says("does not match the detected host platform") {
        "the image was built for another platform: see `builder: arch:`"
    } else if says("oci runtime") && says("mount") {
        return None;
    } else if says("executable file")
        || (says("exec: ") || says("oci runtime")) && says("no such file or directory")
    {
        NOT_FOUND
    } else if says("oci runtime")
        && (says("is a directory") || says("not a regular file") || says("permission denied"))
    {
        "the command can't be executed: is it a program, with its executable bit set? See `cmd` and the image's ENTRYPOINT"
    } else if says("no such image") || says("unable to find image") || says("not found") {
        "the image isn't on the server: deploy without filters that skip the pull"
    } else {
        return None;
    };
    Some(hint)
}

fn check_hint(status: i64, said: &str, failed: &Failed) -> String {
    let said = said.to_lowercase();
    if said.contains("cord") && said.contains("stat") && said.contains("permission denied") {
        return "the container can't read its cord: on a server with SELinux its directory needs a label for containers \
                (`chcon -Rt container_file_t .kamal/cords` there); elsewhere, does the app's user, or a security profile in \
                `options`, prevent it? `healthcheck: cord: false` turns the cord off"
            .into();
    }
    let not_there =
        said.contains("not found") && (status == 127 || said.contains("curl") || said.contains("executable"));
    if not_there {
        return "the check's own command isn't in the image: set `healthcheck: cmd:` to one that is".into();
    }
    let hint = if said.contains("404") {
        "the health path returns 404: see `healthcheck: path:`"
    } else if ["301", "302", "307", "308"].iter().any(|code| said.contains(code)) {
        "the health path redirects (to https?): let the app return 200 there without a redirect"
    } else if ["401", "403"].iter().any(|code| said.contains(code)) {
        "the health path requires a login, or refuses the check's host name: let the app accept requests for `localhost` there"
    } else if ["500", "502", "503"].iter().any(|code| said.contains(code)) {
        "the app responds on its health path with an error; see its log"
    } else if let Some(port) = asked(&failed.command) {
        return match port_hint(port, &failed.listening) {
            Some(hint) => hint,
            None if said.contains("refused") && listens(&failed.listening, port) => format!(
                "something now listens on port {port}: a slow start (raise `deploy_timeout`)? Or does the health path \
                 redirect, to https or another port? Then let the app return 200 there without a redirect"
            ),
            None => slow(&said),
        };
    } else {
        return slow(&said);
    };
    hint.into()
}

fn slow(said: &str) -> String {
    if said.contains("refused") {
        "nothing listens on the port the check asks: see `healthcheck: port:`, and that the app listens on 0.0.0.0".into()
    } else {
        "a slow start? raise `deploy_timeout`; otherwise see the log above".into()
    }
}

/// The port on the container's own address that a health command requests.
fn asked(command: &str) -> Option<u16> {
    let places = ["localhost:", "127.0.0.1:", "0.0.0.0:", "[::1]:"];
    places.iter().find_map(|place| {
        let rest = &command[command.find(place)? + place.len()..];
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    })
}

fn sockets(listening: &str) -> impl Iterator<Item = (IpAddr, u16)> {
    listening.split_whitespace().filter_map(socket)
}

fn listens(listening: &str, on: u16) -> bool {
    sockets(listening).any(|(_, port)| port == on)
}

/// The hint if the app listens on another port than the check requests.
fn port_hint(asked: u16, listening: &str) -> Option<String> {
    if listens(listening, asked) {
        return None;
    }
    let mut ports: Vec<u16> = sockets(listening).map(|(_, port)| port).collect();
    ports.sort_unstable();
    ports.dedup();
    match ports.as_slice() {
        [] => None,
        [port] => Some(format!(
            "the app listens on port {port}, and the check asks port {asked}: see `healthcheck: port:`, and the port that \
             the image exposes"
        )),
        ports => {
            let ports = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
            Some(format!(
                "the app listens on the ports {ports}, and the check asks port {asked}: see `healthcheck: port:`"
            ))
        }
    }
}

/// Parses an address like `0100007F:0BB8` in Linux's `/proc/net/tcp`: 32-bit words in the machine's byte order.
fn socket(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word =
        |at: usize| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_le_bytes);
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words: Option<Vec<[u8; 4]>> = (0..4).map(word).collect();
            let bytes: [u8; 16] = words?.concat().try_into().ok()?;
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    // Docker's DNS resolver listens in every container of a network.
    (address != IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11))).then_some((address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURL: &str =
        "CMD-SHELL (curl -f http://localhost:3000/up || exit 1) && (stat /c/cord > /dev/null || exit 1)";

    fn explain(failed: &Failed, states: &[&str], timeout: u64) -> (String, Option<String>) {
        let states: Vec<State> = states.iter().map(|state| state.parse().unwrap()).collect();
        let Explanation { reason, hint } = Facts { timeout, failed, states: &states }.explain();
        (reason, hint)
    }

    fn hint(check: (i64, &str), listening: &str) -> String {
        let failed = Failed {
            health: vec![(check.0, check.1.to_owned())],
            command: CURL.into(),
            listening: listening.into(),
            ..Failed::new(Why::Timeout)
        };
        explain(&failed, &["running starting 0 0 false"], 30).1.unwrap()
    }

    #[test]
    fn what_the_check_says_is_told_with_its_fix() {
        for (check, listening, part) in [
            ((22, "curl: (22) The requested URL returned error: 404"), "", "returns 404"),
            ((22, "The requested URL returned error: 301"), "", "redirects"),
            ((8, "server returned error: HTTP/1.1 403 Forbidden"), "", "requires a login"),
            ((22, "error: 503"), "", "see its log"),
            ((127, "/bin/sh: curl: not found"), "00000000:0BB8", "isn't in the image"),
            ((1, "connect: Connection refused"), "", "nothing listens"),
            (
                (7, "Connection refused"),
                "0B00007F:A0E1 0100007F:1F90",
                "listens on port 8080, and the check asks port 3000",
            ),
            (
                (7, "refused"),
                "00000000:1F90 00000000000000000000000000000000:0050",
                "ports 80, 8080, and the check asks port 3000",
            ),
            // Something listens on the requested port by now.
            ((7, "refused"), "00000000:0BB8", "now listens on port 3000"),
            ((7, "refused"), "", "nothing listens"),
            ((1, "stat: cannot statx '/tmp/kamal-cord/cord': Permission denied"), "00000000:0BB8", "SELinux"),
            ((-1, "Health check exceeded timeout (30s)"), "00000000:0BB8", "a slow start?"),
        ] {
            let hint = hint(check, listening);
            assert!(hint.contains(part), "{check:?}: {hint}");
        }
    }

    #[test]
    fn what_keeps_a_container_from_starting_is_told_with_its_fix_in_the_words_of_either_runtime() {
        let failed =
            "failed to create task for container: failed to create shim task: OCI runtime create failed";
        let unknown = |said: &str| format!("docker: Error response from daemon: {failed}: {said}: unknown.");
        let runc =
            |said: &str| unknown(&format!("runc create failed: unable to start container process: {said}"));
        for (said, part) in [
            (runc("exec: \"server\": executable file not found in $PATH"), "command was not found"),
            (runc("exec: \"/server\": stat /server: no such file or directory"), "command was not found"),
            (
                unknown("executable file `server` not found in $PATH: No such file or directory"),
                "command was not found",
            ),
            (
                unknown("executable file `/server` not found: No such file or directory"),
                "command was not found",
            ),
            (runc("exec: \"/app\": is a directory"), "can't be executed"),
            (runc("exec: \"/app/notes\": permission denied"), "can't be executed"),
            (unknown("the path `/app` is not a regular file: Operation not permitted"), "can't be executed"),
            (unknown("open executable: Permission denied"), "can't be executed"),
            (unknown("exec container process `/app/server`: Exec format error"), "another platform"),
            ("Error response from daemon: No such image: shop:v1".into(), "isn't on the server"),
            ("Unable to find image 'shop:v1' locally\npull access denied".into(), "isn't on the server"),
            ("driver failed: Bind for 0.0.0.0:80 failed: port is already allocated".into(), "a fixed port"),
        ] {
            let hint = start_hint(&said);
            assert!(hint.is_some_and(|hint| hint.contains(part)), "{said}: {hint:?}");
        }
        // The error of a failed mount contains the names of other files.
        let mount =
            "error mounting \"/etc/app\" to rootfs at \"/app\": stat /etc/app: no such file or directory";
        assert_eq!(start_hint(&runc(mount)), None);
        assert_eq!(start_hint("unable to find user app: no matching entries in passwd file"), None);
    }

    #[test]
    fn a_container_that_ended_is_told_by_its_code_and_its_log() {
        let ended = |state: &str, log: &[&str]| {
            let log = log.iter().map(|line| (*line).to_owned()).collect();
            explain(&Failed { log, ..Failed::new(Why::Exited) }, &[state], 30)
        };
        let (summary, hint) = ended("exited none 137 0 true", &[]);
        assert_eq!(summary, "the container was killed: out of memory");
        assert!(hint.unwrap().contains("options: memory:"));
        let (summary, hint) = ended("exited none 1 0 false", &["exec /app/server: exec format error"]);
        assert_eq!(summary, "the container exited with code 1");
        assert!(hint.unwrap().contains("builder: arch:"));
        assert!(
            ended("exited none 1 0 false", &["Error: listen EADDRINUSE: 0.0.0.0:80"])
                .1
                .unwrap()
                .contains("is taken")
        );
        let states = ["restarting none 7 2 false", "running none 0 3 false"];
        let looping = explain(&Failed::new(Why::Restarting), &states, 30);
        assert_eq!(looping.0, "the container keeps exiting, last with code 7");
        assert!(ended("exited none 127 0 false", &[]).1.unwrap().contains("not found in the image"));
        assert_eq!(ended("exited none 1 0 false", &["boom"]).1, None);
    }

    #[test]
    fn how_a_container_ended_is_told_though_docker_has_started_it_again() {
        let late = |states: &[&str], ends: &str| {
            explain(&Failed { ends: ends.into(), ..Failed::new(Why::Timeout) }, states, 3).0
        };
        let running = "running starting 0 2 false";
        assert_eq!(
            late(&[running], "die=7 die=9 "),
            "not ready within 3 s: the container exited 2×, last with code 9"
        );
        assert_eq!(
            late(&["restarting none 7 1 false", running], ""),
            "not ready within 3 s: the container exited 2×, last with code 7"
        );
        let killed = "the container was killed: out of memory";
        assert_eq!(late(&[running], "oom die=137 oom die=137 "), killed);
        assert_eq!(late(&["restarting none 137 2 true", running], ""), killed);
        let part = "a process in the container was killed: out of memory";
        assert_eq!(late(&["running starting 0 0 false"], "oom "), part);
        assert_eq!(late(&[running], ""), "not ready within 3 s (last seen: running starting 0 2 false)");
    }

    #[test]
    fn the_kernels_addresses_are_read() {
        assert_eq!(socket("0100007F:0BB8"), Some((IpAddr::from([127, 0, 0, 1]), 3000)));
        assert_eq!(socket("00000000000000000000000001000000:0050"), Some(("::1".parse().unwrap(), 80)));
        for odd in ["", ":", "0100007F", "0100007F:XYZ", "01:0050", "\u{1f600}\u{1f600}:0050"] {
            assert_eq!(socket(odd), None, "{odd}");
        }
    }
}
