//! Letters at a supernode: what they show, mutated, and how long the work for one takes.

use std::time::Instant;

use starling_wire::frame::encode_body;
use starling_wire::fuzz;
use starling_wire::ids::AccountId;
use starling_wire::postage::{Postage, Search, Stamped, Step, WORK_MIN, Work};
use starling_wire::supernode::{Answer, Request};

use crate::{corpus, mutator};

const ALICE: AccountId = AccountId([3; 32]);

#[test]
fn letters_that_are_left_and_collected() {
    let work = Postage::Work(Work {
        day: 20_833,
        nonce: 70_000,
    });
    let letter = |postage| Stamped {
        postage,
        envelope: vec![1; 40],
    };
    let deposit = Request::Deposit {
        account: ALICE,
        postage: work,
        envelope: vec![1; 40],
    };
    let envelopes = Answer::Envelopes {
        letters: vec![letter(Postage::Contact([6; 16])), letter(work)],
        work: 16,
    };
    let made = [
        ("deposit", encode_body(&deposit)),
        ("envelopes", encode_body(&envelopes)),
    ];
    mutator::run(23, &corpus::committed("letters", &made), fuzz::supernode);
}

/// The figures of `docs/benchmarks.md` come from here, with `STARLING_WORK_BITS` as the largest number of bits.
#[test]
fn how_long_the_work_for_a_letter_takes() {
    let most = std::env::var("STARLING_WORK_BITS").ok();
    let most = most.and_then(|bits| bits.parse().ok()).unwrap_or(WORK_MIN);
    for bits in (WORK_MIN..=most).step_by(2) {
        let mut taken: Vec<f64> = (0..15u8).map(|letter| search(letter, bits)).collect();
        taken.sort_by(f64::total_cmp);
        println!(
            "{bits} bits: median {:.3} s, longest {:.3} s",
            taken[7], taken[14]
        );
    }
}

fn search(letter: u8, bits: u8) -> f64 {
    let began = Instant::now();
    let found = Search::new(ALICE, &[letter; 1_000], bits, 1_800_000_000).step(u64::MAX);
    assert!(matches!(found, Step::Found(_)));
    began.elapsed().as_secs_f64()
}
