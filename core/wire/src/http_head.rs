//! The first lines of an HTTP/1.1 message (RFC 9112), as far as `CONNECT` needs them: bounded, no body.

/// Longest head that is read.
pub const HEAD_MAX: usize = 8 * 1024;
/// What ends a head.
pub const END: &[u8] = b"\r\n\r\n";

/// A request's or an answer's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head(String);

impl Head {
    /// Reads a whole message that is nothing but a head; `None` if it is not.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let head = bytes.strip_suffix(END)?;
        let text = std::str::from_utf8(head).ok()?;
        let whole = bytes.len() <= HEAD_MAX && !text.contains("\r\n\r\n");
        whole.then(|| Self(text.to_owned()))
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
        let (version, status) = (words.next()?, words.next()?);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Head> {
        Head::read(text.as_bytes())
    }

    #[test]
    fn requests_and_answers_are_read() {
        let request = "CONNECT 192.0.2.1:443 HTTP/1.1\r\nproxy-authorization:  Basic QQ==\r\n\r\n";
        let head = read(request).expect("a head");
        assert_eq!(head.connect(), Some("192.0.2.1:443"));
        let field: Vec<_> = head.fields("Proxy-Authorization").collect();
        assert_eq!(field, ["Basic QQ=="]);
        let answer =
            "HTTP/1.0 407 No\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: Negotiate\r\n\r\n";
        let head = read(answer).expect("a head");
        assert_eq!((head.status(), head.connect()), (Some(407), None));
        let field: Vec<_> = head.fields("proxy-authenticate").collect();
        assert_eq!(field, ["NTLM", "Negotiate"]);
    }

    #[test]
    fn what_is_no_head_is_refused() {
        assert_eq!(read("HTTP/1.1 200 OK\r\n"), None, "it ends early");
        assert_eq!(read("A\r\n\r\nB\r\n\r\n"), None, "there is more");
        let long = format!("{}\r\n\r\n", "x".repeat(HEAD_MAX));
        assert_eq!(read(&long), None, "too long");
        for odd in ["GET / HTTP/1.1", "CONNECT a b c", "HTTP/1.1 2 OK", ""] {
            let head = read(&format!("{odd}\r\n\r\n")).expect("a head");
            assert_eq!((head.connect(), head.status()), (None, None), "{odd}");
        }
    }
}
