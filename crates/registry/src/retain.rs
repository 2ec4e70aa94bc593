//! How much is kept: so many images of a name, and so many bytes in all.

use std::collections::BTreeSet;

use crate::error::Error;
use crate::store::{Collected, Kept, Store};
use crate::take;

impl Store {
    /// Forgets all but the newest images of a repository, and then the oldest of all until what is left has no more than so many
    /// bytes; deletes their blobs, unless another process uses the store. The newest of the repository always stays.
    ///
    /// # Errors
    /// If something can't be read or deleted.
    pub fn retain(&self, repository: &str, images: usize, bytes: u64) -> Result<Option<Collected>, Error> {
        let mut kept = self.images()?;
        kept.sort_by_key(|kept| std::cmp::Reverse(kept.taken));
        let is_of = |kept: &Kept| kept.name.rsplit_once(':').is_some_and(|(name, _)| name == repository);
        let (mut of_it, mut sum, mut seen) = (0, 0, BTreeSet::new());
        for kept in &kept {
            let own = is_of(kept);
            let newest = own && of_it == 0;
            of_it += usize::from(own);
            let new = self.bytes_of(kept, &mut seen)?;
            if (own && of_it > images.max(1)) || (sum + new > bytes && !newest) {
                self.forget(&kept.name)?;
            } else {
                sum += new;
            }
        }
        self.collect()
    }

    /// The bytes of an image that none of those seen before has.
    fn bytes_of(&self, kept: &Kept, seen: &mut BTreeSet<String>) -> Result<u64, Error> {
        let mut parts = BTreeSet::new();
        take::reach(self, &kept.root, &mut parts)?;
        let new: Vec<String> = parts.into_iter().filter(|digits| seen.insert(digits.clone())).collect();
        Ok(new.iter().filter_map(|digits| self.length(digits)).sum())
    }
}
