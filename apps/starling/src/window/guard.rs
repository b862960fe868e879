//! Who may talk to the page server. Loopback is open to every program and every web page on this machine, so each request
//! must show that it comes from our own window:
//!
//! 1. `Host` is exactly ours (a rebound DNS name is not).
//! 2. The cookie of this run is there. It is `HttpOnly; SameSite=Strict` and bound to a path with a random label, because
//!    cookies do not tell ports apart and another program's server on 127.0.0.1 would be sent it otherwise.
//! 3. `Origin` and `Sec-Fetch-Site` (W3C Fetch Metadata) do not say that another site asked; what changes something, and the
//!    event stream, must prove that our own page did.
//! 4. Forms and uploads carry the token that stands in our pages (checked where the body is read).

use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode, Uri};

use super::secret::Secret;

/// The cookie's name.
const COOKIE: &str = "starling";
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Custom header for the token: no other site can set it without our consent.
pub const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-starling-token");

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What a request is held against.
#[derive(Debug)]
pub struct Guard {
    host: String,
    origin: String,
    run: String,
    cookie: Secret,
    token: Secret,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It was meant for another host name.
    Host,
    /// It does not come from our window.
    NoCookie,
    /// Another site made the browser ask.
    OtherSite,
}

impl Refusal {
    /// Status of the answer.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Host | Self::OtherSite => StatusCode::FORBIDDEN,
            Self::NoCookie => StatusCode::UNAUTHORIZED,
        }
    }

    /// What the page says.
    pub fn words(self) -> &'static str {
        match self {
            Self::Host => {
                "This address was not reached by its own name, so Starling does not answer."
            }
            Self::NoCookie => {
                "This page belongs to the window of a running Starling. To open the window, run: starling"
            }
            Self::OtherSite => "Another site asked for this page, so Starling does not answer.",
        }
    }
}

impl Guard {
    /// New secrets for a server on `port` of 127.0.0.1.
    pub fn new(port: u16) -> std::io::Result<Self> {
        let host = format!("127.0.0.1:{port}");
        Ok(Self {
            origin: format!("http://{host}"),
            host,
            run: format!("/{}", Secret::fresh()?.text()),
            cookie: Secret::fresh()?,
            token: Secret::fresh()?,
        })
    }

    /// `http://127.0.0.1:port`
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// First part of every page's path, with its slash.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// For our own pages.
    pub fn token(&self) -> &Secret {
        &self.token
    }

    /// `Set-Cookie` for a browser that showed its one-time code.
    pub fn set_cookie(&self) -> HeaderValue {
        let text = format!(
            "{COOKIE}={}; Path={}/; HttpOnly; SameSite=Strict",
            self.cookie.text(),
            self.run
        );
        HeaderValue::from_str(&text).expect("base64url is a valid header value")
    }

    /// Whether the request may reach a page. `entrance` is the one path that needs no cookie.
    pub fn check(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        entrance: &str,
    ) -> Result<(), Refusal> {
        if !self.is_our_host(uri, headers) {
            return Err(Refusal::Host);
        }
        if uri.path() == entrance && *method == Method::GET {
            return Ok(());
        }
        if !self.has_cookie(headers) {
            return Err(Refusal::NoCookie);
        }
        let reads = matches!(*method, Method::GET | Method::HEAD);
        let stream = uri.path().ends_with("/live");
        self.check_origin(headers, reads, !reads || stream)
    }

    fn is_our_host(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let named = uri
            .authority()
            .is_none_or(|authority| authority.as_str() == self.host);
        named && only(headers, &header::HOST) == Some(Some(self.host.as_str()))
    }

    fn has_cookie(&self, headers: &HeaderMap) -> bool {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .any(|(name, value)| name == COOKIE && self.cookie.matches(value))
    }

    fn check_origin(&self, headers: &HeaderMap, reads: bool, proof: bool) -> Result<(), Refusal> {
        let origin = match only(headers, &header::ORIGIN) {
            // A form sent from a page with `Referrer-Policy: no-referrer` says "null": no proof, no offence.
            Some(None) | Some(Some("null")) => None,
            Some(Some(origin)) => Some(origin == self.origin),
            None => Some(false),
        };
        let site = match only(headers, &FETCH_SITE) {
            Some(None) => None,
            // Typed into the address bar, or a bookmark: no proof, and no offence where nothing changes.
            Some(Some("none")) => (!reads).then_some(false),
            Some(Some(site)) => Some(site == "same-origin"),
            None => Some(false),
        };
        let against = origin == Some(false) || site == Some(false);
        let proved = origin == Some(true) || site == Some(true);
        if against || (proof && !proved) {
            return Err(Refusal::OtherSite);
        }
        Ok(())
    }
}

/// The header's value if it is there once, `Some(None)` if it is absent, `None` if it is repeated or not text.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Option<&'a str>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return None;
    }
    match first {
        None => Some(None),
        Some(value) => value.to_str().ok().map(Some),
    }
}

/// What every answer carries, errors too. Assets may be cached: their path changes with every run.
pub fn harden(headers: &mut HeaderMap) {
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}
