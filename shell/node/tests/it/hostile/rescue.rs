//! The 24 words bring an account back, with its contacts; without them nobody gets anything.

use starling_control::ErrorKind;
use starling_wire::account::Founding;
use starling_wire::phrase;
use starling_wire::rescue;

use super::*;
use crate::cast::Town;
use crate::devices::{self, until_list};

async fn words_of(actor: &Actor) -> String {
    let phrase: view::Phrase = actor.ask(Command::AccountPhrase {}).await;
    phrase.words.join(" ")
}

/// What a supernode gives to whoever knocks with this key.
async fn copy_at(home: &SupernodeAddr, account: AccountId, seed: &[u8; 32]) -> Option<Vec<u8>> {
    let mallory = Mallory::stranger().await;
    let recovery = Founding::new(seed).recovery;
    let signature = rescue::ask(&recovery, account, home.id, mallory.door.key());
    let request = Request::Rescue { account, signature };
    match mallory.ask(home, request).await {
        Ok(Answer::Rescue(copy)) => copy,
        other => panic!("{other:?}"),
    }
}

async fn home_of(actor: &Actor) -> SupernodeAddr {
    let link: view::OwnLink = actor.ask(Command::ContactLink {}).await;
    let link: Link = link.link.parse().expect("a link");
    link.supernodes[0].clone()
}

/// A copy with `people` people lies at the home.
async fn until_copied(actor: &Actor, words: &str, people: usize) {
    let seed = phrase::key(words).expect("the words");
    let founding = Founding::new(&seed);
    let account = founding.inception().id();
    let home = home_of(actor).await;
    let signing = founding.signing.verifying_key().to_bytes();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(copy) = copy_at(&home, account, &seed).await {
            let opened = rescue::open(&copy, account, &founding.recovery, &signing);
            if opened.expect("it opens").people.len() == people {
                return;
            }
        }
        assert!(tokio::time::Instant::now() < deadline, "no copy in time");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn by(words: &str, anyway: bool) -> Command {
    Command::AccountRestorePhrase {
        words: words.to_owned(),
        anyway,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn account_09_the_words_alone_bring_account_and_contacts_back() {
    let (alices, bobs, fresh) = (folder(), folder(), folder());
    let town = Town::found().await;
    let mut alice = town.settle(alices.path(), "Alice").await;
    let mut bob = town.settle(bobs.path(), "Bob").await;
    befriend(&mut alice, &mut bob).await;
    let words = words_of(&alice).await;
    let id = alice.ask::<view::Account>(Command::AccountShow {}).await.id;
    until_copied(&alice, &words, 1).await;
    alice.node.stop().await;

    let mut again = town.join(fresh.path()).await;
    let restored: view::Restored = again.ask(by(&words.to_uppercase(), false)).await;
    assert_eq!((restored.account.id, restored.contacts), (id, 1));
    assert_eq!(restored.account.name, "Alice");
    // Bob's device answers with its card by itself, and follows the new history.
    again.until_online("Bob").await;
    bob.until_online("Alice").await;
    let people: Vec<view::Contact> = again.ask(Command::ContactList {}).await;
    assert_eq!(people[0].relation, view::Relation::Contact);
    let said: view::Message = again
        .ask(Command::ChatSend {
            who: "Bob".into(),
            text: "it is me again".into(),
        })
        .await;
    bob.until("the message", |event| match event {
        Event::Message(message) if message.id == said.id => Some(()),
        _ => None,
    })
    .await;

    // The old device comes up once more: it is out.
    let old = Actor::start(alices.path()).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let status: view::Status = old.ask(Command::Status {}).await;
    assert_eq!(status.online_after_ms, None, "{status:?}");
    old.node.stop().await;
    again.node.stop().await;
    bob.node.stop().await;
    town.end().await;
}

fn verify(words: &[String]) -> Command {
    Command::ContactVerify {
        who: "Alice".into(),
        words: Some(words.join(" ")),
        code: None,
    }
}

async fn safety(actor: &Actor, who: &str) -> view::Safety {
    let who = who.to_owned();
    actor.ask(Command::ContactSafety { who }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn contact_12_a_recovered_contact_is_told_loudly_and_the_mark_is_one_of_before() {
    let (alices, bobs, fresh) = (folder(), folder(), folder());
    let town = Town::found().await;
    let mut alice = town.settle(alices.path(), "Alice").await;
    let mut bob = town.settle(bobs.path(), "Bob").await;
    befriend(&mut alice, &mut bob).await;
    // CONTACT-09 and CONTACT-10: the same words on both sides, and only these mark.
    let said = safety(&alice, "Bob").await.words;
    assert_eq!(said, safety(&bob, "Alice").await.words);
    let mut wrong = said.clone();
    wrong.swap(0, 11);
    let refused = bob.try_ask::<view::Contact>(verify(&wrong)).await;
    assert_eq!(
        refused.expect_err("other words").data.kind,
        ErrorKind::Refused
    );
    let marked: view::Contact = bob.ask(verify(&said)).await;
    assert_eq!(marked.verification, view::Verification::Verified);

    let words = words_of(&alice).await;
    until_copied(&alice, &words, 1).await;
    alice.node.stop().await;
    let mut again = town.join(fresh.path()).await;
    again.ask::<view::Restored>(by(&words, false)).await;
    let changed = |event: &Event| match event {
        Event::KeyChanged(contact) => Some(contact.clone()),
        _ => None,
    };
    let contact = bob.until("the word about the key", changed).await;
    assert_eq!(contact.verification, view::Verification::BeforeKeyChanged);
    assert!(contact.key_changed_at.is_some());
    let status: view::Status = bob.ask(Command::Status {}).await;
    let told = |status: &view::Status| {
        let about = |line: &String| line.contains("key of Alice has changed");
        status.warnings.iter().any(about)
    };
    assert!(told(&status), "{:?}", status.warnings);
    again.until_online("Bob").await;
    // The words are others now, and the same on both sides.
    let refused = bob.try_ask::<view::Contact>(verify(&said)).await;
    assert_eq!(
        refused.expect_err("of before").data.kind,
        ErrorKind::Refused
    );
    let said = safety(&again, "Bob").await.words;
    let marked: view::Contact = bob.ask(verify(&said)).await;
    assert_eq!(marked.verification, view::Verification::Verified);
    assert!(!told(&bob.ask(Command::Status {}).await));
    again.node.stop().await;
    bob.node.stop().await;
    town.end().await;
}

/// Until a device shows Alice so.
async fn until_verified(actor: &Actor, verification: view::Verification) {
    until_list(actor, Command::ContactList {}, "mark", |list| {
        list.iter()
            .any(|contact: &view::Contact| contact.verification == verification)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contact_12_every_device_hears_of_another_key_and_one_comparison_is_enough() {
    let town = Town::found().await;
    let [alices, bobs, phones, fresh] = [folder(), folder(), folder(), folder()];
    let mut alice = town.settle(alices.path(), "Alice").await;
    let mut bob = town.settle(bobs.path(), "Bob").await;
    befriend(&mut alice, &mut bob).await;
    let mut phone = devices::fresh(phones.path()).await;
    devices::add(&mut bob, &mut phone, "phone", false).await;
    let said = safety(&bob, "Alice").await.words;
    bob.ask::<view::Contact>(verify(&said)).await;
    until_verified(&phone, view::Verification::Verified).await;

    let words = words_of(&alice).await;
    until_copied(&alice, &words, 1).await;
    alice.node.stop().await;
    let mut again = town.join(fresh.path()).await;
    again.ask::<view::Restored>(by(&words, false)).await;
    for device in [&bob, &phone] {
        until_verified(device, view::Verification::BeforeKeyChanged).await;
    }
    again.until_online("Bob").await;
    let said = safety(&phone, "Alice").await.words;
    assert_eq!(said, safety(&again, "Bob").await.words);
    phone.ask::<view::Contact>(verify(&said)).await;
    until_verified(&bob, view::Verification::Verified).await;
    for actor in [again, bob, phone] {
        actor.node.stop().await;
    }
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rescue_02_nobody_without_the_words_gets_a_copy() {
    let alices = folder();
    let town = Town::found().await;
    let alice = town.settle(alices.path(), "Alice").await;
    alice.until_registered().await;
    let words = words_of(&alice).await;
    until_copied(&alice, &words, 0).await;
    let home = home_of(&alice).await;
    let account: view::Account = alice.ask(Command::AccountShow {}).await;
    let account: AccountId = account.id.parse().expect("an id");
    assert_eq!(copy_at(&home, account, &[9; 32]).await, None);
    let nobody = AccountId([9; 32]);
    assert_eq!(
        copy_at(&home, nobody, &[9; 32]).await,
        None,
        "the same answer"
    );
    alice.node.stop().await;
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_words_and_unknown_ones_say_what_is_wrong() {
    let fresh = folder();
    let town = Town::found().await;
    let actor = town.join(fresh.path()).await;
    let short = actor
        .try_ask::<view::Restored>(by("abandon art", false))
        .await;
    assert!(short.unwrap_err().to_string().contains("24 words"));
    let mixed = format!("{}abandon", "abandon ".repeat(23));
    let mixed = actor.try_ask::<view::Restored>(by(&mixed, false)).await;
    assert!(
        mixed
            .unwrap_err()
            .to_string()
            .contains("do not belong together")
    );
    let zero = format!("{}art", "abandon ".repeat(23));
    let unknown = actor.try_ask::<view::Restored>(by(&zero, false)).await;
    let unknown = unknown.unwrap_err().to_string();
    assert!(unknown.contains("does not know the account"), "{unknown}");
    let none: Option<view::Account> = actor.ask(Command::AccountShow {}).await;
    assert_eq!(none, None, "nothing was made");
    let made: view::Restored = actor.ask(by(&zero, true)).await;
    assert_eq!(made.contacts, 0);
    actor.until_registered().await;
    actor.node.stop().await;
    town.end().await;
}
