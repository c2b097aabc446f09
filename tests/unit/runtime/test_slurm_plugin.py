"""The correction of Snakemake's plugin for Slurm."""

from ptft.runtime.slurm_plugin import correct_status_queries, remember_last


def test_an_answer_holds_until_there_is_another():
    answers = iter([None, 300, None, None, 600])
    ask = remember_last(lambda: next(answers))
    assert [ask() for _ in range(5)] == [None, 300, 300, 300, 600]


def test_the_plugin_is_corrected_once(monkeypatch):
    import snakemake_executor_plugin_slurm as plugin

    monkeypatch.setattr(plugin, "get_min_job_age", lambda: 300)
    correct_status_queries()
    corrected = plugin.get_min_job_age
    correct_status_queries()
    assert plugin.get_min_job_age is corrected and corrected() == 300
