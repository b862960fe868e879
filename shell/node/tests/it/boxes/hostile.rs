//! Whoever does not keep to what a holder expects: it is refused, counted and sent away, and others do not notice.

use iroh::endpoint::{RecvStream, SendStream};
use starling_node::transport::stream;
use starling_wire::alpn;
use starling_wire::frame::encode;
use starling_wire::ids::MailboxId;
use starling_wire::log::frames::{About, Answer, Ask, LOG_FRAME_MAX};
use starling_wire::log::grant::{SignedGrant, Token};
use starling_wire::log::keys::{Ends, Side};
use starling_wire::log::{Entry, Head};

use super::*;

/// Mallory at a holder, with frames of her own.
struct Mallory {
    _endpoint: iroh::Endpoint,
    connection: iroh::endpoint::Connection,
    send: SendStream,
    receive: RecvStream,
    ends: Ends,
}

impl Mallory {
    async fn at(member: &Member, holder: &SupernodeAddr) -> Self {
        let secret: [u8; 32] = starling_node::clock::random();
        let visited = member.person.door.visit(holder, &secret, alpn::LOG).await;
        let (endpoint, connection) = visited.expect("she is let in");
        let (send, receive) = connection.open_bi().await.expect("a stream");
        let key = ed25519_dalek::SigningKey::from_bytes(&secret);
        Self {
            ends: Ends {
                holder: holder.id,
                asker: EndpointKey(key.verifying_key().to_bytes()),
            },
            _endpoint: endpoint,
            connection,
            send,
            receive,
        }
    }

    async fn write(&mut self, bytes: &[u8]) {
        // The holder may have closed it already.
        let _ = self.send.write_all(bytes).await;
    }

    async fn ask(&mut self, ask: &Ask) -> Option<Answer> {
        self.write(&encode(ask)).await;
        self.hear().await
    }

    /// The next answer; nothing if she was sent away.
    async fn hear(&mut self) -> Option<Answer> {
        let read = stream::read::<Answer>(&mut self.receive, LOG_FRAME_MAX);
        let read = tokio::time::timeout(PATIENCE, read).await;
        read.expect("in time").ok().flatten()
    }

    async fn until_sent_away(&self) {
        let closed = tokio::time::timeout(PATIENCE, self.connection.closed()).await;
        closed.expect("she is sent away");
    }

    fn show(&self, secret: &Generation, side: Side) -> Ask {
        let mailbox = secret.plan().mailbox(self.ends.holder);
        let keys = secret.keys(self.ends.holder);
        Ask::Enter {
            mailbox,
            side,
            proof: side.prove(keys.of(side), mailbox, self.ends),
        }
    }
}

fn refused(about: About, why: Refusal) -> Option<Answer> {
    Some(Answer::Refused(about, why))
}

fn entry(secret: &Generation, holder: EndpointKey, bytes: usize) -> Entry {
    let place = (secret.plan().mailbox(holder), &secret.keys(holder).deposit);
    Entry::new((Kind::Message, SLOT), vec![1; bytes].into(), place).expect("an entry")
}

#[tokio::test(flavor = "multi_thread")]
async fn box_08_whoever_talks_nonsense_is_sent_away_and_nobody_else_notices() {
    let land = Land::of(1).await;
    let town = &land.towns[0];
    let alice = Member::new("Alice", town.at()).await;
    let homes = [town.at().clone()];
    let secret = generation(9, &homes);
    let mut talk = alice.talk(&secret, &homes);
    let before = talk.say(0).await;
    talk.until_held(before, 1).await;
    let mallory = Member::new("Mallory", town.at()).await;
    // Garbage; a frame larger than any.
    for bytes in [&[0, 0, 0, 9, 250, 1, 2, 3, 4, 5, 6, 7, 8][..], &[255; 64]] {
        let mut one = Mallory::at(&mallory, town.at()).await;
        one.write(bytes).await;
        assert_eq!(one.hear().await, refused(About::Frame, Refusal::Malformed));
        one.until_sent_away().await;
    }
    // A body is not taken of whoever has not shown the key.
    let mut one = Mallory::at(&mallory, town.at()).await;
    let left = entry(&secret, town.at().id, 65_536);
    match one.ask(&Ask::Deposit(*left.head())).await {
        Some(Answer::Refused(About::Entry(_), Refusal::NoBox)) => {}
        other => panic!("{other:?}"),
    }
    one.until_sent_away().await;
    shows_wrong_keys(&mallory, town.at(), &secret).await;
    let after = talk.say(1).await;
    talk.until_held(after, 1).await;
    let shown = town.supernode.holding();
    for why in [
        Refusal::Malformed,
        Refusal::NoBox,
        Refusal::NoKey,
        Refusal::NoGrant,
    ] {
        assert!(shown.refused[&why] >= 1, "{why}: {shown:?}");
    }
    assert_eq!(shown.figures.boxes, 1);
    land.end().await;
}

/// The wrong key; another box; the right key, shown at another connection; a grant that she made herself.
async fn shows_wrong_keys(mallory: &Member, at: &SupernodeAddr, secret: &Generation) {
    let mut one = Mallory::at(mallory, at).await;
    let stranger = Generation {
        secret: [200; 32].into(),
        ..secret.clone()
    };
    let mailbox = secret.plan().mailbox(at.id);
    let forged = Side::Read.prove(&stranger.keys(at.id).read, mailbox, one.ends);
    let enter = |mailbox, proof| Ask::Enter {
        mailbox,
        side: Side::Read,
        proof,
    };
    let answer = one.ask(&enter(mailbox, forged)).await;
    assert_eq!(answer, refused(About::Enter, Refusal::NoKey));
    let answer = one.ask(&enter(MailboxId([1; 32]), forged)).await;
    assert_eq!(answer, refused(About::Enter, Refusal::NoBox));
    let other = Mallory::at(mallory, at).await;
    let answer = one.ask(&other.show(secret, Side::Read)).await;
    assert_eq!(answer, refused(About::Enter, Refusal::NoKey));
    let answer = one.ask(&Ask::Fetch { after: 0, limit: 9 }).await;
    assert_eq!(answer, refused(About::Frame, Refusal::NoBox));
    let own = ed25519_dalek::SigningKey::from_bytes(&[77; 32]);
    let open = Ask::Open {
        token: Token::Granted(SignedGrant::new([1; 16], 30_000, &own)),
        plan: Box::new(stranger.plan()),
    };
    let answer = one.ask(&open).await;
    assert_eq!(answer, refused(About::Open, Refusal::NoGrant));
}

#[tokio::test(flavor = "multi_thread")]
async fn box_10_a_member_who_floods_is_held_back_and_a_head_that_lies_is_refused() {
    let land = Land::of(1).await;
    let town = &land.towns[0];
    let alice = Member::new("Alice", town.at()).await;
    let homes = [town.at().clone()];
    let [secret, other] = [generation(10, &homes), generation(11, &homes)];
    let mut talks = [alice.talk(&secret, &homes), alice.talk(&other, &homes)];
    for talk in &mut talks {
        let entry = talk.say(0).await;
        talk.until_held(entry, 1).await;
    }
    let mallory = Member::new("Mallory", town.at()).await;
    let mut one = Mallory::at(&mallory, town.at()).await;
    let shown = one.ask(&one.show(&secret, Side::Deposit)).await;
    assert_eq!(shown, Some(Answer::Entered(Side::Deposit)));

    // As fast as she can, without listening: what is beyond the box's rate is refused.
    for number in 0..600_u64 {
        let place = (
            secret.plan().mailbox(town.at().id),
            &secret.keys(town.at().id).deposit,
        );
        let left = Entry::new((Kind::Message, SLOT), body(1_000 + number), place);
        let left = left.expect("an entry");
        let mut bytes = encode(&Ask::Deposit(*left.head()));
        bytes.extend_from_slice(left.body());
        one.write(&bytes).await;
    }
    let (mut taken, mut held_back) = (0, 0);
    for _ in 0..600 {
        match one.hear().await {
            Some(Answer::Receipt(_)) => taken += 1,
            Some(Answer::Refused(About::Entry(_), Refusal::TooOften)) => held_back += 1,
            other => panic!("{other:?}"),
        }
    }
    println!("of 600 at once {taken} were taken, {held_back} not");
    assert!(taken >= 240 && held_back >= 100, "{taken} {held_back}");
    // The other conversation's box is not her business.
    let calm = talks[1].say(1).await;
    talks[1].until_held(calm, 1).await;

    // A head with a length that no body has.
    let head = Head {
        body_bytes: u32::MAX,
        ..*entry(&secret, town.at().id, 512).head()
    };
    let answer = one.ask(&Ask::Deposit(head)).await;
    assert_eq!(answer, refused(About::Frame, Refusal::BadEntry));
    one.until_sent_away().await;
    land.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn box_08_whoever_asks_and_takes_nothing_is_not_read_and_others_are_served() {
    let land = Land::of(1).await;
    let town = &land.towns[0];
    let alice = Member::new("Alice", town.at()).await;
    let homes = [town.at().clone()];
    let secret = generation(12, &homes);
    let mut talk = alice.talk(&secret, &homes);
    for number in 0..40 {
        let left = talk.log.deposit((Kind::Message, SLOT), large(number)).await;
        talk.until_held(left.expect("it is left"), 1).await;
    }
    let mallory = Member::new("Mallory", town.at()).await;
    let mut many = Vec::new();
    for _ in 0..20 {
        let mut one = Mallory::at(&mallory, town.at()).await;
        let shown = one.ask(&one.show(&secret, Side::Read)).await;
        assert_eq!(shown, Some(Answer::Entered(Side::Read)));
        let fetch = encode(&Ask::Fetch {
            after: 0,
            limit: 256,
        });
        for _ in 0..100 {
            one.write(&fetch).await;
        }
        many.push(one);
    }
    let bob = Member::new("Bob", town.at()).await;
    let bobs = bob.talk(&secret, &homes);
    bobs.log.collect().await.expect("it goes on");
    bobs.until_kept("all", |shelf| shelf.entries().len() == 40)
        .await;
    let entry = talk.say(99).await;
    talk.until_held(entry, 1).await;
    drop(many);
    land.end().await;
}

fn large(number: u64) -> Arc<[u8]> {
    let mut body = vec![7; 65_536];
    body[..8].copy_from_slice(&number.to_be_bytes());
    body.into()
}
