//! Groups from the pairs within a radius: connected components (single linkage) or complete linkage.
//!
//! Single linkage is DBSCAN with `min_samples = 1` (Ester et al. 1996; the paper's choice): an isolated item is its own
//! group, there is no noise. It chains: at a radius a little too wide a quarter of a vocabulary becomes one group. Complete
//! linkage (Defays 1977) admits a merge only where every cross pair is within the radius, so no chain forms.
//!
//! Cost: single O(pairs), by union-find. Complete O(pairs log pairs): cut at the radius it needs no distance matrix, since
//! two clusters can only ever merge if each is a neighbor of the other in full; a cluster therefore keeps just the
//! clusters it is fully linked to, and a merge keeps the intersection. The nearest-neighbor chain on a dense matrix of
//! each component was considered: the same groups, but 1.6 GB at 20,000 members.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::FxHashMap;

use crate::error::{Error, Result};

/// Pairs of items within the radius, checked: equal lengths, every item below `size`.
fn check(size: usize, a: &[u32], b: &[u32]) -> Result<()> {
    crate::csr::check_size(size)?;
    if a.len() != b.len() {
        return Err(Error::Length { name: "b", found: b.len(), expected: a.len() });
    }
    match a.iter().zip(b).position(|(&a, &b)| a.max(b) as usize >= size) {
        Some(row) => Err(Error::Id { row, id: a[row].max(b[row]), size }),
        None => Ok(()),
    }
}

/// Numbers the groups 0, 1, ... in the order of their first members; `leader` gives one member for each item.
fn by_first_member(leader: impl Iterator<Item = usize>, size: usize) -> Vec<i64> {
    let mut number = vec![-1i64; size];
    let mut next = 0;
    leader
        .map(|leader| {
            if number[leader] < 0 {
                number[leader] = next;
                next += 1;
            }
            number[leader]
        })
        .collect()
}

/// The group of each of `size` items, where items of a pair share a group: connected components.
pub fn single(size: usize, a: &[u32], b: &[u32]) -> Result<Vec<i64>> {
    fn root(parent: &mut [usize], mut item: usize) -> usize {
        while parent[item] != item {
            parent[item] = parent[parent[item]]; // path halving
            item = parent[item];
        }
        item
    }
    check(size, a, b)?;
    let mut parent: Vec<usize> = (0..size).collect();
    for (&a, &b) in a.iter().zip(b) {
        // Read again after the check, the arrays may have been changed: an item that is no longer there is passed over.
        if a.max(b) as usize >= size {
            continue;
        }
        let (a, b) = (root(&mut parent, a as usize), root(&mut parent, b as usize));
        parent[a.max(b)] = a.min(b);
    }
    Ok(by_first_member((0..size).map(|item| root(&mut parent, item)), size))
}

/// A cosine as an integer that sorts the same way (finite numbers only).
fn rank(cosine: f64) -> i64 {
    let bits = (cosine + 0.0).to_bits() as i64; // -0.0 becomes 0.0
    if bits < 0 { bits ^ i64::MAX } else { bits }
}

/// The group of each of `size` items by complete linkage, cut at the radius whose pairs (all of them) are given.
///
/// The pair of clusters with the highest lowest cosine merges first; ties go to the pair with the smaller first member,
/// then the smaller first member of the other cluster. A pair given twice counts with its lower cosine.
pub fn complete(size: usize, a: &[u32], b: &[u32], cosines: &[f64]) -> Result<Vec<i64>> {
    check(size, a, b)?;
    if cosines.len() != a.len() {
        return Err(Error::Length { name: "cosines", found: cosines.len(), expected: a.len() });
    }
    if let Some(at) = cosines.iter().position(|cosine| !cosine.is_finite()) {
        return Err(Error::Setting { name: "cosines", reason: format!("holds {} at {at}", cosines[at]) });
    }
    // linked[c]: the clusters that c is fully linked to, and the lowest cosine between them. A cluster is named by its
    // first member, so a merge frees the larger name for good.
    let mut linked: Vec<FxHashMap<u32, i64>> = vec![FxHashMap::default(); size];
    for ((&a, &b), &cosine) in a.iter().zip(b).zip(cosines) {
        if a == b || a.max(b) as usize >= size {
            continue;
        }
        for (from, to) in [(a, b), (b, a)] {
            let lowest = linked[from as usize].entry(to).or_insert(i64::MAX);
            *lowest = rank(cosine).min(*lowest);
        }
    }
    let mut queue = BinaryHeap::new();
    for (from, to) in linked.iter().enumerate() {
        let from = from as u32;
        queue.extend(to.iter().filter(|&(&to, _)| from < to).map(|(&to, &cosine)| (cosine, Reverse((from, to)))));
    }
    let mut leader: Vec<u32> = (0..size as u32).collect();
    while let Some((cosine, Reverse((keep, gone)))) = queue.pop() {
        if linked[keep as usize].get(&gone) != Some(&cosine) {
            continue; // one of the two has merged since
        }
        leader[gone as usize] = keep;
        let (kept, lost) = (std::mem::take(&mut linked[keep as usize]), std::mem::take(&mut linked[gone as usize]));
        for &other in lost.keys() {
            linked[other as usize].remove(&gone);
        }
        for (&other, &cosine) in kept.iter().filter(|&(&other, _)| other != gone) {
            let Some(&second) = lost.get(&other) else {
                linked[other as usize].remove(&keep);
                continue;
            };
            let lowest = cosine.min(second);
            linked[other as usize].insert(keep, lowest);
            linked[keep as usize].insert(other, lowest);
            queue.push((lowest, Reverse((keep.min(other), keep.max(other)))));
        }
    }
    for item in 0..size {
        leader[item] = leader[leader[item] as usize]; // a leader is smaller than its member, hence final already
    }
    Ok(by_first_member(leader.iter().map(|&leader| leader as usize), size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_chains_and_complete_does_not() {
        let (a, b) = ([0, 1, 2], [1, 2, 3]);
        assert_eq!(single(5, &a, &b), Ok(vec![0, 0, 0, 0, 1]));
        assert_eq!(complete(5, &a, &b, &[0.9, 0.99, 0.9]), Ok(vec![0, 1, 1, 2, 3]));
        assert_eq!(complete(5, &a, &b, &[0.9, 0.9, 0.9]), Ok(vec![0, 0, 1, 1, 2]));
    }

    #[test]
    fn isolated_items_are_groups_of_their_own() {
        assert_eq!(single(3, &[], &[]), Ok(vec![0, 1, 2]));
        assert_eq!(complete(3, &[], &[], &[]), Ok(vec![0, 1, 2]));
        assert_eq!(single(0, &[], &[]), Ok(vec![]));
    }

    #[test]
    fn hostile_arrays_are_refused() {
        assert_eq!(single(2, &[0], &[2]), Err(Error::Id { row: 0, id: 2, size: 2 }));
        assert!(single(2, &[0], &[]).is_err());
        assert!(complete(2, &[0], &[1], &[f64::NAN]).is_err());
        assert!(complete(2, &[0], &[1], &[]).is_err());
        assert_eq!(complete(2, &[0, 1], &[0, 1], &[0.5, 0.5]), Ok(vec![0, 1]));
    }

    #[test]
    fn ranks_sort_like_cosines() {
        let cosines = [-1.0, -0.5, -0.0, 1e-300, 0.5, 1.0];
        assert!(cosines.windows(2).all(|w| rank(w[0]) < rank(w[1])));
        assert_eq!(rank(-0.0), rank(0.0));
    }
}
