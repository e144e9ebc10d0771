"""Landlock, seccomp and resource limits of one process and its children (Linux; ctypes, no package).

Landlock: files outside the given folders can be neither opened nor listed, no program can be started, no TCP port reached, no process
outside signalled (landlock(7)). seccomp: no socket but local ones (seccomp(2)). Both hold for C code too and cannot be taken back.
"""

import ctypes
import os
import resource
import struct
import sys
from collections.abc import Iterable

# landlock(7): the rights of ABI 1 to 7, by bit
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
ABI_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
NET_BIND_AND_CONNECT = 3  # from ABI 4
SCOPED_SOCKETS_AND_SIGNALS = 3  # from ABI 6
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # one number on every architecture
PATH_BENEATH = 1
PR_SET_NO_NEW_PRIVS, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, PR_SET_SECCOMP = 38, 4, 36, 1, 22
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
SOCKET_CALL = {"x86_64": 41, "aarch64": 198}


def libc() -> ctypes.CDLL:
    """The C library of this process, with errno."""
    return ctypes.CDLL(None, use_errno=True)


def landlock_abi() -> int:
    """The version of Landlock that the kernel offers; 0 for none."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(int(libc().syscall(CREATE_RULESET, None, 0, 1)), 0)


def has_seccomp() -> bool:
    """Whether the filter for sockets is written for this machine."""
    return sys.platform.startswith("linux") and os.uname().machine in AUDIT_ARCH


def forbid_files(readable: Iterable[str], writable: Iterable[str]) -> bool:
    """Close the file system but for these files and folders (existing ones); False where the kernel has no Landlock.

    Nothing can be executed, not even what is readable. OSError when a rule is refused.
    """
    abi = landlock_abi()
    if not abi:
        return False
    rights = ABI_RIGHTS[min(abi, 5)]
    attributes = struct.pack(
        "=QQQ", rights, NET_BIND_AND_CONNECT if abi >= 4 else 0, SCOPED_SOCKETS_AND_SIGNALS if abi >= 6 else 0
    )
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    lib = libc()
    ruleset = lib.syscall(CREATE_RULESET, attributes, size, 0)
    _check(ruleset)
    try:
        for paths, allowed in ((readable, READ_FILE | READ_DIR), (writable, rights & ~EXECUTE)):
            for path in paths:
                _allow(lib, ruleset, path, allowed, abi)
        lib.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        _check(lib.syscall(RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)
    return True


def _allow(lib: ctypes.CDLL, ruleset: int, path: str, allowed: int, abi: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there needs no door
    try:
        if not os.path.isdir(path):  # rights of folders cannot be given on a file
            allowed &= WRITE_FILE | READ_FILE | (1 << 14 if abi >= 3 else 0)
        _check(lib.syscall(ADD_RULE, ruleset, PATH_BENEATH, struct.pack("=Qi", allowed, handle), 0))
    finally:
        os.close(handle)


def forbid_sockets() -> bool:
    """Refuse every socket that is not local (AF_UNIX) with EPERM; False where no filter is written for this machine."""
    if not has_seccomp():
        return False
    machine = os.uname().machine
    load, equal, greater, give = 0x20, 0x15, 0x35, 0x06  # BPF: load word, jump if equal, jump if not less, return
    allow, refuse, kill = 0x7FFF0000, 0x00050000 | 1, 0x80000000
    program = [
        (load, 0, 0, 4),  # the architecture
        (equal, 1, 0, AUDIT_ARCH[machine]),
        (give, 0, 0, kill),
        (load, 0, 0, 0),  # the number of the call
        (greater, 0, 1, 0x40000000),  # x32 calls of x86_64 would go round the filter
        (give, 0, 0, kill),
        (equal, 0, 3, SOCKET_CALL[machine]),
        (load, 0, 0, 16),  # its first argument: the family
        (equal, 1, 0, 1),
        (give, 0, 0, refuse),
        (give, 0, 0, allow),
    ]
    code = b"".join(struct.pack("=HBBI", *line) for line in program)
    buffer = ctypes.create_string_buffer(code, len(code))

    class Filter(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

    wanted = Filter(len(program), ctypes.cast(buffer, ctypes.c_void_p).value)
    lib = libc()
    lib.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _check(lib.prctl(PR_SET_SECCOMP, 2, ctypes.byref(wanted), 0, 0))
    return True


def limit(seconds: int, memory_bytes: int, file_bytes: int, processes: int | None = None) -> None:
    """CPU seconds, address space, size of a file, open files, the user's processes where told; no core dumps. Soft and hard alike."""
    limits = [
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_CORE, 0),
    ]
    if processes is not None:
        limits.append((resource.RLIMIT_NPROC, processes))
    for what, value in limits:
        try:
            resource.setrlimit(what, (value, value))
        except (ValueError, OSError):
            continue  # a lower limit is in force already


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, so that none gets away (prctl(2))."""
    if sys.platform.startswith("linux"):
        libc().prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def hide() -> None:
    """Take this process's memory and handles out of reach of others of the same user (prctl(2))."""
    if sys.platform.startswith("linux"):
        libc().prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def _check(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
