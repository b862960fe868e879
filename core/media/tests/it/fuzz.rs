//! The fuzz body over mutated inputs of its committed corpus.

use starling_media::fuzz::fuzz_media;
use starling_media::sframe::fuzz::fuzz_sframe;
use starling_media::sframe::{Direction, Sealer};
use starling_media::{Encoded, Packetizer, Report};

use crate::call::plain;
use crate::{corpus, mutator};

/// A script of the fuzz body: before each datagram come what is done, how long it takes and the datagram's length.
fn script(choices: &[u8], sender: &mut Packetizer) -> Vec<u8> {
    let mut script = Vec::new();
    for (step, &choice) in choices.iter().enumerate() {
        if step % 7 == 6 {
            sender.skip();
        }
        let datagrams = sender.packets(Encoded {
            deep: choice & 2 != 0,
            payload: &[0x78, choice, 1],
        });
        let datagram = &datagrams[0];
        script.extend([choice, 20, u8::try_from(datagram.len()).unwrap()]);
        script.extend(datagram);
    }
    script
}

#[test]
fn media() {
    let mut sender = Packetizer::new(1);
    let made = [
        (
            "packet",
            sender.packets(plain(&[0x78; 60])).remove(0).to_vec(),
        ),
        ("steady", script(&[1; 40], &mut sender)),
        (
            "uneven",
            script(&[0, 0, 0, 3, 1, 2, 0, 1, 224, 1, 1, 3], &mut sender),
        ),
        (
            "end-of-time",
            script(&[1, 1, 0xff, 1, 1, 1], &mut Packetizer::new(2)),
        ),
    ];
    let mut repeating = Packetizer::new(3);
    repeating.repeat(Some(2));
    let repeated = ("repeated", script(&[1; 20], &mut repeating));
    let report = Report {
        ssrc: 7,
        interval_ms: 500,
        expected: 25,
        received: 20,
        burst: 40,
        queue_ms: 90,
        jitter_ms: 5,
        bytes: 1_500,
    };
    let repeated = [repeated, ("report", report.write())];
    let made = made.into_iter().chain(repeated).collect::<Vec<_>>();
    mutator::run(1, &corpus::committed("media", &made), fuzz_media);
}

#[test]
fn sealed() {
    let mut sealer = Sealer::new(&[7; 32], Direction::Guest);
    let mut other = Sealer::new(&[7; 32], Direction::Opener);
    let (first, short) = (sealer.seal(&[0x80; 72]), sealer.seal(&[1]));
    let later = std::iter::repeat_with(|| sealer.seal(&[2; 9])).nth(300);
    let made = [
        ("first", first),
        ("short", short),
        ("later", later.expect("there are more")),
        ("other-direction", other.seal(&[3; 20])),
        ("long-numbers", vec![0xff; 40]),
    ];
    mutator::run(2, &corpus::committed("sealed", &made), fuzz_sframe);
}
