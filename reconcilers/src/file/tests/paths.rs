//! Which paths are walked, which folders made and removed, and where nothing may lead.

use super::*;

#[tokio::test]
async fn missing_parents_are_made_for_all_to_read_and_removed_when_empty() {
    let mut rig = Rig::new();
    rig.mkdir("/etc");
    rig.declare("/etc/app/conf.d/a", "one");
    assert!(rig.pass_one().await.is_ready());
    for folder in ["/etc/app", "/etc/app/conf.d"] {
        assert_eq!((rig.mode(folder), rig.owner(folder)), (0o755, own_ids()));
    }
    rig.drop("/etc/app/conf.d/a");
    assert_eq!(rig.pass_one().await.then, Standing::Gone);
    assert_eq!(rig.names("/etc"), [""; 0]);
    assert!(rig.exists("/etc"));
}

#[tokio::test]
async fn the_last_of_several_files_takes_the_shared_parents_away_in_whatever_order_they_go() {
    for order in [["/x/y/a", "/x/b", "/x/y/c"], ["/x/b", "/x/y/c", "/x/y/a"], ["/x/y/c", "/x/y/a", "/x/b"]] {
        let mut rig = Rig::new();
        rig.declare(order[0], "one");
        rig.pass().await;
        for path in &order[1..] {
            rig.declare(path, "one");
        }
        rig.pass().await;
        for (index, path) in order.iter().enumerate() {
            assert!(rig.exists("/x"));
            rig.drop(path);
            rig.pass().await;
            assert!(!rig.exists(path));
            assert!(order[index + 1..].iter().all(|path| rig.exists(path)));
        }
        assert_eq!(rig.names("/"), [""; 0]);
    }
}

#[tokio::test]
async fn a_file_that_takes_over_a_folder_in_the_pass_that_drops_the_other_finds_it_in_place() {
    let mut rig = Rig::new();
    rig.declare("/x/y/old", "one");
    rig.pass().await;
    rig.drop("/x/y/old");
    rig.declare("/x/y/new", "one");
    // The rig drops first, so the folder is gone by the time the new file is written.
    let outcomes = rig.pass().await;
    assert_eq!(outcomes["/x/y/old"].then, Standing::Gone);
    assert!(outcomes["/x/y/new"].is_ready(), "{outcomes:?}");
    assert_eq!(rig.names("/x/y"), ["new"]);
    rig.drop("/x/y/new");
    rig.pass().await;
    assert_eq!(rig.names("/"), [""; 0]);
}

#[tokio::test]
async fn a_created_folder_that_someone_else_uses_stays() {
    let mut rig = Rig::new();
    rig.declare("/x/y/a", "one");
    rig.pass().await;
    rig.put("/x/theirs", "");
    rig.drop("/x/y/a");
    assert_eq!(rig.pass_one().await.then, Standing::Gone);
    assert_eq!(rig.names("/x"), ["theirs"]);
}

#[tokio::test]
async fn a_lost_parent_is_drift_and_an_empty_one_is_removed_even_when_the_file_is_gone() {
    let mut rig = Rig::new();
    rig.declare("/x/y/a", "one");
    rig.pass().await;
    fs::remove_dir_all(rig.at("/x")).unwrap();
    assert!(rig.pass_one().await.altered);
    assert_eq!(rig.read("/x/y/a"), "one");
    fs::remove_file(rig.at("/x/y/a")).unwrap();
    rig.drop("/x/y/a");
    assert_eq!(rig.pass_one().await.then, Standing::Gone);
    assert_eq!(rig.names("/"), [""; 0]);
}

#[tokio::test]
async fn a_file_where_a_folder_is_needed_is_left_alone_and_a_dropped_claim_lets_go() {
    let mut rig = Rig::new();
    rig.declare("/x/a", "one");
    rig.pass().await;
    fs::remove_dir_all(rig.at("/x")).unwrap();
    rig.put("/x", "theirs");
    assert_eq!(rig.pass_one().await.failure(), "NotADirectory");
    rig.drop("/x/a");
    assert_eq!(rig.pass_one().await.then, Standing::Gone);
    assert_eq!(rig.read("/x"), "theirs");
}

#[tokio::test]
async fn what_is_no_regular_file_is_left_alone_until_it_is_gone() {
    let mut rig = Rig::new();
    rig.mkdir("/folder");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        rig.at("/pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(rig.at("/socket")).unwrap();
    for path in ["/folder", "/pipe", "/socket"] {
        rig.declare(path, "one");
    }
    for (path, outcome) in rig.pass().await {
        assert_eq!(outcome.failure(), "NotRegularFile", "{path}");
    }
    assert_eq!(rig.names("/"), ["folder", "pipe", "socket"]);
    fs::remove_dir(rig.at("/folder")).unwrap();
    fs::remove_file(rig.at("/pipe")).unwrap();
    fs::remove_file(rig.at("/socket")).unwrap();
    for (path, outcome) in rig.pass().await {
        assert!(outcome.is_ready(), "{path}: {outcome:?}");
        assert_eq!(rig.read(&path), "one");
    }
}

#[tokio::test]
async fn links_that_nobody_else_could_have_placed_are_followed() {
    let mut rig = Rig::new();
    rig.mkdir("/data/conf");
    rig.link("/relative", "data");
    rig.link("/absolute", "/data/conf");
    rig.link("/data/up", "../data/./conf//");
    rig.link("/chain", "relative/up");
    rig.link("/beyond", "../../../../data");
    for (path, real) in [
        ("/relative/conf/a", "/data/conf/a"),
        ("/absolute/b", "/data/conf/b"),
        ("/chain/c", "/data/conf/c"),
        ("/beyond/d", "/data/d"),
        ("/absolute/new/e", "/data/conf/new/e"),
    ] {
        rig.declare(path, "one");
        let outcomes = rig.pass().await;
        assert!(outcomes[path].is_ready(), "{path}: {outcomes:?}");
        assert_eq!(rig.read(real), "one");
    }
    rig.declared.clear();
    rig.pass().await;
    assert_eq!(rig.names("/data/conf"), [""; 0]);
    assert!(rig.exists("/relative") && rig.exists("/chain"));
}

#[tokio::test]
async fn two_paths_that_lead_to_one_file_do_not_fight_for_it() {
    let mut rig = Rig::new();
    rig.mkdir("/d");
    rig.link("/a", "d");
    rig.declare("/d/f", "one");
    rig.declare("/d/other", "one");
    assert!(rig.pass().await.values().all(Outcome::is_ready));
    // The first by name, but the other one has the file.
    rig.declare("/a/f", "two");
    for _ in 0..2 {
        let outcomes = rig.pass().await;
        assert_eq!(outcomes["/a/f"].failure(), "Conflict");
        assert!(outcomes["/d/f"].is_ready() && outcomes["/d/other"].is_ready(), "{outcomes:?}");
        assert!(outcomes.values().all(|outcome| outcome.steps.is_empty()), "{outcomes:?}");
        assert_eq!(rig.read("/d/f"), "one");
    }
    rig.drop("/d/f");
    rig.pass().await;
    assert!(rig.pass().await["/a/f"].is_ready());
    assert_eq!(rig.read("/d/f"), "two");
}

#[tokio::test]
async fn of_two_new_paths_to_one_file_the_first_by_name_has_it() {
    let mut rig = Rig::new();
    rig.put("/d/f", "theirs");
    rig.link("/l", "d");
    rig.declare("/d/f", "one");
    rig.declare("/l/f", "two");
    let outcomes = rig.pass().await;
    assert_eq!((outcomes["/l/f"].failure(), rig.read("/d/f").as_str()), ("Conflict", "one"));
    rig.declared.clear();
    rig.pass().await;
    assert_eq!(rig.read("/d/f"), "theirs");
}

#[tokio::test]
async fn an_absolute_link_never_leads_out_of_the_root() {
    let mut rig = Rig::new();
    let outside = rig.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    rig.link("/out", outside.to_str().unwrap());
    rig.declare("/out/a", "one");
    // Below the root there is no such folder.
    assert_eq!(rig.pass_one().await.failure(), "NotADirectory");
    assert_eq!(fs::read_dir(outside).unwrap().count(), 0);
}

#[tokio::test]
async fn links_that_somebody_else_could_have_placed_are_not_followed() {
    assert_root();
    let mut rig = Rig::new();
    rig.mkdir("/data");
    for (folder, mode) in [("/group", 0o775), ("/all", 0o757), ("/sticky", 0o1777), ("/ok", 0o755)] {
        rig.link(&format!("{folder}/link"), "/data");
        rig.chmod(folder, mode);
        rig.declare(&format!("{folder}/link/file{mode:o}"), "one");
    }
    rig.link("/foreign-folder/link", "/data");
    give_away(&rig.at("/foreign-folder"), 1000);
    rig.declare("/foreign-folder/link/a", "one");
    rig.link("/foreign-link", "/data");
    give_away(&rig.at("/foreign-link"), 1000);
    rig.declare("/foreign-link/b", "one");
    // A safe link that leads through an unsafe one.
    rig.link("/through", "all/link");
    rig.declare("/through/c", "one");

    for (path, outcome) in rig.pass().await {
        if path.starts_with("/ok/") {
            assert!(outcome.is_ready(), "{path}: {outcome:?}");
        } else {
            assert_eq!(outcome.failure(), "UnsafePath", "{path}");
        }
    }
    assert_eq!(rig.names("/data"), ["file755"]);
}

#[tokio::test]
async fn a_folder_that_somebody_swaps_for_a_link_after_a_pass_is_not_followed() {
    assert_root();
    let mut rig = Rig::new();
    rig.mkdir("/home/user");
    give_away(&rig.at("/home/user"), 1000);
    rig.declare("/home/user/app/conf", "one");
    assert!(rig.pass_one().await.is_ready());
    rig.put("/secret/conf", "secret");
    fs::remove_dir_all(rig.at("/home/user/app")).unwrap();
    rig.link("/home/user/app", "/secret");
    give_away(&rig.at("/home/user/app"), 1000);
    assert_eq!(rig.pass_one().await.failure(), "UnsafePath");
    rig.drop("/home/user/app/conf");
    assert_eq!(rig.pass_one().await.failure(), "UnsafePath");
    assert_eq!(rig.read("/secret/conf"), "secret");
}

#[tokio::test]
async fn endless_and_dangling_links_end_in_a_failure() {
    let mut rig = Rig::new();
    rig.link("/loop", "loop");
    rig.link("/dangling", "nowhere");
    rig.mkdir("/data");
    rig.link("/link0", "data");
    for index in 1..=40 {
        rig.link(&format!("/link{index}"), &format!("link{}", index - 1));
    }
    for path in ["/loop/a", "/dangling/a", "/link40/a", "/link39/b"] {
        rig.declare(path, "one");
    }
    let outcomes = rig.pass().await;
    assert_eq!(outcomes["/loop/a"].failure(), "UnsafePath");
    assert_eq!(outcomes["/dangling/a"].failure(), "NotADirectory");
    assert_eq!(outcomes["/link40/a"].failure(), "UnsafePath");
    assert!(outcomes["/link39/b"].is_ready());
}

#[tokio::test]
async fn nothing_leads_to_the_agents_own_files_however_it_is_spelt() {
    let mut rig = Rig::new();
    rig.put("/usr/bin/agent", "binary");
    fs::hard_link(rig.at("/usr/bin/agent"), rig.at("/usr/bin/second-name")).unwrap();
    rig.link("/alias", "usr/bin");
    rig.mkdir("/etc");
    for path in [
        "/usr/bin/agent",
        "/usr/bin/second-name",
        "/alias/agent",
        // Neither the policy nor its folder exists.
        "/etc/agent/policy.toml",
        "/etc/agent/policy.toml/below",
    ] {
        rig.declare(path, "one");
        assert_eq!(rig.pass_one().await.failure(), "PolicyDenied", "{path}");
        rig.drop(path);
    }
    assert_eq!(rig.read("/usr/bin/agent"), "binary");
    assert_eq!(rig.names("/etc"), [""; 0]);

    // What merely lies next to them is free.
    rig.declare("/etc/agent/other", "one");
    rig.declare("/usr/bin/other", "one");
    assert!(rig.pass().await.values().all(Outcome::is_ready));
    rig.declare("/etc/agent/policy.toml", "one");
    assert_eq!(rig.pass().await["/etc/agent/policy.toml"].failure(), "PolicyDenied");
}

#[tokio::test]
async fn the_links_that_lead_to_the_agents_own_files_are_protected_as_well() {
    let mut rig = Rig::new();
    rig.put("/real/agent-1.0", "binary");
    rig.link("/real/current", "agent-1.0");
    rig.link("/usr", "real-usr");
    rig.mkdir("/real-usr/bin");
    rig.link("/real-usr/bin/agent", "../../real/current");
    for path in ["/usr", "/real-usr/bin/agent", "/real/current", "/real/agent-1.0"] {
        rig.declare(path, "one");
        assert_eq!(rig.pass_one().await.failure(), "PolicyDenied", "{path}");
        rig.drop(path);
    }
    rig.declare("/usr/bin/free", "one");
    assert!(rig.pass_one().await.is_ready());
}

#[tokio::test]
async fn a_path_into_a_protected_folder_is_denied_in_every_pass_even_after_it_was_free() {
    let mut rig = Rig::new();
    rig.declare("/etc/agent/a", "one");
    assert!(rig.pass_one().await.is_ready());
    rig.reconciler = FileReconciler::new(FileReconcilerSettings {
        root: rig.dir.path().join("root"),
        originals: rig.dir.path().join("state/originals"),
        protected: vec![rig.at("/etc/agent")],
        unsealer: Arc::<crate::fake_unsealer::Transparent>::default(),
    });
    assert_eq!(rig.pass_one().await.failure(), "PolicyDenied");
    rig.drop("/etc/agent/a");
    assert_eq!(rig.pass_one().await.failure(), "PolicyDenied");
    assert_eq!(rig.read("/etc/agent/a"), "one");
}

#[tokio::test]
async fn a_root_inside_a_protected_folder_is_denied_wholly() {
    let mut rig = Rig::new();
    let state = rig.dir.path().join("state");
    rig.reconciler = FileReconciler::new(FileReconcilerSettings {
        root: state.join("sub"),
        originals: state.join("originals"),
        protected: vec![state.clone()],
        unsealer: Arc::<crate::fake_unsealer::Transparent>::default(),
    });
    fs::create_dir(state.join("sub")).unwrap();
    rig.declare("/a", "one");
    assert_eq!(rig.pass_one().await.failure(), "PolicyDenied");
}

#[tokio::test]
async fn a_step_never_follows_into_the_agents_own_files_what_was_a_folder_when_it_was_planned() {
    let mut rig = Rig::new();
    rig.reconciler = FileReconciler::new(FileReconcilerSettings {
        root: rig.dir.path().join("root"),
        originals: rig.dir.path().join("state/originals"),
        protected: vec![rig.at("/var/agent"), rig.at("/etc/agent")],
        unsealer: Arc::<crate::fake_unsealer::Transparent>::default(),
    });
    rig.put("/var/agent/ledger.json", "ledger");
    rig.mkdir("/etc");
    for (own, appears) in [("/var/agent", false), ("/var/agent", true), ("/etc/agent", true)] {
        rig.declared.clear();
        rig.mkdir("/folder");
        rig.declare("/folder/ledger.json", "one");
        let targets = rig.targets();
        let observed = rig.reconciler.observe(&targets).await;
        let plan = FileReconciler::plan(&targets[0], observed[0].as_ref().unwrap());
        assert!(!plan.steps.is_empty());

        // One that is replaced or made in the middle of the pass is known as well.
        if appears {
            let _ = fs::remove_dir_all(rig.at(own));
            rig.put(&format!("{own}/ledger.json"), "ledger");
        }
        fs::remove_dir(rig.at("/folder")).unwrap();
        rig.link("/folder", &own[1..]);
        for step in &plan.steps {
            let refused = rig.reconciler.apply(&targets[0], step).await.unwrap_err();
            assert_eq!(refused.reason, "PolicyDenied", "{own}, appears: {appears}");
        }
        assert_eq!(rig.names(own), ["ledger.json"]);
        assert_eq!(rig.read(&format!("{own}/ledger.json")), "ledger");
        fs::remove_file(rig.at("/folder")).unwrap();
    }
}
