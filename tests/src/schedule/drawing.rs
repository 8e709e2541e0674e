//! Draws what is done next, so that it can be done and has an end.

use std::{collections::BTreeMap, time::Duration};

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use super::{
    DEVICES, Servers, Step,
    action::{Action, Cable, Loss, Member, Server, Target},
    field::agent,
    paper::{FILES, Fault, PROCESS, Paper, content_of_all},
};
use crate::{
    coordinator::BY_HAND,
    platform::{ACTUAL_STATE, DESIRED_STATE},
    proxy::{Fate, Flow},
};

/// Longest pause between two steps.
const PAUSE: Duration = Duration::from_millis(500);
/// A cable that is not plugged in is again after so many steps: the longer a device is alone, the longer it
/// waits before it tries again.
const CABLE_STEPS: usize = 16;
/// A member of a cluster that is lost is regained after so many steps. A route that is silent for longer than the
/// servers have patience for is ended by them, and then hints are lost by no fault of a device.
const MEMBER_STEPS: usize = 8;
/// Agents that end without a word with one document this often must be in safe mode with the next one.
const ENDS: u32 = 3;

/// What the drawing knows of a device.
#[derive(Debug, Clone, Default)]
struct Plan {
    generation: u64,
    /// All that is in order, as it was written.
    papers: Vec<Paper>,
    /// What the next document may leave as it is.
    declares: BTreeMap<String, String>,
    running: bool,
    /// Steps since something was done to its cable; `None` while that is plugged in.
    unplugged: Option<usize>,
    /// Ends without a word since the last document.
    ends: u32,
    cloned: bool,
}

/// Draws one step after the other.
#[derive(Debug)]
pub(super) struct Drawing {
    rng: StdRng,
    servers: Servers,
    parts_members: bool,
    /// Steps since a member of the cluster was lost; `None` while there are all.
    lost: Option<usize>,
    devices: [Plan; DEVICES],
    backed_up: bool,
    alterations: u32,
}

/// The kinds of steps.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Change,
    SameSpec,
    Bad,
    Older,
    Conflict,
    Unassign,
    Unplug,
    Plug,
    Kill,
    Stop,
    Start,
    Crash,
    Alter,
    Forge,
    Clone,
    EndClone,
    Server,
    LoseMember,
    RegainMember,
}

impl Drawing {
    pub(super) fn new(servers: Servers, number: u64) -> Self {
        let running = Plan { running: true, ..Plan::default() };
        let mut rng = StdRng::seed_from_u64(number);
        Self {
            servers,
            // Half of them: those that need no resync find out whether hints get lost where they must not.
            parts_members: servers == Servers::Cluster && rng.random_bool(0.5),
            rng,
            lost: None,
            devices: std::array::from_fn(|_| running.clone()),
            backed_up: false,
            alterations: 0,
        }
    }

    /// Whether members of the cluster are cut off from each other.
    pub(super) fn parts_members(&self) -> bool {
        self.parts_members
    }

    pub(super) fn step(&mut self) -> Step {
        // Mostly little: faults that meet tell more than faults that come one by one.
        let after = PAUSE.mul_f64(self.rng.random::<f64>().powi(2));
        let unplugged = self.devices.iter_mut().flat_map(|plan| &mut plan.unplugged);
        unplugged.chain(&mut self.lost).for_each(|steps| *steps += 1);
        let overdue =
            self.devices.iter().position(|plan| plan.unplugged.is_some_and(|steps| steps > CABLE_STEPS));
        let (device, kind) = match overdue {
            _ if self.lost.is_some_and(|steps| steps > MEMBER_STEPS) => (0, Kind::RegainMember),
            Some(device) => (device, Kind::Plug),
            None => {
                let device = self.rng.random_range(0..DEVICES);
                (device, self.kind(device))
            }
        };
        Step { after, action: self.action(device, kind) }
    }

    /// Takes note that everything is put right. Gives a document in which everything is new for each device
    /// that has a clone until then.
    pub(super) fn heal(&mut self) -> BTreeMap<usize, Paper> {
        let cloned: Vec<usize> = (0..DEVICES).filter(|device| self.devices[*device].cloned).collect();
        for plan in &mut self.devices {
            (plan.running, plan.unplugged, plan.cloned) = (true, None, false);
        }
        self.lost = None;
        cloned.into_iter().map(|device| (device, self.new_paper(device))).collect()
    }

    /// A document for each device in which everything is new.
    pub(super) fn paper_for_each(&mut self) -> Vec<Paper> {
        (0..DEVICES).map(|device| self.new_paper(device)).collect()
    }

    fn new_paper(&mut self, device: usize) -> Paper {
        self.paper(device, |_, _| Content::New)
    }

    /// What can be done to a device as it stands, the likelier the heavier.
    fn kind(&mut self, device: usize) -> Kind {
        let plan = &self.devices[device];
        let written = !plan.papers.is_empty();
        let may_end = plan.running && plan.ends < ENDS;
        // All servers of a cluster at once is rarer than one of them, and takes them some seconds to get over.
        let (all_servers, one_of_them) = match self.servers {
            Servers::One => (7, 0),
            Servers::Cluster => (3, 16),
        };
        let is_lost = self.lost.is_some();
        let kinds = [
            (20, true, Kind::Change),
            (5, written, Kind::SameSpec),
            (6, true, Kind::Bad),
            (3, written, Kind::Older),
            (3, written, Kind::Conflict),
            (3, written, Kind::Unassign),
            (16, plan.unplugged.is_none(), Kind::Unplug),
            // One fault after the other: what was let through to the server is never answered.
            (6, plan.unplugged.is_some(), Kind::Unplug),
            (10, plan.unplugged.is_some(), Kind::Plug),
            (6, may_end, Kind::Kill),
            (8, may_end, Kind::Crash),
            (4, plan.running, Kind::Stop),
            (25, !plan.running, Kind::Start),
            (10, true, Kind::Alter),
            (5, true, Kind::Forge),
            (3, device != 0 && may_end && written && !plan.cloned, Kind::Clone),
            (6, plan.cloned && plan.ends < ENDS, Kind::EndClone),
            (all_servers, !is_lost, Kind::Server),
            (one_of_them, !is_lost, Kind::LoseMember),
            (12, is_lost, Kind::RegainMember),
        ];
        let possible: Vec<_> = kinds
            .into_iter()
            .filter(|(_, possible, _)| *possible)
            .map(|(weight, _, kind)| (weight, kind))
            .collect();
        let chosen = possible.choose_weighted(&mut self.rng, |(weight, _)| *weight);
        chosen.map_or(Kind::Change, |(_, kind)| *kind)
    }

    fn action(&mut self, device: usize, kind: Kind) -> Action {
        match kind {
            Kind::Change => {
                let paper = self.paper(device, |rng, before| match rng.random_range(0..10) {
                    0..5 => Content::New,
                    5..8 if before => Content::Same,
                    5..8 => Content::New,
                    _ => Content::Gone,
                });
                Action::Write(device, paper)
            }
            Kind::SameSpec => {
                let paper =
                    self.paper(device, |_, before| if before { Content::Same } else { Content::Gone });
                Action::Write(device, paper)
            }
            Kind::Bad => {
                let fault = *Fault::ALL.choose(&mut self.rng).unwrap_or(&Fault::Cut);
                let generation = self.devices[device].generation + 1;
                Action::Write(device, Paper::bad(&agent(device), generation, fault))
            }
            Kind::Older => {
                let papers = &self.devices[device].papers;
                let paper = papers[self.rng.random_range(0..papers.len())].clone();
                Action::Write(device, paper)
            }
            Kind::Conflict => self.conflict(device),
            Kind::Unassign => Action::Unassign(device),
            Kind::Unplug => {
                self.devices[device].unplugged.get_or_insert(0);
                Action::Cable(device, unplugged(&mut self.rng))
            }
            Kind::Plug => {
                self.devices[device].unplugged = None;
                Action::Cable(device, Cable::Plugged)
            }
            Kind::Kill => {
                self.ends(device, false);
                Action::Kill(device)
            }
            Kind::Stop => {
                self.devices[device].running = false;
                Action::Stop(device)
            }
            Kind::Start => {
                self.devices[device].running = true;
                Action::Start(device)
            }
            Kind::Crash => {
                // It may have crashed by the next step or not.
                self.ends(device, false);
                self.devices[device].ends += 1;
                Action::Crash(device, self.rng.random_range(0..60))
            }
            Kind::Alter => self.alter(device),
            Kind::Forge => Action::Forge(device, *[1, 10, 3000].choose(&mut self.rng).unwrap_or(&1)),
            Kind::Clone => {
                self.ends(device, true);
                self.devices[device].cloned = true;
                Action::Clone(device)
            }
            Kind::EndClone => {
                self.ends(device, true);
                self.devices[device].cloned = false;
                Action::EndClone(device)
            }
            Kind::Server => self.server(),
            Kind::LoseMember => self.lose_member(),
            Kind::RegainMember => {
                self.lost = None;
                Action::RegainMember
            }
        }
    }

    fn ends(&mut self, device: usize, starts_again: bool) {
        let plan = &mut self.devices[device];
        plan.ends += 1;
        plan.running = starts_again;
    }

    /// The next document of a device, which is in order. `content` says what becomes of each thing that it may
    /// declare, told whether the document before declares it.
    fn paper(&mut self, device: usize, content: impl Fn(&mut StdRng, bool) -> Content) -> Paper {
        let plan = &mut self.devices[device];
        plan.generation += 1;
        plan.ends = 0;
        let mut declares = BTreeMap::new();
        for claim in FILES.into_iter().chain((device == 0).then_some(PROCESS)) {
            let before = plan.declares.get(claim);
            let new = || match claim {
                PROCESS => plan.generation.to_string(),
                path => format!("{path} of generation {}", plan.generation),
            };
            let declared = match content(&mut self.rng, before.is_some()) {
                Content::New => Some(new()),
                Content::Same => before.cloned(),
                Content::Gone => None,
            };
            declares.extend(declared.map(|content| (claim.to_owned(), content)));
        }
        plan.declares.clone_from(&declares);
        let paper = Paper::good(&agent(device), plan.generation, declares);
        plan.papers.push(paper.clone());
        paper
    }

    /// Another document of the generation that was written last: a device takes whichever it sees first.
    fn conflict(&mut self, device: usize) -> Action {
        let plan = &mut self.devices[device];
        // What the device has of the two is not known, so the next document leaves nothing as it is.
        plan.declares.clear();
        let generation = plan.generation;
        let declares =
            content_of_all(|path| format!("{path} of generation {generation}, written by somebody else"));
        Action::Write(device, Paper::good(&agent(device), generation, declares))
    }

    fn alter(&mut self, device: usize) -> Action {
        self.alterations += 1;
        let content = self.rng.random_bool(0.7).then(|| format!("{BY_HAND} {}", self.alterations));
        Action::Alter(device, FILES[self.rng.random_range(0..FILES.len())], content)
    }

    fn server(&mut self) -> Action {
        let away = Duration::from_millis(self.rng.random_range(0..1500));
        let what = match self.rng.random_range(0..10) {
            0..2 => Server::Stop,
            2..5 => Server::Kill,
            5..7 => Server::BackUp,
            7..9 if self.backed_up => Server::Restore,
            7..9 => Server::BackUp,
            _ => Server::Empty,
        };
        self.backed_up |= what == Server::BackUp;
        Action::Server(what, away)
    }

    fn lose_member(&mut self) -> Action {
        self.lost = Some(0);
        // Who leads has more to lose than who follows.
        let member = match self.rng.random_range(0..6) {
            0..2 => Member::LeaderOf(DESIRED_STATE),
            2..4 => Member::LeaderOf(ACTUAL_STATE),
            _ => Member::At(self.rng.random_range(0..3)),
        };
        let slow = Loss::Slow(Duration::from_millis(self.rng.random_range(20..800)));
        let loss = match self.rng.random_range(0..10) {
            0..5 if self.parts_members => {
                *[Loss::Hold, Loss::CutOff].choose(&mut self.rng).unwrap_or(&Loss::Hold)
            }
            0..2 | 5 => Loss::Pause,
            6 => Loss::Stop,
            7 => slow,
            _ => Loss::Kill,
        };
        Action::LoseMember(member, loss)
    }
}

/// What becomes of something that a document may declare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    New,
    Same,
    Gone,
}

fn unplugged(rng: &mut impl Rng) -> Cable {
    match rng.random_range(0..14) {
        0..3 => Cable::Cut,
        3..5 => Cable::Flows(Flow::Hold, Flow::Hold),
        5 => Cable::Flows(Flow::Hold, Flow::Pass),
        6 => Cable::Flows(Flow::Pass, Flow::Hold),
        7 => {
            let slow = Flow::Delay(Duration::from_millis(rng.random_range(20..600)));
            Cable::Flows(slow, slow)
        }
        8 => {
            let satellite = Flow::Satellite { seed: rng.random() };
            Cable::Flows(satellite, satellite)
        }
        _ => {
            let late = Fate::Delay(Duration::from_millis(rng.random_range(20..3000)));
            let target = *Target::ALL.choose(rng).unwrap_or(&Target::Acks);
            let fate = *[Fate::Lose, Fate::Double, late, Fate::Keep].choose(rng).unwrap_or(&late);
            Cable::Tampers(target, fate)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_schedule_starves_a_device_or_makes_a_crash_loop_of_it() {
        let mut drawing = Drawing::new(Servers::One, 7);
        let mut unplugged = [0; DEVICES];
        for _ in 0..2_000 {
            let step = drawing.step();
            unplugged.iter_mut().filter(|steps| **steps > 0).for_each(|steps| *steps += 1);
            match step.action {
                Action::Cable(device, Cable::Plugged) => unplugged[device] = 0,
                Action::Cable(device, _) => unplugged[device] = unplugged[device].max(1),
                _ => {}
            }
            assert!(unplugged.iter().all(|steps| *steps <= CABLE_STEPS + DEVICES + 1), "{unplugged:?}");
            assert!(drawing.devices.iter().all(|plan| plan.ends <= ENDS + 1));
        }
    }

    #[test]
    fn contents_never_go_back_from_one_document_to_the_next() {
        let mut drawing = Drawing::new(Servers::One, 7);
        (0..2_000).for_each(|_| drop(drawing.step()));
        for plan in &drawing.devices {
            let mut last = BTreeMap::new();
            for (claim, content) in plan.papers.iter().flat_map(|paper| &paper.document.declares) {
                let generation: u64 = content.rsplit(' ').next().unwrap().parse().unwrap();
                assert!(last.insert(claim.clone(), generation).is_none_or(|before| before <= generation));
            }
        }
    }

    #[test]
    fn a_cluster_never_misses_more_than_one_member_nor_that_one_for_long() {
        for number in 0..4 {
            let mut drawing = Drawing::new(Servers::Cluster, number);
            let (mut since, mut losses, mut parts) = (None, 0, false);
            for step in 0..2_000 {
                match drawing.step().action {
                    Action::LoseMember(_, loss) => {
                        assert_eq!(since.replace(step), None, "a second one is lost");
                        losses += 1;
                        parts |= loss.parts();
                    }
                    Action::RegainMember => assert_ne!(since.take(), None, "none was lost"),
                    Action::Server(..) => assert_eq!(since, None, "all are taken away besides"),
                    _ => {}
                }
                assert!(since.is_none_or(|since| step - since <= MEMBER_STEPS), "it stays away");
            }
            assert!(losses > 100, "{losses}");
            assert_eq!(parts, drawing.parts_members());
        }
    }

    #[test]
    fn one_server_is_no_cluster() {
        let mut drawing = Drawing::new(Servers::One, 7);
        let actions = (0..2_000).map(|_| drawing.step().action);
        let of_clusters = actions.filter(|it| matches!(it, Action::LoseMember(..) | Action::RegainMember));
        assert_eq!(of_clusters.count(), 0);
    }
}
