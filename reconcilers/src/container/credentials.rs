//! Logins for registries, from a file of the device: containers-auth.json(5), which `podman login` and
//! `docker login` write.

use std::{fs, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bollard::auth::DockerCredentials;
use serde_json::Value;

/// Where `docker.io` keeps its logins.
const HUB: [&str; 3] = ["docker.io", "index.docker.io", "https://index.docker.io/v1/"];
/// No such file is longer, in bytes.
const LONGEST: u64 = 1 << 20;

/// The files to look in: only the one that is configured, or else the agent's own and root's usual ones.
pub fn registry_logins(configured: Option<PathBuf>) -> Vec<PathBuf> {
    if let Some(configured) = configured {
        return vec![configured];
    }
    let usual = ["/etc/harmony-agent/auth.json", "/run/containers/0/auth.json", "/root/.docker/config.json"];
    let of_user =
        std::env::var_os("XDG_RUNTIME_DIR").map(|folder| PathBuf::from(folder).join("containers/auth.json"));
    usual.into_iter().map(PathBuf::from).chain(of_user).collect()
}

/// The login for an image, from the first file that has one. Read each time: somebody may just have logged in.
pub(super) fn login_for(reference: &str, files: &[PathBuf]) -> Option<DockerCredentials> {
    files.iter().find_map(|path| {
        let is_sane = fs::metadata(path).ok().is_some_and(|found| found.is_file() && found.len() <= LONGEST);
        let text = if is_sane { fs::read(path).ok()? } else { return None };
        match serde_json::from_slice::<Value>(&text) {
            Ok(logins) => find(reference, &logins),
            Err(error) => {
                // Without a word of it: it is all secrets.
                tracing::warn!(path = %path.display(), line = error.line(), "this file of logins is not readable");
                None
            }
        }
    })
}

/// The login with the longest name that the image lies below: a registry may have one for each folder.
fn find(reference: &str, logins: &Value) -> Option<DockerCredentials> {
    let auths = logins.get("auths")?.as_object()?;
    let image = repository(reference);
    let registry = image.split('/').next().unwrap_or_default().to_owned();
    let holds =
        |name: &str| image == name || image.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
    let names = auths.iter().filter(|(name, _)| {
        let plain = name.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
        let plain = plain.strip_suffix("/v1").or_else(|| plain.strip_suffix("/v2")).unwrap_or(plain);
        holds(plain) || (registry == HUB[0] && HUB.contains(&name.as_str()))
    });
    let (_, login) = names.max_by_key(|(name, _)| name.len())?;
    let decoded = STANDARD.decode(login.get("auth")?.as_str()?.trim()).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (username, password) = decoded.split_once(':')?;
    Some(DockerCredentials {
        username: Some(username.to_owned()),
        password: Some(password.trim_end_matches('\0').to_owned()),
        serveraddress: Some(registry),
        identitytoken: login.get("identitytoken").and_then(Value::as_str).map(str::to_owned),
        ..DockerCredentials::default()
    })
}

/// The image's full name without tag and digest.
fn repository(reference: &str) -> String {
    let named = reference.split_once('@').map_or(reference, |(named, _)| named);
    let path_from = named.rfind('/').map_or(0, |slash| slash + 1);
    let name = named[path_from..].find(':').map_or(named, |colon| &named[..path_from + colon]);
    match name.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn user(reference: &str, logins: &Value) -> Option<String> {
        find(reference, logins)?.username
    }

    #[test]
    fn the_login_with_the_longest_name_above_the_image_counts() {
        let auth = |user: &str| json!({"auth": STANDARD.encode(format!("{user}:secret"))});
        let logins = json!({"auths": {
            "registry.example.com": auth("all"),
            "registry.example.com/team": auth("team"),
            "https://other.example.com:5000/v2/": auth("other"),
            "https://index.docker.io/v1/": auth("hub"),
            "broken.example.com": {"auth": "?"},
        }});
        for (reference, expected) in [
            ("registry.example.com/app:1", Some("all")),
            ("registry.example.com/team/app@sha256:00", Some("team")),
            ("registry.example.com/teams/app", Some("all")),
            ("other.example.com:5000/app", Some("other")),
            ("busybox", Some("hub")),
            ("team/app:1", Some("hub")),
            ("broken.example.com/app", None),
            ("localhost/app:1", None),
        ] {
            assert_eq!(user(reference, &logins).as_deref(), expected, "{reference}");
        }
        let password = find("registry.example.com/app", &logins).unwrap().password;
        assert_eq!(password.as_deref(), Some("secret"));
        assert_eq!(user("registry.example.com/app", &json!([])), None);
    }
}
