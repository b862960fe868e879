//! The page of the sound devices.

use starling_control::Command;
use starling_control::view::*;

use crate::window_http::Visitor;
use crate::window_peer::{Stage, alice};

const HOSTILE: &str = "<img src=x onerror=alert(1)>";

fn device(id: &str, name: &str, input: bool, default: bool) -> AudioDevice {
    AudioDevice {
        id: id.into(),
        name: name.into(),
        input,
        default,
    }
}

#[tokio::test]
async fn the_page_shows_what_is_there_and_chosen_and_changes_it_without_script() {
    let mut script = alice();
    script.owner.audio = Audio {
        devices: vec![
            device("mic", HOSTILE, true, true),
            device("box", "Loudspeaker", false, true),
            device("usb", "Headset", false, false),
        ],
        speaker: AudioChoice {
            chosen: Some("usb".into()),
            name: Some("Headset".into()),
            uses: Some("Headset".into()),
        },
        ringer: AudioChoice {
            chosen: Some("tv".into()),
            name: Some("Television".into()),
            uses: Some("Loudspeaker".into()),
        },
        push_to_talk: true,
        volume: 60,
        warnings: vec!["the ringer is away".into()],
        ..Audio::default()
    };
    let stage = Stage::set(script).await;
    let visitor = Visitor::enter(&stage.window).await;
    let page = visitor.get("sound").await.body;
    assert!(!page.contains(HOSTILE) && page.contains("&lt;img src=x"));
    assert!(page.contains("<label for=\"sound-volume\">") && page.contains("value=\"60\""));
    for labelled in ["sound-microphone", "sound-speaker", "sound-ringer"] {
        assert!(page.contains(&format!("<label for=\"{labelled}\">")));
        assert!(page.contains(&format!("<select id=\"{labelled}\"")));
    }
    for option in [
        "<option value=\"usb\" selected>Headset",
        "<option value=\"tv\" selected>Television (not there now)",
        "<option value=\"default\" selected>The system's default: &lt;img",
    ] {
        assert!(page.contains(option), "{option} is not in {page}");
    }
    assert!(page.contains("name=\"push_to_talk\" value=\"yes\" checked"));
    assert!(page.contains("the ringer is away"));

    let form = "microphone=default&speaker=box&ringer=tv&tones=yes&volume=35";
    assert_eq!(visitor.post("audio-use", form).await.status, 200);
    assert!(stage.asked(&Command::AudioUse(AudioChange {
        microphone: Some("default".into()),
        speaker: Some("box".into()),
        ringer: Some("tv".into()),
        push_to_talk: Some(false),
        tones: Some(true),
        volume: Some(35),
    })));
}

#[tokio::test]
async fn the_level_is_shown_to_whoever_asks_for_it_and_a_test_says_how_it_stands() {
    let mut script = alice();
    script.owner.level = AudioMeter {
        rms_dbfs: -23.4,
        peak_dbfs: -11.0,
    };
    script.owner.test = AudioTest {
        state: AudioTestState::Recording,
        words: "speak now".into(),
        left_ms: 4_200,
        rms_dbfs: Some(-23.4),
    };
    let stage = Stage::set(script).await;
    let visitor = Visitor::enter(&stage.window).await;
    let page = visitor.get("sound").await.body;
    assert!(
        !stage.asked(&Command::AudioMeter {}),
        "the microphone stays closed"
    );
    assert!(page.contains("speak now: 5 s") && !page.contains("action=\"audio-test\""));
    let page = visitor.get("sound?level=on").await.body;
    assert!(stage.asked(&Command::AudioMeter {}));
    assert!(page.contains("<label for=\"sound-level\">How loud the microphone is: -23 dBFS"));
    assert!(page.contains("<meter id=\"sound-level\" min=\"-60\" max=\"0\""));
    stage.script().owner.test.state = AudioTestState::Done;
    let page = visitor.get("sound").await.body;
    assert!(page.contains("action=\"audio-test\""));
    assert_eq!(visitor.post("audio-test", "").await.status, 200);
    assert!(stage.asked(&Command::AudioTest {}));
}

#[tokio::test]
async fn a_call_has_a_button_to_talk_and_one_to_hear_nothing() {
    let mut script = alice();
    script.calls = vec![Call {
        id: "call0".into(),
        contact: "bob00bbbbbbbbbbbbbbbbbbbbbbbbbbbb".into(),
        who: "Bob".into(),
        state: CallState::Established,
        sound: CallSound {
            push_to_talk: true,
            ..CallSound::default()
        },
        ..Call::default()
    }];
    let stage = Stage::set(script).await;
    let visitor = Visitor::enter(&stage.window).await;
    let page = visitor.get("calls").await.body;
    assert!(page.contains("action=\"call-talk\"") && page.contains("aria-pressed=\"false\""));
    let form = "id=call0&who=bob&on=true";
    assert_eq!(visitor.post("call-talk", form).await.status, 200);
    let asked = |what| {
        let switch = CallSwitch::of(Some("call0".into()), what, true);
        stage.asked(&Command::CallSwitch(switch))
    };
    assert!(asked(Switched::Talk) && !asked(Switched::Deafen));
    assert_eq!(visitor.post("call-deafen", form).await.status, 200);
    assert!(asked(Switched::Deafen));
}
