//! The holder's loop with a real store and without a network: members speak to it as their connections' tasks would.

use starling_protocol::mailbox::holder::Transmit;
use starling_store::{Store, StoreHandle};
use starling_wire::ids::{EntryId, EpochTag, MailboxId};
use starling_wire::log::frames::{About, Answer};
use starling_wire::log::grant::{GRANT_DAYS, SignedGrant, Token};
use starling_wire::log::keys::{Ends, Generation, Side};
use starling_wire::log::{Entry, Kind};
use starling_wire::ordering::Slot;
use tempfile::TempDir;

use super::*;
use crate::drivers::supernode::key_of;
use crate::roles::Role;

const HOLDER: [u8; 32] = [1; 32];
const SLOT: Slot = Slot {
    epoch: EpochTag([4; 16]),
    attempt: 0,
};

/// A holder, and one member who is connected.
struct Desk {
    keeper: Keeper,
    carrier: Carrier,
    told: mpsc::UnboundedReceiver<Transmit>,
    member: Who,
    _home: TempDir,
}

impl Desk {
    /// Whose store can grow by so many pages, if it has a bound.
    async fn new(pages: Option<i64>) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let store = Store::open(home.path()).expect("a store");
        if let Some(pages) = pages {
            store.grow_by(pages).expect("it is open");
        }
        let clock = Clock::start();
        let carrier = Carrier::new(clock);
        carrier.set(Role::Mailbox, true);
        let setup = Setup {
            db: Db::new(StoreHandle::start(store).expect("a thread")),
            folder: home.path().to_owned(),
            key: SigningKey::from_bytes(&HOLDER),
            clock,
            carrier: carrier.clone(),
            caps: Caps::default(),
        };
        let (inputs, _) = mpsc::channel(1);
        let keeper = Keeper::new(setup, inputs, Arc::default()).await;
        let mut keeper = keeper.expect("nothing is kept yet");
        let (member, told) = keeper.guest(asker());
        Self {
            keeper,
            carrier,
            told,
            member,
            _home: home,
        }
    }

    /// Asks, and takes what is said.
    async fn ask(&mut self, ask: Ask, body: &[u8]) -> Vec<Transmit> {
        let input = Input::Asked(self.member, Box::new(ask), Arc::from(body));
        self.keeper.hear(input).await;
        std::iter::from_fn(|| self.told.try_recv().ok()).collect()
    }

    /// Opens the box.
    async fn open(&mut self) {
        let key = SigningKey::from_bytes(&HOLDER);
        let grant = SignedGrant::new([7; 16], today() + GRANT_DAYS, &key);
        let open = Ask::Open {
            token: Token::Granted(grant),
            plan: Box::new(generation().plan()),
        };
        let opened = self.ask(open, &[]).await;
        let said = [Transmit::Answer(Answer::Opened(mailbox()))];
        assert_eq!(opened, said);
    }

    /// Another connection of the same member, who shows both keys.
    async fn enter(&mut self) {
        (self.member, self.told) = self.keeper.guest(asker());
        let secret = generation();
        let ends = Ends {
            holder: key_of(&HOLDER),
            asker: asker(),
        };
        for side in [Side::Read, Side::Deposit] {
            let enter = Ask::Enter {
                mailbox: mailbox(),
                side,
                proof: side.prove(secret.keys(ends.holder).of(side), mailbox(), ends),
            };
            let entered = self.ask(enter, &[]).await;
            assert_eq!(
                entered.first(),
                Some(&Transmit::Answer(Answer::Entered(side)))
            );
        }
    }

    /// Leaves an entry: its id, and what was said to it.
    async fn leave(&mut self, number: u64) -> (EntryId, Vec<Transmit>) {
        let mut body = vec![0; 16 * 1024];
        body[..8].copy_from_slice(&number.to_be_bytes());
        let place = (mailbox(), &generation().keys(key_of(&HOLDER)).deposit);
        let entry = Entry::new((Kind::Message, SLOT), body.into(), place).expect("an entry");
        let said = self.ask(Ask::Deposit(*entry.head()), entry.body()).await;
        (entry.id(), said)
    }

    /// What a reader is sent.
    async fn fetch(&mut self) -> usize {
        let said = self
            .ask(
                Ask::Fetch {
                    after: 0,
                    limit: 256,
                },
                &[],
            )
            .await;
        let entries = said
            .iter()
            .filter(|one| matches!(one, Transmit::Entry { .. }));
        entries.count()
    }
}

fn asker() -> EndpointKey {
    EndpointKey([8; 32])
}

fn generation() -> Generation {
    Generation {
        number: 1,
        secret: [9; 32].into(),
        first: SLOT.epoch,
        holders: vec![key_of(&HOLDER)],
    }
}

fn mailbox() -> MailboxId {
    generation().plan().mailbox(key_of(&HOLDER))
}

fn receipted(said: &[Transmit], entry: EntryId) -> bool {
    said.iter()
        .any(|one| matches!(one, Transmit::Receipt(receipt) if receipt.entry == entry))
}

#[tokio::test]
async fn box_12_on_a_full_disk_it_says_no_and_every_receipt_it_gave_stands() {
    let mut desk = Desk::new(Some(60)).await;
    desk.open().await;
    desk.enter().await;
    let mut stored = 0;
    let refused = loop {
        let (entry, said) = desk.leave(stored).await;
        if !receipted(&said, entry) {
            break (entry, said);
        }
        stored += 1;
        assert!(stored < 100, "the disk is not full");
    };
    let why = Answer::Refused(About::Entry(refused.0), Refusal::HolderFull);
    assert_eq!(refused.1, [Transmit::Answer(why)]);
    assert!(stored >= 5, "{stored}");
    // The connection ends: what it knew is not what the disk knows.
    assert!(desk.told.is_closed());
    assert!(desk.keeper.shown().crowded);
    // Reading goes on, and until the pause is over nothing is tried again.
    desk.enter().await;
    assert_eq!(desk.fetch().await as u64, stored);
    let (entry, said) = desk.leave(1_000).await;
    let why = Answer::Refused(About::Entry(entry), Refusal::HolderFull);
    assert_eq!(said, [Transmit::Answer(why)]);
    assert!(!desk.told.is_closed(), "it was not even tried");
    assert!(desk.keeper.shown().refused[&Refusal::HolderFull] >= 2);
}

#[tokio::test]
async fn role_03_what_is_left_passes_the_mailboxs_cap() {
    let mut desk = Desk::new(None).await;
    desk.open().await;
    desk.enter().await;
    let mut rates = crate::roles::carrier::RoleRates::default();
    rates.roles[Role::Mailbox as usize] = Some(8);
    desk.carrier.set_rates(rates);
    let (first, said) = desk.leave(1).await;
    assert!(receipted(&said, first), "the first one is taken whole");
    let (second, said) = desk.leave(2).await;
    let why = Answer::Refused(About::Entry(second), Refusal::TooOften);
    assert_eq!(said, [Transmit::Answer(why)]);
}
