//! How own devices keep one set of entries: contacts, answers to requests, blocks, profile, settings, notes (`SYNC-01` to
//! `SYNC-13`). One [`Sync`] is one device's side towards all others.
//!
//! Each link begins with both cards, so both sides know the same list of devices; then each says what its set looks like, by digests, and is
//! told what it lacks. Changes made later go to every link at once, and from there on.
//!
//! **Revoking.** Whoever signs a card without a device takes over what that device had changed (the stamps become his, their times
//! stay), and his set is *settled* by the new history. Everybody else keeps what the device left until he has got everything from somebody whose
//! set is settled, then drops the rest. So nothing that was there disappears, and what a thief changed after he was revoked is undone
//! also where he came first.
//!
//! The machine has no deadlines, so it takes the wall clock (Unix milliseconds) where others take `now`: stamps are made of it. The driver
//! dials, and tries again, when it is asked to ([`SyncEvent::Reach`]) and when presence says that another own device has come.

mod set;

use std::collections::{BTreeMap, BTreeSet};

use starling_wire::account::ChainHead;
use starling_wire::card::{SignedCard, VerifiedCard};
use starling_wire::ids::DeviceId;
use starling_wire::sync::{
    AHEAD_MAX_MS, Author, BUCKETS, Entry, Have, Key, Seed, SyncFrame, frames,
};

use self::set::Set;
use crate::machine::Outputs;

/// A stream with another own device, numbered by the driver.
pub type LinkId = u64;

/// What becomes of an entry; no value: deleted.
pub type Change = (Key, Option<Vec<u8>>);

/// What a person or another driver wants.
#[derive(Debug, Clone)]
pub enum SyncCommand {
    /// These entries change, all or none.
    Change(Vec<Change>),
    /// This device signed a new card, or its own door in it.
    Card(Box<VerifiedCard>),
}

/// Why a command was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SyncRefused {
    /// Beyond the bound of one entry.
    #[error("this is longer than Starling can keep on all your devices; make it shorter")]
    TooLarge,
    /// Beyond the bound of all.
    #[error("your devices keep as much together as they can; remove contacts or notes first")]
    Full,
}

/// Why something of another own device's was not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refusal {
    /// An entry beyond its bound.
    #[error("another device of yours sent an entry that is larger than Starling allows")]
    TooLarge,
    /// Changed by a device that is none of the account's.
    #[error("another device of yours passed on what a removed device had changed")]
    Foreign,
    /// Not signed by the device in its stamp.
    #[error("another device of yours passed off a change as a third one's")]
    Forged,
    /// Its stamp is too far ahead.
    #[error("another device of yours made a change in the future; set its clock right")]
    Ahead,
    /// The set is full.
    #[error("your devices keep as much together as they can; remove contacts or notes first")]
    Full,
    /// Frames that do not belong there.
    #[error("another device of yours sends what this version of Starling does not understand")]
    Malformed,
    /// A card that is not valid or another account's.
    #[error("a device that said it was yours has another account")]
    Account,
}

/// What must survive a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncPersist {
    /// This is how the entry stands now: keep it, and do what it says ([`starling_wire::sync::item::Item`]).
    Put(Entry),
    /// It is gone, and leaves no trace.
    Remove(Key),
    /// The newest card.
    Card(Box<SignedCard>),
    /// The account's signing key: this is an owner's device now.
    SigningKey(Seed),
    /// By this history the set is complete.
    Settled(ChainHead),
}

/// A frame and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncTransmit {
    /// The link.
    pub link: LinkId,
    /// The frame.
    pub frame: SyncFrame,
}

/// What else is to be done or shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncEvent {
    /// There is something to tell this device: connect to it if it is there.
    Reach(DeviceId),
    /// Close a link once what was transmitted on it is flushed; it is forgotten here.
    Close(LinkId),
    /// Something of this device's was not followed.
    Refused(DeviceId, Refusal),
    /// Its clock and ours are more than a day apart: one of them has to be set right.
    ClockApart(DeviceId),
    /// This device is no longer one of the account's.
    Revoked,
}

/// What a device starts with.
#[derive(Debug)]
pub struct Stored {
    /// The account as it is known here.
    pub card: VerifiedCard,
    /// For an owner's device.
    pub signing_key: Option<Seed>,
    /// All entries.
    pub entries: Vec<Entry>,
    /// What was last persisted as [`SyncPersist::Settled`].
    pub settled: Option<ChainHead>,
}

/// One device's side.
#[derive(Debug)]
pub struct Sync {
    card: VerifiedCard,
    signing_key: Option<Seed>,
    settled: Option<ChainHead>,
    set: Set,
    links: BTreeMap<LinkId, Link>,
    persist: Outputs<SyncPersist>,
    transmits: Outputs<SyncTransmit>,
    events: Outputs<SyncEvent>,
}

#[derive(Debug)]
struct Link {
    device: DeviceId,
    /// Their card has come.
    live: bool,
    /// And all that we lacked.
    complete: bool,
}

impl Sync {
    /// Of the device that signs as this author, in the account of the stored card.
    pub fn new(author: Author, stored: Stored) -> Self {
        let devices = devices(&stored.card);
        let head = stored.card.account().head();
        let mut set = Set::new(author, stored.entries);
        let alone = devices.len() == 1 && devices.contains(&set.own());
        set.set_devices(devices);
        Self {
            settled: if alone { Some(head) } else { stored.settled },
            card: stored.card,
            signing_key: stored.signing_key,
            set,
            links: BTreeMap::new(),
            persist: Outputs::default(),
            transmits: Outputs::default(),
            events: Outputs::default(),
        }
    }

    /// What a person or another driver wants.
    pub fn handle_command(&mut self, command: SyncCommand, clock: u64) -> Result<(), SyncRefused> {
        self.assert_drained();
        match command {
            SyncCommand::Change(changes) => self.change(changes, clock),
            SyncCommand::Card(card) => {
                self.signed(&card, clock);
                Ok(())
            }
        }
    }

    /// A stream with this device of ours is open; its front door stands in the card.
    pub fn handle_link_up(&mut self, link: LinkId, device: DeviceId, clock: u64) {
        self.assert_drained();
        if !self.set.lists(self.set.own()) || !self.set.lists(device) || device == self.set.own() {
            self.events.push(SyncEvent::Close(link));
            return;
        }
        let fresh = Link {
            device,
            live: false,
            complete: false,
        };
        self.links.insert(link, fresh);
        self.tell_card(link, clock);
    }

    /// It is gone.
    pub fn handle_link_down(&mut self, link: LinkId) {
        self.assert_drained();
        if let Some(gone) = self.links.remove(&link)
            && !gone.complete
        {
            self.reach(gone.device);
        }
    }

    /// What was persisted last did not stay, and this is what is there: it counts again, and all links begin anew.
    pub fn handle_undone(&mut self, stored: Stored) {
        self.assert_drained();
        let links = std::mem::take(&mut self.links);
        *self = Self::new(self.set.author().clone(), stored);
        for (link, Link { device, .. }) in links {
            self.close(link);
            self.reach(device);
        }
    }

    /// What the other side of a link said.
    pub fn handle_frame(&mut self, link: LinkId, frame: SyncFrame, clock: u64) {
        self.assert_drained();
        let Some(peer) = self.links.get(&link) else {
            return;
        };
        let (device, live) = (peer.device, peer.live);
        match frame {
            SyncFrame::Card {
                card,
                clock: theirs,
                wants_key,
            } => {
                let told = Told {
                    clock: theirs,
                    wants_key,
                };
                self.card_came(link, &card, told, clock);
            }
            // SYNC-06: the cards come first.
            _ if !live => self.refuse(link, Refusal::Malformed),
            SyncFrame::Digests { digests, settled } => self.digests_came(link, &digests, settled),
            SyncFrame::Have(have) => self.lacks(link, &have),
            SyncFrame::Entries(entries) => self.entries_came(link, &entries, clock),
            SyncFrame::Done { settled } => self.complete(link, settled),
            SyncFrame::SigningKey(seed) => self.key_came(device, seed),
        }
    }

    /// What must be durable first.
    pub fn poll_persist(&mut self) -> Option<SyncPersist> {
        self.persist.pop()
    }

    /// What is to be sent.
    pub fn poll_transmit(&mut self) -> Option<SyncTransmit> {
        self.transmits.pop()
    }

    /// What is to be done or shown.
    pub fn poll_event(&mut self) -> Option<SyncEvent> {
        self.events.pop()
    }

    fn change(&mut self, changes: Vec<Change>, clock: u64) -> Result<(), SyncRefused> {
        self.set.may_change(&changes)?;
        let made = changes
            .into_iter()
            .filter_map(|(key, value)| self.set.change(key, value, clock))
            .collect();
        self.made(made, None);
        Ok(())
    }

    /// SYNC-12: entries that have changed here, or came over a link, are kept and go on to the other links.
    fn made(&mut self, entries: Vec<Entry>, from: Option<LinkId>) {
        if entries.is_empty() {
            return;
        }
        for entry in &entries {
            self.persist.push(SyncPersist::Put(entry.clone()));
        }
        let others: Vec<LinkId> = self.links(|link| link.live);
        for link in others.into_iter().filter(|link| Some(*link) != from) {
            for frame in frames(entries.iter().cloned()) {
                self.send(link, frame);
            }
        }
        self.reach_others();
    }

    /// SYNC-05: this device signed it, so it takes over what those left who are not in it any more.
    fn signed(&mut self, card: &VerifiedCard, clock: u64) {
        let merged = self.card.merged(card);
        if merged == self.card {
            return;
        }
        let before = self.card.account().head();
        self.card = merged;
        self.set.set_devices(devices(&self.card));
        let taken = self.set.take_over();
        let took = !taken.is_empty();
        self.made(taken, None);
        self.card_changed(None, clock);
        if took || before != self.card.account().head() {
            self.settle();
        }
        self.reach_others();
    }

    fn card_came(&mut self, link: LinkId, card: &SignedCard, told: Told, clock: u64) {
        // SYNC-06: a valid card of this account.
        let verified = card.verify().ok();
        let own = self.card.account().id();
        let Some(verified) = verified.filter(|card| card.account().id() == own) else {
            self.refuse(link, Refusal::Account);
            return;
        };
        self.learn(link, &verified, clock);
        let Some(peer) = self.links.get_mut(&link) else {
            return;
        };
        let (device, first) = (peer.device, !peer.live);
        peer.live = true;
        if first {
            self.compare_clocks(device, told.clock, clock);
            self.tell_digests(link);
        }
        self.hand_over_key(link, device, told.wants_key);
    }

    /// What somebody else knows of the account.
    fn learn(&mut self, link: LinkId, card: &VerifiedCard, clock: u64) {
        let merged = self.card.merged(card);
        if merged == self.card {
            return;
        }
        let (was_settled, wanted) = (self.settled().is_some(), self.wants_key());
        let before = devices(&self.card);
        self.card = merged;
        let now = devices(&self.card);
        let revoked = before.difference(&now).next().is_some();
        self.set.set_devices(now);
        // Asked for on this link, too, if it is news.
        let silent = (wanted || !self.wants_key()).then_some(link);
        self.card_changed(silent, clock);
        if revoked {
            self.ask_anew();
        }
        // Else the set is complete again when somebody says so whose set is.
        if was_settled && !revoked {
            self.settle();
        }
    }

    /// SYNC-05: what a revoked device changed here may have taken the place of what others still have.
    fn ask_anew(&mut self) {
        for link in self.links(|link| link.live) {
            if let Some(peer) = self.links.get_mut(&link) {
                peer.complete = false;
            }
            for have in self.set.differing(&[]) {
                self.send(link, SyncFrame::Have(have));
            }
        }
    }

    /// Tells it to everybody but one, and leaves those who are in it no more.
    fn card_changed(&mut self, silent: Option<LinkId>, clock: u64) {
        let card = Box::new(self.card.signed().clone());
        self.persist.push(SyncPersist::Card(card));
        for link in self.links(|_| true) {
            if Some(link) != silent {
                self.tell_card(link, clock);
            }
        }
        let set = &self.set;
        let revoked = !set.lists(self.set.own());
        let gone: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| revoked || !set.lists(link.device))
            .map(|(link, _)| *link)
            .collect();
        for link in gone {
            self.close(link);
        }
        if revoked {
            self.events.push(SyncEvent::Revoked);
        }
    }

    fn digests_came(&mut self, link: LinkId, digests: &[[u8; 8]], settled: Option<ChainHead>) {
        if digests.len() != BUCKETS {
            self.refuse(link, Refusal::Malformed);
            return;
        }
        let differing = self.set.differing(digests);
        if differing.is_empty() {
            self.complete(link, settled);
        }
        for have in differing {
            self.send(link, SyncFrame::Have(have));
        }
    }

    /// SYNC-12: whoever lists a part of his set is told what he lacks of it.
    fn lacks(&mut self, link: LinkId, have: &Have) {
        for frame in frames(self.set.lacking(have)) {
            self.send(link, frame);
        }
        if !have.more {
            let settled = self.settled();
            self.send(link, SyncFrame::Done { settled });
        }
    }

    fn entries_came(&mut self, link: LinkId, entries: &[Entry], clock: u64) {
        let Some(device) = self.links.get(&link).map(|peer| peer.device) else {
            return;
        };
        let (mut taken, mut refused) = (Vec::new(), BTreeSet::new());
        for entry in entries {
            match self.set.offer(entry, clock) {
                Ok(true) => taken.push(entry.clone()),
                Ok(false) => {}
                Err(refusal) => drop(refused.insert(refusal)),
            }
        }
        self.made(taken, Some(link));
        for refusal in refused {
            self.events.push(SyncEvent::Refused(device, refusal));
        }
    }

    /// All that we lacked has come. SYNC-05: if it was complete there by the history that we have, it is complete here.
    fn complete(&mut self, link: LinkId, settled: Option<ChainHead>) {
        if let Some(peer) = self.links.get_mut(&link) {
            peer.complete = true;
        }
        if settled == Some(self.card.account().head()) && self.settled().is_none() {
            for key in self.set.drop_left() {
                self.persist.push(SyncPersist::Remove(key));
            }
            self.settle();
        }
    }

    fn settled(&self) -> Option<ChainHead> {
        let head = self.card.account().head();
        self.settled.filter(|settled| *settled == head)
    }

    fn settle(&mut self) {
        let head = self.card.account().head();
        self.settled = Some(head);
        self.persist.push(SyncPersist::Settled(head));
        // Whoever was told before that it is not waits for this.
        for link in self.links(|link| link.live) {
            self.tell_digests(link);
        }
    }

    fn tell_digests(&mut self, link: LinkId) {
        let digests = self.set.digests();
        let settled = self.settled();
        self.send(link, SyncFrame::Digests { digests, settled });
    }

    /// SYNC-08: two who agree about the time, so stamps of ours that are far ahead are wrong.
    fn compare_clocks(&mut self, device: DeviceId, theirs: u64, own: u64) {
        if theirs.abs_diff(own) > AHEAD_MAX_MS {
            self.events.push(SyncEvent::ClockApart(device));
            return;
        }
        let mended = self.set.mend(own);
        self.made(mended, None);
    }

    /// SYNC-07: the signing key goes to whoever the history marks as owner, and to nobody else.
    fn hand_over_key(&mut self, link: LinkId, device: DeviceId, wanted: bool) {
        let account = self.card.account();
        let key = self.signing_key.as_ref();
        let key = key.filter(|seed| account.is_signing_key(&seed.0)).cloned();
        if let Some(seed) = key
            && wanted
            && self.is_owner(device)
        {
            self.send(link, SyncFrame::SigningKey(seed));
        }
    }

    /// SYNC-07: only the account's own key, and only if it belongs here.
    fn key_came(&mut self, device: DeviceId, seed: Seed) {
        if !self.card.account().is_signing_key(&seed.0) {
            self.events
                .push(SyncEvent::Refused(device, Refusal::Malformed));
            return;
        }
        if self.wants_key() {
            self.persist.push(SyncPersist::SigningKey(seed.clone()));
            self.signing_key = Some(seed);
        }
    }

    fn wants_key(&self) -> bool {
        let account = self.card.account();
        let key = self.signing_key.as_ref();
        let has = key.is_some_and(|seed| account.is_signing_key(&seed.0));
        self.is_owner(self.set.own()) && !has
    }

    fn is_owner(&self, device: DeviceId) -> bool {
        let listed = self.card.account().devices().get(&device);
        listed.is_some_and(|device| device.owner)
    }

    fn tell_card(&mut self, link: LinkId, clock: u64) {
        let card = SyncFrame::Card {
            card: Box::new(self.card.signed().clone()),
            clock,
            wants_key: self.wants_key(),
        };
        self.send(link, card);
    }

    fn links(&self, which: impl Fn(&Link) -> bool) -> Vec<LinkId> {
        let links = self.links.iter().filter(|(_, link)| which(link));
        links.map(|(link, _)| *link).collect()
    }

    /// Whoever has no link would want to know.
    fn reach_others(&mut self) {
        let linked: BTreeSet<_> = self.links.values().map(|link| link.device).collect();
        for device in devices(&self.card).difference(&linked) {
            self.reach(*device);
        }
    }

    fn reach(&mut self, device: DeviceId) {
        if device != self.set.own() && self.set.lists(device) {
            self.events.push(SyncEvent::Reach(device));
        }
    }

    fn refuse(&mut self, link: LinkId, refusal: Refusal) {
        if let Some(peer) = self.links.get(&link) {
            let refused = SyncEvent::Refused(peer.device, refusal);
            self.events.push(refused);
        }
        self.close(link);
    }

    fn close(&mut self, link: LinkId) {
        self.links.remove(&link);
        self.events.push(SyncEvent::Close(link));
    }

    fn send(&mut self, link: LinkId, frame: SyncFrame) {
        self.transmits.push(SyncTransmit { link, frame });
    }

    #[track_caller]
    fn assert_drained(&self) {
        self.persist.assert_drained();
        self.transmits.assert_drained();
        self.events.assert_drained();
    }
}

/// What came with a card.
struct Told {
    clock: u64,
    wants_key: bool,
}

fn devices(card: &VerifiedCard) -> BTreeSet<DeviceId> {
    card.account().devices().keys().copied().collect()
}

#[cfg(test)]
mod tests;
