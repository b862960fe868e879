//! The benchmarks: named scenarios with real `starling` processes on emulated links, and the table of
//! budgets they fill. Figures are samples; what is reported is their median and their least and
//! greatest. Nothing is asserted here: a budget that is missed is written down as missed.

mod calls;
mod chat;
mod contacts;
mod files;
mod idle;
mod idle_contacts;
pub mod machine;
mod network;
mod online;
pub mod page;
mod presence;
pub mod report;
pub mod rows;
mod search;
pub(crate) mod stage;
mod supernode;
pub mod swarm;

use std::collections::BTreeMap;

use crate::actor::ActorError;

/// One scenario.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// How it is called on the command line, and in [`rows::Source`].
    pub name: &'static str,
    /// What happens in it.
    pub about: &'static str,
    run: fn(&mut Findings) -> Result<(), ActorError>,
}

/// These run by their names only: a quarter of an hour or a half for a few rows would keep people from measuring at all.
const BY_NAME: [&str; 2] = ["idle-contacts", "network"];

/// All scenarios, in the order they run.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "online",
        about: "Alice's node starts, with and without UDP, until she sees Bob online; 7 times each",
        run: online::run,
    },
    Scenario {
        name: "contact",
        about: "each removes the other, Bob asks Alice by her link and she says yes; 7 times on the link",
        run: contacts::run,
    },
    Scenario {
        name: "presence",
        about: "Alice says something else about herself, until Bob sees it; 8 times, 35 s apart",
        run: presence::run,
    },
    Scenario {
        name: "search",
        about: "7 clients search 29 times each among 100,000 names on the link",
        run: search::run,
    },
    Scenario {
        name: "chat",
        about: "200 messages one after the other on the link; 3 bursts of 5,000 on loopback",
        run: chat::run,
    },
    Scenario {
        name: "call",
        about: "6 calls of 3 s on the link, the first without a connection",
        run: calls::run,
    },
    Scenario {
        name: "file",
        about: "128 MiB without loss and 64 MiB at 1 % loss, 3 times each on the link",
        run: files::on_the_link,
    },
    Scenario {
        name: "file-loopback",
        about: "256 MiB on loopback, 5 times",
        run: files::on_loopback,
    },
    Scenario {
        name: "file-relay",
        about: "through a relay behind the link at 1 % loss, 3 times with each TCP control",
        run: files::through_a_relay,
    },
    Scenario {
        name: "idle",
        about: "Alice with ten contacts online, nobody does anything; 3 windows of 60 s",
        run: idle::run,
    },
    Scenario {
        name: "idle-contacts",
        about: "Alice with one contact online, then with 1,000, nobody does anything; a window of 5 minutes each; takes 14 minutes, and runs by its name only",
        run: idle_contacts::run,
    },
    Scenario {
        name: "supernode",
        about: "10,000 idle devices register at one supernode on loopback; a window of 60 s",
        run: supernode::run,
    },
    Scenario {
        name: "network",
        about: "200 supernodes on the link: 300 look-ups, then windows of 60 s; takes half an hour, and runs by its name only",
        run: network::run,
    },
];

/// Samples by the key of the row they belong to.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    samples: BTreeMap<&'static str, Vec<f64>>,
    remarks: Vec<String>,
}

impl Findings {
    /// Adds a sample in the row's unit.
    pub fn add(&mut self, key: &'static str, value: f64) {
        self.samples.entry(key).or_default().push(value);
    }

    /// Adds a sentence that belongs under the table.
    pub fn remark(&mut self, sentence: String) {
        self.remarks.push(sentence);
    }

    /// A row's samples.
    pub fn samples(&self, key: &str) -> &[f64] {
        self.samples.get(key).map_or(&[], Vec::as_slice)
    }

    /// What was remarked.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }
}

/// Runs the scenarios of these names, or all but those that run by their names only; each line of progress goes to `tell`. A scenario that
/// fails is told and remarked, and the next one runs.
pub fn run(names: &[String], tell: &mut dyn FnMut(&str)) -> Findings {
    let mut findings = Findings::default();
    for scenario in SCENARIOS {
        let named = names.iter().any(|name| name == scenario.name);
        if !named && (!names.is_empty() || BY_NAME.contains(&scenario.name)) {
            continue;
        }
        tell(&format!("{}: {}", scenario.name, scenario.about));
        if let Err(error) = (scenario.run)(&mut findings) {
            tell(&format!("{} failed: {error}", scenario.name));
            let first_line = error
                .to_string()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned();
            findings.remark(format!(
                "The scenario {} failed: {first_line}",
                scenario.name
            ));
        }
    }
    findings
}
