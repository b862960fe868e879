//! Senders that lie, stop half-way or have lost their file, over a real connection on loopback.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bao_tree::io::sync::encode_ranges;
use iroh::endpoint::{Connection, SendStream};
use iroh::{Endpoint, EndpointAddr};

use super::fetch::{Target, fetch};
use super::index::Indexed;
use super::serve::serve;
use super::*;
use crate::transport::endpoint;
use crate::transport::pins::Pins;

const ALPN: &[u8] = b"test/1/file";
const SIZE: usize = 3_000_000;

/// Two ends of one connection; the endpoints keep it alive.
async fn connected() -> (Endpoint, Endpoint, Connection, Connection) {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let pins = Pins::default();
    let alpns = || vec![ALPN.to_vec()];
    let alice = endpoint::inner(&[1; 32], &pins, None, Some(listen), alpns(), None);
    let bob = endpoint::inner(&[2; 32], &pins, None, Some(listen), alpns(), None);
    let (alice, bob) = (alice.await.unwrap(), bob.await.unwrap());
    let mut address = EndpointAddr::new(alice.id());
    for socket in alice.bound_sockets() {
        address = address.with_ip_addr(socket);
    }
    let accept = async { alice.accept().await.unwrap().await.unwrap() };
    let (theirs, ours) = tokio::join!(accept, bob.connect(address, ALPN));
    (alice, bob, theirs, ours.unwrap())
}

fn indexed(folder: &Path, name: &str, bytes: &[u8]) -> Indexed {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    Indexed::create(&path, &folder.join(format!("{name}.index"))).unwrap()
}

fn bytes(seed: usize) -> Vec<u8> {
    (0..SIZE).map(|n| ((n * 31 + seed) % 251) as u8).collect()
}

/// The whole file as it goes over the wire.
fn encoded(offered: &Indexed) -> Vec<u8> {
    let source = offered.open().unwrap();
    let groups = 0..starling_protocol::transfer::plan::groups(offered.size);
    let ranges = chunk_ranges(&groups);
    let mut encoded = Vec::new();
    encode_ranges(&source.file, &source.outboard, &ranges, &mut encoded).unwrap();
    encoded
}

/// Bob fetches what he believes to be `offered` while Alice does `act`. Returns his verdict, what he has, what he counted.
async fn receive<F, R>(offered: &Indexed, act: F) -> (Result<(), BulkError>, Vec<u8>, u64)
where
    F: FnOnce(SendStream) -> R + Send + 'static,
    R: Future<Output = ()> + Send,
{
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part");
    let file = std::fs::File::create_new(&path).unwrap();
    let target = Target {
        root: offered.root,
        size: offered.size,
        file: Arc::new(file),
    };
    let (_a, _b, theirs, ours) = connected().await;
    let (mut ask, mut stream) = ours.open_bi().await.unwrap();
    ask.write_all(b"?").await.unwrap();
    let alice = tokio::spawn(async move {
        let (send, _ask) = theirs.accept_bi().await.unwrap();
        act(send).await;
        theirs.closed().await;
    });
    let verified = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&verified);
    let groups = 0..starling_protocol::transfer::plan::groups(offered.size);
    let count = move |count| {
        counter.fetch_add(count, Ordering::SeqCst);
    };
    let verdict = fetch(&mut stream, &target, groups, |_| {}, count).await;
    ours.close(0u32.into(), b"done");
    alice.await.unwrap();
    let have = std::fs::read(&path).unwrap();
    (verdict, have, verified.load(Ordering::SeqCst))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_file_arrives() {
    let folder = tempfile::tempdir().unwrap();
    let offered = indexed(folder.path(), "a", &bytes(1));
    let source = offered.open().unwrap();
    let groups = 0..starling_protocol::transfer::plan::groups(offered.size);
    let (verdict, have, verified) = receive(&offered, |mut send| async move {
        serve(&mut send, source, groups, |_| {}).await.unwrap();
    })
    .await;
    verdict.unwrap();
    assert_eq!((have, verified), (bytes(1), SIZE as u64));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_files_bytes_are_refused_and_none_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let offered = indexed(folder.path(), "a", &bytes(1));
    let other = indexed(folder.path(), "b", &bytes(2)).open().unwrap();
    let groups = 0..starling_protocol::transfer::plan::groups(offered.size);
    let (verdict, have, verified) = receive(&offered, |mut send| async move {
        // It is cut off as soon as the first lie is noticed.
        let _ = serve(&mut send, other, groups, |_| {}).await;
    })
    .await;
    assert!(matches!(verdict, Err(BulkError::Corrupt)), "{verdict:?}");
    assert_eq!((have, verified), (vec![], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_wrong_byte_ends_it_and_nothing_wrong_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let offered = indexed(folder.path(), "a", &bytes(1));
    let mut encoded = encoded(&offered);
    encoded[SIZE / 2] ^= 1;
    let (verdict, have, verified) = receive(&offered, |mut send| async move {
        let _ = send.write_all(&encoded).await;
        let _ = send.finish();
    })
    .await;
    assert!(matches!(verdict, Err(BulkError::Corrupt)), "{verdict:?}");
    assert!(verified > 0 && verified < SIZE as u64);
    assert_eq!(have.len() as u64, verified);
    assert_eq!(have, bytes(1)[..have.len()], "only what was verified");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_end_is_a_lost_connection_not_a_lie() {
    let folder = tempfile::tempdir().unwrap();
    let offered = indexed(folder.path(), "a", &bytes(1));
    let mut encoded = encoded(&offered);
    encoded.truncate(SIZE / 2);
    let (verdict, have, verified) = receive(&offered, |mut send| async move {
        send.write_all(&encoded).await.unwrap();
        send.finish().unwrap();
    })
    .await;
    assert!(matches!(verdict, Err(BulkError::Lost)), "{verdict:?}");
    assert!(verified > 0 && have.len() as u64 == verified);
    assert_eq!(have, bytes(1)[..have.len()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_changed_while_it_is_sent_is_noticed_by_both() {
    let folder = tempfile::tempdir().unwrap();
    let offered = indexed(folder.path(), "a", &bytes(1));
    let mut changed = bytes(1);
    changed[SIZE - 1] ^= 1;
    std::fs::write(&offered.path, &changed).unwrap();
    let source = offered.open().unwrap();
    let groups = 0..starling_protocol::transfer::plan::groups(offered.size);
    let (verdict, have, _) = receive(&offered, |mut send| async move {
        let sent = serve(&mut send, source, groups, |_| {}).await;
        assert!(matches!(sent, Err(BulkError::Changed)), "{sent:?}");
    })
    .await;
    assert!(matches!(verdict, Err(BulkError::Changed)), "{verdict:?}");
    assert_eq!(have, bytes(1)[..have.len()]);
}
