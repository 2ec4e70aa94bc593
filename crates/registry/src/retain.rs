//! Limits the number of images per repository and the size of the store.

use std::collections::BTreeSet;

use crate::error::Error;
use crate::store::{Collected, Kept, Store};
use crate::take;

impl Store {
    /// Goes through all images from the newest to the oldest, and forgets those of the repository beyond its newest
    /// `images`, and those that would take the kept blobs beyond `bytes`. An image with several names counts once.
    /// The newest image of the repository always stays, and so does an image that fits although a newer, larger one
    /// doesn't. Then collects blobs as [`Store::collect`] does.
    pub fn retain(&self, repository: &str, images: usize, bytes: u64) -> Result<Option<Collected>, Error> {
        let mut kept = self.images()?;
        kept.sort_by_key(|kept| std::cmp::Reverse(kept.taken));
        let is_of = |kept: &Kept| kept.name.rsplit_once(':').is_some_and(|(name, _)| name == repository);
        let (mut of_it, mut sum, mut counted) = (Vec::new(), 0, BTreeSet::new());
        for kept in &kept {
            let own = is_of(kept);
            if own && !of_it.contains(&kept.root.digest) {
                of_it.push(kept.root.digest);
            }
            let newest = own && of_it.first() == Some(&kept.root.digest);
            let mut parts = BTreeSet::new();
            take::reach(self, &kept.root, &mut parts)?;
            let new: u64 = parts.difference(&counted).filter_map(|digits| self.length(digits)).sum();
            let too_old = of_it.iter().skip(images.max(1)).any(|old| *old == kept.root.digest);
            if (own && too_old) || (sum + new > bytes && !newest) {
                self.forget(&kept.name)?;
            } else {
                sum += new;
                counted.append(&mut parts);
            }
        }
        self.collect()
    }
}
