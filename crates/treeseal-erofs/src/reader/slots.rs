/// A set of slots of an image: one bit for each 32 bytes.
pub(super) struct SlotSet {
    words: Vec<u64>,
}

impl SlotSet {
    /// An empty set that can hold slots below `slots`.
    pub(super) fn new(slots: u64) -> Self {
        let words = usize::try_from(slots.div_ceil(64)).unwrap_or(usize::MAX);
        Self { words: vec![0; words] }
    }

    pub(super) fn contains(&self, slot: u64) -> bool {
        let word = usize::try_from(slot / 64).ok().and_then(|index| self.words.get(index));
        word.is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    /// Adds a slot. `false` if it was there, or cannot be held.
    pub(super) fn insert(&mut self, slot: u64) -> bool {
        self.insert_bits(slot / 64, 1 << (slot % 64))
    }

    /// Adds the slots from `start` and below `end`. `false` if one was there, or cannot be held.
    pub(super) fn insert_range(&mut self, start: u64, end: u64) -> bool {
        let mut next = start;
        let mut all_new = true;
        while next < end && all_new {
            let count = (64 - next % 64).min(end - next);
            let ones = u64::MAX >> (64 - count);
            all_new = self.insert_bits(next / 64, ones << (next % 64));
            next += count;
        }
        all_new
    }

    /// The slots below `end` that are not in the set, as ranges in ascending order.
    pub(super) fn gaps(&self, end: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut next = 0;
        core::iter::from_fn(move || {
            let start = self.find(next, end, false)?;
            next = self.find(start, end, true).unwrap_or(end);
            Some((start, next))
        })
    }

    /// The slots in the set, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        let mut next = 0;
        core::iter::from_fn(move || {
            let found = self.find(next, u64::MAX, true)?;
            next = found + 1;
            Some(found)
        })
    }

    /// The first slot from `start` and below `end` that is (or is not) in the set.
    fn find(&self, start: u64, end: u64, member: bool) -> Option<u64> {
        let first = usize::try_from(start / 64).ok()?;
        let mut mask = u64::MAX << (start % 64);
        for (index, word) in self.words.iter().enumerate().skip(first) {
            let bits = if member { *word } else { !*word } & mask;
            mask = u64::MAX;
            if bits != 0 {
                let found = u64::try_from(index).ok()? * 64 + u64::from(bits.trailing_zeros());
                return (found < end).then_some(found);
            }
        }
        None
    }

    fn insert_bits(&mut self, word: u64, bits: u64) -> bool {
        let word = usize::try_from(word).ok().and_then(|index| self.words.get_mut(index));
        word.is_some_and(|word| {
            let all_new = *word & bits == 0;
            *word |= bits;
            all_new
        })
    }
}

#[cfg(test)]
mod tests {
    use super::SlotSet;

    #[test]
    fn ranges_that_overlap_are_noticed() {
        let mut set = SlotSet::new(1000);
        assert!(set.insert_range(60, 200));
        assert!(set.insert_range(200, 201));
        assert!(!set.insert_range(10, 61));
        assert!(!set.insert(200));
        assert!(set.contains(60) && set.contains(199) && !set.contains(201));
    }

    #[test]
    fn slots_beyond_the_end_cannot_be_added() {
        let mut set = SlotSet::new(64);
        assert!(!set.insert(64));
        assert!(!set.insert(u64::MAX));
        assert!(!set.insert_range(60, 70));
        assert!(!set.contains(u64::MAX));
    }

    #[test]
    fn members_and_gaps_are_in_order() {
        let mut set = SlotSet::new(300);
        set.insert_range(0, 36);
        set.insert_range(130, 132);
        assert_eq!(set.iter().skip(36).collect::<Vec<_>>(), [130, 131]);
        assert_eq!(set.gaps(290).collect::<Vec<_>>(), [(36, 130), (132, 290)]);
    }
}
