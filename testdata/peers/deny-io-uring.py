#!/usr/bin/env python3
"""Run a command in which the kernel refuses io_uring, as many containers do.

    deny-io-uring.py COMMAND [ARGUMENT...]

A seccomp filter answers io_uring_setup, io_uring_enter and io_uring_register
with EPERM; it is inherited by everything the command starts. The refusal is
tried out before the command runs: without it this exits with 70, so that a
test pass that says "io_uring refused" cannot have had it. The command sees
STREAM_TEST_URING=refused.
"""

import ctypes
import errno
import os
import platform
import signal
import struct
import sys

# The three numbers are the same on every architecture: they were added after the tables were unified.
IO_URING_SETUP, IO_URING_ENTER, IO_URING_REGISTER = 425, 426, 427
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
RET_ALLOW, RET_ERRNO = 0x7FFF0000, 0x00050000
LOAD_WORD, JUMP_EQ, JUMP_GE, RETURN = 0x20, 0x15, 0x35, 0x06
DATA_NR, DATA_ARCH = 0, 4


def op(code, k, jt=0, jf=0):
    return struct.pack("HBBI", code, jt, jf, k)


def program(arch):
    return b"".join(
        [
            op(LOAD_WORD, DATA_ARCH),
            op(JUMP_EQ, arch, 0, 3),  # a foreign architecture: allow
            op(LOAD_WORD, DATA_NR),
            op(JUMP_GE, IO_URING_SETUP, 0, 1),
            op(JUMP_GE, IO_URING_REGISTER + 1, 0, 1),
            op(RETURN, RET_ALLOW),
            op(RETURN, RET_ERRNO | errno.EPERM),
        ]
    )


class Fprog(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def refuse(libc):
    arch = AUDIT_ARCH.get(platform.machine())
    if arch is None:
        stop("no filter for machine type " + platform.machine())
    code = program(arch)
    buffer = ctypes.create_string_buffer(code, len(code))
    prog = Fprog(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    prctl = libc.prctl
    prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    if prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        stop("PR_SET_NO_NEW_PRIVS: " + os.strerror(ctypes.get_errno()))
    if prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(prog), 0, 0) != 0:
        stop("PR_SET_SECCOMP: " + os.strerror(ctypes.get_errno()))


def setup_answer(libc):
    """The errno of io_uring_setup(1, params), or 0 where it works."""
    libc.syscall.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p]
    libc.syscall.restype = ctypes.c_long
    params = ctypes.create_string_buffer(256)
    fd = libc.syscall(IO_URING_SETUP, 1, ctypes.addressof(params))
    if fd < 0:
        return ctypes.get_errno()
    os.close(fd)
    return 0


def stop(text):
    print("deny-io-uring: " + text, file=sys.stderr)
    sys.exit(70)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__.strip())
    libc = ctypes.CDLL(None, use_errno=True)
    before = setup_answer(libc)
    refuse(libc)
    after = setup_answer(libc)
    if after != errno.EPERM:
        stop("io_uring_setup answers %s, not EPERM" % (os.strerror(after) if after else "with success"))
    had = "worked" if before == 0 else "gave '%s'" % os.strerror(before)
    print("deny-io-uring: io_uring_setup %s before and is refused now (EPERM)" % had, file=sys.stderr, flush=True)
    os.environ["STREAM_TEST_URING"] = "refused"
    # Python ignores SIGPIPE, and an ignored signal stays ignored across exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvp(sys.argv[1], sys.argv[1:])
    except OSError as e:
        stop("%s: %s" % (sys.argv[1], e.strerror))


if __name__ == "__main__":
    main()
