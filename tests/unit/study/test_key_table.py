"""config/README.md names every key of a study, as the types have them."""

from ptft.study.key_table import with_table
from ptft.study.schema import Study


def test_the_table_is_that_of_the_types(repository):
    text = (repository / "config/README.md").read_text(encoding="utf-8")
    assert text == with_table(text, Study), "config/README.md has drifted: run `make schemas`"
