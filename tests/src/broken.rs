//! Ways to break a server. Each lasts until the returned guard is dropped.

use std::time::Duration;

use crate::docker::docker;
use crate::sandbox::{Server, wait_until};

/// Ends dockerd and waits until it is gone. The server's init starts it again.
const RESTART_DOCKER: &str =
    "old=$(pgrep -x dockerd); kill $old; while kill -0 $old 2>/dev/null; do sleep 0.1; done";

const PROXY_DISK: &str = "/var/lib/docker/volumes/kamal-proxy-config/_data";

/// Allows or forbids forwarding and ends sshd, which the server's init starts again.
fn forwarding(allowed: &str) -> String {
    format!(
        "sed -i 's/^AllowTcpForwarding .*/AllowTcpForwarding {allowed}/' /etc/ssh/sshd_config
         old=$(pgrep -o -x sshd); kill $old; while kill -0 $old 2>/dev/null; do sleep 0.1; done"
    )
}

/// Sets the range of ports that the kernel assigns to programs, and the reserved ports in it.
fn ports(range: &str, reserved: &str) -> String {
    format!(
        "cd /proc/sys/net/ipv4 && echo '{range}' >ip_local_port_range && echo '{reserved}' >ip_local_reserved_ports"
    )
}

/// A server that is repaired when this is dropped.
#[derive(Debug)]
pub struct Broken {
    server: Server,
}

impl Drop for Broken {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.server.mend();
        }
    }
}

/// A disk that is emptied when this is dropped.
#[derive(Debug)]
pub struct Filled {
    server: Server,
    empty: &'static str,
}

impl Drop for Filled {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.server.run(self.empty).ok();
        }
    }
}

impl Server {
    /// Pauses all processes on the server, like a cut cable: connections stay open and don't respond.
    #[must_use]
    pub fn frozen(&self) -> Broken {
        let paused = docker(&["pause", &self.name]);
        // A failed attempt may have paused it all the same.
        if !paused.stderr.contains("already paused") {
            paused.ok();
        }
        Broken { server: self.clone() }
    }

    /// Drops every SSH packet. The server keeps working, but connections to it neither respond nor end.
    #[must_use]
    pub fn unheard(&self) -> Broken {
        self.run(
            "iptables -I INPUT -p tcp --dport 22 -j DROP && iptables -I OUTPUT -p tcp --sport 22 -j DROP",
        )
        .ok();
        Broken { server: self.clone() }
    }

    /// Stops sshd: new connections are refused and open ones break.
    #[must_use]
    pub fn without_sshd(&self) -> Broken {
        self.run("touch /sandbox/hold-sshd; pkill -x sshd; pkill -x sshd-session; pkill -x sshd-auth; true")
            .ok();
        let broken = Broken { server: self.clone() };
        wait_until("sshd to be gone", Duration::from_secs(5), || self.run("pgrep -x sshd").code == Some(1));
        broken
    }

    /// Stops the Docker Engine, and its containers with it.
    #[must_use]
    pub fn without_docker(&self) -> Broken {
        self.run("touch /sandbox/hold-dockerd; pkill -x dockerd; true").ok();
        let broken = Broken { server: self.clone() };
        wait_until("dockerd to be gone", Duration::from_secs(20), || {
            self.run("pgrep -x dockerd").code == Some(1)
        });
        broken
    }

    /// Makes Docker use containerd's image store. Images in its own store are invisible meanwhile.
    #[must_use]
    pub fn with_containerd_store(&self) -> Broken {
        let features = r#"{"features": {"containerd-snapshotter": true}}"#;
        self.run(&format!("echo '{features}' >/etc/docker/daemon.json\n{RESTART_DOCKER}")).ok();
        wait_until("Docker with containerd's store", Duration::from_secs(30), || {
            self.run("docker info -f '{{.DriverStatus}}'").stdout.contains("io.containerd.snapshotter")
        });
        Broken { server: self.clone() }
    }

    /// Makes Docker use an unreachable HTTP proxy.
    #[must_use]
    pub fn with_proxy(&self) -> Broken {
        let proxies =
            r#"{"proxies": {"http-proxy": "http://127.0.0.1:9", "https-proxy": "http://127.0.0.1:9"}}"#;
        self.run(&format!("echo '{proxies}' >/etc/docker/daemon.json\n{RESTART_DOCKER}")).ok();
        wait_until("Docker with a proxy", Duration::from_secs(30), || {
            self.run("docker info -f '{{.HTTPProxy}}'").stdout.contains("127.0.0.1:9")
        });
        Broken { server: self.clone() }
    }

    /// Makes sshd forbid all forwarding.
    #[must_use]
    pub fn without_forwarding(&self) -> Broken {
        self.run(&forwarding("no")).ok();
        let broken = Broken { server: self.clone() };
        wait_until("sshd with another configuration", Duration::from_secs(10), || self.sshd_greets());
        broken
    }

    /// Reserves all ports that the kernel could assign to a program.
    #[must_use]
    pub fn without_free_ports(&self) -> Broken {
        self.run(&ports("40000 40000", "40000")).ok();
        Broken { server: self.clone() }
    }

    /// Puts the directory `.kamal` on a separate small disk until the server is repaired.
    pub fn with_small_disk(&self) {
        self.run("mkdir -p /root/.kamal && mount -t tmpfs -o size=256k,nr_inodes=1000 tmpfs /root/.kamal")
            .ok();
    }

    /// Fills that disk completely.
    #[must_use]
    pub fn without_blocks(&self) -> Filled {
        self.filled("cat /dev/zero >/root/.kamal/ballast", "rm /root/.kamal/ballast")
    }

    /// Uses up the inodes of that disk, so that no file or directory can be created.
    #[must_use]
    pub fn without_inodes(&self) -> Filled {
        self.filled(
            "while mkdir -p /root/.kamal/ballast/$((n=n+1)); do :; done",
            "rm -r /root/.kamal/ballast",
        )
    }

    /// Fills the directory in which Docker unpacks pulled images.
    #[must_use]
    pub fn without_room_for_images(&self) -> Filled {
        self.filled(
            "mount -t tmpfs -o size=4k tmpfs /var/lib/docker/tmp; cat /dev/zero >/var/lib/docker/tmp/ballast",
            "umount /var/lib/docker/tmp",
        )
    }

    /// Puts the volume of kamal-proxy on a separate small disk until the server is repaired.
    pub fn with_small_proxy_disk(&self) {
        self.run(&format!(
            "docker volume create kamal-proxy-config && mount -t tmpfs -o size=64k tmpfs {PROXY_DISK} && chown 1001:1001 {PROXY_DISK}"
        ))
        .ok();
    }

    /// Fills that disk completely.
    #[must_use]
    pub fn without_room_for_the_proxy(&self) -> Filled {
        self.filled(
            "cat /dev/zero >/var/lib/docker/volumes/kamal-proxy-config/_data/ballast",
            "rm /var/lib/docker/volumes/kamal-proxy-config/_data/ballast",
        )
    }

    fn filled(&self, fill: &str, empty: &'static str) -> Filled {
        self.run(&format!("{{ {fill}; }} 2>/dev/null; true")).ok();
        Filled { server: self.clone(), empty }
    }

    /// Replaces GNU's tools and dash with busybox's, as on Alpine.
    #[must_use]
    pub fn with_busybox(&self) -> Broken {
        self.run(
            "for tool in $(busybox --list); do
               case $tool in
                 sh|ash|awk|base64|cat|chmod|cp|date|dd|find|grep|head|mkdir|mv|rm|rmdir|sed|sort|tail|tar|touch|tr|xargs)
                   ln -sf /bin/busybox /usr/local/bin/$tool ;;
               esac
             done",
        )
        .ok();
        Broken { server: self.clone() }
    }

    /// Removes the `docker` command, as on a server without Docker, and adds a `curl` whose installer restores it.
    /// The engine keeps running, because only the command is checked.
    #[must_use]
    pub fn without_docker_installed(&self) -> Broken {
        self.run(
            r#"mv /usr/bin/docker /sandbox/docker
               printf '%s\n' '#!/bin/sh' 'echo "[ \$(id -u) = 0 ] || root=\"sudo -n\"; \$root mv /sandbox/docker /usr/bin/docker"' >/usr/local/bin/curl
               chmod 755 /usr/local/bin/curl"#,
        )
        .ok();
        Broken { server: self.clone() }
    }

    /// Removes the user `deploy` from the group `docker`, and adds a `sudo` that asks for no password.
    #[must_use]
    pub fn without_group(&self) -> Broken {
        self.run(
            r#"gpasswd -d deploy docker
               install -m 4755 /bin/bash /usr/local/bin/root-bash
               printf '%s\n' '#!/bin/sh' 'PATH=$PATH:/usr/sbin; shift' \
                 'exec /usr/local/bin/root-bash -p -c '"'"'[ "$1" = usermod ] && [ $# = 1 ] || exec "$@"'"'"' root "$@"' >/usr/local/bin/sudo
               chmod 755 /usr/local/bin/sudo"#,
        )
        .ok();
        Broken { server: self.clone() }
    }

    /// Undoes all breakage and returns when sshd and Docker respond.
    ///
    /// # Panics
    /// When they don't within 30 s.
    pub fn mend(&self) {
        let paused = docker(&["inspect", "-f", "{{.State.Paused}}", &self.name]);
        if paused.ok() == "true" {
            docker(&["unpause", &self.name]).ok();
        }
        self.run(&format!(
            "[ ! -e /etc/docker/daemon.json ] || {{ /usr/bin/rm /etc/docker/daemon.json; {RESTART_DOCKER}; }}",
        ))
        .ok();
        if self.run("grep -q '^AllowTcpForwarding no' /etc/ssh/sshd_config").code == Some(0) {
            self.run(&forwarding("yes")).ok();
        }
        self.run(&ports("32768 60999", "")).ok();
        self.run(&format!(
            "/usr/bin/rm -f /sandbox/hold-* /usr/local/bin/{{curl,sudo,root-bash}}
             /usr/bin/find /usr/local/bin -lname /bin/busybox -delete
             iptables -D INPUT -p tcp --dport 22 -j DROP; iptables -D OUTPUT -p tcp --sport 22 -j DROP
             for small in /root/.kamal /var/lib/docker/tmp {PROXY_DISK}; do ! mountpoint -q $small || umount -l $small; done
             [ ! -e /sandbox/docker ] || mv /sandbox/docker /usr/bin/docker
             id -nG deploy | grep -qw docker || usermod -aG docker deploy",
        ))
        .ok();
        wait_until("sshd and Docker on a mended server", Duration::from_secs(30), || {
            self.sshd_greets()
                && self.run("/usr/bin/curl -sf --unix-socket /var/run/docker.sock http://docker/_ping").code
                    == Some(0)
        });
    }
}
