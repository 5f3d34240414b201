"""A filter as a container's seccomp profile has it: options of prctl(2) are refused, to this process and its children.

seccomp(2), BPF; x86-64 and 64-bit ARM.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

_PRCTL = {"x86_64": 157, "aarch64": 167}[platform.machine()]

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2

# <linux/bpf_common.h> and <linux/seccomp.h>: load a word, jump if equal, return; where the data have the call's number
# and the low half of its first argument.
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_NR, _FIRST_ARGUMENT = 0, 16
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM


def refuse_prctl(*options: int) -> None:
    """These, from now on."""
    allow, refuse = _step(_RETURN, 0, 0, _ALLOW), _step(_RETURN, 0, 0, _REFUSE)
    tests = [
        _step(_LOAD, 0, 0, _NR),
        # Each jump counts the steps that it leaves out: here all up to the first answer.
        _step(_EQUAL, 0, 1 + len(options), _PRCTL),
        _step(_LOAD, 0, 0, _FIRST_ARGUMENT),
        *(_step(_EQUAL, len(options) - place, 0, option) for place, option in enumerate(options)),
        allow,
        refuse,
    ]
    code = b"".join(tests)
    held = ctypes.create_string_buffer(code)
    program = struct.pack("@HP", len(tests), ctypes.addressof(held))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0) == 0, ctypes.get_errno()


def _step(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
