"""Tries what one process can do to another, and to its files; prints one JSON object of what each attempt met.

Usage: attack.py PID FILE. An attempt that succeeds is reported as "done".
"""

import ctypes
import errno
import json
import os
import resource
import signal
import sys

pid, file = int(sys.argv[1]), sys.argv[2]
libc = ctypes.CDLL(None, use_errno=True)
met = {}


def attempt(name, action):
    try:
        action()
        met[name] = "done"
    except OSError as error:
        met[name] = errno.errorcode[error.errno]


def call(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")


def writes(path):
    return lambda: os.close(os.open(path, os.O_WRONLY))


def reads(path):
    return lambda: open(path, "rb").read(1)


SYS_IOPRIO_SET, SYS_PIDFD_GETFD, SYS_PROCESS_VM_READV = 251, 438, 310
PTRACE_ATTACH, PTRACE_SEIZE, IOPRIO_CLASS_IDLE = 16, 0x4206, 3 << 13


def steal_descriptor():
    handle = os.pidfd_open(pid)
    call(libc.syscall(SYS_PIDFD_GETFD, handle, 0, 0))


def read_memory():
    buffer = ctypes.create_string_buffer(8)

    class Vector(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

    local = Vector(ctypes.cast(buffer, ctypes.c_void_p), 8)
    remote = Vector(0x400000, 8)
    call(libc.syscall(SYS_PROCESS_VM_READV, pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0))


attempt("limit its processor time", lambda: resource.prlimit(pid, resource.RLIMIT_CPU, (1, 1)))
attempt("limit its descriptors", lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, 0)))
attempt("stop it", lambda: os.kill(pid, signal.SIGSTOP))
attempt("terminate it", lambda: os.kill(pid, signal.SIGTERM))
attempt("kill it by a descriptor", lambda: signal.pidfd_send_signal(os.pidfd_open(pid), signal.SIGKILL))
attempt("kill its group", lambda: os.killpg(os.getpgid(pid), signal.SIGKILL))
attempt("renice it", lambda: os.setpriority(os.PRIO_PROCESS, pid, 19))
attempt("schedule it as idle", lambda: os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0)))
attempt("pin it to a processor", lambda: os.sched_setaffinity(pid, {0}))
attempt("lower its disk priority", lambda: call(libc.syscall(SYS_IOPRIO_SET, 1, pid, IOPRIO_CLASS_IDLE)))
attempt("attach to it", lambda: call(libc.ptrace(PTRACE_ATTACH, pid, 0, 0)))
attempt("seize it", lambda: call(libc.ptrace(PTRACE_SEIZE, pid, 0, 0)))
attempt("take a descriptor of it", steal_descriptor)
attempt("read its memory", read_memory)
attempt("read its environment", reads(f"/proc/{pid}/environ"))
attempt("open its memory", writes(f"/proc/{pid}/mem"))
attempt("list its descriptors", lambda: os.listdir(f"/proc/{pid}/fd"))
attempt("protect it from the OOM killer's others", writes(f"/proc/{pid}/oom_score_adj"))
attempt("read the policy", reads(file))
attempt("write the policy", writes(file))
attempt("open the policy to all", lambda: os.chmod(file, 0o666))
attempt("put another policy in its place", lambda: os.rename(file, file + ".old"))
print(json.dumps(met))
