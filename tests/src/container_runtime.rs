//! A container runtime of a test's own: a private podman or docker behind its socket, and images for it.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use crate::{
    agent::Agent,
    docker::Docker,
    eventually::eventually,
    nats_server::free_ports,
    podman::Podman,
    process::{Finished, Process, built_in, finish},
    small_disk::SmallDisk,
};

/// The image that every such runtime has: busybox, which sleeps unless told otherwise.
pub const BOX: &str = "localhost/box:1";
/// The same with another id.
pub const OTHER_BOX: &str = "localhost/box:2";

/// What busybox is linked to in images.
const COMMANDS: [&str; 14] = [
    "cat", "env", "echo", "false", "head", "httpd", "id", "kill", "mount", "nc", "sh", "sleep", "touch",
    "true",
];

/// Which runtime that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Podman, whose containers need no service.
    Podman,
    /// Docker's engine, whose containers end with it.
    Docker,
}

/// A runtime with its service. That of podman runs unless a test ends it.
#[derive(Debug)]
pub struct ContainerRuntime {
    // Before the podman whose folder it uses.
    service: Option<Process>,
    engine: Engine,
}

#[derive(Debug)]
enum Engine {
    Podman(Podman),
    Docker(Docker),
}

impl ContainerRuntime {
    /// A podman that runs and has the images [`BOX`] and [`OTHER_BOX`].
    pub async fn start() -> Self {
        Self::start_kind(Kind::Podman).await
    }

    /// The same of that kind.
    pub async fn start_kind(kind: Kind) -> Self {
        match kind {
            Kind::Podman => Self::start_with(Podman::new()).await,
            Kind::Docker => {
                let runtime = Self { service: None, engine: Engine::Docker(Docker::start().await) };
                runtime.import(BOX).await;
                runtime.import(OTHER_BOX).await;
                runtime
            }
        }
    }

    /// A podman with all images and containers on that disk, which must outlive it.
    pub async fn start_on(disk: &SmallDisk) -> Self {
        Self::start_with(Podman::with_storage(Some(&disk.path().join("storage")))).await
    }

    async fn start_with(podman: Podman) -> Self {
        let mut runtime = Self { service: None, engine: Engine::Podman(podman) };
        runtime.import(BOX).await;
        runtime.import(OTHER_BOX).await;
        runtime.serve().await;
        runtime
    }

    /// Starts the service of a podman, which must not run.
    pub async fn serve(&mut self) {
        let Engine::Podman(podman) = &self.engine else { panic!("docker's service is docker") };
        let socket = self.socket();
        let address = format!("unix://{}", socket.display());
        let folder = podman.folder().display().to_string();
        // In a folder of its own: of a container that is killed for memory an empty file `oom` is left in it.
        let command = ["env", "--chdir", &folder, "podman", "system", "service", "--time=0", &address];
        let command = command.map(str::to_owned);
        let log = podman.folder().join("service.log");
        let mut environment = podman.environment().to_vec();
        let registries = podman.folder().join("registries.conf");
        fs::write(&registries, REGISTRIES).unwrap();
        environment.push(("CONTAINERS_REGISTRIES_CONF".to_owned(), registries.display().to_string()));
        self.service = Some(Process::start("the container runtime", &command, &environment, &log).unwrap());
        eventually("the container runtime answers", async || self.get("/_ping").await.map(drop)).await;
    }

    /// Ends the service of a podman at once; containers run on.
    pub fn kill(&mut self) {
        assert!(matches!(self.engine, Engine::Podman(_)), "docker's containers would end too");
        self.service = None;
        let _ = fs::remove_file(self.socket());
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        match &self.engine {
            Engine::Podman(podman) => podman.folder().join("podman.sock"),
            Engine::Docker(docker) => docker.socket(),
        }
    }

    /// The device with this runtime.
    #[must_use]
    pub fn on(&self, device: Agent) -> Agent {
        device.with("container_socket", &self.socket().display().to_string())
    }

    /// A folder that goes with it.
    pub fn folder(&self) -> &Path {
        match &self.engine {
            Engine::Podman(podman) => podman.folder(),
            Engine::Docker(docker) => docker.folder(),
        }
    }

    /// Runs podman with these arguments. Returns what it printed.
    ///
    /// # Panics
    /// When it fails, or this is no podman.
    pub async fn podman(&self, arguments: &[&str]) -> String {
        assert!(matches!(self.engine, Engine::Podman(_)), "this is docker");
        self.command(arguments).await
    }

    /// Runs the command line of this runtime with arguments that each kind knows. Returns what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub async fn command(&self, arguments: &[&str]) -> String {
        self.run(arguments).await.success()
    }

    /// Whether podman has that image. Asked of this one image: a list of all fails where one goes meanwhile.
    ///
    /// # Panics
    /// When it cannot say, or this is no podman.
    pub async fn has_image(&self, image: &str) -> bool {
        assert!(matches!(self.engine, Engine::Podman(_)), "this is docker");
        let Finished { code, stderr, .. } = self.run(&["image", "exists", image]).await;
        match code {
            Some(0) => true,
            Some(1) => false,
            _ => panic!("podman cannot say whether it has {image}: {stderr}"),
        }
    }

    /// Removes a container by hand, and kills it where it runs.
    pub async fn remove_by_hand(&self, name: &str) {
        match &self.engine {
            Engine::Podman(_) => self.command(&["rm", "--force", "--time", "0", name]).await,
            Engine::Docker(_) => self.command(&["rm", "--force", name]).await,
        };
    }

    async fn run(&self, arguments: &[&str]) -> Finished {
        match &self.engine {
            Engine::Podman(podman) => podman.run(arguments).await,
            Engine::Docker(docker) => docker.run(arguments).await,
        }
    }

    /// The id of the container of that name, if there is one.
    pub async fn id(&self, name: &str) -> Option<String> {
        Some(self.inspect(name).await?["Id"].as_str().unwrap().to_owned())
    }

    /// What the runtime says about the container of that name, if there is one.
    pub async fn inspect(&self, name: &str) -> Option<Value> {
        let found = self.run(&["container", "inspect", name]).await;
        let found: Vec<Value> = serde_json::from_str(&found.stdout).unwrap_or_default();
        found.into_iter().next()
    }

    /// The names of all containers, sorted.
    pub async fn names(&self) -> Vec<String> {
        let names = self.command(&["ps", "--all", "--format", "{{.Names}}"]).await;
        let mut names: Vec<String> = names.lines().map(str::to_owned).collect();
        names.sort_unstable();
        names
    }

    /// What a container printed.
    pub async fn logs(&self, name: &str) -> String {
        self.command(&["logs", name]).await
    }

    /// Makes an image of that name that takes at least so many bytes.
    pub async fn import_large(&self, name: &str, size: u64) {
        let payload = self.folder().join("box/srv/payload");
        fs::File::create(&payload).unwrap().set_len(size).unwrap();
        self.import(name).await;
        fs::remove_file(&payload).unwrap();
    }

    /// Makes an image of that name, with an id of its own.
    pub async fn import(&self, name: &str) {
        let root = self.folder().join("box");
        let (import, environment) = match &self.engine {
            Engine::Podman(podman) => ("podman import --quiet", podman.environment().to_vec()),
            Engine::Docker(docker) => ("docker import", docker.environment().to_vec()),
        };
        if !root.exists() {
            make_root(&root);
        }
        let command = ["sh", "-euc", &importing(&root, import, name)].map(str::to_owned);
        finish(&command, &environment).await.success();
    }

    async fn get(&self, path: &str) -> Result<String, String> {
        let asked = async {
            let mut socket = UnixStream::connect(self.socket()).await?;
            socket.write_all(format!("GET {path} HTTP/1.0\r\nHost: d\r\n\r\n").as_bytes()).await?;
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        match asked.await {
            Ok(answer) if answer.contains(" 200 ") => Ok(answer),
            Ok(answer) => Err(answer),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Registries of tests speak no TLS.
const REGISTRIES: &str = "[[registry]]\nprefix = \"127.0.0.1\"\nlocation = \"127.0.0.1\"\ninsecure = true\n";

/// A script that makes an image of that name from such a root folder with the runtime's command for that.
pub(crate) fn importing(root: &Path, import: &str, name: &str) -> String {
    format!(
        "tar -C '{}' -c . | {import} --change 'CMD [\"/bin/sleep\",\"infinity\"]' --change 'ENV IMAGE={name}' - '{name}'",
        root.display()
    )
}

/// Puts what an image consists of into a folder.
pub(crate) fn make_root(root: &Path) {
    let busybox = built_in("busybox", "apt-get install busybox-static");
    for folder in ["bin", "tmp", "etc", "proc", "dev", "sys", "srv"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::copy(busybox, root.join("bin/busybox")).unwrap();
    for command in COMMANDS {
        symlink("busybox", root.join("bin").join(command)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\nweb:x:1000:1000::/:/bin/sh\n").unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\nweb:x:1000:\n").unwrap();
}

/// Who may use a locked [`Registry`]: name and password.
pub const LOGIN: (&str, &str) = ("device", "secret");
/// The same as the registry has it (bcrypt).
const HASHED_LOGIN: &str = "device:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// A registry on loopback, with what tests put into it.
#[derive(Debug)]
pub struct Registry {
    _service: Process,
    address: String,
}

impl Registry {
    /// One that is empty and asks nobody who he is.
    pub async fn start(folder: &Path) -> Self {
        Self::start_with(folder, "").await
    }

    /// One that wants to know who asks: [`LOGIN`].
    pub async fn start_locked(folder: &Path) -> Self {
        let file = folder.join("htpasswd");
        fs::write(&file, HASHED_LOGIN).unwrap();
        Self::start_with(
            folder,
            &format!("auth: {{htpasswd: {{realm: tests, path: '{}'}}}}\n", file.display()),
        )
        .await
    }

    async fn start_with(folder: &Path, access: &str) -> Self {
        let program = built_in("docker-registry", "apt-get install docker-registry");
        let port = free_ports::<1>()[0];
        let address = format!("127.0.0.1:{port}");
        let storage = folder.join(format!("registry-{port}"));
        let settings = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{address}'}}\n{access}",
            storage.display()
        );
        let file = folder.join(format!("registry-{port}.yml"));
        fs::write(&file, settings).unwrap();
        let command = [program.display().to_string(), "serve".to_owned(), file.display().to_string()];
        let log = folder.join(format!("registry-{port}.log"));
        let service = Process::start("the registry", &command, &[], &log).unwrap();
        eventually("the registry listens", async || {
            tokio::net::TcpStream::connect(&address).await.map(drop).map_err(|error| error.to_string())
        })
        .await;
        Self { _service: service, address }
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The name that an image has there.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }
}
