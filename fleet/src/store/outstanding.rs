//! How much of what was there when a read began has not come yet. Pure: counts go in, an answer comes out.

use std::collections::HashSet;

/// What was there when a read began, and has not come yet.
pub(super) struct Outstanding {
    /// Messages, as the server counts them: with those that came meanwhile, and of entries that were replaced meanwhile
    /// the new ones only.
    count: u64,
    until: Until,
}

/// What a read ends with though more has come. Without it, it would not end while others write faster than it reads.
enum Until {
    /// The last message that was there, of a stream.
    Sequence(u64),
    /// As many entries as a bucket had, and then its last message of that moment. Its last message at the beginning says
    /// nothing: what replaces an entry lies behind that, and belongs to what was there. Nor do so many entries by
    /// themselves: a new one may be among them instead of one that was replaced meanwhile, which lies behind it. One that
    /// is replaced once more before it is read is among the changes.
    Entries { had: u64, seen: HashSet<String> },
}

impl Outstanding {
    pub(super) fn of_stream(count: u64, last: u64) -> Self {
        Self { count, until: Until::Sequence(last) }
    }

    pub(super) fn of_bucket(count: u64) -> Self {
        Self { count, until: Until::Entries { had: count, seen: HashSet::new() } }
    }

    /// Takes a message into account, of this subject and sequence and with so many behind it.
    pub(super) fn see(&mut self, subject: &str, message: Option<(u64, u64)>) {
        self.count = message.map_or(self.count.saturating_sub(1), |(_, pending)| pending);
        let is_last = match &mut self.until {
            Until::Sequence(last) => message.is_some_and(|(sequence, _)| sequence >= *last),
            Until::Entries { seen, .. } => {
                seen.insert(subject.to_owned());
                false
            }
        };
        if is_last {
            self.count = 0;
        }
    }

    /// Whether a bucket's entries have come that it had, or new ones instead, and there is more.
    pub(super) fn has_as_many_entries(&self) -> bool {
        !self.is_none() && matches!(&self.until, Until::Entries { had, seen } if seen.len() as u64 >= *had)
    }

    /// Ends with the message of this sequence, which is the last one now.
    pub(super) fn end_at(&mut self, last: u64) {
        self.until = Until::Sequence(last);
    }

    pub(super) fn is_none(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many messages a read takes in while one comes for each that it reads, on these subjects in turn.
    fn read_in_a_flood(mut outstanding: Outstanding, subjects: &[&str]) -> u64 {
        let (first, pending) = (7, outstanding.count);
        let mut read = 0;
        for subject in subjects.iter().cycle().take(1000) {
            if outstanding.is_none() {
                break;
            }
            let sequence = first + read;
            outstanding.see(subject, Some((sequence, pending)));
            if outstanding.has_as_many_entries() {
                outstanding.end_at(sequence + pending);
            }
            read += 1;
        }
        read
    }

    #[test]
    fn a_read_of_a_stream_ends_at_what_was_there_when_it_began_however_much_comes_meanwhile() {
        assert_eq!(read_in_a_flood(Outstanding::of_stream(3, 9), &["a"]), 3);
        // The last one is of another subject, or was pushed out.
        let mut outstanding = Outstanding::of_stream(3, 9);
        outstanding.see("a", Some((7, 4)));
        outstanding.see("a", Some((11, 4)));
        assert!(outstanding.is_none());
        let mut outstanding = Outstanding::of_stream(2, 9);
        for (sequence, pending) in [(5, 1), (6, 0)] {
            assert!(!outstanding.is_none());
            outstanding.see("a", Some((sequence, pending)));
        }
        assert!(outstanding.is_none());
    }

    #[test]
    fn a_read_of_a_bucket_ends_behind_as_many_entries_as_it_had_however_often_they_are_replaced_meanwhile() {
        // As many behind them as came meanwhile.
        assert_eq!(read_in_a_flood(Outstanding::of_bucket(3), &["a", "b", "c"]), 3 + 3);
        // One device replaces its own all the time: the others' are waited for.
        let subjects = ["a", "a", "a", "a", "b", "a", "c"];
        assert_eq!(read_in_a_flood(Outstanding::of_bucket(3), &subjects), 7 + 3);
        // A new one comes, and one of those before is replaced by what lies behind that.
        let mut outstanding = Outstanding::of_bucket(3);
        for (subject, message) in [("a", (1, 2)), ("b", (2, 2)), ("d", (4, 2))] {
            assert!(!outstanding.has_as_many_entries());
            outstanding.see(subject, Some(message));
        }
        assert!(outstanding.has_as_many_entries());
        outstanding.end_at(5);
        assert!(!outstanding.is_none(), "c is missing");
        outstanding.see("c", Some((5, 1)));
        assert!(outstanding.is_none());
        // One was removed: the server has nothing more.
        let mut outstanding = Outstanding::of_bucket(3);
        for (subject, pending) in [("a", 1), ("b", 0)] {
            assert!(!outstanding.is_none());
            outstanding.see(subject, Some((1, pending)));
        }
        assert!(outstanding.is_none());
    }
}
