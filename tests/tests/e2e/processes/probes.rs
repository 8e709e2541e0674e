//! How a process is, is found out by its probes, as Kubernetes means them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use agent_model::status::{AgentStatus, ResourceState};
use process_shim::ProcessIdentity;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{
    document::{file_after, manifest, process, script},
    eventually::eventually,
    nats_server::free_ports,
    site::{Access, DEVICE, Site},
};

use super::logged;
use crate::status_words::{converged_at, listed, resource, stands};

/// Answers as the file `answer` in its folder says: with a status, not at all, or by closing. Speaks TLS
/// where it has a certificate.
const SERVER: &str = r#"
import http.server, os, ssl, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open("answer") as file:
            answer = file.read().strip()
        if self.path != "/health?of=it":
            answer = "400"
        if answer == "hang":
            time.sleep(1000)
        if answer != "close":
            self.send_response(int(answer))
            self.send_header("Location", "http://127.0.0.1:1/nowhere")
            self.end_headers()

server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2])
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"#;

/// Listens until it is told not to.
const LISTENER: &str = r#"
import signal, socket, sys, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1000)
signal.signal(signal.SIGUSR1, lambda *_: listener.close())
while True:
    time.sleep(1000)
"#;

/// A folder by which a test tells a process how to be.
struct Controls(TempDir);

impl Controls {
    fn new() -> Self {
        Self(TempDir::with_prefix("harmony-controls-").unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn set(&self, name: &str, content: &str) {
        // In one step: the other side reads it at any time.
        fs::write(self.path("written"), content).unwrap();
        fs::rename(self.path("written"), self.path(name)).unwrap();
    }

    fn unset(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    fn is_set(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// A process that works in this folder.
    fn process(&self, name: &str, command: &[&str]) -> Value {
        let mut process = process(name, command);
        process["spec"]["workdir"] = json!(self.0.path());
        process["spec"]["stopTimeout"] = json!("1s");
        process
    }

    /// A web server that is controlled by the file `answer`.
    fn server(&self, name: &str, port: u16, certificate: Option<&Path>) -> Value {
        let port = port.to_string();
        let mut command = vec!["python3", "-c", SERVER, &port];
        command.extend(certificate.map(|path| path.to_str().unwrap()));
        self.process(name, &command)
    }
}

fn exec(script: &str) -> Value {
    quick(json!({"exec": {"command": ["sh", "-c", script]}}))
}

fn quick(mut probe: Value) -> Value {
    (probe["interval"], probe["timeout"]) = (json!("100ms"), json!("5s"));
    probe
}

fn is_pending(
    name: &'static str,
    reason: &'static str,
    words: &'static str,
) -> impl Fn(&AgentStatus) -> bool {
    move |status| {
        stands(name, ResourceState::Pending, reason)(status) && resource(status, name).message.contains(words)
    }
}

fn restarted(name: &'static str, times: u64) -> impl Fn(&AgentStatus) -> bool {
    move |status| listed(status, name).is_some_and(|resource| resource.restarts >= times)
}

#[tokio::test]
async fn until_a_startup_probe_succeeds_all_else_waits_and_if_it_never_does_the_process_is_restarted() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    let controls = Controls::new();
    let sleeping = |name: &str, probes: Value| {
        let mut process = controls.process(name, &["sleep", "infinity"]);
        process["spec"]["probes"] = probes;
        process
    };
    let gated = sleeping(
        "gated",
        json!({
            "startup": quick(json!({"exec": {"command": ["test", "-e", "started"]}, "failureThreshold": 1000})),
            "readiness": exec("touch asked-whether-ready"),
            "liveness": exec("touch asked-whether-alive"),
        }),
    );
    let mut fails = exec("echo no luck; exit 9");
    fails["failureThreshold"] = json!(2);
    let failing = sleeping("failing", json!({"startup": fails}));
    (fails["failureThreshold"], fails["startPeriod"]) = (json!(1), json!("1h"));
    let patient = sleeping("patient", json!({"startup": fails}));
    let resources = [gated, failing, patient, file_after("after", &["gated"], "/etc/after", "it")];
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &resources)).await;

    let waits = is_pending("gated", "Starting", "startup probe has not succeeded");
    site.platform.status_where(DEVICE, "what it waits for", waits).await;
    let given_up = |status: &AgentStatus| {
        let Some(failing) = listed(status, "failing") else { return false };
        failing.reason == "CrashLoopBackOff" && failing.restarts >= 1
    };
    let status = site.platform.status_where(DEVICE, "the one that fails was restarted", given_up).await;
    let message = &resource(&status, "failing").message;
    assert!(message.contains("StartupFailed") && message.contains("exit status: 9"), "{message}");
    for name in ["gated", "patient"] {
        assert_eq!(resource(&status, name).reason, "Starting");
        assert_eq!(resource(&status, name).restarts, 0, "{name} was restarted");
    }
    assert!(!controls.is_set("asked-whether-ready") && !controls.is_set("asked-whether-alive"));
    assert!(!device.path("/etc/after").exists());

    controls.set("started", "");
    device.eventually_holds("/etc/after", "it").await;
    eventually("the others are asked", async || {
        let asked = controls.is_set("asked-whether-ready") && controls.is_set("asked-whether-alive");
        asked.then_some(()).ok_or_else(|| "not yet".to_owned())
    })
    .await;
    let running = stands("gated", ResourceState::Ready, "Running");
    let status = site.platform.status_where(DEVICE, "running", running).await;
    assert_eq!(resource(&status, "gated").restarts, 0);
}

#[tokio::test]
async fn a_process_is_ready_while_its_readiness_probe_says_so_and_is_left_alone_while_it_does_not() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    let (plain, secure) = (Controls::new(), Controls::new());
    let certificate = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/processes/self-signed.pem");
    let [plain_port, secure_port] = free_ports();
    let http = |port: u16, scheme: &str| {
        let probe =
            json!({"http": {"port": port, "path": "/health?of=it", "scheme": scheme}, "failureThreshold": 2});
        let mut probe = quick(probe);
        probe["timeout"] = json!("500ms");
        json!({"readiness": probe})
    };
    let mut over_http = plain.server("over-http", plain_port, None);
    over_http["spec"]["probes"] = http(plain_port, "Http");
    let mut over_https = secure.server("over-https", secure_port, Some(&certificate));
    over_https["spec"]["probes"] = http(secure_port, "Https");
    // The same server, whether or not it knows what to answer.
    let mut over_tcp = process("over-tcp", &["sleep", "infinity"]);
    over_tcp["spec"]["probes"] = json!({"readiness": quick(json!({"tcp": {"port": plain_port}}))});
    plain.set("answer", "503");
    secure.set("answer", "503");
    let resources =
        [over_http, over_https, over_tcp, file_after("after", &["over-http"], "/etc/after", "it")];
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &resources)).await;

    let both = |http: &'static str, https: &'static str| {
        move |status: &AgentStatus| {
            let says =
                |name, words: &str| listed(status, name).is_some_and(|one| one.message.contains(words));
            says("over-http", http)
                && says("over-https", https)
                && resource(status, "over-tcp").state == ResourceState::Ready
        }
    };
    let status = site.platform.status_where(DEVICE, "what is wrong", both("503", "503")).await;
    assert!(
        ["over-http", "over-https"]
            .iter()
            .all(|name| resource(&status, name).state == ResourceState::Pending)
    );
    assert!(!device.path("/etc/after").exists());

    for (http, https) in [("200", "302"), ("302", "204")] {
        plain.set("answer", http);
        secure.set("answer", https);
        site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
        plain.set("answer", "404");
        secure.set("answer", "500");
        let not_ready = |status: &AgentStatus| {
            both("404", "500")(status) && stands("over-http", ResourceState::Pending, "NotReady")(status)
        };
        site.platform.status_where(DEVICE, "not ready any more", not_ready).await;
    }
    plain.set("answer", "200");
    secure.set("answer", "200");
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    plain.set("answer", "hang");
    secure.set("answer", "close");
    let silent = both("no answer within 500ms", "GET /health?of=it");
    let status = site.platform.status_where(DEVICE, "without an answer", silent).await;
    for name in ["over-http", "over-https", "over-tcp"] {
        assert_eq!(resource(&status, name).restarts, 0, "{name} was restarted");
    }
}

#[tokio::test]
async fn what_is_alive_no_longer_is_restarted_whichever_way_it_is_asked() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    let controls = Controls::new();
    let [http_port, tcp_port] = free_ports();
    let with_liveness = |mut process: Value, startup: Value, liveness: Value| {
        let (mut startup, mut liveness) = (quick(startup), quick(liveness));
        (startup["failureThreshold"], liveness["failureThreshold"]) = (json!(1000), json!(2));
        process["spec"]["probes"] = json!({"startup": startup, "liveness": liveness});
        process
    };
    let listens = |port: u16| json!({"tcp": {"port": port}});
    let listener = ["python3", "-c", LISTENER, &tcp_port.to_string()];
    let resources = [
        with_liveness(
            controls.process("over-exec", &["sleep", "infinity"]),
            json!({"exec": {"command": ["true"]}}),
            json!({"exec": {"command": ["cat", "alive"]}}),
        ),
        with_liveness(
            controls.server("over-http", http_port, None),
            listens(http_port),
            json!({"http": {"port": http_port, "path": "/health?of=it"}}),
        ),
        with_liveness(controls.process("over-tcp", &listener), listens(tcp_port), listens(tcp_port)),
    ];
    controls.set("alive", "");
    controls.set("answer", "200");
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &resources)).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let names = ["over-exec", "over-http", "over-tcp"];
    let first = names.map(|name| device.process(name));
    let mut told = site.platform.listen(DEVICE).await;

    controls.unset("alive");
    controls.set("answer", "500");
    device.process("over-tcp").signal(Signal::USR1).unwrap();
    for name in names {
        site.platform.status_where(DEVICE, &format!("{name} restarted"), restarted(name, 1)).await;
    }
    controls.set("alive", "");
    controls.set("answer", "200");
    let status = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    for (name, first) in names.iter().zip(first) {
        let resource = resource(&status, name);
        assert!(resource.restarts >= 1 && resource.drift_corrections == 0, "{resource:?}");
        assert!(!first.is_alive() && device.process(name).is_alive());
    }
    let told = told.up_to(&status).await;
    let refused = format!("port {tcp_port}: Connection refused");
    for (name, words) in names.iter().zip(["exit status: 1", "500 Internal Server Error", &refused]) {
        let tells = |status: &AgentStatus| {
            let resource = resource(status, name);
            let why = resource.message.contains("LivenessFailed") && resource.message.contains(words);
            resource.reason == "CrashLoopBackOff" && why
        };
        assert!(told.iter().any(tells), "nobody was told why {name} was restarted: {told:#?}");
    }
}

#[tokio::test]
async fn a_probe_runs_as_its_process_does_and_nothing_is_left_of_one_that_hangs() {
    assert!(rustix::process::geteuid().is_root(), "this test must run as root");
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    let controls = Controls::new();
    let mut same = process("same", &["sleep", "infinity"]);
    same["spec"]["user"] = json!(4711);
    same["spec"]["group"] = json!(4712);
    same["spec"]["env"] = json!({"MODE": "probed"});
    same["spec"]["workdir"] = json!("/usr");
    same["spec"]["limits"] = json!({"openFiles": 77});
    let is_same = r#"test "$(id -u) $(id -g) $(id -G) $MODE $(pwd) $(ulimit -n) $(umask)" = "4711 4712 4712 probed /usr 77 0022""#;
    same["spec"]["probes"] = json!({"readiness": exec(is_same)});
    let mut hanging = controls.process("hanging", &["sleep", "infinity"]);
    let mut hangs = exec("echo $$ >> pids; sleep 1000 & echo $! >> pids; wait");
    hangs["timeout"] = json!("200ms");
    hanging["spec"]["probes"] = json!({"readiness": hangs});
    // One that leaves somebody behind on purpose, and ends when that one is in a session of its own.
    let mut leaving = controls.process("leaving", &["sleep", "infinity"]);
    let leave = "test -s left || setsid sh -c 'echo $$ > left; exec sleep 1000' &";
    let leaves = exec(&format!("{leave} until test -s left; do sleep 0.01; done"));
    leaving["spec"]["probes"] = json!({"readiness": leaves});
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[same, hanging, leaving])).await;

    let hangs = |status: &AgentStatus| {
        stands("same", ResourceState::Ready, "Running")(status)
            && stands("leaving", ResourceState::Ready, "Running")(status)
            && listed(status, "hanging").is_some_and(|one| one.message.contains("no answer within 200ms"))
    };
    site.platform.status_where(DEVICE, "one that is the same and one that hangs", hangs).await;
    let asked = eventually("it was asked four times", async || {
        let text = fs::read_to_string(controls.path("pids")).map_err(|error| error.to_string())?;
        let pids: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
        if pids.len() >= 8 { Ok(pids) } else { Err(text) }
    })
    .await;
    // Two of them belong to the try that is under way, at most.
    for pid in &asked[..6] {
        assert_eq!(ProcessIdentity::of(*pid).unwrap(), None, "{asked:?}");
    }
    let left: u32 = fs::read_to_string(controls.path("left")).unwrap().trim().parse().unwrap();
    let left = ProcessIdentity::of(left).unwrap().expect("it sleeps");

    site.platform.put(DEVICE, &manifest(DEVICE, 2, &[])).await;
    site.platform.status_where(DEVICE, "removed", converged_at(2)).await;
    assert!(!left.is_alive(), "it was left behind");
    assert_eq!(device.workloads(), []);
}

#[tokio::test]
async fn another_agent_goes_on_where_the_one_before_it_was() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    let controls = Controls::new();
    let mut web = controls.process("web", &["sh", "-c", "echo started; exec sleep infinity"]);
    web["spec"]["probes"] = json!({
        "startup": exec("test ! -e stuck"),
        "readiness": exec("test ! -e busy"),
        "liveness": exec("test ! -e dead"),
    });
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[web, script("other", "exec sleep infinity")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    // It started once: whether it would again is nobody's question.
    controls.set("stuck", "");
    controls.set("busy", "");
    device.kill();
    device.start();
    site.platform.status_where(DEVICE, "busy", stands("web", ResourceState::Pending, "NotReady")).await;
    controls.unset("busy");
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    device.stop().await;
    controls.unset("stuck");
    controls.set("dead", "");
    device.start();
    site.platform.status_where(DEVICE, "restarted", restarted("web", 1)).await;
    controls.unset("dead");
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    assert!(logged(&device, "web").len() >= 2);
}

#[tokio::test]
async fn the_status_says_what_a_probe_finds_though_nothing_else_happens() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device().with("drift_interval", "1h").with("resync_interval", "1h");
    device.start();
    let controls = Controls::new();
    let mut web = controls.process("web", &["sleep", "infinity"]);
    let mut readiness = exec("cat why >&2; test -e ready; exit $((7 * $?))");
    readiness["failureThreshold"] = json!(2);
    web["spec"]["probes"] = json!({"readiness": readiness});
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[web])).await;
    let said = is_pending("web", "NotReady", "exit status: 7");
    site.platform.status_where(DEVICE, "what it finds", said).await;
    controls.set("ready", "");
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;

    // Before so many failures count as one, too.
    let mut slow = controls.process("web", &["sleep", "infinity"]);
    readiness["failureThreshold"] = json!(1000);
    slow["spec"]["probes"] = json!({"readiness": readiness});
    slow["spec"]["env"] = json!({"SECOND": "yes"});
    controls.unset("ready");
    site.platform.put(DEVICE, &manifest(DEVICE, 2, &[slow])).await;
    // Words alone are told to the platform with other news; on the device they are to be read at once.
    let snapshot = device.state_dir().join("status.json");
    eventually("the device says what it found so far", async || {
        let said = fs::read_to_string(&snapshot).map_err(|error| error.to_string())?;
        let finds = said.contains("readiness probe has not succeeded") && said.contains("exit status: 7");
        finds.then_some(()).ok_or(said)
    })
    .await;
}
