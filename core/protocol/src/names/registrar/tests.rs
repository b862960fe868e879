//! Honest people, greedy people, and a registrar that lost its memory.

use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use starling_wire::ids::NetworkId;
use starling_wire::record::registrar::Since;

use super::*;
use crate::names::book::REST_S;

const ALICE: AccountId = AccountId([1; 32]);
const BOB: AccountId = AccountId([2; 32]);
const NOW: u64 = 1_800_000_000;
const FOREVER: u64 = 4_000_000_000;
const OPEN: Rules = Rules {
    admission: Admission::Open,
    names_of_one: 1,
};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn network() -> NetworkId {
    NetworkId(key(1).verifying_key().to_bytes())
}

fn appointment(until: u64) -> Appointment {
    let public = key(2).verifying_key().to_bytes();
    Appointment::appoint(&key(1), AccountId([9; 32]), public, until)
}

fn stored(rules: Rules, log: Vec<SignedEntry>) -> Registrar {
    Registrar::new(office(FOREVER), rules, kept(log))
}

fn kept(log: Vec<SignedEntry>) -> Stored {
    Stored {
        offices: vec![appointment(FOREVER)],
        log,
        contradiction: None,
    }
}

/// Where its log stands.
fn head_of(registrar: &Registrar) -> Statement {
    registrar.history.last().unwrap()
}

fn office(until: u64) -> Office {
    Office::new(appointment(until), key(2)).unwrap()
}

/// One that serves.
fn serving(rules: Rules) -> Registrar {
    let mut registrar = stored(rules, Vec::new());
    registrar.handle_heads(&[]);
    registrar
}

fn name(text: &str) -> Name {
    Name::typed(text).unwrap()
}

fn hold(text: &str) -> Claim {
    with(text, None, None)
}

fn with(text: &str, listing: Option<&str>, invitation: Option<&str>) -> Claim {
    Claim {
        name: name(text),
        wish: Wish::Hold {
            listing: listing.map(|text| Listing::new(text.to_owned()).unwrap()),
            invitation: invitation.map(str::to_owned),
        },
    }
}

fn release(text: &str) -> Claim {
    Claim {
        name: name(text),
        wish: Wish::Release,
    }
}

/// What came of a claim: what is to be written, and the answer.
fn claim(
    registrar: &mut Registrar,
    from: AccountId,
    claim: Claim,
    (now, at): (Time, u64),
) -> (Vec<Persist>, Verdict) {
    registrar.handle_claim(from, claim, By::Rules, now, at);
    outcome(registrar)
}

fn outcome(registrar: &mut Registrar) -> (Vec<Persist>, Verdict) {
    let persists = std::iter::from_fn(|| registrar.poll_persist()).collect();
    let events: Vec<Event> = std::iter::from_fn(|| registrar.poll_event()).collect();
    let certified = events.iter().find_map(|event| match event {
        Event::Certify(record) => Some(record.clone()),
        _ => None,
    });
    let answer = events.into_iter().find_map(|event| match event {
        Event::Answer(_, _, verdict) => Some(verdict),
        _ => None,
    });
    let answer = answer.expect("everybody is answered");
    assert_eq!(
        answer.as_ref().ok(),
        certified.as_ref(),
        "what is told is published"
    );
    (persists, answer)
}

/// The answer alone, at the beginning.
fn asked(registrar: &mut Registrar, from: AccountId, what: Claim) -> Verdict {
    claim(registrar, from, what, (Time::ZERO, NOW)).1
}

fn log_of(registrar: &Registrar) -> Vec<SignedEntry> {
    let mut log = Vec::new();
    while let Some(page) = registrar.page_after(log.len() as u64) {
        log.extend(page.entries);
    }
    log
}

#[test]
fn names_01_of_two_in_the_same_second_the_first_has_it() {
    let mut registrar = serving(OPEN);
    let certificate = asked(&mut registrar, ALICE, hold("alice")).unwrap();
    assert_eq!(certificate.record.account, Some(ALICE));
    assert!(certificate.verify_in(Some(network()), NOW).is_ok());
    assert_eq!(
        asked(&mut registrar, BOB, hold("alice")),
        Err(Refusal::Taken)
    );
    let looks_like = asked(&mut registrar, BOB, hold("аӏісе"));
    assert_eq!(looks_like, Err(Refusal::LooksLikeAnother));
}

#[test]
fn names_04_one_name_for_each_unless_the_network_gives_more() {
    let mut registrar = serving(OPEN);
    asked(&mut registrar, ALICE, hold("alice")).unwrap();
    assert_eq!(
        asked(&mut registrar, ALICE, hold("alicia")),
        Err(Refusal::Enough)
    );
    asked(&mut registrar, ALICE, release("alice")).unwrap();
    asked(&mut registrar, ALICE, hold("alicia")).unwrap();
    let mut registrar = serving(Rules {
        names_of_one: 2,
        ..OPEN
    });
    for wanted in ["alice", "alicia"] {
        asked(&mut registrar, ALICE, hold(wanted)).unwrap();
    }
    assert_eq!(
        asked(&mut registrar, ALICE, hold("alison")),
        Err(Refusal::Enough)
    );
}

#[test]
fn names_05_an_invitation_is_used_once_and_only_when_it_gave_a_name() {
    let mut registrar = serving(Rules {
        admission: Admission::Invitation,
        ..OPEN
    });
    registrar.handle_invitations([invitation_hash("welcome")]);
    let invited = |text| with(text, None, Some("welcome"));
    assert_eq!(
        asked(&mut registrar, BOB, hold("bob")),
        Err(Refusal::Invitation)
    );
    let (persists, verdict) = claim(&mut registrar, ALICE, invited("alice"), (Time::ZERO, NOW));
    assert!(verdict.is_ok());
    assert!(persists.contains(&Persist::Spent(invitation_hash("welcome"))));
    assert_eq!(
        asked(&mut registrar, BOB, invited("bob")),
        Err(Refusal::Invitation)
    );
    // Who has a name needs none to keep it.
    let (_, renewed) = claim(
        &mut registrar,
        ALICE,
        hold("alice"),
        (DAY, NOW + LEASE_S - 1),
    );
    assert!(renewed.is_ok());
}

#[test]
fn names_05_by_hand_a_person_is_asked_and_the_answer_comes_later() {
    let mut registrar = serving(Rules {
        admission: Admission::ByHand,
        ..OPEN
    });
    registrar.handle_claim(ALICE, hold("alice"), By::Rules, Time::ZERO, NOW);
    assert_eq!(
        registrar.poll_event(),
        Some(Event::Decide(ALICE, hold("alice")))
    );
    assert_eq!(outcome(&mut registrar), (Vec::new(), Err(Refusal::Waiting)));
    registrar.handle_claim(ALICE, hold("alice"), By::Operator, Time::ZERO, NOW);
    assert!(outcome(&mut registrar).1.is_ok());
    // Whom the network invited waits for nobody, however many wait.
    registrar.handle_invitations([invitation_hash("golden")]);
    let invited = with("bob", None, Some("golden"));
    let (persists, verdict) = claim(&mut registrar, BOB, invited, (Time::ZERO, NOW));
    assert!(verdict.is_ok());
    assert_eq!(persists[0], Persist::Spent(invitation_hash("golden")));
}

#[test]
fn names_06_nobody_changes_names_all_the_time() {
    let mut registrar = serving(OPEN);
    let mut counted = 0;
    for round in 0..20 {
        let wanted = format!("alice{round}");
        if asked(&mut registrar, ALICE, hold(&wanted)).is_ok() {
            counted += 1;
            counted += usize::from(asked(&mut registrar, ALICE, release(&wanted)).is_ok());
        }
    }
    assert_eq!(counted, CHANGES_OF_ONE);
    assert!(
        asked(&mut registrar, BOB, hold("bob")).is_ok(),
        "others may"
    );
    let mut registrar = serving(OPEN);
    let everybody = (0..1_000_u64).filter(|number| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        asked(&mut registrar, AccountId(id), hold(&format!("nr{number}x"))).is_ok()
    });
    assert_eq!(everybody.count(), CHANGES_OF_ALL);
    let later = claim(&mut registrar, BOB, hold("bob"), (HOUR, NOW + 3_600));
    assert!(later.1.is_ok());
}

#[test]
fn names_07_a_letter_that_came_twice_is_answered_alike_and_written_once() {
    let mut registrar = serving(OPEN);
    let (first, one) = claim(&mut registrar, ALICE, hold("alice"), (Time::ZERO, NOW));
    let (second, other) = claim(&mut registrar, ALICE, hold("alice"), (HOUR, NOW + 9));
    assert_eq!((first.len(), second.len()), (1, 0));
    assert_eq!(one, other);
    let (first, one) = claim(&mut registrar, ALICE, release("alice"), (HOUR, NOW + 10));
    let (second, other) = claim(&mut registrar, ALICE, release("alice"), (HOUR, NOW + 20));
    assert_eq!((first.len(), second.len()), (1, 0));
    assert_eq!(one, other);
    let record = one.unwrap();
    assert_eq!(record.record.account, None);
    assert!(record.verify_in(Some(network()), NOW + 10).is_ok());
    assert_eq!(
        asked(&mut registrar, BOB, release("alice")),
        Err(Refusal::NotYours)
    );
}

#[test]
fn a_lease_is_renewed_in_its_second_half_and_a_listing_changed_at_any_time() {
    let mut registrar = serving(OPEN);
    let first = asked(&mut registrar, ALICE, hold("alice")).unwrap();
    let half = NOW + LEASE_S / 2;
    let (_, renewed) = claim(&mut registrar, ALICE, hold("alice"), (DAY, half));
    let renewed = renewed.unwrap();
    assert_eq!(renewed.record.expires, half + LEASE_S);
    assert!(renewed.record.sequence > first.record.sequence);
    let listed = with("alice", Some("Alice Liddell"), None);
    let (persists, _) = claim(&mut registrar, ALICE, listed, (DAY, half));
    assert_eq!(persists.len(), 1);
    let holding = registrar.book().holding(&name("alice")).unwrap();
    assert_eq!(holding.listing.as_ref().unwrap().as_str(), "Alice Liddell");
}

#[test]
fn names_02_giving_up_what_was_lost_long_ago_makes_no_room_for_a_double() {
    let mut registrar = serving(OPEN);
    asked(&mut registrar, ALICE, hold("alice")).unwrap();
    let long_after = NOW + LEASE_S + REST_S;
    let when = (DAY * 455, long_after);
    claim(&mut registrar, BOB, hold("a1ice"), when).1.unwrap();
    let (_, released) = claim(&mut registrar, ALICE, release("alice"), when);
    assert_eq!(released, Err(Refusal::NotYours));
    let (_, again) = claim(&mut registrar, ALICE, hold("alice"), when);
    assert_eq!(again, Err(Refusal::LooksLikeAnother));
}

#[test]
fn names_08_before_it_heard_from_the_network_and_after_its_office_it_signs_nothing() {
    let mut registrar = stored(OPEN, Vec::new());
    assert_eq!(
        asked(&mut registrar, ALICE, hold("alice")),
        Err(Refusal::NotReady)
    );
    registrar.handle_heads(&[]);
    assert!(asked(&mut registrar, ALICE, hold("alice")).is_ok());
    let mut old = Registrar::new(office(NOW), OPEN, kept(Vec::new()));
    old.handle_heads(&[]);
    assert_eq!(
        asked(&mut old, ALICE, hold("alice")),
        Err(Refusal::NotReady)
    );
}

#[test]
fn names_08_one_from_an_old_backup_takes_what_it_misses_from_the_network() {
    let mut registrar = serving(OPEN);
    asked(&mut registrar, ALICE, hold("alice")).unwrap();
    let backup = log_of(&registrar);
    asked(&mut registrar, BOB, hold("bob")).unwrap();
    let head = head_of(&registrar);
    let mut restored = stored(OPEN, backup);
    restored.handle_heads(std::slice::from_ref(&head));
    assert_eq!(restored.poll_event(), Some(Event::Behind(1)));
    assert_eq!(
        asked(&mut restored, ALICE, hold("bob")),
        Err(Refusal::NotReady)
    );
    // From the beginning, though one entry is known.
    let page = registrar.page_after(0).unwrap().verify(network()).unwrap();
    restored.handle_page(page.clone());
    let persists: Vec<_> = std::iter::from_fn(|| restored.poll_persist()).collect();
    assert_eq!(
        persists,
        [Persist::Append(
            appointment(FOREVER),
            page.entries()[1..].to_vec()
        )]
    );
    restored.handle_heads(std::slice::from_ref(&head));
    assert_eq!(restored.standing(), Standing::Serving);
    // One that was told too little first stops as soon as it hears of more.
    let mut hasty = stored(OPEN, Vec::new());
    hasty.handle_heads(&[]);
    hasty.handle_heads(&[head]);
    assert_eq!(hasty.poll_event(), Some(Event::Behind(0)));
    assert_eq!(
        asked(&mut hasty, ALICE, hold("bob")),
        Err(Refusal::NotReady)
    );
    assert_eq!(
        asked(&mut restored, ALICE, hold("bob")),
        Err(Refusal::Taken)
    );
    assert_eq!(log_of(&restored), log_of(&registrar));
}

#[test]
fn names_08_one_whose_log_the_network_contradicts_signs_nothing_any_more() {
    let [mut one, mut other] = [serving(OPEN), serving(OPEN)];
    asked(&mut one, ALICE, hold("alice")).unwrap();
    asked(&mut other, BOB, hold("alice")).unwrap();
    one.handle_heads(&[head_of(&other)]);
    assert_eq!(one.poll_event(), Some(Event::Contradicted));
    let Some(Persist::Contradicted(proof)) = one.poll_persist() else {
        panic!("it forgets that");
    };
    assert_eq!(proof.verify(network()), Ok(()));
    assert_eq!(
        asked(&mut one, ALICE, hold("alice")),
        Err(Refusal::NotReady)
    );
    // Nor does a page of it get in; what strangers say of it is nothing.
    let mut two = serving(OPEN);
    asked(&mut two, ALICE, hold("alice")).unwrap();
    let page = other.page_after(0).unwrap().verify(network()).unwrap();
    two.handle_page(page);
    assert_eq!(two.standing(), Standing::Contradicted);
    let mut forged = head_of(&other);
    forged.position.hash = [7; 32];
    let mut three = stored(OPEN, log_of(&other));
    three.handle_heads(&[forged]);
    assert_eq!(three.standing(), Standing::Serving);
}

#[test]
fn names_09_who_was_contradicted_knows_it_after_a_restart_and_a_successor_goes_on() {
    let [mut one, mut other] = [serving(OPEN), serving(OPEN)];
    asked(&mut one, ALICE, hold("alice")).unwrap();
    asked(&mut other, ALICE, hold("alice")).unwrap();
    asked(&mut one, BOB, hold("bob")).unwrap();
    asked(&mut other, BOB, hold("robert")).unwrap();
    one.handle_heads(&[head_of(&other)]);
    let Some(Persist::Contradicted(proof)) = one.poll_persist() else {
        panic!("it forgets that");
    };
    let log = log_of(&one);
    let again = |office| {
        let stored = Stored {
            contradiction: Some(proof.clone()),
            ..kept(log.clone())
        };
        let mut registrar = Registrar::new(office, OPEN, stored);
        let persist = registrar.poll_persist();
        registrar.handle_heads(&[]);
        (registrar, persist)
    };
    let (mut same, _) = again(office(FOREVER));
    assert_eq!(same.standing(), Standing::Contradicted);
    assert_eq!(asked(&mut same, BOB, hold("bobby")), Err(Refusal::NotReady));
    // The owner appoints the next one after the entry that nobody disputes.
    let since = Since {
        height: 1,
        hash: log[0].entry.hash(),
    };
    let next = appointment(FOREVER).taking_over(&key(1), 2, since);
    let (mut next, persist) = again(Office::new(next, key(2)).unwrap());
    assert_eq!(persist, Some(Persist::Keep(1)));
    assert_eq!(next.standing(), Standing::Serving);
    asked(&mut next, BOB, hold("bob")).unwrap();
    let pages = [next.page_after(0), next.page_after(1), next.page_after(2)];
    let signers = pages.map(|page| page.map(|page| (page.registrar.epoch, page.entries.len())));
    assert_eq!(signers, [Some((1, 1)), Some((2, 1)), None]);
    // What the one before wrote beyond that neither stops it nor is missed; and the one before hears of it.
    next.handle_heads(&[head_of(&one), head_of(&other)]);
    assert_eq!(next.standing(), Standing::Serving);
    other.handle_office(next.appointment());
    assert_eq!(other.poll_event(), Some(Event::Succeeded));
    assert_eq!(
        asked(&mut other, BOB, hold("bobby")),
        Err(Refusal::NotReady)
    );
}

#[test]
fn names_09_a_successor_has_to_have_what_it_took_over() {
    let mut first = serving(OPEN);
    asked(&mut first, ALICE, hold("alice")).unwrap();
    asked(&mut first, BOB, hold("bob")).unwrap();
    let since = Since {
        height: 2,
        hash: first.history.end(),
    };
    let office = appointment(FOREVER).taking_over(&key(1), 2, since);
    let nothing = Stored {
        offices: Vec::new(),
        ..kept(Vec::new())
    };
    let mut next = Registrar::new(Office::new(office, key(2)).unwrap(), OPEN, nothing);
    next.handle_heads(&[]);
    assert_eq!(next.poll_event(), Some(Event::Behind(0)));
    next.handle_page(first.page_after(0).unwrap().verify(network()).unwrap());
    assert!(matches!(next.poll_persist(), Some(Persist::Append(by, _)) if by.epoch == 1));
    next.handle_heads(&[]);
    assert_eq!(next.standing(), Standing::Serving);
    assert_eq!(asked(&mut next, ALICE, hold("bob")), Err(Refusal::Taken));
    let released = asked(&mut next, BOB, release("bob")).unwrap();
    assert!(released.verify_in(Some(network()), NOW).is_ok());
}

#[test]
fn names_10_a_log_with_a_gap_is_refused_with_a_sentence() {
    let mut registrar = serving(OPEN);
    for (who, name) in [
        (ALICE, "alice"),
        (BOB, "bob"),
        (AccountId([7; 32]), "carol"),
    ] {
        asked(&mut registrar, who, hold(name)).unwrap();
    }
    assert_eq!(check_log(&log_of(&registrar)), Ok(()));
    for (gone, after) in [(0, 0), (1, 1)] {
        let mut log = log_of(&registrar);
        log.remove(gone);
        let gap = check_log(&log).unwrap_err();
        assert_eq!(gap, Gap { after });
        assert!(gap.to_string().contains("take-over"));
    }
    let mut changed = log_of(&registrar);
    changed[1].entry.account = Some(ALICE);
    assert_eq!(check_log(&changed), Err(Gap { after: 2 }));
    // What is missing at the end only the network knows (NAMES-08).
    let mut short = log_of(&registrar);
    short.pop();
    assert_eq!(check_log(&short), Ok(()));
}

proptest! {
    /// Whoever wants whatever: no two hold names that look alike, nobody has more than he may, and the log that was written
    /// makes the same book again.
    #[test]
    fn the_log_alone_says_who_has_what(wishes in prop::collection::vec((0..4_u8, 0..6_u8, any::<bool>(), 0..40_u64), 1..60)) {
        let texts = ["alice", "a1ice", "alicе", "bob", "b0b", "carol"];
        let mut registrar = serving(OPEN);
        let mut at = NOW;
        for (who, what, keeps, days) in wishes {
            let Ok(wanted) = Name::typed(texts[usize::from(what)]) else { continue };
            let wish = if keeps { Wish::Hold { listing: None, invitation: None } } else { Wish::Release };
            at += days * 24 * 3600;
            let now = Time::from_secs(at - NOW);
            let _ = claim(&mut registrar, AccountId([who; 32]), Claim { name: wanted, wish }, (now, at));
        }
        let again = stored(OPEN, log_of(&registrar));
        for who in 0..4 {
            let names = |book: &Book| book.names_of(AccountId([who; 32]), at).cloned().collect::<Vec<_>>();
            prop_assert!(names(registrar.book()).len() <= 1);
            prop_assert_eq!(names(registrar.book()), names(again.book()));
        }
        let held = (0..4).flat_map(|who| registrar.book().names_of(AccountId([who; 32]), at));
        let shapes: Vec<_> = held.map(Name::skeleton).collect();
        let different: BTreeSet<_> = shapes.iter().collect();
        prop_assert_eq!(different.len(), shapes.len());
    }
}
