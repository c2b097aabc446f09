"""Benchmarks that need more than the project says so."""

import polars as pl
import pytest
import yaml

from ptft.study import named_study


def test_texts_that_are_not_there_are_asked_for(repository, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    from texts import real_data

    with pytest.raises(SystemExit, match=rf"no folder {tmp_path}/hub.*--shared or PTFT_SHARED"):
        real_data(tmp_path)


@pytest.fixture
def claims(repository, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    monkeypatch.chdir(tmp_path)
    import claims

    return claims


def test_a_claim_is_decided_by_its_row_and_counted_over_studies(claims):
    lost = next(claim for claim in claims.CLAIMS if "loses" in claim.name)
    row = {"kind": "direction", "direction": "classification>generation", "method": "lora"}
    rows = [row | {"value": -0.1, "ci_high": 0.1}]
    for value, high in ((-0.9, -0.8), (-0.2, 0.1)):
        rows.append(row | {"method": "full", "value": value, "ci_high": high})
    results = [claims.decided(lost, pl.DataFrame([each])) for each in rows]
    assert [result["value"] for result in results] == [None, -0.9, -0.2]
    assert list(claims.table(results)) == [
        {"claim": lost.name, "holds": 1, "of": 3, "median": -0.55, "low": -0.9, "high": -0.2}
    ]


def test_each_model_of_the_claims_has_a_study_and_a_seed_of_its_own(claims):
    assert len({each.name for each in claims.models(short=False)}) == 6
    short, full = (claims.Model(1, "plain").write(seeds=2, short=short) for short in (True, False))
    assert (short.stem, full.stem) == ("claims-pocket-1-plain-short", "claims-pocket-1-plain")
    for file in (short, full):
        assert named_study(file).name == file.stem
    study = yaml.safe_load(short.read_text())
    assert study["model"] == "pocket-1-plain"
    assert study["finetune"].keys() == {"full"}
    assert study["finetune"]["full"]["seeds"] == [0, 1]
    assert study["finetune"]["full"]["checkpoints"] == study["checkpoints"][1:]
    model = yaml.safe_load((claims.STUDIES / "models/pocket-1-plain.yaml").read_text())
    assert model["source"]["pretraining"]["seed"] == 1
