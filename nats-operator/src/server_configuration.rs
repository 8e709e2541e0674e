//! What a server reads at its start.

use std::path::Path;

/// Whom the server trusts, and the accounts that it knows before anybody pushed one. Written anew whenever an account
/// changes, so that a server that lost its folder comes back with the revocations.
pub(crate) fn accounts(operator: &str, system: &str, accounts: &[(&str, &str, &str)]) -> String {
    let mut text = format!(
        "# Written by harmonyctl, and again whenever an account changes: change nothing here.\n\
         operator: {operator}\n\
         system_account: {system}\n\
         resolver_preload {{\n"
    );
    for (name, id, token) in accounts {
        text.push_str(&format!("  # {name}\n  {id}: {token}\n"));
    }
    text.push_str("}\n");
    text
}

/// The server's own settings, to begin with. Written once; it is the person's who runs the server.
pub(crate) fn server(folder: &Path) -> String {
    let [accounts, jetstream] = ["accounts", "jetstream"].map(|name| folder.join(name));
    format!(
        r#"# nats-server 2.12.6 or newer. Written once by harmonyctl: change what you need.
server_name: "harmony-1"
listen: "127.0.0.1:4222"

# Which operator and accounts. Devices are users of an account and stand nowhere here.
include "accounts.conf"

# Where the server keeps the accounts that are pushed to it: revoking a device is such a push.
resolver {{
  type: full
  dir: {accounts:?}
  allow_delete: false
  interval: "2m"
}}

jetstream {{
  store_dir: {jetstream:?}
  # What was acknowledged survives a power cut. The default of two minutes is faster and loses writes.
  sync_interval: always
}}

# Before devices come from another host: listen on its address, and speak TLS only.
# tls {{
#   cert_file: "/etc/nats/server.pem"
#   key_file: "/etc/nats/server.key"
#   # Also asks devices for a certificate of this authority:
#   # ca_file: "/etc/nats/ca.pem"
#   # verify: true
# }}
"#
    )
}
