//! A conversation's transcript: from messages that come in any order, some of them twice and some never, to what is shown.
//! The rules stand in `docs/spec/message.md`.
//!
//! [`take`] folds one message into an [`Archive`], which keeps rows: [`Memory`] for tests and simulations, the store for
//! everybody else. What comes of a set of messages is the same in whatever order they came; one message touches only what it
//! concerns:
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
use starling_wire::ids::{AccountId, EntryId, MessageId};

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

/// By how much an account's clock may be set back: a message is not put behind an own one whose clock is further ahead.
pub const SET_BACK_MAX_MS: u64 = 60_000;

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
    /// A device could not open these entries: what we said in them it wants to hear again.
    Again(Author, Vec<EntryId>),
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
        Body::Again { entries } => Ok(vec![Change::Again(said.author, entries)]),
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

/// What of a post may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Aspect {
    /// All of it: it is new, or one of its parts is.
    Whole,
    /// What it says.
    Edits,
    /// Whether it was deleted.
    Deletion,
    /// How that account reacted.
    Reactions(AccountId),
}

/// Messages, and what of them.
type Touched = BTreeMap<MessageId, BTreeSet<Aspect>>;

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
        let (place, before) = self.predecessors(&said)?;
        let mut kept = Kept {
            place,
            sent_at: said.content.sent_at.min(SENT_AT_MAX),
            kind: kind(&said.content.body),
            target: target(&said.content.body),
            author: said.author,
            state: State::default(),
            content: Some(said.content),
        };
        self.drop_a_part_of_what_was_deleted(id, &mut kept)?;
        self.archive.add(id, &kept)?;
        self.link(id, before, &kept)?;
        if self.refuse_one_too_many(&kept)? != Some(id) {
            self.tell(id, &kept);
        }
        let mut touched = Touched::new();
        touched.extend(
            kept.target
                .map(|to| (to, BTreeSet::from_iter(aspect(kept.brief())))),
        );
        // What waited for this one: what named it as seen, changes to it, a long message of which it is a part.
        if self.archive.arrived(id)? {
            self.lift_successors(id, kept.place, &mut touched)?;
            for long in self.archive.links_to(id, Link::Part)? {
                touched.entry(long).or_default().insert(Aspect::Whole);
            }
            touched.entry(id).or_default().insert(Aspect::Whole);
        } else if matches!(kept.body(), Some(Body::Long(_))) {
            touched.entry(id).or_default().insert(Aspect::Whole);
        }
        for (post, aspects) in touched {
            let new = (kept.target == Some(post)).then_some(id);
            self.resolve(post, aspects, new)?;
        }
        Ok(())
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
    fn predecessors(&self, said: &Said) -> Result<(u64, Vec<Named>), A::Error> {
        let mut place = said.content.sent_at.min(SENT_AT_MAX);
        let own = (said.author.account, place);
        let mut named = Vec::new();
        for id in &said.content.predecessors {
            let before = self.archive.brief(*id)?;
            if let Some(before) = before.filter(|before| goes_behind(own, *before)) {
                place = place.max(before.place + 1);
            }
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

    /// Moves what named this message behind it, and so on (`MSG-14`), and notes what that changes of which messages.
    ///
    /// A message stands behind all it names, so in the order of the old places each has to be looked at only once.
    fn lift_successors(
        &mut self,
        id: MessageId,
        place: u64,
        touched: &mut Touched,
    ) -> Result<(), A::Error> {
        let mut low: BTreeMap<(u64, MessageId), u64> = BTreeMap::new();
        let mut moved = Some((id, place));
        while let Some((id, place)) = moved {
            let before = self.archive.brief(id)?;
            for after in self.archive.links_to(id, Link::Before)? {
                let (Some(before), Some(brief)) = (before, self.archive.brief(after)?) else {
                    continue;
                };
                if brief.place <= place && goes_behind((brief.author, brief.sent_at), before) {
                    let new = low.entry((brief.place, after)).or_default();
                    *new = place.saturating_add(1).max(*new);
                }
            }
            moved = low.pop_first().map(|((_, id), place)| (id, place));
            if let Some((id, place)) = moved {
                self.lift(id, place, touched)?;
            }
        }
        Ok(())
    }

    fn lift(&mut self, id: MessageId, place: u64, touched: &mut Touched) -> Result<(), A::Error> {
        self.archive.lift(id, place)?;
        let Some(brief) = self.archive.brief(id)? else {
            return Ok(());
        };
        if brief.kind == Kind::Post {
            self.changes.push(Change::Moved(id));
        }
        if let (Some(target), Some(aspect)) = (brief.target, aspect(brief)) {
            touched.entry(target).or_default().insert(aspect);
        }
        Ok(())
    }

    /// `MSG-18`: a flood of changes to one message stops at the bound. The first ones by the author's own clock count, so it does not
    /// matter in which order they come. Returns the one that was refused: whose place the new one takes, or the new one.
    fn refuse_one_too_many(&mut self, kept: &Kept) -> Result<Option<MessageId>, A::Error> {
        let (Some(target), Some(kinds)) = (kept.target, counted_with(kept.kind)) else {
            return Ok(None);
        };
        let here = self.archive.brief(target)?;
        if here.is_some_and(|target| target.kind != Kind::Post) {
            return Ok(None);
        }
        let same = self
            .archive
            .changes(target, kinds, Some(kept.author.account))?;
        let Some(last) = same.get(CHANGES_MAX).copied() else {
            return Ok(None);
        };
        if let Some(mut last_kept) = self.archive.get(last)? {
            self.refuse(last, &mut last_kept, Refusal::TooManyChanges)?;
        }
        Ok(Some(last))
    }

    fn refuse(&mut self, id: MessageId, kept: &mut Kept, reason: Refusal) -> Result<(), A::Error> {
        kept.refuse(reason);
        self.archive.put(id, kept)?;
        self.changes.push(Change::Refused(id, reason));
        Ok(())
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

/// `MSG-21`: whether a message goes behind one that it names. Not if its account contradicts itself: whoever names an own message,
/// keeps it back and shows it later with a clock of the future would move all that was said meanwhile, as often as he likes.
fn goes_behind((author, sent_at): (AccountId, u64), named: Brief) -> bool {
    author != named.author || named.sent_at <= sent_at.saturating_add(SET_BACK_MAX_MS)
}

/// What a change touches of the message that it changes.
const fn aspect(change: Brief) -> Option<Aspect> {
    match change.kind {
        Kind::Edit => Some(Aspect::Edits),
        Kind::Delete => Some(Aspect::Deletion),
        Kind::Reaction => Some(Aspect::Reactions(change.author)),
        _ => None,
    }
}

/// What counts together towards [`CHANGES_MAX`]: also what was refused for another reason, since that may be known before or after.
const fn counted_with(kind: Kind) -> Option<&'static [Kind]> {
    match kind {
        Kind::Edit => Some(&[Kind::Edit, Kind::Refused(Refusal::ForeignEdit)]),
        Kind::Delete => Some(&[Kind::Delete, Kind::Refused(Refusal::ForeignDelete)]),
        Kind::Reaction => Some(&[Kind::Reaction]),
        _ => None,
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
        | Body::Received { .. }
        | Body::Again { .. } => Kind::Notice,
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
