//! Strangers who flood somebody's mailbox, and strangers who only want to be a contact.

use starling_wire::limits::ENVELOPE_MAX;
use starling_wire::postage::{LetterKeys, Postage, Work};

use super::*;
use crate::cast::Town;

/// Keys of the flood.
const KEYS: u16 = 8;
/// Letters of each that cost nothing.
const EACH: u16 = 1_250;
/// Letters that are worked for, as large as may be: 31 of them fill the strangers' share.
const PAID: u16 = 34;

fn deposit(account: AccountId, envelope: Vec<u8>, postage: Postage) -> Request {
    Request::Deposit {
        account,
        postage,
        envelope,
    }
}

fn work_of(request: &Request) -> Work {
    match request {
        Request::Deposit {
            postage: Postage::Work(work),
            ..
        } => *work,
        other => panic!("{other:?}"),
    }
}

pub(super) fn request_text(event: &Event) -> Option<(String, String)> {
    match event {
        Event::Request(request) => Some((request.message.clone(), request.id.clone())),
        _ => None,
    }
}

/// What is asked for this.
async fn price(mallory: &Mallory, at: &SupernodeAddr, letter: Request) -> Option<u8> {
    match mallory.ask(at, letter).await {
        Err(RequestError::Refused(Refusal::Work(bits))) => Some(bits),
        Ok(Answer::Ok) => None,
        other => panic!("{other:?}"),
    }
}

/// Works for a large letter until it is taken, and says what it cost at last.
async fn pay(mallory: &Mallory, to: &Known, number: u16) -> u8 {
    let mut envelope = vec![7; ENVELOPE_MAX];
    envelope[..2].copy_from_slice(&number.to_be_bytes());
    let mut bits = WORK_MIN;
    while let Some(more) = price(mallory, &to.home, paid(to.account, envelope.clone(), bits)).await
    {
        assert!(more > bits);
        bits = more;
    }
    bits
}

/// Letters without work, with too little, with that of another letter, of another day, and with an invented mark: how many were
/// taken.
async fn flood(mallory: Mallory, to: AccountId, at: SupernodeAddr, key: u16) -> usize {
    let today = u32::try_from(wall_s() / 86_400).expect("a day");
    let others = work_of(&paid(to, b"another letter".to_vec(), WORK_MIN));
    let mut taken = 0;
    for number in 0..EACH {
        let mut envelope = vec![9; 64];
        envelope[..2].copy_from_slice(&number.to_be_bytes());
        envelope[2..4].copy_from_slice(&key.to_be_bytes());
        let nonce = u64::from(number);
        let postage = match number % 4 {
            0 => Postage::Contact([key as u8; 16]),
            1 => Postage::Work(others),
            2 => Postage::Work(Work { day: 0, nonce }),
            _ => Postage::Work(Work { day: today, nonce }),
        };
        let refused = price(&mallory, &at, deposit(to, envelope, postage)).await;
        taken += usize::from(refused.is_none());
    }
    taken
}

/// Alice is away. Strangers fill their share of her mailbox and go on with 10,000 letters; a contact's letter and a stranger's
/// request get in all the same, and both are there when she comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stranger_04_a_flood_shuts_nobody_out() {
    let town = Town::found().await;
    let [a, m, e] = [folder(), folder(), folder()];
    let mut alice = town.settle(a.path(), "Alice").await;
    let mut contact = town.settle(m.path(), "Mallory").await;
    befriend_as(&mut alice, &mut contact, ["Alice", "Mallory"]).await;
    let link = link_of(&alice).await;
    contact.node.stop().await;
    alice.node.stop().await;
    let (identity, known) = read_profile(m.path());
    let mallory = Mallory::with(identity).await;
    let to = find(&mallory, &link).await;
    let mut most = 0;
    for number in 0..PAID {
        most = pay(&mallory, &to, number).await.max(most);
    }
    println!("the {PAID}th letter cost {most} bits");
    assert_eq!(most, WORK_MIN + 3);
    let mut floods = tokio::task::JoinSet::new();
    for key in 0..KEYS {
        let stranger = Mallory::stranger().await;
        let (account, home) = (to.account, to.home.clone());
        stranger.near(&home).await;
        floods.spawn(flood(stranger, account, home, key));
    }
    let eve = town.settle(e.path(), "Eve").await;
    let asked: view::Contact = eve
        .ask(Command::ContactAdd {
            link,
            message: "we met yesterday".into(),
        })
        .await;
    assert_eq!(asked.relation, view::Relation::Requested);
    let letter = marked(&mallory, &to, card_of(&known, "Alice"));
    assert_eq!(
        price(&mallory, &to.home, letter).await,
        None,
        "a contact is let in"
    );
    let taken: usize = floods.join_all().await.into_iter().sum();
    println!(
        "of {} letters that cost nothing {taken} were taken",
        KEYS * EACH
    );
    // By chance one of 2^19 shows enough.
    assert!(taken <= 1);
    let mut alice = Actor::start(a.path()).await;
    let text = alice.until("Eve's request", request_text).await;
    assert_eq!(text.0, "we met yesterday");
    let named = |contact: &view::Contact| contact.name == "Mallory the Second";
    let list: Vec<view::Contact> = alice.ask(Command::ContactList {}).await;
    assert!(list.iter().any(named), "{list:?}");
    let status: view::Status = alice.ask(Command::Status {}).await;
    let crowd = |words: &String| words.contains("many strangers write to you");
    assert!(status.warnings.iter().any(crowd), "{:?}", status.warnings);
    for actor in [alice, eve] {
        actor.node.stop().await;
    }
    town.end().await;
}

/// A contact's letter that says another name.
fn marked(mallory: &Mallory, to: &Known, card: &SignedCard) -> Request {
    let keys = LetterKeys::of(to.account, &card.card);
    let number = wall_s() + 1_000;
    let sender = Sender {
        key: &mallory.identity.device,
        number,
        card: mallory.card_at(number, "Mallory the Second", &[]),
    };
    let (account, now) = (to.account, wall_s());
    let sealed = seal(
        sender,
        account,
        &keys.request,
        Letter::Update,
        now,
        random(),
    );
    let envelope = sealed.expect("it is short");
    let mark = keys.contacts.expect("a card").mark(&envelope);
    deposit(to.account, envelope, Postage::Contact(mark))
}

#[tokio::test(flavor = "multi_thread")]
async fn postage_04_nobody_is_let_in_twice_for_the_same_work() {
    let town = Town::found().await;
    let homes = [folder(), folder()];
    let alice = town.settle(homes[0].path(), "Alice").await;
    let bob = town.settle(homes[1].path(), "Bob").await;
    let mallory = Mallory::stranger().await;
    let [to, other] = [
        find(&mallory, &link_of(&alice).await).await,
        find(&mallory, &link_of(&bob).await).await,
    ];
    let at = &to.home;
    let letter = paid(to.account, b"sealed".to_vec(), WORK_MIN);
    let work = work_of(&letter);
    let asks = |account, envelope: &[u8], work| {
        let letter = deposit(account, envelope.to_vec(), Postage::Work(work));
        price(&mallory, at, letter)
    };
    assert_eq!(asks(other.account, b"sealed", work).await, Some(WORK_MIN));
    assert_eq!(asks(to.account, b"other", work).await, Some(WORK_MIN));
    let yesterday = Work {
        day: work.day - 1,
        ..work
    };
    assert_eq!(asks(to.account, b"sealed", yesterday).await, Some(WORK_MIN));
    // Alice collects it, and drops it: it is no letter. After that it is not let in again, though nobody is told.
    for _ in 0..3 {
        assert_eq!(asks(to.account, b"sealed", work).await, None);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let mut crowd = 1;
    while asks(to.account, &[crowd], Work { day: 0, nonce: 0 }).await == Some(WORK_MIN) {
        crowd += 1;
        let envelope = vec![crowd; 3];
        assert_eq!(
            mallory
                .ask(at, paid(to.account, envelope, WORK_MIN))
                .await
                .ok(),
            Some(Answer::Ok)
        );
    }
    assert_eq!(crowd, 15, "those that came again were not counted");
    for actor in [alice, bob] {
        actor.node.stop().await;
    }
    town.end().await;
}
