//! Itemsets put together from fewer: tags that stand in every row of a set ("perfect extensions"; Borgelt, An
//! Implementation of the FP-growth Algorithm, OSDM 2005) are in no database; each choice of them extends each set below.
//!
//! The tree of sets without such tags has for each set its extensions by one smaller rank. Put into that list are the
//! perfect extensions of the set and of those it grew from, as far as their ranks are smaller. A set that ends in a
//! perfect extension has the same rows as the one before, so its own list is what stands before that tag in the same list.
//!
//! Cost: some nanoseconds a set, once.

use crate::error::Result;
use crate::fpgrowth::Node;
use crate::room::{filled, more, push, reserved};

/// Stands for the node of a perfect extension.
const PERFECT: u32 = u32::MAX;

/// One tag by which a set is extended.
#[derive(Clone, Copy)]
struct Extension {
    rank: u32,
    count: u32,
    node: u32,
}

/// All sets of a task, in the order in which they would have been found: node 0 is the task's own tag, in `support` rows,
/// node `n` is `nodes[n - 1]`, and `full` are perfect extensions as (node, rank). `admit` is told how many sets come, and
/// may refuse them.
pub(crate) fn expand(
    nodes: &[Node],
    full: Vec<(u32, u32)>,
    support: u32,
    max_length: usize,
    admit: impl FnMut(usize) -> Result<()>,
) -> Result<Vec<Node>> {
    let (starts, extensions) = lists(nodes, full, support)?;
    let mut expansion = Expansion { starts, extensions, max_length, admit, made: Vec::new() };
    expansion.extend(0, expansion.starts[1], 0, 1)?;
    Ok(expansion.made)
}

/// The extensions of node `n` as `extensions[starts[n]..starts[n + 1]]`, ascending in rank.
fn lists(nodes: &[Node], mut full: Vec<(u32, u32)>, support: u32) -> Result<(Vec<usize>, Vec<Extension>)> {
    let mut children = filled(nodes.len() + 1, 0..0)?;
    let mut at = 0;
    for siblings in nodes.chunk_by(|a, b| a.parent == b.parent) {
        children[siblings[0].parent as usize] = at..at + siblings.len();
        at += siblings.len();
    }
    full.sort_unstable();
    let mut full = full.into_iter().peekable();
    let mut starts = reserved(nodes.len() + 2)?;
    starts.push(0);
    let mut extensions: Vec<Extension> = Vec::new();
    for (at, children) in children.into_iter().enumerate() {
        let (count, start) = (at.checked_sub(1).map_or(support, |at| nodes[at].count), extensions.len());
        if let Some(node) = at.checked_sub(1).map(|at| nodes[at]) {
            for place in starts[node.parent as usize]..starts[node.parent as usize + 1] {
                let above = extensions[place];
                if above.node == PERFECT && above.rank < node.rank {
                    push(&mut extensions, Extension { count, ..above })?;
                }
            }
        }
        while let Some((_, rank)) = full.next_if(|&(node, _)| node as usize == at) {
            push(&mut extensions, Extension { rank, count, node: PERFECT })?;
        }
        for child in children {
            let Node { rank, count, .. } = nodes[child];
            push(&mut extensions, Extension { rank, count, node: child as u32 + 1 })?;
        }
        extensions[start..].sort_unstable_by_key(|extension| extension.rank);
        starts.push(extensions.len());
    }
    Ok((starts, extensions))
}

struct Expansion<A> {
    starts: Vec<usize>,
    extensions: Vec<Extension>,
    max_length: usize,
    admit: A,
    made: Vec<Node>,
}

impl<A: FnMut(usize) -> Result<()>> Expansion<A> {
    /// Extends the set `parent` by those of `node` that stand before `end`.
    fn extend(&mut self, node: u32, end: usize, parent: u32, length: u32) -> Result<()> {
        let start = self.starts[node as usize];
        if start == end || length as usize >= self.max_length {
            return Ok(());
        }
        (self.admit)(end - start)?;
        more(&mut self.made, end - start)?;
        let first = self.made.len() as u32 + 1;
        let made = |&Extension { rank, count, .. }: &Extension| Node { parent, rank, count, length: length + 1 };
        self.made.extend(self.extensions[start..end].iter().map(made));
        for (set, place) in (first..).zip(start..end) {
            match self.extensions[place].node {
                PERFECT => self.extend(node, place, set, length + 1)?,
                child => self.extend(child, self.starts[child as usize + 1], set, length + 1)?,
            }
        }
        Ok(())
    }
}
