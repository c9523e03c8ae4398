"""``report`` and ``sync`` in a real store: a confirmed study, and what is not there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import confirmed
import mlflow_home as made
import pytest
from test_session import hold

from workbench import browse, publish, record, report
from workbench.config.document import StudyFileError
from workbench.record import Role, State, TrialDirectory
from workbench.tracker import Tracker

# As a path each of these leads out of the folder of all studies, or to all of it.
PATHS = ("../x", "../../x", "..", ".", "a/../../x", "/x", "")


def everything_in(folder: Path) -> list[str]:
    """What lies in a folder, but for what sqlite keeps beside a file that it has open."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return sorted(name for name in found if not name.endswith(("-wal", "-shm")))


@pytest.fixture
def stored(tiny: Path, home: Path) -> Path:
    """A home with a store that knows the tiny study."""
    hold(tiny, home)
    return home


def test_sync_of_an_unknown_study_names_it_and_the_nearest(stored: Path) -> None:
    before = everything_in(stored.parent)
    with pytest.raises(browse.Unknown, match=r"no study tinny; .*Did you mean tiny\?"):
        publish.sync("tinny", stored)
    assert everything_in(stored.parent) == before


def test_sync_in_an_empty_home_names_the_study_and_makes_no_store(home: Path) -> None:
    with pytest.raises(browse.Unknown, match="There is no study tiny; there is none yet"):
        publish.sync("tiny", home)
    assert everything_in(home) == []


def test_a_report_of_an_unknown_study_names_it_and_creates_no_folder(stored: Path) -> None:
    before = everything_in(stored.parent)
    with pytest.raises(LookupError, match="tinny"):
        publish.write("tinny", stored, None)
    assert everything_in(stored.parent) == before


def test_a_report_of_an_unknown_study_leaves_the_folder_asked_for_unmade(
    stored: Path, tmp_path: Path
) -> None:
    with pytest.raises(LookupError):
        publish.write("tinny", stored, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def calls() -> list[tuple[str, Callable[[str, Path], object]]]:
    return [
        ("sync", publish.sync),
        ("report", lambda name, home: publish.write(name, home, None)),
        ("show", lambda name, home: browse.study(home, name)),
        ("show a trial", lambda name, home: browse.trial(home, name, "sgd-0/000")),
    ]


@pytest.mark.parametrize("call", [pytest.param(call, id=name) for name, call in calls()])
def test_a_name_that_is_a_path_is_no_study_and_leads_nowhere(
    call: Callable[[str, Path], object], stored: Path
) -> None:
    # What a path could reach looks like a study: only its name forbids it.
    for place in (stored / "mlruns" / "x", stored / "x"):
        place.mkdir()
        (place / "study.json").write_bytes(
            (stored / "mlruns" / "studies" / "tiny" / "study.json").read_bytes()
        )
    before = everything_in(stored.parent)
    for name in PATHS:
        with pytest.raises((LookupError, StudyFileError)):
            call(name, stored)
        assert everything_in(stored.parent) == before, name


# A confirmed study, from a real store


CASE = confirmed.Case(strategies=("sgd-0", "adam-0"), seeds=7, gap=3)


def record_of(home: Path, item: Mapping[str, Any], scores: list[float] | None) -> TrialDirectory:
    """The record that the tracker would read that row from."""
    spec = made.spec(
        int(item["number"]),
        role=Role(item["role"]),
        group=item["group"],
        strategy=item["strategy"],
        levels=item["levels"],
        hyperparameters=item["hyperparameters"],
        seed=int(item["seed"]),
        data_digest=item["data_digest"],
        protocol=item["protocol"] or None,
    )
    state = State(item["state"])
    ended = made.result(
        state,
        reason=item["reason"] or None,
        value=item["value"] if state is State.COMPLETE else None,
        metrics={k.removeprefix("best/"): v for k, v in item["metrics"].items()},
        epoch=3 if state is State.COMPLETE else None,
        seconds=item["seconds"],
        test=item["test"],
        provenance=item["provenance"],
    )
    directory = made.write(home, spec, epochs=3, ended=ended)
    if scores is not None:
        made.write_predictions(directory, scores)
    return directory


@pytest.fixture(scope="module")
def confirmed_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which a small study was searched and confirmed."""
    home = made.home_in(tmp_path_factory.mktemp("homes") / "confirmed")
    found = confirmed.material(strategies=CASE.strategies, seeds=CASE.seeds, gap=CASE.gap)
    tracker = Tracker(home)
    described = {key: value for key, value in found.study.items() if key not in READ_ELSEWHERE}
    parents = {
        Role.SEARCH: made.parent_of(tracker, files={"study.json": json.dumps(described)}),
        Role.CONFIRMATION: made.parent_of(
            tracker,
            "confirmation",
            tags={"workbench.protocol": confirmed.sha256(CASE)},
            files={
                "protocol.json": confirmed.protocol_text(CASE),
                "selection.json": json.dumps(confirmed.selection(CASE)),
            },
        ),
    }
    parents[Role.SELECTION] = parents[Role.CONFIRMATION]
    for row in found.trials.to_dict("records"):
        item = {str(key): cell for key, cell in row.items()}
        scores = found.scores.get(item["run_id"])
        directory = record_of(home, item, list(scores) if scores else None)
        tracker.mirror(directory, parents[Role(item["role"])])
    folder = record.study_directory(home, made.STUDY)
    record.protocol_path(folder).write_text(confirmed.protocol_text(CASE))
    return home


READ_ELSEWHERE = {
    *("protocol", "protocol_sha256", "protocol_logged", "selection", "environment"),
    *("parents", "parent_run_id", "experiment_id", "tracking_uri"),
}


def test_a_confirmed_study_is_judged_from_what_mlflow_holds(confirmed_home: Path) -> None:
    written = publish.write(made.STUDY, confirmed_home, None)
    content = json.loads(written.page.with_name("report.json").read_text())
    assert written.notes == ()
    expected = report.summarize(
        confirmed.material(strategies=CASE.strategies, seeds=CASE.seeds, gap=CASE.gap)
    )
    for name in ("word", "headline", "claim", "leader", "pairs"):
        assert content["verdict"][name] == expected["verdict"][name]
    assert content["verdict"]["word"] == "WINNER"
    pair, same = content["verdict"]["comparisons"][0], expected["verdict"]["comparisons"][0]
    assert pair["beyond"] is not None and pair["beyond"] == same["beyond"]
    arms = {arm["name"]: arm for arm in content["confirmation"]["arms"]}
    for arm in expected["confirmation"]["arms"]:
        values = [run["value"] for run in arm["runs"]]
        assert [run["value"] for run in arms[arm["name"]]["runs"]] == values
        assert arms[arm["name"]]["mean"] == arm["mean"]

    # Both parents keep it, and say it on their pages.
    tracker = Tracker(confirmed_home, create=False)
    parents = tracker.read_study(made.STUDY)["parents"]
    page = written.page.read_bytes()
    for run_id in (parents["search"], parents["confirmation"]):
        kept = made.artifacts_of(confirmed_home, run_id) / "report"
        assert (kept / "index.html").read_bytes() == page
        assert (kept / "data" / "confirmation.parquet").is_file()
        note = made.tags_of(confirmed_home, run_id)["mlflow.note.content"]
        assert note.startswith("## digits") and "**WINNER**" in note


def test_runs_of_every_role_but_tries_that_mlflow_lacks_are_counted(confirmed_home: Path) -> None:
    folder = record.study_directory(confirmed_home, made.STUDY)
    tracker = Tracker(confirmed_home, create=False)
    assert publish._behind(tracker, folder, made.STUDY) == 0
    rows = confirmed.frame(strategies=CASE.strategies, seeds=CASE.seeds, gap=CASE.gap)
    first = rows[rows["role"] == "confirmation"].to_dict("records")[0]
    item = {str(key): cell for key, cell in first.items()}
    late = [{**item, "number": 90, "role": role} for role in ("confirmation", "selection", "try")]
    paths = [record_of(confirmed_home, row, None).path for row in late]
    try:
        assert publish._behind(tracker, folder, made.STUDY) == 2
    finally:
        for path in paths:
            shutil.rmtree(path)


def test_a_protocol_that_was_edited_on_disk_is_noticed(confirmed_home: Path) -> None:
    tracker = Tracker(confirmed_home, create=False)
    directory = record.study_directory(confirmed_home, made.STUDY)
    path = record.protocol_path(directory)
    text = path.read_text()
    path.write_text(text.replace('"smallest_effect": 0.01', '"smallest_effect": 0.001'))
    try:
        edited = report.summarize(publish.material(tracker, made.STUDY, directory))
    finally:
        path.write_text(text)
    assert edited["verdict"]["word"] == "EXPLORATORY"
    assert "on disk was edited" in edited["verdict"]["reasons"][0]["text"]


def test_a_study_that_tested_the_same_samples_is_named(confirmed_home: Path) -> None:
    tracker = Tracker(confirmed_home, create=False)
    directory = record.study_directory(confirmed_home, made.STUDY)
    first = shutil.copytree(directory, record.study_directory(confirmed_home, "first"))
    try:
        found = publish.material(tracker, made.STUDY, directory).tested_by_others
        assert found == (
            f"The study first has tested the same test samples, with {CASE.seeds} of the"
            f" {CASE.seeds} seeds of this one. What was chosen after its results were seen is not"
            " independent of this test.",
        )
        protocol = json.loads(record.protocol_path(first).read_text())
        protocol["data"]["digest"] = "sha256:other"
        record.protocol_path(first).write_text(json.dumps(protocol))
        assert browse.tested_by_others(directory) == (), "equal numbers of other data"
    finally:
        shutil.rmtree(first)


def test_the_curves_of_each_strategys_best_trial_and_of_the_confirmation_are_read(
    confirmed_home: Path,
) -> None:
    directory = record.study_directory(confirmed_home, made.STUDY)
    found = publish.material(Tracker(confirmed_home, create=False), made.STUDY, directory)
    rows = found.trials.set_index("run_id")
    read = rows.loc[list(found.histories)]
    assert read["role"].value_counts().to_dict() == {"confirmation": 21, "search": 2}
    for _, best in read[read["role"] == "search"].iterrows():
        own = rows[(rows["role"] == "search") & (rows["strategy"] == best["strategy"])]
        assert best["value"] == own["value"].max()
    assert found.protocol_on_disk == found.study["protocol_logged"] == confirmed.sha256(CASE)
    assert len(found.scores) == 21
