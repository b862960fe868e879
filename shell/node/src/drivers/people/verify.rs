//! Verification: the safety words of two accounts, the mark of a contact whose words were compared, and what is told when the key
//! behind an account changes.

use std::sync::Arc;

use starling_control::{ErrorKind, Event, Failure, view};
use starling_store::about::About;
use starling_store::{StoreError, Tx};
use starling_wire::card::SignedCard;
use starling_wire::ids::AccountId;
use starling_wire::verification::{Common, Side};

use super::People;
use crate::clock::wall_ms;
use crate::context::Context;
use crate::drivers::views;

impl People {
    /// What two people compare.
    pub async fn safety(&self, who: &str) -> Result<view::Safety, Failure> {
        let account = views::find(&self.ctx, who).await?;
        let (common, _) = self.common(account).await?;
        let contact = views::contact(&self.ctx, account).await?;
        Ok(view::Safety {
            contact,
            words: common.words(),
            code: common.code(),
        })
    }

    /// `CONTACT-10`: marks somebody, if these are the words, or this is the code.
    pub async fn verify(
        &self,
        who: &str,
        words: Option<&str>,
        code: Option<&str>,
    ) -> Result<view::Contact, Failure> {
        let account = views::find(&self.ctx, who).await?;
        let (common, key) = self.common(account).await?;
        let same = match (words, code) {
            (Some(words), None) => common.has_words(words),
            (None, Some(code)) => common.has_code(code),
            _ => {
                let sentence = "give the words that the other person has, or their code";
                return Err(Failure::new(ErrorKind::Usage, sentence));
            }
        };
        if !same {
            let sentence = "these are not the words of you two. If they were read right, one of you has somebody else among \
                the contacts, or has not heard yet that the other's key changed: do not trust this contact before you know";
            return Err(Failure::new(ErrorKind::Refused, sentence));
        }
        let mark = move |about: &mut About| {
            about.verified = Some(key);
            about.key_changed_at = None;
        };
        self.keep(&account.to_string(), mark).await
    }

    /// Takes the mark away.
    pub async fn unverify(&self, who: &str) -> Result<view::Contact, Failure> {
        self.keep(who, |about| about.verified = None).await
    }

    /// The person has read that the key changed. A mark of before stays one of before.
    pub async fn key_seen(&self, who: &str) -> Result<view::Contact, Failure> {
        self.keep(who, |about| about.key_changed_at = None).await
    }

    /// What both sides have in common, and the key that signs for the contact.
    async fn common(&self, account: AccountId) -> Result<(Common, [u8; 32]), Failure> {
        let card = self.ctx.book.person(account).and_then(|person| person.card);
        let Some(card) = card else {
            let sentence = "there are no words before both of you have agreed to be contacts";
            return Err(Failure::new(ErrorKind::State, sentence));
        };
        let signing_key = key_of(&card);
        let own = self.ctx.identity.get();
        let ours = Side {
            account: own.account(),
            signing_key: *own.chain.speaker().signing_key(),
        };
        let theirs = Side {
            account,
            signing_key,
        };
        let made = tokio::task::spawn_blocking(move || Common::new(ours, theirs)).await;
        let made = made.map_err(|error| Failure::new(ErrorKind::System, error.to_string()))?;
        Ok((made, signing_key))
    }
}

/// The key that signs for a card's account.
pub fn key_of(card: &SignedCard) -> [u8; 32] {
    *card.card.chain.speaker().signing_key()
}

/// `CONTACT-12`: notes that another key signs for somebody than before; whether that is so.
pub fn note_key(
    ctx: &Context,
    tx: &Tx<'_>,
    account: AccountId,
    cards: (Option<&SignedCard>, &SignedCard),
) -> Result<bool, StoreError> {
    let (before, now) = cards;
    if before.is_none_or(|before| key_of(before) == key_of(now)) {
        return Ok(false);
    }
    ctx.abouts.change(tx, account, |about| {
        about.key_changed_at = Some(wall_ms());
    })?;
    Ok(true)
}

/// Tells it loudly.
pub async fn announce_key(ctx: &Arc<Context>, account: AccountId) {
    if let Ok(contact) = views::contact(ctx, account).await {
        ctx.emit(Event::KeyChanged(contact));
    }
}

/// `CONTACT-12`: for the status, as long as somebody has not looked.
pub fn key_warnings(ctx: &Context) -> Vec<String> {
    let people = ctx.book.people().into_iter();
    let changed = people.filter(|(account, _)| ctx.abouts.of(*account).key_changed_at.is_some());
    let words = |(account, _)| {
        format!(
            "The key of {} has changed: the account was recovered with its 24 words, by its owner or by whoever has the words. Compare \
             safety words again (`starling contact verify`) before you trust it with anything.",
            ctx.title(account)
        )
    };
    changed.map(words).collect()
}
