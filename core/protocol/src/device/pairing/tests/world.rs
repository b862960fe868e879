//! Alice's laptop, her phone, and the connection between them.

use std::collections::VecDeque;
use std::time::Duration;

use super::*;

pub const START: Time = Duration::from_secs(100);
pub const LAPTOP: EndpointKey = EndpointKey([1; 32]);
pub const PHONE: EndpointKey = EndpointKey([2; 32]);
pub const MALLORY: EndpointKey = EndpointKey([66; 32]);

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub fn device(seed: u8) -> DeviceId {
    DeviceId(key(seed).verifying_key().to_bytes())
}

pub fn secret() -> Secret {
    Secret::new([5; 16])
}

pub fn owner() -> Owner {
    Owner::new(LAPTOP, secret(), [10; 32], START)
}

/// Who joins: key, front door, number.
#[derive(Clone, Copy)]
pub struct Joins {
    pub device: u8,
    pub door: EndpointKey,
    pub number: [u8; 32],
}

pub const THE_PHONE: Joins = Joins {
    device: 4,
    door: PHONE,
    number: [20; 32],
};

pub fn hello(joins: Joins, secret: &Secret) -> Hello {
    let doors = Doors {
        owner: LAPTOP,
        newcomer: joins.door,
    };
    let key = key(joins.device);
    Hello::new(&key, "phone".into(), secret, doors, &joins.number)
}

pub fn newcomer(secret: Secret, owner: EndpointKey) -> Newcomer {
    let doors = Doors {
        owner,
        newcomer: PHONE,
    };
    let number = THE_PHONE.number;
    let hello = Hello::new(&key(4), "phone".into(), &secret, doors, &number);
    Newcomer::new(secret, doors, hello, number, START)
}

/// What the driver makes when Alice has said that the words are the same.
pub fn welcome(joins: u8) -> Box<Welcome> {
    let recovery = key(2).verifying_key();
    let mut chain = Chain::create(&key(1), &recovery, [0; 16], device(3), "laptop");
    let add = Change::AddDevice {
        device: device(joins),
        name: "phone".into(),
        owner: false,
    };
    chain.append(&key(1), add);
    let card = Card {
        chain,
        network: None,
        name: "Alice".into(),
        request_key: request_key(&[8; 32]),
        discovery_key: [0; 32],
        sequence: 1,
    };
    Box::new(Welcome {
        card: card.sign(&key(1), Vec::new()),
        request_secret: [8; 32],
        signing_key: None,
        network: "Family".into(),
        supernodes: Vec::new(),
    })
}

/// Everything that one side said and did, in order.
pub struct Side<P, E> {
    pub persisted: Vec<P>,
    pub events: Vec<E>,
}

impl<P, E> Default for Side<P, E> {
    fn default() -> Self {
        Self {
            persisted: Vec::new(),
            events: Vec::new(),
        }
    }
}

pub type OwnerSide = Side<Added, OwnerEvent>;
pub type NewcomerSide = Side<Box<VerifiedWelcome>, NewcomerEvent>;

impl OwnerSide {
    pub fn drain(&mut self, owner: &mut Owner) -> Vec<OwnerTransmit> {
        self.persisted
            .extend(std::iter::from_fn(|| owner.poll_persist()));
        let said = std::iter::from_fn(|| owner.poll_transmit()).collect();
        self.events
            .extend(std::iter::from_fn(|| owner.poll_event()));
        said
    }

    pub fn words(&self) -> Option<Words> {
        self.events.iter().find_map(|event| match event {
            OwnerEvent::Words { words, .. } => Some(*words),
            _ => None,
        })
    }

    pub fn refused(&self, reason: EndReason) -> usize {
        let refused = OwnerEvent::Refused(reason);
        self.events
            .iter()
            .filter(|event| **event == refused)
            .count()
    }
}

impl NewcomerSide {
    pub fn drain(&mut self, newcomer: &mut Newcomer) -> Vec<PairingFrame> {
        self.persisted
            .extend(std::iter::from_fn(|| newcomer.poll_persist()));
        let said = std::iter::from_fn(|| newcomer.poll_transmit()).collect();
        self.events
            .extend(std::iter::from_fn(|| newcomer.poll_event()));
        said
    }

    pub fn words(&self) -> Option<Words> {
        self.events.iter().find_map(|event| match event {
            NewcomerEvent::Words(words) => Some(*words),
            _ => None,
        })
    }
}

/// Both, with a connection between them.
pub struct World {
    pub owner: Owner,
    pub newcomer: Newcomer,
    pub at_owner: OwnerSide,
    pub at_newcomer: NewcomerSide,
    pub to_owner: VecDeque<PairingFrame>,
    pub to_newcomer: VecDeque<PairingFrame>,
    pub connected: bool,
    /// At the phone, with the words in view.
    pub agreed: bool,
    pub now: Time,
}

impl World {
    pub fn new() -> Self {
        let mut world = Self {
            owner: owner(),
            newcomer: newcomer(secret(), LAPTOP),
            at_owner: Side::default(),
            at_newcomer: Side::default(),
            to_owner: VecDeque::new(),
            to_newcomer: VecDeque::new(),
            connected: false,
            agreed: false,
            now: START,
        };
        world.drain();
        world
    }

    pub fn drain(&mut self) {
        let said = self.at_newcomer.drain(&mut self.newcomer);
        if self.connected {
            self.to_owner.extend(said);
        }
        let said = self.at_owner.drain(&mut self.owner);
        for OwnerTransmit { to, frame } in said {
            if to == PHONE && self.connected {
                self.to_newcomer.push_back(frame);
            }
        }
    }

    pub fn connect(&mut self) {
        self.connected = true;
        self.newcomer.handle_connected();
        self.drain();
    }

    pub fn lose(&mut self) {
        self.connected = false;
        self.to_owner.clear();
        self.to_newcomer.clear();
        self.newcomer.handle_lost(self.now);
        self.drain();
    }

    /// One frame that way, if one is under way.
    pub fn deliver(&mut self, to_owner: bool) -> bool {
        let frame = if to_owner {
            self.to_owner.pop_front()
        } else {
            self.to_newcomer.pop_front()
        };
        let Some(frame) = frame else {
            return false;
        };
        if to_owner {
            self.owner.handle_frame(PHONE, frame, self.now);
        } else {
            self.newcomer.handle_frame(frame);
        }
        self.drain();
        true
    }

    pub fn settle(&mut self) {
        while self.deliver(true) || self.deliver(false) {}
    }

    /// The person at the phone says that the words are the same.
    pub fn agree(&mut self) {
        self.agreed |= self.at_newcomer.words().is_some();
        self.newcomer.handle_confirm();
        self.drain();
    }

    /// The person says so at both.
    pub fn confirm(&mut self) -> Result<(), OwnerRefused> {
        self.agree();
        self.confirm_at_owner()
    }

    pub fn confirm_at_owner(&mut self) -> Result<(), OwnerRefused> {
        let confirmed = OwnerCommand::Confirm(welcome(4));
        let answer = self.owner.handle_command(confirmed, self.now);
        self.drain();
        answer
    }

    pub fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.owner.handle_timeout(self.now);
        self.drain();
        self.newcomer.handle_timeout(self.now);
        self.drain();
    }

    pub fn joined(&self) -> bool {
        self.at_owner.events.last() == Some(&OwnerEvent::Joined(device(4)))
            && self.at_newcomer.events.last() == Some(&NewcomerEvent::Joined)
    }
}

pub fn failed(events: &[OwnerEvent]) -> Option<&Failure> {
    match events.last() {
        Some(OwnerEvent::Failed(failure)) => Some(failure),
        _ => None,
    }
}

pub fn gave_up(events: &[NewcomerEvent]) -> Option<&Failure> {
    match events.last() {
        Some(NewcomerEvent::Failed(failure)) => Some(failure),
        _ => None,
    }
}
