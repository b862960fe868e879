//! The application's tests that go through its doors: the command line as whole processes, the window's page server over HTTP and
//! in a browser.

#![allow(
    clippy::unwrap_used,
    reason = "a test that panics has said what is wrong"
)]

mod cli_audio;
mod cli_bad_input;
mod cli_calls;
mod cli_cast;
mod cli_devices;
mod cli_roles;
mod cli_story;
mod cli_window;
#[allow(
    dead_code,
    reason = "the tests of the sound devices use the rest of it"
)]
#[path = "../../../../shell/audio/tests/it/sound_server.rs"]
mod sound_server;
mod window_browser;
mod window_calls;
mod window_cdp;
mod window_devices;
mod window_http;
mod window_lively;
mod window_names;
mod window_owner;
mod window_pages;
mod window_peer;
mod window_processing;
mod window_profile;
mod window_security;
mod window_sound;
mod window_style;
mod window_uploads;
