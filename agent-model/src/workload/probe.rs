//! How the health of a workload is found out, as Kubernetes means it.

use std::time::Duration;

/// The probes of a workload; each is optional.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Probes {
    /// Whether it has started. Until it has, the others wait; if it never does, it is restarted.
    pub startup: Option<Probe>,
    /// Whether it can do its work. While not, it is not ready, and it is not restarted.
    pub readiness: Option<Probe>,
    /// Whether it is beyond recovery. Then it is restarted.
    pub liveness: Option<Probe>,
}

/// One question that is asked again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// How it is asked.
    pub action: ProbeAction,
    /// From the start of one try to that of the next.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Failures in a row that count as one.
    pub failure_threshold: u32,
    /// After the start of the workload, so long no failure counts.
    pub start_period: Duration,
}

impl Probe {
    /// Unless declared otherwise.
    pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);
    /// Unless declared otherwise.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
    /// Unless declared otherwise.
    pub const DEFAULT_FAILURE_THRESHOLD: u32 = 3;

    /// A probe with all but its action at the default (those of Kubernetes).
    pub fn new(action: ProbeAction) -> Self {
        Self {
            action,
            interval: Self::DEFAULT_INTERVAL,
            timeout: Self::DEFAULT_TIMEOUT,
            failure_threshold: Self::DEFAULT_FAILURE_THRESHOLD,
            start_period: Duration::ZERO,
        }
    }
}

/// How a probe asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeAction {
    /// A command that is to end with 0, run as the workload's user in its environment.
    Exec {
        /// The program and its arguments.
        command: Vec<String>,
    },
    /// A GET on the loopback address that is to be answered with 200 to 399.
    Http {
        /// The port.
        port: u16,
        /// The path with the query, beginning with `/`.
        path: String,
        /// Whether TLS is spoken.
        scheme: HttpScheme,
    },
    /// A connection to the loopback address that is to be accepted.
    Tcp {
        /// The port.
        port: u16,
    },
}

impl ProbeAction {
    /// The path that is asked for unless declared otherwise.
    pub const DEFAULT_PATH: &str = "/";
}

/// What an HTTP probe speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HttpScheme {
    /// HTTP in the clear.
    #[default]
    Http,
    /// HTTP over TLS. As in Kubernetes, the certificate is not verified.
    Https,
}

impl HttpScheme {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Http, Self::Https];

    /// The scheme as documents write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "Http",
            Self::Https => "Https",
        }
    }
}
