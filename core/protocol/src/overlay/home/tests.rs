//! One device and the supernodes it could be at home with.

use super::*;

fn supernode(id: u8) -> SupernodeAddr {
    SupernodeAddr {
        id: EndpointKey([id; 32]),
        tcp: "127.0.0.1:1".parse().expect("an address"),
        discovery_port: 0,
    }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn up(candidates: Vec<SupernodeAddr>) -> Home {
    let mut home = Home::new(candidates, ms(0));
    assert!(matches!(home.poll_action(), Some(HomeAction::Dial(_))));
    home.handle_connected(ms(0));
    assert!(matches!(home.poll_action(), Some(HomeAction::Register(_))));
    assert!(matches!(home.poll_action(), Some(HomeAction::Collect(_))));
    home.handle_linked();
    home
}

fn seek(ids: &[u8]) -> HomeAction {
    HomeAction::Seek(ids.iter().copied().map(supernode).collect())
}

fn drain(home: &mut Home) -> Vec<HomeAction> {
    std::iter::from_fn(|| home.poll_action()).collect()
}

#[test]
fn home_13_of_many_that_are_silent_the_one_that_answers_is_dialled() {
    let mut home = Home::new((1..=200).map(supernode).collect(), ms(0));
    assert_eq!(drain(&mut home), [HomeAction::Dial(supernode(1))]);
    home.handle_found(supernode(150).id, ms(500));
    assert_eq!(drain(&mut home), [HomeAction::Dial(supernode(150))]);
    home.handle_found(supernode(150).id, ms(500));
    assert_eq!(drain(&mut home), [], "it is being dialled");
    home.handle_connected(ms(600));
    home.handle_found(supernode(3).id, ms(700));
    assert_eq!(home.current(), Some(&supernode(150)));
}

#[test]
fn home_01_a_dead_process_is_replaced_at_once_and_an_only_one_redialled_within_a_second() {
    let mut home = up(vec![supernode(1), supernode(2)]);
    home.handle_disconnected(ms(10));
    assert_eq!(home.poll_action(), Some(HomeAction::Dial(supernode(2))));
    let mut home = up(vec![supernode(1)]);
    home.handle_disconnected(ms(10));
    assert_eq!(home.poll_action(), None);
    assert_eq!(home.poll_timeout(), Some((ms(210), HomeReason::Retry)));
    home.handle_timeout(ms(210));
    assert_eq!(home.poll_action(), Some(HomeAction::Dial(supernode(1))));
}

#[test]
fn home_15_in_another_network_the_same_relay_is_dialled_afresh_whatever_was_going_on() {
    let mut home = up(vec![supernode(1), supernode(2)]);
    home.set_in_call(true, ms(5));
    home.handle_network_change(ms(10));
    assert_eq!(drain(&mut home), [HomeAction::Dial(supernode(1))]);
    // The old link's end, whenever it is noticed, sends nobody elsewhere.
    home.handle_disconnected(ms(20));
    assert_eq!(drain(&mut home), []);
    assert_eq!(home.current(), Some(&supernode(1)));
    // It does not answer from there: the next one.
    home.handle_timeout(ms(1_010));
    assert_eq!(
        drain(&mut home).first(),
        Some(&HomeAction::Dial(supernode(2)))
    );
    let mut waiting = Home::new(vec![supernode(1)], ms(0));
    waiting.handle_timeout(ms(4_000));
    drain(&mut waiting);
    waiting.handle_network_change(ms(4_010));
    assert_eq!(drain(&mut waiting), [HomeAction::Dial(supernode(1))]);
    let mut nowhere = Home::new(vec![], ms(0));
    nowhere.handle_network_change(ms(10));
    assert_eq!(drain(&mut nowhere), []);
}

#[test]
fn home_02_a_relay_that_does_not_come_up_is_left() {
    let mut home = Home::new(vec![supernode(1), supernode(2)], ms(0));
    home.poll_action();
    home.handle_timeout(ms(3_999));
    assert_eq!(home.poll_action(), None);
    home.handle_timeout(ms(4_000));
    assert_eq!(home.poll_action(), Some(HomeAction::Dial(supernode(2))));
}

#[test]
fn home_11_a_full_supernode_is_left_at_once() {
    let mut home = Home::new(vec![supernode(1), supernode(2)], ms(0));
    home.poll_action();
    home.handle_refused(ms(50));
    assert_eq!(home.poll_action(), Some(HomeAction::Dial(supernode(2))));
    home.handle_connected(ms(60));
    home.poll_action();
    home.handle_refused(ms(70));
    assert!(home.is_up(), "who is up was not refused");
}

#[test]
fn home_12_a_relay_under_suspicion_is_replaced_within_a_second_unless_it_answers() {
    let mut home = up(vec![supernode(1), supernode(2), supernode(3)]);
    home.handle_suspicion(ms(50));
    assert_eq!(home.poll_action(), None, "no call");
    home.set_in_call(true, ms(100));
    home.handle_suspicion(ms(600));
    assert_eq!(drain(&mut home), [HomeAction::Probe, seek(&[2, 3])]);
    home.handle_suspicion(ms(650));
    assert_eq!(drain(&mut home), [], "once");
    home.handle_heard(ms(700));
    home.handle_timeout(ms(1_600));
    assert!(home.is_up(), "it answered");
    drain(&mut home);
    home.handle_suspicion(ms(1_650));
    drain(&mut home);
    home.handle_timeout(ms(2_650));
    assert_eq!(drain(&mut home), [HomeAction::Dial(supernode(2))]);
    // One that does not come up is not waited for long either.
    home.handle_timeout(ms(3_650));
    let next = [HomeAction::Dial(supernode(3)), seek(&[1, 2, 3])];
    assert_eq!(drain(&mut home), next);
}

/// In a call, under suspicion since the first second.
fn suspicious() -> Home {
    let mut home = up((1..=9).map(supernode).collect());
    home.set_in_call(true, ms(0));
    home.handle_suspicion(ms(1_000));
    let others = seek(&[2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(drain(&mut home), [HomeAction::Probe, others]);
    home
}

#[test]
fn home_17_a_home_under_suspicion_is_left_for_one_that_answered_in_the_meantime() {
    let mut home = suspicious();
    home.handle_found(supernode(7).id, ms(1_200));
    home.handle_found(supernode(8).id, ms(1_250));
    home.handle_timeout(ms(1_599));
    assert_eq!(drain(&mut home), [], "it has a little time");
    assert_eq!(home.poll_timeout(), Some((ms(1_600), HomeReason::Silence)));
    home.handle_timeout(ms(1_600));
    assert_eq!(drain(&mut home), [HomeAction::Dial(supernode(7))]);
    let mut home = suspicious();
    home.handle_found(supernode(7).id, ms(1_700));
    home.handle_timeout(ms(1_700));
    assert_eq!(drain(&mut home), [HomeAction::Dial(supernode(7))]);
}

#[test]
fn home_17_on_a_slow_line_nobody_answers_sooner_and_the_home_has_its_second() {
    let mut home = suspicious();
    home.handle_found(supernode(1).id, ms(1_100));
    home.handle_timeout(ms(1_999));
    assert_eq!(drain(&mut home), [], "nobody else was found");
    home.handle_heard(ms(1_999));
    home.handle_found(supernode(7).id, ms(2_000));
    home.handle_timeout(ms(2_100));
    assert!(home.is_up(), "it answered");
    drain(&mut home);
    home.handle_suspicion(ms(3_000));
    assert_eq!(drain(&mut home).len(), 2, "a new suspicion");
}

#[test]
fn home_18_a_full_one_that_answers_first_is_not_gone_back_to() {
    let mut home = suspicious();
    home.handle_found(supernode(2).id, ms(1_050));
    home.handle_timeout(ms(1_600));
    assert_eq!(drain(&mut home), [HomeAction::Dial(supernode(2))]);
    home.handle_refused(ms(1_700));
    let next = [
        HomeAction::Dial(supernode(3)),
        seek(&[1, 3, 4, 5, 6, 7, 8, 9]),
    ];
    assert_eq!(drain(&mut home), next);
    home.handle_found(supernode(2).id, ms(1_750));
    assert_eq!(drain(&mut home), [seek(&[1, 3, 4, 5, 6, 7, 8, 9])]);
    home.handle_found(supernode(5).id, ms(1_800));
    assert_eq!(drain(&mut home), [HomeAction::Dial(supernode(5))]);
    home.handle_connected(ms(1_900));
    home.handle_disconnected(ms(5_000));
    home.handle_found(supernode(2).id, ms(5_100));
    let dialled = HomeAction::Dial(supernode(2));
    assert!(drain(&mut home).contains(&dialled), "it may have room now");
}

#[test]
fn home_19_a_search_that_found_nobody_of_use_goes_on() {
    let mut home = suspicious();
    home.handle_timeout(ms(2_000));
    assert_eq!(drain(&mut home), [HomeAction::Dial(supernode(2))]);
    home.handle_refused(ms(2_050));
    home.handle_refused(ms(2_100));
    let sought = seek(&[1, 4, 5, 6, 7, 8, 9]);
    assert_eq!(drain(&mut home).last(), Some(&sought));
    // The search that the first refusal began: it was under way when the second one came.
    home.handle_found(supernode(3).id, ms(2_150));
    assert_eq!(
        drain(&mut home),
        std::slice::from_ref(&sought),
        "full by now"
    );
    home.handle_found(supernode(100).id, ms(2_200));
    assert_eq!(drain(&mut home), [sought], "no candidate any more");
    home.handle_found(supernode(4).id, ms(2_250));
    assert_eq!(drain(&mut home), [], "it is being dialled");
    home.set_in_call(false, ms(2_300));
    home.handle_found(supernode(3).id, ms(2_350));
    assert_eq!(drain(&mut home), [], "nobody waits");
}

#[test]
fn home_03_silence_in_a_call_is_noticed_within_three_seconds() {
    let mut home = up(vec![supernode(1), supernode(2)]);
    assert_eq!(
        home.poll_timeout(),
        Some((COLLECT_EVERY, HomeReason::Collect)),
        "idle: iroh's own ping is enough"
    );
    home.set_in_call(true, ms(100));
    home.handle_timeout(ms(100));
    assert_eq!(home.poll_action(), Some(HomeAction::Probe));
    home.handle_heard(ms(150));
    assert_eq!(home.poll_timeout(), Some((ms(1_150), HomeReason::Probe)));
    home.handle_timeout(ms(1_150));
    assert_eq!(home.poll_action(), Some(HomeAction::Probe));
    assert_eq!(home.poll_timeout(), Some((ms(3_150), HomeReason::Silence)));
    home.handle_timeout(ms(3_149));
    assert_eq!(home.poll_action(), None);
    home.handle_timeout(ms(3_150));
    assert_eq!(home.poll_action(), Some(HomeAction::Dial(supernode(2))));
    // The next one is watched from the moment it is up.
    home.handle_connected(ms(3_200));
    home.handle_linked();
    home.poll_action();
    assert_eq!(home.poll_timeout(), Some((ms(4_200), HomeReason::Probe)));
}

#[test]
fn home_03_a_second_call_does_not_put_the_end_of_patience_off_and_the_last_ones_end_stops_the_watch()
 {
    let mut home = up(vec![supernode(1), supernode(2)]);
    home.set_in_call(true, ms(0));
    home.handle_timeout(ms(0));
    home.poll_action();
    home.set_in_call(true, ms(2_900));
    assert_eq!(home.poll_timeout(), Some((ms(3_000), HomeReason::Silence)));
    home.set_in_call(false, ms(2_950));
    assert_eq!(
        home.poll_timeout(),
        Some((COLLECT_EVERY, HomeReason::Collect))
    );
}

#[test]
fn home_05_outside_calls_the_end_of_the_link_is_awaited_and_then_acted_on_at_once() {
    let mut home = up(vec![supernode(1), supernode(2)]);
    assert_eq!(
        home.poll_timeout(),
        Some((COLLECT_EVERY, HomeReason::Collect)),
        "no probe is sent at rest"
    );
    // iroh gives a silent link up 20 s after the last ping at the latest.
    home.handle_disconnected(Duration::from_secs(20));
    assert_eq!(home.poll_action(), Some(HomeAction::Dial(supernode(2))));
}

#[test]
fn home_04_a_dead_network_is_tried_ever_more_slowly_and_never_given_up() {
    let mut home = up(vec![supernode(1), supernode(2)]);
    home.handle_disconnected(ms(0));
    let mut dials = 0;
    let mut now = ms(0);
    let mut longest = ms(0);
    while now < Duration::from_secs(600) {
        while let Some(action) = home.poll_action() {
            dials += u32::from(matches!(action, HomeAction::Dial(_)));
        }
        let (at, _) = home.poll_timeout().expect("it never gives up");
        longest = longest.max(at - now);
        now = at;
        home.handle_timeout(now);
    }
    assert_eq!(longest, RETRY_MAX);
    assert!((15..60).contains(&dials), "{dials}");
}

#[test]
fn home_06_a_supernode_that_registers_us_and_gives_no_lasting_link_is_left() {
    let mut home = Home::new(vec![supernode(1), supernode(2)], ms(0));
    home.poll_action();
    home.handle_connected(ms(100));
    drain(&mut home);
    assert_eq!(home.poll_timeout(), Some((ms(10_100), HomeReason::NoLink)));
    home.handle_timeout(ms(10_100));
    assert_eq!(home.poll_action(), Some(HomeAction::Dial(supernode(2))));
}

#[test]
fn home_07_a_registration_is_renewed_every_day_and_sooner_when_that_failed() {
    let mut home = up(vec![supernode(1), supernode(2)]);
    let renewals = |home: &mut Home, from: Duration, to: Duration| {
        let mut times = Vec::new();
        home.handle_timeout(from);
        while let Some((at, _)) = home.poll_timeout().filter(|(at, _)| *at <= to) {
            home.handle_timeout(at);
            let renews = |action| action == HomeAction::Renew(supernode(1));
            times.extend(drain(home).into_iter().any(renews).then_some(at));
        }
        times
    };
    let retry = RENEW_EVERY + RENEW_RETRY;
    assert_eq!(renewals(&mut home, ms(0), retry), [RENEW_EVERY, retry]);
    home.handle_connected(retry + ms(50));
    let also = [HomeAction::Collect(supernode(1))];
    assert_eq!(drain(&mut home), also, "it was at home all the time");
    let next = 2 * RENEW_EVERY + RENEW_RETRY + ms(50);
    assert_eq!(renewals(&mut home, retry + ms(50), next), [next]);
}

#[test]
fn home_09_letters_are_asked_for_although_the_word_of_them_was_lost() {
    let collect = [HomeAction::Collect(supernode(1))];
    let mut home = up(vec![supernode(1), supernode(2)]);
    home.handle_letters(ms(10));
    assert_eq!(drain(&mut home), collect, "the word came");
    let due = COLLECT_EVERY + ms(10);
    assert_eq!(home.poll_timeout(), Some((due, HomeReason::Collect)));
    home.handle_timeout(due - ms(1));
    assert_eq!(drain(&mut home), []);
    home.handle_timeout(due);
    assert_eq!(drain(&mut home), collect);
    home.handle_collected(false, due + ms(5));
    let again = due + ms(5) + COLLECT_RETRY;
    assert_eq!(home.poll_timeout(), Some((again, HomeReason::Collect)));
    home.handle_timeout(again);
    assert_eq!(drain(&mut home), collect);
    home.handle_collected(true, again);
    home.handle_visit(supernode(1).id, again + COLLECT_BESIDE - ms(1));
    home.handle_visit(supernode(2).id, again + COLLECT_BESIDE);
    assert_eq!(drain(&mut home), [], "a moment ago, or elsewhere");
    home.handle_visit(supernode(1).id, again + COLLECT_BESIDE);
    assert_eq!(drain(&mut home), collect);
    home.handle_disconnected(again + COLLECT_BESIDE);
    home.handle_letters(again + COLLECT_BESIDE);
    assert_eq!(drain(&mut home), [HomeAction::Dial(supernode(2))]);
}

#[test]
fn no_candidate_is_no_busy_loop() {
    let mut home = Home::new(vec![], ms(0));
    assert_eq!((home.poll_action(), home.poll_timeout()), (None, None));
    home.set_candidates(vec![supernode(1)], ms(5));
    assert_eq!(home.poll_action(), Some(HomeAction::Dial(supernode(1))));
}
