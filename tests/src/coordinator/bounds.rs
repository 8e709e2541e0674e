//! Judges how much devices ask of the server: so much a second, however long it lasts.
//!
//! That finds what goes on and on. What asks for a little too much shows when nothing is done to a fleet: [`quiet`].
//!
//! [`quiet`]: super::quiet

use std::{collections::BTreeMap, time::Duration};

use super::{
    record::{Body, Event, Record},
    verdict::Verdict,
};
use crate::platform::{ACTUAL_STATE, EVENTS, HEARTBEAT};

/// How often an agent may ask for something.
#[derive(Debug, Clone, Copy)]
struct Rate {
    per_second: u32,
    /// So many at once, besides.
    burst: u32,
}

/// Reads of one bucket (ADR-023).
const READS: Rate = Rate { per_second: 10, burst: 0 };
/// How much later one request may be seen than another that was made at the same time: a cable holds bytes
/// back, and the machine may be busy. It also has room for what each start may ask for at once.
const HELD: Duration = Duration::from_secs(8);

/// Writes there.
fn writes(place: &str) -> Rate {
    match place {
        // Wire contract: AgentStatus.
        ACTUAL_STATE => Rate { per_second: 4, burst: 0 },
        HEARTBEAT => Rate { per_second: 1, burst: 0 },
        // Wire contract, on events.
        EVENTS => Rate { per_second: 1, burst: 200 },
        _ => Rate { per_second: 0, burst: 0 },
    }
}

/// A bucket with a hole: what is asked for fills it, and time empties it.
#[derive(Debug, Default)]
struct Gauge {
    level: f64,
    at: Duration,
}

impl Gauge {
    /// Takes in one request. Says whether it is one too many.
    fn overflows(&mut self, at: Duration, Rate { per_second, burst }: Rate, agents: usize) -> bool {
        let agents = agents.max(1) as f64;
        let rate = f64::from(per_second) * agents;
        self.level = (self.level - rate * at.saturating_sub(self.at).as_secs_f64()).max(0.0) + 1.0;
        self.at = at;
        self.level > rate * HELD.as_secs_f64() + f64::from(burst) * agents
    }
}

/// Counts what each device asks for.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    reads: BTreeMap<(usize, &'static str), Gauge>,
    writes: BTreeMap<(usize, &'static str), Gauge>,
    running: Vec<Body>,
}

impl Bounds {
    pub(super) fn judge(&mut self, record: &Record) -> Result<(), Verdict> {
        let (device, what, rate, gauges) = match &record.event {
            Event::Started(body) => {
                self.running.push(*body);
                return Ok(());
            }
            Event::Ended(body) => {
                self.running.retain(|running| running != body);
                return Ok(());
            }
            Event::Reads(device, bucket) => (*device, *bucket, READS, &mut self.reads),
            Event::Writes(device, place) => (*device, *place, writes(place), &mut self.writes),
            _ => return Ok(()),
        };
        let agents = self.running.iter().filter(|body| body.device == device).count();
        if !gauges.entry((device, what)).or_default().overflows(record.at, rate, agents) {
            return Ok(());
        }
        let evidence = format!("{}, more than {rate:?} allows, for {HELD:?} and still more", record.event);
        Err(Verdict::Unbounded { device, evidence })
    }
}
