use std::os::unix::fs::PermissionsExt as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tempfile::TempDir;

use super::*;
use crate::secrets::seal;

/// A device's key and a box for it that libsodium made (PyNaCl 1.6.2, `Box.encrypt` with the nonce 0, 1, … 23, the
/// recipient's secret key being the bytes 0 to 31 and the sender's 100 to 131), behind the sender's public key.
const SEED: &str = "SXAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H74KM";
const PUBLIC: &str = "XCHUBRNNW2HSKYSK4WZBJ2TWPJXMSTMCTU6XWXQ22G5G6PRBHAUF76G7";
const BOX: &str = "WEI2WllKQlJNVTRZRVhBWVMzU1g2S0FaTzVESFNQSEdCUzdPSExLSDNLT1FQT0M3VVZQQ1ZLNjR4a3YxAAECAwQFBgcICQoLDA0ODxAREhMU\
                   FRYX4F+TVOWkvgbtoBYIkcn90SZ/mU3Ea5Pp";

fn folder_with(key: Option<&str>) -> (TempDir, StateLayout) {
    let folder = tempfile::tempdir().unwrap();
    let layout = StateLayout::of(folder.path());
    key.into_iter().for_each(|key| fs::write(layout.sealing_key(), key).unwrap());
    (folder, layout)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn of_libsodium() -> SealedValue {
    SealedValue::new(PUBLIC.parse().unwrap(), STANDARD.decode(BOX).unwrap()).unwrap()
}

#[test]
fn a_box_that_libsodium_made_opens() {
    let (_folder, layout) = folder_with(Some(SEED));
    let secrets = DeviceSecrets::load_or_make(&layout);
    assert_eq!(secrets.public().unwrap().as_str(), PUBLIC);
    assert_eq!(**secrets.open(&of_libsodium()).unwrap(), *b"hunter2\n");
}

#[test]
fn what_is_sealed_opens_on_its_device_and_nowhere_else() {
    let ((_one, one), (_two, two)) = (folder_with(None), folder_with(None));
    let [one, two] = [one, two].map(|layout| DeviceSecrets::load_or_make(&layout));
    for plain in [&b""[..], b"hunter2", &[0xff; 4096]] {
        let sealed = seal(plain, one.public().unwrap()).unwrap();
        assert_eq!(**one.open(&sealed).unwrap(), *plain);
        assert_eq!(sealed.plain_len(), plain.len());
        let foreign = two.open(&sealed).unwrap_err();
        assert_eq!(foreign.reason(), "SealedToAnotherKey");
        assert!(foreign.to_string().contains(two.public().unwrap().as_str()), "{foreign}");
        // Nor if it says that it is for that one.
        let (sender, boxed) = sealed.parts();
        let relabelled = SealedValue::new(two.public().unwrap().clone(), [sender, boxed].concat()).unwrap();
        assert_eq!(two.open(&relabelled).unwrap_err(), CannotUnseal::Damaged);
    }
}

#[test]
fn no_box_opens_with_a_bit_of_it_altered() {
    let (_folder, layout) = folder_with(Some(SEED));
    let secrets = DeviceSecrets::load_or_make(&layout);
    let whole = STANDARD.decode(BOX).unwrap();
    for byte in 0..whole.len() {
        let mut altered = whole.clone();
        altered[byte] ^= 1;
        let sealed = SealedValue::new(PUBLIC.parse().unwrap(), altered).unwrap();
        assert_eq!(secrets.open(&sealed).unwrap_err(), CannotUnseal::Damaged, "byte {byte}");
    }
}

#[test]
fn the_key_is_for_its_owner_alone_and_the_same_at_each_start() {
    let (_folder, layout) = folder_with(None);
    let first = DeviceSecrets::load_or_make(&layout);
    assert_eq!(mode(&layout.sealing_key()), 0o600);
    fs::set_permissions(layout.sealing_key(), fs::Permissions::from_mode(0o644)).unwrap();
    let second = DeviceSecrets::load_or_make(&layout);
    assert_eq!(mode(&layout.sealing_key()), 0o600, "one that somebody has opened to others is closed again");
    assert_eq!(first.public(), second.public());
    let content = Digest::of_bytes(b"hunter2");
    assert_eq!(first.fingerprint(content), second.fingerprint(content));
}

#[test]
fn fingerprints_tell_contents_apart_and_are_others_on_each_device() {
    let ((_one, one), (_two, two)) = (folder_with(None), folder_with(None));
    let [one, two] = [one, two].map(|layout| DeviceSecrets::load_or_make(&layout));
    let [content, other] = [b"hunter2", b"hunter3"].map(|content| Digest::of_bytes(content));
    assert_ne!(one.fingerprint(content), one.fingerprint(other));
    assert_ne!(one.fingerprint(content), two.fingerprint(content));
    let [of_one, of_other, of_two] = [(&one, content), (&one, other), (&two, content)]
        .map(|(key, content)| key.fingerprint(content).unwrap());
    assert_ne!(of_one.digest, content);
    assert_eq!(of_one.key, of_other.key, "it is one key");
    assert_ne!(of_one.key, of_two.key);
}

#[test]
fn a_damaged_key_is_set_aside_and_a_new_one_made() {
    for damaged in ["", "SX", &SEED[1..], PUBLIC, "\u{0}\u{0}"] {
        let (folder, layout) = folder_with(Some(damaged));
        let secrets = DeviceSecrets::load_or_make(&layout);
        let aside = folder.path().join("sealing.damaged-1.nk");
        assert_eq!(fs::read_to_string(&aside).unwrap(), damaged);
        assert_eq!(DeviceSecrets::load_or_make(&layout).public(), secrets.public());
        assert_eq!(secrets.open(&of_libsodium()).unwrap_err().reason(), "SealedToAnotherKey");
    }
}

/// A key that cannot be read now may be the right one later.
#[test]
fn a_key_that_cannot_be_read_is_left_alone_and_nothing_opens() {
    let (_folder, layout) = folder_with(None);
    fs::create_dir(layout.sealing_key()).unwrap();
    let secrets = DeviceSecrets::load_or_make(&layout);
    assert_eq!(secrets.public(), None);
    assert_eq!(secrets.open(&of_libsodium()).unwrap_err(), CannotUnseal::NoKey);
    assert!(layout.sealing_key().is_dir());
}

#[test]
fn neither_seed_nor_fingerprint_key_shows_in_debug_output() {
    let (_folder, layout) = folder_with(Some(SEED));
    let shown = format!("{:?}", DeviceSecrets::load_or_make(&layout));
    assert!(!shown.contains("SXAA") && shown.len() < 400, "{shown}");
}
