//! Reading a bucket or a stream message by message, without a consumer: slower, and nothing that lies there can break it.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use async_nats::jetstream::stream;
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::{
    Start, StoreError, no_answer,
    same_store::SameStore,
    stored::{Stored, Wanted, asked_again, get},
};
use crate::{Breaking, Fleet};

/// How many questions are on their way at a time.
const TOGETHER: usize = 64;

/// The pause before it is asked again for what comes, when nothing had come.
const PAUSE: Duration = Duration::from_secs(1);

/// What comes on some subjects, asked for.
pub(super) struct Careful {
    fleet: Fleet,
    bucket: &'static str,
    /// Each subject, with the place in the stream from which on it is asked for.
    places: Vec<(String, u64)>,
    /// Those that were among what was there though they lie behind its end: they come no more.
    read_ahead: HashMap<String, u64>,
    ready: VecDeque<Stored>,
    same_store: SameStore,
}

impl Careful {
    /// Of these subjects, from that place on.
    pub(super) fn from(
        fleet: &Fleet,
        bucket: &'static str,
        subjects: Vec<String>,
        place: u64,
        same_store: SameStore,
    ) -> Self {
        let places = subjects.into_iter().map(|subject| (subject, place)).collect();
        let (fleet, ready) = (fleet.clone(), VecDeque::new());
        Self { fleet, bucket, places, read_ahead: HashMap::new(), ready, same_store }
    }

    /// What is there, and what comes from then on. `stream` is as it was when this began. Whatever was there then is
    /// part of the first: of a bucket the newest entries, however often they are replaced meanwhile.
    pub(super) async fn begin(
        fleet: &Fleet,
        bucket: &'static str,
        stream: &stream::Stream,
        subjects: Vec<String>,
        start: Start,
        mut same_store: SameStore,
    ) -> Result<(VecDeque<Stored>, Self), StoreError> {
        let last = stream.cached_info().state.last_sequence;
        let mut each = Vec::new();
        for subject in &subjects {
            match subject.contains('*') {
                true => each.extend(subjects_of(fleet, bucket, stream, subject).await?),
                false => each.push(subject.clone()),
            }
        }
        let read = futures_util::stream::iter(each)
            .map(|subject| async move {
                match start {
                    Start::Newest => {
                        let newest = get(fleet, bucket, Wanted::Last { last_by_subj: &subject }).await?;
                        Ok(newest.into_iter().collect())
                    }
                    Start::First => between(fleet, bucket, &subject, 1, last).await,
                }
            })
            .buffer_unordered(TOGETHER)
            .try_collect::<Vec<Vec<Stored>>>();
        let mut present: Vec<Stored> = read.await?.into_iter().flatten().collect();
        present.sort_by_key(|message| message.sequence);
        present.iter().for_each(|message| same_store.has_read(message.stored_at, message.sequence));
        let mut coming = Self::from(fleet, bucket, subjects, last + 1, same_store);
        let ahead = present.iter().filter(|message| message.sequence > last);
        coming.read_ahead = ahead.map(|message| (message.subject.clone(), message.sequence)).collect();
        Ok((present.into(), coming))
    }

    /// The next one. Dropping the future loses nothing.
    ///
    /// # Errors
    /// What is there now is not what was read, or the server does not answer: all has to be read again.
    pub(super) async fn next(&mut self) -> Result<Stored, StoreError> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(message);
            }
            self.same_store.confirmed().await?;
            let found = self.round().await?;
            if found.is_empty() {
                tokio::time::sleep(PAUSE).await;
            }
            // No await from here on: what is taken is kept.
            for (index, message) in found {
                self.same_store.has_read(message.stored_at, message.sequence);
                if let Some((_, place)) = self.places.get_mut(index) {
                    *place = message.sequence + 1;
                }
                if self.read_ahead.get(&message.subject).is_none_or(|ahead| message.sequence > *ahead) {
                    self.ready.push_back(message);
                }
            }
        }
    }

    /// The next message of each subject, in the order of the stream, with the place that it moves on.
    async fn round(&self) -> Result<Vec<(usize, Stored)>, StoreError> {
        let (fleet, bucket) = (&self.fleet, self.bucket);
        let asked = futures_util::stream::iter(self.places.clone().into_iter().enumerate())
            .map(|(index, (subject, place))| async move {
                let found = get(fleet, bucket, Wanted::Next { seq: place, next_by_subj: &subject }).await?;
                Ok(found.map(|message| (index, message)))
            })
            .buffer_unordered(TOGETHER)
            .try_collect::<Vec<_>>();
        let mut found: Vec<_> = asked.await?.into_iter().flatten().collect();
        found.sort_by_key(|(_, message)| message.sequence);
        Ok(found)
    }
}

/// The messages on a subject between two places, both included, in their order.
pub(super) async fn between(
    fleet: &Fleet,
    bucket: &'static str,
    subject: &str,
    first: u64,
    last: u64,
) -> Result<Vec<Stored>, StoreError> {
    let mut messages = Vec::new();
    let mut place = first;
    while place <= last {
        match get(fleet, bucket, Wanted::Next { seq: place, next_by_subj: subject }).await? {
            Some(message) if message.sequence <= last => {
                place = message.sequence + 1;
                messages.push(message);
            }
            _ => break,
        }
    }
    Ok(messages)
}

/// The subjects of a stream that match this one. Tells of those on which clients break.
pub(super) async fn subjects_of(
    fleet: &Fleet,
    bucket: &'static str,
    stream: &stream::Stream,
    filter: &str,
) -> Result<Vec<String>, StoreError> {
    let subjects: Vec<String> = asked_again(fleet, bucket, || async {
        let failed = |error| no_answer(fleet, bucket, error);
        let subjects = stream.info_with_subjects(filter).await.map_err(failed)?;
        subjects.map_ok(|(subject, _)| subject).try_collect().await.map_err(failed)
    })
    .await?;
    // The server puts this in the place of what is no UTF-8.
    for subject in subjects.iter().filter(|subject| subject.contains(char::REPLACEMENT_CHARACTER)) {
        fleet.tell(&Breaking { bucket, subject: subject.clone() });
    }
    Ok(subjects)
}
