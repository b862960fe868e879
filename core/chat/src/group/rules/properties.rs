//! The rules over groups and commits by chance: what no commit that counts ever does.

use proptest::prelude::*;
use proptest::sample::subsequence;
use proptest::strategy::ValueTree as _;
use starling_wire::ids::{DeviceId, EndpointKey};

use super::*;

const CHECK: [u8; 32] = [9; 32];
const GROUP: GroupId = GroupId([7; 32]);

/// Four accounts in the group and one that is not, two devices each; the last digit of a device's name is its number.
fn member(who: u8, device: u8, recoveries: u16) -> Member {
    Member {
        account: AccountId([who; 32]),
        device: DeviceId([who * 16 + device; 32]),
        recoveries,
    }
}

#[derive(Debug, Clone)]
struct Case {
    before: Record,
    members: Vec<Leaf>,
    by: Member,
    added: Vec<Member>,
    removed: Vec<Member>,
    after: Option<Record>,
}

/// A record of a group whose roles are those.
fn record() -> impl Strategy<Value = Record> {
    let roles = prop::collection::vec(0..4_u8, 4);
    (roles, 0..3_u8, prop::option::of(Just(CHECK))).prop_map(|(roles, invite, check)| {
        let owner = AccountId([1; 32]);
        let mut record = Record::group(owner, String::new(), vec![EndpointKey([1; 32])]);
        for (who, role) in (1..).zip(roles) {
            record.set_role(AccountId([who; 32]), Role::ALL[usize::from(role)]);
        }
        record.invite = Role::ALL[usize::from(invite)];
        record.generation.check = check;
        record
    })
}

/// What somebody writes: the record of before, with some of it changed.
fn changed(before: Record) -> impl Strategy<Value = Record> {
    let roles = prop::collection::vec((1..6_u8, 0..4_u8), 0..3);
    let settings = (0..8_u8, 0..3_u8);
    let generation = (0..3_u32, prop::option::of(Just(CHECK)), 0..4_u8);
    (roles, settings, generation).prop_map(move |(roles, settings, generation)| {
        let mut after = before.clone();
        for (who, role) in roles {
            after.set_role(AccountId([who; 32]), Role::ALL[usize::from(role)]);
        }
        match settings {
            (0, _) => after.topic = "other".into(),
            (1, _) => after.history = true,
            (2, invite) => after.invite = Role::ALL[usize::from(invite)],
            (3, _) => after.picture = Some(b"\xff\xd8\xff".to_vec()),
            _ => {}
        }
        let (more, check, holder) = generation;
        after.generation.number += more;
        after.generation.check = check;
        if holder == 3 {
            after.generation.holders = vec![EndpointKey([2; 32])];
        }
        after
    })
}

fn case() -> impl Strategy<Value = Case> {
    let all: Vec<_> = (1..5)
        .flat_map(|who| [member(who, 1, 0), member(who, 2, u16::from(who == 4))])
        .collect();
    let new: Vec<_> = (1..6).map(|who| member(who, 3, 0)).collect();
    let who = (
        subsequence(all, 1..=8),
        subsequence(new, 0..3),
        any::<prop::sample::Index>(),
    );
    (record(), who, any::<u8>(), any::<bool>()).prop_flat_map(
        |(mut before, (there, added, by), tidy, writes)| {
            before.keep_roles(|account| there.iter().any(|one| one.account == account));
            let by = there[by.index(there.len())];
            let others: Vec<_> = there.iter().copied().filter(|one| *one != by).collect();
            let most = others.len().min(2);
            let members: Vec<_> = (0..)
                .zip(there)
                .map(|(index, member)| Leaf { index, member })
                .collect();
            let after = (changed(before.clone()), subsequence(others, 0..=most));
            after.prop_map(move |(after, removed)| {
                let mut case = Case {
                    before: before.clone(),
                    members: members.clone(),
                    by,
                    added: added.clone(),
                    removed,
                    after: (writes || tidy % 4 != 0).then_some(after),
                };
                // Most by chance are wrong in the generation already, and would say nothing of the rest.
                if tidy % 4 != 1 {
                    follow(&mut case);
                }
                case
            })
        },
    )
}

/// Makes the generation follow, and forgets the roles of those who go.
fn follow(case: &mut Case) {
    let there = accounts(&after(case));
    let Some(record) = &mut case.after else {
        return;
    };
    let begins =
        !case.removed.is_empty() || record.generation.holders != case.before.generation.holders;
    record.generation.number = case.before.generation.number + u32::from(begins);
    record.generation.check = (!begins).then_some(CHECK);
    record.keep_roles(|account| there.contains(&account));
}

fn after(case: &Case) -> Vec<Member> {
    let members = case.members.iter().map(|leaf| leaf.member);
    let left = members.filter(|member| !case.removed.contains(member));
    left.chain(case.added.iter().copied()).collect()
}

fn accounts(members: &[Member]) -> BTreeSet<AccountId> {
    members.iter().map(|member| member.account).collect()
}

fn judged(case: &Case) -> Option<Record> {
    let context = case.after.as_ref().map(|record| record.write().unwrap());
    let asked = Asked {
        by: case.by,
        external: false,
        added: &case.added,
        removed: &case.removed,
        context: context.as_deref(),
        aad: &[],
    };
    judge(&case.before, &case.members, CHECK, GROUP, &asked).ok()
}

/// The author's rank, and who is there before.
fn rank(case: &Case) -> Role {
    let there: Vec<_> = case.members.iter().map(|leaf| leaf.member).collect();
    standing(&case.before, &accounts(&there), case.by.account)
}

/// Alone, 4's first device is not known to be revoked.
fn is_revoked_here(case: &Case, member: Member) -> bool {
    let there = case.members.iter().map(|leaf| leaf.member);
    let mut all = there.chain(case.added.iter().copied());
    all.any(|other| other.account == member.account && other.recoveries > member.recoveries)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn mls_25_nobody_gets_more_rights_than_whoever_gave_them(case in case()) {
        if let Some(record) = judged(&case) {
            for account in accounts(&after(&case)) {
                let (was, is) = (case.before.role(account), record.role(account));
                prop_assert!(is >= was || rank(&case) <= is, "{:?}", case);
                let high = was != is && was.min(is).is_at_least(Role::Moderator);
                prop_assert!(!high || rank(&case) == Role::Owner);
            }
            let there = accounts(&after(&case));
            prop_assert!(record.roles().all(|(account, _)| there.contains(&account)));
        }
    }

    #[test]
    fn mls_24_a_member_without_rank_does_nothing_but_what_is_listed(case in case()) {
        let low = !rank(&case).is_at_least(Role::Moderator);
        if let Some(record) = judged(&case).filter(|_| low) {
            let kept = |record: &Record| {
                (record.topic.clone(), record.picture.clone(), record.history, record.invite)
            };
            prop_assert_eq!(kept(&record), kept(&case.before));
            for account in accounts(&after(&case)) {
                prop_assert_eq!(record.role(account), case.before.role(account));
            }
            let own = |member: &&Member| member.account == case.by.account;
            let invites = rank(&case) == Role::Member && case.before.invite == Role::Member;
            prop_assert!(invites || case.added.iter().all(|member| own(&member)));
            let mut others = case.removed.iter().filter(|member| !own(member));
            prop_assert!(others.all(|member| is_revoked_here(&case, *member)));
            let moved = record.generation.holders != case.before.generation.holders;
            prop_assert!(!moved || rank(&case) == Role::Member);
        }
    }

    #[test]
    fn mls_26_generations_follow_and_newcomers_can_compare(case in case()) {
        if let Some(record) = judged(&case) {
            let (was, is) = (&case.before.generation, &record.generation);
            let begins = !case.removed.is_empty() || was.holders != is.holders;
            prop_assert_eq!(is.number, was.number + u32::from(begins));
            if begins {
                prop_assert_eq!(is.check, None);
            } else if !case.added.is_empty() {
                prop_assert_eq!(is.check, Some(CHECK));
            }
        }
    }

    #[test]
    fn mls_23_nobody_takes_out_who_stands_above(case in case()) {
        if judged(&case).is_some() {
            for gone in &case.removed {
                let own = gone.account == case.by.account || is_revoked_here(&case, *gone);
                let above = rank(&case) == Role::Owner || rank(&case) < case.before.role(gone.account);
                prop_assert!(own || above && rank(&case).is_at_least(Role::Moderator));
            }
        }
    }

    #[test]
    fn mls_20_who_was_revoked_comes_to_nothing(case in case()) {
        let nothing = case.added.is_empty() && case.removed.is_empty() && case.after.is_none();
        let there = case.members.iter().map(|leaf| leaf.member);
        let mut newer = there.filter(|other| other.account == case.by.account);
        if newer.any(|other| other.recoveries > case.by.recoveries) {
            prop_assert!(nothing || judged(&case).is_none());
        }
    }
}

/// The cases are no good if hardly any counts.
#[test]
fn enough_of_the_cases_count() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let made = (0..1_000).map(|_| case().new_tree(&mut runner).unwrap().current());
    let counts = made.filter(|case| judged(case).is_some()).count();
    assert!((150..900).contains(&counts), "{counts} of 1000");
}
