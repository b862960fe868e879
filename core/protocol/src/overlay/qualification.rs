//! Whether a machine could serve others, by what two supernodes at different addresses find when they dial it back, by the
//! rate measured on the way to them and by how long it has run (`PROMOTE-08` to `PROMOTE-11`). When it is asked to is
//! [`super::promotion`]'s business.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use starling_wire::ids::EndpointKey;
use starling_wire::placement::Block;
use starling_wire::supernode::{Reached, SupernodeAddr};

use crate::machine::Time;

/// So many supernodes are to have reached the machine.
pub const WITNESSES: usize = 2;
/// So many are asked at most, until enough have answered.
pub const ASKED_MAX: usize = 4;
/// When it is looked again: after success, after success while others rely on it, and after a failure.
const AGAIN: Duration = Duration::from_secs(6 * 3600);
const AGAIN_SERVING: Duration = Duration::from_secs(3600);
const AGAIN_FAILED: Duration = Duration::from_secs(600);
const AGAIN_FAILED_SERVING: Duration = Duration::from_secs(120);
/// Whoever serves ends after so many failures in a row.
const FAILURES_MAX: u32 = 3;

/// What is asked of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demands {
    /// How long it has run.
    pub uptime: Duration,
    /// Before it keeps letters.
    pub mailbox_uptime: Duration,
    /// What it can send.
    pub upstream_kbit_s: u32,
    /// Whether it has to be reached on a private network, too.
    pub private_too: bool,
}

impl Default for Demands {
    fn default() -> Self {
        Self {
            uptime: Duration::from_secs(3600),
            mailbox_uptime: Duration::from_secs(3 * 24 * 3600),
            upstream_kbit_s: 256,
            private_too: false,
        }
    }
}

/// What one supernode found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Witness {
    /// By dialling back.
    pub reached: Reached,
    /// How fast it was sent to.
    pub kbit_s: u32,
}

/// Why a machine does not serve, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// `PROMOTE-10`.
    #[error("this machine has to run for {0} more minutes first")]
    Young(u64),
    /// Nothing is known yet.
    #[error("it is being found out whether others reach this machine")]
    Unchecked,
    /// Too few supernodes answered.
    #[error("no supernode answered that could find out whether others reach this machine")]
    NoWitness,
    /// They see different addresses.
    #[error("behind a NAT: supernodes see this machine at different addresses")]
    Addresses,
    /// No TCP.
    #[error("TCP port {0} was not reached from outside")]
    Tcp(u16),
    /// No UDP.
    #[error("UDP port {0} was not reached from outside")]
    Udp(u16),
    /// The same, at an address that is not this machine's own.
    #[error("behind a NAT: TCP port {0} was not reached from outside")]
    TcpBehindNat(u16),
    /// Likewise.
    #[error("behind a NAT: UDP port {0} was not reached from outside")]
    UdpBehindNat(u16),
    /// Another program, or a call, has it.
    #[error("port {0} is in use by another program")]
    PortInUse(u16),
    /// Nothing could be opened at all.
    #[error("the network could not be opened")]
    NoNetwork,
    /// `PROMOTE-09`.
    #[error("it sends {0} kbit/s; {1} are needed")]
    Slow(u32, u32),
    /// Only what is reached over UDP can serve.
    #[error("set by your organisation: policy: udp = false")]
    NoUdp,
    /// Whoever needs a proxy is not reached.
    #[error("this machine reaches others by a proxy only")]
    Proxy,
    /// `PROMOTE-02`: it could, and nobody needs it.
    #[error("it could serve; not asked by the network yet")]
    NotAsked,
}

/// What a machine told the supernodes it asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Its ports: TCP, UDP.
    pub ports: (u16, u16),
    /// How many supernodes could be asked, at different addresses.
    pub known: usize,
    /// Its own address on the way to them.
    pub local: Option<IpAddr>,
}

/// One machine's standing.
#[derive(Debug)]
pub struct Qualification {
    demands: Demands,
    found: Option<Result<Option<SocketAddr>, Obstacle>>,
    failures: u32,
    serving: bool,
    check_at: Time,
}

impl Qualification {
    /// Nothing is known yet.
    pub const fn new(demands: Demands) -> Self {
        Self {
            demands,
            found: None,
            failures: 0,
            serving: false,
            check_at: Time::ZERO,
        }
    }

    /// Others rely on it from now on, or no more.
    pub const fn handle_serving(&mut self, serving: bool) {
        self.serving = serving;
    }

    /// Whether it is time to look; until the outcome is known it is not again.
    pub fn begin_check(&mut self, now: Time) -> bool {
        let due = self.check_at <= now;
        if due {
            self.check_at = now + AGAIN_FAILED;
        }
        due
    }

    /// What was found: where others reach it (`None` on a private network, where nobody need ask), or what is in the way.
    pub fn handle_found(&mut self, found: Result<Option<SocketAddr>, Obstacle>, now: Time) {
        let wait = match (found, self.serving) {
            (Ok(_), true) => AGAIN_SERVING,
            (Ok(_), false) => AGAIN,
            (Err(_), true) => AGAIN_FAILED_SERVING,
            (Err(_), false) => AGAIN_FAILED,
        };
        self.check_at = now + wait;
        match found {
            Ok(_) => self.failures = 0,
            // Nobody was there to ask: that says nothing about this machine.
            Err(Obstacle::NoWitness) if self.serving => return,
            Err(_) => self.failures += 1,
        }
        // PROMOTE-11: whoever serves is not stopped by one bad moment.
        let patient = self.serving && self.failures < FAILURES_MAX;
        if found.is_ok() || !patient {
            self.found = Some(found);
        }
    }

    /// Who has begun before a restart was found fit then.
    pub const fn handle_resumed(&mut self, at: Option<SocketAddr>) {
        self.serving = true;
        self.found = Some(Ok(at));
    }

    /// Where others reach it, or why it does not qualify.
    pub fn standing(&self, now: Time) -> Result<Option<SocketAddr>, Obstacle> {
        let at = self.found.unwrap_or(Err(Obstacle::Unchecked))?;
        let left = self.demands.uptime.saturating_sub(now);
        if !self.serving && !left.is_zero() {
            return Err(Obstacle::Young(left.as_secs().div_ceil(60)));
        }
        Ok(at)
    }

    /// `PROMOTE-10`: letters are kept by machines that have run for days.
    pub fn may_keep_letters(&self, now: Time) -> bool {
        now >= self.demands.mailbox_uptime
    }
}

/// Whom to ask: supernodes in different blocks of addresses, from a place by chance on; none where all are on a private
/// network, which needs no witness.
pub fn witnesses(
    supernodes: &[SupernodeAddr],
    own: EndpointKey,
    demands: &Demands,
    chance: u32,
) -> Option<Vec<SupernodeAddr>> {
    let mut others: Vec<&SupernodeAddr> = supernodes.iter().filter(|one| one.id != own).collect();
    if !demands.private_too && others.iter().all(|one| one.is_private()) {
        return None;
    }
    if !others.is_empty() {
        let turns = chance as usize % others.len();
        others.rotate_left(turns);
    }
    let mut blocks = BTreeSet::new();
    others.retain(|one| blocks.insert(Block::of(one.tcp)));
    Some(others.into_iter().cloned().collect())
}

/// `PROMOTE-08`: reached by two, or by the only one there is, over TCP and UDP at one address.
pub fn judge(
    asked: &Asked,
    answers: &[Witness],
    demands: &Demands,
) -> Result<Option<SocketAddr>, Obstacle> {
    let (tcp, udp) = asked.ports;
    let needed = asked.known.clamp(1, WITNESSES);
    let first = answers
        .first()
        .filter(|_| answers.len() >= needed)
        .ok_or(Obstacle::NoWitness)?;
    let ip = first.reached.ip;
    if answers.iter().any(|one| one.reached.ip != ip) {
        return Err(Obstacle::Addresses);
    }
    let translated = asked.local.is_some_and(|local| local != ip);
    let all = |way: fn(&Reached) -> bool| answers.iter().all(|one| way(&one.reached));
    match (all(|one| one.tcp), all(|one| one.udp), translated) {
        (false, _, false) => return Err(Obstacle::Tcp(tcp)),
        (false, _, true) => return Err(Obstacle::TcpBehindNat(tcp)),
        (true, false, false) => return Err(Obstacle::Udp(udp)),
        (true, false, true) => return Err(Obstacle::UdpBehindNat(udp)),
        (true, true, _) => {}
    }
    // PROMOTE-09: the fastest counts; a slow witness is not the machine's fault.
    let rate = answers.iter().map(|one| one.kbit_s).max().unwrap_or(0);
    if rate < demands.upstream_kbit_s {
        return Err(Obstacle::Slow(rate, demands.upstream_kbit_s));
    }
    Ok(Some(SocketAddr::new(ip, tcp)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PORT: u16 = 27474;

    fn witness(ip: u8, tcp: bool, udp: bool, kbit_s: u32) -> Witness {
        let ip = IpAddr::from([192, 0, 2, ip]);
        Witness {
            reached: Reached { ip, tcp, udp },
            kbit_s,
        }
    }

    fn asked(known: usize) -> Asked {
        Asked {
            ports: (PORT, PORT),
            known,
            local: Some(IpAddr::from([192, 0, 2, 1])),
        }
    }

    fn judged(known: usize, answers: &[Witness]) -> Result<Option<SocketAddr>, Obstacle> {
        judge(&asked(known), answers, &Demands::default())
    }

    fn supernode(id: u8, tcp: &str) -> SupernodeAddr {
        SupernodeAddr {
            id: EndpointKey([id; 32]),
            tcp: tcp.parse().unwrap(),
            discovery_port: 0,
        }
    }

    #[test]
    fn promote_08_two_supernodes_have_to_reach_it_over_tcp_and_udp_at_one_address() {
        let good = witness(1, true, true, 900);
        let at = SocketAddr::new(good.reached.ip, PORT);
        assert_eq!(judged(5, &[good, good]), Ok(Some(at)));
        assert_eq!(
            judged(5, &[good]),
            Err(Obstacle::NoWitness),
            "one is silent"
        );
        assert_eq!(judged(1, &[good]), Ok(Some(at)), "there is no other");
        assert_eq!(judged(1, &[]), Err(Obstacle::NoWitness));
        assert_eq!(judged(0, &[]), Err(Obstacle::NoWitness));
        let no_udp = witness(1, true, false, 900);
        assert_eq!(judged(2, &[good, no_udp]), Err(Obstacle::Udp(PORT)));
        let no_tcp = witness(1, false, true, 900);
        assert_eq!(judged(2, &[no_tcp, good]), Err(Obstacle::Tcp(PORT)));
        let elsewhere = witness(2, true, true, 900);
        assert_eq!(judged(2, &[good, elsewhere]), Err(Obstacle::Addresses));
        let home = [witness(9, true, false, 900); 2];
        let words = judged(2, &home).unwrap_err().to_string();
        assert_eq!(
            words,
            "behind a NAT: UDP port 27474 was not reached from outside"
        );
    }

    #[test]
    fn promote_08_the_two_are_at_different_places_and_a_private_network_needs_none() {
        let all = [
            supernode(1, "192.0.2.1:443"),
            supernode(2, "192.0.2.9:27474"),
            supernode(3, "198.51.100.1:27474"),
            supernode(4, "203.0.113.1:27474"),
        ];
        for chance in 0..8 {
            let own = EndpointKey([4; 32]);
            let chosen = witnesses(&all, own, &Demands::default(), chance).unwrap();
            assert_eq!(chosen.len(), 2, "one of the first two, and the third");
            assert!(chosen.contains(&all[2]));
        }
        let lan = [
            supernode(1, "10.0.0.1:27474"),
            supernode(2, "10.0.0.2:27474"),
        ];
        let own = EndpointKey([9; 32]);
        assert_eq!(witnesses(&lan, own, &Demands::default(), 1), None);
        let strict = Demands {
            private_too: true,
            ..Demands::default()
        };
        assert_eq!(
            witnesses(&lan, own, &strict, 1).map(|chosen| chosen.len()),
            Some(2)
        );
    }

    #[test]
    fn promote_09_a_slow_machine_does_not_qualify() {
        let slow = witness(1, true, true, 255);
        assert_eq!(judged(2, &[slow, slow]), Err(Obstacle::Slow(255, 256)));
        assert!(judged(2, &[slow, witness(1, true, true, 256)]).is_ok());
    }

    #[test]
    fn promote_10_a_machine_has_run_for_an_hour_before_it_serves_and_for_days_before_it_keeps_letters()
     {
        let mut young = Qualification::new(Demands::default());
        let at = Duration::from_secs;
        assert_eq!(young.standing(at(9_999)), Err(Obstacle::Unchecked));
        young.handle_found(Ok(None), at(10));
        assert_eq!(young.standing(at(3_541)), Err(Obstacle::Young(1)));
        assert_eq!(young.standing(at(3_600)), Ok(None));
        assert!(!young.may_keep_letters(at(3 * 86_400 - 1)));
        assert!(young.may_keep_letters(at(3 * 86_400)));
    }

    #[test]
    fn promote_11_whoever_serves_ends_after_three_failures_and_not_because_nobody_answers() {
        let mut one = Qualification::new(Demands::default());
        let lost = Err(Obstacle::Tcp(PORT));
        let mut now = Duration::from_secs(4_000);
        assert!(one.begin_check(now) && !one.begin_check(now));
        one.handle_found(Ok(None), now);
        one.handle_serving(true);
        for (found, still) in [
            (lost, true),
            (Err(Obstacle::NoWitness), true),
            (lost, true),
            (lost, false),
        ] {
            now += AGAIN;
            assert!(one.begin_check(now));
            one.handle_found(found, now);
            assert_eq!(one.standing(now).is_ok(), still);
        }
        assert!(!one.begin_check(now + Duration::from_secs(119)));
        let mut idle = Qualification::new(Demands::default());
        idle.handle_found(Ok(None), now);
        idle.handle_found(lost, now);
        assert_eq!(idle.standing(now), Err(Obstacle::Tcp(PORT)), "at once");
    }

    proptest! {
        /// Nobody qualifies whom a witness did not reach, and nobody on fewer than two where there are two.
        #[test]
        fn promote_08_every_witness_counts(
            answers in prop::collection::vec((1_u8..3, any::<bool>(), any::<bool>(), 0_u32..600), 0..4),
            known in 0_usize..6,
        ) {
            let answers: Vec<Witness> = answers.into_iter()
                .map(|(ip, tcp, udp, rate)| witness(ip, tcp, udp, rate)).collect();
            if let Ok(at) = judged(known, &answers) {
                prop_assert!(answers.len() >= known.clamp(1, WITNESSES));
                for one in &answers {
                    prop_assert!(one.reached.tcp && one.reached.udp);
                    prop_assert_eq!(Some(one.reached.ip), at.map(|at| at.ip()));
                }
            }
        }
    }
}
