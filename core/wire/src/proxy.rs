//! The HTTP proxy that an organisation asks its machines to go through (RFC 9110, CONNECT), as it is written down:
//! `http://[user:password@]host:port`. User and password may be percent-encoded (RFC 3986).

use std::fmt;
use std::str::FromStr;

/// A proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Name or address; an IPv6 address without its brackets.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
    /// Basic authentication (RFC 7617), where it asks for one.
    pub login: Option<Login>,
}

/// Who we are to a proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// User.
    pub user: String,
    /// Password.
    pub password: String,
}

/// It is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a proxy is written http://[user:password@]host:port")]
pub struct NoProxy;

impl FromStr for Proxy {
    type Err = NoProxy;

    fn from_str(text: &str) -> Result<Self, NoProxy> {
        let rest = text.strip_prefix("http://").ok_or(NoProxy)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, rest),
        };
        let (host, port) = place.rsplit_once(':').ok_or(NoProxy)?;
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let plain = |c: char| c.is_ascii_graphic() && !"/?#@[]\\".contains(c);
        if host.is_empty() || !bare.unwrap_or(host).chars().all(plain) {
            return Err(NoProxy);
        }
        Ok(Self {
            host: bare.unwrap_or(host).to_owned(),
            port: port.parse().ok().filter(|port| *port != 0).ok_or(NoProxy)?,
            login: login.map(Login::read).transpose()?,
        })
    }
}

impl Login {
    fn read(text: &str) -> Result<Self, NoProxy> {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        Ok(Self {
            user: decoded(user).ok_or(NoProxy)?,
            password: decoded(password).ok_or(NoProxy)?,
        })
    }
}

/// Without percent signs; `None` where that makes no text, or one with control characters.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first != b'%' {
            bytes.push(*first);
            rest = tail;
            continue;
        }
        let [high, low, tail @ ..] = tail else {
            return None;
        };
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
        rest = tail;
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.chars().any(char::is_control)).then_some(text)
}

/// Without the password.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.login.as_ref().map_or("", |login| &login.user);
        let at = if user.is_empty() { "" } else { "@" };
        let host = &self.host;
        if host.contains(':') {
            write!(f, "http://{user}{at}[{host}]:{}", self.port)
        } else {
            write!(f, "http://{user}{at}{host}:{}", self.port)
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_proxy_is_read_whole_and_shown_without_its_password() {
        let proxy: Proxy = "http://anna:s%40cret%3A@proxy.example:3128/"
            .parse()
            .unwrap();
        assert_eq!((&*proxy.host, proxy.port), ("proxy.example", 3128));
        let login = proxy.login.clone().unwrap();
        assert_eq!((&*login.user, &*login.password), ("anna", "s@cret:"));
        assert_eq!(proxy.to_string(), "http://anna@proxy.example:3128");
        assert!(!format!("{proxy:?} {login:?}").contains("s@cret"));
        let v6: Proxy = "http://[2001:db8::1]:8080".parse().unwrap();
        assert_eq!((&*v6.host, v6.login.clone()), ("2001:db8::1", None));
        assert_eq!(v6.to_string(), "http://[2001:db8::1]:8080");
    }

    #[test]
    fn what_is_no_proxy_is_refused() {
        for text in [
            "proxy:1",
            "https://proxy:1",
            "http://proxy",
            "http://:1",
            "http://proxy:0",
            "http://proxy:70000",
            "http://a/b:1",
            "http://a b:1",
            "http://a%:x@proxy:1",
            "http://a:%0a@proxy:1",
        ] {
            assert_eq!(text.parse::<Proxy>(), Err(NoProxy), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(http://)?\\PC{0,60}") {
            let _ = text.parse::<Proxy>();
        }
    }
}
