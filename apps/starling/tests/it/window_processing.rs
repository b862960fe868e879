//! The page of the microphone's sound.

use starling_control::Command;
use starling_control::view::*;

use crate::window_http::Visitor;
use crate::window_peer::{Stage, alice};

#[tokio::test]
async fn what_is_done_with_the_microphone_is_shown_and_changed_without_script() {
    let mut script = alice();
    script.owner.processing = Processing {
        echo: EchoLevel::Strong,
        noise: NoiseLevel::Off,
        gain: GainLevel::Decibels(7),
    };
    let stage = Stage::set(script).await;
    let visitor = Visitor::enter(&stage.window).await;
    let page = visitor.get("microphone").await.body;
    for words in [
        "<label for=\"processing-echo\">",
        "<label for=\"processing-noise\">",
        "<label for=\"processing-gain\">",
        "<option value=\"strong\" selected>",
        "<option value=\"off\" selected>",
        "<option value=\"7\" selected>7 dB louder, always",
    ] {
        assert!(page.contains(words), "{words}");
    }
    assert!(
        visitor
            .get("account")
            .await
            .body
            .contains("href=\"microphone\"")
    );
    let form = "echo=off&noise=high&gain=on";
    assert_eq!(visitor.post("processing-set", form).await.status, 200);
    let change = ProcessingChange {
        echo: Some(EchoLevel::Off),
        noise: Some(NoiseLevel::High),
        gain: Some(GainLevel::On),
    };
    assert!(stage.asked(&Command::ProcessingSet(change)));
    let refused = visitor.post("processing-set", "gain=31").await;
    assert_eq!(refused.status, 400);
}
