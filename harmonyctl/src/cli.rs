//! The arguments.

pub(crate) mod agents;
mod connection;
mod convert;
mod documents;
mod looking;
pub(crate) mod schema;
mod secret;
mod servers;
mod shell;
mod signing;

use clap::{Parser, Subcommand};

pub(crate) use connection::Connection;
pub(crate) use convert::{Convert, ConvertFormat, ConvertFrom, ConvertTo};
pub(crate) use documents::{Apply, Condition, Delete, Files, Wait, Waiting};
pub(crate) use looking::{EventFormat, Events, Format, Get, Named};
pub(crate) use secret::{Seal, SealFormat, Secret};
pub(crate) use servers::{Init, Nats};
pub(crate) use shell::Shell;
pub(crate) use signing::{Keygen, Sign, Verify};

/// State what should be on the devices of a fleet, and see what is.
#[derive(Debug, Parser)]
#[command(name = "harmonyctl", version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(subcommand)]
    pub(crate) command: Command,
}

pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done (converged, when waiting)
  1  error; something failed, for nats check
  2  wrong arguments, or an invalid document
  3  refused by the device, or failed there; a difference, for diff, schema diff and
     convert --check; somebody would refuse, for schema skew; not signed with one of the
     keys, for verify
  4  timed out, while the device was online
  5  someone else changed the entry meanwhile
  6  written, but the device is offline
  130  interrupted while waiting, or while following events
With several documents: the first of 130, 2, 1, 5, 3, 4, 6 that occurred.

Options that show an [env: …] can also be given in the environment; the command line wins.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the buckets and streams on the server, or bring them up to date
    #[command(after_help = "\
Doing it again changes nothing. Existing entries are kept.

With --operator, nothing is done on a server. Instead, everything is made that servers in operator mode
need, where devices are kept apart by accounts: keys, accounts, credentials and a configuration, in a
folder that is yours to keep. Keys and credentials that are there are never replaced.

Examples:
  harmonyctl init
  harmonyctl init --replicas 3 --events-max-bytes 50Gi
  harmonyctl init --operator operator/
  harmonyctl --creds operator/credentials/platform.creds init")]
    Init(Init),
    /// Write documents, and wait until the devices have applied them
    #[command(after_help = "\
All documents are checked before any is written, also against what their devices say of themselves: formats,
schema versions, Scores and kinds of resource. --force writes them all the same, for a device that is about to be
upgraded. The generation, the time of issue and, where it is less than schemaVersion, the smallest minSchemaVersion
are filled in; a document that says the same as before is left unchanged.

A device on which something fails is not waited for any longer: that is code 3. Where spec.rollback has it go back
to its document of before, it is waited for until it does, which is code 3 too. To see that, wait longer than the
document's deadline, which is 10m by default.

Examples:
  harmonyctl apply -f edge-0042.yaml
  harmonyctl apply -f site/ --timeout 10m
  harmonyctl apply -f edge-0042.yaml --sign-key signing.pem
  render-site | harmonyctl apply -f - --no-wait")]
    Apply(Apply),
    /// List devices, or print the document of one
    #[command(after_help = "\
Of a document, the table lists the revisions that the server keeps, the newest last; SIGNER is who
is said to have signed. With -o json or yaml, one is printed: the newest, or that of --revision. It
can be applied again, and is without its signature; --raw has that, for `harmonyctl verify`.

Examples:
  harmonyctl get agents
  harmonyctl get agents -o wide --watch
  harmonyctl get agent edge-0042 -o json
  harmonyctl get document edge-0042
  harmonyctl get document edge-0042 -o yaml
  harmonyctl get document edge-0042 --revision 17 -o yaml | harmonyctl apply -f -")]
    Get(Get),
    /// Show everything about a device
    #[command(after_help = "\
Examples:
  harmonyctl describe agent edge-0042")]
    Describe(Named),
    /// Show what happened on a device
    #[command(after_help = "\
Events are listed in the order in which they reached the server, which keeps the last 1,000 of a
device for 30 days. LAST-SEEN and --since go by the device's clock. One that cannot be read is
passed over with a warning.

Types: Accepted, Applied, Drift, DuplicateIdentity, Failed, Gap, Job, LogRecovered, Rejected,
Removed, Restarted, RolledBack, SafeMode; newer agents may send others.

Examples:
  harmonyctl events edge-0042
  harmonyctl events edge-0042 --since 1h --type Drift --type Failed
  harmonyctl events agent/edge-0042 --tail 20 --watch -o json")]
    Events(Events),
    /// Show what apply would change
    #[command(after_help = "\
Ends with 0 when nothing would change and with 3 when something would.

Examples:
  harmonyctl diff -f edge-0042.yaml")]
    Diff(Files),
    /// Unassign a device, or remove everything from it
    #[command(after_help = "\
Unassigning deletes the document; the device goes on enforcing what it has. To remove that from the
device, use --teardown.

Examples:
  harmonyctl delete agent edge-0042
  harmonyctl delete agent edge-0042 --teardown")]
    Delete(Delete),
    /// Wait until devices have applied their documents
    #[command(after_help = "\
A device that is offline is waited for too.

Examples:
  harmonyctl wait agent/edge-0042
  harmonyctl wait agent/edge-0042 --for=Unassigned --timeout 1m")]
    Wait(Wait),
    /// Check documents without a server
    #[command(after_help = "\
Examples:
  harmonyctl validate -f site/")]
    Validate(Files),
    /// Print documents as Scores, or check that this would change nothing on their devices
    #[command(after_help = "\
The conversion asks for the very same as the document: a device that reads Scores changes nothing
when it gets it. Of invalid documents all problems are told, and then nothing is printed. What is
printed can be applied.

With --check, the Scores are not printed but compared with what each device has: PARITY tells
whether its document and the Scores, both read with the facts that the device publishes, ask for
the same; READS-SCORES, whether the device can read them. Compared is the document's own conversion
or, with -f, what is given. Ends with 0 when all are identical, with 3 when any differs, and with 1
when any cannot be judged. A device without a document is shown with - and does not count, unless
Scores are given for it; without --check, `agents` passes it over.

Examples:
  harmonyctl convert -f edge-0042.yaml
  harmonyctl convert agent edge-0042 > edge-0042.yaml
  harmonyctl convert --from LegacyCommand -f edge-0042.json
  harmonyctl convert --from LegacyCommand agent edge-0042 | harmonyctl apply -f -
  harmonyctl convert -f site/ > scores.yaml
  harmonyctl convert --check agents
  harmonyctl convert --check -f scores.yaml -o json")]
    Convert(Convert),
    /// Make a pair of keys to sign documents with
    #[command(after_help = "\
Both are PEM files as openssl reads and writes them. The private key is readable by its owner only. The
public key goes into the trust folder of each device.

Examples:
  harmonyctl keygen --out signing.pem
  harmonyctl keygen --out signing.pem --public-out trust/2026.pem")]
    Keygen(Keygen),
    /// Keep values of documents from everybody but the device
    Secret {
        #[command(subcommand)]
        command: Secret,
    },
    /// Sign documents without a server, and print them
    #[command(after_help = "\
One line for each document: the value of the device's entry. The generation is that of --generation, or
the one that the document says, or 1; a device accepts only a higher one than it has had. For a key that is kept
where no server can be reached; elsewhere, `harmonyctl apply --sign-key` signs and writes. What is printed is written
as it is, by the NATS command line.

Examples:
  harmonyctl sign -f edge-0042.yaml --sign-key signing.pem --generation 8 > edge-0042.signed.json
  nats kv put desired-state edge-0042 < edge-0042.signed.json")]
    Sign(Sign),
    /// Tell who signed documents, and whether one of these keys did
    #[command(after_help = "\
Ends with 3 when a document is not signed, or not with one of the keys, and with 2 when it is no document. That it is
newer than what the device has is not known here.

Examples:
  harmonyctl verify -f edge-0042.signed.json --key signing.pub.pem
  harmonyctl get document edge-0042 --raw | harmonyctl verify -f - --trust-dir trust/")]
    Verify(Verify),
    /// Decide which devices are let in, and keep what the platform knows about each
    #[command(subcommand)]
    Agents(agents::AgentsCommand),
    /// Versions of documents: what this program knows, what differs, and what the devices read
    #[command(subcommand)]
    Schema(schema::SchemaCommand),
    /// Look after the NATS servers
    #[command(after_help = "\
Examples:
  harmonyctl nats check
  harmonyctl nats check --operator operator/
  harmonyctl nats push --operator operator/")]
    Nats {
        #[command(subcommand)]
        command: Nats,
    },
    /// Print a script by which a shell completes commands and device names
    #[command(after_help = "\
Examples:
  source <(harmonyctl completion bash)
  harmonyctl completion fish > ~/.config/fish/completions/harmonyctl.fish")]
    Completion {
        /// The shell
        shell: Shell,
    },
}

#[cfg(test)]
mod tests;
