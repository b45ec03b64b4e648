//! Runs the service's binary and talks to it, with nothing but the standard
//! library: what the tests bring in would land in the service's lock file.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpStream},
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

/// Far above what any step takes, so that only a hang reaches it.
const DEADLINE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);

/// The service's binary in a known environment.
pub fn command() -> Command {
    clean(Command::new(env!("CARGO_BIN_EXE_app")))
}

/// The same as PID 1 of a PID namespace of its own, as in a container.
pub fn command_as_pid_1() -> Command {
    let mut command = unshare();
    command.arg(env!("CARGO_BIN_EXE_app"));
    clean(command)
}

/// Whether this user may make PID namespaces here.
pub fn can_be_pid_1() -> bool {
    unshare()
        .arg("true")
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child"]);
    command
}

fn clean(mut command: Command) -> Command {
    command.env_remove("PORT").env_remove("APP_TEST_PANIC");
    command
}

/// Runs the service where it is expected to give up by itself.
pub fn run_with_port(port: &str) -> Output {
    let mut child = command()
        .env("PORT", port)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the service starts");
    wait(&mut child);
    child.wait_with_output().expect("it has ended")
}

/// A running service, ended when it goes out of scope.
pub struct Service {
    child: Child,
    log: Receiver<String>,
    port: u16,
}

impl Service {
    pub fn start() -> Self {
        Self::spawn(command())
    }

    /// Starts `command` on a port the system picks: the service says which.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command
            .env("PORT", "0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the service starts");
        let log = lines(child.stdout.take().expect("stdout is piped"));
        let mut service = Self {
            child,
            log,
            port: 0,
        };
        let line = service.log_line();
        service.port = line
            .strip_prefix("listening on 0.0.0.0:")
            .and_then(|port| port.parse().ok())
            .unwrap_or_else(|| panic!("the first line names the address: {line:?}"));
        service
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The next line of the service's log.
    pub fn log_line(&self) -> String {
        self.log.recv_timeout(DEADLINE).expect("a line in the log")
    }

    /// Ends the service and returns what of its log nobody has read.
    pub fn rest_of_log(mut self) -> Vec<String> {
        let pid = self.pid();
        self.end_by("TERM", pid);
        self.log.iter().collect()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("not zero");
        stream
    }

    pub fn get(&self, path: &str) -> Response {
        let mut stream = self.connect();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        )
        .expect("the request is sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("a whole response");
        Response::parse(&text)
    }

    /// The process that `unshare` forked: our own child is only its parent.
    pub fn forked_pid(&self) -> u32 {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.expect("/proc lists children");
        children.trim().parse().expect("exactly one child")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends `signal` to `pid` and waits until the service has ended.
    pub fn end_by(&mut self, signal: &str, pid: u32) -> (ExitStatus, Duration) {
        let sent = Instant::now();
        // The shell's own `kill`: the program of that name is not everywhere.
        let status = Command::new("sh")
            .args(["-c", &format!("kill -{signal} {pid}")])
            .status()
            .expect("a shell");
        assert!(status.success(), "{signal} reaches {pid}");
        (wait(&mut self.child), sent.elapsed())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Both fail only where it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for `child`, but not for ever.
fn wait(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(status) = child.try_wait().expect("it can be waited for") {
            return status;
        }
        if Instant::now() >= deadline {
            let _ = child.kill();
            panic!("it did not end within {DEADLINE:?}");
        }
        thread::sleep(POLL);
    }
}

/// Reads on a thread of its own, because only a channel can be asked with a
/// deadline. The thread ends with the service.
fn lines(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        BufReader::new(stdout)
            .lines()
            .map_while(Result::ok)
            .try_for_each(|line| sender.send(line))
    });
    receiver
}

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub content_type: Option<String>,
    pub body: String,
}

impl Response {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let content_type = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            .map(|(_, value)| value.to_owned());
        Self {
            status: status.expect("a status line"),
            content_type,
            body: body.to_owned(),
        }
    }
}
