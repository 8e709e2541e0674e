//! In which order the parts of a pass may run. Pure.

/// What must have happened before a part may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    /// That part must have come out well.
    WellDone(usize),
    /// All parts before that one must be over, however they came out.
    AllBeforeOver(usize),
}

/// What can be said of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It may run now.
    Now,
    /// It must wait for another part.
    Later,
    /// A part that it needs did not come out well: this one, for example.
    Never {
        /// The first such part.
        because_of: usize,
    },
}

/// The parts of a pass and what each waits for.
#[derive(Debug)]
pub(super) struct Order {
    edges: Vec<Vec<Edge>>,
    outcomes: Vec<Option<bool>>,
    /// All parts before this one are over.
    first_open: usize,
}

impl Order {
    /// `edges[i]` is what part `i` waits for. Parts in a cycle never have their turn: whoever
    /// asks must notice that nothing is left to wait for.
    pub(super) fn new(edges: Vec<Vec<Edge>>) -> Self {
        let outcomes = vec![None; edges.len()];
        Self { edges, outcomes, first_open: 0 }
    }

    /// Notes how a part came out.
    pub(super) fn over(&mut self, part: usize, well_done: bool) {
        self.outcomes[part] = Some(well_done);
        self.first_open +=
            self.outcomes[self.first_open..].iter().take_while(|outcome| outcome.is_some()).count();
    }

    /// Lets a part have its turn whatever it waits for.
    pub(super) fn free(&mut self, part: usize) {
        self.edges[part].clear();
    }

    /// Whose turn it is for `part`.
    pub(super) fn turn(&self, part: usize) -> Turn {
        let mut turn = Turn::Now;
        for edge in &self.edges[part] {
            match edge {
                Edge::WellDone(other) => match self.outcomes[*other] {
                    Some(true) => {}
                    Some(false) => return Turn::Never { because_of: *other },
                    None => turn = Turn::Later,
                },
                Edge::AllBeforeOver(other) if self.first_open < *other => turn = Turn::Later,
                Edge::AllBeforeOver(_) => {}
            }
        }
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_part_waits_for_what_it_needs_and_gives_up_when_that_failed() {
        let mut order = Order::new(vec![vec![], vec![Edge::WellDone(0)], vec![Edge::AllBeforeOver(2)]]);
        assert_eq!([order.turn(0), order.turn(1), order.turn(2)], [Turn::Now, Turn::Later, Turn::Later]);
        order.over(0, false);
        assert_eq!(order.turn(1), Turn::Never { because_of: 0 });
        order.over(1, false);
        assert_eq!(order.turn(2), Turn::Now);
    }

    proptest! {
        /// Edges only point to earlier parts, so there is no cycle and every part gets its turn.
        #[test]
        fn every_part_gets_its_turn_once(
            parts in proptest::collection::vec(
                (proptest::collection::vec((any::<proptest::sample::Index>(), any::<bool>()), 0..4), any::<bool>()),
                1..30,
            )
        ) {
            let edges = parts.iter().enumerate().map(|(i, (edges, _))| {
                edges.iter().filter(|_| i > 0).map(|(index, needed)| {
                    let other = index.index(i.max(1));
                    if *needed { Edge::WellDone(other) } else { Edge::AllBeforeOver(other) }
                }).collect()
            }).collect();
            let mut order = Order::new(edges);
            let mut left: Vec<usize> = (0..parts.len()).collect();
            while !left.is_empty() {
                let before = left.len();
                left.retain(|part| match order.turn(*part) {
                    Turn::Now => { order.over(*part, parts[*part].1); false }
                    Turn::Never { .. } => { order.over(*part, false); false }
                    Turn::Later => true,
                });
                prop_assert!(left.len() < before, "nobody's turn");
            }
        }
    }
}
