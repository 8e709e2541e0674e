//! The Scores of this agent, with the bridge compiled in or not: the only place that asks.

use std::collections::BTreeMap;

use agent_core::policy::Switch;

/// The kind of their documents, by which every agent's policy knows them.
pub(crate) const SCORE: &str = "Score";

/// Whether they are read: only where somebody says so.
pub(crate) fn switch(switches: &BTreeMap<String, Switch>) -> Switch {
    switches.get(SCORE).copied().unwrap_or(Switch::Disabled)
}

#[cfg(feature = "score-bridge")]
pub(crate) use compiled_in::Scores;
#[cfg(not(feature = "score-bridge"))]
pub(crate) use compiled_out::Scores;

#[cfg(feature = "score-bridge")]
mod compiled_in {
    use agent_core::{dispatcher::Formats, policy::Switch};
    use agent_model::ResourceKind;
    use agent_score_bridge::{DeviceTopology, KIND, Score, ScoreBridge, ScoreRegistry};

    use crate::Agent;

    const REMEDY: &str = "set formats.Score = \"Enabled\" in its policy and start its agent again; until then, send it another kind of document";

    /// The Scores that there are.
    pub(crate) struct Scores(ScoreRegistry);

    impl Scores {
        /// Those that come with the bridge.
        pub(crate) fn built_in() -> Self {
            Self(ScoreRegistry::built_in())
        }

        /// These formats and the bridge, as far as it is permitted, and the Scores to advertise.
        pub(crate) fn join(
            self,
            formats: Formats,
            switch: Switch,
            kinds: impl Iterator<Item = ResourceKind>,
        ) -> (Formats, Vec<String>) {
            match switch {
                Switch::Disabled => (formats.with_disabled(KIND, REMEDY), Vec::new()),
                Switch::Enabled => {
                    let bridge = ScoreBridge::new(self.0, kinds);
                    let advertised = bridge.advertised();
                    (formats.with(bridge), advertised)
                }
            }
        }
    }

    impl Agent {
        /// This one with one more Score, which takes the place of one of the same name and version.
        #[must_use]
        pub fn with_score<S: Score<DeviceTopology>>(mut self) -> Self {
            self.scores = Scores(self.scores.0.with::<S>());
            self
        }
    }
}

#[cfg(not(feature = "score-bridge"))]
mod compiled_out {
    use agent_core::{dispatcher::Formats, policy::Switch};
    use agent_model::ResourceKind;

    /// No Scores.
    pub(crate) struct Scores;

    impl Scores {
        pub(crate) fn built_in() -> Self {
            Self
        }

        /// These formats, and no Scores to advertise.
        ///
        /// That they are permitted is no error: an agent that refused to start over it could not
        /// take the place of one that has them.
        pub(crate) fn join(
            self,
            formats: Formats,
            switch: Switch,
            _kinds: impl Iterator<Item = ResourceKind>,
        ) -> (Formats, Vec<String>) {
            if switch == Switch::Enabled {
                tracing::warn!(
                    "this agent is built without the Score bridge, so documents of the kind Score are refused although \
                     formats.Score = \"Enabled\" permits them; install an agent that is built with it, or set \"Disabled\""
                );
            }
            (formats, Vec::new())
        }
    }
}

#[cfg(test)]
mod tests {
    use agent_core::{dispatcher::Formats, policy::Switch};
    use agent_model::ResourceKind;

    use super::Scores;

    /// The kinds and the Scores that are advertised.
    fn advertised(switch: Switch) -> (Vec<String>, Vec<String>) {
        let (formats, scores) =
            Scores::built_in().join(Formats::none(), switch, [ResourceKind::File].into_iter());
        (formats.advertised().into_keys().collect(), scores)
    }

    #[test]
    fn without_permission_neither_the_kind_nor_a_score_is_advertised() {
        assert_eq!(advertised(Switch::Disabled), (vec![], vec![]));
    }

    #[cfg(feature = "score-bridge")]
    #[test]
    fn with_permission_the_kind_and_every_score_are_advertised() {
        let (kinds, scores) = advertised(Switch::Enabled);
        assert_eq!(kinds, ["Score"]);
        assert_eq!(
            scores,
            [
                "ConfigSet@0.1.0",
                "Container@0.1.0",
                "ContainerApp@0.1.0",
                "File@0.1.0",
                "Process@0.1.0",
                "ServiceApp@0.1.0",
                "ShellJob@0.1.0",
                "SystemdUnit@0.1.0"
            ]
        );
    }

    #[cfg(not(feature = "score-bridge"))]
    #[test]
    fn permission_alone_does_not_make_an_agent_read_scores() {
        assert_eq!(advertised(Switch::Enabled), (vec![], vec![]));
    }
}
