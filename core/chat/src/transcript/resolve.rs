//! What is shown of one post: follows anew from all changes to it, whenever one of them came or moved.

use std::collections::BTreeMap;

use starling_wire::content::emoji::Emoji;
use starling_wire::content::{Body, Words};
use starling_wire::ids::{AccountId, MessageId};

use super::archive::{Archive, Kept, Kind, Link, Reaction, State};
use super::{Change, Fold, REACTIONS_MAX, Refusal};

/// Where a change stands among the others: the last one counts.
type Turn = (u64, MessageId);

/// What the valid changes say.
#[derive(Default)]
struct Changes {
    /// The first deletion.
    deleted: Option<(Turn, AccountId)>,
    /// The last edit.
    last: Option<(Turn, Option<Words>)>,
    edits: u32,
    /// The last word of each account on each emoji.
    votes: BTreeMap<(AccountId, Emoji), (Turn, bool)>,
}

/// What a post says: its own body, or that of its parts put together. None while parts are missing, or once it was deleted.
pub fn whole<A: Archive>(archive: &A, kept: &Kept) -> Result<Option<Body>, A::Error> {
    match kept.body() {
        Some(Body::Long(_)) => Ok(joined(archive, kept)?.and_then(Result::ok)),
        body => Ok(body.cloned()),
    }
}

impl<A: Archive> Fold<'_, A> {
    pub(super) fn resolve(&mut self, id: MessageId) -> Result<(), A::Error> {
        let Some(before) = self.archive.get(id)? else {
            return Ok(());
        };
        let mut post = before.clone();
        self.complete(id, &mut post)?;
        let changes = self.judge(id, &post)?;
        if post.kind == Kind::Post {
            post.state = changes.state(post.state.complete);
        }
        if post.state.deleted_by.is_some() {
            self.forget(id, &mut post)?;
        }
        if post != before {
            self.archive.put(id, &post)?;
            if !matches!(post.kind, Kind::Refused(_)) {
                self.changes.push(Change::Changed(id));
            }
        }
        Ok(())
    }

    /// `MSG-17`: a long message is one as soon as all its parts are here; parts that make none make it refused.
    fn complete(&mut self, id: MessageId, post: &mut Kept) -> Result<(), A::Error> {
        if post.state.complete || !matches!(post.body(), Some(Body::Long(_))) {
            return Ok(());
        }
        match joined(self.archive, post)? {
            None => {}
            Some(Ok(_)) => post.state.complete = true,
            Some(Err(reason)) => {
                post.refuse(reason);
                self.changes.push(Change::Refused(id, reason));
            }
        }
        Ok(())
    }

    /// Refuses what may not change this message, and sums up the rest (`MSG-16`).
    fn judge(&mut self, id: MessageId, post: &Kept) -> Result<Changes, A::Error> {
        let mut changes = Changes::default();
        for from in self.archive.links_to(id, Link::Target)? {
            let Some(mut change) = self.archive.get(from)? else {
                continue;
            };
            match self.refusal(post, &change) {
                _ if matches!(change.kind, Kind::Refused(_)) => {}
                Some(reason) => {
                    change.refuse(reason);
                    self.archive.put(from, &change)?;
                    self.changes.push(Change::Refused(from, reason));
                }
                None => changes.add(from, change),
            }
        }
        Ok(changes)
    }

    fn refusal(&self, post: &Kept, change: &Kept) -> Option<Refusal> {
        let own = change.author.account == post.author.account;
        match change.kind {
            _ if post.kind != Kind::Post => Some(Refusal::NotAMessage),
            Kind::Edit if !own => Some(Refusal::ForeignEdit),
            Kind::Delete if !own && !(self.may_delete)(&change.author, &post.author) => {
                Some(Refusal::ForeignDelete)
            }
            _ => None,
        }
    }

    /// Nothing of what a deleted post said is kept: not its words, not its earlier words, not its parts.
    fn forget(&mut self, id: MessageId, post: &mut Kept) -> Result<(), A::Error> {
        let mut said = self.archive.links_to(id, Link::Target)?;
        if let Some(Body::Long(long)) = post.content.take().map(|content| content.body) {
            said.extend(long.parts);
        }
        for piece in said {
            let Some(mut kept) = self.archive.get(piece)? else {
                continue;
            };
            let own = kept.author.account == post.author.account;
            let piece_of_it = own && matches!(kept.kind, Kind::Edit | Kind::Part);
            if piece_of_it && kept.content.take().is_some() {
                self.archive.put(piece, &kept)?;
            }
        }
        Ok(())
    }
}

impl Changes {
    fn add(&mut self, id: MessageId, change: Kept) {
        let turn = (change.place, id);
        let author = change.author.account;
        match (change.kind, change.content.map(|content| content.body)) {
            (Kind::Edit, body) => {
                self.edits += 1;
                if self.last.as_ref().is_none_or(|(last, _)| *last < turn) {
                    let words = match body {
                        Some(Body::Edit { words, .. }) => Some(words),
                        _ => None,
                    };
                    self.last = Some((turn, words));
                }
            }
            (Kind::Delete, _) => {
                let this = (turn, author);
                self.deleted = Some(self.deleted.map_or(this, |first| first.min(this)));
            }
            (Kind::Reaction, Some(Body::React { emoji, on, .. })) => {
                let vote = self.votes.entry((author, emoji)).or_insert((turn, on));
                *vote = (turn, on).max(*vote);
            }
            _ => {}
        }
    }

    fn state(self, complete: bool) -> State {
        if let Some((_, by)) = self.deleted {
            return State {
                deleted_by: Some(by),
                ..State::default()
            };
        }
        State {
            deleted_by: None,
            edits: self.edits,
            words: self.last.and_then(|(_, words)| words),
            reactions: reactions(self.votes),
            complete,
        }
    }
}

/// The last ones of each account, by emoji.
fn reactions(votes: BTreeMap<(AccountId, Emoji), (Turn, bool)>) -> Vec<Reaction> {
    let mut by_account: BTreeMap<AccountId, Vec<(Turn, Emoji)>> = BTreeMap::new();
    for ((account, emoji), (turn, on)) in votes {
        if on {
            by_account.entry(account).or_default().push((turn, emoji));
        }
    }
    let mut shown: BTreeMap<Emoji, Vec<AccountId>> = BTreeMap::new();
    for (account, mut emoji) in by_account {
        emoji.sort_unstable();
        for (_, emoji) in emoji.into_iter().rev().take(REACTIONS_MAX) {
            shown.entry(emoji).or_default().push(account);
        }
    }
    shown.into_iter().collect()
}

/// What the parts of a long message say, once all are here.
fn joined<A: Archive>(archive: &A, kept: &Kept) -> Result<Option<Result<Body, Refusal>>, A::Error> {
    let Some(Body::Long(long)) = kept.body() else {
        return Ok(None);
    };
    let mut parts = Vec::new();
    for id in &long.parts {
        let Some(part) = archive.get(*id)? else {
            return Ok(None);
        };
        parts.push(part);
    }
    let own = |part: &Kept| match part.body() {
        Some(Body::Part { bytes, .. }) if part.author.account == kept.author.account => {
            Some(bytes.clone())
        }
        _ => None,
    };
    let Some(bytes) = parts.iter().map(own).collect::<Option<Vec<_>>>() else {
        return Ok(Some(Err(Refusal::Parts)));
    };
    let bytes: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
    Ok(Some(long.join(&bytes).map_err(|_| Refusal::Parts)))
}
