//! Waits until a container that gets no new requests has answered its open ones.

use super::answer;
use crate::shell::quote;

/// How long to wait if open requests can't be seen, in seconds: only root may look into a container's network namespace.
const BLIND_S: u64 = 5;

/// Decides from the kernel's data about each connection whether a request is open.
const UNDER_WAY: &str = include_str!("drain.awk");

/// Shell lines that wait until the container `$bowline_id` has answered all requests, for at most this many seconds. They
/// print `@drain STATE` ([`super::app::Drained`]), and `@unseen` if it is `blind` for root, which means that a tool is
/// missing. They need [`super::ask::functions`].
pub(crate) fn drain(seconds: u64) -> String {
    format!(
        "bowline_drain={seconds}\nbowline_blind={blind}\nbowline_program={program}\n{drain}",
        blind = seconds.min(BLIND_S),
        program = quote(&program()),
        drain = answer::sent(include_str!("drain.sh")),
    )
}

/// The program without its comments, because every stop sends it.
fn program() -> String {
    let lines = UNDER_WAY.lines().map(|line| line.split(" # ").next().unwrap_or(line).trim());
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    /// Connections as ss prints them. The bool says whether the last request was answered immediately.
    fn under_way(connections: &[(&str, bool)]) -> bool {
        let mut input = String::from("  sl  local_address rem_address   st tx_queue rx_queue\n");
        for (number, (_, prompt)) in connections.iter().enumerate() {
            input.push_str(&format!(
                "   {number}: 030012AC:0BB8 020012AC:{:04X} 01 00000000:00000000 00:00000000 00000000 0 0 7 1 0 20 4 {} 10 -1\n",
                40000 + number,
                30 + u8::from(*prompt),
            ));
        }
        for (number, (text, _)) in connections.iter().enumerate() {
            let (queues, info) = text.split_once(" | ").unwrap();
            input.push_str(&format!(
                "{queues} [::ffff:172.18.0.3]:3000 [::ffff:172.18.0.2]:{} bbr wscale:10,10 rto:208 {info} minrtt:0.1\n",
                40000 + number
            ));
        }
        let mut awk = Command::new("awk")
            .args(["-v", "ports=3000 9000 ", &program()])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        awk.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        match awk.wait().unwrap().code() {
            Some(0) => true,
            Some(1) => false,
            code => panic!("awk ended with {code:?}"),
        }
    }

    #[test]
    fn a_request_without_an_answer_is_under_way() {
        assert!(under_way(&[(
            "0 0 | data_segs_out:1 data_segs_in:2 lastsnd:1332 lastrcv:1328 lastack:1328",
            false
        )]));
        assert!(under_way(&[("18 0 | lastsnd:100 lastrcv:500 lastack:500", true)]), "a request not read yet");
        assert!(
            under_way(&[("0 4096 | lastsnd:100 lastrcv:500 lastack:500", true)]),
            "an answer not sent yet"
        );
    }

    #[test]
    fn a_connection_that_waits_for_its_next_request_is_idle() {
        assert!(!under_way(&[]));
        assert!(!under_way(&[(
            "0 0 | data_segs_out:9 data_segs_in:9 lastsnd:204 lastrcv:208 lastack:204",
            true
        )]));
        assert!(!under_way(&[("0 0 | lastsnd:4744 lastrcv:6744 lastack:4700", false)]));
    }

    /// The request and the answer happen within one tick of the kernel's clock, so the times alone can't order them.
    #[test]
    fn a_request_right_after_an_answer_is_told_from_an_answer_right_after_a_request() {
        let tied = "0 0 | data_segs_out:13 data_segs_in:14 lastsnd:1472 lastrcv:1472 lastack:1472";
        assert!(under_way(&[(tied, false)]));
        assert!(!under_way(&[(tied, true)]), "answered at once");
        let acknowledged = "0 0 | data_segs_out:20 data_segs_in:14 lastsnd:1244 lastrcv:1244 lastack:1200";
        assert!(!under_way(&[(acknowledged, false)]));
        let kept_alive = "0 0 | data_segs_out:20 data_segs_in:14 lastsnd:16244 lastrcv:16244 lastack:1200";
        assert!(
            under_way(&[(kept_alive, false)]),
            "that was a keep-alive probe, not an answer's acknowledgement"
        );
        let even = "0 0 | data_segs_out:2 data_segs_in:2 lastsnd:404 lastrcv:404 lastack:404";
        assert!(!under_way(&[(even, false)]));
        let fresh = "0 0 | data_segs_out:2 data_segs_in:2 lastsnd:8 lastrcv:8 lastack:8";
        assert!(under_way(&[(fresh, true)]), "too fresh to tell");
    }

    #[test]
    fn each_connection_counts_for_itself() {
        let tied = "0 0 | data_segs_out:13 data_segs_in:14 lastsnd:1472 lastrcv:1472 lastack:1472";
        assert!(under_way(&[(tied, true), (tied, false), (tied, true)]));
        assert!(!under_way(&[(tied, true), (tied, true)]));
    }
}
