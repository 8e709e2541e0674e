//! How long a new link goes without hints. Pure: time comes in, a time comes out.

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;

/// A link that is lost so soon after hints were asked for on it may be lost by one. The NATS client ends its link at a
/// message whose headers it cannot read, a server passes such headers on, and whoever can forge a hint can forge that.
const SOON: Duration = Duration::from_secs(30);
/// So many such links in a row are a bad network, of which this should not make a worse one.
const FORGIVEN: u64 = 3;
/// Without hints a link stands, and all but the newest document gets through: for half of this at least, then twice as
/// long, up to minutes.
const WITHOUT_HINTS: Backoff = Backoff { first: Duration::from_secs(30), longest: Duration::from_secs(300) };

/// Whether hints are asked for at once. Where links live shorter than a wait none is made longer, so a bad network that
/// gets better is soon listened to again.
#[derive(Debug, Default)]
pub(super) struct HintCaution {
    /// When hints were asked for over the link that there is.
    asked_at: Option<Instant>,
    /// Links in a row that were lost soon after that.
    cut_off: u64,
}

impl HintCaution {
    /// Hints are asked for over a new link.
    pub(super) fn asked(&mut self, now: Instant) {
        self.asked_at = Some(now);
    }

    /// The link was lost.
    pub(super) fn lost(&mut self, now: Instant) {
        match self.asked_at.take() {
            Some(asked_at) if now - asked_at < SOON => self.cut_off = self.cut_off.saturating_add(1),
            Some(_) => self.cut_off = 0,
            None => {}
        }
    }

    /// How long the next link goes without; `None` for not at all. `random` is between 0 and 1.
    pub(super) fn wait(&self, random: f64) -> Option<Duration> {
        let waits = self.cut_off.checked_sub(FORGIVEN).filter(|waits| *waits > 0)?;
        Some(WITHOUT_HINTS.delay(waits, (1.0 + random) / 2.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// What the next link waits after one that lived for so long once hints were asked for.
    fn wait_after(caution: &mut HintCaution, lived: Duration) -> Option<Duration> {
        let now = Instant::now();
        caution.asked(now);
        caution.lost(now + lived);
        caution.wait(1.0)
    }

    #[test]
    fn links_that_are_cut_off_by_hints_go_without_for_longer_and_longer_up_to_minutes() {
        let mut caution = HintCaution::default();
        let waits = [(); 9].map(|()| wait_after(&mut caution, SECOND).map(|wait| wait.as_secs()));
        let expected = [None, None, None, Some(30), Some(60), Some(120), Some(240), Some(300), Some(300)];
        assert_eq!(waits, expected);
        assert_eq!(caution.wait(0.0), Some(SECOND * 150), "never less than half of it");
    }

    #[test]
    fn a_link_that_is_lost_before_hints_were_asked_for_says_nothing() {
        let mut caution = HintCaution::default();
        for _ in 0..4 {
            wait_after(&mut caution, SECOND);
        }
        caution.lost(Instant::now());
        assert_eq!(caution.wait(1.0), Some(SECOND * 30));
    }

    #[test]
    fn a_link_that_lives_on_with_hints_ends_all_caution() {
        let mut caution = HintCaution::default();
        for _ in 0..6 {
            wait_after(&mut caution, SECOND);
        }
        assert_eq!(wait_after(&mut caution, SOON), None);
        assert_eq!(wait_after(&mut caution, SECOND), None);
    }
}
