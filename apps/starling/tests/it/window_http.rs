//! A browser's side of HTTP/1.1, by hand, so that a test can send what no browser would.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use starling::window::Window;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(String::as_str)
            .unwrap_or_default()
    }
}

/// A browser that was let in: cookie, the run's path, the token of its pages.
#[derive(Debug, Clone)]
pub struct Visitor {
    pub host: String,
    pub run: String,
    pub cookie: String,
    pub token: String,
}

impl Visitor {
    /// Goes the whole way: redirect file, one-time code, cookie, first page.
    pub async fn enter(window: &Window) -> Self {
        let origin = window.origin().to_owned();
        let file = std::path::PathBuf::from(window.door().unwrap().file);
        blocking(move || Self::enter_by(&origin, &file)).await
    }

    fn enter_by(origin: &str, file: &Path) -> Self {
        let host = origin.strip_prefix("http://").unwrap().to_owned();
        let path = format!("/enter?code={}", code_in(file));
        let entered = send(&host, "GET", &path, &[("host", &host)], "");
        assert_eq!(entered.status, 200, "{}", entered.body);
        let cookie = entered
            .header("set-cookie")
            .split(';')
            .next()
            .unwrap()
            .to_owned();
        let run = between(&entered.body, "url=", "/\"");
        let mut visitor = Self {
            host,
            run,
            cookie,
            token: String::new(),
        };
        visitor.token = between(
            &visitor.request("GET", "", &[], "").body,
            "data-token=\"",
            "\"",
        );
        visitor
    }

    pub async fn get(&self, page: &str) -> Answer {
        let (visitor, page) = (self.clone(), page.to_owned());
        blocking(move || visitor.request("GET", &page, &[("sec-fetch-site", "same-origin")], ""))
            .await
    }

    /// As the page's script does.
    pub async fn post(&self, action: &str, form: &str) -> Answer {
        let (visitor, action, form) = (self.clone(), action.to_owned(), form.to_owned());
        blocking(move || {
            let origin = format!("http://{}", visitor.host);
            let token = visitor.token.clone();
            let kind = "application/x-www-form-urlencoded";
            let headers = [
                ("origin", origin.as_str()),
                ("x-starling-token", &token),
                ("content-type", kind),
            ];
            visitor.request("POST", &action, &headers, &form)
        })
        .await
    }

    /// With any headers, beside host and cookie.
    pub async fn send(
        &self,
        method: &str,
        page: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let (visitor, method, page, body) = (
            self.clone(),
            method.to_owned(),
            page.to_owned(),
            body.to_owned(),
        );
        let headers: Vec<(String, String)> = headers
            .iter()
            .map(|(n, v)| ((*n).into(), (*v).into()))
            .collect();
        blocking(move || {
            let headers: Vec<(&str, &str)> = headers
                .iter()
                .map(|(n, v)| (n.as_str(), v.as_str()))
                .collect();
            visitor.request(&method, &page, &headers, &body)
        })
        .await
    }

    fn request(&self, method: &str, page: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let path = format!("{}/{page}", self.run);
        let mut all = vec![
            ("host", self.host.as_str()),
            ("cookie", self.cookie.as_str()),
        ];
        all.extend_from_slice(headers);
        send(&self.host, method, &path, &all, body)
    }

    /// Opens the event stream and answers with its lines so far once `wanted` was seen.
    pub async fn watch(&self, query: &str, wanted: &str) -> String {
        let (visitor, query, wanted) = (self.clone(), query.to_owned(), wanted.to_owned());
        blocking(move || {
            let mut stream = connect(&visitor.host);
            let head = format!(
                "GET {}/live?{query} HTTP/1.1\r\nhost: {}\r\ncookie: {}\r\nsec-fetch-site: same-origin\r\n\r\n",
                visitor.run, visitor.host, visitor.cookie
            );
            stream.write_all(head.as_bytes()).unwrap();
            let (mut seen, mut part) = (String::new(), [0_u8; 4096]);
            while !seen.contains(&wanted) {
                let n = stream.read(&mut part).unwrap_or_else(|error| panic!("{error}, after: {seen}"));
                assert!(n > 0, "the stream ended after: {seen}");
                seen.push_str(&String::from_utf8_lossy(&part[..n]));
            }
            seen
        })
        .await
    }
}

/// One request on its own connection.
pub fn send(host: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = connect(host);
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream
        .write_all(format!("{head}\r\n{body}").as_bytes())
        .unwrap();
    let mut text = Vec::new();
    stream.read_to_end(&mut text).unwrap();
    parse(&String::from_utf8_lossy(&text))
}

/// The code in a redirect file.
pub fn code_in(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    between(&text, "code=", "\"")
}

/// What stands between two marks.
pub fn between(text: &str, from: &str, to: &str) -> String {
    let (_, rest) = text
        .split_once(from)
        .unwrap_or_else(|| panic!("no {from:?} in {text}"));
    rest.split_once(to).unwrap().0.to_owned()
}

/// Runs what blocks beside the server's tasks.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

fn connect(host: &str) -> TcpStream {
    let stream = TcpStream::connect(host).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream
}

fn parse(text: &str) -> Answer {
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer: {text:?}"));
    let mut lines = head.lines();
    let status = lines
        .next()
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    Answer {
        status,
        headers,
        body: body.into(),
    }
}
