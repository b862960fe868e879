//! The first lines of an HTTP/1.1 message (RFC 9112), as far as `CONNECT` needs them: no body, bounded, nothing behind it.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest head that is read.
const HEAD_MAX: usize = 8 * 1024;
const END: &[u8] = b"\r\n\r\n";

/// A request's or an answer's head.
#[derive(Debug)]
pub struct Head(String);

impl Head {
    /// Reads one. Whoever goes on before it was answered does not speak `CONNECT`.
    pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let mut bytes = Vec::new();
        loop {
            if bytes.len() >= HEAD_MAX {
                return Err(malformed("the head of an HTTP message is too long"));
            }
            let mut chunk = [0; 1024];
            let room = chunk.len().min(HEAD_MAX - bytes.len());
            match from.read(&mut chunk[..room]).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                length => bytes.extend_from_slice(&chunk[..length]),
            }
            if let Some(head) = bytes.strip_suffix(END) {
                return Self::parse(head);
            }
        }
    }

    fn parse(bytes: &[u8]) -> io::Result<Self> {
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains("\r\n\r\n") => Ok(Self(text.to_owned())),
            _ => Err(malformed("this is no head of an HTTP message")),
        }
    }

    /// Where a `CONNECT` wants to go.
    pub fn connect(&self) -> Option<&str> {
        let mut words = self.first().split(' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        let is_connect = method == "CONNECT" && version.starts_with("HTTP/1.");
        (is_connect && words.next().is_none()).then_some(target)
    }

    /// An answer's status.
    pub fn status(&self) -> Option<u16> {
        let mut words = self.first().split(' ');
        let version = words.next()?;
        let status = words.next()?;
        (version.starts_with("HTTP/1.") && status.len() == 3).then(|| status.parse().ok())?
    }

    /// Every value of a field.
    pub fn fields<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let lines = self.0.split("\r\n").skip(1);
        lines.filter_map(move |line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn first(&self) -> &str {
        self.0.split("\r\n").next().unwrap_or_default()
    }
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(text: &str) -> io::Result<Head> {
        Head::read(&mut text.as_bytes()).await
    }

    #[tokio::test]
    async fn requests_and_answers_are_read() {
        let request =
            "CONNECT 192.0.2.1:443 HTTP/1.1\r\nHost: x\r\nproxy-authorization:  Basic QQ==\r\n\r\n";
        let head = read(request).await.unwrap();
        assert_eq!(head.connect(), Some("192.0.2.1:443"));
        let field: Vec<_> = head.fields("Proxy-Authorization").collect();
        assert_eq!(field, ["Basic QQ=="]);
        let answer =
            "HTTP/1.0 407 No\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: Negotiate\r\n\r\n";
        let head = read(answer).await.unwrap();
        assert_eq!((head.status(), head.connect()), (Some(407), None));
        let field: Vec<_> = head.fields("proxy-authenticate").collect();
        assert_eq!(field, ["NTLM", "Negotiate"]);
    }

    #[tokio::test]
    async fn what_is_no_head_is_refused() {
        assert!(read("HTTP/1.1 200 OK\r\n").await.is_err(), "it ends early");
        assert!(read("A\r\n\r\nB\r\n\r\n").await.is_err(), "there is more");
        assert!(read(&"x".repeat(HEAD_MAX + 1)).await.is_err(), "too long");
        for odd in ["GET / HTTP/1.1", "CONNECT a b c", "HTTP/1.1 2 OK", ""] {
            let head = read(&format!("{odd}\r\n\r\n")).await.unwrap();
            assert_eq!((head.connect(), head.status()), (None, None), "{odd}");
        }
    }
}
