//! The association step: rules merged until none is left, so that associated tags become atomic ones.
//!
//! A round mines pair rules ([`crate::association`]); each antecedent goes to its consequent of highest confidence, then
//! the rarer one, then the one whose name is bytewise smaller. Following these arrows from any tag ends at a tag without
//! a rule, or in a cycle, which collapses into its most frequent member. Rows are rewritten, counted again, and mined
//! again. Rules that a round could have gained start at a tag whose rows changed, so later rounds mine from those only.
//!
//! Reference: Lu et al., `#InsTag` (arXiv 2308.07074), association aggregation, whose "recursively" this spells out.
//! Cost: O(ids) a round, each of which merges at least one tag; real tables take two to four rounds.

use crate::association::{Rules, Thresholds, rules_of};
use crate::csr::{Csr, Rows, remap, tag_counts};
use crate::error::{Error, Result};

/// What became of each tag.
#[derive(Debug, Clone, PartialEq)]
pub struct Merges {
    /// The tag it ends in; itself where no rule moved it.
    pub into: Vec<u32>,
    /// The round (from 1) in which a rule moved the tag itself; 0 where none did.
    pub rounds: Vec<i32>,
    /// The confidence of that rule; 0 where none moved it.
    pub confidences: Vec<f64>,
}

/// Merges associated tags to the fixed point.
///
/// `ranks` are the tags' places in the bytewise order of their names; they break ties. Without them ids do, which must
/// then be ordered by count descending, as [`crate::intern`] makes them: equal in the first round, and in later ones
/// different only between tags whose counts became equal.
pub fn merge_associations(rows: Csr<'_>, ranks: Option<&[u32]>, thresholds: Thresholds) -> Result<Merges> {
    let size = rows.size();
    let mut counts = tag_counts(rows);
    let ids: Vec<u32> = (0..size as u32).collect();
    if ranks.is_none() && !counts.is_sorted_by(|a, b| a >= b) {
        return Err(Error::Setting {
            name: "ids",
            reason: "must be ordered by count descending, then bytewise, where no `ranks` are given".into(),
        });
    }
    let ranks = ranks.unwrap_or(&ids);
    if ranks.len() != size {
        return Err(Error::Length { name: "ranks", found: ranks.len(), expected: size });
    }
    let mut merges = Merges { into: ids.clone(), rounds: vec![0; size], confidences: vec![0.0; size] };
    let mut marked = vec![true; size];
    let mut owned: Rows; // the rows as the last round left them
    let mut current = rows;
    for round in 1.. {
        let arrows = arrows_of(&rules_of(current, &counts, &marked, thresholds)?, &counts, ranks);
        let ends = ends_of(&arrows, &counts, ranks);
        if ends == ids {
            break;
        }
        for (tag, arrow) in arrows.iter().enumerate() {
            if let Some((_, confidence)) = arrow.filter(|_| ends[tag] as usize != tag) {
                merges.rounds[tag] = round;
                merges.confidences[tag] = confidence;
            }
        }
        merges.into.iter_mut().for_each(|into| *into = ends[*into as usize]);
        mark_changed(current, &ends, &mut marked);
        let next = remap(current, &ends, size)?;
        owned = next;
        current = Csr::new(&owned.0, &owned.1, size)?;
        counts = tag_counts(current);
    }
    Ok(merges)
}

/// Where each antecedent goes, and the confidence of the rule that sends it there.
fn arrows_of(rules: &Rules, counts: &[i64], ranks: &[u32]) -> Vec<Option<(u32, f64)>> {
    let mut arrows: Vec<Option<(u32, f64)>> = vec![None; counts.len()];
    let sides = rules.antecedents.iter().zip(&rules.consequents);
    for ((&antecedent, &consequent), &confidence) in sides.zip(&rules.confidences) {
        let arrow = &mut arrows[antecedent as usize];
        let better = arrow.is_none_or(|(other, than)| {
            let (new, old) = (consequent as usize, other as usize);
            let order = confidence.total_cmp(&than).then(counts[old].cmp(&counts[new]));
            order.then(ranks[old].cmp(&ranks[new])).is_gt()
        });
        if better {
            *arrow = Some((consequent, confidence));
        }
    }
    arrows
}

/// The tag at the end of each tag's arrows: one without an arrow, or its cycle's most frequent member.
fn ends_of(arrows: &[Option<(u32, f64)>], counts: &[i64], ranks: &[u32]) -> Vec<u32> {
    const UNKNOWN: u32 = u32::MAX;
    let mut ends = vec![UNKNOWN; arrows.len()];
    let mut place = vec![usize::MAX; arrows.len()]; // on the present path
    let mut path = Vec::new();
    for start in 0..arrows.len() as u32 {
        path.clear();
        let mut tag = start;
        let end = loop {
            let at = tag as usize;
            if ends[at] != UNKNOWN {
                break ends[at];
            }
            if let Some(cycle) = path.get(place[at]..) {
                let most = |&&tag: &&u32| (std::cmp::Reverse(counts[tag as usize]), ranks[tag as usize]);
                break cycle.iter().min_by_key(most).copied().unwrap_or(tag);
            }
            place[at] = path.len();
            path.push(tag);
            match arrows[at] {
                Some((next, _)) => tag = next,
                None => break tag,
            }
        };
        for &tag in &path {
            ends[tag as usize] = end;
            place[tag as usize] = usize::MAX;
        }
    }
    ends
}

/// Marks the tags, as they are after the round, of every row that the round changed.
fn mark_changed(rows: Csr<'_>, ends: &[u32], marked: &mut [bool]) {
    marked.fill(false);
    let end = |&tag: &u32| ends.get(tag as usize).copied().unwrap_or(tag);
    for row in rows.rows().filter(|row| row.iter().any(|tag| end(tag) != *tag)) {
        for tag in row {
            if let Some(mark) = marked.get_mut(end(tag) as usize) {
                *mark = true;
            }
        }
    }
}
