//! An account's names on its other devices, from its backup, from its 24 words, and in the last quarter of their year.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use starling_node::clock::wall_s;
use starling_store::own_names::{self, OwnName};
use starling_wire::ids::AccountId;
use starling_wire::name::Name;
use starling_wire::name_log::Entry;
use starling_wire::record::registrar::{Office, Registrar as Appointment};

use super::*;
use crate::devices::{add, until_list};

const YEAR: u64 = 365 * 24 * 3600;

async fn until_names(actor: &Actor, what: &str, fits: impl Fn(&[view::OwnName]) -> bool) {
    until_list(actor, Command::NameShow {}, what, fits).await;
}

fn held(names: &[view::OwnName]) -> bool {
    names
        .first()
        .is_some_and(|own| own.name == "alice" && own.state == "held")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_device_shows_renews_and_releases_a_name() {
    let (land, _home, registrar) = town().await;
    let homes = [folder(), folder()];
    let mut alice = settle(&land, homes[0].path(), "Alice").await;
    let mut phone = Actor::start(homes[1].path()).await;
    let _: view::OwnName = alice.ask(claim("alice")).await;
    until_names(&alice, "name", held).await;
    add(&mut alice, &mut phone, "phone", true).await;
    // From the one that has it, and from then on whichever asks.
    until_names(&phone, "name on the phone", held).await;
    phone.until_registered().await;
    let renew = Command::NameRenew {
        name: "alice".into(),
    };
    let renewed: view::OwnName = phone.ask(renew).await;
    assert_eq!(renewed.state, "held", "{renewed:?}");
    assert_eq!(renewed.findable_as.as_deref(), Some("Alice"));
    until_names(&alice, "the same at the desk", |names| {
        names == [renewed.clone()]
    })
    .await;
    let release = Command::NameRelease {
        name: "alice".into(),
    };
    let released: view::OwnName = phone.ask(release).await;
    assert_eq!(released.state, "released", "{released:?}");
    until_names(&alice, "no name at the desk", <[_]>::is_empty).await;
    until_names(&phone, "no name on the phone", <[_]>::is_empty).await;
    end(land, [alice, phone, registrar]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_account_has_its_name_from_its_backup() {
    let (land, _home, registrar) = town_of(1).await;
    let homes = [folder(), folder(), folder()];
    let alice = settle(&land, homes[0].path(), "Alice").await;
    let _: view::OwnName = alice.ask(claim("alice")).await;
    until_names(&alice, "name", held).await;
    let file = homes[1].path().join("backup").display().to_string();
    let passphrase = "correct horse battery".to_owned();
    let backup = Command::AccountBackup {
        file: file.clone(),
        passphrase: passphrase.clone(),
    };
    alice.ask::<()>(backup).await;
    for actor in [alice, registrar] {
        actor.node.stop().await;
    }
    let restored = Actor::start(homes[2].path()).await;
    let restore = Command::AccountRestore { file, passphrase };
    let _: view::Account = restored.ask(restore).await;
    until_names(&restored, "name from the backup", held).await;
    end(land, [restored]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_account_has_its_name_from_its_words() {
    let (land, _home, registrar) = town_of(1).await;
    let homes = [folder(), folder()];
    let alice = settle(&land, homes[0].path(), "Alice").await;
    let _: view::OwnName = alice.ask(claim("alice")).await;
    until_names(&alice, "name", held).await;
    let words: view::Phrase = alice.ask(Command::AccountPhrase {}).await;
    let words = words.words.join(" ");
    // The rescue copy is renewed 5 s after a change.
    tokio::time::sleep(Duration::from_secs(7)).await;
    for actor in [alice, registrar] {
        actor.node.stop().await;
    }
    let restored = Actor::start(homes[1].path()).await;
    let source = file(&land);
    let _: view::Network = restored.ask(Command::NetworkJoin { source }).await;
    let restore = Command::AccountRestorePhrase {
        words,
        anyway: false,
    };
    let _: view::Restored = restored.ask(restore).await;
    until_names(&restored, "name from the words", held).await;
    end(land, [restored]).await;
}

/// As if a year had nearly gone by: what her store says of her name ends soon.
fn ends_soon(own: &OwnName, until: u64) -> OwnName {
    let key = |seed| SigningKey::from_bytes(&[seed; 32]);
    let public = key(31).verifying_key().to_bytes();
    let office = Appointment::appoint(&owner(), own.registrar, public, wall_s() + YEAR);
    let entry = Entry {
        height: 1,
        before: [0; 32],
        at: until - YEAR,
        name: own.name.clone(),
        account: Some(AccountId([1; 32])),
        until,
        listing: None,
    };
    let office = Office::new(office, key(31)).expect("its key");
    OwnName {
        certificate: Some(office.certify(&entry, until)),
        ..own.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_renewed_by_itself_in_its_last_quarter_and_when_somebody_says_so() {
    let (land, _home, registrar) = town().await;
    let home = folder();
    let alice = settle(&land, home.path(), "Alice").await;
    let first: view::OwnName = alice.ask(claim("alice")).await;
    let renew = |name: &str| Command::NameRenew { name: name.into() };
    let renewed: view::OwnName = alice.ask(renew("Alice")).await;
    // More than half of the year is left: the same certificate.
    assert_eq!(renewed, first);
    let nobodys = alice.try_ask::<view::OwnName>(renew("bob")).await;
    assert_eq!(
        nobodys.expect_err("not hers").data.kind,
        ErrorKind::NotFound
    );
    alice.node.stop().await;

    let mut store = Store::open(home.path()).expect("a store");
    let name = Name::typed("alice").expect("a name");
    let soon = wall_s() + YEAR / 4 - 3600;
    let age = move |tx: &starling_store::Tx<'_>| {
        let own = own_names::get(tx, &name)?.expect("hers");
        own_names::put(tx, &ends_soon(&own, soon))
    };
    store.write(age).expect("kept");
    drop(store);
    let alice = Actor::start(home.path()).await;
    until_names(&alice, "another year", |names| {
        held(names) && names[0].until_s > Some(soon + YEAR / 2)
    })
    .await;
    end(land, [alice, registrar]).await;
}
