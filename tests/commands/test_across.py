"""One file, several studies: the commands take all of them, and the report is over all of them."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from tests.support.commands import call, works
from tests.support.mlflow_home import home_in, runs_of
from tests.support.tiny import TINY
from workbench.commands import across, browse
from workbench.study.config import load_all
from workbench.study.description import describe
from workbench.study.study import Study
from workbench.tracker import stored_study

pytestmark = pytest.mark.slow

STUDIES = ("tables@wine", "tables@cancer")


def _file(folder: Path) -> Path:
    """A file that stands for two studies."""
    replacements = {
        "name: tiny\n": "name: tables\nacross:\n  dataset:\n"
        "    wine: {name: wine, validation: 40, test: 40}\n"
        "    cancer: {name: breast_cancer, validation: 100, test: 100}\n",
        "  dataset: {name: wine, validation: 40, test: 40}\n": "",
        "[sgd, adamw]\n  freeze_depth: [0, all]": "[sgd, adamw]",
        "epochs: 3": "epochs: 1",
        "trials_per_strategy: 5": "trials_per_strategy: 1",
        "metric: validation/accuracy}": "metric: validation/accuracy}\n"
        "confirm: {smallest_effect: 0.02, seeds: 2, looks: 2, select: {configs: 1, seeds: 1}}",
    }
    text = TINY
    for old, new in replacements.items():
        assert old in text
        text = text.replace(old, new)
    file = folder / "tables.yaml"
    file.write_text(text)
    return file


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home, with the file, in which all studies of a file were searched."""
    home = home_in(tmp_path_factory.mktemp("across") / "home")
    output = works("run", _file(home), "--home", home, "--inline")
    assert output.count("next: ") == 1 and "next: workbench confirm tables," in output
    return home


@pytest.fixture(scope="module")
def finished(searched: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A home in which all studies of a file were searched and confirmed, and the file."""
    home = Path(shutil.copytree(searched, tmp_path_factory.mktemp("finished") / "home"))
    works("confirm", "tables", "--home", home, "--inline", "--yes")
    return home, home / "tables.yaml"


def test_each_study_has_a_parent_of_its_own_in_one_experiment(
    finished: tuple[Path, Path],
) -> None:
    runs = runs_of(finished[0], "tables")
    parents = {run.info.run_name: run for run in runs if "mlflow.parentRunId" not in run.data.tags}
    assert set(parents) == {
        f"{study} {role}" for study in STUDIES for role in ("search", "confirmation")
    }
    for study in STUDIES:
        parent = parents[f"{study} search"].info.run_id
        children = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == parent]
        assert {run.data.tags["workbench.study"] for run in children} == {study}
        assert len(children) == 2


def test_a_finished_file_has_nothing_to_do(finished: tuple[Path, Path]) -> None:
    home, file = finished
    assert works("run", file, "--home", home, "--inline").count("nothing to do") == 2
    assert works("confirm", file, "--home", home, "--inline").count("nothing to do") == 2
    alone = works("confirm", "tables@cancer", "--home", home, "--inline")
    assert "tables@cancer: " in alone and "tables@wine" not in alone


@pytest.mark.parametrize("words", [("run",), ("confirm", "--yes")])
def test_a_script_reads_one_list_of_all_studies_and_one_object_of_one(
    finished: tuple[Path, Path], words: tuple[str, ...]
) -> None:
    home, file = finished
    end = ("--home", str(home), "--inline", "--json")
    code, output, _ = call(words[0], file, *words[1:], *end)
    assert code == 0 and tuple(one["name"] for one in json.loads(output)) == STUDIES
    code, output, _ = call("confirm", STUDIES[0], "--yes", *end)
    assert json.loads(output)["name"] == STUDIES[0]


def test_confirm_ends_with_each_study_s_verdict_as_its_report_says_it(
    finished: tuple[Path, Path],
) -> None:
    home, file = finished
    output = works("confirm", file, "--home", home, "--inline")
    for study in STUDIES:
        code, told, _ = call("report", study, "--home", home)
        assert code == 3, "the verdict answers nothing"
        content = json.loads((home / "reports" / study / "report.json").read_text())
        verdict = content["verdict"]
        assert verdict["heading"] == "UNDERPOWERED BY DESIGN"
        said = f"{verdict['heading']}  {verdict['headline']}\n"
        assert said in output and told.startswith(said)


def test_a_study_that_is_not_in_its_file_is_not_taken_for_the_others(
    finished: tuple[Path, Path], tmp_path: Path
) -> None:
    home, file = finished
    text = file.read_text()
    try:
        file.write_text(text.replace("    cancer:", "    tumour:"))
        code, _, errors = call("confirm", "tables@cancer", "--home", home, "--inline", "--yes")
        assert code == 2 and "has no study tables@cancer" in errors
    finally:
        file.write_text(text)


def test_a_smoke_run_takes_every_study_through_every_step_and_leaves_nothing_behind(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(home))
    output = works("run", _file(tmp_path), "--smoke", "--inline")
    assert output.count("the tiny copy finished") == 2
    assert not list(home.iterdir())


def test_the_report_has_one_page_for_each_study_and_one_over_all(
    finished: tuple[Path, Path],
) -> None:
    home, file = finished
    code, output, _ = call("report", file, "--home", home)
    assert code == 3, "two seeds on two data sets support no claim"
    assert str(home / "reports" / "tables" / "index.html") in output
    folder = home / "reports" / "tables"
    page = (folder / "index.html").read_text()
    for study in STUDIES:
        assert f'href="../{study}/index.html"' in page
        assert (home / "reports" / study / "index.html").is_file()
    assert '<p class="question">Which optimizer fits the wines?</p>' in page
    assert '<p class="question">test accuracy,' in page
    assert "bibtex" not in (folder / "example.tex").read_text(), "it cites nothing"
    caption = (folder / "tables" / "datasets.tex").read_text()
    assert "test accuracy on each data set" in caption and "test/accuracy" not in caption
    table = (folder / "tables" / "1-confirmation.tex").read_text()
    assert "Each value is one training run" in table and "not recorded" not in table
    assert "confirmation" in (folder / "example.tex").read_text(), "these are tested studies"
    content = json.loads((folder / "results.json").read_text())
    assert [one["study"] for one in content["studies"]] == list(STUDIES)
    assert [one["name"] for one in content["datasets"]] == ["wine", "cancer"]
    with (folder / "data" / "results.csv").open() as data:
        rows = list(csv.DictReader(data))
    # The values are those of the studies' own reports.
    own = json.loads((home / "reports" / STUDIES[0] / "report.json").read_text())
    sides = {side["name"]: side["values"] for side in own["verdict"]["sides"]}
    for name, values in sides.items():
        found = [
            float(row["value"])
            for row in rows
            if (row["dataset"], row["strategy"]) == ("wine", name)
        ]
        assert found == values


def test_finished_studies_are_combined_by_name(finished: tuple[Path, Path]) -> None:
    home = finished[0]
    code, output, _ = call("combine", *STUDIES, "--home", home, "--json")
    assert code == 3
    assert [one["study"] for one in json.loads(output)["studies"]] == list(STUDIES)
    code, _, errors = call("combine", STUDIES[0], "--home", home)
    assert code == 2 and "There is one study" in errors
    code, _, errors = call("combine", "table", "--home", home)
    assert code == 2 and "'table'" in errors


def test_a_name_that_several_studies_share_is_answered_with_theirs(
    finished: tuple[Path, Path],
) -> None:
    code, _, errors = call("show", "tables", "--home", finished[0])
    assert code == 2
    assert all(study in errors for study in STUDIES)


def test_the_list_of_studies_is_fixed_before_the_first_of_them_is_tested(
    finished: tuple[Path, Path],
) -> None:
    for study in STUDIES:
        folder = finished[0] / "mlruns" / "studies" / study
        assert json.loads((folder / "study.json").read_text())["across"]["planned"] == [*STUDIES]
        assert json.loads((folder / "protocol.json").read_text())["across"] == [*STUDIES]


def test_there_is_no_verdict_over_some_of_the_planned_studies(
    searched: Path, tmp_path: Path
) -> None:
    home = Path(shutil.copytree(searched, tmp_path / "home"))
    file = home / "tables.yaml"
    works("confirm", STUDIES[0], "--home", home, "--inline", "--yes")
    code, output, errors = call("report", file, "--home", home)
    assert (code, errors) == (3, "")
    assert "1 of them is not confirmed: tables@cancer" in output
    assert "workbench confirm tables" in output
    for study in STUDIES:
        page = home / "reports" / study / "index.html"
        assert page.is_file() and f"report: {page}" in output
    assert not (home / "reports" / "tables").exists()
    code, _, errors = call("combine", "tables", "--home", home)
    assert code == 2 and "tables@cancer" in errors

    # Another study, now that the result of the first one is known.
    text = file.read_text()
    added = "    iris: {name: iris, validation: 30, test: 30}\n"
    file.write_text(text.replace("    cancer:", f"{added}    cancer:"))
    code, _, errors = call("confirm", file, "--home", home, "--inline", "--yes")
    assert code == 2 and "across" in errors and "tables.yaml:3" in errors
    works("confirm", STUDIES[1], "--home", home, "--inline", "--yes")
    code, _, errors = call("combine", "tables", "--home", home)
    assert code == 2
    assert "not confirmed: tables@iris" in " ".join(errors.split())


def test_a_second_look_that_was_stopped_between_two_studies_goes_on(
    finished: tuple[Path, Path], tmp_path: Path
) -> None:
    home = Path(shutil.copytree(finished[0], tmp_path / "home"))
    file = home / "tables.yaml"
    (home / "reports" / "tables").mkdir(parents=True, exist_ok=True)
    (home / "reports" / "tables" / "results.json").touch()
    more = ("--fresh", "1", "--home", home, "--inline", "--yes")
    works("confirm", STUDIES[0], *more)
    # While the others have one look only, there is no verdict over all of them.
    code, output, _ = call("report", "tables", "--home", home)
    assert code == 3 and "no common number of looks taken" in output
    assert f"{home / 'reports' / 'tables'} has the page of an earlier verdict" in output
    output = works("confirm", file, *more)
    assert output.count("nothing to do") == 1
    for study in STUDIES:
        folder = home / "mlruns" / "studies" / study
        assert len(json.loads((folder / "protocol-2.json").read_text())["seeds"]) == 1
        progress = browse.study(home, study).summary.confirmation
        assert progress is not None and progress.complete and progress.seeds_shown == 3
    _, output, _ = call("combine", "tables", "--home", home, "--json")
    found = json.loads(output)
    assert (found["verdict"]["alpha"], found["verdict"]["looks"]) == (0.025, 2)


def test_two_searches_of_one_file_share_their_settings_and_those_of_another_file_do_not(
    tmp_path: Path,
) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY.replace(", seed: 1", ""))
    one, two, longer = (
        across.settings(stored_study.read(describe(Study(config, tmp_path, pending=True))))
        for config in (
            *load_all(file, ["across={search_seed: [0, 1]}"]),
            *load_all(file, ["search.trials_per_strategy=6"]),
        )
    )
    assert one == two
    assert {key for key in one if one[key] != longer[key]} == {
        f"search.trials.{name}" for name in ("adamw-0", "adamw-all", "sgd-0", "sgd-all")
    }
