//! The rows that come first in a file of JSON lines.
//!
//! `datasets` infers the columns of such a file from its first 10 MB, and cannot load it if a key first occurs after that. So the
//! first row with each optional key comes before all others; everything else keeps its order.

use crate::mixing::OutputRow;
use crate::sample::KeyBits;

/// The rows to move to the front, in order, given all rows of a file; none if the file starts with them already.
///
/// `keys` returns the optional keys of a row, and `all` has those of all rows: when they are found, the rest is not looked at.
pub(super) fn first_rows(
    rows: impl Iterator<Item = OutputRow>,
    keys: impl Fn(&OutputRow) -> KeyBits,
    all: KeyBits,
) -> Vec<OutputRow> {
    let mut found = 0;
    let mut first = Vec::new();
    let mut is_moved = false;
    for (place, row) in rows.enumerate() {
        if found == all {
            break;
        }
        let new = keys(&row) & !found;
        if new != 0 {
            found |= new;
            is_moved |= place > first.len();
            first.push(row);
        }
    }
    if is_moved { first } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(keys: &[KeyBits]) -> Vec<u32> {
        let rows = (0..keys.len() as u32).map(|row| OutputRow { row, copy: 0 });
        let all = keys.iter().fold(0, |all, keys| all | keys);
        let first = first_rows(rows, |row| keys[row.row as usize], all);
        first.into_iter().map(|row| row.row).collect()
    }

    #[test]
    fn the_first_row_with_each_key_comes_first() {
        assert_eq!(places(&[0, 0, 1, 1, 0]), [2]);
        assert_eq!(places(&[0, 1, 1, 2, 4, 7]), [1, 3, 4]);
        assert_eq!(places(&[1, 0, 0, 2]), [0, 3]);
    }

    #[test]
    fn nothing_moves_if_the_rows_are_there_already() {
        assert_eq!(places(&[]), [0; 0]);
        assert_eq!(places(&[0, 0]), [0; 0]);
        assert_eq!(places(&[1, 0, 1]), [0; 0]);
        assert_eq!(places(&[1, 2, 0, 3]), [0; 0]);
    }
}
