//! A container is what its declaration says, in every part.

use serde_json::json;
use tests::{
    container_runtime::{BOX, Kind},
    document::container_script,
    nats_server::free_ports,
};

use super::Stage;
use crate::status_words::{converged_at, listed};

with_each_runtime!(every_part_of_a_declaration_arrives,);

async fn every_part_of_a_declaration_arrives(kind: Kind) {
    let stage = Stage::set_on_with(kind, |device| device.with_rule("devices", "['/dev/null']")).await;
    let folder = stage.runtime.folder().join("shared");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("greeting"), "hello").unwrap();
    let port = free_ports::<1>()[0];
    let mut web = container_script(
        "web",
        BOX,
        "echo \"$MULTI\" $1; id -u; echo $PWD; cat /mnt/greeting; touch /mnt/no || echo read-only; touch /no || echo read-only; touch /fast/yes && echo written; exec sleep infinity",
    );
    web["spec"]["args"] = json!(["name", "first"]);
    web["spec"]["env"] = json!({"MULTI": "one\ntwo"});
    web["spec"]["ports"] = json!([{"host": port, "container": 80, "hostIp": "127.0.0.1", "protocol": "Tcp"}]);
    web["spec"]["mounts"] = json!([
        {"type": "Bind", "source": folder, "target": "/mnt", "readOnly": true},
        {"type": "Volume", "source": "data", "target": "/data"},
        {"type": "Tmpfs", "target": "/fast"},
    ]);
    web["spec"]["devices"] = json!(["/dev/null"]);
    web["spec"]["limits"] = json!({"memory": "64Mi", "cpus": "0.5", "pids": 20});
    web["spec"]["user"] = json!("web");
    web["spec"]["workdir"] = json!("/srv");
    web["spec"]["readOnlyRootfs"] = json!(true);
    web["spec"]["capAdd"] = json!(["NET_ADMIN"]);
    web["spec"]["capDrop"] = json!(["CHOWN"]);
    web["spec"]["stopSignal"] = json!("SIGINT");
    web["spec"]["stopTimeout"] = json!("1s");
    web["spec"]["log"] = json!({"maxSize": "1Mi", "keep": 1});
    web["spec"]["labels"] = json!({"team": "edge"});
    stage.put(1, &[web]).await;
    let status = stage.status("converged", converged_at(1)).await;
    let found = stage.runtime.inspect("web").await.unwrap();
    let details = &listed(&status, "web").unwrap().details;
    assert_eq!(details["id"], found["Id"]);
    assert!(details["image"].as_str().unwrap().starts_with("sha256:"), "{details}");

    let printed = stage.runtime.logs("web").await;
    assert_eq!(printed, "one\ntwo first\n1000\n/srv\nhelloread-only\nread-only\nwritten\n");
    let (config, host) = (&found["Config"], &found["HostConfig"]);
    assert_eq!(config["StopTimeout"], 1);
    assert!([json!(2), json!("SIGINT")].contains(&config["StopSignal"]), "{config}");
    let labels = &config["Labels"];
    assert_eq!((&labels["team"], &labels["io.harmony.resource"]), (&json!("edge"), &json!("web")));
    assert_eq!(labels["io.harmony.agent"], stage.device.id());
    assert!(labels["io.harmony.digest"].as_str().unwrap().starts_with("sha256:"), "{labels}");
    assert_eq!((&host["Memory"], &host["NanoCpus"]), (&json!(64 << 20), &json!(500_000_000)));
    assert_eq!(host["PidsLimit"], 20);
    assert_eq!(host["SecurityOpt"], json!(["no-new-privileges"]));
    assert!(["", "no"].contains(&host["RestartPolicy"]["Name"].as_str().unwrap()), "{host}");
    assert_eq!(
        host["PortBindings"]["80/tcp"],
        json!([{"HostIp": "127.0.0.1", "HostPort": port.to_string()}])
    );
    match kind {
        Kind::Podman => {
            let capabilities = found["EffectiveCaps"].to_string() + &found["BoundingCaps"].to_string();
            assert!(
                capabilities.contains("NET_ADMIN") && !capabilities.contains("CAP_CHOWN"),
                "{capabilities}"
            );
            assert_eq!(host["LogConfig"]["Size"], "1.049MB");
        }
        Kind::Docker => {
            let (more, less) = (host["CapAdd"].to_string(), host["CapDrop"].to_string());
            assert!(more.contains("NET_ADMIN") && less.contains("CHOWN"), "{host}");
            let log = json!({"Type": "json-file", "Config": {"max-size": "1048576", "max-file": "2"}});
            assert_eq!(host["LogConfig"], log);
        }
    }
}
