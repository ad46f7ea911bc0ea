//! The witness: what the store held when it was last asked, told by a file that the database
//! does not write.
//!
//! A damaged sled database may open without a word and with rows missing, even with none. So each
//! batch also keeps a [`Tally`] inside the database, in the same transaction, and now and then the
//! tally is written to a file beside it. At start the rows are counted: fewer or more than the
//! tally says, or a tally behind the witness, is damage.
//!
//! What it cannot tell: a database that lost its newest batches, whole ones only, since the witness
//! was last written.

use std::{fs, io, path::Path};

use super::{Fail, Tree, disk};

/// Name of the witness in the data directory.
pub(super) const FILE: &str = "witness";

const TREES: usize = Tree::ALL.len();
const BYTES: usize = 8 * (1 + TREES) + 4;

/// How many batches were ever committed, and how many rows each tree holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) commits: u64,
    pub(super) rows: [u64; TREES],
}

impl Tally {
    /// Big-endian numbers with a checksum at the end.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend(self.commits.to_be_bytes());
        for rows in self.rows {
            bytes.extend(rows.to_be_bytes());
        }
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        bytes
    }

    /// `None` if these are not the bytes of a tally.
    pub(super) fn decode(bytes: &[u8]) -> Option<Tally> {
        let (body, sum) = bytes.split_last_chunk::<4>()?;
        if bytes.len() != BYTES || crc32fast::hash(body).to_be_bytes() != *sum {
            return None;
        }
        let number = |bytes: &[u8]| bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        let mut numbers = body.chunks_exact(8).map(number);
        let commits = numbers.next()?;
        let mut rows = [0; TREES];
        for (row, number) in rows.iter_mut().zip(numbers) {
            *row = number;
        }
        Some(Tally { commits, rows })
    }

    /// Checks the database's own tally against the rows that were counted and against the witness.
    /// The error says what is wrong.
    pub(super) fn check(&self, counted: &[u64; TREES], witness: Option<&Tally>) -> Result<(), String> {
        for (tree, (held, found)) in Tree::ALL.iter().zip(self.rows.iter().zip(counted)) {
            if held != found {
                return Err(format!(
                    "the tree {tree} should hold {held} rows and holds {found}"
                ));
            }
        }
        let Some(witness) = witness else {
            return Ok(());
        };
        let (ours, seen) = (self.commits, witness.commits);
        if ours < seen {
            return Err(format!(
                "it ends at change {ours}, but change {seen} was seen in it before"
            ));
        }
        if ours == seen && self.rows != witness.rows {
            return Err("its contents differ from what the witness saw at the same change".into());
        }
        Ok(())
    }

    /// Writes the witness, durably.
    pub(super) fn write(&self, data_dir: &Path) -> io::Result<()> {
        disk::replace(data_dir, FILE, &self.encode())
    }

    /// Reads the witness, if there is one.
    pub(super) fn read(data_dir: &Path) -> Result<Option<Tally>, Fail> {
        let path = data_dir.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => Tally::decode(&bytes)
                .map(Some)
                .ok_or_else(|| Fail::Damaged("its witness is not readable".into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Fail::io(path.display(), &error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(commits: u64, codes: u64) -> Tally {
        Tally {
            commits,
            rows: [codes, 0, 0, 0, 0, 0, 1],
        }
    }

    #[test]
    fn any_flipped_bit_spoils_a_tally() {
        let bytes = tally(7, 50).encode();
        assert_eq!(Tally::decode(&bytes), Some(tally(7, 50)));
        assert_eq!(Tally::decode(&bytes[1..]), None);
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Tally::decode(&bytes), None, "bit {bit}");
        }
    }

    #[test]
    fn what_counts_as_damage() {
        let rows = tally(7, 50).rows;
        let check = |witness: Option<&Tally>| tally(7, 50).check(&rows, witness).is_ok();
        assert!(check(None));
        assert!(
            check(Some(&tally(6, 80))),
            "the witness is older: rows may have gone since"
        );
        assert!(check(Some(&tally(7, 50))));
        assert!(!check(Some(&tally(7, 49))));
        assert!(!check(Some(&tally(8, 50))));
        assert!(tally(7, 50).check(&tally(7, 49).rows, None).is_err());
        assert!(tally(7, 50).check(&tally(7, 51).rows, None).is_err());
    }
}
