//! What a client can ask. Each variant names the view it is answered with.

mod acts;
mod name_wish;
mod phrase;
mod sound;

use serde::{Deserialize, Serialize};

pub use self::name_wish::NameWish;
pub use self::phrase::PhraseWord;
pub use self::sound::Sound;
use crate::view::{AudioChange, CallChoice, CallSwitch, CarriedContact, MailboxChange};
use crate::view::{PresenceChange, ProcessingChange, ProfileChange, RolesChange};

/// A request to the node. `WHO` fields take a display name, a nickname or an account id (its beginning is enough).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", content = "params")]
pub enum Command {
    /// [`view::Status`](crate::view::Status)
    #[serde(rename = "status")]
    Status {},
    /// Makes the profile's account. [`view::Account`](crate::view::Account)
    #[serde(rename = "account.create")]
    AccountCreate {
        /// Display name.
        name: String,
    },
    /// [`view::Account`](crate::view::Account), or null while there is none.
    #[serde(rename = "account.show")]
    AccountShow {},
    /// Writes account, contacts and network, sealed under a passphrase. `null`
    #[serde(rename = "account.backup")]
    AccountBackup {
        /// Absolute path; must not exist.
        file: String,
        /// At least 8 characters.
        passphrase: String,
    },
    /// Opens a backup of this account and changes nothing: whether file and passphrase are right. `null`
    #[serde(rename = "account.backup_check")]
    AccountBackupCheck {
        /// Absolute path.
        file: String,
        /// As given at backup.
        passphrase: String,
    },
    /// The 24 words that bring the account back. [`view::Phrase`](crate::view::Phrase)
    #[serde(rename = "account.phrase")]
    AccountPhrase {},
    /// Whether somebody has them: three different ones of them, or more. `null`
    #[serde(rename = "account.phrase_check")]
    AccountPhraseCheck {
        /// The words, each with its number.
        words: Vec<PhraseWord>,
    },
    /// Reads a backup into a profile without an account. [`view::Account`](crate::view::Account)
    #[serde(rename = "account.restore")]
    AccountRestore {
        /// Absolute path.
        file: String,
        /// As given at backup.
        passphrase: String,
    },
    /// Brings an account back by its 24 words, into a profile without one that has joined its network.
    /// [`view::Restored`](crate::view::Restored)
    #[serde(rename = "account.restore_phrase")]
    AccountRestorePhrase {
        /// All 24.
        words: String,
        /// Also where its network does not know it any more.
        #[serde(default)]
        anyway: bool,
    },
    /// Makes a link for a new device of this account. [`view::Pairing`](crate::view::Pairing)
    #[serde(rename = "device.add")]
    DeviceAdd {
        /// Whether it is to hold the account's key, too.
        owner: bool,
    },
    /// Joins an account by such a link, in a profile without one. [`view::Pairing`](crate::view::Pairing)
    #[serde(rename = "device.join")]
    DeviceJoin {
        /// A `starling-device:` link.
        link: String,
        /// What this device is called; the machine's name if absent.
        name: Option<String>,
    },
    /// How that stands, on either side. [`view::Pairing`](crate::view::Pairing), or null
    #[serde(rename = "device.pairing")]
    DevicePairing {},
    /// Whether the words on both screens are the same, on either side. [`view::Pairing`](crate::view::Pairing)
    #[serde(rename = "device.answer")]
    DeviceAnswer {
        /// `false` cancels, also before there are words.
        same: bool,
    },
    /// List of [`view::Device`](crate::view::Device), this one first.
    #[serde(rename = "device.list")]
    DeviceList {},
    /// List of [`view::Device`](crate::view::Device)
    #[serde(rename = "device.rename")]
    DeviceRename {
        /// Its name, or the beginning of its id.
        device: String,
        /// At most 64 bytes.
        name: String,
    },
    /// Removes a device from the account. List of [`view::Device`](crate::view::Device)
    #[serde(rename = "device.revoke")]
    DeviceRevoke {
        /// Its name, or the beginning of its id.
        device: String,
    },
    /// Marks a device that is to hold the account's key. List of [`view::Device`](crate::view::Device)
    #[serde(rename = "device.owner")]
    DeviceOwner {
        /// Its name, or the beginning of its id.
        device: String,
        /// Whether it is to.
        owner: bool,
    },
    /// Makes this device the only one of its account, by the 24 words. [`view::Account`](crate::view::Account)
    #[serde(rename = "account.recover")]
    AccountRecover {
        /// All 24.
        words: String,
    },
    /// Deletes the account everywhere, and everything of it on this machine; then the node ends.
    /// [`view::Deleted`](crate::view::Deleted)
    #[serde(rename = "account.delete")]
    AccountDelete {
        /// The account's display name, as a sign that it is meant.
        name: String,
        /// Also where the key of the network's owner goes with it.
        #[serde(default)]
        with_network: bool,
    },
    /// Forgets the 24 words on this device; whoever has them proves it by all of them. `null`
    #[serde(rename = "account.phrase_forget")]
    AccountPhraseForget {
        /// All 24.
        words: String,
    },
    /// Makes a network with this machine as its first supernode. [`view::NetworkMade`](crate::view::NetworkMade)
    #[serde(rename = "network.init")]
    NetworkInit {
        /// What the owner calls it.
        name: String,
        /// The address others reach this machine at; the node's listening address if absent.
        advertise: Option<String>,
    },
    /// [`view::Network`](crate::view::Network), or null in a profile that stands alone.
    #[serde(rename = "network.show")]
    NetworkShow {},
    /// Joins by a network file's text or a link. [`view::Network`](crate::view::Network)
    #[serde(rename = "network.join")]
    NetworkJoin {
        /// Content of the file, or a `starling:` link.
        source: String,
    },
    /// The own link. [`view::OwnLink`](crate::view::OwnLink)
    #[serde(rename = "contact.link")]
    ContactLink {},
    /// What a link leads to; changes nothing. [`view::LinkPreview`](crate::view::LinkPreview)
    #[serde(rename = "contact.preview")]
    ContactPreview {
        /// A `starling:` link.
        link: String,
    },
    /// Sends a contact request. [`view::Contact`](crate::view::Contact)
    #[serde(rename = "contact.add")]
    ContactAdd {
        /// A `starling:` link, or a unique name.
        link: String,
        /// Goes with the request.
        message: String,
    },
    /// List of [`view::Contact`](crate::view::Contact)
    #[serde(rename = "contact.list")]
    ContactList {},
    /// Removed contacts, whose history is still here. List of [`view::Contact`](crate::view::Contact)
    #[serde(rename = "contact.earlier")]
    ContactEarlier {},
    /// List of [`view::ContactRequest`](crate::view::ContactRequest)
    #[serde(rename = "contact.requests")]
    ContactRequests {},
    /// [`view::Contact`](crate::view::Contact)
    #[serde(rename = "contact.accept")]
    ContactAccept {
        /// Of the request (account id, or its beginning, or the name).
        id: String,
    },
    /// `null`
    #[serde(rename = "contact.decline")]
    ContactDecline {
        /// Of the request.
        id: String,
    },
    /// `null`
    #[serde(rename = "contact.remove")]
    ContactRemove {
        /// WHO.
        who: String,
    },
    /// `null`
    #[serde(rename = "contact.block")]
    ContactBlock {
        /// WHO, also somebody who only sent a request.
        who: String,
    },
    /// A local nickname; empty removes it. [`view::Contact`](crate::view::Contact)
    #[serde(rename = "contact.nickname")]
    ContactNickname {
        /// WHO.
        who: String,
        /// At most 128 bytes.
        nickname: String,
    },
    /// Whether somebody is shown first. [`view::Contact`](crate::view::Contact)
    #[serde(rename = "contact.favourite")]
    ContactFavourite {
        /// WHO.
        who: String,
        /// Is one, or is none.
        on: bool,
    },
    /// Own words about somebody; empty removes them. [`view::Contact`](crate::view::Contact)
    #[serde(rename = "contact.note")]
    ContactNote {
        /// WHO.
        who: String,
        /// At most 4 KiB.
        note: String,
    },
    /// Puts somebody into a list, which begins to exist with its first one. [`view::Contact`](crate::view::Contact)
    #[serde(rename = "contact.list_add")]
    ContactListAdd {
        /// WHO.
        who: String,
        /// The list's name, at most 64 bytes.
        list: String,
    },
    /// Takes somebody out of a list. [`view::Contact`](crate::view::Contact)
    #[serde(rename = "contact.list_remove")]
    ContactListRemove {
        /// WHO.
        who: String,
        /// The list's name.
        list: String,
    },
    /// List of [`view::ContactGroup`](crate::view::ContactGroup)
    #[serde(rename = "contact.lists")]
    ContactLists {},
    /// What somebody may do here. [`view::Contact`](crate::view::Contact)
    #[serde(rename = "contact.permit")]
    ContactPermit {
        /// WHO.
        who: String,
        /// "call", "chat", "files", "presence" or "direct".
        what: String,
        /// Allowed or denied.
        allowed: bool,
    },
    /// The words that two people compare. [`view::Safety`](crate::view::Safety)
    #[serde(rename = "contact.safety")]
    ContactSafety {
        /// WHO.
        who: String,
    },
    /// Marks somebody as verified, if words or code are the right ones. [`view::Contact`](crate::view::Contact)
    #[serde(rename = "contact.verify")]
    ContactVerify {
        /// WHO.
        who: String,
        /// The words as the other side has them.
        words: Option<String>,
        /// Or their code.
        code: Option<String>,
    },
    /// Takes the mark away. [`view::Contact`](crate::view::Contact)
    #[serde(rename = "contact.unverify")]
    ContactUnverify {
        /// WHO.
        who: String,
    },
    /// The person has read that somebody's key changed. [`view::Contact`](crate::view::Contact)
    #[serde(rename = "contact.key_seen")]
    ContactKeySeen {
        /// WHO.
        who: String,
    },
    /// Accepts a request, and always relays. [`view::Contact`](crate::view::Contact)
    #[serde(rename = "contact.accept_relayed")]
    ContactAcceptRelayed {
        /// Of the request (account id, or its beginning, or the name).
        id: String,
    },
    /// Every contact, to be carried elsewhere; no secrets. List of [`view::CarriedContact`](crate::view::CarriedContact)
    #[serde(rename = "contact.export")]
    ContactExport {},
    /// Takes one in: keeps what is said of a contact, asks anybody else. [`view::Imported`](crate::view::Imported)
    #[serde(rename = "contact.import")]
    ContactImport {
        /// As exported.
        contact: CarriedContact,
        /// Goes with the request.
        message: String,
    },
    /// Whether somebody is never reached directly, in calls and transfers neither. [`view::Contact`](crate::view::Contact)
    #[serde(rename = "contact.relay")]
    ContactRelay {
        /// WHO.
        who: String,
        /// `false`: directly where that succeeds.
        always: bool,
    },
    /// The same for everybody; `false` leaves it to what was chosen for each. `null`
    #[serde(rename = "contact.relay_everybody")]
    ContactRelayEverybody {
        /// Never directly.
        always: bool,
    },
    /// Changes how contacts see the own person. [`view::OwnPresence`](crate::view::OwnPresence)
    #[serde(rename = "presence.set")]
    PresenceSet(PresenceChange),
    /// How contacts see the own person. [`view::OwnPresence`](crate::view::OwnPresence)
    #[serde(rename = "presence.show")]
    PresenceShow {},
    /// How a contact is. [`view::Contact`](crate::view::Contact)
    #[serde(rename = "presence.of")]
    PresenceOf {
        /// WHO.
        who: String,
    },
    /// The person is at the machine. `null`
    #[serde(rename = "presence.active")]
    PresenceActive {},
    /// [`view::OwnProfile`](crate::view::OwnProfile)
    #[serde(rename = "profile.show")]
    ProfileShow {},
    /// [`view::OwnProfile`](crate::view::OwnProfile)
    #[serde(rename = "profile.set")]
    ProfileSet(ProfileChange),
    /// A picture. [`view::Avatar`](crate::view::Avatar)
    #[serde(rename = "profile.avatar")]
    ProfileAvatar {
        /// WHO; the own one if absent.
        who: Option<String>,
    },
    /// Starts the sound-test node if it does not run and makes it a contact. [`view::Contact`](crate::view::Contact)
    #[serde(rename = "echo.open")]
    EchoOpen {},
    /// [`view::Message`](crate::view::Message)
    #[serde(rename = "chat.send")]
    ChatSend {
        /// WHO.
        who: String,
        /// At most 16 KiB.
        text: String,
    },
    /// The newest messages, oldest first. List of [`view::Message`](crate::view::Message)
    #[serde(rename = "chat.log")]
    ChatLog {
        /// WHO.
        who: String,
        /// How many at most (default 50).
        limit: Option<u32>,
        /// Only messages before this one (paging upwards).
        before: Option<String>,
    },
    /// Everything of that contact was seen. `null`
    #[serde(rename = "chat.read")]
    ChatRead {
        /// WHO.
        who: String,
    },
    /// [`view::Call`](crate::view::Call)
    #[serde(rename = "call.start")]
    CallStart {
        /// WHO.
        who: String,
        /// Sound in and out.
        #[serde(flatten)]
        sound: Sound,
    },
    /// Answers the ringing call. [`view::Call`](crate::view::Call)
    #[serde(rename = "call.answer")]
    CallAnswer {
        /// Which; the only ringing one if absent.
        id: Option<String>,
        /// Sound in and out.
        #[serde(flatten)]
        sound: Sound,
    },
    /// Ends, cancels or declines. [`view::Call`](crate::view::Call)
    #[serde(rename = "call.hangup")]
    CallHangup {
        /// Which; the only one if absent.
        id: Option<String>,
    },
    /// [`view::Call`](crate::view::Call)
    #[serde(rename = "call.hold")]
    CallHold {
        /// Which; the only one if absent.
        id: Option<String>,
        /// Hold or resume.
        on: bool,
    },
    /// [`view::Call`](crate::view::Call)
    #[serde(rename = "call.mute")]
    CallMute {
        /// Which; the only one if absent.
        id: Option<String>,
        /// Microphone off or on.
        on: bool,
    },
    /// Switches the own side of its sound. [`view::Call`](crate::view::Call)
    #[serde(rename = "call.switch")]
    CallSwitch(CallSwitch),
    /// Those that were missed, newest first. List of [`view::Call`](crate::view::Call)
    #[serde(rename = "call.missed")]
    CallMissed {
        /// How many at most (default 50).
        limit: Option<u32>,
    },
    /// One, with its [`view::CallCourse`](crate::view::CallCourse). [`view::Call`](crate::view::Call)
    #[serde(rename = "call.show")]
    CallShow {
        /// Its id, or the beginning.
        id: String,
    },
    /// The person has seen the missed ones. `null`
    #[serde(rename = "call.seen")]
    CallSeen {},
    /// How the person wants to be called. [`view::CallSettings`](crate::view::CallSettings)
    #[serde(rename = "call.settings")]
    CallSettings {},
    /// Changes that; what is absent stays. [`view::CallSettings`](crate::view::CallSettings)
    #[serde(rename = "call.set")]
    CallSet(CallChoice),
    /// Puts the other side through to another contact. [`view::Call`](crate::view::Call)
    #[serde(rename = "call.transfer")]
    CallTransfer {
        /// Which; the active one if absent.
        id: Option<String>,
        /// WHO they are to talk to.
        who: String,
    },
    /// What is done with the microphone's sound. [`view::Processing`](crate::view::Processing)
    #[serde(rename = "processing.show")]
    ProcessingShow {},
    /// Changes that, also in a running call. [`view::Processing`](crate::view::Processing)
    #[serde(rename = "processing.set")]
    ProcessingSet(ProcessingChange),
    /// Calls of now and before, newest first. List of [`view::Call`](crate::view::Call)
    #[serde(rename = "call.list")]
    CallList {
        /// How many at most (default 50).
        limit: Option<u32>,
    },
    /// [`view::Transfer`](crate::view::Transfer)
    #[serde(rename = "file.send")]
    FileSend {
        /// WHO.
        who: String,
        /// Absolute path of a readable file.
        path: String,
    },
    /// Sound devices, and which are used. [`view::Audio`](crate::view::Audio)
    #[serde(rename = "audio.devices")]
    AudioDevices {},
    /// Chooses them; a call goes on with what is chosen. [`view::Audio`](crate::view::Audio)
    #[serde(rename = "audio.use")]
    AudioUse(AudioChange),
    /// How loud the microphone is; outside of a call it is open until two seconds after. [`view::AudioMeter`](crate::view::AudioMeter)
    #[serde(rename = "audio.meter")]
    AudioMeter {},
    /// Plays five seconds of the microphone back. [`view::AudioTest`](crate::view::AudioTest), as is the next
    #[serde(rename = "audio.test")]
    AudioTest {},
    /// How that stands.
    #[serde(rename = "audio.test_state")]
    AudioTestState {},
    /// Newest first. List of [`view::Transfer`](crate::view::Transfer)
    #[serde(rename = "file.list")]
    FileList {},
    /// [`view::Transfer`](crate::view::Transfer)
    #[serde(rename = "file.accept")]
    FileAccept {
        /// Transfer id or its beginning.
        id: String,
        /// Absolute path of a folder; the download folder if absent.
        to: Option<String>,
    },
    /// Cancels, or declines an offer. [`view::Transfer`](crate::view::Transfer)
    #[serde(rename = "file.cancel")]
    FileCancel {
        /// Transfer id or its beginning.
        id: String,
    },
    /// What this machine does for others, and how much. [`view::Roles`](crate::view::Roles)
    #[serde(rename = "roles.show")]
    RolesShow {},
    /// Changes that; what is absent stays, a cap of 0 is lifted. [`view::Roles`](crate::view::Roles)
    #[serde(rename = "roles.set")]
    RolesSet(RolesChange),
    /// What is kept in conversations' boxes for others. [`view::Mailbox`](crate::view::Mailbox)
    #[serde(rename = "mailbox.show")]
    MailboxShow {},
    /// Changes how much. [`view::Mailbox`](crate::view::Mailbox)
    #[serde(rename = "mailbox.set")]
    MailboxSet(MailboxChange),
    /// Asks the network's registrar for a unique name. [`view::OwnName`](crate::view::OwnName)
    #[serde(rename = "name.claim")]
    NameClaim {
        /// As somebody typed it.
        name: String,
        /// What the network's owner gave out, where it wants one.
        invitation: Option<String>,
        /// To be found by the display name, too.
        findable: bool,
    },
    /// List of [`view::OwnName`](crate::view::OwnName)
    #[serde(rename = "name.show")]
    NameShow {},
    /// Gives a name up. [`view::OwnName`](crate::view::OwnName)
    #[serde(rename = "name.release")]
    NameRelease {
        /// Which.
        name: String,
    },
    /// Keeps it for another year; in the last quarter that is done by itself. [`view::OwnName`](crate::view::OwnName)
    #[serde(rename = "name.renew")]
    NameRenew {
        /// Which.
        name: String,
    },
    /// Whose a name is, and what that was checked by. [`view::NameCheck`](crate::view::NameCheck)
    #[serde(rename = "name.verify")]
    NameVerify {
        /// Anybody's.
        name: String,
    },
    /// The exact name, and people who want to be found. List of [`view::FoundName`](crate::view::FoundName)
    #[serde(rename = "search")]
    Search {
        /// Words, or their beginnings.
        text: String,
    },
    /// Makes this machine the registrar of its owner's network, or begins its work again. [`view::NameOffice`](crate::view::NameOffice)
    #[serde(rename = "registrar.start")]
    RegistrarStart {
        /// "open", "invitation" or "by hand"; as before if absent (at first by invitation).
        admission: Option<String>,
        /// As before if absent (at first 1).
        names_per_account: Option<u32>,
        /// In place of another one, after the last entry that nobody disputes.
        take_over: bool,
    },
    /// [`view::NameOffice`](crate::view::NameOffice)
    #[serde(rename = "registrar.stop")]
    RegistrarStop {},
    /// [`view::NameOffice`](crate::view::NameOffice)
    #[serde(rename = "registrar.show")]
    RegistrarShow {},
    /// List of new invitations.
    #[serde(rename = "registrar.invite")]
    RegistrarInvite {
        /// How many; each is good for one name.
        count: u32,
    },
    /// Gives a name by hand. [`view::NameOffice`](crate::view::NameOffice)
    #[serde(rename = "registrar.accept")]
    RegistrarAccept(NameWish),
    /// Does not. [`view::NameOffice`](crate::view::NameOffice)
    #[serde(rename = "registrar.decline")]
    RegistrarDecline(NameWish),
    /// From now on, events come on this connection as notifications. `null`
    #[serde(rename = "events")]
    Events {},
    /// A way into the window, if the node's process can show one. [`view::WindowDoor`](crate::view::WindowDoor)
    #[serde(rename = "window.open")]
    WindowOpen {},
    /// Ends the node. `null`
    #[serde(rename = "node.stop")]
    NodeStop {},
}

#[cfg(test)]
mod tests;
