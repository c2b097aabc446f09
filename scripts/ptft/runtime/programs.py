"""How a program begins and ends: its imports; its status, or one sentence of what it refuses."""

import contextlib
import errno
import functools
import gc
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence

UNWRITABLE = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.ENOTDIR,
    errno.EISDIR,
}


@contextlib.contextmanager
def quick_imports() -> Iterator[None]:
    """Import without the garbage collector, and keep it from what was imported.

    Modules live as long as the program, but the collector goes through all of them again and again
    while they grow: a quarter of the seconds that torch and transformers take.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def program(
    function: Callable[..., int | None],
    name: str | None = None,
    refuses: tuple[type[Exception], ...] = (),
) -> Callable[..., int]:
    """Make a program of a function: its parameters become flags.

    Their help is the function's docstring, or else its module's. As the main module it runs and
    ends with the function's status; imported, it takes the arguments as a list. Exceptions of the
    library's own, a full disk, and a place where this user may not write are no mistakes of the
    program: it says one sentence and ends with status 1. Others are left as they are.

    Args:
        name: ``__name__`` of the program's module, if that is not the function's.
        refuses: exceptions by which it refuses its input; one sentence and status 2.
    """
    function.__doc__ = function.__doc__ or function.__globals__["__doc__"]

    @functools.wraps(function)
    def main(argv: Sequence[str] | None = None) -> int:
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
        logging.getLogger("httpx2").setLevel(logging.WARNING)
        with quick_imports():
            import tyro
        try:
            return tyro.cli(function, args=argv) or 0
        except Exception as error:
            sentence = str(error)
            if cant_write(error):
                sentence = (
                    f"{_place(error)}. Results need a place with room, where this user may write; "
                    "call again when there is one"
                )
            elif not isinstance(error, refuses) and not type(error).__module__.startswith("ptft."):
                raise
            print(f"error: {sentence}", file=sys.stderr)
            return 2 if isinstance(error, refuses) else 1

    if (name or function.__module__) == "__main__":
        sys.exit(main())
    return main


def cant_write(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is the disk's or the folder's."""
    while error is not None:
        # Polars and safetensors know the system's number only as text.
        told = re.search(r"\(os error (\d+)\)", str(error))
        number = int(told[1]) if told else getattr(error, "errno", None)
        if number in UNWRITABLE:
            return True
        error = error.__cause__
    return False


def _place(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.errno is not None:
        return f"{os.fspath(error.filename)}: {os.strerror(error.errno)}"
    return str(error)
