//! Texts in their order, to be found by what they are, begin with or contain.

use std::cmp::Ordering;
use std::sync::Arc;

use memchr::memmem::Finder;

use super::Match;

/// Pieces are not made longer than this, so that places in them have 32 bits.
const PIECE_BYTES: usize = 1 << 30;

/// Texts in lower case, each under a number that more than one may have.
///
/// What is added makes a piece of its own, and pieces of about one length are made one: a clone shares them, and whoever adds to it copies little.
#[derive(Debug, Clone, Default)]
pub(crate) struct TextIndex {
    /// Each with less than half as many texts as the one before, as far as it may be made longer.
    pieces: Vec<Arc<Piece>>,
}

/// Some of the texts. It never changes.
#[derive(Debug, Default)]
struct Piece {
    /// One after the other, ascending.
    text: String,
    /// Where each ends.
    ends: Vec<u32>,
    numbers: Vec<u32>,
}

impl Piece {
    fn len(&self) -> usize {
        self.numbers.len()
    }

    fn start(&self, at: usize) -> usize {
        at.checked_sub(1).map_or(0, |before| self.ends[before] as usize)
    }

    fn get(&self, at: usize) -> &str {
        &self.text[self.start(at)..self.ends[at] as usize]
    }

    fn push(&mut self, text: &str, number: u32) {
        self.text.push_str(text);
        self.ends.push(u32::try_from(self.text.len()).expect("invariant: pieces are short"));
        self.numbers.push(number);
    }

    fn sorted(&self) -> Self {
        let mut places: Vec<usize> = (0..self.len()).collect();
        places.sort_unstable_by(|a, b| self.get(*a).cmp(self.get(*b)).then(self.numbers[*a].cmp(&self.numbers[*b])));
        let mut sorted = self.empty_of_its_size();
        places.into_iter().for_each(|at| sorted.push(self.get(at), self.numbers[at]));
        sorted
    }

    fn empty_of_its_size(&self) -> Self {
        let (text, ends) = (String::with_capacity(self.text.len()), Vec::with_capacity(self.len()));
        Self { text, ends, numbers: Vec::with_capacity(self.len()) }
    }

    fn merged(&self, other: &Self) -> Self {
        let mut all = Self {
            text: String::with_capacity(self.text.len() + other.text.len()),
            ends: Vec::with_capacity(self.len() + other.len()),
            numbers: Vec::with_capacity(self.len() + other.len()),
        };
        let (mut own, mut others) = (0, 0);
        while own < self.len() || others < other.len() {
            let takes_own = match (own < self.len(), others < other.len()) {
                (true, true) => self.get(own).cmp(other.get(others)) != Ordering::Greater,
                (has_own, _) => has_own,
            };
            let (of, at) = if takes_own { (self, &mut own) } else { (other, &mut others) };
            all.push(of.get(*at), of.numbers[*at]);
            *at += 1;
        }
        all
    }

    fn first_not_below(&self, text: &str) -> usize {
        let (mut from, mut to) = (0, self.len());
        while from < to {
            let middle = from.midpoint(to);
            if self.get(middle) < text { from = middle + 1 } else { to = middle }
        }
        from
    }

    fn find(&self, text: &str, by: Match, take: &mut impl FnMut(u32, &str)) {
        match by {
            Match::Exact | Match::Prefix => {
                for at in self.first_not_below(text)..self.len() {
                    let own = self.get(at);
                    match by == Match::Exact {
                        true if own == text => take(self.numbers[at], own),
                        false if own.starts_with(text) => take(self.numbers[at], own),
                        _ => break,
                    }
                }
            }
            Match::Contains => {
                let finder = Finder::new(text);
                let mut from = 0;
                while let Some(found) = finder.find(&self.text.as_bytes()[from..]) {
                    let start = from + found;
                    let at = self.ends.partition_point(|end| *end as usize <= start);
                    let end = self.ends[at] as usize;
                    // What begins in one text and ends in the next is in neither.
                    if start + text.len() <= end {
                        take(self.numbers[at], self.get(at));
                        from = end;
                    } else {
                        from = start + 1;
                    }
                }
            }
        }
    }
}

impl TextIndex {
    /// With these texts, too.
    #[cfg(test)]
    fn with<'t>(self, texts: impl IntoIterator<Item = (u32, &'t str)>) -> Self {
        let mut added = Adding::to(self);
        texts.into_iter().for_each(|(number, text)| added.add(number, text));
        added.done()
    }

    /// Gives every text that is found, with its number, to `take`; `text` may be of either case.
    pub(crate) fn find(&self, text: &str, by: Match, mut take: impl FnMut(u32, &str)) {
        let text = folded(text);
        self.pieces.iter().for_each(|piece| piece.find(&text, by, &mut take));
    }

    /// Bytes in memory, nearly.
    pub(crate) fn bytes(&self) -> usize {
        let of = |piece: &Arc<Piece>| piece.text.capacity() + (piece.ends.capacity() + piece.numbers.capacity()) * 4;
        self.pieces.iter().map(of).sum()
    }

    fn push(&mut self, mut piece: Piece) {
        while let Some(last) = self.pieces.last()
            && last.len() <= 2 * piece.len()
            && last.text.len() + piece.text.len() <= PIECE_BYTES
        {
            piece = last.merged(&piece);
            self.pieces.pop();
        }
        if piece.len() > 0 {
            self.pieces.push(Arc::new(piece));
        }
    }
}

/// Texts on their way into an index.
pub(crate) struct Adding {
    index: TextIndex,
    piece: Piece,
}

impl Adding {
    pub(crate) fn to(index: TextIndex) -> Self {
        Self { index, piece: Piece::default() }
    }

    pub(crate) fn add(&mut self, number: u32, text: &str) {
        let text = folded(text);
        if self.piece.text.len() + text.len() > PIECE_BYTES {
            let full = std::mem::take(&mut self.piece);
            self.index.push(full.sorted());
        }
        self.piece.push(&text, number);
    }

    pub(crate) fn done(mut self) -> TextIndex {
        self.index.push(self.piece.sorted());
        self.index
    }
}

/// In lower case, letter by letter, so that a part of a text is folded as the whole is.
pub(crate) fn folded(text: &str) -> String {
    match text.is_ascii() {
        true => text.to_ascii_lowercase(),
        false => text.chars().flat_map(char::to_lowercase).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(index: &TextIndex, text: &str, by: Match) -> Vec<u32> {
        let mut numbers = Vec::new();
        index.find(text, by, |number, _| numbers.push(number));
        numbers.sort_unstable();
        numbers
    }

    #[test]
    fn case_is_one_and_a_text_across_two_is_in_neither() {
        let index = TextIndex::default().with([(1, "Ann"), (2, "bob"), (3, "ÄRGER"), (4, "")]);
        assert_eq!(found(&index, "ANN", Match::Exact), [1]);
        assert_eq!(found(&index, "ärg", Match::Prefix), [3]);
        assert!(found(&index, "nnb", Match::Contains).is_empty());
        assert_eq!(found(&index, "B", Match::Contains), [2]);
    }

    proptest! {
        #[test]
        fn texts_are_found_however_they_were_added(
            texts in prop::collection::vec("[abAß]{0,4}", 0..60),
            cuts in prop::collection::vec(0..9_usize, 12),
            wanted in "[abAß]{1,3}",
        ) {
            let mut index = TextIndex::default();
            let mut rest = texts.as_slice();
            let mut number = 0_u32;
            for cut in cuts.into_iter().chain([usize::MAX]) {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                index = index.with((number..).zip(now.iter().map(String::as_str)));
                number += now.len() as u32;
                rest = later;
            }
            let wanted_folded = wanted.to_lowercase();
            let is = |by: Match, holds: &dyn Fn(&str) -> bool| {
                let expected = (0_u32..).zip(&texts).filter(|(_, text)| holds(&text.to_lowercase()));
                assert_eq!(found(&index, &wanted, by), expected.map(|(number, _)| number).collect::<Vec<_>>());
            };
            is(Match::Exact, &|text| text == wanted_folded);
            is(Match::Prefix, &|text| text.starts_with(&wanted_folded));
            is(Match::Contains, &|text| text.contains(&wanted_folded));
        }
    }
}
