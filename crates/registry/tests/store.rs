//! Tests that images enter a store whole and checked, blobs are stored once, and unneeded ones are deleted.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bowline_registry::{Digest, Error, Image, Store};
use common::*;
use serde_json::json;
use tempfile::TempDir;

fn blobs(directory: &TempDir) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory.path().join("store/blobs/sha256"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

fn platforms(image: &Image) -> Vec<String> {
    image.platforms().map(ToString::to_string).collect()
}

/// The error from taking this layout.
fn refused(files: &Files) -> String {
    let (_directory, store) = store();
    take(&store, files).map(|image| image.root().digest).unwrap_err().to_string()
}

fn refused_archive(archive: &[u8]) -> String {
    let (directory, store) = store();
    let error = store.take_archive(archive, NAME).map(|image| image.root().digest).unwrap_err().to_string();
    assert_eq!(store.images().unwrap(), []);
    let left = fs::read_dir(directory.path().join("store/incoming")).unwrap().count();
    assert_eq!(left, 0, "what was unpacked is deleted");
    error
}

#[test]
fn a_layout_is_taken_as_it_is_and_opened_again() {
    let (directory, store) = store();
    let mut files = Files::default();
    let image = files.image(&[&layer(1, 5000), &layer(2, 5000)], true, "amd64");
    let image = take(&store, &files.clone().roots(&[image])).unwrap();
    assert_eq!(platforms(&image), ["linux/amd64"]);
    assert_eq!(image.parts().count(), 4);
    assert_eq!(blobs(&directory).len(), 4);
    for (digest, size) in image.parts() {
        let bytes = fs::read(directory.path().join("store/blobs/sha256").join(digest.hex())).unwrap();
        assert_eq!((Digest::of(&bytes), bytes.len() as u64), (*digest, size));
    }
    let again = store.image(NAME).unwrap();
    assert_eq!(again.root(), image.root());
    assert!(again.parts().eq(image.parts()));
    assert!(matches!(store.image("localhost:5000/app:v2"), Err(Error::Unknown(_))));
}

#[test]
fn the_store_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (directory, store) = store();
    let mut files = Files::default();
    let image = files.image(&[&layer(1, 10)], true, "amd64");
    take(&store, &files.roots(&[image])).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory.path().join("store/blobs/sha256")), 0o700);
    for blob in blobs(&directory) {
        assert_eq!(mode(&blob), 0o600);
    }
}

#[test]
fn a_blob_is_stored_once_and_what_nothing_needs_is_deleted() {
    let (directory, store) = store();
    let (base, first, second) = (layer(1, 5000), layer(2, 5000), layer(3, 5000));
    let take = |name: &str, layers: &[&[u8]]| {
        let mut files = Files::default();
        let image = files.image(layers, true, "amd64");
        let layout = TempDir::new().unwrap();
        files.roots(&[image]).write(layout.path());
        store.take_layout(layout.path(), name).unwrap()
    };
    let one = take("app:v1", &[&base, &first]);
    let two = take("app:v2", &[&base, &second]);
    assert_eq!(blobs(&directory).len(), 7, "two manifests, two configurations, three layers");
    assert_eq!(store.collect().unwrap().unwrap().blobs, 0);
    store.forget("app:v1").unwrap();
    let collected = store.collect().unwrap().unwrap();
    assert_eq!(collected.blobs, 3);
    let shared: BTreeSet<&Digest> = two.parts().map(|(digest, _)| digest).collect();
    let gone = one.parts().filter(|(digest, _)| !shared.contains(digest)).map(|(_, size)| size).sum::<u64>();
    assert_eq!(collected.bytes, gone);
    store.image("app:v2").unwrap();
    let names: Vec<String> = store.images().unwrap().into_iter().map(|kept| kept.name).collect();
    assert_eq!(names, ["app:v2"]);
}

#[test]
fn nothing_is_deleted_while_another_process_uses_the_store() {
    let (directory, store) = store();
    let mut files = Files::default();
    let image = files.image(&[&layer(1, 10)], true, "amd64");
    take(&store, &files.roots(&[image])).unwrap();
    store.forget(NAME).unwrap();
    let other = Store::open(&directory.path().join("store")).unwrap();
    assert_eq!(store.collect().unwrap(), None);
    assert_eq!(blobs(&directory).len(), 3);
    drop(other);
    assert_eq!(store.collect().unwrap().unwrap().blobs, 3);
    assert_eq!(blobs(&directory).len(), 0);
}

#[test]
fn what_a_process_that_died_was_writing_is_deleted() {
    let (directory, store) = store();
    let half = directory.path().join("store/incoming/half");
    fs::write(&half, "half").unwrap();
    store.collect().unwrap().unwrap();
    assert!(!half.exists());
}

#[test]
fn a_damaged_blob_is_found_and_taken_again() {
    let (directory, store) = store();
    let mut files = Files::default();
    let image = files.image(&[&layer(1, 5000)], true, "amd64");
    let files = files.roots(&[image]);
    let image = take(&store, &files).unwrap();
    for damage in ["flip", "cut", "gone"] {
        for blob in blobs(&directory) {
            let bytes = fs::read(&blob).unwrap();
            match damage {
                "flip" => fs::write(&blob, [&[bytes[0] ^ 1], &bytes[1..]].concat()).unwrap(),
                "cut" => fs::write(&blob, &bytes[1..]).unwrap(),
                _ => fs::remove_file(&blob).unwrap(),
            }
            let hex = blob.file_name().unwrap().to_str().unwrap();
            // A store trusts blobs that it wrote itself, so the check needs a new one.
            let store = Store::open(&directory.path().join("store")).unwrap();
            match store.image(NAME) {
                Err(Error::Missing(digest)) => assert_eq!(digest.hex(), hex),
                other => panic!("{damage} {hex}: {other:?}"),
            }
            assert_eq!(take(&store, &files).unwrap().root(), image.root());
            assert_eq!(fs::read(&blob).unwrap(), bytes);
        }
    }
}

#[test]
fn an_index_is_taken_with_every_platform_that_is_whole() {
    let mut files = Files::default();
    let shared = layer(0, 3000);
    let amd = files.image(&[&shared, &layer(1, 3000)], true, "amd64");
    let mut arm_only = Files::default();
    let arm = arm_only.image(&[&shared, &layer(2, 3000)], true, "arm64");
    let index = files.index(&[amd, arm]);

    let (_directory, of_one) = store();
    let image = take(&of_one, &files.clone().roots(std::slice::from_ref(&index))).unwrap();
    assert_eq!(platforms(&image), ["linux/amd64"]);
    assert_eq!(image.root().digest.to_string(), index["digest"].as_str().unwrap());

    let (_directory, of_both) = store();
    files.0.extend(arm_only.0);
    let image = take(&of_both, &files.roots(&[index])).unwrap();
    assert_eq!(platforms(&image), ["linux/amd64", "linux/arm64"]);
}

#[test]
fn an_index_without_a_whole_image_is_refused() {
    let mut files = Files::default();
    let image = files.image(&[&layer(1, 3000)], true, "amd64");
    let index = files.index(&[image]);
    let gone = Digest::of(&gzip(&layer(1, 3000)));
    files.0.remove(&format!("blobs/sha256/{}", gone.hex())).unwrap();
    let error = refused(&files.roots(&[index]));
    assert_eq!(error, format!("the image is incomplete: it names {gone}, which is missing"));
    let mut files = Files::default();
    let index = files.index(&[]);
    assert!(refused(&files.roots(&[index])).contains("is an index without an image"));
}

#[test]
fn of_several_images_the_one_of_that_name_is_taken() {
    let mut files = Files::default();
    let mut roots = Vec::new();
    for (seed, name) in
        [(1, "docker.io/library/other:v1"), (2, "localhost:5000/app:latest,localhost:5000/app:v1")]
    {
        let mut root = files.image(&[&layer(seed, 100)], true, "amd64");
        root["annotations"] = json!({ "io.containerd.image.name": name });
        roots.push(root);
    }
    let (directory, store) = store();
    let image = take(&store, &files.clone().roots(&roots)).unwrap();
    assert_eq!(json!(image.root().digest), roots[1]["digest"]);
    files.roots(&roots).write(directory.path());
    let image = store.take_layout(directory.path(), "other:v1").unwrap();
    assert_eq!(json!(image.root().digest), roots[0]["digest"]);
    let error = store.take_layout(directory.path(), "third:v1").unwrap_err().to_string();
    let names = "docker.io/library/other:v1, localhost:5000/app:latest, localhost:5000/app:v1";
    assert_eq!(error, format!("the source has several images and none is named third:v1; it has {names}"));
}

#[test]
fn a_source_that_lies_is_refused() {
    let sound = |layers: &[&[u8]]| {
        let mut files = Files::default();
        let image = files.image(layers, true, "amd64");
        files.roots(&[image])
    };
    let one = layer(1, 3000);
    let hex = Digest::of(&gzip(&one)).hex();

    let mut files = sound(&[&one]);
    files.file(&hex)[9] ^= 1;
    assert!(refused(&files).starts_with(&format!("sha256:{hex} is damaged: its content has the digest")));
    let mut files = sound(&[&one]);
    files.file(&hex).truncate(100);
    assert!(
        refused(&files).starts_with(&format!("sha256:{hex} is damaged: it has 100 bytes and should have"))
    );
    let mut files = sound(&[&one]);
    files.file(&hex).push(0);
    assert!(refused(&files).starts_with(&format!("sha256:{hex} is damaged: it has more than the")));
    let mut files = sound(&[&one]);
    files.0.remove(&format!("blobs/sha256/{hex}"));
    assert!(refused(&files).contains("is incomplete"));

    let mut files = sound(&[&one]);
    *files.file("index.json") = String::from_utf8(files.file("index.json").clone())
        .unwrap()
        .replace("sha256:", "sha256:../../")
        .into_bytes();
    assert!(refused(&files).contains("is not a digest"));
    let mut files = sound(&[&one]);
    *files.file("index.json") = vec![b' '; 5 * 1024 * 1024];
    assert!(refused(&files).contains("index.json has more than 4194304 bytes"));
    assert!(refused(&Files::default()).contains("is not an OCI layout: it has no index.json"));
    assert!(refused(&Files::default().roots(&[])).contains("names no image"));

    let mut files = Files::default();
    let huge = files.blob(MANIFEST, &vec![b' '; 5 * 1024 * 1024]);
    assert!(refused(&files.roots(&[huge])).contains("has 5242880 bytes; the limit is 4194304"));
    let mut files = Files::default();
    let blob = files.blob("text/html", b"<html>");
    assert!(
        refused(&files.roots(&[blob])).contains("has the media type \"text/html\", which is not an image's")
    );
    let mut files = Files::default();
    let mut disguised = files.image(&[&one], true, "amd64");
    disguised["mediaType"] = json!("application/vnd.docker.distribution.manifest.v2+json");
    assert!(refused(&files.roots(&[disguised])).contains("but its descriptor says"));
    let mut files = Files::default();
    let mut index = files.image(&[&one], true, "amd64");
    for _ in 0..6 {
        index = files.index(&[index]);
    }
    assert!(refused(&files.roots(&[index])).contains("is nested too deeply in other indexes"));
}

#[test]
fn only_plain_files_of_a_layout_are_read() {
    let (directory, store) = store();
    let mut files = Files::default();
    let image = files.image(&[&layer(1, 10)], true, "amd64");
    files.roots(&[image]).write(directory.path());
    let blob = directory.path().join("blobs/sha256").join(Digest::of(&gzip(&layer(1, 10))).hex());
    fs::rename(&blob, directory.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(directory.path().join("elsewhere"), &blob).unwrap();
    let error = store.take_layout(directory.path(), NAME).unwrap_err().to_string();
    assert!(error.ends_with("is not a plain file"), "{error}");
}

/// The image's layers, uncompressed, as a server would get them.
fn unpacked_layers(directory: &TempDir, image: &Image) -> Vec<Vec<u8>> {
    let read = |digest: &str| {
        let digest: Digest = digest.parse().unwrap();
        fs::read(directory.path().join("store/blobs/sha256").join(digest.hex())).unwrap()
    };
    let manifest: serde_json::Value =
        serde_json::from_slice(&read(&image.root().digest.to_string())).unwrap();
    let layers = manifest["layers"].as_array().unwrap().iter();
    layers
        .map(|layer| {
            let bytes = read(layer["digest"].as_str().unwrap());
            assert_eq!(layer["size"], bytes.len());
            match layer["mediaType"].as_str().unwrap() {
                LAYER => bytes,
                other => {
                    assert_eq!(other, format!("{LAYER}+gzip"));
                    gunzip(&bytes)
                }
            }
        })
        .collect()
}

#[test]
fn layers_that_docker_saved_are_compressed_once_and_always_the_same() {
    let (one, two) = (vec![7; 100_000], layer(2, 5000));
    let mut new = Files::default();
    let image = new.image(&[&one, &two], false, "amd64");
    for archive in [old_archive(&[NAME], &[&one, &two]).archive(), new.roots(&[image]).archive()] {
        let (directory, first) = store();
        let image = first.take_archive(&*archive, NAME).unwrap();
        assert_eq!(unpacked_layers(&directory, &image), [one.clone(), two.clone()]);
        assert!(image.parts().map(|(_, size)| size).sum::<u64>() < 10_000, "{image:?}");
        let times = |directory: &TempDir| -> Vec<_> {
            let layers = blobs(directory)
                .into_iter()
                .filter(|blob| fs::read(blob).unwrap().starts_with(&[0x1f, 0x8b]));
            layers.map(|blob| blob.metadata().unwrap().modified().unwrap()).collect()
        };
        let before = times(&directory);
        assert_eq!(before.len(), 2);
        let again = first.take_archive(&*archive, NAME).unwrap();
        assert_eq!(again.root(), image.root());
        assert_eq!(times(&directory), before, "no layer is compressed again");
        first.collect().unwrap().unwrap();
        assert_eq!(first.image(NAME).unwrap().root(), image.root());
        let (_elsewhere, second) = store();
        assert_eq!(second.take_archive(&*archive, NAME).unwrap().root(), image.root());
    }
}

#[test]
fn a_damaged_compressed_layer_is_made_again() {
    let archive = old_archive(&[NAME], &[&layer(1, 5000)]).archive();
    let (directory, store) = store();
    let image = store.take_archive(&*archive, NAME).unwrap();
    for blob in blobs(&directory) {
        fs::write(&blob, "damaged").unwrap();
    }
    assert_eq!(store.take_archive(&*archive, NAME).unwrap().root(), image.root());
    assert_eq!(unpacked_layers(&directory, &image), [layer(1, 5000)]);
}

#[test]
fn a_layer_that_compression_makes_no_smaller_is_kept_as_it_is() {
    let (noise, text) = (layer(1, 8 << 20), vec![b'a'; 6 << 20]);
    let mut new = Files::default();
    let image = new.image(&[&noise, &text], false, "amd64");
    let old = old_archive(&[NAME], &[&noise, &text]).archive();
    for archive in [old, new.roots(&[image]).archive()] {
        let (directory, store) = store();
        let image = store.take_archive(&*archive, NAME).unwrap();
        let kept = blobs(&directory).iter().filter(|blob| fs::read(blob).unwrap() == noise).count();
        assert_eq!(kept, 1);
        assert!(image.parts().any(|(digest, _)| *digest == Digest::of(&noise)));
        assert_eq!(unpacked_layers(&directory, &image), [noise.clone(), text.clone()]);
        // Blobs that the store has aren't unpacked again, nor are layers that it has in compressed form.
        let again = Store::open(&directory.path().join("store")).unwrap();
        assert_eq!(again.take_archive(&*archive, NAME).unwrap().root(), image.root());
        let blob = directory.path().join("store/blobs/sha256").join(Digest::of(&noise).hex());
        fs::write(&blob, "damaged").unwrap();
        let again = Store::open(&directory.path().join("store")).unwrap();
        assert_eq!(again.take_archive(&*archive, NAME).unwrap().root(), image.root());
        assert!(fs::read(&blob).unwrap() == noise);
        assert_eq!(fs::read_dir(directory.path().join("store/incoming")).unwrap().count(), 0);
    }
}

#[test]
fn a_compressed_layer_in_an_old_archive_stays_as_it_is() {
    let plain = layer(1, 5000);
    let mut files = old_archive(&[NAME], &[&plain]);
    *files.file("/layer.tar") = gzip(&plain);
    let (directory, store) = store();
    let image = store.take_archive(&*files.archive(), NAME).unwrap();
    assert!(image.parts().any(|(digest, _)| *digest == Digest::of(&gzip(&plain))));
    assert_eq!(unpacked_layers(&directory, &image), [plain]);
    *files.file("/layer.tar") = gzip(&layer(2, 5000));
    assert!(refused_archive(&files.archive()).contains("is damaged: its content is not"));
}

#[test]
fn an_archive_with_long_names_and_a_layer_that_is_a_link_is_read() {
    let plain = layer(1, 5000);
    let files = old_archive(&[NAME], &[&plain, &plain]);
    let deep = format!("{}/layer.tar", "deep/".repeat(40));
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in &files.0 {
        match name.as_str() {
            name if name.ends_with("0/layer.tar") => {
                let extensions = [("mtime", b"1.5".as_slice()), ("path", deep.as_bytes())];
                archive.append_pax_extensions(extensions).unwrap();
                add(&mut archive, "short", bytes);
            }
            name if name.ends_with("1/layer.tar") => {
                let mut header = tar::Header::new_gnu();
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                archive.append_link(&mut header, name, format!("../{deep}")).unwrap();
            }
            "manifest.json" => {
                let table = String::from_utf8(bytes.clone()).unwrap();
                let table = table.replace(&format!("{:064}/layer.tar", 0), &deep);
                add(&mut archive, name, table.as_bytes());
            }
            name => add(&mut archive, name, bytes),
        }
    }
    let (directory, store) = store();
    let image = store.take_archive(&*archive.into_inner().unwrap(), NAME).unwrap();
    assert_eq!(unpacked_layers(&directory, &image), [plain.clone(), plain]);
}

#[test]
fn an_archive_that_lies_or_leads_elsewhere_is_refused() {
    let plain = layer(1, 5000);
    let sound = || old_archive(&[NAME], &[&plain]);
    let mut files = sound();
    files.file("/layer.tar")[600] ^= 1;
    assert!(refused_archive(&files.archive()).contains("is damaged: its content has the digest"));
    let mut files = sound();
    let name =
        files.0.keys().find(|name| name.ends_with(".json") && *name != "manifest.json").cloned().unwrap();
    files.file(&name).push(b' ');
    assert!(refused_archive(&files.archive()).contains("is damaged: its content has another digest"));
    let mut files = sound();
    files.0.remove(&name);
    assert!(refused_archive(&files.archive()).contains("which is not in the archive"));
    let mut files = sound();
    let table = json!([{ "Config": name, "RepoTags": null, "Layers": [] }]);
    *files.file("manifest.json") = table.to_string().into_bytes();
    assert!(refused_archive(&files.archive()).contains("names 0 layers, and"));
    for path in ["/etc/passwd", "../../etc/passwd", "a/../../b"] {
        let table = json!([{ "Config": path, "RepoTags": null, "Layers": [] }]);
        *files.file("manifest.json") = table.to_string().into_bytes();
        let error = refused_archive(&files.archive());
        assert_eq!(error, format!("{path} is a path that leads outside the archive"));
    }
    *files.file("manifest.json") = b"[]".to_vec();
    assert!(refused_archive(&files.archive()).contains("names no image"));
    *files.file("manifest.json") = vec![b' '; 5 * 1024 * 1024];
    assert!(refused_archive(&files.archive()).contains("manifest.json has more than 4194304 bytes"));

    let whole = sound().archive();
    for cut in [100, 600, whole.len() / 2] {
        let error = refused_archive(&whole[..cut]);
        assert!(error.contains("cut off") || error.contains("reading the archive"), "{cut}: {error}");
    }
    assert!(refused_archive(b"").contains("is not what `docker save` writes"));
    assert!(refused_archive(&[b'x'; 4096]).contains("reading the archive"));
}

#[test]
fn entries_that_no_image_needs_are_refused() {
    let with = |kind: tar::EntryType, name: &[u8], link: &str| {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        header.as_mut_bytes()[..name.len()].copy_from_slice(name);
        if !link.is_empty() {
            header.set_link_name_literal(link).unwrap();
        }
        header.set_cksum();
        archive.append(&header, std::io::empty()).unwrap();
        for (name, bytes) in &old_archive(&[NAME], &[&layer(1, 10)]).0 {
            add(&mut archive, name, bytes);
        }
        refused_archive(&archive.into_inner().unwrap())
    };
    for name in ["/etc/passwd", "../x", "a/../../x"] {
        let error = with(tar::EntryType::Regular, name.as_bytes(), "");
        assert_eq!(error, format!("{name} is a path that leads outside the archive"));
    }
    for link in ["/etc/passwd", "../x", "../../etc/passwd"] {
        for kind in [tar::EntryType::Symlink, tar::EntryType::Link] {
            let error = with(kind, b"link", link);
            assert_eq!(error, format!("{link} is a path that leads outside the archive"));
        }
    }
    for kind in [tar::EntryType::Fifo, tar::EntryType::Char, tar::EntryType::Block, tar::EntryType::GNUSparse]
    {
        assert!(with(kind, b"device", "").contains("which no image archive needs"), "{kind:?}");
    }
    assert!(with(tar::EntryType::Regular, b"\xff", "").contains("is not valid UTF-8"));
}

#[test]
fn links_that_lead_in_a_circle_are_refused() {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, to) in [("manifest.json", "other"), ("other", "manifest.json")] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        archive.append_link(&mut header, name, to).unwrap();
    }
    let error = refused_archive(&archive.into_inner().unwrap());
    assert_eq!(error, "manifest.json goes through too many links");
}

#[test]
fn a_header_that_promises_gigabytes_of_a_name_is_refused() {
    for kind in [tar::EntryType::GNULongName, tar::EntryType::GNULongLink, tar::EntryType::XHeader] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(8 << 30);
        header.set_cksum();
        let error = refused_archive(&[header.as_bytes().as_slice(), &[b'a'; 4096]].concat());
        assert_eq!(error, "the archive has a name of more than 65536 bytes");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn an_archive_with_any_byte_changed_is_the_same_image_or_refused(at in 0_usize..20_000, to: u8) {
        let mut archive = old_archive(&[NAME], &[&layer(1, 3000), &layer(2, 3000)]).archive();
        let sound = {
            let (_directory, store) = store();
            store.take_archive(&*archive, NAME).unwrap().root().digest
        };
        let at = at % archive.len();
        archive[at] = to;
        let (_directory, store) = store();
        if let Ok(image) = store.take_archive(&*archive, NAME) {
            // The change may be in a tag, a time or a legacy file, which the image doesn't include.
            proptest::prop_assert_eq!(image.root().digest, sound);
        }
    }
}

#[test]
fn a_file_that_a_user_names_may_have_any_of_the_usual_forms() {
    let (one, two) = (layer(1, 3000), layer(2, 100));
    let mut files = Files::default();
    let image = files.image(&[&one, &two], true, "arm64");
    let layout = files.roots(&[image]);
    let old = old_archive(&["other:v7"], &[&one, &two]);
    let directory = TempDir::new().unwrap();
    layout.write(&directory.path().join("layout"));
    for (name, bytes) in [
        ("oci.tar", layout.archive()),
        ("oci.tar.gz", gzip(&layout.archive())),
        ("old.tar", old.archive()),
        ("old.tgz", gzip(&old.archive())),
        ("zstd", vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0]),
        ("text", b"FROM scratch\n".to_vec()),
        ("empty", Vec::new()),
        ("gzipped text", gzip(b"FROM scratch\n")),
        ("cut.tar", layout.archive()[..2000].to_vec()),
        ("cut.tgz", gzip(&layout.archive())[..1500].to_vec()),
        ("files.tar", Files([("a".to_owned(), vec![1])].into()).archive()),
    ] {
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    let take = |name: &str| {
        let (_kept, store) = store();
        let image = store.look_into(&directory.path().join(name), NAME);
        assert_eq!(store.images().unwrap(), [], "nothing is kept by looking");
        image
    };
    for name in ["layout", "oci.tar", "oci.tar.gz", "old.tar", "old.tgz"] {
        let image = take(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let [variant] = image.variants() else { panic!("{name}") };
        let content: Vec<Digest> = variant.layers.iter().map(|layer| layer.content).collect();
        assert_eq!(content, [Digest::of(&one), Digest::of(&two)], "{name}");
        let architecture = if name.contains("old") { "amd64" } else { "arm64" };
        assert_eq!(variant.platform.architecture, architecture, "{name}");
    }
    for (name, fault) in [
        ("absent", "No such file"),
        ("zstd", "the file is compressed with zstd"),
        ("text", "the file is not a tar archive"),
        ("empty", "the file is empty"),
        ("gzipped text", "the file is not a tar archive"),
        ("files.tar", "it has neither index.json nor manifest.json"),
        ("cut.tar", ""),
        ("cut.tgz", ""),
    ] {
        let error = take(name).unwrap_err().to_string();
        assert!(error.contains(fault), "{name}: {error}");
    }
}
