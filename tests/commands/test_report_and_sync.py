"""``report`` and ``sync`` in a real store: a confirmed study, and what is not there."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import confirmed
from tests.support import mlflow_home as made
from tests.support.studies import hold
from tests.support.tiny import TINY
from workbench import record, report
from workbench.commands import across, browse
from workbench.commands import report as publish
from workbench.commands.confirmation_progress import other_tests_of_same_samples
from workbench.commands.home_studies import UnknownNameError
from workbench.driver.leases import lease
from workbench.record import Role
from workbench.study.config.document import StudyFileError
from workbench.tracker import Tracker, location
from workbench.tracker.store import StoreError

pytestmark = pytest.mark.slow

# As a path each of these leads out of the folder of all studies, or to all of it.
PATHS = ("../x", "../../x", "..", ".", "a/../../x", "/x", "")


def everything_in(folder: Path) -> list[str]:
    """What lies in a folder, but for what sqlite keeps beside a file that it has open."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return sorted(name for name in found if not name.endswith(("-wal", "-shm")))


@pytest.fixture
def stored(tiny: Path, stored: Path) -> Path:
    """A home with a store that knows the tiny study."""
    hold(tiny, stored)
    return stored


def test_sync_of_an_unknown_study_names_it_and_the_nearest(stored: Path) -> None:
    before = everything_in(stored.parent)
    with pytest.raises(UnknownNameError, match=r"no study tinny; did you mean tiny\?"):
        publish.sync("tinny", stored)
    assert everything_in(stored.parent) == before


def test_sync_in_an_empty_home_names_the_study_and_makes_no_store(home: Path) -> None:
    with pytest.raises(UnknownNameError, match="No study named tiny in /"):
        publish.sync("tiny", home)
    assert everything_in(home) == []


def test_a_report_of_an_unknown_study_names_it_and_creates_no_folder(stored: Path) -> None:
    before = everything_in(stored.parent)
    for out in (None, stored.parent / "out"):
        with pytest.raises(LookupError, match="tinny"):
            publish.write("tinny", stored, out)
    assert everything_in(stored.parent) == before


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


@pytest.fixture(scope="module")
def confirmed_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which a small study was searched and confirmed."""
    home = made.home_in(tmp_path_factory.mktemp("homes") / "confirmed")
    found = confirmed.material(strategies=CASE.strategies, seeds=CASE.seeds, gap=CASE.gap)
    tracker = Tracker(home)
    parents = {
        Role.SEARCH: made.parent_of(
            tracker, files={"study.json": json.dumps(confirmed.described(CASE))}
        ),
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
    for run in found.trials:
        directory = made.record_of(home, run, found.scores.get(run.run_id))
        tracker.mirror(directory, parents[Role(run.role)], seeds_shown=100)
    folder = record.study_directory(home, made.STUDY)
    record.protocol_path(folder).write_text(confirmed.protocol_text(CASE))
    return home


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all reports: a figure that shows the same as before is not drawn again."""
    return tmp_path_factory.mktemp("reports") / "out"


@pytest.fixture
def own_home(confirmed_home: Path, tmp_path: Path) -> Path:
    """A copy of the confirmed study's home, with its description beside its records."""
    home = tmp_path / "own"
    shutil.copytree(confirmed_home, home)
    (parent,) = (home / "mlruns" / "artifacts" / made.STUDY).glob("*/artifacts/study/study.json")
    folder = record.study_directory(home, made.STUDY)
    found = json.loads(parent.read_text())
    total = {"total": 24, "targets": dict.fromkeys(CASE.strategies, 12)}
    described = {"file": "digits.yaml", **found, "budget": total}
    (folder / "study.json").write_text(json.dumps(described))
    (folder / "selection.json").write_text(json.dumps(confirmed.selection(CASE)))
    return home


def test_a_confirmed_study_is_judged_from_what_mlflow_holds(
    confirmed_home: Path, out: Path
) -> None:
    written = publish.write(made.STUDY, confirmed_home, out)
    content = json.loads(written.page.with_name("report.json").read_text())
    assert written.notes == ()
    expected = report.compose(
        confirmed.material(strategies=CASE.strategies, seeds=CASE.seeds, gap=CASE.gap)
    ).summary.content
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
    parents = tracker.read_study(made.STUDY).parents
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
    first = next(
        run
        for run in confirmed.material(strategies=CASE.strategies, seeds=CASE.seeds).trials
        if run.role == "confirmation"
    )
    roles = ("confirmation", "selection", "try")
    late = [replace(first, number=90, role=role) for role in roles]
    paths = [made.record_of(confirmed_home, run, None).path for run in late]
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
        edited = report.compose(publish.material(tracker, made.STUDY, directory)).summary.content
    finally:
        path.write_text(text)
    assert edited["verdict"]["word"] == "EXPLORATORY"
    assert "on disk was edited" in edited["verdict"]["reasons"][0]["text"]


def test_a_study_file_that_was_edited_after_the_confirmation_is_noted(
    own_home: Path, tmp_path: Path, out: Path
) -> None:
    file = tmp_path / "digits.yaml"
    file.write_text(TINY.replace("name: tiny", f"name: {made.STUDY}"))
    parent = Tracker(own_home, create=False).read_study(made.STUDY).parents["confirmation"]
    shutil.copy(file, made.artifacts_of(own_home, parent) / "study" / "study.yaml")
    described = {**confirmed.described(CASE), "file": str(file), "budget": {"targets": {}}}
    folder = record.study_directory(own_home, made.STUDY)
    (folder / "study.json").write_text(json.dumps(described))

    def notes(name: str) -> tuple[str, ...]:
        return across.write_report(name, own_home, out).notes

    file.write_text(f"# A comment.\n{file.read_text()}")
    assert notes(made.STUDY) == ()
    file.write_text(file.read_text().replace("epochs: 3", "epochs: 4"))
    (note,) = notes(made.STUDY)
    assert note.startswith(f"{file} was edited after the confirmation began (recipe).")
    assert notes(str(file)) == (note,)


def test_a_study_that_tested_the_same_samples_is_named(confirmed_home: Path) -> None:
    tracker = Tracker(confirmed_home, create=False)
    directory = record.study_directory(confirmed_home, made.STUDY)
    first = shutil.copytree(directory, record.study_directory(confirmed_home, "first"))
    try:
        found = publish.material(tracker, made.STUDY, directory).tested_by_others
        assert found == (
            f"The study first (with {CASE.seeds} of the {CASE.seeds} seeds of this one) has tested"
            " the same test samples. What was chosen after its results were seen is not"
            " independent of this test.",
        )
        protocol = json.loads(record.protocol_path(first).read_text())
        protocol["data"]["digest"] = "sha256:other"
        record.protocol_path(first).write_text(json.dumps(protocol))
        assert other_tests_of_same_samples(directory) == (), "equal numbers of other data"
    finally:
        shutil.rmtree(first)


def test_the_curves_of_each_strategys_best_trial_and_of_the_confirmation_are_read(
    confirmed_home: Path,
) -> None:
    directory = record.study_directory(confirmed_home, made.STUDY)
    found = publish.material(Tracker(confirmed_home, create=False), made.STUDY, directory)
    read = [trial for trial in found.trials if trial.run_id in found.histories]
    assert Counter(trial.role for trial in read) == {"confirmation": 21, "search": 2}
    searched = [trial for trial in found.trials if trial.role == "search"]
    for best in (trial for trial in read if trial.role == "search"):
        own = [trial.value or 0.0 for trial in searched if trial.strategy == best.strategy]
        assert best.value == max(own)
    assert found.protocol_on_disk == found.study.protocol_logged == confirmed.sha256(CASE)
    assert len(found.scores) == 21


# A home that was damaged, or that somebody else has made


def changed(home: Path, statement: str, *values: str) -> None:
    """Change MLflow's store behind its back."""
    with closing(sqlite3.connect(home / "mlruns" / "mlflow.db")) as connection, connection:
        connection.execute(statement, values)


def word_of(written: publish.WrittenReport) -> str:
    content = json.loads(written.page.with_name("report.json").read_text())
    return str(content["verdict"]["word"])


def judged(home: Path) -> str:
    """The verdict of a report, without drawing it."""
    directory = record.study_directory(home, made.STUDY)
    found = publish.material(Tracker(home, create=False), made.STUDY, directory)
    return str(report.compose(found).summary.content["verdict"]["word"])


def test_a_report_is_written_again_although_mlflows_artifacts_are_gone(
    own_home: Path, out: Path
) -> None:
    shutil.rmtree(own_home / "mlruns" / "artifacts")
    assert word_of(publish.write(made.STUDY, own_home, out)) == "WINNER"


def test_a_report_of_a_study_whose_description_is_gone_everywhere_says_so(own_home: Path) -> None:
    shutil.rmtree(own_home / "mlruns" / "artifacts")
    (record.study_directory(own_home, made.STUDY) / "study.json").unlink()
    with pytest.raises(StoreError, match=r"no description of the study digits: study/study.json"):
        publish.write(made.STUDY, own_home, None)


@pytest.fixture
def new_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database that commands of the test write to instead of the home's own store."""
    uri = made.empty_store(tmp_path / "new")
    monkeypatch.setenv(location.VARIABLE, uri)
    return uri


def logged_in(home: Path) -> str | None:
    return Tracker(home, made.STUDY).read_study(made.STUDY).protocol_logged


def test_a_confirmed_study_keeps_its_verdict_in_another_store(
    own_home: Path, new_store: str, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = record.scan(record.study_directory(own_home, made.STUDY))
    assert publish.sync(made.STUDY, own_home) == len(trials)
    monkeypatch.delenv(location.VARIABLE)
    assert Tracker(own_home, made.STUDY).uri == new_store, "it is remembered"
    assert logged_in(own_home) == confirmed.sha256(CASE)
    assert word_of(publish.write(made.STUDY, own_home, out)) == "WINNER"


def test_no_store_gets_the_hash_of_a_protocol_that_the_one_before_did_not_have(
    own_home: Path, new_store: str, caplog: pytest.LogCaptureFixture
) -> None:
    old = own_home / "mlruns" / "mlflow.db"
    made.close(Tracker(own_home, at=f"sqlite:///{old}"))
    old.rename(old.with_name("away.db"))
    publish.sync(made.STUDY, own_home)
    assert logged_in(own_home) is None
    assert f"digits were written to sqlite:///{old} before, which cannot be read" in caplog.text
    assert "workbench sync digits" in caplog.text
    assert location.uri_in_record(record.study_directory(own_home, made.STUDY)) is None
    old.with_name("away.db").rename(old)
    publish.sync(made.STUDY, own_home)
    assert logged_in(own_home) == confirmed.sha256(CASE)


def test_sync_makes_a_deleted_store_again_with_the_parents_true_statuses(own_home: Path) -> None:
    for path in (own_home / "mlruns").glob("mlflow.db*"):
        path.unlink()
    with pytest.raises(StoreError, match="`workbench sync STUDY` makes the store again"):
        publish.write(made.STUDY, own_home, None)
    trials = record.scan(record.study_directory(own_home, made.STUDY))
    assert publish.sync(made.STUDY, own_home) == len(trials)
    assert made.run_of(own_home, "digits/search")[1] == "FINISHED"
    assert made.run_of(own_home, "digits/confirmation")[1] == "FINISHED"
    # Nothing proves any more that the protocol came first.
    assert judged(own_home) == "EXPLORATORY"
    assert publish.sync(made.STUDY, own_home) == 0


def test_sync_leaves_an_unfinished_search_scheduled_and_finishes_one_that_mlflow_missed(
    own_home: Path,
) -> None:
    path = record.study_directory(own_home, made.STUDY) / "study.json"
    text = path.read_text()
    changed(own_home, "UPDATE runs SET status = 'RUNNING' WHERE name = 'digits search'")
    path.write_text(text.replace('"sgd-0": 12', '"sgd-0": 13'))
    publish.sync(made.STUDY, own_home)
    assert made.run_of(own_home, "digits/search")[1] == "SCHEDULED"
    path.write_text(text)
    publish.sync(made.STUDY, own_home)
    assert made.run_of(own_home, "digits/search")[1] == "FINISHED"


@pytest.mark.parametrize(
    ("role", "file", "garbage"),
    [
        ("search", "study/study.json", b"[1]"),
        ("confirmation", "study/protocol.json", b"\x00garbage"),
        ("confirmation", "study/protocol.json", b""),
        ("confirmation/sgd-0/000", "predictions.parquet", b"\x00garbage"),
    ],
)
def test_a_damaged_artifact_is_named_and_restored_once_it_is_deleted(
    own_home: Path, role: str, file: str, garbage: bytes
) -> None:
    run_id, *_ = made.run_of(own_home, f"digits/{role}")
    path = made.artifacts_of(own_home, run_id) / file
    assert path.is_file()
    path.write_bytes(garbage)
    with pytest.raises(StoreError) as caught:
        publish.write(made.STUDY, own_home, None)
    message = str(caught.value)
    assert message.startswith(f"{path}, an artifact in MLflow, is damaged: ")
    assert message.endswith("run `workbench sync digits` to restore it from the study's records.")
    path.unlink()
    publish.sync(made.STUDY, own_home)
    assert judged(own_home) == "WINNER"


def test_tags_that_no_trial_has_are_written_again_from_its_record(
    own_home: Path, out: Path
) -> None:
    run_id, *_ = made.run_of(own_home, "digits/search/sgd-0/000")
    planted = "UPDATE tags SET value = ? WHERE run_uuid = ? AND key = ?"
    invalid = f"The run {run_id} of digits in MLflow has invalid tags"
    changed(own_home, planted, "x", run_id, "workbench.number")
    with pytest.raises(StoreError, match=invalid):
        Tracker(own_home).read_trials(made.STUDY)
    publish.sync(made.STUDY, own_home)
    assert judged(own_home) == "WINNER"
    changed(own_home, planted, "[1]", run_id, "workbench.levels")
    with pytest.raises(StoreError, match=invalid):
        Tracker(own_home).read_trials(made.STUDY)
    assert word_of(publish.write(made.STUDY, own_home, out)) == "WINNER"


def test_a_report_of_a_study_with_a_damaged_record_says_so_and_shows_the_others(
    own_home: Path, out: Path
) -> None:
    (directory, _), *_ = record.scan(record.study_directory(own_home, made.STUDY))
    (directory.path / "result.json").write_text("{}")
    written = publish.write(made.STUDY, own_home, out)
    assert word_of(written) == "WINNER"
    (note,) = written.notes
    assert note.startswith(f"{directory.path}/result.json is damaged")


def test_a_report_beside_a_running_driver_is_written_and_says_so(own_home: Path, out: Path) -> None:
    with lease(record.study_directory(own_home, made.STUDY)):
        written = publish.write(made.STUDY, own_home, out)
    assert written.page == out / "index.html"
    assert any("is already running: process" in note for note in written.notes)


def test_a_report_of_a_renamed_study_folder_tells_to_rename_it_back(own_home: Path) -> None:
    folder = record.study_directory(own_home, made.STUDY)
    folder.rename(folder.with_name("renamed"))
    for call in (publish.sync, browse.study):
        arguments = ("renamed", own_home) if call is publish.sync else (own_home, "renamed")
        with pytest.raises(UnknownNameError, match="rename the folder to digits"):
            call(*arguments)
    with pytest.raises(LookupError, match="no study 'renamed'"):
        publish.write("renamed", own_home, None)
    assert judged(own_home) == "WINNER"


@pytest.mark.parametrize("name", ["../../../pwn", "..", "/tmp/pwn"])
def test_a_study_whose_name_leads_out_of_the_home_writes_nothing(own_home: Path, name: str) -> None:
    changed(own_home, "UPDATE experiments SET name = ? WHERE name = 'digits'", name)
    changed(own_home, "UPDATE tags SET value = replace(value, 'digits', ?)", name)
    for path in own_home.rglob("study.json"):
        path.write_text(path.read_text().replace('"name": "digits"', f'"name": "{name}"'))
    before = everything_in(own_home.parent)
    with pytest.raises(LookupError):
        publish.write(name, own_home, None)
    with pytest.raises(LookupError):
        publish.sync(name, own_home)
    assert everything_in(own_home.parent) == before


def test_a_description_of_another_name_is_damaged(own_home: Path) -> None:
    run_id, *_ = made.run_of(own_home, "digits/search")
    path = made.artifacts_of(own_home, run_id) / "study" / "study.json"
    path.write_text(path.read_text().replace('"name": "digits"', '"name": "../../../pwn"'))
    with pytest.raises(StoreError, match=r"it describes the study '../../../pwn'"):
        publish.write(made.STUDY, own_home, None)
