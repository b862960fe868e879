//! The JSON of commands.

use super::*;

#[test]
fn the_json_is_what_the_documents_say() {
    let send = Command::ChatSend {
        who: "bob".into(),
        text: "hi".into(),
    };
    let json = serde_json::to_string(&send).unwrap();
    assert_eq!(
        json,
        r#"{"method":"chat.send","params":{"who":"bob","text":"hi"}}"#
    );
    let call: Command =
        serde_json::from_str(r#"{"method":"call.start","params":{"who":"bob","play":"/a.wav"}}"#)
            .unwrap();
    let sound = Sound {
        play: Some("/a.wav".into()),
        ..Sound::default()
    };
    assert_eq!(
        call,
        Command::CallStart {
            who: "bob".into(),
            sound
        }
    );
}
