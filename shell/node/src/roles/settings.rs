//! What the user decided about the roles, and what comes of it together with the administrator's policy.

use serde::{Deserialize, Serialize};
use starling_protocol::mailbox::holder::Caps as HolderCaps;
use starling_protocol::overlay::qualification::Obstacle;
use starling_wire::policy::{Caps, Permission, Policy};

use super::Role;
use super::candidacy::Candidate;
use super::carrier::RoleRates;
use crate::transport::relay_server::Limits;

const GB: u64 = 1_000_000_000;
const MB: u64 = 1_000_000;

/// What the user decided of one role.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// `None`: the question was not answered yet.
    pub on: Option<bool>,
    /// In kbit/s.
    pub cap_kbit_s: Option<u32>,
}

/// What the user decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wishes {
    /// By role.
    pub roles: [Wish; Role::ALL.len()],
    /// All roles together, in kbit/s.
    pub total_kbit_s: Option<u32>,
    /// All roles together, both directions, in a calendar month.
    pub monthly_gb: Option<u32>,
    /// Clients at once.
    pub clients: Option<u32>,
    /// What is kept for others in boxes, in MB.
    #[serde(default)]
    pub mailbox_mb: Option<u32>,
    /// Letters and boxes are kept at once, without having run for days.
    #[serde(default)]
    pub mailbox_at_once: bool,
}

/// How this profile stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// The command line or a network of its own was the answer to the question.
    pub answered: bool,
    /// It belongs to no network.
    pub alone: bool,
    /// Bytes carried for others this month.
    pub carried: u64,
    /// The network's file names it.
    pub listed: bool,
    /// Whether the network asked it to serve, or what is in the way.
    pub candidate: Candidate,
}

/// Whom a role serves, or why nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Everybody.
    Everybody,
    /// The local network: nobody need be asked for that.
    LocalNetwork,
    /// The administrator forbids it.
    Policy,
    /// The user switched it off.
    SwitchedOff,
    /// So many GB were allowed for this month.
    UsedUp(u32),
    /// Nobody has answered the question yet.
    NotAsked,
    /// The user allows it; the network has not asked, or something is in the way.
    Waiting(Obstacle),
    /// It has not run long enough to keep letters.
    Young,
    /// It serves only beside the supernode role, and that is off.
    Beside,
}

/// Whom the supernode of this process serves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// There is none.
    #[default]
    None,
    /// This machine: a profile without a network has no other home.
    ThisMachine,
    /// Loopback and private addresses.
    LocalNetwork,
    /// Everybody.
    Everybody,
}

/// What counts: the user's wishes within the administrator's policy.
#[derive(Debug, Clone)]
pub struct Rules<'a> {
    /// The administrator's.
    pub policy: &'a Policy,
    /// The user's.
    pub wishes: Wishes,
    /// How the profile stands.
    pub standing: Standing,
}

impl Decision {
    /// Whether the role is on.
    pub const fn on(self) -> bool {
        matches!(self, Self::Everybody | Self::LocalNetwork)
    }
}

impl Rules<'_> {
    /// What is to become of a role.
    pub fn decide(&self, role: Role) -> Decision {
        let own = self.decide_alone(role);
        let supernode = self.decide_alone(Role::Supernode);
        if own.on() && !supernode.on() {
            return Decision::Beside;
        }
        own
    }

    /// `ROLE-01`: nothing for anybody beyond the local network before the question was answered.
    fn decide_alone(&self, role: Role) -> Decision {
        let wish = self.wishes.roles[role as usize].on;
        if self.permission(role) == Permission::Never {
            return Decision::Policy;
        }
        if wish == Some(false) {
            return Decision::SwitchedOff;
        }
        // ROLE-04: what was allowed for the month is used up.
        if let Some(gb) = self.caps().monthly_gb
            && self.standing.carried >= u64::from(gb) * GB
        {
            return Decision::UsedUp(gb);
        }
        if wish == Some(true) && self.may_be_asked() {
            self.decide_asked(role)
        } else if wish == Some(true) || self.standing.answered {
            Decision::Everybody
        } else if self.standing.alone {
            Decision::LocalNetwork
        } else {
            Decision::NotAsked
        }
    }

    /// Whether the network decides when it serves: nobody else has.
    const fn may_be_asked(&self) -> bool {
        let standing = &self.standing;
        !standing.answered && !standing.alone && !standing.listed
    }

    /// `PROMOTE-01`: what the user allows is done when the network needs it.
    fn decide_asked(&self, role: Role) -> Decision {
        let candidate = &self.standing.candidate;
        match (role, candidate.promoted) {
            (Role::Supernode, None) => {
                Decision::Waiting(candidate.obstacle.unwrap_or(Obstacle::Unchecked))
            }
            // PROMOTE-10
            (Role::Mailbox, Some(_))
                if !candidate.keeps_letters && !self.wishes.mailbox_at_once =>
            {
                Decision::Young
            }
            _ => Decision::Everybody,
        }
    }

    /// Whether the user and the administrator let this machine be asked by the network.
    pub fn is_candidate(&self) -> bool {
        let wish = self.wishes.roles[Role::Supernode as usize].on;
        let decision = self.decide(Role::Supernode);
        let allowed = decision.on() || matches!(decision, Decision::Waiting(_));
        allowed && wish == Some(true) && self.may_be_asked()
    }

    /// Whom the supernode serves.
    pub fn scope(&self) -> Scope {
        match self.decide(Role::Supernode) {
            Decision::Everybody => Scope::Everybody,
            Decision::LocalNetwork => Scope::LocalNetwork,
            _ if self.standing.alone => Scope::ThisMachine,
            _ => Scope::None,
        }
    }

    /// What the administrator says of a role.
    pub const fn permission(&self, role: Role) -> Permission {
        let roles = &self.policy.roles;
        match role {
            Role::Supernode => roles.supernode,
            Role::Relay => roles.relay,
            Role::Mailbox => roles.mailbox,
        }
    }

    /// The lower of both: `POLICY-06`.
    pub fn caps(&self) -> Caps {
        let [supernode, relay, mailbox] = self.wishes.roles.map(|wish| wish.cap_kbit_s);
        self.policy.caps.and(Caps {
            total_kbit_s: self.wishes.total_kbit_s,
            supernode_kbit_s: supernode,
            relay_kbit_s: relay,
            mailbox_kbit_s: mailbox,
            monthly_gb: self.wishes.monthly_gb,
            clients: self.wishes.clients,
            mailbox_mb: self.wishes.mailbox_mb,
            ..Caps::default()
        })
    }

    /// For the carrier.
    pub fn rates(&self) -> RoleRates {
        let caps = self.caps();
        RoleRates {
            roles: [
                caps.supernode_kbit_s,
                caps.relay_kbit_s,
                caps.mailbox_kbit_s,
            ],
            total: caps.total_kbit_s,
        }
    }

    /// For the mailbox holder.
    pub fn holding(&self) -> HolderCaps {
        let standard = HolderCaps::default();
        let megabytes = self.caps().mailbox_mb.map(|mb| u64::from(mb) * MB);
        HolderCaps {
            bytes: megabytes.unwrap_or(standard.bytes),
            ..standard
        }
    }

    /// For the relay's door.
    pub fn limits(&self) -> Limits {
        let caps = self.caps();
        Limits {
            links: caps.clients,
            of_block: caps.clients_per_block,
            circuits: caps.circuits_per_client,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::candidacy::Promoted;

    fn rules(policy: &Policy) -> Rules<'_> {
        Rules {
            policy,
            wishes: Wishes::default(),
            standing: Standing::default(),
        }
    }

    #[test]
    fn role_01_nothing_is_served_before_the_question_was_answered() {
        let free = Policy::default();
        let mut rules = rules(&free);
        for role in Role::ALL {
            assert!(!rules.decide(role).on());
        }
        assert_eq!(rules.decide(Role::Supernode), Decision::NotAsked);
        assert_eq!(rules.scope(), Scope::None);
        rules.standing.alone = true;
        assert_eq!(rules.scope(), Scope::LocalNetwork, "needs no answer");
        rules.standing.answered = true;
        assert_eq!(rules.scope(), Scope::Everybody);
        assert!(Role::ALL.iter().all(|role| rules.decide(*role).on()));
        rules.standing = Standing::default();
        rules.wishes.roles[Role::Supernode as usize].on = Some(true);
        rules.standing.listed = true;
        assert_eq!(rules.scope(), Scope::Everybody);
        assert_eq!(rules.decide(Role::Relay), Decision::NotAsked);
        rules.wishes.roles[Role::Relay as usize].on = Some(true);
        assert_eq!(rules.decide(Role::Relay), Decision::Everybody);
        rules.wishes.roles[Role::Supernode as usize].on = Some(false);
        assert_eq!(rules.decide(Role::Relay), Decision::Beside);
        rules.standing.alone = true;
        assert_eq!(rules.scope(), Scope::ThisMachine, "still a home");
    }

    #[test]
    fn promote_01_what_the_user_allows_is_done_when_the_network_asks() {
        let free = Policy::default();
        let mut rules = rules(&free);
        assert!(!rules.is_candidate(), "nobody was asked");
        for wish in &mut rules.wishes.roles {
            wish.on = Some(true);
        }
        assert!(rules.is_candidate());
        assert_eq!(rules.scope(), Scope::None);
        assert_eq!(rules.decide(Role::Relay), Decision::Beside);
        let tcp = Obstacle::Tcp(27474);
        rules.standing.candidate.obstacle = Some(tcp);
        assert_eq!(rules.decide(Role::Supernode), Decision::Waiting(tcp));
        rules.standing.candidate.promoted = Some(Promoted { at: None });
        assert_eq!(rules.scope(), Scope::Everybody);
        assert!(rules.is_candidate(), "and stays one");
        assert_eq!(rules.decide(Role::Mailbox), Decision::Young);
        rules.standing.candidate.keeps_letters = true;
        assert!(rules.decide(Role::Mailbox).on());
        rules.standing.answered = true;
        assert!(!rules.is_candidate(), "it serves anyway");
        rules.standing.answered = false;
        rules.wishes.roles[Role::Supernode as usize].on = Some(false);
        assert!(!rules.is_candidate());
        assert_eq!(rules.scope(), Scope::None, "the switch wins");
    }

    #[test]
    fn policy_06_the_policy_wins_over_every_answer_and_the_lower_cap_counts() {
        let text =
            "format = 1\n[roles]\nrelay = \"never\"\n[caps]\ntotal_kbit_s = 500\nclients = 9";
        let policy = Policy::read(text).unwrap();
        let mut rules = rules(&policy);
        rules.standing.answered = true;
        rules.wishes.roles[Role::Relay as usize].on = Some(true);
        rules.wishes.total_kbit_s = Some(900);
        rules.wishes.clients = Some(5);
        rules.wishes.roles[Role::Mailbox as usize].cap_kbit_s = Some(70);
        assert_eq!(rules.decide(Role::Relay), Decision::Policy);
        assert!(rules.decide(Role::Supernode).on());
        assert_eq!(rules.rates().total, Some(500));
        assert_eq!(rules.rates().roles, [None, None, Some(70)]);
        assert_eq!(rules.limits().links, Some(5));
    }

    #[test]
    fn role_04_what_is_used_up_is_off_until_the_month_turns() {
        let free = Policy::default();
        let mut rules = rules(&free);
        rules.standing.answered = true;
        rules.wishes.monthly_gb = Some(2);
        rules.standing.carried = 2 * GB - 1;
        assert!(rules.decide(Role::Relay).on());
        rules.standing.carried += 1;
        assert_eq!(rules.decide(Role::Supernode), Decision::UsedUp(2));
        assert_eq!(rules.scope(), Scope::None);
    }
}
