//! Signing by `harmonyctl`, judged by openssl and by devices.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use tempfile::TempDir;
use tests::{
    document::{authored, file, manifest},
    harmonyctl::Harmonyctl,
    signer::{Signer, key_id, openssl},
    site::{Access, DEVICE, Site},
};

use crate::status_words::converged_at;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn openssl_reads_what_keygen_makes_and_nothing_is_overwritten_unless_told() {
    let shell = Harmonyctl::with_environment(&[]);
    let folder = TempDir::with_prefix("harmony-keys-").unwrap();
    let [private, public] = ["signing.pem", "signing.pub.pem"].map(|name| folder.path().join(name));
    let out = private.to_str().unwrap();
    let ran = shell.run(&["keygen", "--out", out]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!((mode(&private), mode(&public)), (0o600, 0o644));
    assert!(ran.stdout.contains(&key_id(&public).await), "{}", ran.stdout);
    let of_private = openssl(&["pkey", "-in", out, "-pubout"]).await;
    assert_eq!(of_private, fs::read_to_string(&public).unwrap());

    let before = fs::read(&private).unwrap();
    let ran = shell.run(&["keygen", "--out", out]).await;
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("signing.pem is there already") && ran.stderr.contains("--force"),
        "{}",
        ran.stderr
    );
    fs::remove_file(&private).unwrap();
    let ran = shell.run(&["keygen", "--out", out]).await;
    assert_eq!((ran.code, private.exists()), (Some(2), false), "the public key is there: {}", ran.stderr);
    fs::write(&private, &before).unwrap();
    fs::set_permissions(&private, fs::Permissions::from_mode(0o644)).unwrap();
    let ran = shell.run(&["keygen", "--out", out, "--force"]).await;
    assert_eq!((ran.code, mode(&private)), (Some(0), 0o600), "{}", ran.stderr);
    assert_ne!(fs::read(&private).unwrap(), before);
}

#[tokio::test]
async fn apply_and_delete_sign_what_they_write_and_reads_show_what_is_inside_and_who_signed_it() {
    let site = Site::start(Access::Restricted).await;
    let key = Signer::new().await;
    let mut device = site.device().trusting(&[("platform.pem", &key.pem())]).with("heartbeat_interval", "1s");
    device.start();
    site.device_was_seen().await;
    let shell = Harmonyctl::new(site.server.url_with_credentials());
    let path = shell.file(&[authored(DEVICE, &[file("a", "/etc/a", "1")])]);
    let private = key.private_key();
    let apply = ["apply", "--timeout", "1h", "-f", &path];
    let signed = [&apply[..], &["--sign-key", &private]].concat();

    let ran = shell.run(&apply).await;
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains("Unsigned") && ran.stderr.contains("--sign-key"), "{}", ran.stderr);
    // The document is there already: only its signature is missing.
    let ran = shell.run(&signed).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("signed (generation 1)"), "{}", ran.stdout);
    assert_eq!(device.read("/etc/a"), "1");
    let ran = shell.run(&signed).await;
    assert!(ran.code == Some(0) && ran.stdout.contains("unchanged (generation 1)"), "{}", ran.stdout);

    let ran = shell.run(&["diff", "-f", &path]).await;
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    let ran = shell.run(&["describe", "agent", DEVICE]).await;
    assert!(ran.stdout.contains(&format!("signed by {}", key.key_id())), "{}", ran.stdout);
    assert!(ran.stdout.contains("AgentManifest 1.1.0"), "{}", ran.stdout);
    let ran = shell.run(&["convert", "agent", DEVICE]).await;
    assert!(ran.code == Some(0) && ran.stdout.contains("/etc/a"), "{}{}", ran.stdout, ran.stderr);

    shell.file(&[authored(DEVICE, &[file("a", "/etc/a", "2")])]);
    let ran = shell.run(&["diff", "-f", &path]).await;
    assert!(ran.code == Some(3) && !ran.stdout.contains("payload"), "{}", ran.stdout);
    let ran = shell.run(&apply).await;
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains("warning: ") && ran.stderr.contains(key.key_id()), "{}", ran.stderr);
    assert_eq!(device.read("/etc/a"), "1");

    let teardown = ["delete", "agent", DEVICE, "--teardown", "--timeout", "1h", "--sign-key", &private];
    let ran = shell.run(&teardown).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(!device.path("/etc/a").exists());
}

#[tokio::test]
async fn bytes_of_somebody_else_in_the_bucket_never_get_the_signature() {
    let site = Site::start(Access::Restricted).await;
    let key = Signer::new().await;
    let shell = Harmonyctl::new(site.server.url_with_credentials());
    let path = shell.file(&[authored(DEVICE, &[file("a", "/etc/a", "1")])]);
    let apply = ["apply", "--no-wait", "-f", &path];
    assert_eq!(shell.run(&apply).await.code, Some(0));
    let entry = site.platform.entry("desired-state", DEVICE).await.unwrap().unwrap();
    // The same for whoever reads it, and not what `harmonyctl` writes.
    let spaced = [&b" "[..], &entry.value].concat();
    site.platform.put_bytes(DEVICE, spaced).await;
    let ran = shell.run(&[&apply[..], &["--sign-key", &key.private_key()]].concat()).await;
    assert!(
        ran.code == Some(0) && ran.stdout.contains("configured (generation 2)"),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
}

#[tokio::test]
async fn a_time_of_issue_that_is_not_past_yet_never_gets_the_signature() {
    let site = Site::start(Access::Restricted).await;
    let key = Signer::new().await;
    let shell = Harmonyctl::new(site.server.url_with_credentials());
    let path = shell.file(&[authored(DEVICE, &[file("a", "/etc/a", "1")])]);
    let apply = ["apply", "--no-wait", "-f", &path];
    assert_eq!(shell.run(&apply).await.code, Some(0));
    let entry = site.platform.entry("desired-state", DEVICE).await.unwrap().unwrap();
    let text = std::str::from_utf8(&entry.value).unwrap();
    let year = text.find("\"issuedAt\":\"").unwrap() + "\"issuedAt\":\"".len();
    let ahead = format!("{}2099{}", &text[..year], &text[year + 4..]);
    site.platform.put_bytes(DEVICE, ahead.into_bytes()).await;
    let ran = shell.run(&[&apply[..], &["--sign-key", &key.private_key()]].concat()).await;
    assert!(ran.code == Some(0) && ran.stdout.contains("configured (generation 2)"), "{}", ran.stdout);
}

#[tokio::test]
async fn what_is_signed_without_a_server_is_verified_without_one_and_taken_by_the_device() {
    let site = Site::start(Access::Restricted).await;
    let [key, stranger] = [Signer::new().await, Signer::new().await];
    let mut device = site.device().trusting(&[("platform.pem", &key.pem())]);
    device.start();
    let shell = Harmonyctl::with_environment(&[]);
    let documents = shell.file(&[authored(DEVICE, &[file("a", "/etc/a", "1")])]);
    let sign = ["sign", "-f", &documents, "--sign-key", &key.private_key(), "--generation", "7"];
    let ran = shell.run(&sign).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    site.platform.put_bytes(DEVICE, ran.stdout.trim_end().as_bytes().to_vec()).await;
    site.platform.status_where(DEVICE, "converged", converged_at(7)).await;

    let folder = TempDir::with_prefix("harmony-signed-").unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let signed = write("signed.json", ran.stdout.as_bytes());
    let plain = write("plain.json", manifest(DEVICE, 7, &[]).to_string().as_bytes());
    let broken = write("broken.json", b"{");
    let openssls = write("openssl.json", key.seal(&manifest(DEVICE, 8, &[])).await.to_string().as_bytes());
    let trust = device.trust_folder().to_str().unwrap().to_owned();
    for (document, trusted, code, words) in [
        (&signed, ["--key", &key.public_key()], 0, "generation 7"),
        (&signed, ["--trust-dir", &trust], 0, key.key_id()),
        (&openssls, ["--key", &key.public_key()], 0, "generation 8"),
        (&signed, ["--key", &stranger.public_key()], 3, "UntrustedSignature"),
        (&plain, ["--key", &key.public_key()], 3, "Unsigned"),
        (&broken, ["--key", &key.public_key()], 2, "Malformed"),
        (&signed, ["--key", &key.private_key()], 2, "holds a private key"),
    ] {
        let ran = shell.run(&[&["verify", "-f", document][..], &trusted].concat()).await;
        assert_eq!(ran.code, Some(code), "{document} {trusted:?}: {}{}", ran.stdout, ran.stderr);
        assert!(format!("{}{}", ran.stdout, ran.stderr).contains(words), "{}{}", ran.stdout, ran.stderr);
    }
    let ran = shell.run(&["verify", "-f", &signed]).await;
    assert_eq!(ran.code, Some(2), "somebody has to be trusted: {}", ran.stderr);
}

#[tokio::test]
async fn a_key_that_is_none_and_a_document_that_is_too_long_once_signed_are_told_before_anything_is_written()
{
    let site = Site::start(Access::Restricted).await;
    let key = Signer::new().await;
    let shell = Harmonyctl::new(site.server.url_with_credentials());
    let folder = TempDir::with_prefix("harmony-keys-").unwrap();
    let rsa = folder.path().join("rsa.pem").to_str().unwrap().to_owned();
    openssl(&["genpkey", "-algorithm", "RSA", "-out", &rsa]).await;
    let path = shell.file(&[authored(DEVICE, &[file("a", "/etc/a", "1")])]);
    for (file, words) in [
        (rsa.as_str(), "no ed25519 private key"),
        (&key.public_key(), "no ed25519 private key"),
        ("/does/not/exist", "cannot read /does/not/exist"),
    ] {
        let ran = shell.run(&["apply", "--no-wait", "-f", &path, "--sign-key", file]).await;
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    let long = authored(DEVICE, &[file("a", "/etc/a", &"x".repeat(500_000))]);
    let path = shell.file(&[long]);
    let ran = shell.run(&["apply", "--no-wait", "-f", &path, "--sign-key", &key.private_key()]).await;
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("at most 655360"), "{}", ran.stderr);
    assert!(site.platform.entry("desired-state", DEVICE).await.unwrap().is_none());
}
