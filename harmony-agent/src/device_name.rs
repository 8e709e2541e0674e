//! What a device is called: as somebody says, or by something of its own that no other device has, so that one
//! disk image serves a whole fleet.

use std::{
    fs, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use agent_model::{AgentId, InvalidAgentId, did_you_mean};
use serde::Deserialize;

/// Where the name comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum DeviceName {
    /// Somebody said it.
    Given(AgentId),
    /// It is found on the device.
    Found(Source),
}

/// Something that each device has another of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// `/etc/machine-id`, as machine-id(5) has it: made at the first boot of an image that leaves it empty.
    MachineId,
    /// The hardware address of the first network device, without colons.
    Mac,
    /// The serial number that the firmware tells.
    Serial,
}

const PREFIX: &str = "auto:";

impl Source {
    const ALL: [(&str, Self); 3] =
        [("auto:machine-id", Self::MachineId), ("auto:mac", Self::Mac), ("auto:serial", Self::Serial)];
}

/// Why a text is no name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidDeviceName {
    #[error("{given:?} is no way to find a name; {hint}")]
    Source { given: String, hint: String },
    #[error(transparent)]
    Id(#[from] InvalidAgentId),
}

/// Why no name is found on this device.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Nameless {
    #[error("this device has no {what} to be named after: {looked_at}; give --agent-id ID")]
    Nothing { what: &'static str, looked_at: String },
    #[error("this device cannot be named after its {what}; give --agent-id ID")]
    Unfit { what: &'static str, source: InvalidAgentId },
    #[error("cannot read {}, after which this device is to be named", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
}

impl FromStr for DeviceName {
    type Err = InvalidDeviceName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.starts_with(PREFIX) {
            return Ok(Self::Given(text.parse()?));
        }
        let source = Source::ALL.into_iter().find_map(|(name, source)| (name == text).then_some(source));
        source.map(Self::Found).ok_or_else(|| InvalidDeviceName::Source {
            given: text.chars().take(80).collect(),
            hint: did_you_mean(text, &Source::ALL.map(|(name, _)| name)),
        })
    }
}

impl TryFrom<String> for DeviceName {
    type Error = InvalidDeviceName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl DeviceName {
    /// The name on this device.
    ///
    /// # Errors
    /// The device has nothing of that kind that makes a name.
    pub(crate) fn find(self) -> Result<AgentId, Nameless> {
        self.find_in(Path::new("/"))
    }

    /// What the device has of that kind, whether or not that makes a name.
    pub(crate) fn text_of(source: Source) -> Option<String> {
        let system = Path::new("/");
        let found = match source {
            Source::MachineId => machine_id(system),
            Source::Mac => mac(system),
            Source::Serial => serial(system),
        };
        found.ok()
    }

    fn find_in(self, system: &Path) -> Result<AgentId, Nameless> {
        let (what, found) = match self {
            Self::Given(id) => return Ok(id),
            Self::Found(Source::MachineId) => ("machine id", machine_id(system)?),
            Self::Found(Source::Mac) => ("hardware address", mac(system)?),
            Self::Found(Source::Serial) => ("serial number", serial(system)?),
        };
        found.parse().map_err(|source| Nameless::Unfit { what, source })
    }
}

fn machine_id(system: &Path) -> Result<String, Nameless> {
    // Before the first boot is over it may be empty or say so (machine-id(5)).
    let id = text(&system.join("etc/machine-id"))?.filter(|id| !id.is_empty() && id != "uninitialized");
    id.ok_or_else(|| nothing("machine id", "/etc/machine-id has none yet"))
}

/// Of the network devices that are hardware, and whose address its maker gave it, the first by name. Those of
/// the board come first: what is plugged in is called `enx…`, `usb…`, `wl…` or `ww…`.
fn mac(system: &Path) -> Result<String, Nameless> {
    let devices = system.join("sys/class/net");
    let unreadable = |source| Nameless::Unreadable { path: devices.clone(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(&devices).map_err(unreadable)? {
        names.push(entry.map_err(unreadable)?.file_name());
    }
    names.sort();
    for name in names.iter().filter(|name| devices.join(name).join("device").exists()) {
        let digits = text(&devices.join(name).join("address"))?.unwrap_or_default().replace(':', "");
        if is_the_makers(&digits) {
            return Ok(digits.to_ascii_lowercase());
        }
    }
    Err(nothing("hardware address", "no network device of its own has one that its maker gave it"))
}

/// Neither made up by software (the second bit of the first byte, IEEE 802) nor all zero.
fn is_the_makers(digits: &str) -> bool {
    let first = digits.get(..2).and_then(|byte| u8::from_str_radix(byte, 16).ok());
    digits.len() == 12 && digits.bytes().any(|digit| digit != b'0') && first.is_some_and(|byte| byte & 2 == 0)
}

/// What boards with a device tree have, and then what others have in their tables (DMI).
const SERIALS: [&str; 2] = ["sys/firmware/devicetree/base/serial-number", "sys/class/dmi/id/product_serial"];
/// What makers leave in the place of a serial number, in lower case.
const NO_SERIALS: [&str; 8] = [
    "0",
    "123456789",
    "default string",
    "none",
    "not applicable",
    "not specified",
    "system serial number",
    "to be filled by o.e.m.",
];

fn serial(system: &Path) -> Result<String, Nameless> {
    for path in SERIALS {
        let serial = text(&system.join(path))?.unwrap_or_default();
        let zeros = serial.bytes().all(|digit| digit == b'0');
        if !zeros && !NO_SERIALS.contains(&serial.to_lowercase().as_str()) {
            return Ok(serial);
        }
    }
    Err(nothing("serial number", "its firmware tells none"))
}

/// What a file of the system holds, without the NUL that ends texts of a device tree; `None` where there is none.
fn text(path: &Path) -> Result<Option<String>, Nameless> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).trim_matches(['\0', '\n', ' ']).to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Nameless::Unreadable { path: path.to_owned(), source }),
    }
}

fn nothing(what: &'static str, looked_at: &str) -> Nameless {
    Nameless::Nothing { what, looked_at: looked_at.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system of these files.
    fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
        let system = tempfile::tempdir().unwrap();
        fs::create_dir_all(system.path().join("sys/class/net")).unwrap();
        for (path, text) in files {
            let path = system.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        system
    }

    fn name(source: &str, files: &[(&str, &str)]) -> Result<String, String> {
        let name: DeviceName = source.parse().map_err(|error: InvalidDeviceName| error.to_string())?;
        name.find_in(system(files).path()).map(String::from).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_that_is_given_needs_nothing_of_the_device() {
        assert_eq!(name("edge-0042", &[]).unwrap(), "edge-0042");
    }

    #[test]
    fn the_machine_id_is_the_name_once_there_is_one() {
        let id = "3d1219c7c4c5404aaa1f6d2a48adfda4";
        assert_eq!(name("auto:machine-id", &[("etc/machine-id", &format!("{id}\n"))]).unwrap(), id);
        for files in [&[][..], &[("etc/machine-id", "")], &[("etc/machine-id", "uninitialized\n")]] {
            assert!(name("auto:machine-id", files).unwrap_err().contains("--agent-id"));
        }
    }

    #[test]
    fn the_first_network_device_whose_maker_gave_it_an_address_is_the_name() {
        let files = [
            ("sys/class/net/docker0/address", "00:1b:21:00:00:01\n"),
            ("sys/class/net/end0/address", "02:00:00:00:00:01\n"),
            ("sys/class/net/end0/device/vendor", ""),
            ("sys/class/net/eth0/address", "DC:A6:32:0A:0B:0C\n"),
            ("sys/class/net/eth0/device/vendor", ""),
            ("sys/class/net/wlan0/address", "dc:a6:32:0a:0b:0d\n"),
            ("sys/class/net/wlan0/device/vendor", ""),
        ];
        assert_eq!(name("auto:mac", &files).unwrap(), "dca6320a0b0c");
        assert!(name("auto:mac", &files[..3]).unwrap_err().contains("hardware address"));
    }

    #[test]
    fn a_serial_number_is_the_name_and_what_makers_leave_in_its_place_is_not() {
        let (tree, dmi) = (SERIALS[0], SERIALS[1]);
        assert_eq!(name("auto:serial", &[(tree, "10000000abcd\0")]).unwrap(), "10000000abcd");
        assert_eq!(name("auto:serial", &[(tree, "0000\0"), (dmi, "SN-7\n")]).unwrap(), "SN-7");
        for placeholder in ["To be filled by O.E.M.\n", "Default string\n", "0\n", "\n"] {
            assert!(name("auto:serial", &[(dmi, placeholder)]).unwrap_err().contains("serial number"));
        }
        assert!(name("auto:serial", &[(dmi, "SN 7.1\n")]).unwrap_err().contains("cannot be named after"));
    }

    #[test]
    fn a_misspelt_source_is_told_with_the_nearest_one() {
        assert!(name("auto:machineid", &[]).unwrap_err().contains("auto:machine-id"));
    }
}
