//! Parses request paths.

use crate::digest::Digest;
use crate::name::{is_repository, is_tag};

use super::refusal::Refusal;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// `/v2/`, which clients request to check that this is a registry.
    Version,
    /// A repository and a tag.
    Tag(&'a str, &'a str),
    /// A repository and the manifest's digest.
    Manifest(&'a str, Digest),
    /// A repository and the blob's digest.
    Blob(&'a str, Digest),
}

impl<'a> Route<'a> {
    pub(super) fn of(path: &'a str) -> Result<Self, Refusal> {
        let Some(path) = path.strip_prefix("/v2") else { return Err(Refusal::nothing_here()) };
        let path = match path {
            "" | "/" => return Ok(Self::Version),
            path => path.strip_prefix('/').ok_or_else(Refusal::nothing_here)?,
        };
        let (rest, reference) = path.rsplit_once('/').ok_or_else(Refusal::nothing_here)?;
        let (name, what) = rest.rsplit_once('/').ok_or_else(Refusal::nothing_here)?;
        if !["manifests", "blobs"].contains(&what) {
            return Err(Refusal::nothing_here());
        }
        if !is_repository(name) {
            return Err(Refusal::name_invalid(name));
        }
        match (what, reference.parse()) {
            ("manifests", Ok(digest)) => Ok(Self::Manifest(name, digest)),
            ("manifests", Err(_)) if is_tag(reference) => Ok(Self::Tag(name, reference)),
            (_, Ok(digest)) => Ok(Self::Blob(name, digest)),
            (_, Err(error)) => Err(Refusal::digest_invalid(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_asks_for_one_thing_or_is_refused() {
        let digest = Digest::of(b"x");
        let route =
            |path: &str| Route::of(path).map_err(|refusal| refusal.code()).map(|route| format!("{route:?}"));
        let is = |route: Route<'_>| Ok(format!("{route:?}"));
        assert_eq!(route("/v2"), is(Route::Version));
        assert_eq!(route("/v2/"), is(Route::Version));
        assert_eq!(route("/v2/me/app/manifests/v1"), is(Route::Tag("me/app", "v1")));
        assert_eq!(route(&format!("/v2/app/manifests/{digest}")), is(Route::Manifest("app", digest)));
        assert_eq!(route(&format!("/v2/manifests/blobs/{digest}")), is(Route::Blob("manifests", digest)));
        assert_eq!(route("/v2/app/blobs/v1"), Err("DIGEST_INVALID"));
        assert_eq!(route("/v2/app/blobs/sha256:../../../etc/passwd"), Err("UNSUPPORTED"));
        assert_eq!(route("/v2/app/blobs/.."), Err("DIGEST_INVALID"));
        assert_eq!(route("/v2/app/manifests/.."), Err("DIGEST_INVALID"));
        assert_eq!(route("/v2/../app/manifests/v1"), Err("NAME_INVALID"));
        assert_eq!(route("/v2//manifests/v1"), Err("NAME_INVALID"));
        assert_eq!(route("/v2/%2e%2e/manifests/v1"), Err("NAME_INVALID"));
        for path in
            ["", "/", "/v1/", "/v2x", "/v2/_catalog", "/v2/app/tags/list", "/v2/app/blobs/uploads/", "*"]
        {
            assert_eq!(route(path), Err("UNSUPPORTED"), "{path}");
        }
    }
}
