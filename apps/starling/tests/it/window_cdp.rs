//! A minimal DevTools-protocol client (Chrome DevTools Protocol 1.3, JSON messages ended by NUL over two pipes) that drives
//! Debian's chromium. Named pipes, because `--remote-debugging-pipe` wants file descriptors 3 and 4 and the shell can give them.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const CHROMIUM: &str = "/usr/bin/chromium";
const PATIENCE: Duration = Duration::from_secs(15);
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--force-color-profile=srgb",
    "--lang=en",
];

/// A browser with one page.
pub struct Browser {
    child: Child,
    commands: File,
    messages: Receiver<Value>,
    session: Option<String>,
    next: u64,
    /// What the page wrote to its console, and exceptions.
    pub console: Vec<String>,
}

impl Browser {
    /// Whether there is a chromium to drive. Missing, the test is skipped; under `CI=true` that is a failure.
    pub fn is_installed() -> bool {
        if Path::new(CHROMIUM).exists() {
            return true;
        }
        let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!ci, "{CHROMIUM} is missing and CI=true");
        eprintln!("SKIPPED: {CHROMIUM} is not installed, so the window was not tried in a browser");
        false
    }

    /// Starts one with its own empty profile under `folder`.
    pub fn start(folder: &Path) -> Self {
        let (to, from) = (folder.join("to"), folder.join("from"));
        assert!(
            Command::new("mkfifo")
                .args([&to, &from])
                .status()
                .unwrap()
                .success()
        );
        // Opened for both, so that opening does not wait for the other end.
        let open = |path: &Path| {
            OpenOptions::new()
                .read(true)
                .write(true)
                .open(path)
                .unwrap()
        };
        let (commands, answers) = (open(&to), open(&from));
        let script = format!(
            "exec {CHROMIUM} {} --user-data-dir=\"$1\" --remote-debugging-pipe about:blank 3<\"$2\" 4>\"$3\"",
            FLAGS.join(" ")
        );
        let child = Command::new("sh")
            .args(["-c", &script, "sh"])
            .args([&folder.join("data"), &to, &from])
            .env("HOME", folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (sender, messages) = channel();
        std::thread::spawn(move || read_messages(answers, &sender));
        let console = Vec::new();
        let mut browser = Self {
            child,
            commands,
            messages,
            session: None,
            next: 0,
            console,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", attach);
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Accessibility"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.call(
            "Emulation.setFocusEmulationEnabled",
            json!({ "enabled": true }),
        );
        browser
    }

    /// Calls a method and waits for its answer.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.try_call(method, params, PATIENCE)
            .unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    fn try_call(
        &mut self,
        method: &str,
        params: Value,
        patience: Duration,
    ) -> Result<Value, String> {
        self.next += 1;
        let mut message = json!({ "id": self.next, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.commands
            .write_all(&bytes)
            .map_err(|error| error.to_string())?;
        let until = Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let answer = self.messages.recv_timeout(left);
            let answer = answer.map_err(|_| "chromium does not answer".to_owned())?;
            if answer["id"] != json!(self.next) {
                self.note(&answer);
                continue;
            }
            if !answer["error"].is_null() {
                return Err(answer["error"].to_string());
            }
            return Ok(answer["result"].clone());
        }
    }

    fn note(&mut self, event: &Value) {
        let words = match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => &event["params"]["exceptionDetails"],
            Some("Log.entryAdded") if event["params"]["entry"]["level"] != "verbose" => {
                &event["params"]["entry"]
            }
            _ => return,
        };
        self.console.push(words.to_string());
    }

    /// Goes to an address, as if it was typed.
    pub fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url }));
    }

    /// Evaluates an expression in the page.
    pub fn eval(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true });
        let answer = self.call("Runtime.evaluate", params);
        assert!(
            answer["exceptionDetails"].is_null(),
            "{expression}: {}",
            answer["exceptionDetails"]
        );
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true. A page that is just being left answers nothing, which is not yet true.
    pub fn wait_for(&mut self, expression: &str) {
        let until = Instant::now() + PATIENCE;
        let guarded =
            format!("(() => {{ try {{ return !!({expression}); }} catch {{ return false; }} }})()");
        while Instant::now() < until {
            let params = json!({ "expression": guarded, "returnByValue": true });
            let answer = self.try_call("Runtime.evaluate", params, Duration::from_secs(2));
            if answer.is_ok_and(|answer| answer["result"]["value"] == json!(true)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(40));
        }
        let body = self.eval("document.title + ': ' + document.body.innerText");
        panic!(
            "never true: {expression}\non the page: {body}\nconsole: {:?}",
            self.console
        );
    }

    /// A mouse click in the middle of an element.
    pub fn click(&mut self, selector: &str) {
        self.wait_for(&format!("document.querySelector({})", json!(selector)));
        let place = self.eval(&format!(
            "(() => {{ const e = document.querySelector({}); e.scrollIntoView({{ block: 'nearest' }}); \
             const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()",
            json!(selector)
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Types into what has the focus.
    pub fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Presses a key; `modifiers` as the protocol counts them (2 Ctrl, 8 Shift).
    pub fn press(&mut self, key: &str, modifiers: u8) {
        let (code, text) = match key {
            "Enter" => (13, "\r"),
            "Tab" => (9, ""),
            _ => (0, ""),
        };
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({
                "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers,
            });
            if kind == "keyDown" && !text.is_empty() {
                event["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Window size and theme.
    pub fn look(&mut self, width: u32, height: u32, theme: &str) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size);
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        self.call("Emulation.setEmulatedMedia", features);
    }

    /// A PNG of the page.
    pub fn picture(&mut self) -> Vec<u8> {
        let answer = self.call(
            "Page.captureScreenshot",
            json!({ "format": "png", "optimizeForSpeed": false }),
        );
        let text = answer["data"].as_str().unwrap();
        data_encoding::BASE64.decode(text.as_bytes()).unwrap()
    }

    /// Controls that a screen reader could not name.
    pub fn unnamed_controls(&mut self) -> Vec<String> {
        let tree = self.call("Accessibility.getFullAXTree", json!({}));
        let roles = [
            "button",
            "link",
            "textbox",
            "checkbox",
            "progressbar",
            "region",
            "navigation",
        ];
        let nodes = tree["nodes"].as_array().unwrap().iter();
        nodes
            .filter(|node| roles.contains(&node["role"]["value"].as_str().unwrap_or_default()))
            .filter(|node| {
                node["name"]["value"]
                    .as_str()
                    .unwrap_or_default()
                    .trim()
                    .is_empty()
            })
            .map(Value::to_string)
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let close = b"{\"id\":0,\"method\":\"Browser.close\"}\0";
        let asked = self.commands.write_all(close).is_ok();
        let until = Instant::now() + Duration::from_secs(3);
        while asked && Instant::now() < until {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_messages(mut pipe: File, sender: &std::sync::mpsc::Sender<Value>) {
    let (mut kept, mut part) = (Vec::new(), vec![0_u8; 64 * 1024]);
    while let Ok(n) = pipe.read(&mut part) {
        kept.extend_from_slice(&part[..n]);
        while let Some(end) = kept.iter().position(|byte| *byte == 0) {
            let message: Vec<u8> = kept.drain(..=end).collect();
            let value = serde_json::from_slice(&message[..end]).unwrap_or_default();
            if sender.send(value).is_err() {
                return;
            }
        }
    }
}
