use std::collections::{BTreeMap, BTreeSet};

use agent_model::{AgentId, UserKey};
use nkeys::KeyPair;
use tempfile::TempDir;

use super::*;
use crate::{
    accounts,
    claims::{Account, Claims, User},
    token,
};

fn made() -> (TempDir, Folder) {
    let temporary = TempDir::new().unwrap();
    let (folder, _) = Folder::make(&temporary.path().join("operator")).unwrap();
    (temporary, folder)
}

/// Every file below a folder, with its content.
fn snapshot(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(snapshot(&path));
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}

fn user() -> UserKey {
    KeyPair::new_user().public_key().parse().unwrap()
}

fn device() -> AgentId {
    "edge-0001".parse().unwrap()
}

#[test]
fn making_it_again_changes_nothing_and_nobody_else_can_read_it() {
    let (_temporary, folder) = made();
    let before = snapshot(folder.path());
    let (_, made) = Folder::make(folder.path()).unwrap();
    assert_eq!(made.iter().filter(|made| made.change != Change::Unchanged).count(), 0, "{made:?}");
    assert_eq!(snapshot(folder.path()), before);
    for path in before.keys().flat_map(|path| path.ancestors()).filter(|p| p.starts_with(folder.path())) {
        let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    }
}

#[test]
fn what_was_interrupted_before_the_first_key_is_done_again_and_a_note_beside_the_keys_stays() {
    for left in [&[][..], &["lock"], &["lock", "keys"], &["lock", "keys", "tokens", "credentials", "server"]]
    {
        let temporary = TempDir::new().unwrap();
        let path = temporary.path().join("operator");
        make_folder(&path).unwrap();
        for name in left {
            let file = path.join(name);
            if *name == "lock" { fs::write(file, "").unwrap() } else { make_folder(&file).unwrap() }
        }
        assert!(matches!(
            Folder::open(&path),
            Err(FolderError::NotAFolder(_) | FolderError::Unfinished { .. })
        ));
        Folder::make(&path).unwrap();
        fs::write(path.join("README"), "where the copies are").unwrap();
        Folder::make(&path).unwrap();
        Folder::open(&path).unwrap();
    }
}

/// A power cut leaves the files up to some point: whichever that is, making it again ends in a whole folder and keeps
/// the keys that were there.
#[test]
fn whatever_a_power_cut_left_is_continued_and_opening_it_before_says_so() {
    let (_temporary, folder) = made();
    let (_, made) = Folder::make(folder.path()).unwrap();
    for cut in 0..made.len() {
        let temporary = TempDir::new().unwrap();
        let path = temporary.path().join("operator");
        make_folder(&path).unwrap();
        fs::write(path.join("lock"), "").unwrap();
        for folder in ["keys", "tokens", "credentials", "server"] {
            make_folder(&path.join(folder)).unwrap();
        }
        for Made { file, .. } in &made[..cut] {
            fs::copy(folder.path().join(file), path.join(file)).unwrap();
        }
        // What was being written.
        fs::write(path.join("keys/operator.nk.tmp"), "S").unwrap();
        let refused = Folder::open(&path);
        let needs_only_credentials = made[cut..].iter().all(|made| made.file.starts_with("credentials"));
        assert!(
            needs_only_credentials || matches!(refused, Err(FolderError::Unfinished { .. })),
            "{cut}: {refused:?}"
        );
        let (again, _) = Folder::make(&path).unwrap();
        for Made { file, .. } in &made[..cut] {
            if !file.starts_with("server") {
                let [old, new] = [folder.path(), again.path()].map(|path| fs::read(path.join(file)).unwrap());
                assert_eq!(old, new, "{} was replaced", file.display());
            }
        }
        Folder::open(&path).unwrap();
    }
}

#[test]
fn a_key_that_was_lost_is_not_replaced_by_another() {
    for key in Key::ALL {
        let (_temporary, folder) = made();
        fs::remove_file(folder.path().join("keys").join(key.file())).unwrap();
        for refused in [Folder::open(folder.path()).map(|_| ()), Folder::make(folder.path()).map(|_| ())] {
            assert!(matches!(refused, Err(FolderError::LostKey(_))), "{key:?}: {refused:?}");
        }
    }
}

/// In a new one, nobody would be revoked.
#[test]
fn an_accounts_token_that_was_lost_is_not_replaced_by_another() {
    for account in FleetAccount::ALL {
        let (_temporary, folder) = made();
        let key = user();
        folder.try_lock().unwrap().unwrap().revoke(&key).unwrap();
        fs::remove_file(folder.path().join(files::token(account.name()))).unwrap();
        let locked = folder.try_lock().unwrap().unwrap();
        let mut refused = vec![Folder::open(folder.path()).map(|_| ()), locked.revoke(&user()).map(|_| ())];
        if account == FleetAccount::Devices {
            refused.push(locked.sign_device_user(&device(), &key).map(|_| ()));
        }
        drop(locked);
        refused.push(Folder::make(folder.path()).map(|_| ()));
        for refused in refused {
            assert!(matches!(refused, Err(FolderError::LostToken(_))), "{account}: {refused:?}");
        }
        assert!(!folder.path().join(files::token(account.name())).exists());
    }
}

#[test]
fn what_was_tampered_with_is_refused() {
    let (_one, folder) = made();
    let (_two, stranger) = made();
    for account in FleetAccount::ALL {
        let file = folder.path().join(files::token(account.name()));
        let before = fs::read(&file).unwrap();
        fs::copy(stranger.path().join(files::token(account.name())), &file).unwrap();
        let refused = Folder::open(folder.path());
        assert!(matches!(refused, Err(FolderError::Token { .. })), "{account}: {refused:?}");
        fs::write(&file, before).unwrap();
    }
    let [system, devices] = ["SYSTEM", "DEVICES"].map(|name| folder.path().join(files::token(name)));
    fs::copy(system, devices).unwrap();
    assert!(matches!(Folder::open(folder.path()), Err(FolderError::Subject { .. })));
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let (_temporary, folder) = made();
    let key = folder.path().join("keys/operator.nk");
    fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(Folder::open(folder.path()), Err(FolderError::Exposed(_))));
}

#[test]
fn a_folder_with_other_things_in_it_and_one_that_was_never_made_are_refused() {
    let temporary = TempDir::new().unwrap();
    fs::write(temporary.path().join("letter"), "").unwrap();
    for _ in 0..2 {
        let mode = fs::metadata(temporary.path()).unwrap().permissions().mode();
        assert!(matches!(Folder::make(temporary.path()), Err(FolderError::NotEmpty(_))));
        assert_eq!(fs::metadata(temporary.path()).unwrap().permissions().mode(), mode);
        // As package managers and the like have it.
        fs::write(temporary.path().join("lock"), "").unwrap();
        fs::set_permissions(temporary.path(), Permissions::from_mode(0o755)).unwrap();
    }
    assert!(matches!(Folder::open(temporary.path()), Err(FolderError::NotAFolder(_))));
}

#[test]
fn a_devices_user_is_signed_by_the_scope_and_named_as_the_device_is() {
    let (_temporary, folder) = made();
    let key = user();
    let token = folder.try_lock().unwrap().unwrap().sign_device_user(&device(), &key).unwrap();
    let claims: Claims<User> = token::verify(&token, &folder.keys.public(Key::DeviceUsers)).unwrap();
    assert_eq!(claims.registered.subject, key.as_str());
    assert_eq!(claims.registered.name, "edge-0001");
    assert_eq!(claims.registered.expires, None);
    assert_eq!(claims.nats, accounts::device_user(&folder.devices_account()));
}

#[test]
fn each_revocation_is_in_a_newer_token_and_stays_when_the_folder_is_made_again() {
    let (_temporary, folder) = made();
    let keys = [(); 3].map(|()| user());
    let mut seen = BTreeSet::new();
    let mut last = 0;
    for key in &keys {
        let token = folder.try_lock().unwrap().unwrap().revoke(key).unwrap().token;
        let claims: Claims<Account> = token::verify(&token, &folder.keys.public(Key::Operator)).unwrap();
        assert!(claims.registered.issued_at > last && seen.insert(claims.registered.id));
        last = claims.registered.issued_at;
        let configuration = fs::read_to_string(folder.accounts_configuration()).unwrap();
        assert!(configuration.contains(&token), "a server that lost its folder would not know of {key}");
    }
    Folder::make(folder.path()).unwrap();
    let revoked: Vec<String> = folder.revocations(FleetAccount::Devices).unwrap().into_keys().collect();
    assert_eq!(revoked.into_iter().collect::<BTreeSet<_>>(), keys.iter().map(|k| k.to_string()).collect());
}

#[test]
fn a_revoked_key_is_signed_for_no_id_and_is_out_whatever_clock_issued_its_tokens() {
    let (_temporary, folder) = made();
    let [key, other] = [(); 2].map(|()| user());
    let locked = folder.try_lock().unwrap().unwrap();
    locked.sign_device_user(&device(), &key).unwrap();
    locked.revoke(&key).unwrap();
    for id in [device(), "edge-0002".parse().unwrap()] {
        let refused = locked.sign_device_user(&id, &key);
        assert!(matches!(&refused, Err(FolderError::RevokedKey(of)) if *of == key), "{refused:?}");
        locked.sign_device_user(&id, &other).unwrap();
    }
    let a_century_ahead = now().unwrap() + 100 * 366 * 24 * 60 * 60;
    assert!(folder.revocations(FleetAccount::Devices).unwrap()[key.as_str()] > a_century_ahead);
}

/// A folder that was restored from a copy of before must let nobody in again.
#[test]
fn what_servers_know_to_be_revoked_is_taken_over_and_nobody_elses_word_is() {
    let (_temporary, folder) = made();
    let (_other, stranger) = made();
    let [known, later, never] = [(); 3].map(|()| user());
    let locked = folder.try_lock().unwrap().unwrap();
    locked.revoke(&known).unwrap();
    let copy = fs::read(folder.path().join(files::token("DEVICES"))).unwrap();
    let held = locked.revoke(&later).unwrap().token;
    fs::write(folder.path().join(files::token("DEVICES")), copy).unwrap();
    let lying = stranger.try_lock().unwrap().unwrap().revoke(&never).unwrap().token;
    for hostile in [lying.as_str(), "", "a.b.c"] {
        locked.take_over_revocations(FleetAccount::Devices, hostile).unwrap();
        locked.sign_device_user(&device(), &never).unwrap();
        locked.sign_device_user(&device(), &later).unwrap();
    }
    let taken = locked.take_over_revocations(FleetAccount::Devices, &held).unwrap().token;
    for key in [&known, &later] {
        let refused = locked.sign_device_user(&device(), key);
        assert!(matches!(refused, Err(FolderError::RevokedKey(_))), "{key}: {refused:?}");
    }
    assert_eq!(
        locked.take_over_revocations(FleetAccount::Devices, &held).unwrap().token,
        taken,
        "it changes again and again"
    );
    assert!(fs::read_to_string(folder.accounts_configuration()).unwrap().contains(&taken));
}

#[test]
fn while_somebody_changes_the_folder_nobody_else_does() {
    let (_temporary, folder) = made();
    let same = Folder::open(folder.path()).unwrap();
    let locked = folder.try_lock().unwrap();
    assert!(locked.is_some() && same.try_lock().unwrap().is_none());
    drop(locked);
    assert!(same.try_lock().unwrap().is_some());
}

/// Servers take two tokens of one second for the same, and the older of two for out of date: that must not depend on a
/// clock, which may have been set back.
#[test]
fn an_accounts_next_token_is_younger_than_its_last_whatever_the_clock_says() {
    let (_temporary, folder) = made();
    let ahead = now().unwrap() + 1_000_000;
    let (_, claims) = folder.account(FleetAccount::Devices).unwrap().unwrap();
    let id = folder.devices_account();
    let token = token::sign(folder.keys.pair(Key::Operator), &id, "DEVICES", ahead, claims.nats).unwrap();
    folder.write_token("DEVICES", &token).unwrap();
    for later in 1..=2 {
        folder.try_lock().unwrap().unwrap().revoke(&user()).unwrap();
        let (_, claims) = folder.account(FleetAccount::Devices).unwrap().unwrap();
        assert_eq!(claims.registered.issued_at, ahead + later);
    }
}

#[test]
fn renewed_credentials_have_a_new_key_and_the_old_one_is_revoked_in_its_own_account() {
    let (_temporary, folder) = made();
    for user in OwnUser::ALL {
        let others: Vec<_> = OwnUser::ALL.into_iter().filter(|other| *other != user).collect();
        let before: Vec<_> =
            others.iter().map(|other| fs::read(folder.credentials(*other)).unwrap()).collect();
        let old = folder.key_in_credentials(user).unwrap();
        assert_eq!(folder.user_with(&old).unwrap(), Some(user));
        let renewed = folder.try_lock().unwrap().unwrap().renew(user).unwrap();
        assert_eq!((&renewed.old, &renewed.file), (&old, &folder.credentials(user)));
        assert_eq!(folder.key_in_credentials(user).unwrap(), renewed.new);
        assert_ne!(renewed.new, old);
        let [ended, good] = [&old, &renewed.new].map(|key| folder.user_with(key).unwrap());
        assert_eq!((ended, good), (None, Some(user)));
        let mode = fs::metadata(&renewed.file).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        let revoked = folder.revocations(user.account()).unwrap();
        assert!(revoked.contains_key(old.as_str()) && !revoked.contains_key(renewed.new.as_str()));
        let token = folder.account_token(user.account()).unwrap().token;
        assert!(fs::read_to_string(folder.accounts_configuration()).unwrap().contains(&token));
        let after: Vec<_> =
            others.iter().map(|other| fs::read(folder.credentials(*other)).unwrap()).collect();
        assert_eq!(before, after);
    }
    let (_, made) = Folder::make(folder.path()).unwrap();
    assert!(made.iter().all(|made| made.change == Change::Unchanged), "{made:?}");
    assert_eq!(folder.revocations(FleetAccount::Devices).unwrap(), BTreeMap::new());
}

/// Whoever has to end a key must not be told that it is a device's.
#[test]
fn a_key_in_credentials_that_others_can_read_is_known_and_renewed_and_damaged_ones_are_nobodys_word() {
    let (_temporary, folder) = made();
    let file = folder.credentials(OwnUser::Platform);
    let key = folder.key_in_credentials(OwnUser::Platform).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    assert_eq!(folder.user_with(&key).unwrap(), Some(OwnUser::Platform));
    let renewed = folder.try_lock().unwrap().unwrap().renew(OwnUser::Platform).unwrap();
    assert_eq!(renewed.old, key);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    fs::write(&file, "-----BEGIN NATS USER JWT-----\na.b.c\n").unwrap();
    let refused = folder.user_with(&renewed.new);
    assert!(matches!(refused, Err(FolderError::Token { .. })), "{refused:?}");
    fs::remove_file(&file).unwrap();
    assert_eq!(folder.user_with(&renewed.new).unwrap(), None);
}

/// The revocation is written, and the new credentials are not.
#[test]
fn a_renewal_that_was_interrupted_is_done_again_and_ends_the_same_key() {
    let (_temporary, folder) = made();
    let file = folder.credentials(OwnUser::Platform);
    let before = fs::read(&file).unwrap();
    let locked = folder.try_lock().unwrap().unwrap();
    let first = locked.renew(OwnUser::Platform).unwrap();
    fs::write(&file, before).unwrap();
    let again = locked.renew(OwnUser::Platform).unwrap();
    assert_eq!(again.old, first.old);
    assert!(!folder.revocations(FleetAccount::Platform).unwrap().contains_key(again.new.as_str()));
    fs::write(&file, "-----BEGIN NATS USER JWT-----\na.b.c\n").unwrap();
    assert!(matches!(locked.renew(OwnUser::Platform), Err(FolderError::Token { .. })));
    fs::remove_file(&file).unwrap();
    assert!(matches!(locked.renew(OwnUser::Platform), Err(FolderError::LostCredentials(_))));
}
