"""A second look at a small study: real runs, records and MLflow store, with a killed driver."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.commands import call, wait_for, works
from tests.support.mlflow_home import artifacts_of, home_in, runs_of
from tests.support.processes import Forked
from tests.support.tiny import CONFIRM, TINY, TWO, Unseen
from workbench import record, report
from workbench.commands import browse, outcomes
from workbench.commands import report as publish
from workbench.commands.confirm import confirm_study
from workbench.commands.outcomes import Outcome
from workbench.commands.run import run_study
from workbench.driver.workers import InlineWorkers
from workbench.record import Role
from workbench.record.seeds import derive
from workbench.study.config.changes import NotReadyError, StudyChangedError
from workbench.study.confirm.offer import Offer
from workbench.tracker import Tracker

pytestmark = pytest.mark.slow

FIRST, FRESH = 7, 3
TESTED = "confirm: {smallest_effect: 0.02, seeds: 7, looks: 2, select: {configs: 1, seeds: 1}}"


def confirmed(
    study: Path | str,
    home: Path,
    *overrides: str,
    fresh: int | None = None,
    agree: Callable[[Offer], bool] = lambda offer: True,
) -> Outcome:
    return confirm_study(
        study, overrides, home, InlineWorkers(), Unseen(), agree=agree, fresh=fresh
    )


def never(offer: Offer) -> bool:
    pytest.fail("asked for consent")


def directory_of(home: Path) -> Path:
    return record.study_directory(home, "tiny")


def second_of(home: Path) -> Path:
    return record.protocol_path(directory_of(home), look=2)


def verdict_of(home: Path) -> dict[str, object]:
    """Word, numbers and look of a report's verdict."""
    material = publish.material(Tracker(home, create=False), "tiny", directory_of(home))
    verdict = report.compose(material).summary.content["verdict"]
    names = ("word", "headline", "alpha", "seeds", "seeds_by_look", "sides", "p_win", "look")
    return {name: verdict[name] for name in names}


def copied(home: Path, into: Path) -> Path:
    return Path(shutil.copytree(home, into))


def write(folder: Path, *changes: tuple[str, str]) -> Path:
    text = TINY.replace(CONFIRM.partition("\n")[0], f"{CONFIRM.partition(chr(10))[0]}\n{TESTED}")
    for old, new in (
        TWO,
        ("epochs: 3", "epochs: 1"),
        ("trials_per_strategy: 5", "trials_per_strategy: 1"),
        *changes,
    ):
        assert old in text
        text = text.replace(old, new)
    path = folder / "tiny.yaml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def searched(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = home_in(tmp_path_factory.mktemp("searched"))
    run_study(file, (), home, InlineWorkers(), Unseen())
    return home


@pytest.fixture(scope="module")
def first(file: Path, searched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the first look has ended."""
    home = copied(searched, tmp_path_factory.mktemp("first") / "home")
    assert confirmed(file, home).finished
    return home


class Story:
    """A second look that is declined, killed in the middle, and continued."""

    def __init__(self, file: Path, home: Path) -> None:
        self.file, self.home = file, home
        self.before = verdict_of(home)
        self.arms = len(json.loads((directory_of(home) / "selection.json").read_text())["arms"])
        self.offers: list[Offer] = []

        def decline(offer: Offer) -> bool:
            self.offers.append(offer)
            return False

        self.declined = confirmed(file, home, fresh=5, agree=decline)
        self.written_after_declining = second_of(home).exists()
        words = ("confirm", "tiny", "--fresh", FRESH, "--yes", "--inline", "--home", home)
        driver = Forked(processes.command, *map(str, words))
        last = directory_of(home) / "confirmation"
        wait_for(lambda: len(list(last.glob(f"*/{FIRST:03d}/result.json"))) >= 1, driver)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        self.killed = copied(home, home.with_name("killed"))
        self.done = confirmed("tiny", home, agree=never)
        self.protocol = json.loads(record.protocol_path(directory_of(home)).read_text())
        self.second = json.loads(second_of(home).read_text())


def shown_in_mlflow(home: Path) -> set[int]:
    """The numbers of the runs that show test values or predictions."""
    runs = [
        run for run in runs_of(home, "tiny") if run.data.tags["workbench.role"] == "confirmation"
    ]
    return {
        int(run.data.tags["workbench.number"])
        for run in runs
        if "workbench.number" in run.data.tags
        and (
            any(name.startswith("test/") for name in run.data.metrics)
            or (artifacts_of(home, run.info.run_id, "tiny") / "predictions.parquet").exists()
        )
    }


@pytest.fixture(scope="module")
def story(file: Path, first: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story(file, copied(first, tmp_path_factory.mktemp("story") / "home"))


def test_a_protocol_of_two_looks_says_so_and_has_the_floor_of_half_the_level(story: Story) -> None:
    assert (story.protocol["looks"], story.protocol["alpha"]) == (2, 0.05)
    assert story.protocol["seeds_floor"] == 7
    assert story.before["alpha"] == 0.025 and story.before["seeds_by_look"] == [FIRST]


def test_a_declined_second_look_leaves_nothing_and_another_number_may_be_asked_for(
    story: Story,
) -> None:
    (offer,) = story.offers
    assert (offer.fresh, offer.seeds, offer.floor) == (5, FIRST + 5, 7)
    assert offer.runs == 5 * story.arms
    assert story.declined.exit_code == outcomes.RESUMABLE
    assert not story.written_after_declining


def test_its_protocol_has_the_next_seeds_of_the_same_derivation(story: Story) -> None:
    first = record.protocol_path(directory_of(story.home))
    seeds = [
        str(derive(1, "training", "tiny", "confirmation", i)) for i in range(FIRST, FIRST + FRESH)
    ]
    assert story.second == {
        "schema": 2,
        "study": "tiny",
        "amends": record.sha256_of(first),
        "seeds": seeds,
    }


def test_its_runs_carry_its_hash_and_mlflow_has_file_and_hash(story: Story) -> None:
    expected = record.sha256_of(second_of(story.home))
    specs = [spec for _, spec in record.scan(directory_of(story.home))]
    added = [s for s in specs if s.role is Role.CONFIRMATION and s.number >= FIRST]
    assert len(added) == FRESH * story.arms
    assert {spec.protocol for spec in added} == {expected}
    runs = runs_of(story.home, "tiny")
    (parent,) = [run for run in runs if run.info.run_name == "tiny confirmation"]
    assert parent.data.tags["workbench.protocol_2"] == expected
    assert parent.data.tags["workbench.seeds"] == str(FIRST + FRESH)
    assert parent.info.status == "FINISHED"
    folder = Path(str(parent.info.artifact_uri).removeprefix("file://")) / "study"
    assert (folder / "protocol-2.json").read_bytes() == second_of(story.home).read_bytes()
    keys = [run.data.tags["workbench.key"] for run in runs]
    assert len(set(keys)) == len(keys), "the killed driver's runs were continued"


def test_while_it_runs_the_first_verdict_stays_and_its_test_values_are_withheld(
    story: Story,
) -> None:
    (row,) = browse.studies(story.killed)
    progress = row.confirmation
    assert progress is not None
    assert (progress.stage, progress.look, progress.looks) == ("confirmation", 2, 2)
    assert progress.planned == FRESH * story.arms and 0 < progress.ended < progress.planned
    shown = browse.study(story.killed, "tiny").trials
    tested = {row.trial.rpartition("/")[2] for row in shown if row.test}
    assert tested == {f"{number:03d}" for number in range(FIRST)}
    ended = next(
        row for row in shown if row.trial.endswith(f"/{FIRST:03d}") and row.state == "complete"
    )
    assert browse.trial(story.killed, "tiny", ended.trial).withheld
    assert "look 2" in works("list", "--home", story.killed)
    # MLflow shows as much, and then all of it.
    assert shown_in_mlflow(story.killed) == set(range(FIRST))
    assert shown_in_mlflow(story.home) == set(range(FIRST + FRESH))
    assert row.verdict is not None and row.verdict.seeds == FIRST
    assert verdict_of(story.killed) == story.before


def test_its_verdict_is_by_the_seeds_of_both_looks(story: Story) -> None:
    assert story.done.finished and story.done.agreed
    found = verdict_of(story.home)
    assert (found["alpha"], found["seeds_by_look"]) == (0.025, [FIRST, FRESH])
    assert found["seeds"] == [*story.protocol["seeds"], *story.second["seeds"]]
    assert "second of two planned looks (7 seeds, then 3 more)" in str(found["look"])
    (row,) = browse.studies(story.home)
    assert row.confirmation is not None
    assert (row.confirmation.stage, row.confirmation.look) == ("complete", 2)
    assert row.confirmation.planned == (FIRST + FRESH) * story.arms
    assert row.verdict is not None and row.verdict.seeds == FIRST + FRESH
    assert all(row.test for row in browse.study(story.home, "tiny").trials if "conf" in row.trial)


def test_a_verdict_of_other_records_is_not_shown(story: Story, tmp_path: Path) -> None:
    # As where a driver was killed before it said the verdict of both looks.
    home = copied(story.home, tmp_path / "home")
    shutil.copy(directory_of(story.killed) / "verdict.json", directory_of(home))
    (row,) = browse.studies(home)
    assert row.confirmation is not None and row.confirmation.complete and row.verdict is None
    shutil.copy(directory_of(story.home) / "verdict.json", directory_of(home))
    assert browse.studies(home)[0].verdict is not None
    path = record.protocol_path(directory_of(home))
    path.write_text(path.read_text() + " ")
    assert browse.studies(home)[0].verdict is None, "the protocol is another one"


def test_without_a_number_it_is_continued_and_then_there_is_nothing_to_do(story: Story) -> None:
    again = confirmed("tiny", story.home, agree=never)
    assert (again.fresh, again.exit_code) == (0, outcomes.DONE)
    assert "nothing to do" in works("confirm", "tiny", "--home", story.home, "--inline")


def test_the_same_number_continues_it_as_well(story: Story, tmp_path: Path) -> None:
    home = copied(story.killed, tmp_path / "home")
    assert confirmed("tiny", home, fresh=FRESH, agree=never).finished
    names = ("seeds", "headline", "p_win")
    one, other = verdict_of(home), verdict_of(story.home)
    assert [one[name] for name in names] == [other[name] for name in names]


# -- what is refused ------------------------------------------------------------------------------


def refused(home: Path, fresh: int) -> str:
    """The error of the command."""
    words = ("confirm", "tiny", "--fresh", str(fresh), "--home", home, "--inline", "--yes")
    code, _, errors = call(*words)
    assert code == outcomes.BAD_STUDY
    return " ".join(errors.split())


def test_a_complete_one_is_nothing_to_do(story: Story) -> None:
    assert confirmed("tiny", story.home, fresh=FRESH, agree=never).fresh == 0
    words = ("confirm", "tiny", "--fresh", str(FRESH), "--home", story.home, "--inline")
    assert "nothing to do" in works(*words)


def test_another_number_is_refused(story: Story, tmp_path: Path) -> None:
    home = copied(story.killed, tmp_path / "home")
    for place in (home, story.home):
        said = refused(place, FRESH + 1)
        assert "--fresh 4" in said and "began with 3 fresh seeds" in said
        assert "workbench confirm tiny" in said and "new name" in said


def test_it_follows_a_first_look_that_has_ended(
    file: Path, searched: Path, first: Path, tmp_path: Path
) -> None:
    untouched = copied(searched, tmp_path / "untouched")
    with pytest.raises(NotReadyError, match="the first look of tiny is unfinished"):
        confirmed(file, untouched, fresh=FRESH, agree=never)
    assert not record.protocol_path(directory_of(untouched)).exists()
    home = copied(first, tmp_path / "home")
    shutil.rmtree(directory_of(home) / "confirmation" / "adamw" / f"{FIRST - 1:03d}")
    assert "Finish it first: workbench confirm tiny" in refused(home, FRESH)
    assert not second_of(home).exists()


def test_a_confirmation_of_one_look_takes_no_more_seeds(searched: Path, tmp_path: Path) -> None:
    file = write(tmp_path, ("looks: 2", "looks: 1"))
    home = copied(searched, tmp_path / "home")
    with pytest.raises(StudyChangedError, match=r"Plan confirm: \{looks: 2\} before"):
        confirmed(file, home, fresh=FRESH, agree=never)
    assert confirmed(file, home).finished
    with pytest.raises(StudyChangedError) as caught:
        confirmed(file, home, fresh=FRESH, agree=never)
    for said in ("22 % false winners", "new name", "looks: 2"):
        assert said in str(caught.value)
    # The plan of one look that has begun cannot become one of two.
    with pytest.raises(StudyChangedError, match="looks: was 1, is 2"):
        confirmed(file, home, "confirm.looks=2", agree=never)


@pytest.mark.parametrize("looks", ["0", "3", "true", "1.5"])
def test_one_or_two_looks_can_be_planned(file: Path, tmp_path: Path, looks: str) -> None:
    code, _, errors = call("check", file, "--home", tmp_path, "--set", f"confirm.looks={looks}")
    assert code == outcomes.BAD_STUDY
    assert "confirm.looks" in errors


@pytest.mark.parametrize("fresh", [None, FRESH])
def test_an_edited_protocol_of_the_second_look_is_refused(
    story: Story, tmp_path: Path, fresh: int | None
) -> None:
    home = copied(story.killed, tmp_path / "home")
    path = second_of(home)
    for key, value in (("amends", "0" * 64), ("seeds", story.second["seeds"][:2])):
        path.write_text(json.dumps({**story.second, key: value}, indent=1) + "\n")
        with pytest.raises(
            StudyChangedError, match=r"protocol-2\.json was edited|began with 2"
        ) as caught:
            confirmed("tiny", home, fresh=fresh, agree=never)
        assert "Restore the file" in str(caught.value)
    path.write_bytes(b"\xff")
    with pytest.raises(StudyChangedError, match="the file is damaged"):
        confirmed("tiny", home, fresh=fresh, agree=never)
    path.unlink()
    with pytest.raises(
        StudyChangedError, match=r"protocol-2\.json is missing, but the second look of tiny"
    ):
        confirmed("tiny", home, fresh=fresh, agree=never)


def test_a_second_look_whose_records_are_gone_is_not_begun_anew(
    story: Story, tmp_path: Path
) -> None:
    home = copied(story.home, tmp_path / "home")
    second_of(home).unlink()
    for path in (directory_of(home) / "confirmation").glob("*/*"):
        if int(path.name) >= FIRST:
            shutil.rmtree(path)
    with pytest.raises(StudyChangedError, match="is missing"):
        confirmed("tiny", home, fresh=FRESH + 2, agree=never)


def test_check_says_what_an_edited_second_look_would_meet(story: Story, tmp_path: Path) -> None:
    home = copied(story.killed, tmp_path / "home")
    second_of(home).write_text("{}")
    code, output, _ = call("check", story.file, "--home", home)
    assert code == outcomes.BAD_STUDY
    assert "protocol-2.json was edited" in output
    assert "2 looks, each at 2.5 %" in output


def test_an_edited_file_keeps_the_test_split_closed_for_its_runs(
    story: Story, tmp_path: Path
) -> None:
    from workbench.datasets import SealedError
    from workbench.trial import evaluation

    home = copied(story.home, tmp_path / "home")
    (at, spec) = next(
        (at, spec)
        for at, spec in record.scan(directory_of(home))
        if spec.role is Role.CONFIRMATION and spec.number == FIRST
    )
    evaluation.must_be_open(at, spec)
    first = record.protocol_path(directory_of(home))
    kept = first.read_bytes()
    first.write_bytes(kept + b" ")
    with pytest.raises(SealedError, match=r"protocol\.json has the SHA-256"):
        evaluation.must_be_open(at, spec)
    first.write_bytes(kept)
    second_of(home).write_text("{}")
    with pytest.raises(SealedError, match=r"protocol-2\.json has the SHA-256"):
        evaluation.must_be_open(at, spec)
