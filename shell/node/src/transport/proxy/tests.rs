//! What a proxy is called, and what one answers.

use std::net::Ipv4Addr;

use tokio::net::TcpListener;

use super::*;

fn http(url: &str) -> Proxy {
    match ProxySetting::read(url, "") {
        ProxySetting::Http(proxy) => proxy,
        other => panic!("{url}: {other:?}"),
    }
}

#[test]
fn proxy_01_a_proxy_is_read_as_programs_are_told_of_it() {
    for (url, place, credentials) in [
        ("http://proxy.example:3128", "proxy.example:3128", None),
        ("http://proxy.example", "proxy.example:80", None),
        ("proxy.example:8080/", "proxy.example:8080", None),
        ("http://[2001:db8::1]:3128", "[2001:db8::1]:3128", None),
        (
            "http://anna:s%40cret@10.0.0.1:3128",
            "10.0.0.1:3128",
            Some("anna:s@cret"),
        ),
        ("http://anna@10.0.0.1:3128", "10.0.0.1:3128", Some("anna:")),
    ] {
        let proxy = http(url);
        assert_eq!(proxy.place(), place);
        let expected = credentials.map(|text| BASE64.encode(text.as_bytes()));
        assert_eq!(proxy.credentials, expected);
        assert!(!format!("{proxy:?}").contains("cret"), "no secret in a log");
    }
}

#[test]
fn proxy_01_what_cannot_be_used_is_said_in_words() {
    let unusable = |url: &str| match ProxySetting::read(url, "") {
        ProxySetting::Unusable(error) => error,
        other => panic!("{url}: {other:?}"),
    };
    let kind = |kind: &str| ProxyError::Kind(kind.to_owned());
    assert_eq!(unusable("socks5://proxy.example:1080"), kind("socks5"));
    assert_eq!(unusable("https://proxy.example:3128"), kind("https"));
    assert_eq!(unusable("http://wpad.example/wpad.dat"), ProxyError::Pac);
    assert_eq!(unusable("pac+http://wpad.example/x"), ProxyError::Pac);
    for odd in [
        "http://",
        "http://a b:1",
        "http://a:0",
        "http://a:99999",
        "http://%4:x@a:1",
    ] {
        assert_eq!(unusable(odd), ProxyError::Malformed, "{odd}");
    }
}

#[test]
fn proxy_02_exceptions_and_loopback_are_reached_without_it() {
    let setting = ProxySetting::read(
        "http://proxy.example:3128",
        "localhost, .example.org,198.51.100.7,203.0.113.0/24,2001:db8::/32",
    );
    let through = |ip: &str| setting.towards(ip.parse().unwrap()).is_some();
    assert!(through("198.51.100.8") && through("203.0.114.1") && through("2001:db9::1"));
    for direct in [
        "127.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "198.51.100.7",
        "203.0.113.9",
        "2001:db8::7",
    ] {
        assert!(!through(direct), "{direct}");
    }
    let never = ProxySetting::read("http://proxy.example:3128", "*");
    assert_eq!(never, ProxySetting::None);
}

#[test]
fn proxy_01_the_environment_is_asked_in_both_spellings() {
    let from = |set: &[(&str, &str)]| {
        ProxySetting::from_environment(|name| {
            let found = set.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    };
    assert_eq!(from(&[("HTTP_PROXY", "http://a:1")]), ProxySetting::None);
    assert_eq!(from(&[("HTTPS_PROXY", "")]), ProxySetting::None);
    let wanted = ProxySetting::Http(http("http://a:1"));
    assert_eq!(from(&[("HTTPS_PROXY", "http://a:1")]), wanted);
    assert_eq!(from(&[("https_proxy", "http://a:1")]), wanted);
    let both = [("https_proxy", "http://a:1"), ("no_proxy", "*")];
    assert_eq!(from(&both), ProxySetting::None);
}

/// A proxy that answers so, and what it was asked.
async fn answering(answer: &'static str, credentials: &str) -> (ProxyTrouble, String) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let head = http_head::read(&mut tcp).await.unwrap();
        tcp.write_all(answer.as_bytes()).await.unwrap();
        format!("{head:?}")
    });
    let proxy = http(&format!("http://{credentials}127.0.0.1:{port}"));
    let target = "203.0.113.7:443".parse().unwrap();
    let trouble = proxy.connect(target).await.unwrap_err();
    (trouble, asked.await.unwrap())
}

#[tokio::test]
async fn proxy_03_only_basic_authentication_is_spoken_and_the_rest_is_named() {
    let basic = "HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: Basic realm=\"a, b\"\r\n\r\n";
    let (trouble, asked) = answering(basic, "anna:secret@").await;
    assert_eq!(trouble, ProxyTrouble::Credentials);
    assert!(
        asked.contains("CONNECT 203.0.113.7:443 HTTP/1.1"),
        "{asked}"
    );
    assert!(asked.contains("Basic YW5uYTpzZWNyZXQ="), "{asked}");
    let ntlm =
        "HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: Negotiate\r\n\r\n";
    let (trouble, asked) = answering(ntlm, "").await;
    assert_eq!(
        trouble,
        ProxyTrouble::Scheme("NTLM or Negotiate".to_owned())
    );
    assert!(!asked.contains("Authorization"), "{asked}");
    let (trouble, _) = answering("HTTP/1.1 403 No\r\n\r\n", "").await;
    assert!(matches!(trouble, ProxyTrouble::Refused(_, 403)));
    let (trouble, _) = answering("220 mail.example ESMTP\r\n\r\n", "").await;
    assert_eq!(trouble, ProxyTrouble::Malformed);
}
