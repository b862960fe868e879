//! Letters that are left at a supernode until their owners collect them. What a stranger's costs and which of them makes room is
//! decided by `protocol::people::mailbox`.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use starling_protocol::people::mailbox::{self as rules, Gate};
use starling_store::{StoreError, Tx, mailbox as rows, supernode};
use starling_wire::ids::{AccountId, EndpointKey, EnvelopeId};
use starling_wire::postage::{Mark, Postage, Stamped, WORK_MAX, Work};
use starling_wire::supernode::{Answer, Refusal, envelope_id};
use tracing::debug;

use super::Service;
use super::notices::DeskInput;
use crate::clock::{random, wall_s};
use crate::roles::Role;

/// Who may leave letters.
#[derive(Debug)]
pub(super) struct Mailbox {
    gate: Mutex<Gate>,
    /// Addresses are kept hashed with this, and it is gone with the process.
    places: [u8; 32],
}

/// Why a letter is let in.
#[derive(Debug, Clone, Copy)]
enum Admitted {
    OfContact { place: Option<u64> },
    OfStranger { work: u8, place: Option<u64> },
}

/// What became of it.
enum Outcome {
    OfContact,
    /// Among so many.
    OfStranger(usize),
    /// The share of contacts has no room for it.
    Crowded,
    /// It costs so many bits.
    Costs(u8),
    /// Nothing is kept.
    Not(rows::Standing),
}

impl Default for Mailbox {
    fn default() -> Self {
        Self {
            gate: Mutex::default(),
            places: random(),
        }
    }
}

impl Mailbox {
    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block of addresses as a number; whoever is on this machine has none.
    fn place(&self, block: Option<IpAddr>) -> Option<u64> {
        let block = block.filter(|block| !block.is_loopback())?;
        let hash = blake3::keyed_hash(&self.places, block.to_string().as_bytes());
        hash.as_bytes()
            .first_chunk()
            .copied()
            .map(u64::from_be_bytes)
    }
}

impl Service {
    /// `SUPER-03`: envelopes only for accounts registered here, within the bound, on disk before the answer.
    /// `ROLE-03`: not where the mailbox is off, nor faster than its cap.
    pub(super) async fn deposit(
        &self,
        asker: EndpointKey,
        account: AccountId,
        letter: Stamped,
    ) -> Result<Answer, Refusal> {
        if !self.carrier.is_on(Role::Mailbox) {
            return Err(Refusal::NoMailbox);
        }
        // Before anything is counted: a letter to nobody, or one that comes again, takes no turns and nothing of the cap.
        let id = envelope_id(&letter.envelope);
        let standing = self.stored(move |tx| rows::standing(tx, account, id));
        if let Some(answer) = not_new(standing.await?) {
            return answer;
        }
        let admitted = match letter.postage {
            Postage::Contact(mark) => self.admit_contact(asker, account, mark, &letter).await?,
            Postage::Work(work) => self.admit_stranger(asker, account, work, &letter)?,
        };
        let bytes = letter.envelope.len() as u64;
        if !self.carrier.letter(bytes) {
            return Err(Refusal::Full);
        }
        self.carrier.meter().letter_received(bytes);
        let kept = self.stored(move |tx| keep(tx, account, &letter, admitted));
        match kept.await? {
            Outcome::OfContact => self.tell(account).await,
            Outcome::OfStranger(waiting) => {
                let now = self.clock.now();
                self.mailbox.gate().note_kept(account, waiting, now);
                self.tell(account).await
            }
            // It may come as a stranger's.
            Outcome::Crowded => Err(Refusal::Work(self.price(account))),
            Outcome::Costs(bits) => Err(Refusal::Work(bits)),
            Outcome::Not(standing) => not_new(standing).unwrap_or(Ok(Answer::Ok)),
        }
    }

    /// The account's devices that are here hear of a letter.
    async fn tell(&self, account: AccountId) -> Result<Answer, Refusal> {
        let doors = self.stored(move |tx| supernode::doors(tx, account)).await?;
        let _ = self.desk.send(DeskInput::Envelope(doors)).await;
        Ok(Answer::Ok)
    }

    /// `POSTAGE-03`: a mark that a contact of the account made. Any other is a stranger's: it costs work.
    async fn admit_contact(
        &self,
        asker: EndpointKey,
        account: AccountId,
        mark: Mark,
        letter: &Stamped,
    ) -> Result<Admitted, Refusal> {
        let key = self.db.read(move |tx| rows::contacts_key(tx, account));
        let key = key.await.map_err(|_| Refusal::Full)?;
        if key.is_some_and(|key| key.mark(&letter.envelope) == mark) {
            let place = self.mailbox.place(self.relay.block_of(asker));
            return Ok(Admitted::OfContact { place });
        }
        Err(Refusal::Work(self.price(account)))
    }

    /// `POSTAGE-02`, `STRANGER-01`: work of today that is enough.
    fn admit_stranger(
        &self,
        asker: EndpointKey,
        account: AccountId,
        work: Work,
        letter: &Stamped,
    ) -> Result<Admitted, Refusal> {
        let bits = if work.is_fresh(wall_s()) {
            work.bits(account, &letter.envelope)
        } else {
            0
        };
        let (block, now) = (self.relay.block_of(asker), self.clock.now());
        let taken = self.mailbox.gate().handle_letter(account, bits, block, now);
        match taken {
            Ok(()) => Ok(Admitted::OfStranger {
                work: bits.min(WORK_MAX),
                place: self.mailbox.place(block),
            }),
            Err(bits) => Err(Refusal::Work(bits)),
        }
    }

    fn price(&self, account: AccountId) -> u8 {
        self.mailbox.gate().price(account, self.clock.now())
    }

    /// `SUPER-04`: only a registered front door collects, and only its own account's.
    pub(super) async fn collect(&self, asker: EndpointKey) -> Result<Answer, Refusal> {
        let account = self.account_of(asker).await?;
        let letters = self.stored(move |tx| rows::letters(tx, account)).await?;
        let bytes: usize = letters.iter().map(|letter| letter.envelope.len()).sum();
        self.carrier.meter().letter_sent(bytes as u64);
        let work = self.price(account);
        Ok(Answer::Envelopes { letters, work })
    }

    pub(super) async fn collected(
        &self,
        asker: EndpointKey,
        ids: Vec<EnvelopeId>,
    ) -> Result<Answer, Refusal> {
        let account = self.account_of(asker).await?;
        self.stored(move |tx| rows::forget(tx, account, &ids))
            .await?;
        Ok(Answer::Ok)
    }
}

/// What is said of a letter that is not kept, whatever it shows.
const fn not_new(standing: rows::Standing) -> Option<Result<Answer, Refusal>> {
    match standing {
        rows::Standing::UnknownAccount => Some(Err(Refusal::UnknownAccount)),
        // POSTAGE-04: nobody is let in twice for the same work.
        rows::Standing::Known => Some(Ok(Answer::Ok)),
        rows::Standing::New => None,
    }
}

/// In one transaction: what makes room goes only if the letter comes.
fn keep(
    tx: &Tx<'_>,
    account: AccountId,
    letter: &Stamped,
    admitted: Admitted,
) -> Result<Outcome, StoreError> {
    // Things may have changed since they were looked at.
    let standing = rows::standing(tx, account, envelope_id(&letter.envelope))?;
    if standing != rows::Standing::New {
        return Ok(Outcome::Not(standing));
    }
    match admitted {
        Admitted::OfContact { place } => {
            let kept = rows::keep_of_contact(tx, account, letter, place, wall_s())?;
            Ok(if kept {
                Outcome::OfContact
            } else {
                Outcome::Crowded
            })
        }
        Admitted::OfStranger { work, place } => {
            keep_of_stranger(tx, account, letter, (work, place))
        }
    }
}

fn keep_of_stranger(
    tx: &Tx<'_>,
    account: AccountId,
    letter: &Stamped,
    (work, place): (u8, Option<u64>),
) -> Result<Outcome, StoreError> {
    let waiting = rows::of_strangers(tx, account)?;
    let others: Vec<_> = waiting.iter().map(known).collect();
    let bytes = letter.envelope.len();
    let gone = match rules::make_room(&others, rules::Waiting { work, place, bytes }) {
        Ok(gone) => gone,
        Err(more) => return Ok(Outcome::Costs(more)),
    };
    for one in gone.iter().filter_map(|index| waiting.get(*index)) {
        debug!(
            reason = "crowded",
            work = one.work,
            "dropped a stranger's letter"
        );
        rows::drop_letter(tx, one.number)?;
    }
    rows::keep_of_stranger(tx, account, letter, (work, place), wall_s())?;
    Ok(Outcome::OfStranger(waiting.len() + 1 - gone.len()))
}

const fn known(row: &rows::Waiting) -> rules::Waiting {
    rules::Waiting {
        work: row.work,
        place: row.place,
        bytes: row.bytes,
    }
}
