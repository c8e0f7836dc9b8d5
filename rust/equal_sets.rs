//! Samples of equal tags together: only the first of each such set can be the next pick, since whichever is picked, the
//! rest add nothing until the next round.
//!
//! Cost: a hash of every row once; then O(log sets) a pick.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use rustc_hash::FxHasher;

use crate::error::Result;
use crate::rank::Pool;
use crate::room::{check, filled, no_room};
use crate::waiting::{Bound, bound};

/// More than inserting into a tree can take: a node a level.
const NODES: usize = 1 << 12;

/// The samples left, those of equal tags together: only the first of each can be the next pick.
pub(crate) struct Sets {
    pub(crate) first: BTreeSet<Reverse<Bound>>, // the first sample of each set, by what it adds to an empty round
    after: Vec<Option<u32>>,                    // the sample that takes a sample's place once that is picked
}

impl Sets {
    /// The samples that are not idle; all but the first of each set become so.
    pub(crate) fn of(pool: &Pool<'_>, idle: &mut [bool]) -> Result<Self> {
        let tags = |row: u32| pool.rows.row(row as usize);
        let hash = |row: u32| {
            let mut hasher = FxHasher::default();
            tags(row).hash(&mut hasher);
            hasher.finish()
        };
        let mut after = filled(idle.len(), None)?;
        let mut first: HashTable<u32> = HashTable::new();
        for row in (0..idle.len() as u32).rev() {
            if idle[row as usize] {
                continue;
            }
            first.try_reserve(1, |&other| hash(other)).map_err(|_| no_room::<u32>(first.len() + 1))?;
            match first.entry(hash(row), |&other| tags(other) == tags(row), |&other| hash(other)) {
                Entry::Occupied(mut found) => {
                    let next = std::mem::replace(found.get_mut(), row);
                    after[row as usize] = Some(next);
                    idle[next as usize] = true;
                }
                Entry::Vacant(place) => {
                    place.insert(row);
                }
            }
        }
        // The tree, and what it is sorted in.
        check::<[Bound; 4]>(first.len())?;
        let rows = (0..idle.len() as u32).filter(|&row| !idle[row as usize]);
        Ok(Self { first: rows.map(|row| Reverse(bound(pool, row))).collect(), after })
    }

    /// The next sample of the same tags takes the place of `row`.
    pub(crate) fn take(&mut self, pool: &Pool<'_>, row: u32, idle: &mut [bool]) -> Result<()> {
        self.first.remove(&Reverse(bound(pool, row)));
        if let Some(next) = self.after[row as usize] {
            check::<u8>(NODES)?;
            self.first.insert(Reverse(bound(pool, next)));
            idle[next as usize] = false;
        }
        Ok(())
    }
}
