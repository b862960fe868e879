//! The proxy of a firm or a school: where it is, whom it asks for, and a connection through it by `CONNECT` (RFC 9110
//! section 9.3.6) with basic authentication (RFC 7617). Anything else is said to be unsupported, in words.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use data_encoding::BASE64;
use starling_wire::http_head::Head;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::http_head;

const PORT: u16 = 80;
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// What a node was told about a proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ProxySetting {
    /// There is none.
    #[default]
    None,
    /// This one.
    Http(Proxy),
    /// One that cannot be used; connections go without it, and `status` says so.
    Unusable(ProxyError),
}

/// An HTTP proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    host: String,
    port: u16,
    /// As the header has it.
    credentials: Option<String>,
    except: Vec<Block>,
}

/// Addresses that are reached without the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Block {
    ip: IpAddr,
    bits: u8,
}

/// Why a proxy cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// Another kind.
    #[error("a proxy of the kind \"{0}\" is not supported: only http://HOST:PORT is")]
    Kind(String),
    /// A file that says which proxy to use.
    #[error(
        "proxy configuration files (PAC) are not supported: give the proxy itself, as http://HOST:PORT"
    )]
    Pac,
    /// Not a URL of one.
    #[error("the proxy is not given as http://[USER:PASSWORD@]HOST[:PORT]")]
    Malformed,
}

/// Why a connection did not come about at the proxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyTrouble {
    /// It is not there.
    #[error("the proxy {0} does not answer")]
    Unreachable(String),
    /// It wants a name and a password, and ours are none or wrong.
    #[error(
        "the proxy asks for a name and a password: give them as http://USER:PASSWORD@HOST:PORT"
    )]
    Credentials,
    /// `PROXY-03`: it wants to know who we are in a way that we do not speak.
    #[error(
        "the proxy asks for {0} authentication, which is not supported: only basic authentication is"
    )]
    Scheme(String),
    /// It does not connect to there.
    #[error("the proxy does not connect to {0}; it answered {1}")]
    Refused(SocketAddr, u16),
    /// It does not speak HTTP.
    #[error("what answers at the proxy's address is no HTTP proxy")]
    Malformed,
}

impl ProxySetting {
    /// `PROXY-01`: from a URL and a list of exceptions as `NO_PROXY` has it.
    pub fn read(url: &str, except: &str) -> Self {
        if except.split(',').any(|entry| entry.trim() == "*") {
            return Self::None;
        }
        match Proxy::read(url, except) {
            Ok(proxy) => Self::Http(proxy),
            Err(error) => Self::Unusable(error),
        }
    }

    /// As programs are told by their environment: `HTTPS_PROXY` and `NO_PROXY`, or in small letters.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let either = |name: &str| {
            let small = variable(&name.to_lowercase());
            small
                .or_else(|| variable(name))
                .filter(|value| !value.is_empty())
        };
        match either("HTTPS_PROXY") {
            Some(url) => Self::read(&url, &either("NO_PROXY").unwrap_or_default()),
            None => Self::None,
        }
    }

    /// `PROXY-02`: the proxy on the way to an address, if there is one.
    pub fn towards(&self, ip: IpAddr) -> Option<&Proxy> {
        match self {
            Self::Http(proxy) if proxy.serves(ip) => Some(proxy),
            _ => None,
        }
    }
}

impl Proxy {
    fn read(url: &str, except: &str) -> Result<Self, ProxyError> {
        let url = url.trim();
        let (kind, rest) = url.split_once("://").unwrap_or(("http", url));
        let path = rest.split_once('/').map_or("", |(_, path)| path);
        if kind.starts_with("pac") || path.ends_with(".pac") || path.ends_with(".dat") {
            return Err(ProxyError::Pac);
        }
        if !kind.eq_ignore_ascii_case("http") {
            return Err(ProxyError::Kind(kind.chars().take(20).collect()));
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let (host, port) = host_and_port(place).ok_or(ProxyError::Malformed)?;
        let credentials = user.map(credentials).transpose()?;
        Ok(Self {
            host,
            port,
            credentials,
            except: except
                .split(',')
                .filter_map(|entry| Block::read(entry.trim()))
                .collect(),
        })
    }

    /// Where it is, without name and password.
    pub fn place(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Loopback is never behind it.
    fn serves(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        !ip.is_loopback() && !self.except.iter().any(|block| block.holds(ip))
    }

    /// A connection to `target` through it.
    pub async fn connect(&self, target: SocketAddr) -> Result<TcpStream, ProxyTrouble> {
        let unreachable = || ProxyTrouble::Unreachable(self.place());
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let dial = TcpStream::connect((host, self.port));
        let mut tcp = tokio::time::timeout(CONNECT_TIME, dial)
            .await
            .map_err(|_| unreachable())?
            .map_err(|_| unreachable())?;
        let _ = tcp.set_nodelay(true);
        let mut ask = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(credentials) = &self.credentials {
            ask.push_str(&format!("Proxy-Authorization: Basic {credentials}\r\n"));
        }
        ask.push_str("\r\n");
        let answer = async {
            tcp.write_all(ask.as_bytes()).await?;
            http_head::read(&mut tcp).await
        };
        let head = tokio::time::timeout(CONNECT_TIME, answer)
            .await
            .map_err(|_| unreachable())?
            .map_err(|_| ProxyTrouble::Malformed)?;
        match head.status() {
            Some(200..=299) => Ok(tcp),
            Some(407) => Err(asked_for(&head)),
            Some(status) => Err(ProxyTrouble::Refused(target, status)),
            None => Err(ProxyTrouble::Malformed),
        }
    }
}

/// What a proxy wants that answers 407.
fn asked_for(head: &Head) -> ProxyTrouble {
    let schemes = head
        .fields("Proxy-Authenticate")
        .flat_map(|field| field.split(','));
    let schemes = schemes.filter_map(|scheme| scheme.split_whitespace().next());
    // The parameters of one scheme are separated by commas, too.
    let schemes: Vec<&str> = schemes.filter(|word| !word.contains('=')).collect();
    if schemes.is_empty() || schemes.iter().any(|s| s.eq_ignore_ascii_case("basic")) {
        return ProxyTrouble::Credentials;
    }
    let known: String = schemes
        .join(" or ")
        .chars()
        .filter(|c| !c.is_control())
        .take(60)
        .collect();
    ProxyTrouble::Scheme(known)
}

fn host_and_port(place: &str) -> Option<(String, u16)> {
    let (host, port) = match place.rsplit_once(':') {
        // The colons of a bare IPv6 address stand within brackets.
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (place, PORT),
    };
    let good = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    (!host.is_empty() && port != 0 && host.chars().all(good)).then(|| (host.to_owned(), port))
}

fn credentials(user: &str) -> Result<String, ProxyError> {
    let mut bytes = Vec::new();
    let mut rest = user.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let hex = [rest.next(), rest.next()].map(|digit| (digit? as char).to_digit(16));
        match hex {
            [Some(high), Some(low)] => bytes.push((high * 16 + low) as u8),
            _ => return Err(ProxyError::Malformed),
        }
    }
    if !bytes.contains(&b':') {
        bytes.push(b':');
    }
    Ok(BASE64.encode(&bytes))
}

impl Block {
    /// An address or a range of them. Names are of no use here: nothing we connect to has one.
    fn read(text: &str) -> Option<Self> {
        let (ip, bits) = match text.split_once('/') {
            Some((ip, bits)) => (ip.parse().ok()?, bits.parse().ok()?),
            None => (text.trim_matches(['[', ']']).parse().ok()?, 128),
        };
        Some(Self { ip, bits })
    }

    fn holds(&self, ip: IpAddr) -> bool {
        let same = |a: u128, b: u128, width: u32| {
            let bits = u32::from(self.bits).min(width);
            let shift = width - bits;
            bits == 0 || a >> shift == b >> shift
        };
        match (self.ip, ip) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
            _ => false,
        }
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.place())
    }
}

#[cfg(test)]
mod tests;
