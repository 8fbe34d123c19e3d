//! How a worker is forked and how a program is started, and what both need to be sound.
//!
//! A program is started by clone(2) with `CLONE_VM | CLONE_VFORK`: nothing is copied, and whatever has to
//! hold before its first instruction (its session, its descriptors, its limits) is done in the child, between
//! clone and execve. The child borrows the worker's memory while the worker stands still, so that it may make
//! system calls and nothing else: no allocation, no lock, no panic.
#![expect(unsafe_code, reason = "fork, clone and the resetting of signals have no safe form")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr;

use rustix::process::{Pid, WaitOptions, waitpid};

/// Enough for a dozen frames of the C library. The kernel has a stack of its own.
const STACK: usize = 64 * 1024;

/// What a program gets when its worker dies, as wide as prctl(2) reads it.
const DEATH: libc::c_ulong = libc::SIGKILL.unsigned_abs() as libc::c_ulong;

/// What is to be started.
#[derive(Debug)]
pub(super) struct Start<'a> {
    pub(super) path: &'a CStr,
    pub(super) argv: &'a [CString],
    pub(super) environment: &'a [CString],
    /// Standard input, output and error. None of them is 0, 1 or 2 itself.
    pub(super) streams: [BorrowedFd<'a>; 3],
    pub(super) directory: BorrowedFd<'a>,
    pub(super) open_files: Option<u64>,
}

/// The step at which a start failed, and what the kernel said.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) step: &'static str,
    pub(super) error: io::Error,
}

/// Which of the two processes after a fork this is.
#[derive(Debug)]
pub(super) enum Fork {
    Parent(Pid),
    Child,
}

/// Forks this process, which must have only one thread.
pub(super) fn fork() -> io::Result<Fork> {
    // SAFETY: the process has one thread (`sandbox` refuses to confine any other), so that no lock is held by
    // a thread that the child does not have, and the child may do whatever the parent may.
    match unsafe { libc::fork() } {
        0 => Ok(Fork::Child),
        id => process(id).map(Fork::Parent).ok_or_else(io::Error::last_os_error),
    }
}

/// Closes all that was inherited but standard input, output and error. To be called before anything is
/// opened.
pub(super) fn close_inherited() {
    // SAFETY: called first thing in the process, when no value owns a descriptor above 2 yet. It fails only
    // on kernels older than the ones that openat2(2) needs.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
}

/// Gives every signal its default meaning and blocks all of them, for this process and the workers forked
/// from it.
///
/// Signals that are blocked cannot run a handler on the borrowed memory of a child, and a Ctrl-C or a stop of
/// the service, which reach this process too, are the daemon's to answer.
pub(super) fn quiet_signals() {
    // As the kernel defines it: handler SIG_DFL, no flags, no restorer, an empty mask. The C library would
    // refuse the two signals that it keeps for itself, and whoever started kernos may have ignored them.
    let default = [0_u64; 4];
    let mask_size = size_of::<u64>();
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: `default` is as large as the kernel's sigaction on 64 bits. No handler is installed, so
        // that none has to be sound; for the signals that have only their default it fails with EINVAL and
        // changes nothing.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), ptr::null::<c_void>(), mask_size)
        };
    }
    nix::sys::signal::SigSet::all().thread_block().expect("blocking signals cannot fail");
}

/// What the child reads, and where it leaves its error.
struct Shared {
    path: *const c_char,
    argv: *const *const c_char,
    environment: *const *const c_char,
    streams: [RawFd; 3],
    directory: RawFd,
    open_files: Option<libc::rlimit>,
    step: &'static str,
    errno: c_int,
}

/// Starts a program in a session of its own and returns when it runs, or says why it does not.
///
/// To be called with all signals blocked ([`quiet_signals`]).
pub(super) fn start(start: &Start<'_>) -> Result<Pid, Failure> {
    let (argv, environment) = (pointers(start.argv), pointers(start.environment));
    let mut shared = Shared {
        path: start.path.as_ptr(),
        argv: argv.as_ptr(),
        environment: environment.as_ptr(),
        streams: start.streams.map(|stream| stream.as_raw_fd()),
        directory: start.directory.as_raw_fd(),
        open_files: start.open_files.map(|most| libc::rlimit { rlim_cur: most, rlim_max: most }),
        step: "clone",
        errno: 0,
    };
    let mut stack: Vec<u128> = Vec::with_capacity(STACK / size_of::<u128>());
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack is 64 KiB, aligned to 16 bytes, passed by its upper end because it grows down.
    // CLONE_VFORK suspends this thread until the child has called execve or is gone, so that `stack`,
    // `shared` and all that it points to outlive the child's use of them, and nobody else touches them
    // meanwhile. Without CLONE_FILES, CLONE_FS and CLONE_SIGHAND the child changes its own copies of
    // descriptors, directory and signals.
    let id = unsafe {
        let top = stack.as_mut_ptr().add(stack.capacity());
        libc::clone(child, top.cast(), flags, ptr::from_mut(&mut shared).cast())
    };
    let Some(pid) = process(id) else {
        return Err(Failure { step: "clone", error: io::Error::last_os_error() });
    };
    if shared.errno == 0 {
        return Ok(pid);
    }
    let _ = waitpid(Some(pid), WaitOptions::empty());
    Err(Failure { step: shared.step, error: io::Error::from_raw_os_error(shared.errno) })
}

/// What fork and clone return to the parent; `None` for the -1 of an error.
fn process(id: libc::pid_t) -> Option<Pid> {
    if id > 0 { Pid::from_raw(id) } else { None }
}

fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
}

/// The child: returns only if the program could not be started, and then exits.
extern "C" fn child(shared: *mut c_void) -> c_int {
    // SAFETY: `start` passes a valid `Shared` and stands still, so that this is the only reference to it.
    let shared = unsafe { &mut *shared.cast::<Shared>() };
    // SAFETY: `start` keeps every pointer in it valid.
    unsafe { become_program(shared) };
    // SAFETY: reads the errno of the step that failed, which the worker's thread shares and does not use now.
    shared.errno = unsafe { *libc::__errno_location() };
    127
}

/// Makes the calls that turn the child into the program. Returns at the first that fails.
///
/// # Safety
///
/// Only in a child of [`start`], with its `Shared`: the pointers are valid, and the calls change this child
/// alone.
unsafe fn become_program(shared: &mut Shared) {
    let mut failed = |step: &'static str, result: c_int| {
        shared.step = step;
        result < 0
    };
    // SAFETY: plain system calls with integers, or with pointers that `start` keeps valid; all of them are
    // async-signal-safe (signal-safety(7)), so that they need no lock and do not allocate.
    unsafe {
        // No controlling terminal, and a process group that can be killed as one.
        if failed("setsid", libc::setsid())
            || failed("prctl", libc::prctl(libc::PR_SET_PDEATHSIG, DEATH))
            || failed("fchdir", libc::fchdir(shared.directory))
        {
            return;
        }
        for (wanted, stream) in (0..).zip(shared.streams) {
            if failed("dup2", libc::dup2(stream, wanted)) {
                return;
            }
        }
        if let Some(most) = &shared.open_files
            && failed("setrlimit", libc::setrlimit(libc::RLIMIT_NOFILE, most))
        {
            return;
        }
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0);
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
        failed("execve", libc::execve(shared.path, shared.argv, shared.environment));
    }
}
