//! What was there when the claim was taken comes back when it is given up.

use super::*;

#[tokio::test]
async fn a_new_file_has_the_content_mode_and_owner_declared_and_goes_with_its_claim() {
    let mut rig = Rig::new();
    rig.declare("/app.conf", "one");
    let created = rig.pass_one().await;
    assert!(created.is_ready() && created.altered);
    assert_eq!(created.steps, ["write /app.conf"]);
    assert_eq!(rig.read("/app.conf"), "one");
    assert_eq!((rig.mode("/app.conf"), rig.owner("/app.conf")), (0o644, own_ids()));
    assert_eq!(rig.names("/"), ["app.conf"]);

    let again = rig.pass_one().await;
    assert!(again.is_ready());
    assert_eq!(again.steps, [""; 0]);

    rig.drop("/app.conf");
    let removed = rig.pass_one().await;
    assert_eq!(removed.then, Standing::Gone);
    assert_eq!(removed.steps, ["remove /app.conf"]);
    assert_eq!(rig.names("/"), [""; 0]);
    assert!(rig.ledger.is_empty());
}

#[tokio::test]
async fn a_replaced_file_comes_back_with_its_mode_and_owner_after_any_number_of_updates() {
    assert_root();
    let mut rig = Rig::new();
    rig.put("/app.conf", "theirs");
    rig.chmod("/app.conf", 0o4750);
    give_away(&rig.at("/app.conf"), 1234);
    rig.chmod("/app.conf", 0o4750);
    for content in ["one", "two", "three", "theirs"] {
        rig.declare("/app.conf", content);
        assert!(rig.pass_one().await.altered);
        assert_eq!(rig.read("/app.conf"), content);
        assert_eq!((rig.mode("/app.conf"), rig.owner("/app.conf")), (0o644, own_ids()));
        assert_eq!(rig.originals(), 1);
    }
    rig.drop("/app.conf");
    assert_eq!(rig.pass_one().await.then, Standing::Gone);
    assert_eq!(rig.read("/app.conf"), "theirs");
    assert_eq!((rig.mode("/app.conf"), rig.owner("/app.conf")), (0o4750, (1234, 1234)));
    assert_eq!(rig.originals(), 0);
}

#[tokio::test]
async fn a_file_that_is_already_as_declared_is_not_touched_and_stays() {
    let mut rig = Rig::new();
    rig.put("/app.conf", "one");
    rig.chmod("/app.conf", 0o644);
    let before = fs::metadata(rig.at("/app.conf")).unwrap();
    rig.declare("/app.conf", "one");
    let adopted = rig.pass_one().await;
    assert!(adopted.is_ready() && !adopted.altered, "{adopted:?}");
    rig.drop("/app.conf");
    assert_eq!(rig.pass_one().await.then, Standing::Gone);
    let after = fs::metadata(rig.at("/app.conf")).unwrap();
    assert_eq!((before.ino(), before.ctime_nsec()), (after.ino(), after.ctime_nsec()));
    assert_eq!(rig.originals(), 0);
}

#[tokio::test]
async fn an_adopted_file_that_was_updated_comes_back_as_it_was_adopted() {
    let mut rig = Rig::new();
    rig.put("/app.conf", "one");
    rig.chmod("/app.conf", 0o644);
    rig.declare("/app.conf", "one");
    rig.pass().await;
    rig.declare_as("/app.conf", "two", |spec| spec.mode = "0600".parse().unwrap());
    assert!(rig.pass_one().await.altered);
    rig.drop("/app.conf");
    rig.pass().await;
    assert_eq!((rig.read("/app.conf").as_str(), rig.mode("/app.conf")), ("one", 0o644));
}

#[tokio::test]
async fn a_replaced_link_comes_back_as_the_link_and_what_it_points_to_is_never_touched() {
    assert_root();
    let mut rig = Rig::new();
    rig.put("/elsewhere", "theirs");
    rig.link("/app.conf", "elsewhere");
    give_away(&rig.at("/app.conf"), 77);
    rig.declare("/app.conf", "one");
    assert!(rig.pass_one().await.altered);
    assert!(fs::symlink_metadata(rig.at("/app.conf")).unwrap().is_file());
    assert_eq!((rig.read("/app.conf").as_str(), rig.read("/elsewhere").as_str()), ("one", "theirs"));

    rig.drop("/app.conf");
    assert_eq!(rig.pass_one().await.then, Standing::Gone);
    assert_eq!(fs::read_link(rig.at("/app.conf")).unwrap().to_str(), Some("elsewhere"));
    assert_eq!(rig.owner("/app.conf"), (77, 77));
    assert_eq!(rig.names("/"), ["app.conf", "elsewhere"]);
}

#[tokio::test]
async fn what_someone_else_wrote_since_is_left_alone_on_removal() {
    let mut rig = Rig::new();
    rig.put("/app.conf", "theirs");
    rig.declare("/app.conf", "one");
    rig.pass().await;
    rig.put("/app.conf", "newer");
    rig.drop("/app.conf");
    assert_eq!(rig.pass_one().await.then, Standing::Gone);
    assert_eq!(rig.read("/app.conf"), "newer");
    assert_eq!(rig.originals(), 0);
}

#[tokio::test]
async fn drift_never_becomes_the_original() {
    let mut rig = Rig::new();
    rig.put("/app.conf", "theirs");
    rig.declare("/app.conf", "one");
    rig.pass().await;
    rig.put("/app.conf", "drift");
    assert_eq!(rig.pass_one().await.steps, ["write /app.conf"]);
    rig.drop("/app.conf");
    rig.pass().await;
    assert_eq!(rig.read("/app.conf"), "theirs");
}

#[tokio::test]
async fn two_files_with_the_same_original_share_it_and_the_last_one_releases_it() {
    let mut rig = Rig::new();
    for path in ["/a", "/b"] {
        rig.put(path, "same");
        rig.declare(path, "ours");
    }
    rig.pass().await;
    assert_eq!(rig.originals(), 1);
    rig.drop("/a");
    rig.pass().await;
    assert_eq!((rig.read("/a").as_str(), rig.originals()), ("same", 1));
    rig.drop("/b");
    rig.pass().await;
    assert_eq!((rig.read("/b").as_str(), rig.originals()), ("same", 0));
}

#[tokio::test]
async fn a_damaged_original_leaves_the_target_alone_and_a_repaired_one_is_restored() {
    let mut rig = Rig::new();
    rig.put("/app.conf", "theirs");
    rig.declare("/app.conf", "one");
    rig.pass().await;
    rig.drop("/app.conf");
    let folder = rig.dir.path().join("state/originals");
    let kept = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();

    for damage in ["thears", "their"] {
        fs::write(&kept, damage).unwrap();
        assert_eq!(rig.pass_one().await.failure(), "OriginalLost");
        assert_eq!(rig.read("/app.conf"), "one");
        assert_eq!(rig.names("/"), ["app.conf"]);
    }
    fs::write(&kept, "theirs").unwrap();
    assert_eq!(rig.pass_one().await.then, Standing::Gone);
    assert_eq!(rig.read("/app.conf"), "theirs");
}

#[tokio::test]
async fn an_original_that_lies_there_again_is_kept_again_before_it_is_overwritten() {
    let mut rig = Rig::new();
    rig.put("/app.conf", "theirs");
    rig.declare("/app.conf", "one");
    rig.pass().await;
    let earlier = rig.ledger.clone();
    rig.drop("/app.conf");
    rig.pass().await;
    assert_eq!((rig.read("/app.conf").as_str(), rig.originals()), ("theirs", 0));

    rig.ledger = earlier;
    rig.declare("/app.conf", "one");
    assert_eq!(rig.pass_one().await.steps, ["keep the original of /app.conf", "write /app.conf"]);
    rig.drop("/app.conf");
    assert_eq!(rig.pass_one().await.then, Standing::Gone);
    assert_eq!(rig.read("/app.conf"), "theirs");
}

#[tokio::test]
async fn releasing_drops_what_no_kept_record_names_and_may_be_repeated() {
    let mut rig = Rig::new();
    for (path, original) in [("/a", "same"), ("/b", "same"), ("/c", "other")] {
        rig.put(path, original);
        rig.declare(path, "ours");
    }
    rig.pass().await;
    assert_eq!(rig.originals(), 2);
    let record = |path: &str| rig.ledger[&path.parse().unwrap()].clone();
    // Two of one record, as when a pass replaced it more than once.
    let dropped = [record("/a"), record("/a"), record("/c")];
    for _ in 0..2 {
        rig.reconciler.release(&dropped, &[record("/b")]).await;
        assert_eq!(rig.originals(), 1);
    }
    rig.reconciler.release(&dropped, &dropped).await;
    assert_eq!(rig.originals(), 1);
    rig.drop("/b");
    rig.pass().await;
    assert_eq!(rig.read("/b"), "same");
}

#[tokio::test]
async fn an_original_too_large_to_keep_is_left_alone() {
    let mut rig = Rig::new();
    rig.put("/big", "");
    fs::File::options().write(true).open(rig.at("/big")).unwrap().set_len((64 << 20) + 1).unwrap();
    rig.declare("/big", "one");
    assert_eq!(rig.pass_one().await.failure(), "OriginalTooLarge");
    assert_eq!(fs::metadata(rig.at("/big")).unwrap().len(), (64 << 20) + 1);
    assert_eq!((rig.hashed(), rig.originals()), (0, 0));
}

#[tokio::test]
async fn a_power_cut_after_any_step_loses_neither_the_original_nor_the_way_back() {
    for cut in 0..3 {
        for (abandoned, expected) in [(true, "theirs"), (false, "two")] {
            let mut rig = Rig::new();
            rig.put("/app.conf", "theirs");
            rig.declare("/app.conf", "one");
            rig.pass_until(cut).await;
            if cut < 2 {
                // What a crash in the middle of the write leaves.
                fs::write(rig.at(&temporary_of("/app.conf")), "on").unwrap();
            }
            rig.restart();
            if abandoned {
                rig.drop("/app.conf");
            } else {
                rig.declare("/app.conf", "two");
            }
            let after = rig.pass_one().await;
            assert!(!matches!(after.then, Standing::Failed(_)), "{after:?}");
            assert_eq!(rig.read("/app.conf"), expected, "cut after {cut} steps");
            assert_eq!(rig.names("/"), ["app.conf"], "cut after {cut} steps");

            rig.declared.clear();
            rig.pass().await;
            assert_eq!(rig.read("/app.conf"), "theirs", "cut after {cut} steps");
            assert_eq!(rig.names("/"), ["app.conf"]);
        }
    }
}

#[tokio::test]
async fn a_power_cut_in_a_removal_leaves_no_temporary_file_for_good() {
    let mut rig = Rig::new();
    rig.put("/app.conf", "theirs");
    rig.declare("/app.conf", "one");
    rig.pass().await;
    rig.drop("/app.conf");
    rig.pass_until(0).await;
    fs::write(rig.at(&temporary_of("/app.conf")), "the").unwrap();
    rig.restart();
    assert_eq!(rig.pass_one().await.then, Standing::Gone);
    assert_eq!((rig.read("/app.conf").as_str(), rig.names("/").len()), ("theirs", 1));
}

#[tokio::test]
async fn what_somebody_else_put_under_the_temporary_name_is_left_alone() {
    let mut rig = Rig::new();
    let temporary = temporary_of("/app.conf");
    rig.put("/app.conf", "theirs");
    rig.declare("/app.conf", "one");
    rig.put(&temporary, "precious");
    for _ in 0..2 {
        assert_eq!(rig.pass_one().await.failure(), "InTheWay");
        assert_eq!((rig.read("/app.conf").as_str(), rig.read(&temporary).as_str()), ("theirs", "precious"));
    }
    fs::remove_file(rig.at(&temporary)).unwrap();
    assert!(rig.pass_one().await.is_ready());

    // It hinders nothing while there is nothing to write, and a removal not for ever.
    rig.mkdir(&temporary);
    assert!(rig.pass_one().await.is_ready());
    rig.drop("/app.conf");
    for _ in 0..2 {
        assert_eq!(rig.pass_one().await.failure(), "InTheWay");
        assert_eq!(rig.read("/app.conf"), "one");
    }
    fs::remove_dir(rig.at(&temporary)).unwrap();
    assert_eq!(rig.pass_one().await.then, Standing::Gone);
    assert_eq!(rig.read("/app.conf"), "theirs");
}

#[tokio::test]
async fn what_takes_the_temporary_name_after_the_look_is_not_overwritten() {
    let mut rig = Rig::new();
    rig.declare("/app.conf", "one");
    let targets = rig.targets();
    let observed = rig.reconciler.observe(&targets).await.remove(0).unwrap();
    let plan = FileReconciler::plan(&targets[0], &observed);
    let temporary = temporary_of("/app.conf");
    rig.put(&temporary, "precious");
    let failure = rig.reconciler.apply(&targets[0], &plan.steps[0]).await.unwrap_err();
    assert_eq!((failure.reason.as_ref(), rig.read(&temporary).as_str()), ("InTheWay", "precious"));
}

#[tokio::test]
async fn a_step_that_was_done_already_may_be_done_again() {
    let mut rig = Rig::new();
    rig.put("/app.conf", "theirs");
    rig.declare("/app.conf", "one");
    let targets = rig.targets();
    let observed = rig.reconciler.observe(&targets).await.remove(0).unwrap();
    let plan = FileReconciler::plan(&targets[0], &observed);
    assert_eq!(plan.steps.len(), 2);
    rig.reconciler.apply(&targets[0], &plan.steps[0]).await.unwrap();
    for _ in 0..2 {
        rig.reconciler.apply(&targets[0], &plan.steps[1]).await.unwrap();
        assert_eq!(rig.read("/app.conf"), "one");
    }
}

#[tokio::test]
async fn what_changed_between_look_and_step_is_not_overwritten_unseen() {
    let mut rig = Rig::new();
    rig.put("/app.conf", "theirs");
    rig.declare("/app.conf", "one");
    let targets = rig.targets();
    let observed = rig.reconciler.observe(&targets).await.remove(0).unwrap();
    let plan = FileReconciler::plan(&targets[0], &observed);
    fs::remove_file(rig.at("/app.conf")).unwrap();
    rig.put("/app.conf", "newer");
    for step in &plan.steps {
        let failure = rig.reconciler.apply(&targets[0], step).await.unwrap_err();
        assert_eq!(failure.reason, "ChangedMeanwhile", "{}", step.summary());
        assert_eq!(rig.read("/app.conf"), "newer");
    }
    assert_eq!((rig.originals(), rig.names("/").len()), (0, 1));

    rig.pass().await;
    rig.drop("/app.conf");
    rig.pass().await;
    assert_eq!(rig.read("/app.conf"), "newer");
}

#[tokio::test]
async fn what_changed_between_look_and_removal_is_not_removed_unseen() {
    for original in [None, Some("theirs")] {
        let mut rig = Rig::new();
        if let Some(original) = original {
            rig.put("/app.conf", original);
        }
        rig.declare("/app.conf", "one");
        rig.pass().await;
        rig.drop("/app.conf");
        let targets = rig.targets();
        let observed = rig.reconciler.observe(&targets).await.remove(0).unwrap();
        let plan = FileReconciler::plan(&targets[0], &observed);
        fs::remove_file(rig.at("/app.conf")).unwrap();
        rig.put("/app.conf", "newer");
        let failure = rig.reconciler.apply(&targets[0], &plan.steps[0]).await.unwrap_err();
        assert_eq!(failure.reason, "ChangedMeanwhile");
        assert_eq!((rig.read("/app.conf").as_str(), rig.names("/").len()), ("newer", 1));
    }
}

#[tokio::test]
async fn a_file_that_got_a_second_name_since_the_look_keeps_its_mode() {
    let mut rig = Rig::new();
    rig.put("/app.conf", "one");
    rig.chmod("/app.conf", 0o600);
    rig.declare("/app.conf", "one");
    let targets = rig.targets();
    let observed = rig.reconciler.observe(&targets).await.remove(0).unwrap();
    let plan = FileReconciler::plan(&targets[0], &observed);
    assert_eq!(plan.steps.len(), 2);
    fs::hard_link(rig.at("/app.conf"), rig.at("/second")).unwrap();
    let failure = rig.reconciler.apply(&targets[0], &plan.steps[1]).await.unwrap_err();
    assert_eq!((failure.reason.as_ref(), rig.mode("/second")), ("ChangedMeanwhile", 0o600));
}
