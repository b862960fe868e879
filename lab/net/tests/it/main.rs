//! The labs' own tests, one after another: emulated links and NATs in network
//! namespaces, speech scores.
//!
//! A namespace without root needs a user namespace, and that can be entered only before the first
//! thread: hence a `main` of our own. Where labs are not permitted the tests are skipped with a loud
//! notice, and fail when `CI=true`.

#![allow(
    clippy::unwrap_used,
    reason = "a test that panics has said what is wrong"
)]

mod clock;
mod demo;
mod heal;
mod lan;
mod link;
mod matrix;
mod nat;
mod node;
mod people;
mod privacy;
mod proxy;
mod speech;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use starling_lab_net::{namespace, nat as nat_lab};

/// A lab test: its name and its body, which fails by panicking.
pub type LabTest = (&'static str, fn());

fn main() -> ExitCode {
    let permitted = namespace::enter_user_namespace().and_then(|()| namespace::probe());
    let mut arguments = Arguments::from_args();
    // Labs measure time: they run alone.
    arguments.test_threads = Some(1);
    let no_lab = permitted.err().map(|e| e.to_string());
    let mut trials = Vec::new();
    let no_nat = no_lab
        .clone()
        .or_else(|| nat_lab::probe().err().map(|e| e.to_string()));
    trials.extend(group(link::TESTS, no_lab.clone()));
    trials.extend(group(heal::TESTS, no_lab));
    trials.extend(group(clock::TESTS, clock::missing()));
    trials.extend(group(nat::TESTS, no_nat.clone()));
    trials.extend(group(lan::TESTS, no_nat.clone()));
    trials.extend(group(privacy::TESTS, no_nat.clone()));
    let no_call = no_nat.clone().or_else(speech::missing);
    trials.extend(group(privacy::SPOKEN, no_call.clone()));
    trials.extend(group(matrix::TESTS, no_call.clone()));
    trials.extend(group(people::TESTS, no_call.clone()));
    trials.extend(group(proxy::TESTS, no_call));
    trials.extend(group(node::TESTS, no_nat.or_else(speech::missing)));
    trials.extend(group(demo::TESTS, speech::missing()));
    trials.extend(group(speech::TESTS, speech::missing()));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Tests that share a need; `refusal` says why it is not met here.
fn group(tests: &[LabTest], refusal: Option<String>) -> Vec<Trial> {
    if let (Some(reason), Some((first, _))) = (&refusal, tests.first()) {
        eprintln!(
            "\n*** {} TESTS ARE SKIPPED, {first} and others: {reason} ***\n",
            tests.len()
        );
    }
    tests
        .iter()
        .map(|test| trial(*test, refusal.clone()))
        .collect()
}

fn trial((name, body): LabTest, refusal: Option<String>) -> Trial {
    let Some(reason) = refusal else {
        return Trial::test(name, move || {
            body();
            Ok(())
        });
    };
    let must_run = std::env::var("CI").is_ok_and(|ci| ci == "true");
    Trial::test(name, move || Err(Failed::from(reason))).with_ignored_flag(!must_run)
}
