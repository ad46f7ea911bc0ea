//! The words of the trade, as types. No I/O, no clock, no wire formats: JSON and topics
//! live at the edge, the store's bytes in `gateway::records`.

pub mod capability;
pub mod credential;
pub mod event;
pub mod exchange;
pub mod id;
pub mod job;
pub mod pin;
pub mod refusal;
pub mod settings;
pub mod time;
pub mod window;
pub mod word;

pub use capability::{
    Addressing, Alphabet, Capabilities, Closed, NativeWindow, Pattern, ReadBack, Unsuitable,
};
pub use credential::Credential;
pub use event::{Detail, Edit, Event, EventKind};
pub use exchange::{CallId, Content, Entry, Exchange, Finding, How, Objection, Outcome, Step};
pub use id::{AttemptId, Caller, CodeId, DeviceId, GroupKey, JobId, RadioId, Slot};
pub use job::{
    Create, CreateMultiple, Deed, Delete, DoorCommand, NewTimes, Note, ReportConstraints, Request, Unshared,
    Update, UpdateDevice, UpdateMultiple,
};
pub use pin::Pin;
pub use refusal::{DeviceReason, Reason, Refusal};
pub use settings::{Limits, Settings, Untrusted, Voucher};
pub use time::{Boot, Mono, Now, Reading, Timestamp};
pub use window::Window;
pub use word::{BATTERY_LOW, Bookmark, By, Logbook, Outage, Typed, Word};
