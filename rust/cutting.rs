//! Numbered values cut into rows of distinct tags, and the rows of each tag counted: the second half of interning.

use crate::error::{Error, Result};
use crate::room::{self, collected, lengthen, more};

/// Rows of ids, and how many of them hold each.
#[derive(Default)]
pub struct Rows {
    /// Of each tag the last row that held it, counted from 1, and below it the number of rows.
    cells: Vec<u64>,
    /// The ids, each at most once in a row.
    pub ids: Vec<u32>,
    /// Where rows end in `ids`.
    pub ends: Vec<i64>,
    marks: Vec<u32>,
}

impl Rows {
    /// None yet, with room for some.
    pub fn reserved(rows: usize) -> Result<Self> {
        Ok(Self { ends: room::reserved(rows)?, ..Self::default() })
    }

    /// Makes room for more values.
    pub fn reserve(&mut self, values: usize) -> Result<()> {
        more(&mut self.ids, values)
    }

    /// Rows that hold each of `size` tags.
    pub fn counts(&self, size: usize) -> Result<Vec<i64>> {
        let cell = |at| self.cells.get(at).copied().unwrap_or_default();
        collected((0..size).map(|at| i64::from(cell(at) as u32)))
    }

    /// Appends rows without tags.
    pub fn add_empty(&mut self, rows: usize) -> Result<()> {
        let end = self.ids.len() as i64;
        let len = self.ends.len() + rows;
        lengthen(&mut self.ends, len, end)
    }

    /// Appends the rows that end at `ends` among the values `codes`, of `size` tags; what is no tag's number is left out.
    ///
    /// Without a branch a row, which would be mispredicted as often as rows differ in length (as in csr.rs): where rows
    /// end is marked first, and where they end among the ids kept is read off afterwards.
    pub fn cut(&mut self, codes: &[u32], ends: &[usize], size: usize) -> Result<()> {
        let Self { cells, ids: all, ends: all_ends, marks } = self;
        lengthen(cells, size + 1, 0)?; // one more, for values without a number
        marks.clear();
        lengthen(marks, codes.len() + 1, 0)?;
        for &end in ends {
            if let Some(mark) = marks.get_mut(end) {
                *mark += 1;
            }
        }
        let (none, mut row, start) = (size, all_ends.len() as u32 + 1, all.len());
        lengthen(all, start + codes.len(), 0)?;
        more(all_ends, ends.len())?;
        let (mut kept, ids) = (0, &mut all[start..]);
        for (&id, mark) in codes.iter().zip(&mut *marks) {
            row += *mark;
            *mark = kept as u32;
            let at = (id as usize).min(none);
            let cell = cells[at];
            let fresh = u64::from((cell >> 32) as u32 != row);
            cells[at] = (u64::from(row) << 32) | (u64::from(cell as u32) + fresh);
            ids[kept] = id;
            kept += (fresh as usize) & usize::from(at < none);
        }
        cells[none] = 0; // the next new tag's
        all.truncate(start + kept);
        let before = |end: usize| if end < codes.len() { marks[end] as usize } else { kept };
        all_ends.extend(ends.iter().map(|&end| (start + before(end)) as i64));
        Ok(())
    }
}

/// What is said of a row that 32 bits cannot number.
pub(crate) fn too_long(values: usize) -> Error {
    Error::Limit {
        what: format!("a row of some {values} tags is longer than can be numbered"),
        hint: "cut it into several rows".into(),
    }
}
