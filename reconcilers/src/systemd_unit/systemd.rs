//! What is asked of systemd, over the system bus: its manager object and its units.
//!
//! The few calls are made by name. What systemd says of a unit is one answer with all of its properties.

use std::{collections::HashMap, time::Duration};

use agent_model::{Failure, UnitName};
use zbus::{
    Connection, Message,
    zvariant::{DynamicType, ObjectPath, OwnedObjectPath, OwnedValue},
};

use super::failures;

/// The name that systemd has on the bus.
pub(super) const NAME: &str = "org.freedesktop.systemd1";
/// The interface of its manager.
pub(super) const MANAGER: &str = "org.freedesktop.systemd1.Manager";
/// Where all its units are.
pub(super) const UNITS: &str = "/org/freedesktop/systemd1/unit";
const OBJECT: &str = "/org/freedesktop/systemd1";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// How long an answer may take. The slowest is the one to a reload, a few seconds where there are many units.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);
/// How many signals may wait for us. More lead to a look at everything.
const SIGNALS_QUEUED: usize = 256;

/// A job of systemd, by what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    /// To start a unit that does not run.
    Start,
    /// To start a unit again.
    Restart,
    /// To stop a unit.
    Stop,
}

impl Job {
    fn method(self) -> &'static str {
        match self {
            Self::Start => "StartUnit",
            Self::Restart => "RestartUnit",
            Self::Stop => "StopUnit",
        }
    }
}

/// systemd, as long as the connection to the bus lasts.
#[derive(Debug, Clone)]
pub(super) struct Systemd {
    bus: Connection,
}

/// Properties of a unit by name.
pub(super) struct Properties(HashMap<String, OwnedValue>);

impl Systemd {
    /// Connects, and has systemd send signals.
    pub(super) async fn connect() -> Result<Self, Failure> {
        let bus = async {
            zbus::connection::Builder::system()?
                .method_timeout(ANSWERED_WITHIN)
                .max_queued(SIGNALS_QUEUED)
                .build()
                .await
        };
        let systemd = Self { bus: bus.await.map_err(|error| failures::no_bus(&error))? };
        systemd.subscribe().await?;
        Ok(systemd)
    }

    /// The connection, for its signals.
    pub(super) fn bus(&self) -> &Connection {
        &self.bus
    }

    /// Has systemd send signals; again after it was executed anew.
    pub(super) async fn subscribe(&self) -> Result<(), Failure> {
        match self.manage("Subscribe", &()).await {
            Ok(_) => Ok(()),
            Err(error) if name_of(&error) == Some("org.freedesktop.systemd1.AlreadySubscribed") => Ok(()),
            Err(error) => Err(failures::no_systemd(&error)),
        }
    }

    /// All that systemd says of a unit, which it loads for that where need be, and where the unit is.
    pub(super) async fn unit(&self, name: &str) -> Result<(Properties, OwnedObjectPath), Failure> {
        let asked = async {
            let path: OwnedObjectPath = self.manage("LoadUnit", &name).await?.body().deserialize()?;
            Ok((self.properties(&path).await?, path))
        };
        asked.await.map_err(|error| failures::call("look at", name, &error))
    }

    /// How a unit's file is found: `enabled`, `static`, `masked` …; `None` where there is no file.
    pub(super) async fn file_state(&self, unit: &UnitName) -> Result<Option<String>, Failure> {
        match self
            .manage("GetUnitFileState", &unit.as_str())
            .await
            .and_then(|answer| answer.body().deserialize())
        {
            Ok(state) => Ok(Some(state)),
            Err(error) if matches!(name_of(&error), Some("org.freedesktop.DBus.Error.FileNotFound")) => {
                Ok(None)
            }
            Err(error) => Err(failures::call("look at the file of", unit.as_str(), &error)),
        }
    }

    /// The unit that this process belongs to, by its first name.
    pub(super) async fn own_unit(&self) -> Option<String> {
        let path: OwnedObjectPath =
            self.manage("GetUnitByPID", &std::process::id()).await.ok()?.body().deserialize().ok()?;
        self.properties(&path).await.ok()?.text("Id")
    }

    /// Its version, as it says it.
    pub(super) async fn version(&self) -> Result<String, Failure> {
        let asked = async {
            let get = (MANAGER, "Version");
            let answer = self.bus.call_method(Some(NAME), OBJECT, Some(PROPERTIES), "Get", &get).await?;
            let version: OwnedValue = answer.body().deserialize()?;
            String::try_from(version).map_err(zbus::Error::from)
        };
        asked.await.map_err(|error| failures::no_systemd(&error))
    }

    /// Has systemd do something; returns when it is under way.
    pub(super) async fn begin(&self, job: Job, unit: &UnitName) -> Result<(), Failure> {
        let begun = self.manage(job.method(), &(unit.as_str(), "replace")).await;
        begun.map(drop).map_err(|error| failures::job_refused(unit, &error))
    }

    /// Forgets that the unit failed, and how often it was started.
    pub(super) async fn reset_failed(&self, unit: &UnitName) {
        // Nothing is lost by one that had not failed, or is not loaded any more.
        let _ = self.manage("ResetFailedUnit", &unit.as_str()).await;
    }

    /// Has the unit started at boot, or not.
    pub(super) async fn enable(&self, unit: &UnitName, enabled: bool) -> Result<(), Failure> {
        let units = [unit.as_str()];
        let done = if enabled {
            self.manage("EnableUnitFiles", &(&units[..], false, false)).await
        } else {
            self.manage("DisableUnitFiles", &(&units[..], false)).await
        };
        let what = if enabled { "enable" } else { "disable" };
        done.map(drop).map_err(|error| failures::call(what, unit.as_str(), &error))
    }

    /// Has systemd read all unit files again.
    pub(super) async fn reload(&self) -> Result<(), Failure> {
        self.manage("Reload", &()).await.map(drop).map_err(|error| failures::not_reloaded(&error))
    }

    async fn properties(&self, path: &ObjectPath<'_>) -> zbus::Result<Properties> {
        // The empty name stands for all interfaces of the object.
        let answer = self.bus.call_method(Some(NAME), path, Some(PROPERTIES), "GetAll", &"").await?;
        Ok(Properties(answer.body().deserialize()?))
    }

    async fn manage<B: serde::Serialize + DynamicType>(
        &self,
        method: &str,
        body: &B,
    ) -> zbus::Result<Message> {
        self.bus.call_method(Some(NAME), OBJECT, Some(MANAGER), method, body).await
    }
}

impl Properties {
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).and_then(|value| value.downcast_ref::<String>().ok())
    }

    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        let value = self.0.get(name).and_then(|value| value.try_clone().ok());
        value.and_then(|value| value.try_into().ok()).unwrap_or_default()
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(|value| value.downcast_ref::<bool>().ok()).unwrap_or_default()
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        let value = self.0.get(name)?;
        value
            .downcast_ref::<u64>()
            .or_else(|_| value.downcast_ref::<u32>().map(u64::from))
            .or_else(|_| value.downcast_ref::<i32>().map(|number| u64::try_from(number).unwrap_or_default()))
            .ok()
    }

    /// Bytes, in hexadecimal digits.
    pub(super) fn hex(&self, name: &str) -> Option<String> {
        let value = self.0.get(name).and_then(|value| value.try_clone().ok())?;
        let bytes: Vec<u8> = value.try_into().ok()?;
        (!bytes.is_empty()).then(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The first number of a structure: that of a job.
    pub(super) fn job(&self) -> u32 {
        let value = self.0.get("Job").and_then(|value| value.try_clone().ok());
        let job: Option<(u32, OwnedObjectPath)> = value.and_then(|value| value.try_into().ok());
        job.map_or(0, |(number, _)| number)
    }

    /// What systemd says is wrong with what it read: the name of the error and words.
    pub(super) fn load_error(&self) -> Option<String> {
        let value = self.0.get("LoadError").and_then(|value| value.try_clone().ok())?;
        let (_, message): (String, String) = value.try_into().ok()?;
        (!message.is_empty()).then_some(message)
    }
}

/// The name of what systemd, or the bus, answered instead of doing what it was asked.
fn name_of(error: &zbus::Error) -> Option<&str> {
    match error {
        zbus::Error::MethodError(name, ..) => Some(name.as_str()),
        _ => None,
    }
}

/// Whether the connection is of no more use.
pub(super) fn is_lost(error: &zbus::Error) -> bool {
    !matches!(error, zbus::Error::MethodError(..) | zbus::Error::Variant(_))
}

/// An answer in words for people.
pub(super) fn words(error: &zbus::Error) -> String {
    match error {
        zbus::Error::MethodError(_, Some(message), _) => message.clone(),
        error => error.to_string(),
    }
}
