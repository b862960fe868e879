//! A thief has the signing key; its owner has entered the 24 words.

use ed25519_dalek::SigningKey;
use starling_node::identity::Identity;
use starling_wire::account::Change;
use starling_wire::limits::SEQUENCE_MAX;
use starling_wire::record::{AccountRecord, Content, Signed};
use starling_wire::speaker::Recovery;

use super::*;

/// Everything lies on the stolen machine but the words.
fn stolen() -> Identity {
    Identity::create("Vera", "laptop")
}

/// Her account on a new machine.
fn recovered(stolen: &Identity) -> Identity {
    let words = SigningKey::from_bytes(stolen.recovery_seed.as_ref().expect("the words"));
    let signing = SigningKey::from_bytes(&[51; 32]);
    let new = Identity {
        signing: Some(signing.clone()),
        device: SigningKey::from_bytes(&[52; 32]),
        front_door_seed: [53; 32],
        ..stolen.clone()
    };
    let word = Recovery::new(&words, stolen.account(), 1, &signing.verifying_key());
    let (device, name) = (new.device_id(), "found again".to_owned());
    let mut chain = stolen.chain.clone();
    chain.append(&words, Change::Recover { word, device, name });
    Identity { chain, ..new }
}

async fn registers(
    who: &Mallory,
    home: &SupernodeAddr,
    record: &Signed<AccountRecord>,
) -> Result<Answer, RequestError> {
    let registration = who.identity.registration(record.clone(), home.id);
    who.ask(home, Request::Register(Box::new(registration)))
        .await
}

fn is_older(answer: Result<Answer, RequestError>) -> bool {
    matches!(answer, Err(RequestError::Refused(Refusal::Older)))
}

#[tokio::test(flavor = "multi_thread")]
async fn record_15_a_stolen_signing_key_outbids_no_recovered_account() {
    let [s, a] = [folder(), folder()];
    let (sue, network) = sue_with_a_network(s.path()).await;
    let alice = Actor::create(a.path(), "Alice").await;
    join(&alice, &network).await;
    let link = link_of(&alice).await;
    let thief = Mallory::with(stolen()).await;
    let vera = Mallory::with(recovered(&thief.identity)).await;
    let home = find(&thief, &link).await.home;
    let (account, homes) = (vera.identity.account(), std::slice::from_ref(&home));
    // He has taken the account over, with the highest number there is.
    let taken = thief.identity.record(SEQUENCE_MAX, homes).expect("a key");
    assert_eq!(
        registers(&thief, &home, &taken).await.ok(),
        Some(Answer::Ok)
    );
    // The words are entered: a low number is enough, and his door is not Vera's any more.
    let back = vera.identity.record(1, homes).expect("a key");
    assert_eq!(registers(&vera, &home, &back).await.ok(), Some(Answer::Ok));
    let collected = thief.ask(&home, Request::Collect).await;
    assert!(
        matches!(
            collected,
            Err(RequestError::Refused(Refusal::NotRegistered))
        ),
        "{collected:?}"
    );
    // Neither registering nor bringing his record to the index helps.
    assert!(is_older(registers(&thief, &home, &taken).await));
    let brought = Request::Publish(Box::new(taken.clone().into()));
    assert!(is_older(thief.ask(&home, brought).await));
    // Nor a record under her history: he cannot sign for it.
    let under = AccountRecord {
        by: vera.identity.chain.speaker(),
        ..taken.record
    };
    let under = under.sign(thief.identity.signing.as_ref().expect("a key"));
    let forged = thief
        .ask(&home, Request::Publish(Box::new(under.into())))
        .await;
    assert!(
        matches!(forged, Err(RequestError::Refused(Refusal::InvalidRecord))),
        "{forged:?}"
    );
    let found = thief.ask(&home, Request::Lookup { account }).await;
    assert_eq!(found.ok(), Some(Answer::Record(Some(back))));
    for actor in [alice, sue] {
        actor.node.stop().await;
    }
}
