//! Cues in text with spaces: phrases of cues.txt, anywhere or at the beginning of a clause.

use super::candidates::{Candidates, Kind};
use super::language::Language;
use super::latin::{FEW_SENTENCES, Reader};
use super::lexicon::{CueKind, Entry, role};
use super::tokenize::{Class, Sentence};

impl Reader<'_> {
    /// Adds the tags of the longest cue at each word that no cue before has taken; a clause begins with the sentence and
    /// behind each break, and words that lead in belong to no clause yet.
    pub(super) fn cues(&mut self, sentence: Sentence, weight: u32, out: &mut Candidates) {
        let mut begins = true;
        let (request, opened, _) = self.open(sentence.from, sentence.to);
        let requests = opened && request < sentence.to && self.verb(request, sentence.to).is_some();
        let asks = sentence.is_question || self.text.sentences.len() <= FEW_SENTENCES;
        let mut next = sentence.from;
        for at in sentence.from..sentence.to {
            let is_clause = begins;
            begins = self.class(at) == Class::Break || begins && self.is(at, role::LEAD);
            if at < next {
                continue;
            }
            for table in [self.table, self.lexicon.table(Language::English)] {
                let is_own = std::ptr::eq(table, self.table);
                let cues = |entry: &'static Entry| {
                    let open = entry.cues.iter().any(|cue| !cue.1 || is_clause);
                    open.then_some(&entry.cues)
                };
                let Some((cues, length)) = self.longest(table, at, sentence.to, cues) else { continue };
                let span = self.span(at, at + length);
                next = next.max(at + length);
                for &(id, anchored) in cues {
                    let Some(cue) = self.lexicon.cues.get(id as usize).filter(|_| is_clause || !anchored) else {
                        continue;
                    };
                    let is_due = match cue.kind {
                        CueKind::Fact => true,
                        CueKind::Question => is_own && (asks || !anchored),
                        CueKind::Bare => is_own && asks && !requests,
                        CueKind::Act => is_own && self.is_short,
                        CueKind::Intention => is_own,
                        CueKind::Language | CueKind::Tool => false,
                    };
                    if let Some((kind, factor)) = cue.kind.candidate().filter(|_| is_due) {
                        out.add(format_args!("{}", cue.tag), kind, weight * factor, span);
                    } else if cue.kind == CueKind::Language && at > sentence.from {
                        self.asked_language(at, length, cue.tag, weight, out);
                    }
                }
                if is_own && self.language == Language::English {
                    break;
                }
            }
        }
    }

    /// "into French", "auf Deutsch": the language that the answer is wanted in. `at` has a word before it.
    pub(super) fn asked_language(&mut self, at: usize, length: usize, name: &str, weight: u32, out: &mut Candidates) {
        let span = self.span(at - 1, at + length);
        match self.text.word(at - 1) {
            "to" | "into" | "al" | "ins" => {
                out.add(format_args!("translation to {name}"), Kind::Fact, weight * 9, span);
            }
            "in" | "en" | "auf" | "em" => out.add(format_args!("{name} wanted"), Kind::Fact, weight * 7, span),
            _ => {}
        }
    }
}
