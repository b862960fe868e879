//! A holder with its driver and its disk, and members who know the keys.

use ed25519_dalek::SigningKey;
use starling_wire::log::grant::{SignedGrant, Token};
use starling_wire::log::keys::{BoxKeys, Generation};
use starling_wire::ordering::grounds::{Grounds, SignedGrounded};
use starling_wire::ordering::statement::Signed;

use super::super::disk::Disk;
use super::*;

pub fn holder_key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[100 + number; 32])
}

fn holder_id(number: u8) -> EndpointKey {
    EndpointKey(holder_key(number).verifying_key().to_bytes())
}

/// A supernode that grants boxes.
pub fn issuer() -> SigningKey {
    SigningKey::from_bytes(&[200; 32])
}

/// A group whose three holders are the first three.
pub fn generation(secret: u8) -> Generation {
    Generation {
        number: 1,
        secret: [secret; 32].into(),
        first: FIRST,
        holders: (0..3).map(holder_id).collect(),
    }
}

pub struct Desk {
    number: u8,
    pub holder: Holder,
    pub disk: Disk,
    pub today: u32,
    pub caps: Caps,
    pub now: Time,
}

impl Desk {
    pub fn new(number: u8) -> Self {
        Self::with(number, Caps::default())
    }

    pub fn with(number: u8, caps: Caps) -> Self {
        let mut desk = Self {
            number,
            holder: Holder::new(Self::setup(number, caps, TODAY)),
            disk: Disk::default(),
            today: TODAY,
            caps,
            now: Time::ZERO,
        };
        desk.restart();
        desk
    }

    fn setup(number: u8, caps: Caps, today: u32) -> Setup {
        Setup {
            own: holder_id(number),
            caps,
            issuers: BTreeSet::from([EndpointKey(issuer().verifying_key().to_bytes())]),
            today,
            seed: 7,
        }
    }

    /// The process ends and begins again; who was connected is not any more.
    pub fn restart(&mut self) {
        let setup = Self::setup(self.number, self.caps, self.today);
        self.holder = self.disk.restore(setup, self.now);
    }

    pub fn keys(&self, generation: &Generation) -> BoxKeys {
        generation.keys(holder_id(self.number))
    }

    pub fn mailbox(&self, generation: &Generation) -> MailboxId {
        generation.plan().mailbox(holder_id(self.number))
    }

    /// What is said, once all that is to be kept is kept.
    pub fn drain(&mut self) -> Vec<(Connection, Answer)> {
        while let Some(persist) = self.holder.poll_persist() {
            self.disk.write(persist);
        }
        let key = holder_key(self.number);
        let mut answers = Vec::new();
        while let Some((who, transmit)) = self.holder.poll_transmit() {
            let answer = match transmit {
                Transmit::Answer(answer) => answer,
                Transmit::Receipt(said) => Answer::Receipt(Signed::new(said, &key)),
                Transmit::Promise(said) => {
                    let kept = self.disk.grounds(said.seat.mailbox, said.slot);
                    Answer::Promise(Box::new(SignedGrounded {
                        promise: Signed::new(said, &key),
                        grounds: kept.map(Grounds::signed).unwrap_or_default(),
                    }))
                }
                Transmit::Vote(said) => Answer::Vote(Signed::new(said, &key)),
                Transmit::Entry { mailbox, number } => {
                    let head = *self.disk.entry(mailbox, number).unwrap().head();
                    Answer::Item { number, head }
                }
                Transmit::Certificate { mailbox, slot } => {
                    let kept = self.disk.certificate(mailbox, slot).unwrap();
                    Answer::Settled(Box::new(kept.signed()))
                }
            };
            answers.push((who, answer));
        }
        answers
    }

    pub fn ask(&mut self, who: Connection, ask: Ask) -> Vec<(Connection, Answer)> {
        self.holder.handle_frame(who, ask, Arc::from([]), self.now);
        self.drain()
    }

    pub fn connect(&mut self, who: Connection) -> bool {
        let asker = EndpointKey([who.0 as u8; 32]);
        self.holder.handle_connected(who, asker, self.now)
    }

    pub fn open(&mut self, generation: &Generation, serial: u8) -> Vec<(Connection, Answer)> {
        let grant = SignedGrant::new([serial; 16], self.today + 1, &issuer());
        let who = Connection(1_000 + u64::from(serial));
        self.connect(who);
        let plan = Box::new(generation.plan());
        let token = Token::Granted(grant);
        self.ask(who, Ask::Open { token, plan })
    }

    pub fn enter(
        &mut self,
        who: Connection,
        generation: &Generation,
        side: Side,
    ) -> Vec<(Connection, Answer)> {
        let ends = Ends {
            holder: holder_id(self.number),
            asker: EndpointKey([who.0 as u8; 32]),
        };
        let mailbox = self.mailbox(generation);
        let proof = side.prove(self.keys(generation).of(side), mailbox, ends);
        self.ask(
            who,
            Ask::Enter {
                mailbox,
                side,
                proof,
            },
        )
    }

    /// An open box in which these are, with both keys.
    pub fn with_members(number: u8, generation: &Generation, members: &[Connection]) -> Self {
        let mut desk = Self::new(number);
        desk.open(generation, 1);
        desk.members(generation, members);
        desk
    }

    pub fn members(&mut self, generation: &Generation, members: &[Connection]) {
        for who in members {
            assert!(self.connect(*who));
            for side in [Side::Read, Side::Deposit] {
                let answers = self.enter(*who, generation, side);
                assert_eq!(answers[0], (*who, Answer::Entered(side)));
            }
        }
    }

    pub fn entry(&self, generation: &Generation, kind: Kind, slot: Slot, byte: u8) -> Entry {
        let place = (self.mailbox(generation), &self.keys(generation).deposit);
        Entry::new((kind, slot), body(byte, 512), place).unwrap()
    }

    pub fn leave(&mut self, who: Connection, entry: &Entry) -> Vec<(Connection, Answer)> {
        let ask = Ask::Deposit(*entry.head());
        self.holder
            .handle_frame(who, ask, entry.body().clone(), self.now);
        self.drain()
    }

    /// Leaves a message and expects a receipt.
    pub fn say(&mut self, who: Connection, generation: &Generation, byte: u8) -> Entry {
        let entry = self.entry(generation, Kind::Message, SLOT, byte);
        let answers = self.leave(who, &entry);
        assert!(
            matches!(answers[0], (to, Answer::Receipt(_)) if to == who),
            "{answers:?}"
        );
        entry
    }

    pub fn day(&mut self, today: u32) {
        self.today = today;
        self.holder.handle_day(today);
        assert_eq!(self.drain(), []);
    }
}
