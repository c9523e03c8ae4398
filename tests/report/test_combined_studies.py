"""Files of several studies together: what a value, a dot and a spread are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.planted import evidence, planted
from workbench.report import standalone
from workbench.verdict import decide, external
from workbench.verdict.across.combining import ConfirmedStudy


def study(dataset: str, seed: int) -> ConfirmedStudy:
    draw = np.random.default_rng(seed)
    arms = planted({"a": 0.90 + 0.002 * draw.normal(), "b": 0.87, "c": 0.80})
    verdict = decide(evidence(*arms, metric="test/accuracy"))
    return ConfirmedStudy(study=f"{dataset}-{seed}", dataset=dataset, seed=seed, verdict=verdict)


def test_over_searches_nothing_is_called_a_seed(tmp_path: Path) -> None:
    found = external.combine([study("cars", seed) for seed in range(6)], "cars")
    folder = standalone.write(found, tmp_path / "out").parent
    captions = (folder / "captions.tex").read_text()
    assert "search replicate by search replicate" in captions
    assert "6 search replicates, the same for every row" in captions
    assert "seed by seed" not in captions and "not recorded" not in captions
    assert "over search replicates" in (folder / "tables" / "confirmation.tex").read_text()


@pytest.mark.parametrize(("seeds", "unit"), [((0,), "seeds"), ((0, 1), "search replicates")])
def test_the_table_of_data_sets_says_what_its_spread_is_over(
    tmp_path: Path, seeds: tuple[int, ...], unit: str
) -> None:
    studies = [
        study(dataset, 10 * at + s)
        for at, dataset in enumerate(("cars", "birds"), 1)
        for s in seeds
    ]
    folder = standalone.write(external.combine(studies, "all"), tmp_path / "out").parent
    table = (folder / "tables" / "datasets.tex").read_text()
    assert f"standard deviation over {unit}, and the verdict" in table
    assert "test accuracy on each data set" in table
