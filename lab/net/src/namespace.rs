//! Network namespaces without names: made by `unshare(2)`, held by a file descriptor.
//!
//! A namespace lives as long as somebody holds its descriptor or runs a process in it. Nothing is
//! entered under `/run/netns`, so nothing is left behind by a panic or a kill. Works as root, and as
//! an ordinary user after [`enter_user_namespace`]. Process-wide state is never changed: only threads
//! made here enter a namespace, and they end with the closure they run.

use std::fs::File;
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::AsRawFd as _;
use std::process::{Child, Command};
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

use crate::LabError;

/// Makes the process root in a user namespace of its own, unless it is root already.
///
/// Call it first in `main`, before any thread exists: the kernel refuses it to a process with threads.
pub fn enter_user_namespace() -> Result<(), LabError> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    patchbay::init_userns().map_err(|e| LabError::Namespace(format!("{e:#}")))
}

/// Says whether labs can run here: tries to make a namespace and a TUN device in it.
pub fn probe() -> Result<(), LabError> {
    let namespace = Namespace::create()?;
    namespace
        .run(|| tun_rs::DeviceBuilder::new().build_sync())?
        .map_err(LabError::Tun)?;
    Ok(())
}

/// A network namespace of our own, with its loopback interface up.
#[derive(Debug)]
pub struct Namespace {
    descriptor: File,
}

impl Namespace {
    /// Makes an empty network namespace.
    pub fn create() -> Result<Self, LabError> {
        let namespace = on_fresh_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(|e| LabError::Namespace(e.to_string()))?;
            Self::of_this_thread()
        })??;
        namespace.ip_commands("link set lo up\n")?;
        Ok(namespace)
    }

    /// Holds the namespace that the calling thread is in.
    pub fn of_this_thread() -> Result<Self, LabError> {
        let descriptor = File::open("/proc/thread-self/ns/net").map_err(|source| LabError::Os {
            what: "cannot open this thread's namespace",
            source,
        })?;
        Ok(Self { descriptor })
    }

    /// Runs `job` on a thread inside the namespace and waits for it. A panic of `job` is passed on.
    pub fn run<R: Send>(&self, job: impl FnOnce() -> R + Send) -> Result<R, LabError> {
        on_fresh_thread(|| {
            setns(&self.descriptor, CloneFlags::CLONE_NEWNET).map_err(|e| LabError::Os {
                what: "cannot enter the namespace",
                source: e.into(),
            })?;
            Ok(job())
        })?
    }

    /// Starts a program inside the namespace.
    pub fn spawn(&self, command: &mut Command) -> Result<HostProcess, LabError> {
        self.run(|| HostProcess::start(command))?
    }

    /// Gives `ip -batch` (iproute2) a few lines to carry out inside the namespace.
    pub fn ip_commands(&self, lines: &str) -> Result<(), LabError> {
        self.run(|| feed("ip", &["-batch", "-"], lines))?
    }

    /// Gives nft(8) a set of rules to carry out inside the namespace.
    pub fn nft(&self, rules: &str) -> Result<(), LabError> {
        self.run(|| feed("nft", &["-f", "-"], rules))?
    }

    /// Makes a namespace behind this one, which is its router, joined by a cable of its own. `net` is the first three bytes of
    /// their addresses: .1 is the router's, .2 at `interface` the other's.
    pub fn behind(&self, net: [u8; 3], interface: &str) -> Result<Self, LabError> {
        let inner = Self::create()?;
        let [a, b, c] = net;
        self.ip_commands(&format!(
            "link add lan0 type veth peer name {interface} netns {}\n\
             address add {a}.{b}.{c}.1/24 dev lan0\nlink set lan0 up\n",
            inner.path()
        ))?;
        self.set_sysctl("ipv4/ip_forward", "1")?;
        inner.ip_commands(&format!(
            "address add {a}.{b}.{c}.2/24 dev {interface}\nlink set {interface} up\n\
             route add default via {a}.{b}.{c}.1\n"
        ))?;
        Ok(inner)
    }

    /// Holds the same namespace once more.
    pub(crate) fn share(&self) -> Result<Self, LabError> {
        let descriptor = self.descriptor.try_clone().map_err(|source| LabError::Os {
            what: "cannot hold a namespace twice",
            source,
        })?;
        Ok(Self { descriptor })
    }

    /// Where programs that we start find it, as long as we hold it.
    fn path(&self) -> String {
        let (process, descriptor) = (std::process::id(), self.descriptor.as_raw_fd());
        format!("/proc/{process}/fd/{descriptor}")
    }

    /// Writes a kernel setting below `/proc/sys/net` as this namespace sees it.
    pub fn set_sysctl(&self, path: &str, value: &str) -> Result<(), LabError> {
        self.run(|| std::fs::write(format!("/proc/sys/net/{path}"), value))?
            .map_err(|source| LabError::Os {
                what: "cannot set a network setting",
                source,
            })
    }
}

/// A running program of a lab; killed and reaped when dropped.
#[derive(Debug)]
pub struct HostProcess {
    child: Child,
}

impl HostProcess {
    /// Starts a program where the calling thread is.
    pub fn start(command: &mut Command) -> Result<Self, LabError> {
        let child = command.spawn().map_err(|e| LabError::Program {
            program: command.get_program().to_string_lossy().into_owned(),
            reason: e.to_string(),
        })?;
        Ok(Self { child })
    }
}

impl Deref for HostProcess {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.child
    }
}

impl DerefMut for HostProcess {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Drop for HostProcess {
    fn drop(&mut self) {
        // Both fail only if the process is gone already, which is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program with `input` on its standard input and turns a failure into its own words.
fn feed(program: &str, arguments: &[&str], input: &str) -> Result<(), LabError> {
    let failed = |reason: String| LabError::Program {
        program: format!("{program} {}", arguments.join(" ")),
        reason,
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .map_err(|e| failed(e.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        io::Write::write_all(&mut stdin, input.as_bytes()).map_err(|e| failed(e.to_string()))?;
    }
    let output = child
        .wait_with_output()
        .map_err(|e| failed(e.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(())
}

/// A thread that may change its own namespace must end with its job, so it is never one of a pool.
fn on_fresh_thread<R: Send>(job: impl FnOnce() -> R + Send) -> Result<R, LabError> {
    thread::scope(|scope| {
        let handle = thread::Builder::new()
            .name("lab-namespace".into())
            .spawn_scoped(scope, job)
            .map_err(|source| LabError::Os {
                what: "cannot start a thread",
                source,
            })?;
        match handle.join() {
            Ok(value) => Ok(value),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
