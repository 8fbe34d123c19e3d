//! The daemon under test: started with a policy and a notify socket, and gone when the test is.

use std::cell::RefCell;
use std::fs::{self, Permissions};
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::client::{Client, Era};
use crate::log::Log;
use crate::policy;
use crate::processes::{self, PATIENCE};

/// The binary under test: cargo's, or the one that an installed copy is tested by.
pub fn binary() -> PathBuf {
    std::env::var_os("KERNOS_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_kernos").into(), PathBuf::from)
}

/// Everything about a daemon before it is started.
pub struct Setup {
    directory: TempDir,
    work: PathBuf,
    policy: String,
    mode: u32,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// The words of a program that starts it, if another does.
    starter: Vec<String>,
    /// Where somebody has to knock before it starts.
    knock: Option<SocketAddr>,
}

impl Setup {
    /// The standard policy in a directory of its own.
    pub fn new() -> Self {
        let (directory, work) = policy::place();
        let policy = policy::standard(&work);
        Self {
            directory,
            work,
            policy,
            mode: 0o600,
            arguments: Vec::new(),
            environment: Vec::new(),
            starter: Vec::new(),
            knock: None,
        }
    }

    /// Adds tables at the end of the policy.
    pub fn append(mut self, tables: &str) -> Self {
        self.policy.push_str(tables);
        self
    }

    /// Puts another text in the place of one that must be there.
    pub fn replace(mut self, from: &str, to: &str) -> Self {
        assert!(self.policy.contains(from), "the policy has no {from:?}:\n{}", self.policy);
        self.policy = self.policy.replace(from, to);
        self
    }

    /// The mode of the policy's file.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Adds an argument to `kernos serve --config FILE`.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Sets a variable of the daemon's own environment.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it with so many descriptors, or with a soft and a hard limit, `SOFT:HARD`, by prlimit(1).
    pub fn open_files(mut self, limit: &str) -> Self {
        self.starter = vec!["prlimit".to_owned(), format!("--nofile={limit}")];
        self
    }

    /// Starts it with these capabilities alone, written as for setpriv(1), as a unit of systemd may.
    pub fn capabilities(mut self, kept: &str) -> Self {
        let words = ["setpriv", "--no-new-privs", "--bounding-set"].map(str::to_owned);
        self.starter = words.into_iter().chain([format!("-all,{kept}")]).collect();
        self
    }

    /// Starts it as systemd does when somebody knocks at a socket that systemd listens at.
    pub fn activated(mut self) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("there is a free port");
        let words = ["systemd-socket-activate", "--setenv=NOTIFY_SOCKET", "--listen"].map(str::to_owned);
        self.starter = words.into_iter().chain([address.to_string()]).collect();
        self.knock = Some(address);
        self.replace("listen  = [\"127.0.0.1:0\"]", "listen  = \"systemd\"")
    }

    /// The root that commands may write.
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// The directory around it, which commands may not.
    pub fn outside(&self) -> &Path {
        self.directory.path()
    }

    /// Where it takes orders from root.
    pub fn control(&self) -> PathBuf {
        self.directory.path().join("control")
    }

    /// Where the policy is written.
    pub fn policy_file(&self) -> PathBuf {
        self.directory.path().join("kernos.toml")
    }

    /// Starts the daemon and waits until it says that it is ready.
    pub fn start(self) -> Daemon {
        let notify = self.notify_socket();
        let mut child = self.command().spawn().expect("the binary starts");
        let log = Log::collect(child.stderr.take().expect("stderr is piped"));
        if let Some(address) = self.knock {
            processes::eventually("a socket that listens", || TcpStream::connect(address).is_ok());
        }
        let mut daemon = Daemon { setup: self, child, log, notify, said: RefCell::default() };
        daemon.await_ready();
        daemon
    }

    /// Runs a daemon that must end by itself.
    pub fn run(&self) -> Finished {
        let _notify = self.notify_socket();
        let child = self.command().spawn().expect("the binary starts");
        Finished::of(child)
    }

    fn command(&self) -> Command {
        self.write_policy();
        let mut command = match &*self.starter {
            [] => Command::new(binary()),
            [starter, words @ ..] => {
                let mut command = Command::new(starter);
                command.args(words).arg(binary());
                command
            }
        };
        command
            .args(["serve", "--config"])
            .arg(self.policy_file())
            .arg("--control")
            .arg(self.control())
            .args(&self.arguments)
            .env("NOTIFY_SOCKET", self.notify_path())
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Puts the policy where the daemon will look for it.
    pub fn write_policy(&self) {
        fs::write(self.policy_file(), &self.policy).expect("the directory is ours");
        fs::set_permissions(self.policy_file(), Permissions::from_mode(self.mode)).expect("it is ours");
    }

    fn notify_path(&self) -> PathBuf {
        self.directory.path().join("notify")
    }

    fn notify_socket(&self) -> UnixDatagram {
        let socket = UnixDatagram::bind(self.notify_path()).expect("the directory is ours");
        // As systemd's own: the daemon writes to it after it has become somebody else.
        fs::set_permissions(self.notify_path(), Permissions::from_mode(0o777)).expect("it is ours");
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("not zero");
        socket
    }
}

/// A daemon that serves. Dropping it kills it, and with it all that it started.
pub struct Daemon {
    setup: Setup,
    child: Child,
    /// What it wrote to its standard error.
    pub log: Log,
    notify: UnixDatagram,
    said: RefCell<Vec<String>>,
}

impl Daemon {
    /// A daemon under the standard policy.
    pub fn start() -> Self {
        Setup::new().start()
    }

    /// Where it listens, as its `STATUS=` says.
    pub fn address(&self) -> SocketAddr {
        let status = self.told("STATUS=serving on ");
        let address = status.split([' ', ',', ';']).next().unwrap_or_default();
        address.parse().unwrap_or_else(|error| panic!("{status:?} does not start with an address: {error}"))
    }

    /// The address of a path of it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// A client of the modern era with alice's key.
    pub fn client(&self) -> Client {
        self.client_of(Era::Modern, policy::ALICE)
    }

    /// A client with a key of one's choice.
    pub fn client_of(&self, era: Era, key: &str) -> Client {
        Client::connect(&self.url("/mcp"), era, key)
    }

    /// What it was set up with.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The root that commands may write.
    pub fn work(&self) -> &Path {
        self.setup.work()
    }

    /// Its process.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Its one child, which starts the commands.
    pub fn executor(&self) -> i32 {
        let children = processes::children(self.pid());
        let [executor] = children[..] else {
            panic!("the daemon has one child, the executor, and not {children:?}");
        };
        executor
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("it has not been waited for");
    }

    /// Changes the policy's file; what runs does not know of it yet.
    pub fn rewrite(&mut self, from: &str, to: &str) {
        let policy = &mut self.setup.policy;
        assert!(policy.contains(from), "the policy has no {from:?}:\n{policy}");
        *policy = policy.replace(from, to);
        self.setup.write_policy();
    }

    /// Runs `kernos reload` for it.
    pub fn reload(&self) -> Output {
        let policy = self.setup.policy_file();
        self.order(&["reload", "--config", policy.to_str().expect("a plain name")])
    }

    /// Runs a subcommand that gives it an order.
    pub fn order(&self, words: &[&str]) -> Output {
        let mut order = Command::new(binary());
        order.args(words).arg("--control").arg(self.setup.control());
        order.envs(self.setup.environment.iter().cloned()).output().expect("the binary starts")
    }

    /// Says as much to the service manager as its socket takes; whoever says more waits until the test listens.
    pub fn fill_notify_socket(&self) {
        let socket = UnixDatagram::unbound().expect("there are descriptors");
        socket.connect(self.setup.notify_path()).expect("the daemon was told of it");
        socket.set_nonblocking(true).expect("it is a socket");
        while socket.send(b"X_FILLED=1").is_ok() {}
    }

    /// How many lines to the service manager were this one.
    pub fn times_told(&self, line: &str) -> usize {
        self.listen();
        self.said.borrow().iter().filter(|said| *said == line).count()
    }

    /// Waits until it ends by itself.
    pub fn await_exit(&mut self) -> ExitStatus {
        await_exit(&mut self.child, &self.log)
    }

    /// Whether it has ended, whatever is left to read of its log.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_some()
    }

    /// Waits for a line to the service manager that starts so; gives what follows.
    pub fn told(&self, prefix: &str) -> String {
        let mut found = None;
        processes::eventually(&format!("a notification {prefix}…"), || {
            self.listen();
            found = self.said.borrow().iter().find_map(|line| line.strip_prefix(prefix).map(str::to_owned));
            found.is_some()
        });
        found.expect("it was seen")
    }

    fn listen(&self) {
        let mut buffer = [0; 4096];
        while let Ok(length) = self.notify.recv(&mut buffer) {
            let datagram = String::from_utf8_lossy(&buffer[..length]);
            self.said.borrow_mut().extend(datagram.lines().map(str::to_owned));
        }
    }

    fn await_ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.listen();
            if self.said.borrow().iter().any(|line| line == "READY=1") {
                return;
            }
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                panic!("the daemon ended with {status} before it was ready:\n{}", self.log.whole());
            }
            assert!(Instant::now() < deadline, "the daemon is not ready:\n{}", self.log.whole());
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the daemon's log:\n{}", self.log.whole());
        }
    }
}

/// A daemon that has ended.
pub struct Finished {
    /// Its exit status, or `None` after a signal.
    pub code: Option<i32>,
    /// All that it wrote, to both streams.
    pub text: String,
}

impl Finished {
    /// Waits for its end.
    pub fn of(mut child: Child) -> Self {
        let log = Log::collect(child.stderr.take().expect("stderr is piped"));
        let code = await_exit(&mut child, &log).code();
        let mut text = String::new();
        if let Some(mut stdout) = child.stdout.take() {
            let _ = stdout.read_to_string(&mut text);
        }
        text.push_str(&log.whole());
        Self { code, text }
    }
}

fn await_exit(child: &mut Child, log: &Log) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            log.await_end();
            return status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("the daemon does not end:\n{}", log.whole());
        }
        thread::sleep(Duration::from_millis(5));
    }
}
