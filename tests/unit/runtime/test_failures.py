"""A failed job is told: its cause first, one command, the last lines of its log."""

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from ptft.runtime.failures import LAST_LINES, cause, describe

COMMAND = "python scripts/prepare_split.py --spec spec.json 2> job.log"
TRACEBACK = """Traceback (most recent call last):
  File "a.py", line 1, in <module>
KeyError: 'nothing'
"""
TORCHRUN = """error: weights are missing
[rank1]: Traceback (most recent call last):
[rank1]: RuntimeError: connection closed
raise ChildFailedError(
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
====================
"""


@pytest.fixture
def failed(tmp_path, monkeypatch):
    """Snakemake's record of a failed job with this log."""
    monkeypatch.chdir(tmp_path)

    def record(log, executor=None, more=()):
        if log is not None:
            (tmp_path / "job.log").write_text(log)
        return {
            "rule_name": "prepare_split", "jobid": 7, "rule_msg": executor, "shellcmd": COMMAND,
            "input": ["a"] * 99, "output": ["b"] * 99, "log": ["job.log", *more], "aux": {},
            "conda_env": None, "event": LogEvent.JOB_ERROR, "indent": False,
        }  # fmt: skip

    return record


@pytest.mark.parametrize(
    ("log", "why"),
    [
        ("reading\nerror: row 3: no column 'x'\n", "row 3: no column 'x'"),
        (TRACEBACK, "KeyError: 'nothing'"),
        (TORCHRUN, "weights are missing"),
        (TORCHRUN.replace("error: weights are missing\n", ""), "RuntimeError: connection closed"),
        (
            "╭─ Missing ─╮\n│ Missing value for '--told'. │\n│ ─── │\n│ See --help │\n╰──╯\n",
            "Missing value for '--told'.",
        ),
        ("50 %|####\rINFO done\n", None),
    ],
)
def test_the_cause_is_found_in_a_log(log, why):
    assert cause(log.splitlines()) == why


def test_of_a_traceback_the_last_lines_are_told(failed):
    told = describe(failed("begun\n" * 40 + TRACEBACK), show_log=True).splitlines()
    assert told[0] == "Error: KeyError: 'nothing'"
    assert told[4] == "    last lines of job.log:"
    assert len(told) == 5 + LAST_LINES and told[-1] == "        KeyError: 'nothing'"
    assert len(describe(failed(TRACEBACK), show_log=False).splitlines()) == 4


def test_the_cluster_is_asked_where_the_log_is_silent(failed, tmp_path):
    (tmp_path / "slurm.log").write_text("slurmstepd: error: Exceeded job memory limit\n")
    executor = "SLURM-job '5' failed, SLURM status is: 'OUT_OF_MEMORY'"
    told = describe(failed("begun\n", executor, ["slurm.log"]), show_log=True).splitlines()
    assert told[0] == f"Error: {executor}" and told[-1] == "        begun"
    told = describe(failed(None, executor, ["slurm.log"]) | {"log": ["no.log", "slurm.log"]}, True)
    assert told.splitlines()[-1] == "        slurmstepd: error: Exceeded job memory limit"
    told = describe(failed("error: disk full\n", executor), show_log=True).splitlines()
    assert told[0] == "Error: disk full" and told[2] == f"    executor: {executor}"
