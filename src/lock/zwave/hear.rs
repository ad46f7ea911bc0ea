//! What an event of the network means.

use super::wire::{Args, Event, Seen, class};
use crate::model::{By, Outage, Slot, Word};

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A node did not acknowledge what it was sent.
    Dead(u16),
    /// A node can be reached.
    Alive(u16),
    /// A node says something by itself; it may be that it can be reached, if it says so unasked.
    Says {
        /// Which.
        node: u16,
        /// What.
        word: Word,
        /// It was a notification, which nobody had asked for.
        unasked: bool,
    },
    /// A node is to be asked anew what it is.
    Changed(u16),
    /// A node left the network.
    Gone(u16),
    /// How the stick is.
    Stick(Option<Outage>),
    /// The driver began anew, perhaps with another network: nothing that was known holds any more.
    Anew,
}

/// What an event means; most mean nothing here.
pub fn meaning(event: &Event) -> Option<Heard> {
    match (event.source.as_str(), event.event.as_str()) {
        ("node", name) => of_node(event.node_id?, name, event),
        ("controller", "node added") => Some(Heard::Changed(event.node.as_ref()?.node_id)),
        ("controller", "node removed") => Some(Heard::Gone(event.node.as_ref()?.node_id)),
        ("controller", "status changed") => Some(Heard::Stick(stick(event.status?))),
        ("driver", "driver ready") | ("controller", "network joined" | "network left") => Some(Heard::Anew),
        _ => None,
    }
}

/// How the stick is by its status. Jammed, it waits for a pause in the air and answers all the same.
pub fn stick(status: u8) -> Option<Outage> {
    match status {
        0 | 2 => None,
        _ => Some(Outage::Stick),
    }
}

fn of_node(node: u16, name: &str, event: &Event) -> Option<Heard> {
    let says = |word, unasked| Heard::Says { node, word, unasked };
    Some(match name {
        "dead" => Heard::Dead(node),
        "alive" | "wake up" => Heard::Alive(node),
        "ready" | "interview completed" | "interview failed" => Heard::Changed(node),
        "notification" => says(notification(event.cc_id?, &event.args)?, true),
        "value updated" | "value added" if event.args.seen.named => Heard::Changed(node),
        "value updated" | "value added" => says(change(&event.args.seen)?, false),
        _ => return None,
    })
}

fn notification(command_class: u8, args: &Args) -> Option<Word> {
    let slot = args.user.filter(|user| *user != 0).map(Slot);
    match command_class {
        class::NOTIFICATION => {}
        // The only thing that it notifies.
        class::BATTERY => return Some(Word::BatteryLow),
        _ => return None,
    }
    let moved = |locked, by| Word::Moved { locked, by };
    Some(match (args.kind?, args.event?) {
        (6, 1) => moved(true, By::Hand),
        (6, 2) => moved(false, By::Hand),
        (6, 3) => moved(true, By::Radio),
        (6, 4) => moved(false, By::Radio),
        (6, 5) => moved(true, By::Keypad(slot)),
        (6, 6) => moved(false, By::Keypad(slot)),
        (6, 9) => moved(true, By::Itself),
        (6, 11) => Word::Jammed,
        (6, 12) => Word::CodesErased,
        (6, 13 | 14) => Word::CodeChanged(slot),
        // 16: its keypad is off for a while. Burglar alarm 4: a wrong code.
        (6, 16) | (7, 4) => Word::Denied,
        (7, 3) => Word::Tampered,
        (8, 10 | 11) => Word::BatteryLow,
        _ => return None,
    })
}

/// How a node is, by its values.
pub fn state(seen: &Seen) -> impl Iterator<Item = Word> {
    [seen.bolt.map(Word::Bolt), seen.battery.map(Word::Battery)]
        .into_iter()
        .flatten()
}

/// What a value says that has just changed.
fn change(seen: &Seen) -> Option<Word> {
    let happened = [
        seen.jammed.then_some(Word::Jammed),
        seen.keypad_off.then_some(Word::Denied),
        seen.tampered.then_some(Word::Tampered),
        seen.battery_low.then_some(Word::BatteryLow),
    ];
    state(seen).chain(happened.into_iter().flatten()).next()
}
