//! The cables on which the members of a cluster talk to each other, to be pulled out one member at a time.
//!
//! ```text
//! member 0 ──cable 0▶1──▶ route port of member 1
//!          ◀──cable 1▶0──
//! ```
//!
//! There is one for each direction in which two members may connect: a member knows the others by these alone.

use crate::proxy::{Flow, Proxy};

/// The cable of each pair: who connects, and with whom.
#[derive(Debug)]
pub(super) struct RouteCables(Vec<(usize, usize, Proxy)>);

impl RouteCables {
    /// Cables to members with these route ports.
    pub(super) async fn lay(routes: [u16; 3]) -> Self {
        let mut cables = Vec::new();
        for from in 0..3 {
            for to in (0..3).filter(|to| *to != from) {
                cables.push((from, to, Proxy::start_for_routes(routes[to]).await));
            }
        }
        Self(cables)
    }

    /// Where that member finds the others.
    pub(super) fn ports_for(&self, member: usize) -> impl Iterator<Item = u16> {
        self.0.iter().filter(move |(from, ..)| *from == member).map(|(.., cable)| cable.port())
    }

    /// The cables that a member is on.
    fn of(&self, member: usize) -> impl Iterator<Item = &Proxy> {
        self.0.iter().filter(move |(from, to, _)| [from, to].contains(&&member)).map(|(.., cable)| cable)
    }

    /// Ends all connections between that member and the others, and refuses new ones.
    pub(super) fn cut(&self, member: usize) {
        self.of(member).for_each(Proxy::cut);
    }

    /// How the bytes between that member and the others fare.
    pub(super) fn set(&self, member: usize, flow: Flow) {
        self.of(member).for_each(|cable| cable.set(flow, flow));
    }
}
