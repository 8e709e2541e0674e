use agent_model::Conclusion;

use super::*;

fn key(text: &str) -> Digest {
    Digest::of_bytes(text.as_bytes())
}

fn job() -> ResourceName {
    "job".parse().unwrap()
}

fn history(folder: &Path, declared: &[Digest], ledger: Ledger) -> History {
    let history = History::of(folder.join("jobs.jsonl"));
    history.look(declared.iter().copied().collect(), ledger).unwrap();
    history
}

fn start(history: &History, of: Digest, run: &str, attempt: u64) {
    history.start(of, &job(), "1", key("script"), run, attempt).unwrap();
}

fn failed() -> Outcome {
    Outcome { conclusion: Conclusion::Failed, exit_code: Some(3), ..Outcome::interrupted() }
}

fn attempt_of(history: &History, of: &Digest) -> Option<(u64, bool)> {
    match history.of_key(of)? {
        Known::Run(run) => Some((run.attempt, run.outcome.is_some())),
        Known::Unknown => None,
    }
}

#[test]
fn what_was_noted_is_known_to_the_next_agent_and_what_a_power_cut_tore_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let first = history(folder.path(), &[], Ledger::KnowsOfNone);
    start(&first, key("a"), "r1", 1);
    first.end(key("a"), "r1", failed()).unwrap();
    start(&first, key("b"), "r2", 1);
    let file = folder.path().join("jobs.jsonl");
    let whole = fs::read(&file).unwrap();
    for cut in [0, 1, 40] {
        let mut torn = whole.clone();
        torn.extend(Line::Unknown { key: key("c") }.encode().unwrap()[..cut].to_vec());
        fs::write(&file, &torn).unwrap();
        let next = history(folder.path(), &[key("a"), key("b"), key("c")], Ledger::KnowsOfRuns);
        assert_eq!(attempt_of(&next, &key("a")), Some((1, true)));
        assert_eq!(attempt_of(&next, &key("b")), Some((1, false)));
        assert_eq!(next.of_key(&key("c")), None);
        assert_eq!(next.open_run_of(&job()).map(|(of, _)| of), Some(key("b")));
        // What is appended next does not join what was torn.
        next.end(key("b"), "r2", failed()).unwrap();
        let again = history(folder.path(), &[], Ledger::KnowsOfRuns);
        assert_eq!(attempt_of(&again, &key("b")), Some((1, true)));
    }
}

#[test]
fn a_start_that_was_none_gives_its_attempt_back() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(folder.path(), &[], Ledger::KnowsOfNone);
    start(&history, key("a"), "r1", 1);
    history.not_started(key("a"), "r1").unwrap();
    assert_eq!(history.of_key(&key("a")), None);
    start(&history, key("a"), "r2", 1);
    history.end(key("a"), "r2", failed()).unwrap();
    start(&history, key("a"), "r3", 2);
    assert_eq!(attempt_of(&history, &key("a")), Some((2, false)));
    history.not_started(key("a"), "r3").unwrap();
    assert_eq!(attempt_of(&history, &key("a")), Some((1, true)));
}

#[test]
fn of_a_history_that_is_lost_all_that_is_declared_is_unknown_and_what_comes_later_is_new() {
    let damage = |file: &Path| {
        let mut content = fs::read(file).unwrap();
        content[30] ^= 1;
        fs::write(file, content).unwrap();
    };
    let remove = |file: &Path| fs::remove_file(file).unwrap();
    type Loss<'a> = (&'a str, &'a dyn Fn(&Path));
    let losses: [Loss<'_>; 2] = [("gone", &remove), ("damaged", &damage)];
    for (how, lose) in losses {
        let folder = tempfile::tempdir().unwrap();
        let first = history(folder.path(), &[], Ledger::KnowsOfNone);
        start(&first, key("a"), "r1", 1);
        start(&first, key("b"), "r2", 1);
        lose(&folder.path().join("jobs.jsonl"));
        let next = history(folder.path(), &[key("a"), key("c")], Ledger::KnowsOfRuns);
        assert_eq!(next.of_key(&key("a")), Some(Known::Unknown), "{how}");
        assert_eq!(next.of_key(&key("c")), Some(Known::Unknown), "{how}");
        // And the one after that knows so too, and nothing else is unknown by now.
        let later = history(folder.path(), &[key("a"), key("d")], Ledger::KnowsOfRuns);
        assert_eq!(later.of_key(&key("a")), Some(Known::Unknown), "{how}");
        assert_eq!(later.of_key(&key("d")), None, "{how}");
    }
}

#[test]
fn where_no_ledger_knows_of_runs_and_none_was_lost_a_missing_history_is_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let new = history(folder.path(), &[key("a")], Ledger::KnowsOfNone);
    assert_eq!(new.of_key(&key("a")), None);
    new.ledger_was_lost();
    new.look([key("a")].into(), Ledger::KnowsOfNone).unwrap();
    assert_eq!(new.of_key(&key("a")), Some(Known::Unknown));
}

#[test]
fn the_file_stays_bounded_and_never_forgets_what_is_declared_or_has_not_ended() {
    let folder = tempfile::tempdir().unwrap();
    let declared = key("declared");
    let history = history(folder.path(), &[declared], Ledger::KnowsOfNone);
    start(&history, declared, "first", 1);
    history.end(declared, "first", failed()).unwrap();
    start(&history, key("open"), "second", 1);
    let mut state = history.lock();
    for number in 0..2 * REMEMBERED {
        let (of, run) = (key(&number.to_string()), number.to_string());
        let started = lines_of(
            of,
            &Known::Run(Box::new(JobRun {
                name: job(),
                run_id: String::new(),
                script: of,
                run: run.clone(),
                attempt: 1,
                at: String::new(),
                outcome: Some(failed()),
                before: None,
            })),
        );
        started.into_iter().for_each(|line| state.take(line));
    }
    history.rewrite(&mut state).unwrap();
    assert!(state.len < FULL, "{} bytes would be written anew each time", state.len);
    drop(state);
    let next = self::history(folder.path(), &[declared], Ledger::KnowsOfRuns);
    assert_eq!(attempt_of(&next, &declared), Some((1, true)));
    assert_eq!(attempt_of(&next, &key("open")), Some((1, false)));
    assert_eq!(next.of_key(&key("0")), None);
    assert_eq!(attempt_of(&next, &key(&(2 * REMEMBERED - 1).to_string())), Some((1, true)));
}

#[test]
fn a_file_that_somebody_removes_meanwhile_is_written_anew_with_all_that_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let first = history(folder.path(), &[], Ledger::KnowsOfNone);
    start(&first, key("a"), "r1", 1);
    fs::remove_file(folder.path().join("jobs.jsonl")).unwrap();
    start(&first, key("b"), "r2", 1);
    let next = history(folder.path(), &[], Ledger::KnowsOfRuns);
    assert_eq!(attempt_of(&next, &key("a")), Some((1, false)));
    assert_eq!(attempt_of(&next, &key("b")), Some((1, false)));
}
