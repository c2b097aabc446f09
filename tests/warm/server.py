"""Imports what it is told to, then forks for each call: server.py ADDRESS MODULE..."""

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys

from client import EXECUTABLE, LENGTH


def serve(address: str) -> dict | None:
    """Answer each call with the process id of a child, and with its exit status.

    Returns:
        the call, in a child; None in the parent, once nobody calls any more.
    """
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    print("ready", flush=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait for calls
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            return None
        connection, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            call = receive(connection)
            child = os.fork()
            if child == 0:
                connection.close()
                return call
            watch(connection, child)
            os._exit(0)
        connection.close()


def receive(connection: socket.socket) -> dict:
    """A call, with its standard streams in place of one's own."""
    head, streams, _, _ = socket.recv_fds(connection, LENGTH.size, 3)
    for target, source in enumerate(streams):
        os.dup2(source, target)
        os.close(source)
    with connection.makefile("rb") as message:
        return json.loads(message.read(*LENGTH.unpack(head)))


def watch(connection: socket.socket, child: int) -> None:
    """Say how a child ends; it ends with its caller."""
    connection.sendall(f"{child}\n".encode())
    process = os.pidfd_open(child)
    ready, _, _ = select.select([connection, process], [], [])
    if process not in ready:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if process in ready:
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def become(call: dict) -> None:
    """Run a call in this process as if Python had been started for it."""
    os.chdir(call["folder"])
    os.environ.clear()
    os.environ.update(call["environment"])
    sys.executable = os.environ.get(EXECUTABLE, sys.executable)
    first, *rest = call["command"]
    if first == "-m":
        sys.path[0] = call["folder"]
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = os.path.dirname(os.path.abspath(first))
        sys.argv = [first, *rest]
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    gc.disable()
    for module in sys.argv[2:]:
        importlib.import_module(module)
    if "snakemake.report" in sys.modules:
        from snakemake.cli import get_argument_parser

        get_argument_parser()  # it looks for plugins and imports them
    gc.freeze()  # else a child's first collection would copy all of it
    gc.enable()
    if call := serve(sys.argv[1]):
        become(call)
