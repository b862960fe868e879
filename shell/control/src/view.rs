//! What clients are shown: plain data, complete in itself, with words a person understands beside every code.

mod names;

use serde::{Deserialize, Serialize};

pub use self::names::{
    FoundName, NameCheck, NameClaim, NameOffice, OwnName, SignedName, Statement,
};
pub use crate::audio::{
    Audio, AudioChange, AudioChoice, AudioDevice, AudioMeter, AudioTest, AudioTestState, CallSound,
    CallSwitch, Switched,
};
pub use crate::call::{CallChoice, CallCourse, CallRecord, CallSettings, ForwardTo, Spread};
pub use crate::contacts::{CarriedContact, ContactGroup, Imported, Safety, Verification};
pub use crate::presence::{OwnPresence, Presence, PresenceChange, PresenceChoice};
pub use crate::processing::{EchoLevel, GainLevel, NoiseLevel, Processing, ProcessingChange};
pub use crate::profile::{
    Avatar, OwnProfile, ProfileChange, ProfilePart, ShownProfile, Visibility,
};
pub use crate::roles::{Mailbox, MailboxChange, MailboxRefused, Role, Roles, RolesChange};

/// Who am I, how am I reachable, what do I carry.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Starling's version.
    pub version: String,
    /// The profile's folder.
    pub home: String,
    /// The account, if one was made.
    pub account: Option<Account>,
    /// How contacts see the own person, if there is an account.
    pub presence: Option<OwnPresence>,
    /// The network, if the profile belongs to one.
    pub network: Option<Network>,
    /// The home supernode in use.
    pub supernode: Option<SupernodeStatus>,
    /// What this node does for others, in words ("supernode: on, 3 clients").
    pub roles: Vec<Role>,
    /// Open paths to contacts.
    pub paths: Vec<PathView>,
    /// Bytes since the node started, by purpose.
    pub traffic: Vec<Traffic>,
    /// What the machine's administrator decided.
    #[serde(default)]
    pub policy: Vec<PolicySetting>,
    /// Ports and addresses listened on, in words.
    pub listening: Vec<String>,
    /// What this machine's supernode holds of the global index, and what it refused, in words.
    #[serde(default)]
    pub index: Vec<String>,
    /// What a person should know ("no microphone was found").
    pub warnings: Vec<String>,
    /// Calls that were missed and not seen.
    #[serde(default)]
    pub missed_calls: u32,
    /// How not to lose the account, until a backup or the 24 words were checked once.
    #[serde(default)]
    pub reminder: Option<String>,
    /// Milliseconds from start of the node to registration at a home supernode.
    pub online_after_ms: Option<u64>,
}

/// The own account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Account id.
    pub id: String,
    /// Display name.
    pub name: String,
    /// This device's id.
    pub device: String,
    /// Its name.
    pub device_name: String,
}

/// An account that was brought back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// The account.
    pub account: Account,
    /// Contacts that are asked for their cards now.
    pub contacts: usize,
    /// Accounts that stay blocked.
    pub blocked: usize,
    /// What could not be brought back, in words.
    pub notes: Vec<String>,
}

/// A device of the account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Device id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it may hold the account's key.
    pub owner: bool,
    /// Whether it is the one that answers.
    pub this: bool,
    /// Whether it is linked with the one that answers.
    pub connected: bool,
}

/// A new device on its way into an account, as one of the two sides sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pairing {
    /// The link to be opened on the new device, on the side that shows it. Valid for ten minutes, once.
    #[serde(default)]
    pub link: Option<String>,
    /// What the new device calls itself.
    #[serde(default)]
    pub device_name: Option<String>,
    /// Four words, once both sides can show them. A person has to see that they are the same.
    #[serde(default)]
    pub words: Option<String>,
    /// It has joined: its device id.
    #[serde(default)]
    pub joined: Option<String>,
    /// It came to nothing, and why.
    #[serde(default)]
    pub failed: Option<String>,
    /// What the person should know beside.
    #[serde(default)]
    pub note: Option<String>,
}

/// An account that is no more. What could not be told before the end is not told later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// Contacts whose supernode has the last letter.
    pub told: usize,
    /// Contacts who will see nothing more than that you are not there.
    pub not_told: usize,
    /// Home supernodes that have forgotten the account.
    pub supernodes: usize,
}

/// The words that bring an account back. They are its recovery key: whoever has them has the account.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phrase {
    /// All 24, in their order.
    pub words: Vec<String>,
    /// Numbers of three of them, drawn anew each time: ask for these to see whether somebody wrote them down.
    pub ask: Vec<u8>,
}

impl std::fmt::Debug for Phrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Phrase").finish_non_exhaustive()
    }
}

/// The network a profile belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Network id.
    pub id: Option<String>,
    /// Its name.
    pub name: String,
    /// Its supernodes, as `address (id)`.
    pub supernodes: Vec<String>,
    /// Whether this profile holds the owner's key.
    pub owner: bool,
    /// The network file's content, for the owner to hand out.
    pub file: Option<String>,
    /// The network's link, for the owner to hand out.
    pub link: Option<String>,
}

/// A network just made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkMade {
    /// As shown later.
    pub network: Network,
    /// The network file's content, for others.
    pub file: String,
    /// The network's link.
    pub link: String,
    /// What still has to be done by hand, if anything (a port below 1024, an address only reachable on the LAN).
    pub notes: Vec<String>,
}

/// The home supernode in use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupernodeStatus {
    /// Its id.
    pub id: String,
    /// Its address.
    pub address: String,
    /// Whether its link is up.
    pub connected: bool,
    /// In words: "connected", "not answering since 12 s".
    pub words: String,
    /// Whether it is this very machine.
    pub own: bool,
}

/// One thing that the machine's administrator decided.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicySetting {
    /// As in the policy file: `roles.relay`.
    pub key: String,
    /// As in the policy file, without passwords.
    pub value: String,
}

/// An open path.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PathView {
    /// Contact's name.
    pub who: String,
    /// "front door", "call", "chat", "file".
    pub purpose: String,
    /// "direct", "forwarded" (UDP, by a forwarder) or "relay".
    pub kind: String,
    /// Remote address or relay.
    pub remote: String,
    /// Round-trip time in milliseconds.
    pub rtt_ms: Option<f64>,
}

/// Bytes by purpose.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// "own: calls", "own: chat", "own: files", "for others: relay" and the like.
    pub purpose: String,
    /// Sent.
    pub sent: u64,
    /// Received.
    pub received: u64,
    /// At most so much in each direction, where there is a cap.
    #[serde(default)]
    pub cap_kbit_s: Option<u32>,
}

/// The own link.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnLink {
    /// The link.
    pub link: String,
    /// To be read before copying ("the link shows this machine's address 192.168.1.7").
    pub warnings: Vec<String>,
}

/// What opening a link would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkPreview {
    /// "account" or "network".
    pub kind: String,
    /// Account id.
    pub account: Option<String>,
    /// Network id.
    pub network: Option<String>,
    /// Supernode addresses that would be asked.
    pub supernodes: Vec<String>,
    /// "own", "contact", "requested", "blocked" or "new".
    pub relation: String,
}

/// A way into the window, good once and for a minute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowDoor {
    /// A page (mode 0600) that leads a browser of this user into the window.
    pub file: String,
    /// The same as an address, for a browser elsewhere behind a tunnel.
    pub url: String,
    /// Where the page server listens on 127.0.0.1.
    pub port: u16,
}

/// Somebody in the list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Account id.
    pub id: String,
    /// Name they gave themselves; not verified.
    pub name: String,
    /// Own name for them.
    pub nickname: Option<String>,
    /// How the contact stands.
    pub relation: Relation,
    /// How they are there.
    pub presence: Presence,
    /// What they say about themselves; not verified.
    pub mood: String,
    /// In a call, if they share that.
    pub in_call: bool,
    /// When they were last seen, if they are not there and that is known; Unix milliseconds, to the minute.
    pub last_seen: Option<u64>,
    /// Unread messages.
    pub unread: u32,
    /// Messages that wait for them to return.
    pub waiting: u32,
    /// The newest message, for the list.
    #[serde(flatten)]
    pub last: LastMessage,
    /// What they show beside presence.
    #[serde(flatten)]
    pub shows: ShownProfile,
    /// Whether this is the Echo / Sound Test node.
    pub echo: bool,
    /// Whether they are never reached directly.
    pub always_relay: bool,
    /// Shown first.
    #[serde(default)]
    pub favourite: bool,
    /// Own words about them.
    #[serde(default)]
    pub note: Option<String>,
    /// Names of the lists they are in.
    #[serde(default)]
    pub lists: Vec<String>,
    /// What they may not do here: "call", "chat", "files", "presence", "direct".
    #[serde(default)]
    pub denied: Vec<String>,
    /// Whether safety words were compared.
    #[serde(default)]
    pub verification: Verification,
    /// Since when another key signs for them, until the person has looked.
    #[serde(default)]
    pub key_changed_at: Option<u64>,
}

/// The newest message of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastMessage {
    /// Its beginning.
    pub last_text: Option<String>,
    /// And its time.
    pub last_at: Option<u64>,
}

impl Contact {
    /// The name to show: nickname, else name, else the id's beginning.
    pub fn title(&self) -> &str {
        match &self.nickname {
            Some(nickname) => nickname,
            None if !self.name.is_empty() => &self.name,
            None => self.id.get(..8).unwrap_or(&self.id),
        }
    }
}

/// How somebody stands to us.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// Both agreed.
    #[default]
    Contact,
    /// We asked; no answer yet.
    Requested,
    /// Blocked here.
    Blocked,
    /// Was a contact; the history is left.
    Removed,
    /// The same, because they deleted their account.
    Ended,
}

/// Somebody asks to be a contact.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactRequest {
    /// Account id.
    pub id: String,
    /// Name they gave themselves; not verified.
    pub name: String,
    /// What they wrote.
    pub message: String,
    /// When it came.
    pub at: u64,
    /// What they say at the moment, if they show it to whoever they ask; not verified.
    #[serde(default)]
    pub mood: String,
    /// What else they show.
    #[serde(flatten)]
    pub shows: ShownProfile,
}

/// One chat message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Message id.
    pub id: String,
    /// Contact's account id.
    pub contact: String,
    /// Contact's title, for plain listings.
    pub who: String,
    /// Ours or theirs.
    pub outgoing: bool,
    /// The text.
    pub text: String,
    /// Author's clock.
    pub sent_at: u64,
    /// When it was stored here.
    pub stored_at: u64,
    /// Where an outgoing message is.
    pub delivery: Delivery,
    /// When the receipt came.
    pub delivered_at: Option<u64>,
}

/// Where a message is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Incoming: it is here.
    #[default]
    Received,
    /// Stored here, on its way.
    Sending,
    /// The contact is offline; it goes when they return.
    Waiting,
    /// Stored at a device of theirs.
    Delivered,
}

/// One call, running or over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Call id.
    pub id: String,
    /// Contact's account id.
    pub contact: String,
    /// Contact's title.
    pub who: String,
    /// Who called.
    pub outgoing: bool,
    /// Where it stands.
    pub state: CallState,
    /// In words: "calling", "on hold by Bob", "no answer".
    pub words: String,
    /// When it began.
    pub started_at: u64,
    /// When it was answered.
    pub answered_at: Option<u64>,
    /// When it ended.
    pub ended_at: Option<u64>,
    /// Own microphone off.
    pub muted: bool,
    /// Held by us.
    pub held: bool,
    /// Held by them.
    pub held_by_peer: bool,
    /// Path and quality, while sound flows and after.
    pub quality: Option<CallQuality>,
    /// What a person should know ("no microphone was found: the other side hears silence").
    pub warnings: Vec<String>,
    /// Rings while there is another call: to be said quietly.
    pub waiting: bool,
    /// The own side of its sound.
    pub sound: CallSound,
    /// For the log.
    #[serde(flatten)]
    pub record: CallRecord,
}

/// State of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallState {
    /// We called; nothing rang yet.
    Calling,
    /// It rings (there if outgoing, here if incoming).
    Ringing,
    /// Answered, sound is being connected.
    Connecting,
    /// Sound flows.
    Established,
    /// Held by either side.
    Held,
    /// The connection was lost and is sought again.
    Reconnecting,
    /// Over.
    #[default]
    Ended,
}

/// What a call's path and sound are like.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CallQuality {
    /// "direct", "forwarded" (UDP, by a forwarder) or "relay".
    pub path: String,
    /// Round-trip time in milliseconds.
    pub rtt_ms: Option<f64>,
    /// Packets lost, of those expected, in percent.
    pub loss_percent: f64,
    /// Interarrival jitter (RFC 3550) in milliseconds.
    pub jitter_ms: f64,
    /// Jitter buffer's depth in milliseconds.
    pub buffer_ms: f64,
    /// How much later than the fastest packets' time sound is played, in milliseconds.
    pub delay_ms: f64,
    /// Lost frames that came back in a later packet: whole, or as redundancy.
    pub recovered: u64,
    /// Frames concealed.
    pub concealed: u64,
    /// Codec in words.
    pub codec: String,
    /// What we send with, bits a second.
    pub bitrate: u32,
    /// What we spend against losses, in words.
    pub protection: String,
    /// Estimated mean opinion score of what is heard here (ITU-T G.107), 1 to 4.5.
    pub mos: f64,
    /// Milliseconds from answering to the first frame played, once known.
    pub first_sound_ms: Option<u64>,
}

/// One file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Transfer id.
    pub id: String,
    /// Contact's account id.
    pub contact: String,
    /// Contact's title.
    pub who: String,
    /// Ours or theirs.
    pub outgoing: bool,
    /// The file's safe name.
    pub name: String,
    /// Bytes in all.
    pub size: u64,
    /// Bytes verified at the receiver.
    pub done: u64,
    /// Bytes a second, while it runs.
    pub rate: u64,
    /// Where it stands.
    pub state: TransferState,
    /// In words: "waits for Bob to come online", "cancelled by Bob".
    pub words: String,
    /// Where it lies: the source, or the finished file.
    pub path: Option<String>,
    /// When it was offered.
    pub at: u64,
}

/// State of a transfer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferState {
    /// The offer has not reached the other side, or waits for an answer.
    #[default]
    Offered,
    /// Accepted; the other side is offline or the stream is being opened.
    Waiting,
    /// Bytes flow.
    Running,
    /// Complete and verified.
    Done,
    /// Cancelled or declined.
    Cancelled,
    /// It cannot go on.
    Failed,
}
