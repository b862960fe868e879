//! The page of the account's devices, and the first page of a device that joins.

use starling_control::view::*;
use starling_control::{Command, Event};

use crate::window_http::Visitor;
use crate::window_peer::{Script, Stage, alice};

const LINK: &str = "starling-device:aeabcdefghij";
const HOSTILE: &str = "<script>alert(1)</script>";

fn device(id: &str, name: &str, owner: bool) -> Device {
    Device {
        id: id.into(),
        name: name.into(),
        owner,
        ..Device::default()
    }
}

fn shown(words: Option<&str>) -> Pairing {
    Pairing {
        link: Some(LINK.into()),
        device_name: words.map(|_| HOSTILE.to_owned()),
        words: words.map(str::to_owned),
        ..Pairing::default()
    }
}

async fn stage(script: Script) -> (Stage, Visitor) {
    let stage = Stage::set(script).await;
    let visitor = Visitor::enter(&stage.window).await;
    (stage, visitor)
}

fn with_devices() -> Script {
    Script {
        devices: vec![
            Device {
                this: true,
                ..device("d1", "desk", true)
            },
            device("d2", HOSTILE, false),
            device("d3", "laptop", true),
        ],
        ..alice()
    }
}

#[tokio::test]
async fn devices_are_listed_and_only_one_without_the_key_can_be_removed() {
    let (stage, visitor) = stage(with_devices()).await;
    let page = visitor.get("devices").await.body;
    assert!(page.contains("(this device)") && page.contains("&lt;script&gt;alert(1)"));
    assert_eq!(page.matches("Remove this device").count(), 1, "{page}");
    assert!(page.contains("Recover the account with its 24 words"));
    assert!(page.contains("Show a link for a new device"));
    let device = "d2".to_owned();
    visitor.post("device-revoke", "device=d2").await;
    assert!(stage.asked(&Command::DeviceRevoke { device }));
    let (device, name) = ("d2".to_owned(), "pocket".to_owned());
    visitor.post("device-rename", "device=d2&name=pocket").await;
    assert!(stage.asked(&Command::DeviceRename { device, name }));
    visitor.post("device-add", "owner=yes").await;
    assert!(stage.asked(&Command::DeviceAdd { owner: true }));
    let answer = visitor.post("device-eat", "device=d2").await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn a_link_is_shown_with_its_code_and_then_the_words() {
    let mut script = with_devices();
    script.pairing = Some(shown(None));
    let (stage, visitor) = stage(script).await;
    let page = visitor.get("devices").await.body;
    assert!(page.contains(LINK) && page.contains("<svg"));
    assert!(!page.contains("four words?"));
    // The open page hears of the words by itself.
    let watcher = visitor.clone();
    let watching = tokio::spawn(async move {
        watcher
            .watch("page=devices", "abuse dynamic heart burst")
            .await
    });
    let words = shown(Some("abuse dynamic heart burst"));
    stage.script().pairing = Some(words.clone());
    while !watching.is_finished() {
        stage.tell(Event::Pairing(words.clone()));
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    watching.await.unwrap();
    let page = visitor.get("devices").await.body;
    assert!(page.contains("abuse dynamic heart burst") && page.contains("&lt;script&gt;"));
    visitor.post("device-answer", "same=yes").await;
    assert!(stage.asked(&Command::DeviceAnswer { same: true }));
    visitor.post("device-answer", "same=perhaps").await;
    assert!(stage.asked(&Command::DeviceAnswer { same: false }));
}

#[tokio::test]
async fn a_new_profile_may_join_instead_of_making_an_account() {
    let mut script = alice();
    script.status.account = None;
    let (stage, visitor) = stage(script).await;
    let page = visitor.get("").await.body;
    assert!(page.contains("I have Starling on another device"));
    let join = Command::DeviceJoin {
        link: LINK.into(),
        name: None,
    };
    let form = format!("link={}&name=", LINK.replace(':', "%3A"));
    visitor.post("device-join", &form).await;
    assert!(stage.asked(&join));
    stage.script().pairing = Some(Pairing {
        words: Some("abuse dynamic heart burst".into()),
        ..Pairing::default()
    });
    let page = visitor.get("").await.body;
    assert!(page.contains("abuse dynamic heart burst") && page.contains("Yes, the same words"));
    stage.script().pairing = Some(Pairing {
        failed: Some("it was cancelled on the other device".into()),
        ..Pairing::default()
    });
    let page = visitor.get("").await.body;
    assert!(page.contains("it was cancelled on the other device"));
}
