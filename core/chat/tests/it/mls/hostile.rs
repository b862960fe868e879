//! Members, strangers and bytes that mean no good.

use openmls::group::{
    MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY, MIXED_PLAINTEXT_WIRE_FORMAT_POLICY, WireFormatPolicy,
};
use openmls::prelude::{
    CredentialType, Extension, Extensions, LeafNodeParameters, NewSignerBundle, UnknownExtension,
};
use openmls_traits::OpenMlsProvider as _;
use starling_chat::mls::{
    CONTEXT_MAX, Change, IdentityError, JoinError, KeyPackageError, MESSAGE_MAX, Mine, OpenError,
    StateError, Suite, Void,
};
use starling_wire::credential::CredentialError;
use starling_wire::ids::GroupId;

use super::cast::{Device, GROUP, group_of, identity, now_s, two};
use super::mallory::{CONTEXT_EXTENSION, Mallory, basic, context, lifetime, made};

const DAY: i64 = 24 * 3600;

/// Alice and Bob, and Mallory, who is a member with a program of her own.
fn with_mallory(policy: WireFormatPolicy) -> (Device, Device, Mallory) {
    let (mut alice, mut bob) = two();
    let mut mallory = Mallory::new(6, 1);
    let package = mallory.package_bytes(made(DAY));
    let package = alice.client.read_key_package(&package, now_s()).unwrap();
    let change = Change {
        add: vec![package],
        ..Change::default()
    };
    let outgoing = alice.commit(&change);
    bob.follow(&outgoing.commit);
    mallory.join(&outgoing.welcome.unwrap(), policy);
    (alice, bob, mallory)
}

/// Both refuse it for the same reason, and go on.
fn void(alice: &mut Device, bob: &mut Device, bytes: &[u8], why: Void) {
    for device in [&mut *alice, &mut *bob] {
        let before = device.group().tag().unwrap();
        let opened = device.group().open(bytes).unwrap_err();
        assert_eq!(opened, OpenError::Void(why));
        assert_eq!(device.group().tag().unwrap(), before);
    }
    let sealed = alice.seal("on");
    assert_eq!(bob.read(&sealed), "on");
}

#[test]
fn mls_05_a_key_package_with_a_name_that_is_not_its_own_adds_nobody() {
    let mut alice = Device::new(1, 1);
    let mut mallory = Mallory::new(6, 1);
    let good = made(DAY);
    let mut read = |mallory: &Mallory| {
        let bytes = mallory.package_bytes(good);
        alice.client.read_key_package(&bytes, now_s()).map(|_| ())
    };
    assert_eq!(read(&mallory), Ok(()));
    let refused = |why| Err(KeyPackageError::Identity(why));
    mallory.credential = basic(identity(2, 1).1.to_bytes());
    assert_eq!(read(&mallory), refused(IdentityError::OtherDevice));
    mallory.credential = basic(b"Bob".to_vec());
    let malformed = IdentityError::Credential(CredentialError::Malformed);
    assert_eq!(read(&mallory), refused(malformed));
    let bytes = identity(6, 1).1.to_bytes();
    mallory.credential = openmls::prelude::Credential::new(CredentialType::Other(9), bytes);
    assert_eq!(read(&mallory), refused(IdentityError::Kind));
}

#[test]
fn mls_05_a_member_cannot_bring_in_somebody_under_a_false_name() {
    let (mut alice, mut bob, mut mallory) = with_mallory(MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY);
    let mut other = Mallory::new(6, 2);
    other.credential = basic(identity(4, 1).1.to_bytes());
    let package = other.package(made(DAY));
    let commit = mallory.commit(|builder| builder.propose_adds([package]).force_self_update(true));
    void(&mut alice, &mut bob, &commit, Void::Identity);
}

#[test]
fn mls_05_nobody_joins_a_group_with_a_false_name_in_it() {
    let mut bob = Device::new(2, 1);
    let mut mallory = Mallory::new(6, 1);
    mallory.credential = basic(identity(1, 1).1.to_bytes());
    mallory.create(&[9; 32], context(b"record".to_vec(), None));
    let package = package_of(&mut bob);
    let welcome = mallory.welcome(package);
    let refused = JoinError::Identity(IdentityError::OtherDevice);
    assert_eq!(bob.client.join(&welcome, None), Err(refused));
    assert!(bob.client.groups().is_empty());
}

/// A package of a device of ours, as openmls has it.
fn package_of(device: &mut Device) -> openmls::prelude::KeyPackage {
    use openmls::prelude::tls_codec::DeserializeBytes as _;
    let made = device
        .client
        .make_key_packages(Suite::Classic, 1, now_s())
        .unwrap();
    let message = openmls::prelude::MlsMessageIn::tls_deserialize_exact_bytes(&made[0]).unwrap();
    let openmls::prelude::MlsMessageBodyIn::KeyPackage(package) = message.extract() else {
        panic!("no key package");
    };
    let crypto = openmls_rust_crypto::RustCrypto::default();
    package
        .validate(&crypto, openmls::prelude::ProtocolVersion::Mls10)
        .unwrap()
}

#[test]
fn mls_06_a_package_that_is_dated_wrongly_adds_nobody() {
    let mut alice = Device::new(1, 1);
    let mallory = Mallory::new(6, 1);
    let mut read = |lifetime| {
        let bytes = mallory.package_bytes(lifetime);
        alice.client.read_key_package(&bytes, now_s()).map(|_| ())
    };
    assert_eq!(read(made(41 * DAY)), Ok(()));
    assert_eq!(read(made(-6 * DAY)), Ok(()));
    assert_eq!(read(made(43 * DAY)), Err(KeyPackageError::Expires));
    assert_eq!(read(made(-8 * DAY)), Err(KeyPackageError::Dated));
    for (from, to) in [(-DAY, 70 * DAY), (-DAY, -60), (60, 70 * DAY)] {
        assert_eq!(read(lifetime(from, to)), Err(KeyPackageError::Dated));
    }
}

#[test]
fn mls_06_a_commit_that_adds_by_a_package_that_ends_is_void_before_and_after() {
    let (mut alice, mut bob, mut mallory) = with_mallory(MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY);
    let until = now_s() + 3;
    let package = Mallory::new(8, 1).package(lifetime(-DAY, 3));
    let commit = mallory.commit(|builder| builder.propose_adds([package]).force_self_update(true));
    let opened = alice.group().open(&commit).unwrap_err();
    assert_eq!(opened, OpenError::Void(Void::Commit));
    while now_s() <= until {
        std::thread::yield_now();
    }
    void(&mut alice, &mut bob, &commit, Void::Commit);
}

#[test]
fn mls_07_another_record_than_ours_ends_no_epoch() {
    let (mut alice, mut bob, mut mallory) = with_mallory(MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY);
    let large = context(vec![0; CONTEXT_MAX + 1], None);
    let two = Extension::Unknown(CONTEXT_EXTENSION + 1, UnknownExtension(Vec::new()));
    for (extensions, why) in [
        (large, Void::Context),
        (Extensions::empty(), Void::Context),
        // openmls already finds that nobody understands it.
        (context(Vec::new(), Some(two)), Void::Commit),
    ] {
        let Some(commit) = try_context(&mut mallory, extensions) else {
            continue;
        };
        void(&mut alice, &mut bob, &commit, why);
    }
}

fn try_context(
    mallory: &mut Mallory,
    extensions: Extensions<openmls::prelude::GroupContext>,
) -> Option<Vec<u8>> {
    let Mallory {
        provider,
        key,
        group,
        ..
    } = mallory;
    let group = group.as_mut().unwrap();
    let built = group
        .commit_builder()
        .propose_group_context_extensions(extensions)
        .unwrap()
        .load_psks(provider.storage())
        .unwrap()
        .build(provider.rand(), provider.crypto(), key, |_| true);
    let bundle = built.ok()?.stage_commit(provider).unwrap();
    group.clear_pending_commit(provider.storage()).unwrap();
    Some(bundle.commit().to_bytes().unwrap())
}

#[test]
fn mls_07_a_group_that_is_not_ours_is_not_joined() {
    let join = |id: &[u8], extensions| {
        let mut bob = Device::new(2, 1);
        let mut mallory = Mallory::new(6, 1);
        mallory.create(id, extensions);
        let package = package_of(&mut bob);
        bob.client.join(&mallory.welcome(package), None).map(|_| ())
    };
    let ours = || context(b"record".to_vec(), None);
    assert_eq!(join(&[9; 32], ours()), Ok(()));
    assert_eq!(join(&[9; 32], Extensions::empty()), Err(JoinError::Foreign));
    assert_eq!(join(&[9; 31], ours()), Err(JoinError::Foreign));
    let large = context(vec![0; CONTEXT_MAX + 1], None);
    assert_eq!(join(&[9; 32], large), Err(JoinError::Foreign));
}

#[test]
fn mls_08_bytes_that_are_no_message_of_this_group_are_void() {
    let (mut alice, mut bob) = two();
    void(&mut alice, &mut bob, &[], Void::Malformed);
    let giant = vec![0; 10 * 1024 * 1024];
    void(&mut alice, &mut bob, &giant, Void::Malformed);
    let sealed = alice.seal("x");
    let mut long = sealed.clone();
    long.resize(MESSAGE_MAX + 1, 0);
    void(&mut alice, &mut bob, &long, Void::Malformed);
    void(
        &mut alice,
        &mut bob,
        &[&sealed[..], &[0]].concat(),
        Void::Malformed,
    );
    // A length of 2^30 - 1 in front of nothing.
    let claim = [0, 1, 0, 2, 0xbf, 0xff, 0xff, 0xff];
    void(&mut alice, &mut bob, &claim, Void::Malformed);
    let other = GroupId([8; 32]);
    let mut elsewhere = alice
        .client
        .create(other, Suite::Classic, b"", now_s())
        .unwrap();
    let sealed = elsewhere.seal(b"x", b"").unwrap();
    let commit = elsewhere.stage(&Change::default(), b"").unwrap().commit;
    void(&mut alice, &mut bob, &sealed, Void::OtherGroup);
    void(&mut alice, &mut bob, &commit, Void::OtherGroup);
    let package = alice
        .client
        .make_last_resort(Suite::Classic, now_s())
        .unwrap();
    void(&mut alice, &mut bob, &package, Void::Malformed);
    let info = alice.group().group_info(true).unwrap();
    void(&mut alice, &mut bob, &info, Void::Malformed);
}

#[test]
fn mls_08_members_say_nothing_in_the_clear() {
    let (mut alice, mut bob, mut mallory) = with_mallory(MIXED_PLAINTEXT_WIRE_FORMAT_POLICY);
    let commit = mallory.commit(|builder| builder.force_self_update(true));
    void(&mut alice, &mut bob, &commit, Void::Clear);
}

#[test]
fn mls_08_a_proposal_by_itself_is_void() {
    let (mut alice, mut bob, mut mallory) = with_mallory(MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY);
    let Mallory {
        provider,
        key,
        group,
        ..
    } = &mut mallory;
    let leave = group.as_mut().unwrap().leave_group(provider, key).unwrap();
    void(
        &mut alice,
        &mut bob,
        &leave.to_bytes().unwrap(),
        Void::Proposal,
    );
}

#[test]
fn mls_10_a_commit_without_new_keys_is_void() {
    let (mut alice, mut bob, mut mallory) = with_mallory(MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY);
    let package = Mallory::new(8, 1).package(made(DAY));
    let commit = mallory.commit(|builder| builder.propose_adds([package]));
    void(&mut alice, &mut bob, &commit, Void::NoPath);
}

#[test]
fn mls_10_a_member_cannot_become_somebody_else() {
    let (mut alice, mut bob, mut mallory) = with_mallory(MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY);
    // Under another's name, with her own key.
    let mut named = mallory.with_key();
    named.credential = basic(identity(1, 1).1.to_bytes());
    let leaf = LeafNodeParameters::builder()
        .with_credential_with_key(named)
        .build();
    let commit =
        mallory.commit(|builder| builder.leaf_node_parameters(leaf).force_self_update(true));
    void(&mut alice, &mut bob, &commit, Void::Identity);
    // As another device, which is truly hers.
    let other = Mallory::new(6, 2);
    let Mallory {
        provider,
        key,
        group,
        ..
    } = &mut mallory;
    let group = group.as_mut().unwrap();
    group.clear_pending_commit(provider.storage()).unwrap();
    let bundle = NewSignerBundle {
        signer: &other.key,
        credential_with_key: other.with_key(),
    };
    let built = group
        .commit_builder()
        .load_psks(provider.storage())
        .unwrap()
        .build_with_new_signer(provider.rand(), provider.crypto(), key, bundle, |_| true)
        .unwrap();
    let commit = built.stage_commit(provider).unwrap();
    let commit = commit.commit().to_bytes().unwrap();
    void(&mut alice, &mut bob, &commit, Void::Identity);
}

#[test]
fn mls_11_a_commit_that_needs_a_key_from_elsewhere_is_void() {
    use openmls::schedule::{ExternalPsk, PreSharedKeyId, Psk};
    let (mut alice, mut bob, mut mallory) = with_mallory(MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY);
    let psk = Psk::External(ExternalPsk::new(vec![1]));
    let suite = super::mallory::SUITE;
    let id = PreSharedKeyId::new(suite, mallory.provider.rand(), psk).unwrap();
    id.store(&mallory.provider, &[7; 32]).unwrap();
    let proposal = openmls::prelude::PreSharedKeyProposal::new(id);
    let proposal = openmls::prelude::Proposal::PreSharedKey(Box::new(proposal));
    let commit = mallory.commit(|builder| builder.add_proposal(proposal).force_self_update(true));
    void(&mut alice, &mut bob, &commit, Void::Proposal);
}

#[test]
fn mls_12_a_strangers_external_commit_is_void() {
    let (mut alice, mut bob) = two();
    let info = alice.group().group_info(true).unwrap();
    let stranger = Mallory::new(6, 1);
    void(&mut alice, &mut bob, &stranger.enter(&info), Void::Stranger);
    // Nor does another device of a member's account come in by itself.
    let phone = Mallory::new(1, 2);
    void(&mut alice, &mut bob, &phone.enter(&info), Void::Stranger);
    // Nor under the name of one who is there.
    let mut named = Mallory::new(6, 1);
    named.credential = basic(identity(2, 1).1.to_bytes());
    void(&mut alice, &mut bob, &named.enter(&info), Void::Identity);
    // Our own program does not even try.
    let mut carol = Device::new(3, 1);
    assert_eq!(carol.client.rejoin(&info, None), Err(JoinError::Stranger));
}

#[test]
fn mls_12_who_was_removed_does_not_come_back_by_itself() {
    let mut all = group_of(3, Suite::Classic);
    let mut carol = all.pop().unwrap();
    let (mut bob, mut alice) = (all.pop().unwrap(), all.pop().unwrap());
    let before = alice.group().group_info(true).unwrap();
    let change = Change {
        remove: vec![carol.id()],
        ..Change::default()
    };
    let outgoing = alice.commit(&change);
    bob.follow(&outgoing.commit);
    let after = alice.group().group_info(true).unwrap();
    assert_eq!(carol.client.rejoin(&after, None), Err(JoinError::Stranger));
    let (_, late) = carol.client.rejoin(&before, None).unwrap();
    assert_eq!(bob.group().open(&late.commit).unwrap_err(), OpenError::Old);
    void(
        &mut alice,
        &mut bob,
        &Mallory::new(3, 1).enter(&after),
        Void::Stranger,
    );
}

#[test]
fn a_welcome_to_a_group_that_is_there_changes_nothing() {
    let (mut alice, mut bob) = two();
    let mut mallory = Mallory::new(6, 1);
    mallory.create(&GROUP.0, context(b"false".to_vec(), None));
    let package = package_of(&mut bob);
    let welcome = mallory.welcome(package.clone());
    bob.commit_disk();
    assert_eq!(bob.client.join(&welcome, None), Err(JoinError::Present));
    assert!(
        bob.client.take_changes().unwrap().is_empty(),
        "the package is not used up"
    );
    let sealed = alice.seal("still here");
    assert_eq!(bob.read(&sealed), "still here");
    bob.commit_disk();
    // Damaged anywhere, it is refused and costs nothing.
    mallory.create(&[9; 32], context(b"record".to_vec(), None));
    let welcome = mallory.welcome(package);
    for at in (0..welcome.len()).step_by(5) {
        let mut damaged = welcome.clone();
        damaged[at] ^= 0x10;
        if bob.client.join(&damaged, None).is_ok() {
            panic!("byte {at} does not count");
        }
    }
    assert!(bob.client.take_changes().unwrap().is_empty());
    assert!(bob.client.join(&welcome, None).is_ok());
}

#[test]
fn a_device_whose_keys_are_lost_is_told_to_come_back() {
    const EPOCH_KEY_PAIRS: u8 = 13;
    let (mut alice, mut bob) = two();
    bob.commit_disk();
    bob.disk
        .retain(|key, _| key.get(49) != Some(&EPOCH_KEY_PAIRS));
    bob.restart();
    let outgoing = alice.commit(&Change::default());
    let opened = bob.group().open(&outgoing.commit).unwrap_err();
    assert_eq!(opened, OpenError::Mine(Mine::Path));
    let info = alice.group().group_info(true).unwrap();
    let (_, back) = bob.client.rejoin(&info, None).unwrap();
    alice.follow(&back.commit);
    bob.group().adopt_rejoin().unwrap();
    let sealed = alice.seal("again");
    assert_eq!(bob.read(&sealed), "again");
}

#[test]
fn a_credential_of_another_device_makes_no_client() {
    let (key, _) = identity(1, 1);
    let (_, other) = identity(1, 2);
    let client = starling_chat::mls::Client::new(&key, &other, []);
    assert!(client.is_err());
    let mut alice = Device::new(1, 1);
    assert_eq!(
        alice
            .client
            .set_credential(&identity(2, 1).0, &identity(2, 1).1),
        Err(IdentityError::OtherDevice)
    );
    let missing = alice.client.group(GroupId([3; 32]));
    assert!(matches!(missing, Ok(None)));
    let _ = StateError::NotMember.to_string();
}
