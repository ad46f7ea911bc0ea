//! What btleplug neither tells nor does: that the daemon or an adapter went, that the bus is lost, that the daemon
//! shall forget a lock, that an adapter shall be switched off.

use std::sync::Arc;
use std::time::Duration;

use dbus::Message;
use dbus::channel::MatchingReceiver;
use dbus::message::MatchRule;
use dbus::nonblock::stdintf::org_freedesktop_dbus::Properties;
use dbus::nonblock::{MsgMatch, Proxy, SyncConnection};
use dbus_tokio::connection::{IOResource, new_system_sync};
use futures_util::stream::{BoxStream, SelectAll, StreamExt};
use tokio::task::block_in_place;

use super::address::Address;
use super::failure::Failure;
use crate::model::Outage;

/// For one call.
const WITHIN: Duration = Duration::from_secs(5);
const BLUEZ: &str = "org.bluez";
const ADAPTER: &str = "org.bluez.Adapter1";
const BUS: &str = "org.freedesktop.DBus";

/// A connection of our own, which btleplug's outlives by nothing.
pub(super) struct Bus {
    /// Turns only while somebody waits for [`Bus::gone`]. Dropped before the connection: if it closed its socket itself, it would
    /// afterwards have the runtime forget whatever got the same number meanwhile, and that socket would be deaf.
    wheel: IOResource<SyncConnection>,
    signals: SelectAll<BoxStream<'static, Message>>,
    matches: Vec<MsgMatch>,
    connection: Arc<SyncConnection>,
}

impl Bus {
    /// Connects and listens. Needs a runtime with several threads, as libdbus blocks while it connects.
    pub async fn open() -> Result<Bus, Failure> {
        let connected = block_in_place(new_system_sync).map_err(|error| failure(&error, Outage::Bus))?;
        let mut bus = Bus {
            wheel: connected.0,
            signals: SelectAll::new(),
            matches: Vec::new(),
            connection: connected.1,
        };
        let owners = MatchRule::new_signal(BUS, "NameOwnerChanged").with_sender(BUS);
        let removals = MatchRule::new_signal("org.freedesktop.DBus.ObjectManager", "InterfacesRemoved")
            .with_sender(BLUEZ);
        let listen = async {
            let owners = bus.connection.add_match(owners).await?.msg_stream();
            let removals = bus.connection.add_match(removals).await?.msg_stream();
            Ok([owners, removals])
        };
        let heard = tokio::select! {
            heard = listen => heard,
            _ = &mut bus.wheel => return Err(Failure::Radio(Outage::Bus)),
        };
        for (listening, signals) in heard.map_err(|error: dbus::Error| failure(&error, Outage::Bus))? {
            bus.matches.push(listening);
            bus.signals.push(signals.boxed());
        }
        Ok(bus)
    }

    /// Waits until the radio is gone: the bus, the daemon, or this adapter (`hci0`).
    pub async fn gone(&mut self, adapter: &str) -> Outage {
        let path = format!("/org/bluez/{adapter}");
        loop {
            let signal = tokio::select! {
                _ = &mut self.wheel => return Outage::Bus,
                signal = self.signals.next() => signal,
            };
            let Some(signal) = signal else {
                return Outage::Bus;
            };
            if let (Some(BLUEZ), Some(_)) = signal.get2::<&str, &str>() {
                return Outage::Daemon;
            }
            let (object, interfaces) = signal.get2::<dbus::Path<'_>, Vec<&str>>();
            if object.is_some_and(|object| *object == *path)
                && interfaces.is_some_and(|interfaces| interfaces.contains(&ADAPTER))
            {
                return Outage::Adapter;
            }
        }
    }

    /// Lets calls be made while [`Bus::gone`] is waited for.
    pub fn calls(&self) -> Calls {
        Calls(self.connection.clone())
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        for listening in &self.matches {
            self.connection.stop_receive(listening.token());
        }
    }
}

/// Calls to the daemon.
#[derive(Clone)]
pub(super) struct Calls(Arc<SyncConnection>);

impl Calls {
    /// Makes the daemon forget a lock, if it has not done so already.
    pub async fn remove(&self, adapter: &str, lock: Address) -> Result<(), Failure> {
        let path = dbus::Path::from(format!("/org/bluez/{}", lock.object(adapter)));
        let called = self
            .adapter(adapter)
            .method_call(ADAPTER, "RemoveDevice", (path,))
            .await;
        match called {
            Err(error) if error.name() == Some("org.bluez.Error.DoesNotExist") => Ok(()),
            called => called.map_err(|error| failure(&error, Outage::Daemon)),
        }
    }

    /// Switches the adapter.
    pub async fn power(&self, adapter: &str, on: bool) -> Result<(), Failure> {
        let called = self.adapter(adapter).set(ADAPTER, "Powered", on).await;
        called.map_err(|error| failure(&error, Outage::Daemon))
    }

    fn adapter(&self, adapter: &str) -> Proxy<'static, Arc<SyncConnection>> {
        Proxy::new(BLUEZ, format!("/org/bluez/{adapter}"), WITHIN, self.0.clone())
    }
}

/// What an error means; one without a name is that outage.
pub(super) fn failure(error: &dbus::Error, unnamed: Outage) -> Failure {
    match (error.name(), error.message()) {
        (Some(name), text) => Failure::of(name, text.unwrap_or_default()),
        (None, _) => Failure::Radio(unnamed),
    }
}
