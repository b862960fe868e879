//! What the watcher asks, and what it believes.

use starling_wire::presence::{SEALED, Sealed};

use super::*;

const BOB: EndpointKey = EndpointKey([2; 32]);
const CAROL: EndpointKey = EndpointKey([3; 32]);

fn home(id: u8) -> SupernodeAddr {
    SupernodeAddr {
        id: EndpointKey([id; 32]),
        tcp: "127.0.0.1:1".parse().expect("an address"),
        discovery_port: 0,
    }
}

fn at(door: EndpointKey, home: SupernodeAddr) -> Target {
    Target {
        door,
        id: id(door),
        home,
    }
}

fn id(door: EndpointKey) -> SubscriptionId {
    SubscriptionId([door.0[0]; 16])
}

fn here() -> Sighting {
    Sighting::Here(Sealed(vec![1; SEALED]))
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn said(sighting: Sighting) -> Seen {
    Seen::Said(sighting)
}

fn answer(watcher: &mut Watcher, now: Duration, sightings: &[Sighting]) -> Ask {
    let ask = watcher.poll_ask(now).expect("due");
    watcher.handle_reply(&ask, Reply::Sightings(sightings.to_vec()), now);
    ask
}

fn doors(ask: &Ask) -> usize {
    match &ask.question {
        Question::Watch(ids) => ids.len(),
        Question::Still(_) => 0,
    }
}

#[test]
fn presence_05_only_what_changed_is_asked_anew() {
    let mut watcher = Watcher::new(1);
    watcher.set_targets(&[at(BOB, home(7))], seconds(0));
    let ask = watcher.poll_ask(seconds(0)).expect("due");
    assert_eq!(ask.question, Question::Watch(vec![id(BOB)]));
    assert_eq!(watcher.poll_ask(seconds(0)), None, "an answer is awaited");
    watcher.handle_reply(&ask, Reply::Sightings(vec![here()]), seconds(1));
    assert_eq!(watcher.poll_change(), Some((BOB, said(here()))));
    watcher.set_targets(&[at(BOB, home(7)), at(CAROL, home(8))], seconds(2));
    let ask = answer(&mut watcher, seconds(2), &[Sighting::Nothing]);
    assert_eq!(ask.supernode, home(8));
    let due = Deadline::new(seconds(301), WatchReason::ListDue);
    assert_eq!(watcher.poll_timeout(), Some(due));
    watcher.set_targets(&[at(CAROL, home(8))], seconds(3));
    let withdrawn = watcher.poll_ask(seconds(3)).expect("due");
    let nobody = Question::Watch(Vec::new());
    assert_eq!((withdrawn.supernode, withdrawn.question), (home(7), nobody));
}

#[test]
fn presence_05_what_changes_while_an_answer_is_awaited_is_asked_after_it() {
    let mut watcher = Watcher::new(1);
    watcher.set_targets(&[at(BOB, home(7))], seconds(0));
    let ask = watcher.poll_ask(seconds(0)).expect("due");
    watcher.set_targets(&[at(BOB, home(7)), at(CAROL, home(7))], seconds(1));
    watcher.handle_reply(&ask, Reply::Sightings(vec![here()]), seconds(2));
    let ask = answer(&mut watcher, seconds(2), &[here(), here()]);
    assert_eq!(doors(&ask), 2);
    let ask = watcher.poll_ask(seconds(302)).expect("due");
    watcher.set_targets(&[], seconds(302));
    watcher.handle_reply(&ask, Reply::Still, seconds(303));
    let withdrawn = answer(&mut watcher, seconds(303), &[]);
    assert_eq!(doors(&withdrawn), 0);
    assert_eq!(watcher.poll_timeout(), None);
}

#[test]
fn presence_06_an_unreachable_supernode_makes_its_doors_unknown_and_is_asked_ever_less() {
    let mut watcher = Watcher::new(5);
    watcher.set_targets(&[at(BOB, home(7))], seconds(0));
    answer(&mut watcher, seconds(0), &[here()]);
    let mut now = watcher.poll_timeout().expect("due").at;
    let mut waits = Vec::new();
    for _ in 0..12 {
        let ask = watcher.poll_ask(now).expect("due");
        watcher.handle_reply(&ask, Reply::Failed, now);
        let next = watcher.poll_timeout().expect("a retry").at;
        waits.push(next - now);
        now = next;
    }
    assert!(
        waits[0] <= RETRY_FIRST && waits[11] >= RETRY_MAX / 2 && waits[11] <= RETRY_MAX,
        "{waits:?}"
    );
    let changes: Vec<_> = std::iter::from_fn(|| watcher.poll_change()).collect();
    assert_eq!(changes, [(BOB, said(here())), (BOB, Seen::Unknown)]);
}

#[test]
fn presence_07_a_notice_counts_only_from_the_doors_own_supernode() {
    let mut watcher = Watcher::new(1);
    watcher.set_targets(&[at(BOB, home(7)), at(CAROL, home(8))], seconds(0));
    watcher.handle_notice(home(8).id, id(BOB), here());
    assert_eq!(watcher.poll_change(), None);
    watcher.handle_notice(home(7).id, id(BOB), here());
    watcher.handle_notice(home(7).id, id(BOB), here());
    assert_eq!(watcher.poll_change(), Some((BOB, said(here()))));
    assert_eq!(watcher.poll_change(), None);
}

#[test]
fn presence_08_a_supernode_that_moved_is_asked_at_once_and_the_old_answer_is_ignored() {
    let mut watcher = Watcher::new(1);
    let mut moved = home(7);
    moved.tcp.set_port(2);
    watcher.set_targets(&[at(BOB, home(7))], seconds(0));
    let old = watcher.poll_ask(seconds(0)).expect("due");
    watcher.set_targets(&[at(BOB, moved.clone())], seconds(1));
    let new = watcher.poll_ask(seconds(1)).expect("due at once");
    assert_eq!(new.supernode, moved);
    watcher.handle_reply(&old, Reply::Failed, seconds(5));
    assert_eq!(watcher.poll_ask(seconds(5)), None, "the new one is out");
    watcher.handle_reply(&new, Reply::Sightings(vec![here()]), seconds(6));
    assert_eq!(watcher.poll_change(), Some((BOB, said(here()))));
}

#[test]
fn presence_10_a_wrong_address_in_one_card_does_not_hide_the_others() {
    let mut watcher = Watcher::new(1);
    let mut wrong = home(7);
    wrong.tcp = "127.0.0.1:0".parse().expect("sorts before the right one");
    watcher.set_targets(&[at(CAROL, wrong.clone()), at(BOB, home(7))], seconds(0));
    let first = watcher.poll_ask(seconds(0)).expect("due");
    assert_eq!((&first.supernode, doors(&first)), (&wrong, 2));
    watcher.handle_reply(&first, Reply::Failed, seconds(5));
    let next = watcher.poll_timeout().expect("a retry").at;
    let second = answer(&mut watcher, next, &[here(), here()]);
    assert_eq!((&second.supernode, doors(&second)), (&home(7), 2));
    let again = watcher.poll_ask(next + REFRESH).expect("due");
    assert_eq!(again.supernode, home(7), "what worked is kept");
}

#[test]
fn presence_20_a_list_is_kept_on_by_its_digest_and_sent_whole_when_that_does_not_fit() {
    let mut watcher = Watcher::new(1);
    watcher.set_targets(&[at(BOB, home(7))], seconds(0));
    answer(&mut watcher, seconds(0), &[here()]);
    let ask = watcher.poll_ask(REFRESH).expect("due");
    let known = [(id(BOB), here().mark())].into_iter();
    assert_eq!(ask.question, Question::Still(digest(known)));
    watcher.handle_reply(&ask, Reply::Still, REFRESH);
    let ask = watcher.poll_ask(2 * REFRESH).expect("due");
    watcher.handle_reply(&ask, Reply::Changed, 2 * REFRESH);
    let whole = watcher.poll_ask(2 * REFRESH).expect("at once");
    assert_eq!(doors(&whole), 1);
}

#[test]
fn presence_20_a_thousand_contacts_at_fifty_supernodes_cost_two_questions_in_five_minutes() {
    let mut watcher = Watcher::new(1);
    let door = |n: u16| {
        let [high, low] = n.to_be_bytes();
        let mut key = [high; 32];
        key[1] = low;
        EndpointKey(key)
    };
    let target = |n: u16| Target {
        door: door(n),
        id: SubscriptionId(door(n).0[..16].try_into().expect("16 bytes")),
        home: home(u8::try_from(n % 50).expect("small")),
    };
    let targets: Vec<Target> = (0..1_000).map(target).collect();
    watcher.set_targets(&targets, seconds(0));
    let mut questions = 0;
    let day = seconds(24 * 3600);
    let mut now = seconds(0);
    while now < day {
        while let Some(ask) = watcher.poll_ask(now) {
            questions += 1;
            let reply = match &ask.question {
                Question::Watch(ids) => Reply::Sightings(vec![here(); ids.len()]),
                Question::Still(_) => Reply::Still,
            };
            watcher.handle_reply(&ask, reply, now);
        }
        now = watcher.poll_timeout().expect("a list").at;
    }
    let five_minutes = u32::try_from(day.as_secs() / 300).expect("small");
    assert!(questions <= 2 * five_minutes + 50 + 50, "{questions}");
}

#[test]
fn presence_21_a_supernode_that_was_started_anew_makes_nobody_offline_at_once() {
    let mut watcher = Watcher::new(1);
    watcher.set_targets(&[at(BOB, home(7))], seconds(0));
    answer(&mut watcher, seconds(0), &[here()]);
    watcher.poll_change();
    watcher.ask_all(seconds(1));
    answer(&mut watcher, seconds(1), &[Sighting::Nothing]);
    assert_eq!(watcher.poll_change(), None);
    assert_eq!(watcher.poll_timeout().map(|due| due.at), Some(seconds(11)));
    answer(&mut watcher, seconds(11), &[Sighting::Nothing]);
    assert_eq!(watcher.poll_change(), Some((BOB, said(Sighting::Nothing))));
}

#[test]
fn presence_27_a_contact_with_a_new_request_key_is_not_gone_meanwhile() {
    let mut watcher = Watcher::new(1);
    watcher.set_targets(&[at(BOB, home(7))], seconds(0));
    answer(&mut watcher, seconds(0), &[here()]);
    watcher.poll_change();
    let other = Target {
        id: SubscriptionId([9; 16]),
        ..at(BOB, home(7))
    };
    watcher.set_targets(&[other], seconds(1));
    answer(&mut watcher, seconds(1), &[Sighting::Nothing]);
    assert_eq!(watcher.poll_change(), None);
    watcher.handle_notice(home(7).id, SubscriptionId([9; 16]), here());
    assert_eq!(watcher.poll_change(), None);
}
