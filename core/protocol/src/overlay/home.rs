//! Which home supernode is used, and when it is replaced. iroh alone needs 23 s to leave a dead relay; here a closed link
//! is acted on at once, and in a call silence is probed every second.

use std::collections::VecDeque;
use std::time::Duration;

use starling_wire::ids::EndpointKey;
use starling_wire::supernode::SupernodeAddr;

/// In a call, a relay is replaced when it has been silent for so long. Outside calls the relay link's own ping is
/// relied on: iroh sends one every 15 s and gives up after 5 s more.
pub const SILENCE_IN_CALL: Duration = Duration::from_secs(3);
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// A relay that was dialled and did not come up.
const CONNECT_TIME: Duration = Duration::from_secs(4);
/// In a call somebody waits: another one is dialled sooner.
const CONNECT_IN_CALL: Duration = Duration::from_secs(1);
/// Nothing is heard in a call any more: the relay has so long to show that it is not to blame.
pub const SUSPECTED_FOR: Duration = Duration::from_secs(1);
/// And so long at least, if another supernode, sought at the same time, has answered: then it is not our own line.
const SUSPECTED_AT_LEAST: Duration = Duration::from_millis(600);
/// We are registered as soon as the supernode was reached; the link that lasts comes after it, or never.
const LINK_TIME: Duration = Duration::from_secs(10);
/// A registration is renewed so often: it expires when its device is not heard of for a week.
pub const RENEW_EVERY: Duration = Duration::from_secs(24 * 3600);
/// And again so long after a renewal that did not work.
const RENEW_RETRY: Duration = Duration::from_secs(10 * 60);
/// Letters are asked for so often although nobody said that one waits: the word of it may have been lost.
pub const COLLECT_EVERY: Duration = Duration::from_secs(15 * 60);
/// And again so long after a question that was not answered.
const COLLECT_RETRY: Duration = Duration::from_secs(60);
/// Where the supernode is talked to anyway, if the last time is so long ago: it costs no connection.
const COLLECT_BESIDE: Duration = Duration::from_secs(4 * 60);
const RETRIES: [Duration; 5] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];
const RETRY_MAX: Duration = Duration::from_secs(30);

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HomeAction {
    /// Dial this relay now, afresh.
    Dial(SupernodeAddr),
    /// The link is up: register there.
    Register(SupernodeAddr),
    /// Register once more where we are at home.
    Renew(SupernodeAddr),
    /// Ask for the letters that wait there.
    Collect(SupernodeAddr),
    /// Ask the supernode something small and report the answer.
    Probe,
    /// Ask these at once whether they are there, and report the first one that is.
    Seek(Vec<SupernodeAddr>),
}

/// Why the machine wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HomeReason {
    /// The relay did not come up.
    ConnectTimeout,
    /// Time to dial again.
    Retry,
    /// Time for a probe.
    Probe,
    /// The probe was not answered.
    Silence,
    /// The lasting link did not come.
    NoLink,
    /// The registration is a day old.
    Renew,
    /// Nobody has looked for letters for a while.
    Collect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No candidate.
    Nowhere,
    /// Waiting before the next dial.
    Waiting(Duration),
    /// Dialled, not up yet.
    Dialling(Duration),
    /// Up.
    Up,
}

/// The home may be dead, and somebody waits.
#[derive(Debug)]
struct Suspicion {
    since: Duration,
    /// One that has answered in the meantime.
    found: Option<EndpointKey>,
}

/// The home supernode's state.
#[derive(Debug)]
pub struct Home {
    candidates: Vec<SupernodeAddr>,
    current: usize,
    failures: usize,
    state: State,
    in_call: bool,
    next_probe: Option<Duration>,
    /// When it will have been silent for too long.
    silent_at: Option<Duration>,
    suspicion: Option<Suspicion>,
    /// Who did not let us in since the last success or full round.
    refused: Vec<EndpointKey>,
    /// Until when the lasting link has to come.
    link_by: Option<Duration>,
    next_renewal: Duration,
    next_collection: Duration,
    actions: VecDeque<HomeAction>,
}

impl Home {
    /// Starts with the first candidate.
    pub fn new(candidates: Vec<SupernodeAddr>, now: Duration) -> Self {
        let mut home = Self {
            candidates,
            current: 0,
            failures: 0,
            state: State::Nowhere,
            in_call: false,
            next_probe: None,
            silent_at: None,
            suspicion: None,
            refused: Vec::new(),
            link_by: None,
            next_renewal: Duration::ZERO,
            next_collection: Duration::ZERO,
            actions: VecDeque::new(),
        };
        home.dial(now);
        home
    }

    /// Other supernodes to choose from; a current one that is still listed stays.
    pub fn set_candidates(&mut self, candidates: Vec<SupernodeAddr>, now: Duration) {
        let current = self.current().cloned();
        self.candidates = candidates;
        match current.and_then(|current| {
            self.candidates
                .iter()
                .position(|candidate| *candidate == current)
        }) {
            Some(position) => self.current = position,
            None => {
                self.current = 0;
                self.failures = 0;
                self.dial(now);
            }
        }
    }

    /// The candidate in use or being dialled.
    pub fn current(&self) -> Option<&SupernodeAddr> {
        self.candidates.get(self.current)
    }

    /// Whether its link is up.
    pub fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// We are registered, or registered anew.
    pub fn handle_connected(&mut self, now: Duration) {
        self.next_renewal = now + RENEW_EVERY;
        if self.state == State::Up {
            self.collect(now);
            return;
        }
        self.state = State::Up;
        self.failures = 0;
        self.refused.clear();
        self.link_by = Some(now + LINK_TIME);
        self.expect_life(now);
        if let Some(current) = self.current().cloned() {
            self.actions.push_back(HomeAction::Register(current));
        }
        self.collect(now);
    }

    /// The supernode says that letters wait.
    pub fn handle_letters(&mut self, now: Duration) {
        self.collect(now);
    }

    /// A supernode was asked for something else and its connection is open.
    pub fn handle_visit(&mut self, supernode: EndpointKey, now: Duration) {
        let here = self.current().is_some_and(|home| home.id == supernode);
        if here && now + COLLECT_EVERY >= self.next_collection + COLLECT_BESIDE {
            self.collect(now);
        }
    }

    /// Letters were asked for, with or without an answer.
    pub fn handle_collected(&mut self, answered: bool, now: Duration) {
        if !answered {
            self.next_collection = self.next_collection.min(now + COLLECT_RETRY);
        }
    }

    /// The link that lasts is up.
    pub fn handle_linked(&mut self) {
        self.link_by = None;
    }

    /// The supernode takes no more clients: the next candidate is dialled (`HOME-11`).
    pub fn handle_refused(&mut self, now: Duration) {
        if !matches!(self.state, State::Dialling(_)) {
            return;
        }
        let full = self.current().map(|current| current.id);
        self.refused.extend(full);
        self.replace(now);
        self.seek_on();
    }

    /// A candidate was found to answer while another one did not: it is dialled at once (`HOME-13`). One that answered while
    /// the home did not say whether it is there is the next one (`HOME-17`).
    pub fn handle_found(&mut self, supernode: EndpointKey, now: Duration) {
        let at = self.candidates.iter().position(|one| one.id == supernode);
        // HOME-18: a full one that answers faster than all others would be gone back to for ever.
        let Some(at) = at.filter(|_| !self.refused.contains(&supernode)) else {
            return self.seek_on();
        };
        if at == self.current {
            return;
        }
        if self.state != State::Up {
            self.current = at;
            self.dial(now);
        } else if let Some(suspicion) = &mut self.suspicion
            && suspicion.found.is_none()
        {
            suspicion.found = Some(supernode);
            let verdict = now.max(suspicion.since + SUSPECTED_AT_LEAST);
            self.silent_at = self.silent_at.map(|at| at.min(verdict));
        }
    }

    /// `HOME-15`: this machine is in another network, or was asleep: the same relay is dialled afresh. Whatever link there
    /// was leads nowhere, and may say so late.
    pub fn handle_network_change(&mut self, now: Duration) {
        self.next_probe = None;
        self.silent_at = None;
        self.link_by = None;
        self.failures = 0;
        self.dial(now);
    }

    /// `HOME-01`: the relay link ended: the next candidate is dialled at once, an only one after 200 ms.
    pub fn handle_disconnected(&mut self, now: Duration) {
        if self.state == State::Up {
            self.replace(now);
        }
    }

    /// A call began or the last one ended: silence is looked for only in calls (`HOME-05`).
    pub fn set_in_call(&mut self, in_call: bool, now: Duration) {
        if std::mem::replace(&mut self.in_call, in_call) == in_call {
            return;
        }
        self.expect_life(now);
        // Nobody knows how long it has been silent already.
        self.next_probe = self.next_probe.map(|_| now);
    }

    /// `HOME-12`: no sound has come for half a second: the relay is probed at once, and replaced if it does not answer soon.
    /// Who could replace it is sought at the same time: the others may have died with it (`HOME-17`).
    pub fn handle_suspicion(&mut self, now: Duration) {
        if !self.in_call || !self.is_up() || self.suspicion.is_some() {
            return;
        }
        let soon = now + SUSPECTED_FOR;
        self.silent_at = Some(self.silent_at.map_or(soon, |at| at.min(soon)));
        self.next_probe = None;
        self.suspicion = Some(Suspicion {
            since: now,
            found: None,
        });
        self.actions.push_back(HomeAction::Probe);
        self.seek();
    }

    /// The supernode answered a probe, or anything else.
    pub fn handle_heard(&mut self, now: Duration) {
        self.expect_life(now);
    }

    /// Timers.
    pub fn handle_timeout(&mut self, now: Duration) {
        match self.state {
            State::Waiting(at) if at <= now => self.dial(now),
            // HOME-02: a relay that does not come up is replaced.
            State::Dialling(at) if at <= now => {
                self.replace(now);
                self.seek();
            }
            State::Up => {
                self.watch_silence(now);
                self.renew(now);
                if self.next_collection <= now {
                    self.collect(now);
                }
            }
            _ => {}
        }
    }

    /// When to be woken, and why.
    pub fn poll_timeout(&self) -> Option<(Duration, HomeReason)> {
        match self.state {
            State::Nowhere => None,
            State::Waiting(at) => Some((at, HomeReason::Retry)),
            State::Dialling(at) => Some((at, HomeReason::ConnectTimeout)),
            State::Up => {
                let probe = self.next_probe.map(|at| (at, HomeReason::Probe));
                let silence = self.silent_at.map(|at| (at, HomeReason::Silence));
                let link = self.link_by.map(|at| (at, HomeReason::NoLink));
                let renewal = Some((self.next_renewal, HomeReason::Renew));
                let letters = Some((self.next_collection, HomeReason::Collect));
                [probe, silence, link, renewal, letters]
                    .into_iter()
                    .flatten()
                    .min_by_key(|(at, _)| *at)
            }
        }
    }

    /// What to do next.
    pub fn poll_action(&mut self) -> Option<HomeAction> {
        self.actions.pop_front()
    }

    /// `HOME-03`: in a call, a probe a second after the last sign of life; three seconds without one replace the relay.
    fn watch_silence(&mut self, now: Duration) {
        let over = |limit: Option<Duration>| limit.is_some_and(|at| at <= now);
        // HOME-06: registered once, and never linked.
        if over(self.silent_at) || over(self.link_by) {
            self.replace(now);
        } else if over(self.next_probe) {
            self.next_probe = None;
            self.actions.push_back(HomeAction::Probe);
        }
    }

    fn expect_life(&mut self, now: Duration) {
        let watched = self.in_call && self.is_up();
        self.suspicion = None;
        self.next_probe = watched.then_some(now + PROBE_EVERY);
        self.silent_at = watched.then_some(now + SILENCE_IN_CALL);
    }

    /// `HOME-07`: whoever stays at home registers once a day.
    fn renew(&mut self, now: Duration) {
        if self.state != State::Up || self.next_renewal > now {
            return;
        }
        self.next_renewal = now + RENEW_RETRY;
        if let Some(current) = self.current().cloned() {
            self.actions.push_back(HomeAction::Renew(current));
        }
    }

    /// `HOME-09`: whoever is at home asks for letters now and then, also unasked.
    fn collect(&mut self, now: Duration) {
        if self.state != State::Up {
            return;
        }
        self.next_collection = now + COLLECT_EVERY;
        if let Some(current) = self.current().cloned() {
            self.actions.push_back(HomeAction::Collect(current));
        }
    }

    /// `HOME-04`: through the candidates in their order; after a full round, ever slower, never slower than 30 s.
    fn replace(&mut self, now: Duration) {
        let found = self.suspicion.take().and_then(|suspicion| suspicion.found);
        let found = self.candidates.iter().position(|one| Some(one.id) == found);
        self.next_probe = None;
        self.silent_at = None;
        self.link_by = None;
        let round = self.failures / self.candidates.len().max(1);
        self.failures += 1;
        if self.failures.is_multiple_of(self.candidates.len().max(1)) {
            self.refused.clear();
        }
        self.current = found.unwrap_or((self.current + 1) % self.candidates.len().max(1));
        if round == 0 && self.candidates.len() > 1 {
            self.dial(now);
            return;
        }
        let wait = RETRIES.get(round).copied().unwrap_or(RETRY_MAX);
        self.state = State::Waiting(now + wait);
    }

    /// `HOME-13`: where one did not answer, the others are not tried one by one only. A home that is up is probed already.
    fn seek(&mut self) {
        let up = self.current().filter(|_| self.is_up());
        let probed = up.map(|home| home.id);
        let sought =
            |one: &&SupernodeAddr| Some(one.id) != probed && !self.refused.contains(&one.id);
        let sought: Vec<SupernodeAddr> = self.candidates.iter().filter(sought).cloned().collect();
        if !sought.is_empty() {
            self.actions.push_back(HomeAction::Seek(sought));
        }
    }

    /// `HOME-19`: whoever answered is of no use, so another one is sought: the next in their order may be dead and cost a second.
    /// Outside calls nobody waits, and many that are full would be asked by many.
    fn seek_on(&mut self) {
        if self.in_call && !self.is_up() {
            self.seek();
        }
    }

    fn dial(&mut self, now: Duration) {
        match self.current().cloned() {
            Some(candidate) => {
                let patience = if self.in_call {
                    CONNECT_IN_CALL
                } else {
                    CONNECT_TIME
                };
                self.state = State::Dialling(now + patience);
                self.actions.push_back(HomeAction::Dial(candidate));
            }
            None => self.state = State::Nowhere,
        }
    }
}

#[cfg(test)]
mod tests;
