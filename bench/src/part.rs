//! What can be measured.

use std::fmt::Write as _;

use crate::{containers, convergence, crowd, endurance, idle, noop_pass, report, traffic};

/// One thing to measure, in the order of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Convergence,
    Noop,
    Idle,
    Traffic,
    Endurance,
    Containers,
    Crowd,
}

impl Part {
    const ALL: [Self; 7] = [
        Self::Convergence,
        Self::Noop,
        Self::Idle,
        Self::Traffic,
        Self::Endurance,
        Self::Containers,
        Self::Crowd,
    ];

    /// Its name as an argument and as the heading of its section.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Convergence => "convergence",
            Self::Noop => "noop",
            Self::Idle => "idle",
            Self::Traffic => "traffic",
            Self::Endurance => "endurance",
            Self::Containers => "containers",
            Self::Crowd => "crowd",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }

    /// Those that these arguments name, in the order of the report; all where there are none.
    ///
    /// # Errors
    /// With what to say where one of them names none.
    pub(crate) fn chosen(arguments: impl Iterator<Item = String>) -> Result<Vec<Self>, String> {
        // Cargo tells every bench that it is one.
        let names = arguments.filter(|argument| argument != "--bench");
        let mut chosen: Vec<Self> =
            names.map(|name| Self::named(&name).ok_or_else(|| unknown(&name))).collect::<Result<_, _>>()?;
        if chosen.is_empty() {
            return Ok(Self::ALL.to_vec());
        }
        chosen.sort_unstable();
        chosen.dedup();
        Ok(chosen)
    }

    /// What it is about, and for how long.
    pub(crate) fn announcement(self) -> String {
        match self {
            Self::Convergence => format!("put -> Converged: {} rounds twice", convergence::ROUNDS),
            Self::Noop => {
                format!("pass without changes over {} files: {} rounds", noop_pass::FILES, noop_pass::ROUNDS)
            }
            Self::Idle => format!("idle agent: {} s", idle::DURATION.as_secs()),
            Self::Traffic => "control traffic: some seven minutes".to_owned(),
            Self::Endurance => {
                format!(
                    "memory after {} documents and {} touches: some ten minutes",
                    endurance::DOCUMENTS,
                    endurance::TOUCHES
                )
            }
            Self::Containers => format!(
                "put -> Ready of a container: {} rounds; then {} of them for {} s",
                containers::ROUNDS,
                containers::IDLE,
                idle::DURATION.as_secs()
            ),
            Self::Crowd => "crowds of agents, then of bare devices: some twenty minutes".to_owned(),
        }
    }

    /// Measures it. Returns the figures in words.
    pub(crate) async fn measure(self) -> String {
        match self {
            Self::Convergence => report::convergence(&convergence::measure().await),
            Self::Noop => report::noop_pass(&noop_pass::measure().await),
            Self::Idle => report::idle(&idle::measure().await),
            Self::Traffic => report::traffic(&traffic::measure().await),
            Self::Endurance => report::endurance(&endurance::measure().await),
            Self::Containers => containers::words(&containers::measure().await),
            Self::Crowd => crowd::words(&crowd::measure(&crowd::sizes()).await),
        }
    }
}

fn unknown(name: &str) -> String {
    let mut message = format!("there is no part {name:?} to measure. There are:");
    for part in Part::ALL {
        let _ = write!(message, " {}", part.name());
    }
    message
}
