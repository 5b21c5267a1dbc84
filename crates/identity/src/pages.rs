//! A sparse array of numbers by subject, whose clones share what did not change.

use std::sync::Arc;

/// Subjects of one page.
const PAGE: usize = 256;
/// Pages of one shelf.
const SHELF: usize = 256;

type Page = [u32; PAGE];
type Shelf = [Option<Arc<Page>>; SHELF];

/// A number for each subject, 0 until it is set.
///
/// Pages without a number take no memory. A clone copies one pointer for each 65,536 subjects; the first change after
/// it copies one page and one shelf of page pointers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pages {
    shelves: Vec<Option<Arc<Shelf>>>,
}

impl Pages {
    pub(crate) fn number(&self, subject: u32) -> u32 {
        let (shelf, page, place) = split(subject);
        self.shelves
            .get(shelf)
            .and_then(Option::as_ref)
            .and_then(|shelf| shelf[page].as_ref())
            .map_or(0, |page| page[place])
    }

    pub(crate) fn set(&mut self, subject: u32, number: u32) {
        let (shelf, page, place) = split(subject);
        if self.shelves.len() <= shelf {
            self.shelves.resize(shelf + 1, None);
        }
        let shelf = self.shelves[shelf].get_or_insert_with(|| Arc::new([const { None }; SHELF]));
        let page = Arc::make_mut(shelf)[page].get_or_insert_with(|| Arc::new([0; PAGE]));
        Arc::make_mut(page)[place] = number;
    }

    /// Every subject whose number is not 0, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        let shelves = self.shelves.iter().enumerate().filter_map(|(place, shelf)| Some((place, shelf.as_ref()?)));
        let pages = shelves.flat_map(|(shelf_place, shelf)| {
            shelf
                .iter()
                .enumerate()
                .filter_map(move |(place, page)| Some((shelf_place * SHELF + place, page.as_ref()?)))
        });
        pages
            .flat_map(|(page_place, page)| {
                // Every place is one of a subject's: it fits.
                page.iter().enumerate().map(move |(place, number)| ((page_place * PAGE + place) as u32, *number))
            })
            .filter(|(_, number)| *number != 0)
    }
}

fn split(subject: u32) -> (usize, usize, usize) {
    let subject = subject as usize;
    (subject / (PAGE * SHELF), subject / PAGE % SHELF, subject % PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDGES: [u32; 9] = [0, 255, 256, 65_535, 65_536, 70_000, 1 << 24, u32::MAX - 1, u32::MAX];

    #[test]
    fn numbers_are_found_where_they_were_set_and_nowhere_else() {
        let mut pages = Pages::default();
        for subject in EDGES {
            assert_eq!(pages.number(subject), 0);
            pages.set(subject, subject ^ 0x5555_5555);
        }
        assert!(pages.iter().eq(EDGES.map(|subject| (subject, subject ^ 0x5555_5555))));
        assert_eq!(pages.number(254), 0);
        pages.set(255, 0);
        assert_eq!(pages.iter().count(), EDGES.len() - 1);
    }

    #[test]
    fn a_clone_keeps_its_numbers_while_the_original_changes() {
        let mut pages = Pages::default();
        pages.set(7, 1);
        let before = pages.clone();
        pages.set(7, 2);
        pages.set(300, 3);
        assert!(before.iter().eq([(7, 1)]));
        assert!(pages.iter().eq([(7, 2), (300, 3)]));
    }
}
