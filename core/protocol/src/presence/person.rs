//! What is shown of a contact: from what its devices said, and what their supernodes say of those devices.

use std::collections::BTreeMap;

use starling_wire::ids::EndpointKey;
use starling_wire::presence::{Availability, State};
use starling_wire::sync::AHEAD_MAX_MS;

/// A device's state is believed so long. It is sent anew each day while the device is there; in seconds.
pub const BELIEVED_S: u64 = 3 * 24 * 3600;
/// So far a clock may be ahead of ours; in seconds.
const AHEAD_S: u64 = AHEAD_MAX_MS / 1_000;
/// When somebody was seen is known to the minute.
const ROUND_S: u64 = 60;

/// Whether a device is there, as far as is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Lease {
    /// Its supernode could not be asked.
    #[default]
    Unknown,
    /// Its supernode knows nothing of it, or will not say.
    Nothing,
    /// It is there.
    Here,
    /// It left, then (Unix seconds).
    Left(u64),
}

/// What is shown of a person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// How.
    pub presence: Presence,
    /// What the person says.
    pub mood: String,
    /// In a call, if that is shared.
    pub in_call: bool,
    /// When somebody was last seen, if nobody is there; Unix seconds.
    pub seen: Option<u64>,
}

/// How somebody is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Presence {
    /// Cannot be told.
    #[default]
    Unknown,
    /// Gone, or invisible.
    Offline,
    /// There.
    Online,
    /// Not at the machine.
    Away,
    /// Not to be disturbed.
    Busy,
}

#[derive(Debug, Clone, Default)]
struct Device {
    lease: Lease,
    /// When it left last, as far as is known.
    left: Option<u64>,
    state: Option<State>,
}

/// A contact's devices.
#[derive(Debug, Clone, Default)]
pub struct Person(BTreeMap<EndpointKey, Device>);

impl Person {
    /// Only these doors are the contact's.
    pub fn retain(&mut self, doors: &[EndpointKey]) {
        self.0.retain(|door, _| doors.contains(door));
        for door in doors {
            self.0.entry(*door).or_default();
        }
    }

    /// What is known of a door's lease now, and what it said, if something came with that. `wall_s` is Unix seconds.
    pub fn handle(&mut self, door: EndpointKey, lease: Lease, state: Option<State>, wall_s: u64) {
        let device = self.0.entry(door).or_default();
        let before = std::mem::replace(&mut device.lease, lease);
        match lease {
            Lease::Left(at) => device.left = Some(at),
            // PRESENCE-15: whoever may see nothing any more is not told when it left, and was there until now.
            Lease::Nothing | Lease::Unknown if before == Lease::Here && device.state.is_some() => {
                device.left = Some(wall_s / ROUND_S * ROUND_S);
            }
            _ => {}
        }
        let newer = |known: &State| {
            let new = state.as_ref();
            new.is_some_and(|new| is_newer(new, known, wall_s))
        };
        if device.state.as_ref().is_none_or(newer) {
            device.state = state;
        }
    }

    /// Whether one of its devices is there, none is, or that is not known. A supernode that says nothing of a device does not
    /// say that it is gone.
    pub fn reach(&self) -> Lease {
        let leases = || self.0.values().map(|device| device.lease);
        if leases().any(|lease| lease == Lease::Here) {
            return Lease::Here;
        }
        let left = leases().map(|lease| match lease {
            Lease::Left(at) => Some(at),
            _ => None,
        });
        let latest: Option<Vec<u64>> = left.collect();
        match latest.and_then(|all| all.into_iter().max()) {
            Some(at) => Lease::Left(at),
            None if leases().any(|lease| lease == Lease::Unknown) => Lease::Unknown,
            None => Lease::Nothing,
        }
    }

    /// What is shown. `wall_s` is Unix seconds.
    pub fn shown(&self, wall_s: u64) -> Shown {
        // PRESENCE-30
        let plausible = |state: &&State| !is_ahead(state, wall_s);
        let said = || self.0.values().filter_map(|device| device.state.as_ref());
        let said = || said().filter(plausible);
        let place = |state: &&State| (state.chosen.min(wall_s + AHEAD_S), state.counter);
        let newest = said().max_by_key(place);
        let mut shown = Shown {
            mood: newest.map(|state| state.mood.clone()).unwrap_or_default(),
            ..Shown::default()
        };
        let here = self.0.values().filter(|device| device.lease == Lease::Here);
        let here = here.filter_map(|device| device.state.as_ref());
        let believed = |state: &&State| state.counter / 1_000 + BELIEVED_S > wall_s;
        let here: Vec<&State> = here.filter(plausible).filter(believed).collect();
        // PRESENCE-19: the choice is the account's; a device that was off when the person became invisible, and has not heard of it
        // yet, does not give them away.
        let chosen = said().filter(believed);
        let chosen = chosen.max_by_key(place);
        let invisible = |state: &State| state.availability == Availability::Invisible;
        if !here.is_empty() && chosen.is_some_and(invisible) {
            shown.presence = Presence::Offline;
            shown.seen = self.last_seen();
            return shown;
        }
        shown.presence = match most_available(&here) {
            Some(presence) => presence,
            None => self.absent(),
        };
        shown.in_call = here.iter().any(|state| state.in_call);
        if shown.presence == Presence::Offline {
            shown.seen = self.last_seen();
        }
        shown
    }

    /// Nobody is there, or what is said cannot be believed.
    fn absent(&self) -> Presence {
        match self.reach() {
            Lease::Nothing | Lease::Left(_) => Presence::Offline,
            Lease::Here | Lease::Unknown => Presence::Unknown,
        }
    }

    /// The newest time at which one of the devices let itself be seen.
    fn last_seen(&self) -> Option<u64> {
        let seen = |device: &Device| match &device.state {
            Some(state) if state.availability == Availability::Invisible => state.seen,
            _ => device.left,
        };
        self.0.values().filter_map(seen).max()
    }
}

/// `PRESENCE-30`: nothing newer could ever replace it.
const fn is_ahead(state: &State, wall_s: u64) -> bool {
    state.counter / 1_000 > wall_s.saturating_add(AHEAD_S)
}

/// `PRESENCE-18`: a supernode may not give an older state for the newest; one of a clock that was wrong is none.
const fn is_newer(new: &State, known: &State, wall_s: u64) -> bool {
    new.counter > known.counter || is_ahead(known, wall_s) && !is_ahead(new, wall_s)
}

/// What several devices say together.
fn most_available(here: &[&State]) -> Option<Presence> {
    let says = |availability| here.iter().any(|state| state.availability == availability);
    let shown = [
        (Availability::Busy, Presence::Busy),
        (Availability::Online, Presence::Online),
        (Availability::Away, Presence::Away),
        (Availability::Invisible, Presence::Offline),
    ];
    let found = shown
        .into_iter()
        .find(|(availability, _)| says(*availability));
    found.map(|(_, presence)| presence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DESK: EndpointKey = EndpointKey([1; 32]);
    const PHONE: EndpointKey = EndpointKey([2; 32]);
    const NOW: u64 = 1_800_000_000;

    fn state(counter: u64, availability: Availability) -> Option<State> {
        Some(State {
            counter: NOW * 1_000 + counter,
            availability,
            mood: format!("mood {counter}"),
            ..State::default()
        })
    }

    fn bob(said: &[(EndpointKey, Lease, Option<State>)]) -> Person {
        let mut bob = Person::default();
        bob.retain(&[DESK, PHONE]);
        for (door, lease, state) in said {
            bob.handle(*door, *lease, state.clone(), NOW);
        }
        bob
    }

    fn presence(said: &[(EndpointKey, Lease, Option<State>)]) -> Presence {
        bob(said).shown(NOW).presence
    }

    #[test]
    fn presence_18_an_older_state_is_no_news() {
        use Availability::{Away, Online};
        let said = [
            (DESK, Lease::Here, state(5, Away)),
            (DESK, Lease::Here, state(4, Online)),
        ];
        assert_eq!(presence(&said), Presence::Away);
        // Nor is one of last week, whenever it is heard.
        let mut old = bob(&[(DESK, Lease::Here, state(4, Online))]);
        assert_eq!(old.shown(NOW + BELIEVED_S + 1).presence, Presence::Unknown);
        old.handle(PHONE, Lease::Here, state(3 * 86_400_000, Online), NOW);
        assert_eq!(old.shown(NOW + BELIEVED_S + 1).presence, Presence::Online);
    }

    #[test]
    fn presence_19_devices_are_shown_as_one_person() {
        use Availability::{Away, Busy, Invisible, Online};
        let both = |desk, phone| {
            presence(&[
                (DESK, Lease::Here, state(1, desk)),
                (PHONE, Lease::Here, state(2, phone)),
            ])
        };
        assert_eq!(both(Away, Online), Presence::Online);
        assert_eq!(both(Online, Away), Presence::Online);
        assert_eq!(both(Busy, Online), Presence::Busy);
        assert_eq!(both(Online, Invisible), Presence::Offline);
        assert_eq!(both(Invisible, Online), Presence::Online);
        let gone = bob(&[
            (DESK, Lease::Left(100), state(1, Online)),
            (PHONE, Lease::Left(200), state(2, Online)),
        ]);
        let shown = gone.shown(NOW);
        assert_eq!(shown.presence, Presence::Offline);
        assert_eq!((shown.seen, shown.mood.as_str()), (Some(200), "mood 2"));
        assert_eq!(gone.reach(), Lease::Left(200));
    }

    #[test]
    fn presence_19_a_device_that_has_not_heard_of_it_gives_nobody_away() {
        use Availability::{Away, Invisible, Online};
        let chose = |chosen, counter, availability| {
            let said = state(counter, availability);
            said.map(|said| State { chosen, ..said })
        };
        for lease in [Lease::Here, Lease::Left(900), Lease::Unknown] {
            let said = [
                (DESK, Lease::Here, chose(20, 1, Invisible)),
                (DESK, lease, None),
                (PHONE, Lease::Here, chose(10, 2, Away)),
            ];
            assert_eq!(presence(&said), Presence::Offline, "{lease:?}");
            let later = (PHONE, Lease::Here, chose(30, 3, Online));
            let said = [said.as_slice(), &[later]].concat();
            assert_eq!(presence(&said), Presence::Online, "{lease:?}");
        }
    }

    const YEAR: u64 = 365 * 86_400;

    fn ahead(seconds: u64, chosen: u64, availability: Availability) -> Option<State> {
        let said = state(seconds * 1_000, availability);
        said.map(|said| State {
            chosen: NOW + chosen,
            ..said
        })
    }

    #[test]
    fn presence_30_a_clock_of_next_year_hides_nobody() {
        use Availability::{Invisible, Online};
        let dead = (DESK, Lease::Left(900), ahead(YEAR, YEAR, Invisible));
        let alive = (PHONE, Lease::Here, ahead(1, 0, Online));
        let shown = bob(&[dead, alive]).shown(NOW + 60);
        assert_eq!(shown.presence, Presence::Online);
        assert_eq!(shown.mood, "mood 1000", "nor is its mood the newest");
        // Nothing plausible is not known.
        let wrong = (DESK, Lease::Here, ahead(YEAR, YEAR, Online));
        assert_eq!(presence(&[wrong]), Presence::Unknown);
    }

    #[test]
    fn presence_30_a_clock_that_was_put_right_is_heard_again() {
        use Availability::{Away, Invisible, Online};
        let alive = (PHONE, Lease::Here, ahead(1, 0, Online));
        // A day is within what clocks may differ by.
        let early = (DESK, Lease::Left(900), ahead(86_400, 86_400, Invisible));
        assert_eq!(presence(&[early, alive]), Presence::Offline);
        let dead = (DESK, Lease::Left(900), ahead(YEAR, YEAR, Invisible));
        // Put right, the same device is heard again, and an earlier choice of that clock counts no more than a new one.
        let right = (DESK, Lease::Here, ahead(2, YEAR, Away));
        assert_eq!(presence(&[dead, right]), Presence::Away);
        let choice = (DESK, Lease::Left(900), ahead(1, YEAR, Invisible));
        let later = (PHONE, Lease::Here, ahead(2, YEAR + 1, Online));
        assert_eq!(presence(&[choice, later]), Presence::Online);
    }

    #[test]
    fn presence_19_an_invisible_person_was_seen_when_he_was_visible() {
        let mut invisible = state(2, Availability::Invisible);
        if let Some(state) = &mut invisible {
            state.seen = Some(60);
        }
        for lease in [Lease::Here, Lease::Left(900)] {
            let shown = bob(&[
                (DESK, lease, invisible.clone()),
                (PHONE, Lease::Nothing, None),
            ]);
            let (presence, seen) = (shown.shown(NOW).presence, shown.shown(NOW).seen);
            assert_eq!((presence, seen), (Presence::Offline, Some(60)));
        }
    }

    #[test]
    fn presence_15_whoever_may_see_nothing_any_more_knows_when_he_saw_somebody_last() {
        let silent = [Lease::Nothing, Lease::Unknown];
        for lease in silent {
            let shown = bob(&[
                (DESK, Lease::Here, state(1, Availability::Away)),
                (DESK, lease, None),
                (DESK, Lease::Nothing, None),
                (PHONE, Lease::Nothing, None),
            ]);
            let shown = shown.shown(NOW);
            assert_eq!(shown.presence, Presence::Offline);
            assert_eq!(
                (shown.seen, shown.mood.as_str()),
                (Some(NOW / 60 * 60), "mood 1")
            );
        }
        // Somebody invisible was not seen then.
        let mut hidden = state(2, Availability::Invisible);
        if let Some(state) = &mut hidden {
            state.seen = Some(60);
        }
        let said = [(DESK, Lease::Here, hidden), (DESK, Lease::Nothing, None)];
        assert_eq!(bob(&said).shown(NOW).seen, None, "the phone is not known");
        let said = [said.as_slice(), &[(PHONE, Lease::Nothing, None)]].concat();
        assert_eq!(bob(&said).shown(NOW).seen, Some(60));
    }

    #[test]
    fn presence_06_unknown_is_not_gone() {
        assert_eq!(presence(&[]), Presence::Unknown);
        let one = [(DESK, Lease::Nothing, None)];
        assert_eq!(presence(&one), Presence::Unknown);
        let both = [(DESK, Lease::Nothing, None), (PHONE, Lease::Nothing, None)];
        assert_eq!(presence(&both), Presence::Offline);
        // A link without a word: it may be somebody invisible.
        assert_eq!(presence(&[(DESK, Lease::Here, None)]), Presence::Unknown);
    }

    proptest! {
        #[test]
        fn presence_19_whoever_said_invisible_last_is_never_shown_as_there(
            said in proptest::collection::vec((0..2_u8, 0..5_u64, 0..4_u8), 1..20)
        ) {
            let mut bob = Person::default();
            let mut count = 0;
            for (door, at, availability) in said {
                count += 1;
                let all = [Availability::Online, Availability::Away, Availability::Busy, Availability::Invisible];
                let lease = if at == 0 { Lease::Here } else { Lease::Left(at) };
                let state = state(count, all[usize::from(availability)]);
                bob.handle(EndpointKey([door; 32]), lease, state, NOW);
            }
            bob.handle(DESK, Lease::Here, state(count + 1, Availability::Invisible), NOW);
            prop_assert_eq!(bob.shown(NOW).presence, Presence::Offline);
        }
    }
}
