"""Asks a process that forks for a call, and is `python` to the jobs of a test (bin/python)."""

import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Sequence

# In the environment of a call: the interpreter, what stands in for it, this file, and the address
# of who forks.
PYTHON, EXECUTABLE = "PTFT_TEST_PYTHON", "PTFT_TEST_EXECUTABLE"
CLIENT, PROGRAMS = "PTFT_TEST_CLIENT", "PTFT_TEST_PROGRAMS"
LENGTH = struct.Struct("!I")


def ask(
    address: str,
    command: list[str],
    folder: str,
    environment: dict[str, str],
    streams: Sequence[int] = (0, 1, 2),
    forward: Sequence[signal.Signals] = (),
) -> int:
    """Have ``python COMMAND`` run by a fork of the process at an address.

    Args:
        streams: its standard input, output and error.
        forward: signals to this process that are passed on to it.

    Returns:
        its exit status, -N if signal N ended it.
    """
    call = {"command": command, "folder": folder, "environment": environment}
    message = json.dumps(call).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [LENGTH.pack(len(message))], list(streams))
        connection.sendall(message)
        answers = connection.makefile()
        child = int(answers.readline())
        for number in forward:
            signal.signal(number, lambda number, _: os.kill(child, number))
        return int(answers.readline())


def main() -> None:
    """The command line of `python`."""
    command, python = sys.argv[1:], os.environ[PYTHON]
    program = command[0] if command else ""
    if not program.endswith(".py") or program.endswith("run_job.py"):  # that one imports little
        os.execv(python, [python, *command])
    forward = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    environment = dict(os.environ)
    status = ask(os.environ[PROGRAMS], command, os.getcwd(), environment, forward=forward)
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


if __name__ == "__main__":
    main()
