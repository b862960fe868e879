//! Copies of dropped files: when they stay and when they go.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use starling_control::view::Transfer;
use starling_control::{Command, ErrorKind, Event, Failure};
use tokio::task::JoinHandle;

use crate::window_http::{Answer, Visitor};
use crate::window_peer::{BOB, Stage, alice};

async fn stage() -> (Stage, Visitor) {
    let stage = Stage::set(alice()).await;
    let visitor = Visitor::enter(&stage.window).await;
    (stage, visitor)
}

/// As the page's script uploads.
async fn put(visitor: &Visitor, page: &str, content: &str) -> Answer {
    let own = format!("http://{}", visitor.host);
    let headers = [
        ("origin", own.as_str()),
        ("x-starling-token", visitor.token.as_str()),
    ];
    visitor.send("PUT", page, &headers, content).await
}

/// At most 5 s.
async fn until_gone(path: &Path) {
    for _ in 0..250 {
        if !path.exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{} is still there", path.display());
}

/// Uploads `film.mkv` to a node that is still reading it; where the copy lies.
async fn upload_to_a_slow_node(stage: &Stage, visitor: &Visitor) -> (PathBuf, JoinHandle<Answer>) {
    stage.script().reads_slowly = true;
    let visitor = visitor.clone();
    let upload = tokio::spawn(async move {
        let page = format!("upload?name=film.mkv&who={BOB}");
        put(&visitor, &page, "content").await
    });
    for _ in 0..250 {
        if let Some(request) = stage.script().reading.first() {
            let Command::FileSend { path, .. } = &request.command else {
                panic!("{:?}", request.command);
            };
            return (path.into(), upload);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the node was not asked");
}

/// The node answers the one that waits.
fn read_it(stage: &Stage, reply: Result<Value, Failure>) {
    let request = stage.script().reading.remove(0);
    request.answer.send(reply).expect("the window waits");
}

fn transfer_of(path: &Path) -> Transfer {
    Transfer {
        outgoing: true,
        path: Some(path.display().to_string()),
        ..Transfer::default()
    }
}

#[tokio::test]
async fn a_copy_that_the_node_refused_goes_and_one_that_a_transfer_names_stays() {
    let (stage, visitor) = stage().await;
    let full = || Err(Failure::new(ErrorKind::System, "the disk is full"));

    let (path, upload) = upload_to_a_slow_node(&stage, &visitor).await;
    read_it(&stage, full());
    let answer = upload.await.unwrap();
    assert_eq!(answer.status, 500);
    assert!(answer.body.contains("the disk is full"));
    until_gone(&path).await;

    let (path, upload) = upload_to_a_slow_node(&stage, &visitor).await;
    stage.script().transfers.push(transfer_of(&path));
    read_it(&stage, full());
    assert_eq!(upload.await.unwrap().status, 500);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(path.exists(), "the transfer goes on");
}

#[tokio::test]
async fn missed_events_remove_nothing_that_is_being_read() {
    let (stage, visitor) = stage().await;
    let (path, upload) = upload_to_a_slow_node(&stage, &visitor).await;
    stage.tell(Event::Lagged);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(path.exists() && !upload.is_finished());
    read_it(
        &stage,
        Ok(serde_json::to_value(transfer_of(&path)).unwrap()),
    );
    assert_eq!(upload.await.unwrap().status, 200);
    assert!(path.exists());
}

#[tokio::test]
async fn a_backup_chosen_in_the_browser_goes_also_after_a_wrong_passphrase() {
    let (stage, visitor) = stage().await;
    let answer = put(&visitor, "upload?name=alice.backup", "sealed").await;
    let path: Value = serde_json::from_str(&answer.body).unwrap();
    let path = path["path"].as_str().unwrap().to_owned();
    assert!(Path::new(&path).exists());
    stage.script().refuses_restore = true;
    let form = format!("file={path}&passphrase=wrong");
    assert_eq!(visitor.post("account-restore", &form).await.status, 403);
    until_gone(Path::new(&path)).await;
}
