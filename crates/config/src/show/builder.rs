//! The builder, shown.

use super::super::Builder;
use super::super::builder::Machine;
use super::Lines;

/// What is built where no `context` is given.
const CLONE: &str = "a clone of the last commit";

pub(super) fn show(builder: &Builder, out: &mut Lines) {
    out.map("builder", |out| {
        out.value("context", builder.context.as_deref().unwrap_or(CLONE));
        out.value("dockerfile", &builder.dockerfile);
        out.option("target", builder.target.as_deref());
        out.list("arch", &builder.arch);
        out.pairs("args", &builder.args);
        out.option("driver", builder.driver.as_deref());
        machine("remote", builder.remote.as_ref(), out);
        match (&builder.local_machine, builder.local) {
            (None, false) => out.raw("local", false),
            (own, _) => machine("local", own.as_ref(), out),
        }
        if let Some(pack) = &builder.pack {
            out.map("pack", |out| {
                out.option("builder", pack.builder.as_deref());
                out.list("buildpacks", &pack.buildpacks);
            });
        }
        if let Some(cache) = &builder.cache {
            out.map("cache", |out| {
                out.option("type", cache.kind.as_deref());
                out.option("options", cache.options.as_deref());
                out.option("image", cache.image.as_deref());
            });
        }
        out.list("secrets", &builder.secrets);
        out.option("ssh", builder.ssh.as_deref());
        out.option("provenance", builder.provenance.as_deref());
        out.given("sbom", builder.sbom);
    });
}

fn machine(key: &str, machine: Option<&Machine>, out: &mut Lines) {
    if let Some(Machine { arch, url }) = machine {
        out.map(key, |out| {
            out.option("arch", arch.as_deref());
            out.option("url", url.as_deref());
        });
    }
}
