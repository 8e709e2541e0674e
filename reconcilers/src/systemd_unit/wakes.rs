//! Claims of units that something happened to.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use agent_model::{Claim, UnitName};
use futures_core::Stream;
use futures_util::{StreamExt, stream};
use tokio::sync::Notify;

/// The units that are looked after, and which of them a pass should look at.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    units: Mutex<BTreeMap<UnitName, Watched>>,
    news: Notify,
}

/// What is known of a unit between passes.
#[derive(Debug, Default)]
struct Watched {
    /// Where it is on the bus.
    object: Option<String>,
    /// Whether a pass should look at it.
    is_due: bool,
    /// How the last job on it came out, where it did not come out well.
    job_result: Option<String>,
}

impl Wakes {
    /// Looks after these units and no others.
    pub(super) fn keep<'u>(&self, units: impl Iterator<Item = &'u UnitName>) {
        let mut known = self.lock();
        let kept = units.map(|unit| (unit.clone(), known.remove(unit).unwrap_or_default())).collect();
        *known = kept;
    }

    /// Notes where the unit is on the bus. Returns how its last job came out, where that was not well.
    pub(super) fn found(&self, unit: &UnitName, object: &str) -> Option<String> {
        let mut units = self.lock();
        let watched = units.get_mut(unit)?;
        watched.object = Some(object.to_owned());
        watched.job_result.clone()
    }

    /// Forgets how its last job came out: there will be another.
    pub(super) fn begins_anew(&self, unit: &UnitName) {
        if let Some(watched) = self.lock().get_mut(unit) {
            watched.job_result = None;
        }
    }

    /// Has the unit looked at.
    pub(super) fn wake(&self, unit: &UnitName) {
        self.wake_where(|name, _| name == unit);
    }

    /// Has the unit looked at that is there on the bus, if it is one of these.
    pub(super) fn wake_object(&self, object: &str) {
        self.wake_where(|_, watched| watched.object.as_deref() == Some(object));
    }

    /// Has the unit looked at, of which a job has ended.
    pub(super) fn job_ended(&self, unit: &str, result: &str) {
        self.wake_where(|name, watched| {
            let is_it = name.as_str() == unit;
            if is_it {
                // A job that another took the place of says nothing of the unit.
                let told = !matches!(result, "done" | "canceled" | "skipped");
                watched.job_result = told.then(|| result.to_owned());
            }
            is_it
        });
    }

    /// Has all units looked at.
    pub(super) fn wake_all(&self) {
        self.wake_where(|_, _| true);
    }

    fn wake_where(&self, mut is_meant: impl FnMut(&UnitName, &mut Watched) -> bool) {
        let mut any = false;
        for (name, watched) in self.lock().iter_mut() {
            if is_meant(name, watched) {
                (watched.is_due, any) = (true, true);
            }
        }
        if any {
            self.news.notify_one();
        }
    }

    async fn next(&self) -> Vec<UnitName> {
        loop {
            let due: Vec<UnitName> = self
                .lock()
                .iter_mut()
                .filter_map(|(name, watched)| std::mem::take(&mut watched.is_due).then(|| name.clone()))
                .collect();
            if !due.is_empty() {
                return due;
            }
            // A wake between the look and the wait leaves its notice.
            self.news.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<UnitName, Watched>> {
        self.units.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn wakes(wakes: Arc<Wakes>) -> impl Stream<Item = Claim> + Send + 'static {
    stream::unfold(wakes, |wakes| async move {
        let due = wakes.next().await;
        Some((stream::iter(due.into_iter().map(Claim::SystemdUnit)), wakes))
    })
    .flatten()
}
