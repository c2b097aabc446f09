"""Imports what it is told to, then forks for each call: server.py ADDRESS MODULE..."""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import struct
import sys
import threading

from client import EXECUTABLE, LENGTH

OWN = ("ptft", "snakemake_logger_plugin_ptft")
"""packages of this project, of which each caller has its own"""


def serve(address: str) -> dict | None:
    """Answer each call with the process id of a child, and with its exit status.

    A child ends with its caller.

    Returns:
        the call, in a child; None in the parent, once nobody calls any more.
    """
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    print("ready", flush=True)
    callers: dict[int, tuple[socket.socket, int]] = {}  # process -> who called it, its id
    while True:
        waiting = [listener, sys.stdin, *callers, *(caller for caller, _ in callers.values())]
        ready = set(select.select(waiting, [], [])[0])
        if sys.stdin in ready:
            return None
        for process in set(callers) & ready:
            end(process, *callers.pop(process))
        for process, (caller, child) in list(callers.items()):
            if caller in ready:
                del callers[process]
                os.kill(child, signal.SIGKILL)
                end(process, caller, child)
        if listener in ready:
            caller, _ = listener.accept()
            try:
                call, streams = receive(caller)
            except (struct.error, ValueError):  # it was killed while it called
                caller.close()
                continue
            child = os.fork()
            if child == 0:
                for other in (listener, caller, *(caller for caller, _ in callers.values())):
                    other.close()
                for process in callers:
                    os.close(process)
                redirect(streams)
                return call
            for stream in streams:
                os.close(stream)
            callers[os.pidfd_open(child)] = caller, child
            tell(caller, child)


def receive(caller: socket.socket) -> tuple[dict, list[int]]:
    """A call, and the standard streams that it brings."""
    head, streams, _, _ = socket.recv_fds(caller, LENGTH.size, 3)
    with caller.makefile("rb") as message:
        return json.loads(message.read(*LENGTH.unpack(head))), streams


def redirect(streams: list[int]) -> None:
    """Put a caller's standard streams in place of one's own."""
    for target, source in enumerate(streams):
        os.dup2(source, target)
        os.close(source)


def tell(caller: socket.socket, number: int) -> None:
    """Send a caller a number, if it has not been killed."""
    with contextlib.suppress(OSError):
        caller.sendall(f"{number}\n".encode())


def end(process: int, caller: socket.socket, child: int) -> None:
    """Tell a caller how its child ended."""
    _, status = os.waitpid(child, 0)
    tell(caller, os.waitstatus_to_exitcode(status))
    caller.close()
    os.close(process)


def become(call: dict) -> int:
    """Run a call in this process as if Python had been started for it; its exit status."""
    os.chdir(call["folder"])
    os.environ.clear()
    os.environ.update(call["environment"])
    sys.executable = os.environ.get(EXECUTABLE, sys.executable)
    own = [os.path.abspath(path) for path in filter(None, [os.environ.get("PYTHONPATH")])]
    first, *rest = call["command"]
    try:
        if first == "-m":
            sys.path[:1] = [call["folder"], *own]
            find_plugins()
            sys.argv = rest
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        else:
            sys.path[:1] = [os.path.dirname(os.path.abspath(first)), *own]
            sys.argv = [first, *rest]
            runpy.run_path(first, run_name="__main__")
    except SystemExit as done:
        if not isinstance(done.code, int | None):
            raise
        return done.code or 0
    return 0


def find_plugins() -> None:
    """Look for logger plugins again: the caller's folder holds one that was not there before."""
    if registry := sys.modules.get("snakemake_interface_logger_plugins.registry"):
        importlib.invalidate_caches()
        registry.LoggerPluginRegistry().collect_plugins()


def leave(status: int) -> None:
    """End as Python does, without taking all that was imported apart: it would be copied first."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    gc.disable()
    for module in sys.argv[2:]:
        importlib.import_module(module)
    if "snakemake.report" in sys.modules:
        from snakemake.cli import get_argument_parser

        get_argument_parser()  # it looks for plugins and imports them
        for module in [name for name in sys.modules if name.split(".")[0] in OWN]:
            del sys.modules[module]
    gc.freeze()  # else a child's first collection would copy all of it
    gc.enable()
    if call := serve(sys.argv[1]):
        leave(become(call))
