//! The display order of servers, the same in every phase: `10.0.0.9` before `10.0.0.10`. Also what is shown together.

use std::cmp::Ordering;

/// Compares server names, with numbers by value. A user in front of the host is compared last.
pub fn natural(one: &str, other: &str) -> Ordering {
    let address = |name: &'_ str| name.rfind('@').map_or(0, |at| at + 1);
    let (one_address, other_address) = (&one[address(one)..], &other[address(other)..]);
    pieces(one_address).cmp(pieces(other_address)).then_with(|| one.cmp(other))
}

/// Groups items with the same key. Each group stands where its first item did.
pub fn grouped<K: PartialEq, T>(
    items: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> K,
) -> Vec<(K, Vec<T>)> {
    let mut groups: Vec<(K, Vec<T>)> = Vec::new();
    for item in items {
        let key = key(&item);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.push(item),
            None => groups.push((key, vec![item])),
        }
    }
    groups
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Piece<'t> {
    /// The number of digits, and the digits, without leading zeros. Supports any number of digits.
    Number(usize, &'t str),
    Text(&'t str),
}

fn pieces(name: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = name;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let digits = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        rest = after;
        let number = piece.trim_start_matches('0');
        Some(if digits { Piece::Number(number.len(), number) } else { Piece::Text(piece) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_by_their_value() {
        let mut names = ["web10", "10.0.0.100", "10.0.0.9", "web9", "ops@10.0.0.10", "10.0.0.10", "é", "web"];
        names.sort_by(|one, other| natural(one, other));
        assert_eq!(
            names,
            ["10.0.0.9", "10.0.0.10", "ops@10.0.0.10", "10.0.0.100", "web", "web9", "web10", "é"]
        );
    }
}
