//! The fuzz body of credentials over mutated ones that verify.

use ed25519_dalek::SigningKey;
use starling_wire::account::{Change, Founding};
use starling_wire::credential::Credential;
use starling_wire::fuzz;
use starling_wire::ids::DeviceId;

use crate::{corpus, mutator};

#[test]
fn no_bytes_make_a_credential_panic() {
    let device = |seed: u8| {
        let key = SigningKey::from_bytes(&[seed; 32]).verifying_key();
        DeviceId(key.to_bytes())
    };
    let founding = Founding::new(&[1; 32]);
    let mut chain = founding.found(device(2), "laptop");
    let first = Credential::of(&chain, device(2)).expect("it is listed");
    let added = Change::AddDevice {
        device: device(3),
        name: "phone".into(),
        owner: false,
    };
    chain.append(&founding.signing, added);
    let second = Credential::of(&chain, device(3)).expect("it is listed");
    let signing = SigningKey::from_bytes(&[4; 32]).verifying_key();
    let found = (device(5), "tablet");
    let recovered = founding
        .inception()
        .recover(&founding.recovery, 1, &signing, found);
    let third = Credential::of(&recovered, device(5)).expect("it is listed");
    let made = [
        ("first-device", first.to_bytes()),
        ("later-device", second.to_bytes()),
        ("after-recovery", third.to_bytes()),
    ];
    let corpus = corpus::committed("credentials", &made);
    mutator::run(27_475, &corpus, fuzz::credential);
}
