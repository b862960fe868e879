//! A supernode's copy of the registrar's log, and who is found in it.

use std::time::{Duration, Instant};

use starling_store::letters::{self, LetterKind, Sealed};
use starling_store::name_log::{self, Whose};
use starling_store::{Store, StoreError, Tx, name_search, registrar};
use starling_wire::ids::{AccountId, NetworkId};
use starling_wire::name::Name;
use starling_wire::name_claim::{Claim, Wish};
use starling_wire::name_log::{Entry, Listing, SignedEntry};
use starling_wire::name_query::FOUND_MAX;
use starling_wire::postage::LetterKeys;
use starling_wire::record::registrar::Registrar;

use crate::carol;

const NOW_S: u64 = 1_795_500_000;

fn entry(height: u64, name: &str, account: Option<u8>, listing: Option<&str>) -> SignedEntry {
    SignedEntry {
        entry: Entry {
            height,
            before: [7; 32],
            at: NOW_S,
            name: Name::typed(name).unwrap(),
            account: account.map(|seed| AccountId([seed; 32])),
            until: NOW_S + 1_000,
            listing: listing.map(|text| Listing::new(text.into()).unwrap()),
        },
        signature: ([1; 32], [2; 32]),
    }
}

fn append(store: &mut Store, entries: Vec<SignedEntry>) {
    let written = store.write(|tx| {
        name_log::append(tx, Whose::Copy, &entries)?;
        entries
            .iter()
            .try_for_each(|signed| name_search::apply(tx, signed))
    });
    written.unwrap();
}

fn found(store: &Store, text: &str) -> Vec<String> {
    let found = store.read(|tx| name_search::search(tx, text, NOW_S));
    let names = found.unwrap().into_iter();
    names
        .map(|one| one.entry.name.as_str().to_owned())
        .collect()
}

#[test]
fn search_03_the_exact_name_always_and_words_of_those_who_want_it() {
    let (_dir, mut store) = carol();
    append(
        &mut store,
        vec![
            entry(1, "alice", Some(1), Some("Alice Müller-Lüdenscheidt")),
            entry(2, "alison", Some(2), None),
            entry(3, "borislav", Some(3), Some("Борислав Петров")),
            entry(4, "мария", Some(4), Some("Мария Ёлкина")),
            entry(5, "meiling", Some(5), Some("王美玲")),
            entry(6, "noor", Some(6), Some("نور الهدى")),
        ],
    );
    for (text, names) in [
        ("alice", &["alice"][..]),
        ("ALICE", &["alice"]),
        ("alison", &["alison"]),
        ("al", &["alice"]),
        ("ali", &["alice"]),
        ("alis", &[]),
        ("muller", &["alice"]),
        ("Müll ali", &["alice"]),
        ("ludensch", &["alice"]),
        ("müller bob", &[]),
        ("петр", &["borislav"]),
        ("мар", &["мария"]),
        ("王美", &["meiling"]),
        ("نور", &["noor"]),
        ("a", &[]),
        ("", &[]),
        ("\" OR listing : *", &[]),
        ("listing:muller", &[]),
        ("al*", &["alice"]),
        ("\u{202e}al", &["alice"]),
    ] {
        assert_eq!(found(&store, text), names, "{text:?}");
    }
    for odd in ["\"", "NEAR(a b)", "^", "(((", "-", "\0", &"x y ".repeat(60)] {
        found(&store, odd);
    }
}

#[test]
fn search_03_what_was_given_up_renamed_or_undone_is_found_no_more() {
    let (_dir, mut store) = carol();
    append(
        &mut store,
        vec![
            entry(1, "alice", Some(1), Some("Alice")),
            entry(2, "bob", Some(2), Some("Robert")),
            entry(3, "bob", Some(2), Some("Bobby")),
            entry(4, "alice", None, None),
        ],
    );
    assert_eq!(found(&store, "alice"), [""; 0]);
    assert_eq!(found(&store, "robert"), [""; 0]);
    assert_eq!(found(&store, "bobb"), ["bob"]);
    // The registrar has a successor, which took over after the second entry.
    let undone = store.write(|tx| {
        name_log::keep(tx, Whose::Copy, 2)?;
        name_search::rebuild(tx)
    });
    undone.unwrap();
    assert_eq!(found(&store, "alic"), ["alice"]);
    assert_eq!(found(&store, "robert"), ["bob"]);
    let late = store.read(|tx| name_search::search(tx, "alice", NOW_S + 1_000));
    assert_eq!(late.unwrap(), []);
}

#[test]
fn a_log_is_read_as_it_was_written_and_one_of_another_network_is_forgotten() {
    let (_dir, mut store) = carol();
    let owner = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    let office = Registrar::appoint(&owner, AccountId([9; 32]), [2; 32], NOW_S + 9);
    let entries = (1..=200).map(|n| entry(n, &format!("nr{n}x"), Some(1), None));
    let entries: Vec<_> = entries.collect();
    append(&mut store, entries.clone());
    store
        .write(|tx| name_log::appoint(tx, Whose::Copy, &office))
        .unwrap();
    let whole = store.read(|tx| name_log::entries(tx, Whose::Copy)).unwrap();
    assert_eq!(whole, entries);
    let page = store.read(|tx| name_log::page(tx, Whose::Copy, office.clone(), (150, 180)));
    assert_eq!(page.unwrap().unwrap().entries, entries[149..180]);
    let page = store.read(|tx| name_log::page(tx, Whose::Copy, office.clone(), (201, 300)));
    assert_eq!(page.unwrap(), None);
    let last = Name::typed("nr7x").unwrap();
    let last = store.read(|tx| name_log::last(tx, Whose::Copy, &last));
    assert_eq!(last.unwrap().unwrap().entry.height, 7);
    let kept = store.write(|tx| name_log::load(tx, Whose::Copy, office.network));
    let kept = kept.unwrap();
    assert_eq!((kept.positions.len(), kept.offices), (200, vec![office]));
    assert_eq!(kept.positions[4], entries[4].position());
    let other = store.write(|tx| name_log::load(tx, Whose::Copy, NetworkId([8; 32])));
    assert!(other.unwrap().positions.is_empty());
}

/// The benchmark asks ten times as many over a link; here it is seen that no search looks at all of them.
#[test]
fn ten_thousand_names_are_searched_at_once() {
    let (_dir, mut store) = carol();
    let firsts = ["Alice", "Boris", "Carol", "Dmitri", "Émile"];
    let entries = (1..=10_000_u64).map(|n| {
        let first = firsts[usize::try_from(n % 5).unwrap()];
        entry(
            n,
            &format!("nr{n}x"),
            Some(1),
            Some(&format!("{first} Nr{n}")),
        )
    });
    append(&mut store, entries.collect());
    let mut slowest = Duration::ZERO;
    for text in ["al", "alice nr77", "nr", "nr9999x", "emile", "nobody"] {
        let began = Instant::now();
        let count = found(&store, text).len();
        slowest = slowest.max(began.elapsed());
        assert!(
            count <= FOUND_MAX && (count > 0) == (text != "nobody"),
            "{text}"
        );
    }
    println!("slowest of six searches among 10,000 names: {slowest:?}");
    assert!(slowest < Duration::from_millis(300), "{slowest:?}");
}

fn post_about(
    tx: &Tx<'_>,
    text: &str,
    kind: LetterKind,
    envelope: &[u8],
) -> Result<(), StoreError> {
    let name = Name::typed(text).unwrap();
    let sealed = Sealed {
        envelope: envelope.to_vec(),
        mark: None,
    };
    letters::put_about(tx, account(1), (kind, &name), &sealed, NOW_S)
}

fn posted(tx: &Tx<'_>) -> Result<Vec<Vec<u8>>, StoreError> {
    let kept = letters::to(tx, account(1))?;
    let texts = kept.into_iter().map(|letter| letter.sealed.envelope);
    Ok(texts.collect())
}

#[test]
fn letters_about_two_names_do_not_replace_each_other() {
    use LetterKind::{Claim, Verdict};
    let (_dir, mut store) = carol();
    let check = |tx: &Tx<'_>| {
        post_about(tx, "alice", Claim, b"release")?;
        post_about(tx, "bob", Claim, b"claim")?;
        post_about(tx, "alice", Verdict, b"yours")?;
        post_about(tx, "bob", Verdict, b"taken")?;
        post_about(tx, "alice", Claim, b"again")?;
        assert_eq!(posted(tx)?, [&b"claim"[..], b"yours", b"taken", b"again"]);
        Ok(())
    };
    store.write(check).unwrap();
}

#[test]
fn letters_about_names_to_one_account_are_bounded() {
    let (_dir, mut store) = carol();
    let check = |tx: &Tx<'_>| {
        for number in 0..2 * letters::ABOUT_NAMES_MAX {
            post_about(tx, &format!("nr{number}x"), LetterKind::Verdict, b"no")?;
        }
        let most = usize::try_from(letters::ABOUT_NAMES_MAX).unwrap();
        assert_eq!(posted(tx)?.len(), most);
        Ok(())
    };
    store.write(check).unwrap();
}

fn wants(name: &str) -> Claim {
    Claim {
        name: Name::typed(name).unwrap(),
        wish: Wish::Release,
    }
}

fn account(number: u64) -> AccountId {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    AccountId(id)
}

#[test]
fn names_11_a_flood_of_claims_is_bounded_and_shuts_no_one_out_who_need_not_wait() {
    let (_dir, mut store) = carol();
    let keep = |tx: &Tx<'_>, who, name: &str| {
        registrar::keep_claim(
            tx,
            account(who),
            &wants(name),
            &LetterKeys::of_stranger([1; 32]),
            NOW_S,
        )
    };
    let check = |tx: &Tx<'_>| {
        for number in 0..registrar::WAITING_MAX {
            assert!(registrar::may_wait(tx, account(number))?);
            assert!(keep(tx, number, "alice")?);
            let claim = registrar::claims(tx)?.pop().expect("it is there");
            registrar::by_hand(tx, claim.number)?;
        }
        assert!(
            !registrar::may_wait(tx, account(5_000))?,
            "nobody more waits"
        );
        // What needs no person comes in all the same, as does a claim in place of an own one.
        assert!(keep(tx, 5_000, "bob")?);
        assert!(keep(tx, 7, "alice")?);
        assert!(registrar::may_wait(tx, account(7))?, "its own place");
        for number in 0..2_000 {
            keep(tx, 6_000 + number, "carol")?;
        }
        assert!(!keep(tx, 9_000, "carol")?);
        assert!(keep(tx, 5_000, "bob")?, "in place of its own");
        assert_eq!(registrar::claims(tx)?.len(), 1_999);
        assert_eq!(registrar::overdue(tx, NOW_S)?.len(), 999);
        assert!(registrar::overdue(tx, NOW_S - 1)?.is_empty());
        Ok(())
    };
    store.write(check).unwrap();
    let (_dir, mut store) = carol();
    let one = |tx: &Tx<'_>| {
        for number in 0..10 {
            let kept = keep(tx, 1, &format!("nr{number}x"))?;
            assert_eq!(kept, number < 5, "of one account");
        }
        for claim in registrar::claims(tx)?.iter().take(3) {
            assert!(registrar::may_wait(tx, account(1))?);
            registrar::by_hand(tx, claim.number)?;
        }
        assert!(!registrar::may_wait(tx, account(1))?);
        registrar::may_wait(tx, account(2))
    };
    assert!(store.write(one).unwrap());
}
