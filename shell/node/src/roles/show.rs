//! Roles in words: for `status`, for `roles.show`, for the window.

use starling_control::view;

use super::Role;
use super::carrier::Carrier;
use super::settings::{Decision, Rules};

/// At so many percent of its cap a role says that it is capped.
const CAPPED_PERCENT: u64 = 90;

/// One role as clients see it.
pub fn role(rules: &Rules<'_>, carrier: &Carrier, clients: usize, role: Role) -> view::Role {
    let decision = rules.decide(role);
    let cap = rules.rates().roles[role as usize];
    let used = carrier.meter().kbit_s(role);
    view::Role {
        name: role.name().to_owned(),
        on: decision.on(),
        words: words(rules, role, decision, clients, cap, used),
        cap_kbit_s: cap,
        used_kbit_s: used,
        by_policy: decision == Decision::Policy,
    }
}

fn words(
    rules: &Rules<'_>,
    role: Role,
    decision: Decision,
    clients: usize,
    cap: Option<u32>,
    used: u64,
) -> String {
    let whom = match decision {
        Decision::Everybody => "on",
        Decision::LocalNetwork => "on for this machine and its local network only",
        other => return off(rules, role, other),
    };
    let mut words = whom.to_owned();
    if role == Role::Supernode {
        let s = if clients == 1 { "" } else { "s" };
        words.push_str(&format!(", {clients} client{s}"));
    }
    if let Some(cap) = cap {
        let (used, kind) = if used * 100 >= u64::from(cap) * CAPPED_PERCENT {
            (used.min(u64::from(cap)), ", capped: ")
        } else {
            return format!("{words}, at most {}", rate(cap.into()));
        };
        words.push_str(&format!(
            "{kind}{} of {} used",
            rate(used),
            rate(cap.into())
        ));
    }
    words
}

fn off(rules: &Rules<'_>, role: Role, decision: Decision) -> String {
    let name = role.name();
    match decision {
        Decision::Policy => format!("off, set by your organisation: policy: {name} = never"),
        Decision::SwitchedOff => {
            format!("off: switched off; `starling role {name} on` switches it on")
        }
        Decision::UsedUp(gb) => {
            format!("off until the month turns: {gb} of {gb} GB for others are used up")
        }
        Decision::Waiting(obstacle) => format!("off, though allowed: {obstacle}"),
        Decision::Young => "off: letters are kept by machines that have run for days".to_owned(),
        Decision::Beside => "off: it serves beside the supernode role, which is off".to_owned(),
        _ if rules.standing.alone => "off".to_owned(),
        _ => format!("off: not asked yet; `starling role {name} on` is the answer \"yes\""),
    }
}

/// "800 kbit/s", "1 Mbit/s", "2.5 Mbit/s"
pub fn rate(kbit: u64) -> String {
    match (kbit / 1000, kbit % 1000) {
        (0, kbit) => format!("{kbit} kbit/s"),
        (mbit, 0) => format!("{mbit} Mbit/s"),
        (mbit, rest) => format!("{mbit}.{} Mbit/s", rest / 100),
    }
}

/// "3.4 MB", "2147 MB"
pub fn megabytes(bytes: u64) -> String {
    let tenths = bytes / 100_000;
    match tenths < 1_000 {
        true => format!("{}.{} MB", tenths / 10, tenths % 10),
        false => format!("{} MB", tenths / 10),
    }
}

/// What was carried for others, by role, with the cap beside it.
pub fn traffic(rules: &Rules<'_>, carrier: &Carrier) -> Vec<view::Traffic> {
    let rates = rules.rates();
    let row = |role: Role| {
        let carried = carrier.meter().carried(role);
        view::Traffic {
            purpose: format!("for others: {}", role.name()),
            sent: carried.sent,
            received: carried.received,
            cap_kbit_s: rates.roles[role as usize].or(rates.total),
        }
    };
    Role::ALL.map(row).to_vec()
}

/// What the administrator decided.
pub fn policy(rules: &Rules<'_>) -> Vec<view::PolicySetting> {
    let shown = |decided: starling_wire::policy::Decided| view::PolicySetting {
        key: decided.key.to_owned(),
        value: decided.value,
    };
    rules.policy.decided().into_iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use starling_wire::policy::Policy;

    use super::*;
    use crate::clock::Clock;
    use crate::roles::settings::{Standing, Wishes};

    #[test]
    fn why_a_role_is_on_or_off_is_said_in_words() {
        let carrier = Carrier::new(Clock::start());
        let policy = Policy::read("format = 1\n[roles]\nrelay = \"never\"").unwrap();
        let mut rules = Rules {
            policy: &policy,
            wishes: Wishes::default(),
            standing: Standing {
                answered: true,
                ..Standing::default()
            },
        };
        rules.wishes.monthly_gb = Some(20);
        let said = |rules: &Rules<'_>, one| role(rules, &carrier, 3, one).words;
        assert_eq!(said(&rules, Role::Supernode), "on, 3 clients");
        let relay = said(&rules, Role::Relay);
        assert!(relay.contains("policy: relay = never"), "{relay}");
        rules.wishes.roles[0].cap_kbit_s = Some(1_000);
        assert_eq!(
            said(&rules, Role::Supernode),
            "on, 3 clients, at most 1 Mbit/s"
        );
        let full = words(
            &rules,
            Role::Mailbox,
            Decision::Everybody,
            0,
            Some(1_000),
            1_020,
        );
        assert_eq!(full, "on, capped: 1 Mbit/s of 1 Mbit/s used");
        rules.standing.carried = 20_000_000_000;
        let used = said(&rules, Role::Mailbox);
        assert!(used.contains("20 of 20 GB"), "{used}");
        rules.standing = Standing::default();
        assert!(said(&rules, Role::Supernode).contains("not asked yet"));
        assert_eq!(rate(2_560), "2.5 Mbit/s");
    }
}
