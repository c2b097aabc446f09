"""The corrections of Snakemake's plugin for Slurm."""

from types import SimpleNamespace

from ptft.runtime.slurm_plugin import correct_status_queries, remember_last


def test_an_answer_holds_until_there_is_another():
    answers = iter([None, 300, None, None, 600])
    ask = remember_last(lambda: next(answers))
    assert [ask() for _ in range(5)] == [None, 300, 300, 300, 600]


def test_the_plugin_is_corrected_once(monkeypatch):
    import snakemake_executor_plugin_slurm as plugin

    seconds = plugin.Executor.next_seconds_between_status_checks
    monkeypatch.setattr(plugin.Executor, "next_seconds_between_status_checks", seconds)
    monkeypatch.setattr(plugin, "get_min_job_age", lambda: 300)
    correct_status_queries()
    corrected = plugin.get_min_job_age
    correct_status_queries()
    assert plugin.get_min_job_age is corrected and corrected() == 300
    executor = object.__new__(plugin.Executor)
    settings = plugin.ExecutorSettings(init_seconds_before_status_checks=20)
    executor.workflow = SimpleNamespace(executor_settings=settings)
    waits = []
    for wanted in (20, 50, 70, 20):
        executor.next_seconds_between_status_checks = wanted
        waits.append(executor.next_seconds_between_status_checks)
    assert waits == [20, 50, 60, 20]
