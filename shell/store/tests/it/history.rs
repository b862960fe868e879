//! Conversations of many: the rows say what the transcript says, and words find what is shown.

use proptest::prelude::*;
use starling_chat::transcript::{self, Archive, Author, Change, Kind, Memory, Refusal, Said};
use starling_store::conversations::{self, Conversation, Draft, Member};
use starling_store::delivery::{self, Stage};
use starling_store::history::{self, Post};
use starling_store::search::{self, Found};
use starling_store::{Store, StoreError, Tx, messages};
use starling_wire::content::emoji::Emoji;
use starling_wire::content::long::write;
use starling_wire::content::{Body, Content, Text, Words};
use starling_wire::ids::{AccountId, DeviceId, GroupId, MessageId};
use starling_wire::limits::CONTENT_MAX;

use crate::{ALICE, BOB, NOW, carol, carol_with_friends, message};

pub const GROUP: GroupId = GroupId([0x60; 32]);
pub const CAROL: AccountId = AccountId([0xc4; 32]);

pub fn group(id: GroupId) -> Conversation {
    Conversation {
        id,
        contact: None,
        topic: "Sailing".into(),
        muted: false,
        made_at: NOW,
        last_at: NOW,
    }
}

/// Carol is the moderator.
pub fn by(account: AccountId) -> Author {
    Author {
        account,
        device: DeviceId(account.0),
        rank: u8::from(account == CAROL),
    }
}

fn may_delete(author: &Author, target: &Author) -> bool {
    author.rank > target.rank
}

pub fn said(account: AccountId, sent_at: u64, before: &[MessageId], body: Body) -> Said {
    let content = Content {
        sent_at,
        predecessors: before.to_vec(),
        body,
    };
    Said::new(by(account), content).unwrap()
}

pub fn text(text: &str) -> Body {
    Body::Text(Text {
        words: Words::new(text),
        reply_to: None,
    })
}

pub fn take(tx: &Tx<'_>, group: GroupId, said: &Said) -> Result<Vec<Change>, StoreError> {
    history::take(tx, group, CAROL, said.clone(), &may_delete, NOW)
}

/// Carol's store with one group, in which this was said.
fn heard(all: &[&Said]) -> (tempfile::TempDir, Store) {
    let (dir, mut store) = carol();
    store
        .write(|tx| {
            conversations::put(tx, &group(GROUP))?;
            all.iter()
                .try_for_each(|said| take(tx, GROUP, said).map(drop))
        })
        .unwrap();
    (dir, store)
}

fn posts(store: &Store) -> Vec<Post> {
    store
        .read(|tx| history::page(tx, GROUP, None, 10_000))
        .unwrap()
}

fn find(store: &Store, question: &str) -> Vec<Found> {
    store
        .read(|tx| search::find(tx, question, None, None, 100))
        .unwrap()
}

fn found(store: &Store, question: &str) -> Vec<MessageId> {
    find(store, question)
        .into_iter()
        .map(|found| found.post.id)
        .collect()
}

fn edit(of: MessageId, text: &str) -> Body {
    Body::Edit {
        of,
        words: Words::new(text),
    }
}

fn react(to: MessageId, emoji: &str, on: bool) -> Body {
    Body::React {
        to,
        emoji: Emoji::new(emoji).unwrap(),
        on,
    }
}

/// A text of three messages.
fn long(account: AccountId, text: &str) -> Vec<Said> {
    let content = Content {
        sent_at: NOW,
        predecessors: vec![],
        body: self::text(text),
    };
    let written = write(account, content).unwrap();
    written
        .iter()
        .map(|one| Said::read(by(account), &one.bytes).unwrap())
        .collect()
}

/// Who, by which clock, having seen which, does what to which.
type Step = (u8, u8, u8, u8, u8);

fn talk(steps: &[Step]) -> Vec<Said> {
    let mut talk: Vec<Said> = Vec::new();
    for (n, (who, clock, seen, what, which)) in steps.iter().enumerate() {
        let who = [ALICE, BOB, CAROL][usize::from(*who) % 3];
        let clock = [NOW, 7, u64::MAX, NOW + u64::from(*clock)][usize::from(*clock) % 4];
        // The same words by the same clock are one message: nobody names it twice.
        let mut before: Vec<MessageId> = Vec::new();
        for (at, said) in talk.iter().rev().take(8).enumerate() {
            if seen >> at & 1 == 1 && !before.contains(&said.id()) {
                before.push(said.id());
            }
        }
        let target = talk
            .get(usize::from(*which) % talk.len().max(1))
            .map(Said::id);
        let body = match (what % 8, target) {
            (0 | 1, Some(of)) => edit(of, &format!("edited {n}")),
            (2, Some(of)) => Body::Delete { of },
            (3 | 4, Some(to)) => react(to, ["👍", "❤️"][n % 2], what % 16 < 8),
            (5, Some(up_to)) => Body::Read {
                up_to,
                place: clock,
            },
            (6, _) => {
                let letter = char::from(b'a' + (n % 20) as u8);
                talk.extend(long(who, &letter.to_string().repeat(CONTENT_MAX)));
                continue;
            }
            _ => text(&format!("said {n}")),
        };
        talk.push(said(who, clock, &before, body));
    }
    talk
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn msg_14_the_store_and_the_memory_say_the_same(
        steps in prop::collection::vec(any::<Step>(), 0..25),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let talk = talk(&steps);
        let early = order.iter().filter(|_| !talk.is_empty()).map(|at| at.get(&talk));
        let mixed: Vec<&Said> = early.chain(talk.iter().rev()).collect();
        let (_dir, mut store) = carol();
        store.write(|tx| conversations::put(tx, &group(GROUP))).unwrap();
        let mut memory = Memory::default();
        for said in mixed {
            let Ok(expected) = transcript::take(&mut memory, said.clone(), &may_delete);
            let changes = store.write(|tx| take(tx, GROUP, said)).unwrap();
            prop_assert_eq!(changes, expected);
        }
        let posts = posts(&store);
        let kept: Vec<_> = posts.iter().map(|post| (post.id, &post.kept)).collect();
        prop_assert_eq!(kept, memory.shown());
        let (heads, missing, marks) = store.read(|tx| {
            let missing = history::missing(tx, GROUP, 1_000)?;
            Ok((history::heads(tx, GROUP)?, missing, history::marks(tx, GROUP)?))
        }).unwrap();
        prop_assert_eq!(heads, memory.heads(8));
        prop_assert!(missing.iter().map(|one| &one.id).eq(memory.missing()));
        for (reader, mark, _) in marks {
            prop_assert_eq!(memory.mark(reader), Ok(Some(mark)));
        }
        // Words find exactly what is shown.
        let with_words = |word: &str| {
            let mut shown = Vec::new();
            for (id, kept) in memory.shown() {
                let Ok(body) = transcript::whole(&memory, kept);
                let words = match (&kept.state.words, body) {
                    (Some(words), _) => words.text.clone(),
                    (None, Some(Body::Text(text))) => text.words.text,
                    _ => String::new(),
                };
                if words.contains(word) {
                    shown.push(id);
                }
            }
            shown.sort();
            shown
        };
        for word in ["said", "edited"] {
            let mut found = found(&store, word);
            found.sort();
            prop_assert_eq!(found, with_words(word));
        }
    }
}

#[test]
fn pages_go_both_ways_without_gap_or_overlap() {
    let all: Vec<Said> = (0..25)
        .map(|n| said(ALICE, NOW + n / 3, &[], text(&n.to_string())))
        .collect();
    let (_dir, store) = heard(&all.iter().collect::<Vec<_>>());
    let whole = posts(&store);
    assert_eq!(whole.len(), 25);
    let (mut back, mut on) = (Vec::new(), Vec::new());
    let (mut first, mut last) = (None, None);
    for _ in 0..4 {
        let page = store
            .read(|tx| history::page(tx, GROUP, first, 10))
            .unwrap();
        first = page
            .first()
            .map(|post| (post.kept.place, post.id))
            .or(first);
        back.splice(0..0, page);
        let page = store
            .read(|tx| history::page_after(tx, GROUP, last, 10))
            .unwrap();
        last = page.last().map(|post| (post.kept.place, post.id)).or(last);
        on.extend(page);
    }
    assert_eq!((back, on), (whole.clone(), whole));
}

#[test]
fn words_follow_what_is_shown() {
    let first = said(ALICE, NOW, &[], text("Meet at the *Café* in 東京都"));
    let fixed = said(
        ALICE,
        NOW + 1,
        &[first.id()],
        edit(first.id(), "Meet at the harbour"),
    );
    let other = said(BOB, NOW + 2, &[], text("harbours are cold, 東京 too"));
    let (_dir, mut store) = heard(&[&first, &other]);
    for (question, expected) in [
        ("cafe", vec![first.id()]),
        ("CAFÉ meet", vec![first.id()]),
        ("東京", vec![other.id(), first.id()]),
        ("京都", vec![first.id()]),
        ("都", vec![first.id()]),
        ("東都", vec![]),
        ("harb", vec![other.id()]),
        ("cafe harbour", vec![]),
        ("\" OR *", vec![]),
        ("", vec![]),
    ] {
        assert_eq!(found(&store, question), expected, "{question:?}");
    }
    let snippet = &find(&store, "cafe")[0].snippet;
    assert_eq!(&snippet.text[snippet.hits[0].clone()], "Café");
    store.write(|tx| take(tx, GROUP, &fixed)).unwrap();
    assert_eq!(found(&store, "cafe"), []);
    assert_eq!(found(&store, "harbour"), [other.id(), first.id()]);
    let versions = store
        .read(|tx| history::versions(tx, GROUP, first.id()))
        .unwrap();
    assert_eq!(versions.len(), 2);
    assert!(versions[0].1.text.contains("Café") && versions[1].0 == NOW + 1);
    let gone = said(ALICE, NOW + 3, &[], Body::Delete { of: first.id() });
    store.write(|tx| take(tx, GROUP, &gone)).unwrap();
    assert_eq!(found(&store, "harbour"), [other.id()]);
    let left = store.read(|tx| history::plaintext(tx, GROUP, first.id()));
    assert_eq!(left, Ok(None), "nor is it on the disk");
    let kept = store
        .read(|tx| history::plaintext(tx, GROUP, other.id()))
        .unwrap()
        .unwrap();
    assert_eq!(Said::read(by(BOB), &kept).unwrap(), other);
}

#[test]
fn search_knows_conversations_and_pages() {
    let other = GroupId([0x61; 32]);
    let (_dir, mut store) = heard(&[]);
    store
        .write(|tx| conversations::put(tx, &group(other)))
        .unwrap();
    for n in 0..20 {
        let said = said(ALICE, NOW + n, &[], text(&format!("wind {n}")));
        let to = if n % 2 == 0 { GROUP } else { other };
        store.write(|tx| take(tx, to, &said)).unwrap();
    }
    let mut found = Vec::new();
    let mut before = None;
    for _ in 0..4 {
        let page = store
            .read(|tx| search::find(tx, "wind", Some(other), before, 4))
            .unwrap();
        before = page.last().map(|last| last.number).or(before);
        found.extend(page);
    }
    assert_eq!(found.len(), 10);
    assert!(found.iter().all(|found| found.conversation == other));
    assert!(found.is_sorted_by(|a, b| a.number > b.number));
    store.write(|tx| conversations::remove(tx, other)).unwrap();
    assert_eq!(find(&store, "wind").len(), 10);
    let gone = store.read(|tx| history::page(tx, other, None, 1));
    assert_eq!(gone, Err(StoreError::Missing("conversation")));
}

#[test]
fn msg_17_a_long_text_is_found_once_it_is_whole() {
    let text = format!("{} lighthouse", "x ".repeat(CONTENT_MAX / 2));
    let pieces = long(BOB, &text);
    let (_dir, mut store) = heard(&[&pieces[2], &pieces[1]]);
    assert_eq!(found(&store, "lighthouse"), []);
    let missing = store.read(|tx| history::missing(tx, GROUP, 10)).unwrap();
    assert_eq!(
        (missing[0].id, missing[0].named_by),
        (pieces[0].id(), by(BOB))
    );
    store.write(|tx| take(tx, GROUP, &pieces[0])).unwrap();
    let found = find(&store, "lighthouse");
    assert_eq!(found.len(), 1);
    let post = &found[0].post;
    assert!(found[0].snippet.cut_before && post.kept.state.complete);
    let whole = store
        .read(|tx| history::body(tx, GROUP, &post.kept))
        .unwrap();
    assert!(matches!(whole, Some(Body::Text(whole)) if whole.words.text == text));
}

#[test]
fn a_refused_change_stays_known_and_says_nothing() {
    let hi = said(ALICE, NOW, &[], text("hi"));
    let foreign = said(BOB, NOW, &[hi.id()], edit(hi.id(), "I owe Bob a boat"));
    let (_dir, mut store) = heard(&[&hi]);
    let changes = store.write(|tx| take(tx, GROUP, &foreign)).unwrap();
    assert_eq!(
        changes,
        [Change::Refused(foreign.id(), Refusal::ForeignEdit)]
    );
    let again = store.write(|tx| take(tx, GROUP, &foreign)).unwrap();
    assert_eq!(again, [Change::Known(foreign.id())]);
    assert_eq!(found(&store, "boat"), []);
    let plaintext = store.read(|tx| history::plaintext(tx, GROUP, foreign.id()));
    assert_eq!(plaintext, Ok(None));
    let unseen = |store: &Store| store.read(|tx| history::unseen(tx, GROUP));
    assert_eq!(unseen(&store), Ok(1));
    let gone = said(ALICE, NOW, &[], Body::Delete { of: hi.id() });
    store.write(|tx| take(tx, GROUP, &gone)).unwrap();
    assert_eq!(unseen(&store), Ok(0), "nothing is left to be seen");
}

#[test]
fn a_list_shows_what_is_new() {
    let (_dir, mut store) = heard(&[]);
    let later = NOW + 60_000;
    let draft = |text: &str, changed_at| Draft {
        text: text.into(),
        reply_to: Some(MessageId([1; 16])),
        changed_at,
    };
    store
        .write(|tx| {
            let quiet = Conversation {
                contact: Some(BOB),
                topic: String::new(),
                ..group(GroupId([0x61; 32]))
            };
            conversations::put(tx, &quiet)?;
            assert!(conversations::put_draft(
                tx,
                GROUP,
                &draft("I was about", NOW)
            )?);
            assert!(!conversations::put_draft(
                tx,
                GROUP,
                &draft("older", NOW - 1)
            )?);
            for (n, who) in [ALICE, BOB, CAROL].into_iter().enumerate() {
                let said = said(who, later + n as u64, &[], text("hi"));
                history::take(tx, GROUP, CAROL, said, &may_delete, later)?;
            }
            Ok(())
        })
        .unwrap();
    let list = store.read(conversations::list).unwrap();
    let first = &list[0];
    assert_eq!(
        (first.conversation.id, first.unseen),
        (GROUP, 2),
        "her own is not new"
    );
    assert_eq!(first.conversation.last_at, later);
    assert_eq!(first.draft, Some(draft("I was about", NOW)));
    let last = first.last.clone().unwrap();
    assert_eq!(last.kept.author.account, CAROL);
    assert_eq!(list[1].last, None);
    let bobs = store.read(|tx| conversations::with(tx, BOB)).unwrap();
    assert_eq!(bobs.as_ref(), Some(&list[1].conversation));
    assert_eq!(
        store.write(|tx| history::mark_seen(tx, GROUP, later)),
        Ok(1)
    );
    assert_eq!(
        store.write(|tx| history::mark_seen(tx, GROUP, u64::MAX)),
        Ok(1)
    );
    store
        .write(|tx| conversations::put_draft(tx, GROUP, &draft("", later)))
        .unwrap();
    assert_eq!(store.read(|tx| conversations::draft(tx, GROUP)), Ok(None));
}

#[test]
fn members_come_and_go() {
    let (_dir, mut store) = heard(&[]);
    let member = |account, left_at| Member {
        account,
        role: 1,
        joined_at: NOW,
        left_at,
    };
    let all = [member(ALICE, None), member(BOB, Some(NOW + 1))];
    store
        .write(|tx| {
            conversations::put_member(tx, GROUP, &member(BOB, None))?;
            all.iter()
                .try_for_each(|member| conversations::put_member(tx, GROUP, member))
        })
        .unwrap();
    assert_eq!(
        store.read(|tx| conversations::members(tx, GROUP)).unwrap(),
        all
    );
}

#[test]
fn an_own_message_goes_from_queued_to_devices() {
    let own = said(CAROL, NOW, &[], text("hi"));
    let second = said(CAROL, NOW + 1, &[], text("ho"));
    let (_dir, mut store) = heard(&[&own, &second]);
    let id = own.id();
    store
        .write(|tx| {
            assert_eq!(delivery::get(tx, GROUP, id)?, None);
            for said in [&own, &second] {
                delivery::put(tx, GROUP, said.id(), (Stage::Queued, 0, None), NOW)?;
            }
            assert_eq!(delivery::queued(tx, GROUP, 10)?, [id, second.id()]);
            delivery::put(
                tx,
                GROUP,
                id,
                (Stage::Failed, 0, Some("no holder answers")),
                NOW,
            )?;
            let failed = delivery::get(tx, GROUP, id)?.unwrap();
            assert_eq!(failed.reason.as_deref(), Some("no holder answers"));
            assert!(delivery::put(tx, GROUP, id, (Stage::Sent, 2, None), NOW)?);
            assert!(!delivery::put(
                tx,
                GROUP,
                id,
                (Stage::Queued, 0, None),
                NOW
            )?);
            let device = (ALICE, DeviceId(ALICE.0));
            assert!(delivery::delivered(tx, GROUP, id, device, NOW + 5)?);
            assert!(!delivery::delivered(tx, GROUP, id, device, NOW + 9)?);
            let sent = delivery::get(tx, GROUP, id)?.unwrap();
            assert_eq!((sent.stage, sent.held, sent.reason), (Stage::Sent, 2, None));
            assert_eq!(sent.delivered, [(ALICE, DeviceId(ALICE.0), NOW + 5)]);
            assert_eq!(delivery::queued(tx, GROUP, 10)?, [second.id()]);
            Ok(())
        })
        .unwrap();
}

#[test]
fn messages_from_before_there_were_groups_move_in() {
    let (_dir, mut store) = carol_with_friends();
    let pair = Conversation {
        contact: Some(ALICE),
        ..group(GROUP)
    };
    store
        .write(|tx| {
            messages::insert_incoming(tx, ALICE, &message(1, "ahoy"), NOW)?;
            messages::insert_outgoing(tx, ALICE, &message(2, "ahoy yourself"), NOW)?;
            // Carol's clock went back.
            messages::insert_outgoing(tx, ALICE, &message(3, "still there?"), NOW - 999)?;
            messages::mark_delivered(tx, ALICE, &[message(2, "").id], NOW + 7)?;
            messages::insert_incoming(tx, BOB, &message(4, "not in it"), NOW)?;
            conversations::put(tx, &pair)?;
            assert_eq!(history::adopt(tx, GROUP, CAROL, ALICE)?, 3);
            assert_eq!(messages::page(tx, ALICE, None, 10)?, []);
            assert_eq!(messages::page(tx, BOB, None, 10)?.len(), 1);
            Ok(())
        })
        .unwrap();
    let posts = posts(&store);
    let ids: Vec<_> = posts.iter().map(|post| post.id).collect();
    assert_eq!(ids, [1, 2, 3].map(|n| message(n, "").id));
    let places: Vec<_> = posts.iter().map(|post| post.kept.place).collect();
    assert_eq!(places, [NOW, NOW + 1, NOW + 2]);
    assert_eq!(posts[0].kept.body(), Some(&text("ahoy")));
    assert_eq!(posts[1].kept.author.account, CAROL);
    assert_eq!(found(&store, "ahoy").len(), 2);
    let after = said(ALICE, 5, &[ids[2]], react(ids[0], "👍", true));
    store
        .write(|tx| {
            assert_eq!(history::heads(tx, GROUP)?, [ids[2]]);
            assert_eq!(delivery::queued(tx, GROUP, 10)?, [ids[2]]);
            let delivered = delivery::get(tx, GROUP, ids[1])?.unwrap();
            assert_eq!(delivered.delivered, [(ALICE, DeviceId([0; 32]), NOW + 7)]);
            take(tx, GROUP, &after)
        })
        .unwrap();
    let first = store
        .read(|tx| history::get(tx, GROUP, ids[0]))
        .unwrap()
        .unwrap();
    assert_eq!(first.kept.body(), Some(&text("ahoy")));
    assert_eq!(
        (first.kept.kind, first.kept.state.reactions.len()),
        (Kind::Post, 1)
    );
}
