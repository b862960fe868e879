//! A conversation's transcript: from messages that come in any order, some of them twice and some never, to what is shown.
//! The rules stand in `docs/spec/message.md`.
//!
//! [`take`] folds one message into an [`Archive`], which keeps rows: [`Memory`] for tests and simulations, the store for
//! everybody else. What comes of a set of messages is the same in whatever order they came, as long as nobody goes beyond
//! [`CHANGES_MAX`]; one message touches only what it concerns:
//!
//! - **Order.** A message stands at its *place*: its author's clock, but behind everything it names as seen. When a predecessor
//!   arrives late, the messages that named it move behind it, and those that named them; places only ever grow. So no clock
//!   puts an answer before its question, and everybody sees one order.
//! - **Changes** (edits, deletions, reactions) are messages too, with places of their own. They wait for the message they
//!   change; then they are judged, and what is shown of it follows from all of them anew.
//! - **Gaps.** What is named and not here is known by name, and can be asked for.

use std::collections::{BTreeMap, BTreeSet};

use starling_wire::card::Door;
use starling_wire::content::{Body, Content, ContentError, message_id};
use starling_wire::group::leave::Wish;
use starling_wire::ids::{AccountId, MessageId};

use crate::inbox::SENT_AT_MAX;

pub mod archive;
pub mod memory;
mod resolve;

#[cfg(test)]
mod tests;

pub use archive::{Archive, Author, Brief, Kept, Kind, Link, Mark, Reaction, State};
pub use memory::Memory;
pub use resolve::whole;

/// Changes of one kind to one message that one account may make.
pub const CHANGES_MAX: usize = 100;
/// Reactions of one account to one message that are shown: the last ones.
pub const REACTIONS_MAX: usize = 10;

/// The last place that is kept; no message ever gets there.
pub const PLACE_MAX: u64 = i64::MAX as u64;

/// A message and who said it. It can only be made by reading or writing it, so its id is the right one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    id: MessageId,
    author: Author,
    content: Content,
}

impl Said {
    /// A plaintext that `author` sent, checked.
    pub fn read(author: Author, bytes: &[u8]) -> Result<Self, ContentError> {
        let content = Content::read(bytes)?;
        let id = message_id(author.account, bytes);
        Ok(Self {
            id,
            author,
            content,
        })
    }

    /// A message of our own.
    pub fn new(author: Author, content: Content) -> Result<Self, ContentError> {
        Self::read(author, &content.write()?)
    }

    /// Its name.
    pub const fn id(&self) -> MessageId {
        self.id
    }

    /// Who said it.
    pub const fn author(&self) -> &Author {
        &self.author
    }

    /// What it says.
    pub const fn content(&self) -> &Content {
        &self.content
    }
}

/// What came of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It was here already.
    Known(MessageId),
    /// A new message is shown.
    Added(MessageId),
    /// What is shown of a message is another than before.
    Changed(MessageId),
    /// A message stands further down than before.
    Moved(MessageId),
    /// Somebody has read further.
    Read(AccountId),
    /// Somebody writes, or no longer.
    Typing(AccountId, bool),
    /// Where a device of its author says it is found. Its signatures are not checked yet.
    Door(Author, Box<Door>),
    /// Its author asks to be removed. The signature is not checked yet.
    RemoveMe(Author, Wish),
    /// These messages are on its author's disk.
    Received(Author, Vec<MessageId>),
    /// A message is named and not here.
    Missing(MessageId),
    /// A message was refused; nothing of what it said is kept.
    Refused(MessageId, Refusal),
}

/// Why a message was refused that could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refusal {
    /// An edit of somebody else's message.
    #[error("a member tried to change a message of somebody else")]
    ForeignEdit,
    /// A deletion by somebody who may not.
    #[error("a member tried to delete a message of somebody else")]
    ForeignDelete,
    /// It would change something that is no message: an edit, a reaction, a refused message.
    #[error("a member tried to change something that is not a message")]
    NotAMessage,
    /// More than [`CHANGES_MAX`].
    #[error("a member changed one message more than {CHANGES_MAX} times")]
    TooManyChanges,
    /// Parts that make no message, or somebody else's.
    #[error("a member sent a long message whose parts do not fit together")]
    Parts,
}

/// Folds a message into the archive. `may_delete` says whether one author may delete a message of another one; both with
/// the rank they had when they wrote, so that the answer never changes.
pub fn take<A: Archive>(
    archive: &mut A,
    said: Said,
    may_delete: &dyn Fn(&Author, &Author) -> bool,
) -> Result<Vec<Change>, A::Error> {
    let mut fold = Fold {
        archive,
        may_delete,
        changes: Vec::new(),
    };
    match said.content.body {
        Body::Typing { on } => Ok(vec![Change::Typing(said.author.account, on)]),
        Body::Received { ids } => Ok(vec![Change::Received(said.author, ids)]),
        Body::Read { up_to, place } => {
            let place = place.min(PLACE_MAX);
            fold.read(said.author.account, Mark { place, up_to })
        }
        _ => {
            fold.history(said)?;
            Ok(fold.changes)
        }
    }
}

/// A message that another one names, how, and whether it is here.
type Named = (MessageId, Link, bool);

/// One message on its way into the archive.
struct Fold<'a, A> {
    archive: &'a mut A,
    may_delete: &'a dyn Fn(&Author, &Author) -> bool,
    changes: Vec<Change>,
}

impl<A: Archive> Fold<'_, A> {
    /// `MSG-19`: a reader's mark only ever moves on.
    fn read(&mut self, reader: AccountId, mark: Mark) -> Result<Vec<Change>, A::Error> {
        if self
            .archive
            .mark(reader)?
            .is_some_and(|known| known >= mark)
        {
            return Ok(Vec::new());
        }
        self.archive.set_mark(reader, mark)?;
        Ok(vec![Change::Read(reader)])
    }

    fn history(&mut self, said: Said) -> Result<(), A::Error> {
        let id = said.id;
        // MSG-13: once.
        if self.archive.brief(id)?.is_some() {
            self.changes.push(Change::Known(id));
            return Ok(());
        }
        let (place, before) = self.predecessors(&said.content)?;
        let mut kept = Kept {
            place,
            sent_at: said.content.sent_at.min(SENT_AT_MAX),
            kind: kind(&said.content.body),
            target: target(&said.content.body),
            author: said.author,
            state: State::default(),
            content: Some(said.content),
        };
        let refused = self.refuse_one_too_many(&mut kept)?;
        self.drop_a_part_of_what_was_deleted(id, &mut kept)?;
        self.archive.add(id, &kept)?;
        self.link(id, before, &kept)?;
        match refused {
            Some(reason) => self.changes.push(Change::Refused(id, reason)),
            None => self.tell(id, &kept),
        }
        let mut touched: BTreeSet<MessageId> = kept.target.into_iter().collect();
        // What waited for this one: what named it as seen, changes to it, a long message of which it is a part.
        if self.archive.arrived(id)? {
            touched.extend(self.lift_successors(id, kept.place)?);
            touched.extend(self.archive.links_to(id, Link::Part)?);
            touched.insert(id);
        } else if matches!(kept.body(), Some(Body::Long(_))) {
            touched.insert(id);
        }
        touched.into_iter().try_for_each(|id| self.resolve(id))
    }

    fn tell(&mut self, id: MessageId, kept: &Kept) {
        match (&kept.kind, kept.body()) {
            (Kind::Post, _) => self.changes.push(Change::Added(id)),
            (_, Some(Body::Door(door))) => {
                let change = Change::Door(kept.author, door.clone());
                self.changes.push(change);
            }
            (_, Some(Body::RemoveMe(wish))) => {
                self.changes.push(Change::RemoveMe(kept.author, *wish));
            }
            _ => {}
        }
    }

    /// `MSG-14`: a place behind what it names, as far as that is here, and no later than the last moment there is; and which of
    /// those are here.
    fn predecessors(&self, content: &Content) -> Result<(u64, Vec<Named>), A::Error> {
        let mut place = content.sent_at.min(SENT_AT_MAX);
        let mut named = Vec::new();
        for id in &content.predecessors {
            let before = self.archive.brief(*id)?;
            place = before.map_or(place, |before| place.max(before.place + 1));
            named.push((*id, Link::Before, before.is_some()));
        }
        Ok((place, named))
    }

    /// Keeps whom it names, and says what is not here (`MSG-15`).
    fn link(&mut self, id: MessageId, mut named: Vec<Named>, kept: &Kept) -> Result<(), A::Error> {
        let answered = match kept.body() {
            Some(Body::Text(text)) => text.reply_to,
            _ => None,
        };
        let parts: &[MessageId] = match kept.body() {
            Some(Body::Long(long)) => &long.parts,
            _ => &[],
        };
        let target = kept.target.iter().map(|to| (to, Link::Target));
        let answered = answered.iter().map(|to| (to, Link::Answer));
        let parts = parts.iter().map(|to| (to, Link::Part));
        for (to, link) in target.chain(answered).chain(parts) {
            named.push((*to, link, self.archive.brief(*to)?.is_some()));
        }
        let mut missing = BTreeSet::new();
        for (to, link, here) in named {
            self.archive.link(id, to, link, here)?;
            if !here {
                missing.insert(to);
            }
        }
        self.changes
            .extend(missing.into_iter().map(Change::Missing));
        Ok(())
    }

    /// Moves what named this message behind it, and so on (`MSG-14`). Returns the messages that those change.
    ///
    /// A message stands behind all it names, so in the order of the old places each has to be looked at only once.
    fn lift_successors(
        &mut self,
        id: MessageId,
        place: u64,
    ) -> Result<BTreeSet<MessageId>, A::Error> {
        let mut touched = BTreeSet::new();
        let mut low: BTreeMap<(u64, MessageId), u64> = BTreeMap::new();
        let mut moved = Some((id, place));
        while let Some((id, place)) = moved {
            for after in self.archive.links_to(id, Link::Before)? {
                let Some(brief) = self.archive.brief(after)? else {
                    continue;
                };
                if brief.place <= place {
                    let new = low.entry((brief.place, after)).or_default();
                    *new = place.saturating_add(1).max(*new);
                }
            }
            moved = low.pop_first().map(|((_, id), place)| (id, place));
            if let Some((id, place)) = moved {
                touched.extend(self.lift(id, place)?);
            }
        }
        Ok(touched)
    }

    fn lift(&mut self, id: MessageId, place: u64) -> Result<Option<MessageId>, A::Error> {
        self.archive.lift(id, place)?;
        let brief = self.archive.brief(id)?;
        if brief.is_some_and(|brief| brief.kind == Kind::Post) {
            self.changes.push(Change::Moved(id));
        }
        Ok(brief.and_then(|brief| brief.target))
    }

    /// `MSG-18`: a flood of changes to one message stops at the bound.
    fn refuse_one_too_many(&mut self, kept: &mut Kept) -> Result<Option<Refusal>, A::Error> {
        let Some(target) = kept.target else {
            return Ok(None);
        };
        let mut same = 0;
        for other in self.archive.links_to(target, Link::Target)? {
            let other = self.archive.brief(other)?;
            let is_same =
                |other: Brief| other.author == kept.author.account && other.kind == kept.kind;
            same += usize::from(other.is_some_and(is_same));
        }
        if same < CHANGES_MAX {
            return Ok(None);
        }
        let reason = Refusal::TooManyChanges;
        kept.refuse(reason);
        Ok(Some(reason))
    }

    fn drop_a_part_of_what_was_deleted(
        &mut self,
        id: MessageId,
        kept: &mut Kept,
    ) -> Result<(), A::Error> {
        if kept.kind != Kind::Part {
            return Ok(());
        }
        for long in self.archive.links_to(id, Link::Part)? {
            let long = self.archive.get(long)?;
            let gone = |long: &Kept| long.state.deleted_by.is_some();
            if long.is_some_and(|long| gone(&long) && long.author.account == kept.author.account) {
                kept.content = None;
            }
        }
        Ok(())
    }
}

const fn kind(body: &Body) -> Kind {
    match body {
        Body::Edit { .. } => Kind::Edit,
        Body::Delete { .. } => Kind::Delete,
        Body::React { .. } => Kind::Reaction,
        Body::Part { .. } => Kind::Part,
        Body::Door(_)
        | Body::RemoveMe(_)
        | Body::Read { .. }
        | Body::Typing { .. }
        | Body::Received { .. } => Kind::Notice,
        Body::Text(_) | Body::Voice(_) | Body::Image(_) | Body::Long(_) | Body::Newer { .. } => {
            Kind::Post
        }
    }
}

const fn target(body: &Body) -> Option<MessageId> {
    match body {
        Body::Edit { of, .. } | Body::Delete { of } => Some(*of),
        Body::React { to, .. } => Some(*to),
        _ => None,
    }
}
