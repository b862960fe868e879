//! Carrying contacts elsewhere: what is exported of each, and what an imported one does. No secrets: a link leads to somebody, and
//! who it leads to is asked again.

use starling_control::view::{CarriedContact, Imported};
use starling_control::{ErrorKind, Failure};
use starling_store::contacts;
use starling_wire::ids::AccountId;
use starling_wire::limits::SUPERNODES_MAX;
use starling_wire::link::{Link, Target};

use super::{People, account_link};
use crate::book::Relation;
use crate::context::store_failure;

impl People {
    /// Every contact as it is carried. The sound test stays.
    pub async fn carried(&self) -> Result<Vec<CarriedContact>, Failure> {
        let rows = self.ctx.db.read(contacts::list).await;
        let rows = rows.map_err(store_failure)?.into_iter();
        let agreed = rows.filter(|row| row.relation == contacts::Relation::Contact && !row.echo);
        Ok(agreed.map(|row| self.carry(row)).collect())
    }

    fn carry(&self, row: contacts::Contact) -> CarriedContact {
        let about = self.ctx.abouts.of(row.account);
        let link = Link {
            target: Target::Account(row.account),
            network: row.network,
            supernodes: row.homes.into_iter().take(SUPERNODES_MAX).collect(),
        };
        CarriedContact {
            link: link.to_string(),
            name: row.name,
            nickname: row.nickname,
            favourite: about.favourite,
            lists: about.lists,
            note: about.note,
        }
    }

    /// `CONTACT-14`: somebody from a file: a contact gets what the file says of them, anybody else is asked, as many as may be
    /// at once. What is here already stays.
    pub async fn import(
        &self,
        carried: CarriedContact,
        message: &str,
    ) -> Result<Imported, Failure> {
        let (account, _) = account_link(&carried.link)?;
        if account == self.ctx.identity.account() {
            return Ok(Imported::Own);
        }
        match self.ctx.book.person(account).map(|person| person.relation) {
            Some(Relation::Contact) => {
                self.keep_carried(account, carried).await?;
                Ok(Imported::Kept)
            }
            Some(Relation::Requested) => Ok(Imported::AskedBefore),
            Some(Relation::Blocked) => {
                let sentence = "you have blocked this person; remove them first";
                Err(Failure::new(ErrorKind::State, sentence))
            }
            None if !self.may_ask() => Ok(Imported::Wait),
            None => {
                self.add(&carried.link, message).await?;
                self.keep_carried(account, carried).await?;
                Ok(Imported::Asked)
            }
        }
    }

    async fn keep_carried(
        &self,
        account: AccountId,
        carried: CarriedContact,
    ) -> Result<(), Failure> {
        let who = account.to_string();
        let here = self.ctx.book.person(account);
        let named = here.is_some_and(|person| person.nickname.is_some());
        if let Some(nickname) = carried.nickname.filter(|_| !named) {
            self.nickname(account, &nickname).await?;
        }
        if carried.favourite {
            self.favourite(&who, true).await?;
        }
        for list in &carried.lists {
            self.list_add(&who, list).await?;
        }
        let noted = self.ctx.abouts.of(account).note.is_some();
        if let Some(note) = carried.note.filter(|_| !noted) {
            self.note(&who, &note).await?;
        }
        Ok(())
    }
}
