//! Drift, owners, and what a pass over files that did not change costs.

use super::*;

#[tokio::test]
async fn every_kind_of_drift_is_repaired() {
    let mut rig = Rig::new();
    rig.mkdir("/d");
    rig.declare("/d/f", "one");
    rig.pass().await;
    type Drift = fn(&Rig);
    let drifts: [(Drift, &str); 7] = [
        (|rig| rig.put("/d/f", "two"), "write /d/f"),
        (|rig| rig.put("/d/f", "longer than before"), "write /d/f"),
        (|rig| fs::remove_file(rig.at("/d/f")).unwrap(), "write /d/f"),
        (|rig| fs::remove_dir_all(rig.at("/d")).unwrap(), "write /d/f"),
        (
            |rig| {
                fs::remove_file(rig.at("/d/f")).unwrap();
                rig.link("/d/f", "elsewhere");
            },
            "write /d/f",
        ),
        (|rig| fs::hard_link(rig.at("/d/f"), rig.at("/d/second")).unwrap(), ""),
        (|rig| rig.chmod("/d/f", 0o4777), "write /d/f"),
    ];
    for (drift, repair) in drifts {
        drift(&rig);
        let outcome = rig.pass_one().await;
        assert!(outcome.is_ready());
        assert_eq!(outcome.steps.concat(), repair);
        assert_eq!((rig.read("/d/f").as_str(), rig.mode("/d/f")), ("one", 0o644));
    }
    // The file of two names was replaced: the other name keeps what it had.
    assert_eq!(rig.mode("/d/second"), 0o4777);
}

#[tokio::test]
async fn a_wrong_mode_or_owner_is_set_on_the_file_itself() {
    assert_root();
    let mut rig = Rig::new();
    rig.declare_as("/f", "one", |spec| {
        spec.mode = "4750".parse().unwrap();
        (spec.owner, spec.group) = (named("1001"), named("1002"));
    });
    assert!(rig.pass_one().await.is_ready());
    let as_declared = |rig: &Rig| (rig.mode("/f"), rig.owner("/f"));
    assert_eq!(as_declared(&rig), (0o4750, (1001, 1002)));
    let inode = fs::metadata(rig.at("/f")).unwrap().ino();

    rig.chmod("/f", 0o644);
    assert_eq!(rig.pass_one().await.steps, ["set mode 4750 and owner 1001:1002 of /f"]);
    give_away(&rig.at("/f"), 7);
    assert_eq!(rig.pass_one().await.steps, ["set mode 4750 and owner 1001:1002 of /f"]);
    assert_eq!(as_declared(&rig), (0o4750, (1001, 1002)));
    assert_eq!(fs::metadata(rig.at("/f")).unwrap().ino(), inode);
    assert_eq!(rig.pass_one().await.steps, [""; 0]);
}

#[tokio::test]
async fn owners_are_found_by_name_and_unknown_ones_fail_alone() {
    assert_root();
    let mut rig = Rig::new();
    rig.declare_as("/known", "one", |spec| (spec.owner, spec.group) = (named("root"), named("root")));
    rig.declare_as("/user", "one", |spec| spec.owner = named("no-such-user-here"));
    rig.declare_as("/group", "one", |spec| spec.group = named("no-such-group-here"));
    let outcomes = rig.pass().await;
    assert!(outcomes["/known"].is_ready());
    assert_eq!(rig.owner("/known"), (0, 0));
    assert_eq!(outcomes["/user"].failure(), "UnknownUser");
    assert_eq!(outcomes["/group"].failure(), "UnknownGroup");
    assert_eq!(rig.names("/"), ["known"]);
}

#[tokio::test]
async fn a_file_whose_mode_shuts_out_its_owner_is_settled_and_can_be_given_back() {
    if own_ids().0 == 0 {
        // Root is shut out by no mode.
        return as_nobody("a_file_whose_mode_shuts_out_its_owner_is_settled_and_can_be_given_back");
    }
    for mode in ["0000", "0200"] {
        let mut rig = Rig::new();
        rig.put("/f", "theirs");
        rig.chmod("/f", 0);
        rig.declare_as("/f", "one", |spec| spec.mode = mode.parse().unwrap());
        let outcome = rig.pass_one().await;
        assert!(outcome.altered && outcome.is_ready(), "{outcome:?}");
        for restart in [false, true, false] {
            if restart {
                rig.restart();
            }
            let outcome = rig.pass_one().await;
            assert!(outcome.steps.is_empty() && outcome.is_ready(), "{outcome:?}");
        }
        let declared: u32 = u32::from_str_radix(mode, 8).unwrap();
        assert_eq!(rig.mode("/f"), declared);

        rig.declare("/f", "one");
        assert_eq!(rig.pass_one().await.steps.len(), 1);
        assert_eq!((rig.read("/f").as_str(), rig.mode("/f")), ("one", 0o644));
        rig.declare_as("/f", "one", |spec| spec.mode = mode.parse().unwrap());
        assert!(rig.pass_one().await.is_ready());

        rig.drop("/f");
        assert_eq!(rig.pass_one().await.then, Standing::Gone);
        assert_eq!(rig.mode("/f"), 0);
        rig.chmod("/f", 0o400);
        assert_eq!(rig.read("/f"), "theirs");
    }
}

/// Runs one of these tests by a user without rights.
fn as_nobody(test: &str) {
    use std::os::unix::process::CommandExt as _;

    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // Where this program lies, that user may not come.
    let program = dir.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let ran = std::process::Command::new(program)
        .args(["--exact", &format!("file::tests::upkeep::{test}")])
        .current_dir("/")
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
async fn readers_see_the_old_or_the_new_content_and_never_half_of_one() {
    let mut rig = Rig::new();
    let contents = ["a".repeat(200_000), "b".repeat(200_000)];
    rig.declare("/f", &contents[0]);
    rig.pass().await;
    let (path, stop) = (rig.at("/f"), Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let reader = std::thread::spawn({
        let (contents, stop) = (contents.clone(), Arc::clone(&stop));
        move || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let read = fs::read_to_string(&path).unwrap();
                assert!(contents.contains(&read), "{} bytes of neither", read.len());
            }
        }
    });
    for turn in 1..20 {
        rig.declare("/f", &contents[turn % 2]);
        assert!(rig.pass_one().await.altered);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    reader.join().unwrap();
}

#[tokio::test]
async fn a_pass_over_a_thousand_unchanged_files_hashes_none_of_them() {
    let mut rig = Rig::with_settled_files();
    for index in 0..1000 {
        rig.declare(&format!("/d{}/f{index}", index % 10), "the same");
    }
    assert!(rig.pass().await.values().all(|outcome| outcome.altered));
    // Each is hashed at most once: when it was seen for the first time.
    rig.restart();
    rig.pass().await;
    assert_eq!(rig.hashed(), 1000);
    for _ in 0..3 {
        assert!(rig.pass().await.values().all(|outcome| outcome.is_ready() && outcome.steps.is_empty()));
    }
    assert_eq!(rig.hashed(), 1000);

    rig.put("/d3/f3", "the sane");
    let repaired: Vec<_> = rig.pass().await.into_iter().filter(|(_, outcome)| outcome.altered).collect();
    assert_eq!(repaired.len(), 1);
    assert_eq!((repaired[0].0.as_str(), rig.hashed()), ("/d3/f3", 1001));
}

#[tokio::test]
async fn a_file_changed_a_moment_ago_is_hashed_again_because_its_times_prove_nothing_yet() {
    let mut rig = Rig::new();
    rig.declare("/f", "one");
    rig.pass().await;
    for pass in 1..=3 {
        assert_eq!(rig.pass_one().await.steps, [""; 0]);
        assert_eq!(rig.hashed(), pass);
    }
}

#[tokio::test]
async fn contents_show_in_no_plan_observation_or_record() {
    let mut rig = Rig::new();
    rig.put("/f", "swordfish");
    rig.declare("/f", "hunter2");
    let targets = rig.targets();
    let observed = rig.reconciler.observe(&targets).await.remove(0).unwrap();
    let plan = FileReconciler::plan(&targets[0], &observed);
    let shown = format!("{targets:?} {observed:?} {plan:?} {}", plan.steps[0].summary());
    assert!(!shown.contains("hunter2") && !shown.contains("swordfish"));
}

#[tokio::test]
async fn one_file_that_fails_does_not_keep_others_from_being_repaired() {
    let mut rig = Rig::new();
    rig.mkdir("/bad");
    for path in ["/a", "/bad", "/z"] {
        rig.declare(path, "one");
    }
    let outcomes = rig.pass().await;
    assert_eq!(outcomes["/bad"].failure(), "NotRegularFile");
    assert!(outcomes["/a"].is_ready() && outcomes["/z"].is_ready());
}

#[tokio::test]
async fn without_a_root_every_file_fails_and_says_why() {
    let mut rig = Rig::new();
    rig.declare("/a", "one");
    fs::remove_dir(rig.at("/")).unwrap();
    assert_eq!(rig.pass_one().await.failure(), "IoError");
}
