"""Jobs that make many files and declare one record of them: what Snakemake (9.27) can't see.

It is told to run such a job again when files are gone. And where the files themselves were the
declared outputs when they were made, Snakemake noted the job's parameters with each of them and
none with the record: the note of one of the files is taken, so that a change is still seen.
"""

import functools
from collections.abc import Collection, Mapping


def look_behind_records(incomplete: Collection[str], files: Mapping[str, str]) -> None:
    """Correct Snakemake.

    Args:
        incomplete: outputs of jobs that have to run again, where Snakemake plans them at all.
        files: record -> one of the files that it lists.
    """
    from snakemake.dag import DAG
    from snakemake.io import IOFile

    init = getattr(DAG.init, "__wrapped__", DAG.init)

    @functools.wraps(init)
    async def init_with_records(self, *args, **options):
        self.forcefiles.update(incomplete)
        persistence = self.workflow.persistence
        noted = persistence.metadata

        def note(record):
            found = noted(record)
            if found is None and record in files:
                return noted(IOFile(files[record], rule=record.rule))
            return found

        persistence.metadata = note
        await init(self, *args, **options)

    DAG.init = init_with_records
