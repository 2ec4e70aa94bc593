//! Warns about a server that the files write in several ways. Bowline takes each way for a server of its own.

use super::super::decode::{Field, Report};
use super::super::given::given;
use super::super::{Ssh, accessory, servers};

pub(super) fn check(root: &Field, ssh: &Ssh, report: &mut Report) {
    let of_roles = servers::hosts(&root.at("servers"));
    let of_accessories = accessory::hosts_of(&root.at("accessories"));
    let mut known: Vec<(String, Field, (String, u16))> = Vec::new();
    for (host, field) in of_roles.into_iter().chain(of_accessories) {
        let target = ssh.target(&host);
        let address = (target.host.to_lowercase(), target.port);
        match known.iter().find(|(_, _, other)| *other == address) {
            Some((other, _, _)) if *other == host => {}
            Some((other, place, _)) => {
                let message = format!("`{}` and `{}` are the same server", given(&host), given(other));
                let warning = field.warning(&message).also(place.span(), "written differently here");
                report.push(
                    warning.help("write it the same way everywhere: Bowline takes them for two servers"),
                );
            }
            None => known.push((host, field, address)),
        }
    }
}
