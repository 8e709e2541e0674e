//! Judges how much devices ask of the server: so much a second, however long it lasts.

use std::{collections::BTreeMap, time::Duration};

use super::{
    record::{Body, Event, Record},
    verdict::Verdict,
};

/// Reads of one bucket that an agent may make in a second (ADR-023).
const READS: u32 = 10;
/// Writes of its status (wire contract, section 4).
const WRITES: u32 = 4;
/// How much later one request may be seen than another that was made at the same time: a cable holds bytes
/// back, and the machine may be busy. It also has room for what each start may ask for at once.
const HELD: Duration = Duration::from_secs(8);

/// A bucket with a hole: what is asked for fills it, and time empties it.
#[derive(Debug, Default)]
struct Gauge {
    level: f64,
    at: Duration,
}

impl Gauge {
    /// Takes in one request. Says whether it is one too many.
    fn overflows(&mut self, at: Duration, per_second: u32, agents: usize) -> bool {
        let rate = f64::from(per_second) * agents.max(1) as f64;
        self.level = (self.level - rate * at.saturating_sub(self.at).as_secs_f64()).max(0.0) + 1.0;
        self.at = at;
        self.level > rate * HELD.as_secs_f64()
    }
}

/// Counts what each device asks for.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    reads: BTreeMap<(usize, &'static str), Gauge>,
    writes: BTreeMap<usize, Gauge>,
    running: Vec<Body>,
}

impl Bounds {
    pub(super) fn judge(&mut self, record: &Record) -> Result<(), Verdict> {
        let guilty = |device, what| {
            Err(Verdict::Unbounded { device, evidence: format!("{what} for {HELD:?} and still more") })
        };
        match &record.event {
            Event::Started(body) => self.running.push(*body),
            Event::Ended(body) => self.running.retain(|running| running != body),
            Event::Reads(device, bucket) => {
                let agents = self.agents(*device);
                let gauge = self.reads.entry((*device, bucket)).or_default();
                if gauge.overflows(record.at, READS, agents) {
                    return guilty(*device, format!("more than {READS} reads a second of {bucket}"));
                }
            }
            Event::Writes(device) => {
                let agents = self.agents(*device);
                let gauge = self.writes.entry(*device).or_default();
                if gauge.overflows(record.at, WRITES, agents) {
                    return guilty(*device, format!("more than {WRITES} writes a second"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn agents(&self, device: usize) -> usize {
        self.running.iter().filter(|body| body.device == device).count()
    }
}
