//! What the node tells its clients unasked. An event carries the whole new view, so a client never has to merge.

use serde::{Deserialize, Serialize};

use crate::view::{
    Call, Contact, ContactRequest, Message, OwnName, OwnPresence, OwnProfile, Pairing, Status,
    Transfer,
};

/// Something changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// Account, reachability, roles, warnings.
    Status(Box<Status>),
    /// A new device is on its way into the account.
    Pairing(Pairing),
    /// A contact is new or changed (also presence and unread count).
    Contact(Contact),
    /// Another key signs for a contact than before.
    KeyChanged(Contact),
    /// A contact is gone; its account id.
    ContactRemoved(String),
    /// Somebody asks.
    Request(ContactRequest),
    /// A request was answered or withdrawn; its account id.
    RequestGone(String),
    /// A message is new, or its delivery state changed.
    Message(Message),
    /// A call is new or changed; in a call once a second.
    Call(Call),
    /// A transfer is new or changed; while it runs up to four times a second.
    Transfer(Transfer),
    /// Contacts see the own person otherwise, or something else was chosen.
    OwnPresence(OwnPresence),
    /// The own person shows something else than before, or to others.
    OwnProfile(OwnProfile),
    /// Our unique names, after an answer of the registrar.
    Names(Vec<OwnName>),
    /// What is wrong with the registrar's log or our names in it, in sentences; none when it is over.
    NameAlarm(Vec<String>),
    /// The client was too slow and missed events: ask for everything again.
    Lagged,
}
