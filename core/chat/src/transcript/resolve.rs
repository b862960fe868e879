//! What is shown of one post: follows from all changes to it. When one came or moved, only what it touches is folded anew, so that a
//! thousand reactions are a thousand short steps.

use std::collections::{BTreeMap, BTreeSet};

use starling_wire::content::Body;
use starling_wire::content::emoji::Emoji;
use starling_wire::ids::{AccountId, MessageId};

use super::archive::{Archive, Kept, Kind, Link, Reaction, State};
use super::{Aspect, Change, Fold, REACTIONS_MAX, Refusal};

/// What a post says: its own body, or that of its parts put together. None while parts are missing, or once it was deleted.
pub fn whole<A: Archive>(archive: &A, kept: &Kept) -> Result<Option<Body>, A::Error> {
    match kept.body() {
        Some(Body::Long(_)) => Ok(joined(archive, kept)?.and_then(Result::ok)),
        body => Ok(body.cloned()),
    }
}

impl<A: Archive> Fold<'_, A> {
    /// Folds anew what was touched of a message. `new` is a change to it that nobody has judged yet.
    pub(super) fn resolve(
        &mut self,
        id: MessageId,
        mut aspects: BTreeSet<Aspect>,
        new: Option<MessageId>,
    ) -> Result<(), A::Error> {
        let Some(before) = self.archive.get(id)? else {
            return Ok(());
        };
        let mut post = before.clone();
        let whole = aspects.contains(&Aspect::Whole);
        if whole {
            self.complete(id, &mut post)?;
            post.state.reactions = Vec::new();
            aspects.extend([Aspect::Edits, Aspect::Deletion]);
            for change in self.archive.links_to(id, Link::Target)? {
                aspects.extend(self.judge(&post, change)?);
            }
        } else if let Some(change) = new {
            self.judge(&post, change)?;
        }
        if post.kind == Kind::Post {
            self.fold(id, &mut post, &aspects)?;
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

    /// Refuses a change that may not be made (`MSG-16`). Tells what a valid one touches.
    fn judge(&mut self, post: &Kept, id: MessageId) -> Result<Option<Aspect>, A::Error> {
        let Some(mut change) = self.archive.get(id)? else {
            return Ok(None);
        };
        if let Some(reason) = self.refusal(post, &change) {
            self.refuse(id, &mut change, reason)?;
        }
        Ok(super::aspect(change.brief()))
    }

    fn refusal(&self, post: &Kept, change: &Kept) -> Option<Refusal> {
        let own = change.author.account == post.author.account;
        match change.kind {
            // Whatever it was refused for before it was known what it changes.
            Kind::Refused(Refusal::NotAMessage) => None,
            _ if post.kind != Kind::Post => Some(Refusal::NotAMessage),
            Kind::Edit if !own => Some(Refusal::ForeignEdit),
            Kind::Delete if !own && !(self.may_delete)(&change.author, &post.author) => {
                Some(Refusal::ForeignDelete)
            }
            _ => None,
        }
    }

    /// Sums up the valid changes, as far as they were touched.
    fn fold(
        &mut self,
        id: MessageId,
        post: &mut Kept,
        aspects: &BTreeSet<Aspect>,
    ) -> Result<(), A::Error> {
        if aspects.contains(&Aspect::Deletion) {
            post.state.deleted_by = self.first_deletion(id)?;
        }
        if post.state.deleted_by.is_some() {
            post.state = State {
                deleted_by: post.state.deleted_by,
                ..State::default()
            };
            return self.forget(id, post);
        }
        if aspects.contains(&Aspect::Edits) {
            self.last_edit(id, post)?;
        }
        let mut shown: BTreeMap<Emoji, BTreeSet<AccountId>> = BTreeMap::new();
        for (emoji, accounts) in std::mem::take(&mut post.state.reactions) {
            shown.insert(emoji, accounts.into_iter().collect());
        }
        for aspect in aspects {
            if let Aspect::Reactions(account) = aspect {
                if !aspects.contains(&Aspect::Whole) {
                    shown
                        .values_mut()
                        .for_each(|accounts| _ = accounts.remove(account));
                }
                for emoji in self.reactions(id, *account)? {
                    shown.entry(emoji).or_default().insert(*account);
                }
            }
        }
        shown.retain(|_, accounts| !accounts.is_empty());
        let listed = |(emoji, accounts): (Emoji, BTreeSet<_>)| -> Reaction {
            (emoji, accounts.into_iter().collect())
        };
        post.state.reactions = shown.into_iter().map(listed).collect();
        Ok(())
    }

    /// Whose deletion stands first.
    fn first_deletion(&self, id: MessageId) -> Result<Option<AccountId>, A::Error> {
        let mut first = None;
        for change in self.archive.changes(id, &[Kind::Delete], None)? {
            if let Some(brief) = self.archive.brief(change)? {
                let this = (brief.place, change, brief.author);
                first = Some(first.map_or(this, |first| this.min(first)));
            }
        }
        Ok(first.map(|(_, _, account)| account))
    }

    /// The author's last words, and how often he changed them.
    fn last_edit(&self, id: MessageId, post: &mut Kept) -> Result<(), A::Error> {
        let mut last = None;
        post.state.edits = 0;
        for change in self
            .archive
            .changes(id, &[Kind::Edit], Some(post.author.account))?
        {
            post.state.edits += 1;
            if let Some(brief) = self.archive.brief(change)? {
                last = last.max(Some((brief.place, change)));
            }
        }
        let last = match last {
            Some((_, change)) => self.archive.get(change)?,
            None => None,
        };
        post.state.words = last.and_then(|kept| match kept.content?.body {
            Body::Edit { words, .. } => Some(words),
            _ => None,
        });
        Ok(())
    }

    /// How an account reacts: its last word on each emoji, and of these the last ones.
    fn reactions(&self, id: MessageId, account: AccountId) -> Result<Vec<Emoji>, A::Error> {
        let mut words = BTreeMap::new();
        for change in self.archive.changes(id, &[Kind::Reaction], Some(account))? {
            let Some(kept) = self.archive.get(change)? else {
                continue;
            };
            if let Some(Body::React { emoji, on, .. }) = kept.body() {
                let word = ((kept.place, change), *on);
                let last = words.entry(emoji.clone()).or_insert(word);
                *last = word.max(*last);
            }
        }
        let on = words.into_iter().filter(|(_, (_, on))| *on);
        let mut shown: Vec<_> = on.map(|(emoji, (turn, _))| (turn, emoji)).collect();
        shown.sort_unstable();
        let last = shown.into_iter().rev().take(REACTIONS_MAX);
        Ok(last.map(|(_, emoji)| emoji).collect())
    }

    /// Nothing of what a deleted post said is kept: not its words, not its earlier words, not its parts.
    fn forget(&mut self, id: MessageId, post: &mut Kept) -> Result<(), A::Error> {
        let own = Some(post.author.account);
        let mut said = self.archive.changes(id, &[Kind::Edit], own)?;
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
