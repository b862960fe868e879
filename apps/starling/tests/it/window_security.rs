//! The page server lets in our own window and nobody else: one test for each point of its defence.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use starling_control::Command;

use crate::window_http::{Visitor, blocking, code_in, send};
use crate::window_peer::{BOB, Stage, alice};

async fn stage() -> (Stage, Visitor) {
    let stage = Stage::set(alice()).await;
    let visitor = Visitor::enter(&stage.window).await;
    (stage, visitor)
}

/// One request with exactly these headers.
async fn raw(
    visitor: &Visitor,
    method: &'static str,
    page: &str,
    headers: Vec<(&'static str, String)>,
) -> u16 {
    let (host, path) = (visitor.host.clone(), format!("{}/{page}", visitor.run));
    blocking(move || {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        send(&host, method, &path, &headers, "").status
    })
    .await
}

#[tokio::test]
async fn it_listens_on_the_ipv4_loopback_address_alone() {
    let (stage, visitor) = stage().await;
    assert!(stage.window.origin().starts_with("http://127.0.0.1:"));
    let port = visitor.host.split(':').nth(1).unwrap().to_owned();
    let other = format!("127.0.0.2:{port}");
    assert!(
        blocking(move || std::net::TcpStream::connect(other))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn another_host_name_is_refused_so_dns_rebinding_gains_nothing() {
    let (_stage, visitor) = stage().await;
    let port = visitor.host.split(':').nth(1).unwrap();
    for host in [
        format!("evil.example:{port}"),
        format!("localhost:{port}"),
        "127.0.0.1".into(),
        String::new(),
    ] {
        let headers = vec![("host", host.clone()), ("cookie", visitor.cookie.clone())];
        assert_eq!(
            raw(&visitor, "GET", "", headers).await,
            403,
            "host {host:?}"
        );
    }
    let twice = vec![
        ("host", visitor.host.clone()),
        ("host", "evil.example".into()),
        ("cookie", visitor.cookie.clone()),
    ];
    assert_ne!(raw(&visitor, "GET", "", twice).await, 200);
    let good = vec![
        ("host", visitor.host.clone()),
        ("cookie", visitor.cookie.clone()),
    ];
    assert_eq!(raw(&visitor, "GET", "", good).await, 200);
}

#[tokio::test]
async fn without_the_cookie_there_is_only_a_sentence() {
    let (stage, visitor) = stage().await;
    let asked = stage.script().asked.len();
    for cookie in [
        "",
        "starling=",
        "starling=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "other=1",
    ] {
        for page in ["", "status", "live", "starling.js", "nothing"] {
            let headers = vec![
                ("host", visitor.host.clone()),
                ("cookie", cookie.to_owned()),
            ];
            assert_eq!(
                raw(&visitor, "GET", page, headers).await,
                401,
                "{cookie:?} {page:?}"
            );
        }
    }
    let (host, origin) = (visitor.host.clone(), format!("http://{}", visitor.host));
    let answer = blocking(move || {
        send(
            &host,
            "GET",
            "/",
            &[("host", &host), ("origin", &origin)],
            "",
        )
    })
    .await;
    assert_eq!(answer.status, 401);
    assert!(answer.body.contains("run: starling"), "{}", answer.body);
    assert!(
        !answer.body.contains(&visitor.run),
        "the run's path is not told"
    );
    assert_eq!(
        stage.script().asked.len(),
        asked,
        "nothing reached the node"
    );
}

#[tokio::test]
async fn the_cookie_is_strict_hidden_from_scripts_and_bound_to_a_path_nobody_knows() {
    let stage = Stage::set(alice()).await;
    let (host, code) = (
        stage.window.origin()[7..].to_owned(),
        code_in(&std::path::PathBuf::from(stage.window.door().unwrap().file)),
    );
    let answer = blocking(move || {
        send(
            &host,
            "GET",
            &format!("/enter?code={code}"),
            &[("host", &host)],
            "",
        )
    })
    .await;
    let cookie = answer.header("set-cookie");
    assert!(cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
    let path = cookie
        .split("Path=/")
        .nth(1)
        .unwrap()
        .split('/')
        .next()
        .unwrap();
    assert_eq!(path.len(), 43, "256 bits of path: {cookie}");
    assert!(!cookie.contains("Domain"), "{cookie}");
}

#[tokio::test]
async fn a_code_works_once_and_lies_in_a_file_of_mode_0600_that_goes_away() {
    let stage = Stage::set(alice()).await;
    let file = std::path::PathBuf::from(stage.window.door().unwrap().file);
    assert!(file.starts_with(stage.home.path().canonicalize().unwrap()));
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let folder = file.parent().unwrap();
    assert_eq!(
        std::fs::metadata(folder).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let (host, path) = (
        stage.window.origin()[7..].to_owned(),
        format!("/enter?code={}", code_in(&file)),
    );
    let twice = blocking(move || {
        let get = || {
            send(
                &host,
                "GET",
                &path,
                &[("host", &host), ("sec-fetch-site", "cross-site")],
                "",
            )
        };
        (
            get(),
            get(),
            send(&host, "GET", "/enter?code=x", &[("host", &host)], "").status,
        )
    })
    .await;
    assert_eq!((twice.0.status, twice.1.status, twice.2), (200, 401, 401));
    assert!(twice.1.header("set-cookie").is_empty());
    assert!(!file.exists());
}

#[tokio::test]
async fn what_changes_something_must_prove_that_our_page_asked() {
    let (stage, visitor) = stage().await;
    let own = format!("http://{}", visitor.host);
    let refused: [&[(&str, &str)]; 8] = [
        &[],
        &[("origin", "null")],
        &[("origin", "http://evil.example")],
        &[("origin", "http://127.0.0.1:1")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("origin", &own), ("sec-fetch-site", "cross-site")],
    ];
    let form = format!("token={}&who={BOB}&text=hi", visitor.token);
    let kind = ("content-type", "application/x-www-form-urlencoded");
    for headers in refused {
        let headers = [headers, &[kind]].concat();
        let answer = visitor.send("POST", "chat-send", &headers, &form).await;
        assert_eq!(answer.status, 403, "{headers:?}");
    }
    let hi = Command::ChatSend {
        who: BOB.into(),
        text: "hi".into(),
    };
    assert!(!stage.asked(&hi));
    // A form without script: `Referrer-Policy: no-referrer` makes its origin "null".
    let plain = [("origin", "null"), ("sec-fetch-site", "same-origin"), kind];
    assert_eq!(
        visitor
            .send("POST", "chat-send", &plain, &form)
            .await
            .status,
        303
    );
    assert!(stage.asked(&hi));
}

#[tokio::test]
async fn the_event_stream_and_pages_are_not_for_other_sites() {
    let (_stage, visitor) = stage().await;
    for headers in [
        vec![],
        vec![("origin", "http://evil.example")],
        vec![("sec-fetch-site", "same-site")],
        vec![("sec-fetch-site", "none")],
    ] {
        let answer = visitor.send("GET", "live?page=", &headers, "").await;
        assert_eq!(answer.status, 403, "{headers:?}");
    }
    assert_eq!(
        visitor
            .send("GET", "", &[("sec-fetch-site", "cross-site")], "")
            .await
            .status,
        403
    );
    assert_eq!(
        visitor
            .send("GET", "", &[("sec-fetch-site", "same-site")], "")
            .await
            .status,
        403
    );
    assert_eq!(
        visitor
            .send("GET", "", &[("sec-fetch-site", "none")], "")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn forms_and_uploads_need_the_token_of_our_pages() {
    let (stage, visitor) = stage().await;
    let own = format!("http://{}", visitor.host);
    let kind = ("content-type", "application/x-www-form-urlencoded");
    for token in ["", "wrong", &visitor.cookie] {
        let form = format!("token={token}&who={BOB}&text=hi");
        let answer = visitor
            .send("POST", "chat-send", &[("origin", &own), kind], &form)
            .await;
        assert_eq!(answer.status, 403, "{token:?}");
        let made = visitor
            .send("POST", "network-init", &[("origin", &own), kind], &form)
            .await;
        assert_eq!(made.status, 403, "{token:?}");
        let headers = [("origin", own.as_str()), ("x-starling-token", token)];
        let upload = visitor
            .send("PUT", "upload?name=a&who=bob", &headers, "content")
            .await;
        assert_eq!(upload.status, 403, "{token:?}");
    }
    assert!(!stage.home.path().join("window/uploads").exists());
    assert!(
        !stage
            .script()
            .asked
            .iter()
            .any(|c| matches!(c, Command::ChatSend { .. } | Command::FileSend { .. }))
    );
}

#[tokio::test]
async fn every_answer_carries_the_policy_and_runs_no_code_of_the_page_itself() {
    let (stage, visitor) = stage().await;
    let none = Visitor {
        cookie: "starling=x".into(),
        ..visitor.clone()
    };
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
        form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
    for (answer, cached) in [
        (visitor.get("").await, false),
        (visitor.get("status").await, false),
        (visitor.get("nothing").await, false),
        (visitor.get("starling.js").await, true),
        (none.get("").await, false),
    ] {
        assert_eq!(answer.header("content-security-policy"), policy);
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
        assert_eq!(answer.header("cache-control") == "no-store", !cached);
        assert!(answer.header("access-control-allow-origin").is_empty());
    }
    stage.script().status.account = None;
    for page in ["", "chat?with=x", "status"] {
        let body = visitor.get(page).await.body;
        assert!(
            !body.contains("style=\"") && !body.contains(" onclick") && !body.contains("<style"),
            "{page}"
        );
        assert_eq!(
            body.matches("<script").count(),
            body.matches("<script src=\"starling.js\" defer></script>")
                .count()
        );
    }
}

#[tokio::test]
async fn there_are_no_listings_and_no_files_to_fetch() {
    let (stage, visitor) = stage().await;
    std::fs::write(stage.home.path().join("node.key"), "secret").unwrap();
    for page in [
        "../node.key",
        "..%2fnode.key",
        "window/",
        "uploads",
        "upload",
        "assets",
        "node.key",
        "window/open-x.html",
    ] {
        let answer = visitor.get(page).await;
        assert!(
            [400, 404, 405, 401].contains(&answer.status),
            "{page}: {}",
            answer.status
        );
        assert!(!answer.body.contains("secret"));
    }
}

#[tokio::test]
async fn a_form_of_a_megabyte_is_refused_and_the_server_lives() {
    let (_stage, visitor) = stage().await;
    let form = format!("who={BOB}&text={}", "a".repeat(250_000));
    assert_eq!(
        visitor.post("chat-send", &form).await.status,
        200,
        "below the limit"
    );
    let form = format!("who={BOB}&text={}", "a".repeat(300_000));
    assert_eq!(visitor.post("chat-send", &form).await.status, 400);
    assert_eq!(visitor.get("").await.status, 200);
}

#[tokio::test]
async fn a_dropped_file_is_streamed_into_the_profile_for_nobody_else_to_read() {
    let (stage, visitor) = stage().await;
    let own = format!("http://{}", visitor.host);
    let headers = [
        ("origin", own.as_str()),
        ("x-starling-token", visitor.token.as_str()),
    ];
    let page = format!("upload?name=..%2F..%2Fholiday.jpg&who={BOB}");
    let content = "0123456789".repeat(40_000);
    let answer = visitor.send("PUT", &page, &headers, &content).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
    let path = stage.script().transfers[0].path.clone().unwrap();
    let path = std::path::Path::new(&path);
    assert!(
        path.starts_with(
            stage
                .home
                .path()
                .canonicalize()
                .unwrap()
                .join("window/uploads")
        )
    );
    assert_eq!(path.file_name().unwrap(), "holiday.jpg");
    assert_eq!(
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(std::fs::read_to_string(path).unwrap(), content);
}

#[tokio::test]
async fn whoever_is_turned_away_keeps_no_connection() {
    let (_stage, visitor) = stage().await;
    let host = visitor.host.clone();
    let answer = blocking(move || {
        // `read_to_end` ends only if the server closes: this request asks to stay connected.
        let mut stream = std::net::TcpStream::connect(&host).unwrap();
        let patience = Some(Duration::from_secs(5));
        stream.set_read_timeout(patience).unwrap();
        write!(stream, "GET / HTTP/1.1\r\nhost: {host}\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    })
    .await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
}

#[tokio::test]
async fn silent_connections_have_an_end_and_a_bound() {
    let (_stage, visitor) = stage().await;
    let host = visitor.host.clone();
    let (all, first, closed_after) = blocking(move || {
        let connect = || std::net::TcpStream::connect(&host).unwrap();
        let started = std::time::Instant::now();
        let mut silent: Vec<_> = (0..300).map(|_| connect()).collect();
        std::thread::sleep(Duration::from_millis(300));
        let held = open_sockets(&host);
        let first = &mut silent[0];
        first
            .set_read_timeout(Some(Duration::from_secs(25)))
            .unwrap();
        let read = first.read(&mut [0; 64]).unwrap();
        (held, read, started.elapsed())
    })
    .await;
    assert!(
        (200..=256 + 16).contains(&all),
        "{all} connections are held"
    );
    assert_eq!(first, 0, "closed without a word");
    assert!(closed_after < Duration::from_secs(25));
    assert_eq!(visitor.get("").await.status, 200, "the window lives");
}

/// How many sockets of this process stand on the server's side of connections to `host`.
fn open_sockets(host: &str) -> usize {
    let port: u16 = host.rsplit(':').next().unwrap().parse().unwrap();
    let local = format!("0100007F:{port:04X}");
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table
        .lines()
        .filter(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // Accepted by us, so it has an inode; what waits in the queue has none.
            fields.get(1) == Some(&local.as_str())
                && fields.get(3) == Some(&"01")
                && fields.get(9) != Some(&"0")
        })
        .count()
}
