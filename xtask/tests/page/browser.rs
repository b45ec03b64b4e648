//! What a reader does with a page, told to the browser by its own protocol: it
//! loads, clicks, types, and looks.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::chromium::Chromium;

/// An answer that takes longer never comes.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    asked: u64,
    session: Option<String>,
    /// Whatever it told without being asked.
    told: Vec<Value>,
}

impl Browser {
    /// A browser in front of the page `index.html` of `folder`, `width` pixels wide.
    pub fn open(chromium: &Chromium, folder: &Path, width: u32) -> Self {
        let mut browser = Self::start(chromium, folder);
        browser.set_width(width);
        browser.load("");
        browser
    }

    /// A browser in front of nothing yet.
    pub fn start(chromium: &Chromium, folder: &Path) -> Self {
        let mut child = chromium.start(folder);
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            for message in BufReader::new(from).split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).unwrap();
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let mut browser = Self {
            child,
            to,
            from: receiver,
            asked: 0,
            session: None,
            told: Vec::new(),
        };
        let target = browser.ask("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.ask("Target.attachToTarget", attach);
        browser.session = Some(session["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.ask(&format!("{domain}.enable"), json!({}));
        }
        browser.like("light");
        browser
    }

    /// Asks for one thing and waits for its answer.
    pub fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.asked += 1;
        let mut question = json!({"id": self.asked, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            question["sessionId"] = json!(session);
        }
        let mut bytes = question.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).unwrap();
        loop {
            let answer = self.next(method);
            if answer["id"] == json!(self.asked) {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            self.told.push(answer);
        }
    }

    fn next(&self, awaited: &str) -> Value {
        let message = self.from.recv_timeout(ANSWER_WITHIN);
        message.unwrap_or_else(|why| panic!("the browser does not answer {awaited}: {why}"))
    }

    /// What the reader likes: `light` or `dark`, and nothing that moves.
    pub fn like(&mut self, scheme: &str) {
        let features = json!([
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        self.ask("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    pub fn set_width(&mut self, width: u32) {
        let metrics = json!({
            "width": width, "height": 740, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.ask("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// Loads the page; `hash` is the end of its address, as `#gin/scratch`.
    pub fn load(&mut self, hash: &str) {
        self.told.retain(|it| it["method"] != "Page.loadEventFired");
        // Only the hash may differ, and the page is to be loaded all the same.
        self.ask("Page.navigate", json!({"url": "about:blank"}));
        self.wait_for("Page.loadEventFired");
        let address = format!("file:///page/index.html{hash}");
        self.ask("Page.navigate", json!({"url": address}));
        self.wait_for("Page.loadEventFired");
    }

    fn wait_for(&mut self, event: &str) {
        let is_it = |it: &Value| it["method"] == event;
        if let Some(place) = self.told.iter().position(is_it) {
            self.told.remove(place);
            return;
        }
        loop {
            let message = self.next(event);
            if is_it(&message) {
                return;
            }
            self.told.push(message);
        }
    }

    /// What an expression is worth in the page.
    pub fn see(&mut self, expression: &str) -> Value {
        let parameters =
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.ask("Runtime.evaluate", parameters);
        assert!(
            answer["exceptionDetails"].is_null(),
            "{expression}: {answer}"
        );
        answer["result"]["value"].clone()
    }

    pub fn text(&mut self, expression: &str) -> String {
        let seen = self.see(expression);
        seen.as_str()
            .unwrap_or_else(|| panic!("{expression}: {seen}"))
            .to_owned()
    }

    pub fn holds(&mut self, expression: &str) -> bool {
        self.see(expression) == json!(true)
    }

    /// Presses the mouse in the middle of what `selector` names first.
    pub fn click(&mut self, selector: &str) {
        let place = self.see(&format!(
            "(() => {{ const it = document.querySelector({selector:?}); \
             it.scrollIntoView({{block: 'center', inline: 'center'}}); \
             const box = it.getBoundingClientRect(); \
             return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let mouse = json!({
                "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1,
            });
            self.ask("Input.dispatchMouseEvent", mouse);
        }
    }

    /// Presses a key so many times: `Tab`, `Enter`, `Space`, `ArrowRight`, `ArrowLeft`.
    pub fn press(&mut self, key: &str, times: usize) {
        let (code, text, name) = match key {
            "Tab" => (9, "", "Tab"),
            "Enter" => (13, "\r", "Enter"),
            "Space" => (32, " ", " "),
            "ArrowLeft" => (37, "", "ArrowLeft"),
            "ArrowRight" => (39, "", "ArrowRight"),
            _ => panic!("no key {key}"),
        };
        for _ in 0..times {
            for kind in ["keyDown", "keyUp"] {
                let text = if kind == "keyDown" { text } else { "" };
                let press = json!({
                    "type": kind, "key": name, "code": key, "text": text,
                    "windowsVirtualKeyCode": code, "nativeVirtualKeyCode": code,
                });
                self.ask("Input.dispatchKeyEvent", press);
            }
        }
    }

    /// Presses Tab until what `selector` names has the focus.
    pub fn tab_to(&mut self, selector: &str) {
        let there = format!("document.activeElement.matches({selector:?})");
        for _ in 0..300 {
            if self.holds(&there) {
                return;
            }
            self.press("Tab", 1);
        }
        panic!("no key leads to {selector}");
    }

    /// Writes a number into a field as the reader does, over what is there.
    pub fn write(&mut self, selector: &str, text: &str) {
        self.see(&format!("document.querySelector({selector:?}).select()"));
        self.see(&format!("document.querySelector({selector:?}).focus()"));
        self.ask("Input.insertText", json!({"text": text}));
    }

    /// Ends it, and fails if the page complained or asked for anything but itself.
    pub fn close(mut self) {
        let mut complaints = Vec::new();
        for it in &self.told {
            let parameters = &it["params"];
            match it["method"].as_str().unwrap_or_default() {
                "Runtime.exceptionThrown" | "Log.entryAdded" | "Runtime.consoleAPICalled" => {
                    complaints.push(parameters.to_string());
                }
                "Network.requestWillBeSent" => {
                    let address = parameters["request"]["url"].as_str().unwrap();
                    if !address.starts_with("file:///page/index.html") && address != "data:," {
                        complaints.push(format!("it asked for {address}"));
                    }
                }
                _ => (),
            }
        }
        assert!(complaints.is_empty(), "{}", complaints.join("\n"));
        self.session = None;
        self.ask("Browser.close", json!({}));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its namespace of processes goes with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
