//! What the order asks holders and hears from them, as it travels (`docs/spec/mailbox.md`).

use std::sync::Arc;
use std::time::Duration;

use starling_wire::log::Entry;
use starling_wire::log::frames::{Answer, Ask};
use starling_wire::ordering::Seat;

use super::conversation::Conversation;
use super::outputs::Transmit;
use crate::mls::Client;
use crate::order::group::Commit;
use crate::order::member::{self as order, Request, Word};

impl Conversation {
    /// A holder's answer about a slot. What is not about the order is left to whoever leaves and collects.
    pub fn handle_answer(
        &mut self,
        from: Seat,
        answer: &Answer,
        client: &mut Client,
        now: Duration,
    ) {
        let word = match answer {
            Answer::Promise(said) => {
                let epoch = said.promise.statement.slot.epoch;
                let holders = self.holders_of(epoch, client);
                let grounded = holders.and_then(|holders| said.clone().verify(&holders).ok());
                grounded.map(Word::Promised)
            }
            Answer::Vote(said) => said.verify().ok().map(Word::Vote),
            Answer::Settled(said) => {
                let votes = said.votes.first();
                let epoch = votes.map(|vote| vote.statement.slot.epoch);
                let holders = epoch.and_then(|epoch| self.holders_of(epoch, client));
                let certificate = holders.and_then(|holders| said.clone().verify(&holders).ok());
                certificate.map(Word::Certificate)
            }
            Answer::Untouched(_) => None,
            _ => return,
        };
        self.handle_words(Some(from), word.into_iter().collect(), client, now);
    }

    /// A request of the order, for the box at its holder. None of a generation that is not remembered any more.
    pub(super) fn question(&self, Request { seat, ask }: Request) -> Option<Transmit> {
        let first = self.ground.first_of(seat)?;
        let mut body = Arc::from([]);
        let ask = match ask {
            order::Ask::State(slot) => Ask::State { slots: vec![slot] },
            order::Ask::Deposit(commit) => {
                let entry = self.entry(seat, &commit)?;
                body = entry.body().clone();
                Ask::Deposit(*entry.head())
            }
            order::Ask::Prepare(slot, ballot, seen) => Ask::Prepare {
                slot,
                ballot,
                seen: seen.map(|seen| *seen.signed()),
            },
            order::Ask::Accept(slot, asked) => Ask::Accept {
                slot,
                ballot: asked.ballot,
                entry: asked.entry,
                grounds: asked.grounds.signed(),
            },
            order::Ask::Settle(certificate) => Ask::Settle(Box::new(certificate.signed())),
        };
        Some(Transmit {
            first,
            holder: seat.holder,
            ask,
            body,
        })
    }

    fn entry(&self, seat: Seat, commit: &Commit) -> Option<Entry> {
        let generation = self.ground.generation_of(self.ground.first_of(seat)?)?;
        let keys = generation.keys(seat.holder);
        let body = commit.body.as_slice().into();
        let entry = Entry::new(
            (commit.kind(), commit.slot),
            body,
            (seat.mailbox, &keys.deposit),
        );
        entry.ok().filter(|entry| entry.id() == commit.id)
    }
}
