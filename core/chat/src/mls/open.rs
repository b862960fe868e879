//! What comes from other members: texts, and commits that are read before they are merged.
//!
//! A text spends its key, and is opened once. A commit is read on a second copy of the group in memory, so that nothing is spent:
//! every member judges it from the same state, however often it has looked at it or at its rivals.

use std::fmt;

use openmls::group::{MlsGroup, StagedCommit};
use openmls::prelude::tls_codec::DeserializeBytes as _;
use openmls::prelude::{
    ContentType, MlsMessageIn, OpenMlsProvider as _, ProcessedMessage, ProcessedMessageContent,
    Proposal, ProtocolMessage, Sender,
};
use starling_wire::credential::Member;
use starling_wire::ids::EpochTag;

use super::client::{Provider, read_context};
use super::error::{Mine, OpenError, StateError, Void};
use super::group::{Group, Parts, next_tag};
use super::identity::Members;
use super::judge::{judge_commit_message, judge_text};
use super::key_package::made_at;
use super::rows::{Branch, Kind, Place, Rows, group_key};
use super::{LEAVES_MAX, MESSAGE_MAX, PAST_EPOCHS, TEXT_MAX};

/// What a message of the group is.
#[derive(Debug)]
pub enum Opened {
    /// A text of another member.
    Text(Text),
    /// Says that it is a text of this device, which cannot open what it sealed. Whether it is true is not known.
    OwnText,
    /// A commit of another member, read and not merged.
    Commit(Box<Commit>),
    /// The commit of ours that waits, and the epoch that it leads to.
    OwnCommit(EpochTag),
    /// The external commit by which this device comes back.
    OwnRejoin(EpochTag),
}

/// A text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Its author, as they were in the epoch in which they wrote.
    pub from: Member,
    /// The number of that epoch.
    pub epoch: u64,
    /// What its author signed with it.
    pub aad: Vec<u8>,
    /// The text.
    pub bytes: Vec<u8>,
}

/// A commit of another member, verified and not merged.
pub struct Commit {
    pub(super) staged: Box<StagedCommit>,
    pub(super) place: Place,
    pub(super) epoch: u64,
    /// Its author, as it makes them.
    pub by: Member,
    /// What its author signed with it.
    pub aad: Vec<u8>,
    /// Devices that it takes in.
    pub added: Vec<Member>,
    /// Devices that it removes. Of an external commit, the leaf that its author had.
    pub removed: Vec<Member>,
    /// Our record of the group, if it changes it.
    pub context: Option<Vec<u8>>,
    /// Whether it is an external one: its author had lost the group and comes back.
    pub external: bool,
    /// The epoch that it leads to; none if it removes this device.
    pub next: Option<EpochTag>,
}

impl fmt::Debug for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (added, removed) = (self.added.len(), self.removed.len());
        write!(
            f,
            "Commit(by {:?}, +{added} -{removed}, next {:?})",
            self.by.device, self.next
        )
    }
}

/// What a commit is to this device.
#[derive(Debug)]
pub enum Looked {
    /// Another member's.
    Commit(Box<Commit>),
    /// The one of ours that waits, and the epoch that it leads to.
    Own(EpochTag),
    /// The external commit by which this device comes back, and the epoch that it leads to.
    OwnRejoin(EpochTag),
}

impl Looked {
    /// The epoch that it leads to; none if it removes this device.
    pub const fn next(&self) -> Option<EpochTag> {
        match self {
            Self::Commit(commit) => commit.next,
            Self::Own(next) | Self::OwnRejoin(next) => Some(*next),
        }
    }
}

impl Group<'_> {
    /// Opens what another member sent. Of a text the key is spent; of a commit nothing.
    pub fn open(&mut self, bytes: &[u8]) -> Result<Opened, OpenError> {
        let message = parse(bytes)?;
        match self.admit(&message)? {
            ContentType::Application => self.open_text(message),
            _ => Ok(match self.look_at(bytes, message)? {
                Looked::Commit(commit) => Opened::Commit(commit),
                Looked::Own(next) => Opened::OwnCommit(next),
                Looked::OwnRejoin(next) => Opened::OwnRejoin(next),
            }),
        }
    }

    /// Reads a commit, and nothing else. Changes nothing, and says the same each time.
    pub fn look(&mut self, bytes: &[u8]) -> Result<Looked, OpenError> {
        let message = parse(bytes)?;
        match self.admit(&message)? {
            ContentType::Application => Err(Void::Commit.into()),
            _ => self.look_at(bytes, message),
        }
    }

    /// What can be said before anything is decrypted (`MLS-08`).
    fn admit(&self, message: &ProtocolMessage) -> Result<ContentType, OpenError> {
        let live = self.live();
        let mls = &live.mls;
        if !mls.is_active() {
            return Err(StateError::NotMember.into());
        }
        if message.group_id().as_slice() != self.place.group.as_bytes() {
            return Err(Void::OtherGroup.into());
        }
        let content = message.content_type();
        match message {
            _ if content == ContentType::Proposal => return Err(Void::Proposal.into()),
            ProtocolMessage::PublicMessage(_) if !message.is_external() => {
                return Err(Void::Clear.into());
            }
            _ => {}
        }
        let (epoch, present) = (message.epoch().as_u64(), mls.epoch().as_u64());
        let oldest = match content {
            ContentType::Application => present.saturating_sub(PAST_EPOCHS as u64).max(live.began),
            _ => present,
        };
        match epoch {
            _ if epoch > present => Err(OpenError::Future),
            _ if epoch < oldest => Err(OpenError::Old),
            _ => Ok(content),
        }
    }

    fn open_text(&mut self, message: ProtocolMessage) -> Result<Opened, OpenError> {
        let Parts {
            provider,
            members,
            live,
            ..
        } = self.parts();
        provider.storage.hold(true);
        let processed = live.mls.process_message(provider, message);
        provider.storage.hold(false);
        let processed = processed.map_err(judge_text)?;
        let epoch = processed.epoch().as_u64();
        let aad = processed.aad().to_vec();
        let from = members.read(processed.credential());
        match processed.into_content() {
            ProcessedMessageContent::ApplicationMessage(text) => {
                live.unwritten = true;
                let bytes = text.into_bytes();
                if bytes.len() > TEXT_MAX {
                    return Err(Void::Malformed.into());
                }
                let from = from.map_err(|_| Void::Identity)?;
                Ok(Opened::Text(Text {
                    from,
                    epoch,
                    aad,
                    bytes,
                }))
            }
            ProcessedMessageContent::OwnPrivateMessage => Ok(Opened::OwnText),
            _ => Err(Void::Malformed.into()),
        }
    }

    fn look_at(&mut self, bytes: &[u8], message: ProtocolMessage) -> Result<Looked, OpenError> {
        if let Some(own) = self.own(bytes)? {
            return Ok(own);
        }
        let place = self.place;
        self.client.write_secrets(place)?;
        let id = message.group_id().clone();
        let Parts {
            provider, members, ..
        } = self.parts();
        provider.storage.rows(Rows::begin);
        let read = || {
            let second = MlsGroup::load(&provider.storage, &id)?;
            let mut second = second.ok_or(StateError::Unreadable)?;
            let processed = second.process_message(provider, message);
            let processed = processed.map_err(judge_commit_message)?;
            check(provider, members, &second, place, processed)
        };
        let commit = read();
        provider.storage.rows(|rows| rows.end(false));
        Ok(Looked::Commit(Box::new(commit?)))
    }

    /// Whether a commit is this device's own: it was noted when it was made.
    fn own(&mut self, bytes: &[u8]) -> Result<Option<Looked>, OpenError> {
        let hash = *blake3::hash(bytes).as_bytes();
        let own = self.own_commits()?;
        if let Some(at) = own.iter().position(|known| *known == hash) {
            // MLS-09: only the last one waits; of an earlier one the secrets are gone.
            let last = at + 1 == own.len();
            let next = self.pending().filter(|_| last).ok_or(Mine::Lost)?;
            return Ok(Some(Looked::Own(next)));
        }
        let rejoin = Place {
            branch: Branch::REJOIN,
            group: self.place.group,
        };
        let key = group_key(rejoin, Kind::OwnCommits, &[]);
        let waiting: Option<Vec<[u8; 32]>> = self.client.provider.storage.read_at(&key)?;
        if waiting.is_some_and(|waiting| waiting.contains(&hash)) {
            let next = self.pending_rejoin().ok_or(Mine::Lost)?;
            return Ok(Some(Looked::OwnRejoin(next)));
        }
        Ok(None)
    }
}

fn parse(bytes: &[u8]) -> Result<ProtocolMessage, OpenError> {
    if bytes.len() > MESSAGE_MAX {
        return Err(Void::Malformed.into());
    }
    MlsMessageIn::tls_deserialize_exact_bytes(bytes)
        .ok()
        .and_then(|message| message.try_into_protocol_message().ok())
        .ok_or(OpenError::Void(Void::Malformed))
}

/// Looks at what a commit does (`MLS-05`, `MLS-07`, `MLS-10` to `MLS-12`). `group` is as it was before.
fn check(
    provider: &Provider,
    members: &mut Members,
    group: &MlsGroup,
    place: Place,
    processed: ProcessedMessage,
) -> Result<Commit, OpenError> {
    let before = match processed.sender() {
        Sender::Member(index) => Some(member_at(members, group, *index)?),
        Sender::NewMemberCommit => None,
        _ => return Err(Void::Proposal.into()),
    };
    let epoch = processed.epoch().as_u64();
    let aad = processed.aad().to_vec();
    let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
        // Its sender is this device, and it is none of those that it made.
        return Err(Void::Signature.into());
    };
    // MLS-10: every commit gives its author new keys, under the same name.
    let leaf = staged.update_path_leaf_node().ok_or(Void::NoPath)?;
    let by = members.verify(leaf.credential(), leaf.signature_key().as_slice());
    let by = by.map_err(|_| Void::Identity)?;
    let mut commit = Commit {
        next: next_tag(provider.crypto(), &staged),
        external: before.is_none(),
        added: Vec::new(),
        removed: Vec::new(),
        context: None,
        staged,
        place,
        epoch,
        by,
        aad,
    };
    take_proposals(&mut commit, members, group)?;
    match before {
        Some(before) if !same_device(before, by) => Err(Void::Identity)?,
        None if !returns(&commit) => Err(Void::Stranger)?,
        _ => {}
    }
    if read_context(commit.staged.group_context().extensions()).is_none() {
        return Err(Void::Context.into());
    }
    let leaves = group.members().count() + commit.added.len() - commit.removed.len();
    if leaves > LEAVES_MAX {
        return Err(Void::TooMany.into());
    }
    Ok(commit)
}

fn take_proposals(
    commit: &mut Commit,
    members: &mut Members,
    group: &MlsGroup,
) -> Result<(), OpenError> {
    for queued in commit.staged.queued_proposals() {
        match queued.proposal() {
            Proposal::Add(add) => {
                // MLS-06: only what no clock makes invalid.
                made_at(add.key_package().life_time()).ok_or(Void::Commit)?;
                let leaf = add.key_package().leaf_node();
                let member = members.verify(leaf.credential(), leaf.signature_key().as_slice());
                commit.added.push(member.map_err(|_| Void::Identity)?);
            }
            Proposal::Remove(remove) => {
                commit
                    .removed
                    .push(member_at(members, group, remove.removed())?);
            }
            Proposal::GroupContextExtensions(proposal) => {
                let context = read_context(proposal.extensions()).ok_or(Void::Context)?;
                commit.context = Some(context.to_vec());
            }
            Proposal::ExternalInit(_) if commit.external => {}
            // MLS-11: nothing else is used.
            _ => return Err(Void::Proposal.into()),
        }
    }
    Ok(())
}

/// MLS-12: an external commit replaces its author's own leaf, and does nothing else.
fn returns(commit: &Commit) -> bool {
    let replaces = matches!(commit.removed[..], [before] if same_device(before, commit.by));
    replaces && commit.added.is_empty() && commit.context.is_none()
}

fn same_device(one: Member, other: Member) -> bool {
    (one.account, one.device) == (other.account, other.device)
}

fn member_at(
    members: &mut Members,
    group: &MlsGroup,
    index: openmls::prelude::LeafNodeIndex,
) -> Result<Member, OpenError> {
    let credential = group.member(index).ok_or(Void::Commit)?;
    members.read(credential).map_err(|_| Void::Identity.into())
}
