//! Where the container runtime listens.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// The usual sockets of a runtime of the whole device, the first one that is there counts.
const USUAL: [&str; 3] = ["/run/podman/podman.sock", "/run/docker.sock", "/var/run/docker.sock"];
/// Variables with which other clients are told of a socket, as `unix://PATH`.
const VARIABLES: [&str; 2] = ["CONTAINER_HOST", "DOCKER_HOST"];

/// The sockets to try, in order: only the one that is configured, or else that of the environment, that of a
/// runtime of the whole device and that of a runtime of this user.
pub fn container_sockets(configured: Option<PathBuf>) -> Vec<PathBuf> {
    candidates(configured, |name| std::env::var_os(name))
}

fn candidates(configured: Option<PathBuf>, variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    if let Some(configured) = configured {
        return vec![configured];
    }
    let of_environment = VARIABLES.into_iter().filter_map(|name| {
        let address = variable(name)?.into_string().ok()?;
        address.strip_prefix("unix://").filter(|path| path.starts_with('/')).map(PathBuf::from)
    });
    let of_user = variable("XDG_RUNTIME_DIR").map(|folder| Path::new(&folder).join("podman/podman.sock"));
    of_environment.chain(USUAL.into_iter().map(PathBuf::from)).chain(of_user).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(configured: Option<&str>, variables: &[(&str, &str)]) -> Vec<String> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        };
        let found = candidates(configured.map(PathBuf::from), variable);
        found.iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn a_configured_socket_is_the_only_one() {
        assert_eq!(shown(Some("/x.sock"), &[("DOCKER_HOST", "unix:///y.sock")]), ["/x.sock"]);
    }

    #[test]
    fn sockets_of_the_environment_come_first_and_that_of_the_user_last() {
        let variables = [("DOCKER_HOST", "unix:///y.sock"), ("XDG_RUNTIME_DIR", "/run/user/7")];
        let found = shown(None, &variables);
        assert_eq!((found[0].as_str(), found.len()), ("/y.sock", 5));
        assert_eq!(found[4], "/run/user/7/podman/podman.sock");
    }

    #[test]
    fn what_is_no_socket_of_this_device_is_passed_over() {
        for address in ["tcp://10.0.0.1:2375", "ssh://root@host/run/podman.sock", "unix://relative.sock", ""]
        {
            assert_eq!(shown(None, &[("DOCKER_HOST", address)]), USUAL, "{address}");
        }
    }
}
