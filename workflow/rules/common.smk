# What all rules share: how a program is called, and which names may stand in a path.
PYTHON = sys.executable
SCRIPTS = os.path.relpath(Path(workflow.basedir) / "scripts")


def program(name):
    """Path of a script; an input of its rule, so that an edited script reruns its jobs."""
    return f"{SCRIPTS}/{name}.py"


def as_json(value):
    """A slice of the study as one argument; sorted, because key order must not cause reruns."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def one_of(names):
    """Constraint of a wildcard to the names of the study."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


wildcard_constraints:
    checkpoint=one_of(GRID.checkpoints),
    arm=one_of(GRID.arms),
    dataset=one_of({dataset for dataset, _ in GRID.splits()}),
    split="train|shots|test",
