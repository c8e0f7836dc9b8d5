//! The association step: rules merged until none is left, so that associated tags become atomic ones.
//!
//! A round mines pair rules ([`crate::association`]); each antecedent goes to its consequent of highest confidence, then
//! the rarer one, then the one whose name is bytewise smaller. Following these arrows from any tag ends at a tag without
//! a rule, or in a cycle, which collapses into its most frequent member. Rows are rewritten, counted again, and mined
//! again. Rules that a round could have gained start at a tag whose rows changed, so later rounds mine from those only.
//!
//! The loop stands where the shards are opened (`python/instag/association.py`); here is what a round decides from the
//! rules of the whole pool ([`round`]), and what it changes in one shard ([`changed_tags`]; the marks of shards are or-ed).
//!
//! Reference: Lu et al., `#InsTag` (arXiv 2308.07074), association aggregation, whose "recursively" this spells out.
//! Cost: O(ids) a round, each of which merges at least one tag; real tables take two to four rounds.

use crate::csr::Csr;
use crate::error::{Error, Result};
use crate::room::{collected, filled, push, zeroed};

/// Where every tag goes in one round of merging.
#[derive(Debug, Clone, PartialEq)]
pub struct Round {
    /// The tag at the end of its arrows; itself where no rule moves it.
    pub ends: Vec<u32>,
    /// The confidence of the rule that moves it; 0 where none does.
    pub confidences: Vec<f64>,
}

/// One round, from the rules of the pool (`antecedents`, `consequents`, `confidences` side by side, in any order).
///
/// `counts` are the rows that hold each tag; `ranks` the tags' places in the bytewise order of their names. O(tags and
/// rules).
pub fn round(
    (antecedents, consequents, confidences): (&[u32], &[u32], &[f64]),
    counts: &[i64],
    ranks: &[u32],
) -> Result<Round> {
    let size = counts.len();
    let lengths = [
        ("ranks", ranks.len(), size),
        ("consequents", consequents.len(), antecedents.len()),
        ("confidences", confidences.len(), antecedents.len()),
    ];
    if let Some(&(name, found, expected)) = lengths.iter().find(|(_, found, expected)| found != expected) {
        return Err(Error::Length { name, found, expected });
    }
    if let Some(&id) = antecedents.iter().chain(consequents).find(|&&id| id as usize >= size) {
        return Err(Error::Setting { name: "rules", reason: format!("name the tag {id}, but there are {size}") });
    }
    let arrows = arrows_of((antecedents, consequents, confidences), counts, ranks)?;
    let ends = ends_of(&arrows, counts, ranks)?;
    let of_tag = |(tag, arrow): (usize, &Option<(u32, f64)>)| match arrow {
        Some((_, confidence)) if ends[tag] as usize != tag => *confidence,
        _ => 0.0,
    };
    let confidences = collected(arrows.iter().enumerate().map(of_tag))?;
    Ok(Round { ends, confidences })
}

/// Where each antecedent goes, and the confidence of the rule that sends it there.
fn arrows_of(
    (antecedents, consequents, confidences): (&[u32], &[u32], &[f64]),
    counts: &[i64],
    ranks: &[u32],
) -> Result<Vec<Option<(u32, f64)>>> {
    let mut arrows: Vec<Option<(u32, f64)>> = filled(counts.len(), None)?;
    for ((&antecedent, &consequent), &confidence) in antecedents.iter().zip(consequents).zip(confidences) {
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
    Ok(arrows)
}

/// The tag at the end of each tag's arrows: one without an arrow, or its cycle's most frequent member.
fn ends_of(arrows: &[Option<(u32, f64)>], counts: &[i64], ranks: &[u32]) -> Result<Vec<u32>> {
    const UNKNOWN: u32 = u32::MAX;
    let mut ends = filled(arrows.len(), UNKNOWN)?;
    let mut place = filled(arrows.len(), usize::MAX)?; // on the present path
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
            push(&mut path, tag)?;
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
    Ok(ends)
}

/// Marks (1) the tags, as they are after a round, of every row of a shard that the round changes. O(ids).
pub fn changed_tags(shard: Csr<'_>, ends: &[u32]) -> Result<Vec<u8>> {
    let size = shard.size();
    if ends.len() != size {
        return Err(Error::Length { name: "ends", found: ends.len(), expected: size });
    }
    let mut marked = zeroed(size)?;
    let end = |&tag: &u32| ends.get(tag as usize).copied().unwrap_or(tag);
    for row in shard.rows().filter(|row| row.iter().any(|tag| end(tag) != *tag)) {
        for tag in row {
            if let Some(mark) = marked.get_mut(end(tag) as usize) {
                *mark = 1;
            }
        }
    }
    Ok(marked)
}
