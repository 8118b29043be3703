//! Removed and added lines brought together, for columns and for words.

use crate::diff::{Hunk, Line, LineOp};

/// One row: a context line on both sides, or a removed line, an added line, or both.
pub(super) struct Row<'a> {
    pub(super) old: Option<&'a Line>,
    pub(super) new: Option<&'a Line>,
}

impl Row<'_> {
    pub(super) fn is_context(&self) -> bool {
        self.old.or(self.new).is_some_and(|line| line.op == LineOp::Context)
    }
}

/// Gives the runs of a hunk: lines with the same question "changed or not".
pub(super) fn blocks(hunk: &Hunk) -> impl Iterator<Item = (bool, &[Line])> {
    hunk.lines
        .chunk_by(|a, b| (a.op == LineOp::Context) == (b.op == LineOp::Context))
        .map(|run| (run.first().is_some_and(|l| l.op != LineOp::Context), run))
}

/// Gives the removed and the added lines of a run, apart.
pub(super) fn sides(run: &[Line]) -> (Vec<&Line>, Vec<&Line>) {
    let of = |op| run.iter().filter(|l| l.op == op).collect();
    (of(LineOp::Removed), of(LineOp::Added))
}

/// Sets the lines of a hunk beside each other.
pub(super) fn rows(hunk: &Hunk) -> Vec<Row<'_>> {
    let mut out = Vec::with_capacity(hunk.lines.len());
    for (changed, run) in blocks(hunk) {
        if changed {
            let (old, new) = sides(run);
            pair(&old, &new, &mut out);
        } else {
            out.extend(run.iter().map(|line| Row { old: Some(line), new: Some(line) }));
        }
    }
    out
}

/// Blocks up to this many pairs are searched for lines that are alike; larger ones are paired in order.
const MOST_PAIRS: usize = 4_096;

fn pair<'a>(old: &[&'a Line], new: &[&'a Line], out: &mut Vec<Row<'a>>) {
    if old.len() == new.len() || old.len() * new.len() > MOST_PAIRS {
        let both = old.len().min(new.len());
        out.extend((0..both).map(|i| Row { old: Some(old[i]), new: Some(new[i]) }));
        out.extend(old[both..].iter().map(|&line| Row { old: Some(line), new: None }));
        out.extend(new[both..].iter().map(|&line| Row { old: None, new: Some(line) }));
        return;
    }
    // The pairs, in order, whose likeness is greatest in sum.
    let width = new.len() + 1;
    let mut best = vec![0u32; (old.len() + 1) * width];
    let mut like = vec![0u32; old.len() * new.len()];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            let score = likeness(old[i].content(), new[j].content());
            like[i * new.len() + j] = score;
            let both = best[(i + 1) * width + j + 1] + score;
            best[i * width + j] = both.max(best[(i + 1) * width + j]).max(best[i * width + j + 1]);
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < old.len() && j < new.len() {
        let score = like[i * new.len() + j];
        if score > 0 && best[i * width + j] == best[(i + 1) * width + j + 1] + score {
            out.push(Row { old: Some(old[i]), new: Some(new[j]) });
            (i, j) = (i + 1, j + 1);
        } else if best[i * width + j] == best[(i + 1) * width + j] {
            out.push(Row { old: Some(old[i]), new: None });
            i += 1;
        } else {
            out.push(Row { old: None, new: Some(new[j]) });
            j += 1;
        }
    }
    out.extend(old[i..].iter().map(|&line| Row { old: Some(line), new: None }));
    out.extend(new[j..].iter().map(|&line| Row { old: None, new: Some(line) }));
}

/// How much of two lines begins and ends alike, in percent; 0 below a third.
fn likeness(a: &[u8], b: &[u8]) -> u32 {
    let (a, b) = (a.trim_ascii(), b.trim_ascii());
    let long = a.len().max(b.len());
    if long == 0 {
        return 1;
    }
    let head = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(x, y)| x == y).count();
    let percent = u32::try_from((head + tail) * 100 / long).unwrap_or(100);
    if percent < 33 { 0 } else { percent }
}
