//! Ways to break a server, each until what it gives is dropped.

use std::time::Duration;

use crate::docker::docker;
use crate::sandbox::{Server, wait_until};

/// Ends dockerd, which is started again, and waits until it has gone.
const RESTART_DOCKER: &str =
    "old=$(pgrep -x dockerd); kill $old; while kill -0 $old 2>/dev/null; do sleep 0.1; done";

/// Where the volume of kamal-proxy is.
const PROXY_DISK: &str = "/var/lib/docker/volumes/kamal-proxy-config/_data";

/// Has sshd forward connections or not, and ends it, which is started again.
fn forwarding(allowed: &str) -> String {
    format!(
        "sed -i 's/^AllowTcpForwarding .*/AllowTcpForwarding {allowed}/' /etc/ssh/sshd_config
         old=$(pgrep -o -x sshd); kill $old; while kill -0 $old 2>/dev/null; do sleep 0.1; done"
    )
}

/// Sets the range from which programs get a port if they take any, and the ports in it that they don't get.
fn ports(range: &str, reserved: &str) -> String {
    format!(
        "cd /proc/sys/net/ipv4 && echo '{range}' >ip_local_port_range && echo '{reserved}' >ip_local_reserved_ports"
    )
}

/// A server that lacks something until this is dropped.
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

/// A disk that is full until this is dropped.
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
    /// Stops everything on it in mid-word, as a cut cable would: connections stay open and nothing answers.
    #[must_use]
    pub fn frozen(&self) -> Broken {
        let paused = docker(&["pause", &self.name]);
        // An attempt that failed may have paused it all the same.
        if !paused.stderr.contains("already paused") {
            paused.ok();
        }
        Broken { server: self.clone() }
    }

    /// Drops every packet of SSH, in and out: the server works on, and connections to it are neither answered nor ended.
    #[must_use]
    pub fn unheard(&self) -> Broken {
        self.run(
            "iptables -I INPUT -p tcp --dport 22 -j DROP && iptables -I OUTPUT -p tcp --sport 22 -j DROP",
        )
        .ok();
        Broken { server: self.clone() }
    }

    /// Takes sshd away: connections are refused, and open ones are cut.
    #[must_use]
    pub fn without_sshd(&self) -> Broken {
        self.run("touch /sandbox/hold-sshd; pkill -x sshd; pkill -x sshd-session; pkill -x sshd-auth; true")
            .ok();
        let broken = Broken { server: self.clone() };
        wait_until("sshd to be gone", Duration::from_secs(5), || self.run("pgrep -x sshd").code == Some(1));
        broken
    }

    /// Takes its Docker Engine away; containers on it are stopped with it.
    #[must_use]
    pub fn without_docker(&self) -> Broken {
        self.run("touch /sandbox/hold-dockerd; pkill -x dockerd; true").ok();
        let broken = Broken { server: self.clone() };
        wait_until("dockerd to be gone", Duration::from_secs(20), || {
            self.run("pgrep -x dockerd").code == Some(1)
        });
        broken
    }

    /// Lets its Docker keep images in containerd's store; those of its own are out of sight meanwhile.
    #[must_use]
    pub fn with_containerd_store(&self) -> Broken {
        let features = r#"{"features": {"containerd-snapshotter": true}}"#;
        self.run(&format!("echo '{features}' >/etc/docker/daemon.json\n{RESTART_DOCKER}")).ok();
        wait_until("Docker with containerd's store", Duration::from_secs(30), || {
            self.run("docker info -f '{{.DriverStatus}}'").stdout.contains("io.containerd.snapshotter")
        });
        Broken { server: self.clone() }
    }

    /// Has its Docker ask a proxy that isn't there for everything that it may ask one for.
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

    /// Has its sshd forward nothing, in no direction.
    #[must_use]
    pub fn without_forwarding(&self) -> Broken {
        self.run(&forwarding("no")).ok();
        let broken = Broken { server: self.clone() };
        wait_until("sshd with another configuration", Duration::from_secs(10), || self.sshd_greets());
        broken
    }

    /// Leaves no port to open for a program that takes any port.
    #[must_use]
    pub fn without_free_ports(&self) -> Broken {
        self.run(&ports("40000 40000", "40000")).ok();
        Broken { server: self.clone() }
    }

    /// Puts what Bowline keeps there on a disk of its own that can be filled, until the server is mended.
    pub fn with_small_disk(&self) {
        self.run("mkdir -p /root/.kamal && mount -t tmpfs -o size=256k,nr_inodes=1000 tmpfs /root/.kamal")
            .ok();
    }

    /// Fills that disk to the last byte.
    #[must_use]
    pub fn without_blocks(&self) -> Filled {
        self.filled("cat /dev/zero >/root/.kamal/ballast", "rm /root/.kamal/ballast")
    }

    /// Lets it hold no further file, nor directory.
    #[must_use]
    pub fn without_inodes(&self) -> Filled {
        self.filled(
            "while mkdir -p /root/.kamal/ballast/$((n=n+1)); do :; done",
            "rm -r /root/.kamal/ballast",
        )
    }

    /// Fills the place where Docker unpacks what it pulls.
    #[must_use]
    pub fn without_room_for_images(&self) -> Filled {
        self.filled(
            "mount -t tmpfs -o size=4k tmpfs /var/lib/docker/tmp; cat /dev/zero >/var/lib/docker/tmp/ballast",
            "umount /var/lib/docker/tmp",
        )
    }

    /// Puts the volume of kamal-proxy on a disk of its own that can be filled, until the server is mended.
    pub fn with_small_proxy_disk(&self) {
        self.run(&format!(
            "docker volume create kamal-proxy-config && mount -t tmpfs -o size=64k tmpfs {PROXY_DISK} && chown 1001:1001 {PROXY_DISK}"
        ))
        .ok();
    }

    /// Fills that disk to the last byte.
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

    /// Gives it busybox's tools and shell in the place of GNU's and dash, as Alpine has them.
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

    /// Takes Docker's command away, as on a server that has none yet, and gives it a `curl` whose installer brings it
    /// back. The engine goes on: it is the command that is looked for.
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

    /// Takes the user `deploy` out of the group `docker`, and gives it a `sudo` that asks for no password.
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

    /// Undoes whatever was broken, and returns when sshd and Docker answer.
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
