//! The rules one by one. Alice owns the group, Bob moderates it, Carol is a member, Dave listens.

use ed25519_dalek::SigningKey;
use starling_wire::ids::{DeviceId, EndpointKey};

use super::*;

const GROUP: GroupId = GroupId([7; 32]);
const CHECK: [u8; 32] = [9; 32];
const ALICE: u8 = 0xa1;
const BOB: u8 = 0xb0;
const CAROL: u8 = 0xc0;
const DAVE: u8 = 0xd0;
const ERIN: u8 = 0xe0;

fn account(who: u8) -> AccountId {
    AccountId([who; 32])
}

fn key(who: u8, device: u8) -> SigningKey {
    let mut seed = [who; 32];
    seed[0] = device;
    SigningKey::from_bytes(&seed)
}

fn member(who: u8, device: u8) -> Member {
    Member {
        account: account(who),
        device: DeviceId(key(who, device).verifying_key().to_bytes()),
        recoveries: 0,
    }
}

fn recovered(who: u8, device: u8) -> Member {
    Member {
        recoveries: 1,
        ..member(who, device)
    }
}

fn leaves(members: &[Member]) -> Vec<Leaf> {
    let leaf = |(index, member): (u32, &Member)| Leaf {
        index,
        member: *member,
    };
    (0..).zip(members).map(leaf).collect()
}

fn holders(numbers: &[u8]) -> Vec<EndpointKey> {
    numbers.iter().map(|n| EndpointKey([*n; 32])).collect()
}

/// A group, and what one of its members asks for.
struct Scene {
    record: Record,
    members: Vec<Member>,
    added: Vec<Member>,
    removed: Vec<Member>,
    after: Option<Record>,
    leaves: Vec<Leave>,
}

impl Scene {
    fn group() -> Self {
        let mut record = Record::group(account(ALICE), "Sailing".into(), holders(&[1, 2]));
        record.set_role(account(BOB), Role::Moderator);
        record.set_role(account(DAVE), Role::Listener);
        Self::of(record, &[ALICE, BOB, CAROL, DAVE])
    }

    fn pair() -> Self {
        let record = Record::pair(account(ALICE), account(BOB), holders(&[1])).unwrap();
        Self::of(record, &[ALICE, BOB])
    }

    fn of(record: Record, who: &[u8]) -> Self {
        Self {
            record,
            members: who.iter().map(|who| member(*who, 0)).collect(),
            added: Vec::new(),
            removed: Vec::new(),
            after: None,
            leaves: Vec::new(),
        }
    }

    fn with(mut self, members: &[Member]) -> Self {
        self.members.extend(members);
        self
    }

    fn set(mut self, change: impl Fn(&mut Record)) -> Self {
        let before = self.record.clone();
        change(self.after.get_or_insert(before));
        self
    }

    /// Takes these in, and lets them look at the check.
    fn add(mut self, members: &[Member]) -> Self {
        self.added.extend(members);
        self.set(|record| record.generation.check = Some(CHECK))
    }

    /// Takes these out, which begins a generation.
    fn remove(mut self, members: &[Member]) -> Self {
        self.removed.extend(members);
        let left: Vec<_> = self
            .members
            .iter()
            .filter(|one| !members.contains(one))
            .collect();
        let left: BTreeSet<_> = left
            .into_iter()
            .chain(&self.added)
            .map(|one| one.account)
            .collect();
        let number = self.record.generation.number + 1;
        self.set(|record| {
            record.generation.number = number;
            record.generation.check = None;
            record.keep_roles(|account| left.contains(&account));
        })
    }

    fn hold(self, numbers: &[u8]) -> Self {
        let number = self.record.generation.number + 1;
        self.set(|record| {
            record.generation.number = number;
            record.generation.holders = holders(numbers);
        })
    }

    fn leave(mut self, who: Member, all_devices: bool, key: &SigningKey) -> Self {
        let now = (GROUP, self.record.generation.number);
        self.leaves.push(Leave::new(now, who, all_devices, key));
        self
    }

    fn by(&self, who: u8) -> Result<Record, Denied> {
        self.by_device(member(who, 0))
    }

    fn by_device(&self, by: Member) -> Result<Record, Denied> {
        let context = self.after.as_ref().map(|record| record.write().unwrap());
        self.ask(
            by,
            false,
            context.as_deref(),
            &Leave::write_list(&self.leaves),
        )
    }

    fn ask(
        &self,
        by: Member,
        external: bool,
        context: Option<&[u8]>,
        aad: &[u8],
    ) -> Result<Record, Denied> {
        let asked = Asked {
            by,
            external,
            added: &self.added,
            removed: &self.removed,
            context,
            aad,
        };
        let judged = judge(&self.record, &leaves(&self.members), CHECK, GROUP, &asked);
        let expected = self.after.as_ref().unwrap_or(&self.record);
        assert!(judged.is_err() || judged.as_ref() == Ok(expected));
        judged
    }

    /// Who of Alice, Bob, Carol and Dave may do it; all others hear that reason.
    fn only(&self, may: &[u8], denied: Denied) {
        for who in [ALICE, BOB, CAROL, DAVE] {
            let expected = may.contains(&who).then_some(()).ok_or(denied);
            assert_eq!(self.by(who).map(drop), expected, "{who:x}");
        }
    }
}

#[test]
fn everybody_may_renew_his_keys() {
    Scene::group().only(&[ALICE, BOB, CAROL, DAVE], Denied::Remove);
    assert!(Scene::pair().by(ALICE).is_ok() && Scene::pair().by(BOB).is_ok());
}

#[test]
fn mls_19_who_comes_back_does_nothing_else() {
    let mut scene = Scene::group();
    let carol = member(CAROL, 0);
    scene.removed = vec![carol];
    let back = |scene: &Scene, context, aad: &[u8]| scene.ask(carol, true, context, aad);
    assert_eq!(back(&scene, None, &[]), Ok(scene.record.clone()));
    let context = scene.record.write().unwrap();
    assert_eq!(back(&scene, Some(&context), &[]), Err(Denied::External));
    assert_eq!(back(&scene, None, &[1]), Err(Denied::External));
    scene.added = vec![member(CAROL, 1)];
    assert_eq!(back(&scene, None, &[]), Err(Denied::External));
    scene.added.clear();
    scene.removed = vec![member(DAVE, 0)];
    assert_eq!(back(&scene, None, &[]), Err(Denied::External));
}

#[test]
fn mls_18_whoever_wants_to_leave_is_taken_out_by_anybody() {
    let (dave, alice) = (member(DAVE, 0), member(ALICE, 0));
    let scene = || Scene::group().with(&[member(DAVE, 1)]);
    let gone = scene().remove(&[dave]).leave(dave, false, &key(DAVE, 0));
    gone.only(&[ALICE, BOB, CAROL, DAVE], Denied::Remove);
    let both = scene().remove(&[dave, member(DAVE, 1)]);
    let whole = both.leave(dave, true, &key(DAVE, 0));
    assert_eq!(
        whole.by(CAROL).map(|record| record.role(account(DAVE))),
        Ok(Role::Member)
    );
    let both = scene().remove(&[dave, member(DAVE, 1)]);
    let one = both.leave(dave, false, &key(DAVE, 0));
    assert_eq!(one.by(CAROL), Err(Denied::Remove), "the other one stays");
    let last = Scene::group()
        .remove(&[alice])
        .leave(alice, true, &key(ALICE, 0));
    let record = last.by(DAVE).unwrap();
    let left = BTreeSet::from([BOB, CAROL, DAVE].map(account));
    assert_eq!(standing(&record, &left, account(BOB)), Role::Owner);
}

#[test]
fn mls_18_a_wish_that_is_forged_old_or_of_another_group_is_none() {
    let dave = member(DAVE, 0);
    let scene = || Scene::group().remove(&[dave]);
    let forged = scene().leave(dave, false, &key(CAROL, 0));
    assert_eq!(forged.by(CAROL), Err(Denied::Leave));
    let mut old = scene().leave(dave, false, &key(DAVE, 0));
    old.record.generation.number += 1;
    old.after.as_mut().unwrap().generation.number += 1;
    assert_eq!(old.by(CAROL), Err(Denied::Leave));
    let mut elsewhere = scene();
    let now = (GroupId([8; 32]), 1);
    elsewhere
        .leaves
        .push(Leave::new(now, dave, false, &key(DAVE, 0)));
    assert_eq!(elsewhere.by(CAROL), Err(Denied::Leave));
    let tablet = member(DAVE, 1);
    let gone = scene().leave(tablet, true, &key(DAVE, 1));
    assert_eq!(gone.by(CAROL), Err(Denied::Leave), "no device of the group");
    let context = Scene::group().record.write().unwrap();
    let junk = Scene::group().ask(member(ALICE, 0), false, Some(&context), &[0]);
    assert_eq!(junk, Err(Denied::Leave));
}

#[test]
fn mls_20_a_device_that_was_revoked_does_nothing_and_is_taken_out_by_anybody() {
    let (old, new) = (member(ALICE, 0), recovered(ALICE, 1));
    let scene = || Scene::group().with(&[new]);
    let topic = scene().set(|record| record.topic = "Rowing".into());
    assert_eq!(topic.by(ALICE), Err(Denied::Revoked));
    assert!(topic.by_device(new).is_ok());
    assert_eq!(scene().remove(&[new]).by(ALICE), Err(Denied::Revoked));
    assert_eq!(
        scene().add(&[recovered(ALICE, 2)]).by(ALICE),
        Err(Denied::Revoked)
    );
    assert!(scene().by(ALICE).is_ok(), "its own keys");
    assert!(scene().remove(&[old]).by(CAROL).is_ok());
    assert_eq!(scene().remove(&[new]).by(CAROL), Err(Denied::Remove));
    let gone = scene().remove(&[new]).leave(old, true, &key(ALICE, 0));
    assert_eq!(gone.by(CAROL), Err(Denied::Leave));
    let own = scene().remove(&[old]).leave(old, false, &key(ALICE, 0));
    assert!(own.by(CAROL).is_ok());
    let again = scene().add(&[member(ALICE, 2)]);
    assert_eq!(again.by_device(new), Err(Denied::Revoked));
    let in_its_place = Scene::group().add(&[new]).remove(&[old]);
    assert!(in_its_place.by(CAROL).is_ok());
    assert!(Scene::group().add(&[new]).by(ALICE).is_ok());
}

#[test]
fn mls_21_only_an_owner_makes_others_wait_for_another_version() {
    let newer = [&[2][..], &[0xff; 40]].concat();
    let scene = Scene::group();
    for (who, denied) in [
        (ALICE, Denied::Newer),
        (BOB, Denied::Settings),
        (CAROL, Denied::Settings),
        (DAVE, Denied::Settings),
    ] {
        let judged = scene.ask(member(who, 0), false, Some(&newer), &[]);
        assert_eq!(judged, Err(denied));
        assert_eq!(denied.is_void(), who != ALICE);
    }
    let later = scene.ask(member(ALICE, 0), false, Some(&newer), b"another form");
    assert_eq!(later, Err(Denied::Newer));
    let pair = Scene::pair().ask(member(BOB, 0), false, Some(&newer), &[]);
    assert_eq!(pair, Err(Denied::Newer));
    let broken = scene.ask(member(ALICE, 0), false, Some(&[1, 9]), &[]);
    assert_eq!(broken, Err(Denied::Record(RecordError::Malformed)));
}

#[test]
fn mls_22_who_takes_in_others_is_what_the_record_says() {
    let invite = |lowest| {
        let mut scene = Scene::group();
        scene.record.invite = lowest;
        scene.add(&[member(ERIN, 0), member(ERIN, 1)])
    };
    invite(Role::Member).only(&[ALICE, BOB, CAROL], Denied::Invite);
    invite(Role::Moderator).only(&[ALICE, BOB], Denied::Invite);
    invite(Role::Owner).only(&[ALICE], Denied::Invite);
    let mut own = Scene::group();
    own.record.invite = Role::Owner;
    let own = own.add(&[member(DAVE, 1)]);
    own.only(&[ALICE, DAVE], Denied::Invite);
    let opens = Scene::group().set(|record| record.invite = Role::Owner);
    let opens = opens.add(&[member(ERIN, 0)]);
    assert_eq!(opens.by(CAROL), Err(Denied::Settings));
}

#[test]
fn mls_22_a_pair_stays_these_two() {
    let pair = Scene::pair().add(&[member(BOB, 1), member(ALICE, 1)]);
    assert!(pair.by(ALICE).is_ok() && pair.by(BOB).is_ok());
    let third = Scene::pair().add(&[member(CAROL, 0)]);
    assert_eq!(third.by(ALICE), Err(Denied::Form));
    let (alice, bob) = (account(ALICE), account(BOB));
    let alone = || Scene::of(Scene::pair().record, &[ALICE]);
    assert_eq!(
        alone().add(&[member(CAROL, 0)]).by(ALICE),
        Err(Denied::Form)
    );
    assert!(alone().add(&[member(BOB, 3)]).by(ALICE).is_ok());
    for form in [Form::Group, Form::Pair([alice, account(CAROL)])] {
        let other = Scene::pair().set(|record| record.form = form);
        assert_eq!(other.by(ALICE), Err(Denied::Form));
    }
    let group = Scene::group().set(|record| {
        let generation = record.generation.clone();
        *record = Record::pair(alice, bob, generation.holders).unwrap();
    });
    assert_eq!(group.by(ALICE), Err(Denied::Form));
    let history = Scene::pair().set(|record| record.history = true);
    assert_eq!(history.by(ALICE), Err(Denied::Settings));
}

#[test]
fn mls_23_who_takes_out_others_stands_above_them() {
    let out = |who| Scene::group().remove(&[member(who, 0)]);
    for (who, may) in [
        (ALICE, &[][..]),
        (BOB, &[ALICE]),
        (CAROL, &[ALICE, BOB]),
        (DAVE, &[ALICE, BOB]),
    ] {
        for by in [ALICE, BOB, CAROL, DAVE]
            .into_iter()
            .filter(|by| *by != who)
        {
            let expected = may.contains(&by).then_some(()).ok_or(Denied::Remove);
            assert_eq!(out(who).by(by).map(drop), expected, "{who:x} by {by:x}");
        }
    }
    let own = Scene::group()
        .with(&[member(DAVE, 1)])
        .remove(&[member(DAVE, 1)]);
    own.only(&[ALICE, BOB, DAVE], Denied::Remove);
    let owners = || {
        let mut scene = Scene::group();
        scene.record.set_role(account(CAROL), Role::Owner);
        scene
    };
    assert!(owners().remove(&[member(ALICE, 0)]).by(CAROL).is_ok());
    assert_eq!(
        owners().remove(&[member(ALICE, 0)]).by(BOB),
        Err(Denied::Remove)
    );
}

#[test]
fn mls_23_of_two_nobody_takes_out_the_others_last_device() {
    let bob = member(BOB, 0);
    assert_eq!(
        Scene::pair().remove(&[bob]).by(ALICE),
        Err(Denied::LastDevice)
    );
    let two = || Scene::pair().with(&[member(BOB, 1)]);
    assert!(two().remove(&[bob]).by(ALICE).is_ok());
    let both = two().remove(&[bob, member(BOB, 1)]);
    assert_eq!(both.by(ALICE), Err(Denied::LastDevice));
    let one_wants = two()
        .remove(&[bob, member(BOB, 1)])
        .leave(bob, false, &key(BOB, 0));
    assert_eq!(one_wants.by(ALICE), Err(Denied::LastDevice));
    let wants = two()
        .remove(&[bob, member(BOB, 1)])
        .leave(bob, true, &key(BOB, 0));
    assert!(wants.by(ALICE).is_ok());
    let another = Scene::pair().add(&[member(BOB, 2)]).remove(&[bob]);
    assert!(another.by(ALICE).is_ok());
}

#[test]
fn mls_24_settings_are_for_owners_what_is_seen_for_moderators_holders_for_who_writes() {
    let set = |change: fn(&mut Record)| Scene::group().set(change);
    let picture = Some(b"\xff\xd8\xff".to_vec());
    set(|record| record.topic = "Rowing".into()).only(&[ALICE, BOB], Denied::Settings);
    let shown = Scene::group().set(|record| record.picture.clone_from(&picture));
    shown.only(&[ALICE, BOB], Denied::Settings);
    set(|record| record.history = true).only(&[ALICE], Denied::Settings);
    set(|record| record.invite = Role::Moderator).only(&[ALICE], Denied::Settings);
    let moved = Scene::group().hold(&[2, 3]);
    moved.only(&[ALICE, BOB, CAROL], Denied::Holders);
    assert!(Scene::pair().hold(&[]).by(BOB).is_ok());
}

#[test]
fn mls_25_owners_give_every_role_and_moderators_say_who_listens() {
    let give = |who, role| Scene::group().set(|record| record.set_role(account(who), role));
    for role in [Role::Owner, Role::Moderator] {
        give(CAROL, role).only(&[ALICE], Denied::Role);
    }
    give(CAROL, Role::Listener).only(&[ALICE, BOB], Denied::Role);
    give(DAVE, Role::Member).only(&[ALICE, BOB], Denied::Role);
    for role in [Role::Member, Role::Listener, Role::Owner] {
        give(BOB, role).only(&[ALICE], Denied::Role);
    }
    give(ALICE, Role::Member).only(&[ALICE], Denied::Role);
    let nobody = give(ERIN, Role::Listener);
    nobody.only(&[], Denied::NotThere);
}

#[test]
fn mls_25_nobody_comes_in_with_a_role_by_accident_or_keeps_one_who_is_gone() {
    let with_role = |role| {
        let scene = Scene::group().add(&[member(ERIN, 0)]);
        scene.set(|record| record.set_role(account(ERIN), role))
    };
    assert!(with_role(Role::Owner).by(ALICE).is_ok());
    for who in [BOB, CAROL] {
        assert_eq!(with_role(Role::Owner).by(who), Err(Denied::Role));
    }
    assert_eq!(with_role(Role::Listener).by(CAROL), Err(Denied::Role));
    with_role(Role::Listener).by(BOB).unwrap();
    let mut waiting = Scene::group();
    waiting.record.set_role(account(ERIN), Role::Owner);
    waiting.record.generation.check = Some(CHECK);
    waiting.added = vec![member(ERIN, 0)];
    assert_eq!(
        waiting.by(CAROL),
        Err(Denied::Role),
        "written before it was there"
    );
    assert!(waiting.by(ALICE).is_ok());
    let mut gone = Scene::group().remove(&[member(DAVE, 0)]);
    let after = gone.after.as_mut().unwrap();
    after.set_role(account(DAVE), Role::Listener);
    assert_eq!(gone.by(ALICE), Err(Denied::NotThere));
}

#[test]
fn mls_26_a_generation_begins_with_a_removal_or_other_holders_and_nowhere_else() {
    let out = |change: fn(&mut Record)| {
        let scene = Scene::group().remove(&[member(DAVE, 0)]);
        scene.set(change).by(ALICE).map(drop)
    };
    assert_eq!(out(|_| {}), Ok(()));
    for change in [
        (|record| record.generation.number = 1) as fn(&mut Record),
        |record| record.generation.number = 3,
        |record| record.generation.check = Some(CHECK),
    ] {
        assert_eq!(out(change), Err(Denied::Generation));
    }
    let mut silent = Scene::group();
    silent.removed = vec![member(DAVE, 0)];
    assert_eq!(silent.by(ALICE), Err(Denied::Generation));
    let more = Scene::group().set(|record| record.generation.number = 2);
    more.only(&[], Denied::Generation);
    let same = Scene::group().set(|record| record.generation.holders.reverse());
    assert_eq!(same.by(ALICE), Err(Denied::Generation), "order counts");
    let mut last = Scene::group();
    last.record.generation.number = u32::MAX;
    let mut after = last.record.clone();
    after.generation.holders.clear();
    after.generation.number = 0;
    last.after = Some(after);
    assert_eq!(last.by(ALICE), Err(Denied::Generation));
}

#[test]
fn mls_26_whoever_is_taken_in_within_a_generation_can_compare_its_check() {
    let mut blind = Scene::group();
    blind.added = vec![member(ERIN, 0)];
    assert_eq!(blind.by(ALICE), Err(Denied::Generation));
    let wrong = Scene::group().add(&[member(ERIN, 0)]);
    let wrong = wrong.set(|record| record.generation.check = Some([1; 32]));
    assert_eq!(wrong.by(ALICE), Err(Denied::Generation));
    blind.record.generation.check = Some(CHECK);
    assert!(blind.by(ALICE).is_ok(), "it stands there already");
    let drops = |check| {
        let mut scene = Scene::group();
        scene.record.generation.check = Some(CHECK);
        scene
            .set(|record| record.generation.check = check)
            .by(ALICE)
    };
    assert_eq!(drops(None), Err(Denied::Generation));
    assert_eq!(drops(Some([1; 32])), Err(Denied::Generation));
    let begins = Scene::group().add(&[member(ERIN, 0)]).hold(&[3]);
    let begins = begins.set(|record| record.generation.check = None);
    assert!(begins.by(CAROL).is_ok());
}

#[test]
fn mls_27_a_pair_that_one_is_taken_into_is_of_these_two() {
    let (pair, group) = (Scene::pair().record, Scene::group().record);
    let there = |who: &[u8]| leaves(&Scene::of(pair.clone(), who).members);
    assert!(fits(&pair, &there(&[ALICE, BOB])) && fits(&pair, &there(&[BOB])));
    assert!(!fits(&pair, &there(&[ALICE, BOB, CAROL])));
    assert!(fits(&group, &there(&[ALICE, BOB, DAVE, ERIN])));
    assert!(!fits(&group, &there(&[BOB, CAROL, DAVE])));
}

#[test]
fn without_owners_the_highest_role_counts_as_one() {
    let record = Scene::group().record;
    let counts = |there: &[u8], who| {
        let there = there.iter().map(|who| account(*who)).collect();
        standing(&record, &there, account(who))
    };
    let all = [ALICE, BOB, CAROL, DAVE];
    let roles = [Role::Owner, Role::Moderator, Role::Member, Role::Listener];
    assert_eq!(all.map(|who| counts(&all, who)), roles);
    assert_eq!(counts(&[BOB, CAROL], BOB), Role::Owner);
    assert_eq!(counts(&[BOB, CAROL], CAROL), Role::Member);
    assert_eq!(counts(&[CAROL, DAVE, ERIN], CAROL), Role::Owner);
    assert_eq!(counts(&[CAROL, DAVE, ERIN], DAVE), Role::Listener);
    assert_eq!(counts(&[DAVE], DAVE), Role::Owner);
    let there = BTreeSet::from([account(BOB)]);
    assert_eq!(
        standing(&Scene::pair().record, &there, account(BOB)),
        Role::Member
    );
}

#[test]
fn who_writes_and_who_deletes_what_others_wrote() {
    let there = BTreeSet::from([ALICE, BOB, CAROL, DAVE].map(account));
    let record = Scene::group().record;
    let may = [ALICE, BOB, CAROL, DAVE, ERIN].map(|who| may_write(&record, &there, account(who)));
    assert_eq!(may, [true, true, true, false, false]);
    let pair = Scene::pair().record;
    assert!(may_write(&pair, &there, account(BOB)));
    let roles = Role::ALL;
    let below = |by| roles.map(|of| may_delete(by, of));
    assert_eq!(below(Role::Owner), [false, true, true, true]);
    assert_eq!(below(Role::Moderator), [false, false, true, true]);
    assert_eq!(below(Role::Member), [false; 4]);
    assert_eq!(below(Role::Listener), [false; 4]);
}
