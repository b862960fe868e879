//! The application's tests that go through its doors: the window's page server over HTTP and in a browser.

#![allow(
    clippy::unwrap_used,
    reason = "a test that panics has said what is wrong"
)]

mod window_browser;
mod window_cdp;
mod window_http;
mod window_lively;
mod window_pages;
mod window_peer;
mod window_security;
mod window_style;
