//! Calls in the window: what waits, what was missed, what one was like, and how the person wants to be called.

use starling_control::Command;
use starling_control::view::*;

use crate::window_http::{Visitor, between};
use crate::window_peer::{BOB, CAROL, NOON, Script, Stage, alice, contact};

fn ended(id: &str, record: CallRecord) -> Call {
    Call {
        id: id.into(),
        contact: BOB.into(),
        who: "Bob".into(),
        words: "no answer".into(),
        started_at: NOON,
        ended_at: Some(NOON + 70_000),
        record,
        ..Call::default()
    }
}

async fn stage(script: Script) -> (Stage, Visitor) {
    let stage = Stage::set(script).await;
    let visitor = Visitor::enter(&stage.window).await;
    (stage, visitor)
}

#[tokio::test]
async fn a_second_call_is_said_quietly_and_answering_it_holds_the_first() {
    let mut script = alice();
    let talking = Call {
        state: CallState::Established,
        ended_at: None,
        ..ended("k1", CallRecord::default())
    };
    let waits = Call {
        id: "k2".into(),
        contact: CAROL.into(),
        who: "Carol".into(),
        state: CallState::Ringing,
        waiting: true,
        ..Call::default()
    };
    script.calls = vec![talking, waits];
    let (_stage, visitor) = stage(script).await;
    let body = visitor.get("").await.body;
    assert!(body.contains("Another incoming call") && body.contains("Hold and answer"));
    assert!(
        body.contains("id=\"ringing\" aria-live=\"polite\""),
        "{body}"
    );
}

#[tokio::test]
async fn missed_calls_are_counted_until_they_were_seen() {
    let mut script = alice();
    script.status.missed_calls = 2;
    let missed = CallRecord {
        missed: true,
        ..CallRecord::default()
    };
    script.calls = vec![ended("k1", missed)];
    let (stage, visitor) = stage(script).await;
    let body = visitor.get("calls").await.body;
    assert!(body.contains("Missed call") && body.contains("I have seen the missed calls"));
    assert!(body.contains("2<span class=\"unseen\"> missed"), "{body}");
    visitor.post("call-seen", "").await;
    assert!(stage.asked(&Command::CallSeen {}));
}

#[tokio::test]
async fn a_call_of_the_log_shows_what_it_was_like() {
    let mut script = alice();
    let rtt_ms = Spread {
        average: 31.5,
        worst: 98.7,
    };
    let record = CallRecord {
        rang_at: Some(NOON + 1_000),
        answered_on: Some("laptop".into()),
        course: Some(CallCourse {
            seconds: 65,
            rtt_ms,
            ..CallCourse::default()
        }),
        ..CallRecord::default()
    };
    let quality = CallQuality {
        path: "direct".into(),
        ..CallQuality::default()
    };
    let call = Call {
        answered_at: Some(NOON + 5_000),
        quality: Some(quality),
        ..ended("k1", record)
    };
    script.calls = vec![call];
    let (_stage, visitor) = stage(script).await;
    assert!(visitor.get("calls").await.body.contains("call?id=k1"));
    let body = visitor.get("call?id=k1").await.body;
    for words in ["98.7 ms", "31.5 ms", "laptop", "0:04", "1:05", "65 times"] {
        assert!(body.contains(words), "{words}");
    }
}

#[tokio::test]
async fn whether_calls_wait_and_where_they_go_is_a_form() {
    let (stage, visitor) = stage(alice()).await;
    let body = visitor.get("call-settings").await.body;
    assert!(
        body.contains("name=\"waiting\" value=\"yes\" checked"),
        "{body}"
    );
    assert!(body.contains("If nobody answers, a call goes to"), "{body}");
    let form = format!("forward_busy={BOB}");
    visitor.post("call-set", &form).await;
    let choice = CallChoice {
        waiting: Some(false),
        transfers: Some(false),
        forward_busy: Some(BOB.into()),
        ..CallChoice::default()
    };
    assert!(stage.asked(&Command::CallSet(choice)));
}

#[tokio::test]
async fn the_other_side_is_put_through_to_another_contact_than_itself() {
    let mut script = alice();
    script
        .contacts
        .push(contact(CAROL, "Carol", Presence::Online));
    let talking = Call {
        state: CallState::Established,
        ended_at: None,
        ..ended("k1", CallRecord::default())
    };
    script.calls = vec![talking];
    let (stage, visitor) = stage(script).await;
    assert!(visitor.get("").await.body.contains("transfer?id=k1"));
    let body = visitor.get("transfer?id=k1").await.body;
    let options = between(&body, "<select id=\"transfer-to\"", "</select>");
    assert!(
        options.contains(CAROL) && !options.contains(BOB),
        "{options}"
    );
    let form = format!("id=k1&who={CAROL}");
    visitor.post("call-transfer", &form).await;
    let transfer = Command::CallTransfer {
        id: Some("k1".into()),
        who: CAROL.into(),
    };
    assert!(stage.asked(&transfer));
}
