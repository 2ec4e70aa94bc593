//! Hostile input for parser tests, the same in every run.

/// A small generator (splitmix64). The tests need repeatable noise, not good randomness.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.next() % limit).unwrap_or(0)
    }

    /// Makes one to four changes: flips, removes, doubles or inserts a byte, or cuts off the end.
    pub(crate) fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            let byte = u8::try_from(self.below(256)).unwrap_or(0);
            match self.below(5) {
                _ if bytes.is_empty() => bytes.push(byte),
                0 => bytes[at] ^= byte | 1,
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, bytes[at]),
                3 => bytes.insert(at, byte),
                _ => bytes.truncate(at),
            }
        }
    }

    /// A text of fewer than `longest` random pieces.
    pub(crate) fn text(&mut self, pieces: &[&str], longest: usize) -> String {
        (0..self.below(longest)).map(|_| pieces[self.below(pieces.len())]).collect()
    }
}
