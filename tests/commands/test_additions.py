"""A level that is added to a small confirmed study: real runs, records and MLflow store."""

from __future__ import annotations

import json
import math
import os
import shlex
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support import processes
from tests.support.commands import call, wait_for, works
from tests.support.mlflow_home import home_in, runs_of
from tests.support.processes import Forked
from tests.support.tiny import CONFIRM, JOINT, TINY, Unseen
from workbench import record, report
from workbench.commands import browse, home_studies, outcomes
from workbench.commands import report as publish
from workbench.commands.additions import add_level
from workbench.commands.confirm import confirm_study
from workbench.commands.home_studies import UnknownNameError
from workbench.commands.outcomes import Outcome
from workbench.commands.run import run_study
from workbench.datasets import SealedError
from workbench.driver.workers import InlineWorkers
from workbench.record import Role
from workbench.study.config.changes import NotReadyError, StudyChangedError
from workbench.study.confirm.offer import Offer
from workbench.study.confirm.planning import SELECTION
from workbench.tracker import Tracker
from workbench.trial import evaluation

pytestmark = pytest.mark.slow

SEEDS = 7
TESTED = "confirm: {smallest_effect: 0.02, seeds: 7, looks: 2, select: {configs: 1, seeds: 2}}"
SHORT = (
    ("optimizer: [sgd, adamw]", "optimizer: [sgd]"),
    ("epochs: 3", "epochs: 1"),
    ("trials_per_strategy: 5", "trials_per_strategy: 1"),
    (CONFIRM.partition("\n")[0], f"{CONFIRM.partition(chr(10))[0]}\n{TESTED}"),
)
NEW = ["nadam-added-later-0", "nadam-added-later-all"]


def write(folder: Path, *changes: tuple[str, str]) -> Path:
    text = TINY
    for old, new in (*SHORT, *changes):
        assert old in text
        text = text.replace(old, new)
    path = folder / "tiny.yaml"
    path.write_text(text)
    return path


def never(offer: Offer) -> bool:
    pytest.fail("asked for consent")


def add(
    study: Path | str, home: Path, level: str, agree: Callable[[Offer], bool] = lambda offer: True
) -> Outcome:
    return add_level(study, level, (), home, InlineWorkers(), Unseen(), agree=agree)


def directory_of(home: Path, study: str = "tiny") -> Path:
    return record.study_directory(home, study)


def protocol_of(home: Path, study: str) -> Any:
    return json.loads(record.protocol_path(directory_of(home, study)).read_text())


def material_of(home: Path) -> report.Material:
    return publish.material(Tracker(home, create=False), "tiny", directory_of(home))


def report_of(home: Path) -> Any:
    """The content of report.json."""
    return report.compose(material_of(home)).summary.content


def any_of(folder: Path, pattern: str) -> bool:
    return any(folder.glob(pattern))


def copied(home: Path, into: Path) -> Path:
    return Path(shutil.copytree(home, into))


def refused(*words: str | Path, code: int = outcomes.BAD_STUDY) -> str:
    found, output, errors = call("confirm", *words, "--inline", "--yes")
    assert found == code, output + errors
    return " ".join(errors.split())


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def confirmed(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the first look at the study has ended."""
    home = home_in(tmp_path_factory.mktemp("confirmed"))
    run_study(file, (), home, InlineWorkers(), Unseen())
    assert confirm_study(
        file, (), home, InlineWorkers(), Unseen(), agree=lambda offer: True
    ).finished
    return home


ALONE = ("optimizer: [sgd]\n  freeze_depth: [0, all]", "optimizer: [sgd, adamw]")


def confirmed_in(folder: Path, *changes: tuple[str, str]) -> Path:
    """A home in which a study with these changes is confirmed; on two seeds by default."""
    home, file = home_in(folder), write(folder, ("seeds: 7", "seeds: 2"), *changes)
    run_study(file, (), home, InlineWorkers(), Unseen())
    confirm_study(file, (), home, InlineWorkers(), Unseen(), agree=lambda offer: True)
    return home


class Story:
    """A level that is added by drivers of which one is killed in each phase."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.bytes = record.protocol_path(directory_of(home)).read_bytes()
        # Of a copy: a fork must share no connection of this process to the store of its home.
        self.before = report_of(copied(home, home.with_name("before")))["verdict"]
        self.killed: dict[str, Path] = {}
        words = (
            "confirm",
            "tiny",
            "--add",
            "optimizer=nadam",
            "--yes",
            "--inline",
            "--home",
            str(home),
        )
        for phase, runs in (
            ("trials", "*/*/result.json"),
            ("selection", "*/*/*/result.json"),
            ("confirmation", "*/*/result.json"),
        ):
            driver = Forked(processes.command, *words)
            wait_for(partial(any_of, directory_of(home, "tiny-add-1") / phase, runs), driver)
            os.kill(driver.pid, signal.SIGKILL)
            driver.wait()
            self.killed[phase] = copied(home, home.with_name(phase))
        self.done = add("tiny", home, "optimizer=nadam", agree=never)
        assert call("report", "tiny", "--home", home)[0] in (outcomes.DONE, outcomes.UNUSABLE)
        self.report = json.loads((home / "reports" / "tiny" / "report.json").read_text())


@pytest.fixture(scope="module")
def story(confirmed: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story(copied(confirmed, tmp_path_factory.mktemp("story") / "home"))


# -- the amendment --------------------------------------------------------------------------------


def test_it_is_written_before_anything_runs_and_the_protocol_of_the_study_stays(
    story: Story,
) -> None:
    described = directory_of(story.killed["trials"], "tiny-add-1") / "study.json"
    amendment = json.loads(described.read_text())["added"]
    assert amendment["amends"] == record.sha256_of(record.protocol_path(directory_of(story.home)))
    first, own = (protocol_of(story.home, name) for name in ("tiny", "tiny-add-1"))
    assert own["amends"] == amendment["amends"]
    assert own["added"] == {"study": "tiny", "factor": "optimizer", "level": "nadam"}
    assert [strategy["name"] for strategy in own["strategies"]] == NEW
    for same in ("seeds", "metric", "smallest_effect", "alpha", "looks", "contrast"):
        assert own[same] == first[same]
    assert own["selection"]["seeds"] == first["selection"]["seeds"]
    assert own["baseline"] == first["baseline"]
    assert own["data"] == first["data"]
    assert record.protocol_path(directory_of(story.home)).read_bytes() == story.bytes


def test_its_search_is_that_of_the_study(story: Story) -> None:
    first, own = (protocol_of(story.home, name)["search"] for name in ("tiny", "tiny-add-1"))
    for same in ("mode", "sampler", "pruner", "seed", "tune"):
        assert own[same] == first[same]
    assert {*own["budget"]["targets"].values()} == {*first["budget"]["targets"].values()}


def test_mlflow_has_its_hash_and_every_run_once(story: Story) -> None:
    path = record.protocol_path(directory_of(story.home, "tiny-add-1"))
    runs = runs_of(story.home, "tiny-add-1")
    (parent,) = [run for run in runs if run.info.run_name == "tiny-add-1 confirmation"]
    assert parent.data.tags["workbench.protocol"] == record.sha256_of(path)
    assert parent.info.status == "FINISHED"
    keys = [run.data.tags["workbench.key"] for run in runs]
    assert len(set(keys)) == len(keys), "the killed drivers' runs were continued"
    specs = [spec for _, spec in record.scan(path.parent)]
    tested = [spec for spec in specs if spec.role is Role.CONFIRMATION]
    assert {spec.strategy for spec in tested} == {*NEW}, "no default is tested again"
    assert [str(s.seed) for s in tested if s.strategy == NEW[0]] == protocol_of(story.home, "tiny")[
        "seeds"
    ]


def test_an_edited_amendment_or_protocol_is_refused(story: Story, tmp_path: Path) -> None:
    home = copied(story.killed["confirmation"], tmp_path / "home")
    own = record.protocol_path(directory_of(home, "tiny-add-1"))
    kept = own.read_bytes()
    own.write_bytes(kept.replace(b'"level": "nadam"', b'"level": "radam"'))
    with pytest.raises(StudyChangedError, match=r"added\.level: was \"radam\", is \"nadam\""):
        add("tiny", home, "optimizer=nadam", agree=never)
    own.write_bytes(kept)
    first = record.protocol_path(directory_of(home))
    first.write_bytes(first.read_bytes() + b" ")
    with pytest.raises(StudyChangedError, match=r"protocol\.json was edited"):
        add("tiny", home, "optimizer=nadam", agree=never)
    at, spec = next(
        pair
        for pair in record.scan(directory_of(home, "tiny-add-1"))
        if pair[1].role is Role.CONFIRMATION
    )
    with pytest.raises(SealedError, match=r"tiny/protocol\.json has the SHA-256"):
        evaluation.must_be_open(at, spec)


# -- how far it is --------------------------------------------------------------------------------


def test_it_ends_after_an_interrupt_in_each_phase_and_then_there_is_nothing_to_do(
    story: Story,
) -> None:
    assert story.done.finished and story.done.agreed and story.done.study == "tiny"
    again = add("tiny", story.home, "optimizer=nadam", agree=never)
    assert (again.fresh, again.exit_code) == (0, outcomes.DONE)
    said = works("confirm", "tiny", "--add", "optimizer=nadam", "--home", story.home, "--inline")
    assert "nothing to do" in said and "workbench report tiny" in said
    assert not directory_of(story.home, "tiny-add-2").exists()


def test_until_its_last_run_has_ended_its_test_values_are_withheld(story: Story) -> None:
    home = story.killed["confirmation"]
    assert not any(row.test for row in browse.study(home, "tiny-add-1").trials)
    found = report_of(home)
    assert found["first"] is None and not found["added"]
    assert found["verdict"]["headline"] == story.before["headline"]
    (flag,) = [f["text"] for f in found["verdict"]["flags"] if "tiny-add-1" in f["text"]]
    assert all(name in flag for name in NEW) and "no test value" in flag


def test_list_and_show_say_what_it_was_added_to(story: Story) -> None:
    first, own = browse.studies(story.home)
    assert own.added is not None and (own.added.study, own.added.level) == ("tiny", "nadam")
    assert own.confirmation is not None and own.confirmation.complete
    assert "added to tiny" in works("list", "--home", story.home)
    assert "added to tiny" in works("show", "tiny-add-1", "--home", story.home)
    assert first.verdict is not None
    assert first.verdict.heading == story.report["verdict"]["heading"]
    said = refused("tiny-add-1", "--home", story.home)
    assert "workbench confirm tiny --add optimizer=nadam" in said


# -- the report -----------------------------------------------------------------------------------


def test_one_verdict_is_about_all_and_the_first_one_stays(story: Story) -> None:
    verdict = story.report["verdict"]
    names = {side["name"] for side in story.before["sides"]}
    assert {side["name"] for side in verdict["sides"]} == {*names, *NEW}
    assert {side["n"] for side in verdict["sides"]} == {SEEDS}
    for key in ("word", "headline", "claim", "sides", "alpha"):
        assert story.report["first"][key] == story.before[key]
    assert verdict["alpha"] == story.before["alpha"] == 0.025
    assert verdict["fresh"] is None and "--fresh" not in str(story.report["needed"])
    page = (story.home / "reports" / "tiny" / "index.html").read_text()
    assert "First verdict" in page and story.before["heading"] in page


def test_all_texts_say_what_was_added_and_claim_and_methods_the_error_rate(story: Story) -> None:
    folder = story.home / "reports" / "tiny"
    verdict = story.report["verdict"]
    for text in (
        verdict["headline"],
        verdict["claim"],
        (folder / "methods.tex").read_text().replace(r"\%", "%"),
    ):
        text = " ".join(text.split())
        assert f"Added after the first result was known: {NEW[0]} and {NEW[1]}." in text
        said = text.count("for symmetric differences, holds for each verdict alone")
        rate = text.count("one of the two is wrong with a probability of up to 10 %.")
        assert said == rate == (text != verdict["headline"])
    sha256 = record.sha256_of(record.protocol_path(directory_of(story.home, "tiny-add-1")))
    assert story.report["added"] == {"tiny-add-1": sha256}
    assert str(sha256)[:16] in (folder / "methods.tex").read_text()


def test_every_table_figure_and_macro_marks_what_was_added(story: Story) -> None:
    folder = story.home / "reports" / "tiny"
    for table in ("confirmation.tex", "pairwise.tex"):
        text = (folder / "tables" / table).read_text().replace(r"\allowbreak{}", "")
        assert "nadam-added-later" in text
        assert "nadam" not in text.replace("nadam-added-later", "")
    macros = (folder / "macros.tex").read_text()
    assert r"\tinyNadamAddedLaterZeroMean" in macros and r"\tinyFirstClaim" in macros
    assert "NadamZero" not in macros and "nadam" not in macros.replace("nadam-added-later", "")
    for figure in ("forest", "confirmed"):
        assert "added-later" in (folder / "figures" / f"{figure}.svg").read_text()
    frame = (folder / "data" / "confirmation.csv").read_text()
    assert frame.count("nadam-added-later") > 2 * SEEDS - 1


def test_what_was_planned_or_run_otherwise_is_said(story: Story) -> None:
    material = material_of(story.home)
    (added,) = material.added
    study = added.study
    assert study.protocol is not None
    other = replace(study, protocol={**study.protocol, "amends": "ef" * 32})
    found = report.compose(replace(material, added=(replace(added, study=other),))).summary.content
    assert found["verdict"]["word"] == "EXPLORATORY"
    assert "tiny-add-1 was planned for another protocol.json" in found["verdict"]["headline"]
    assert found["first"]["word"] == story.before["word"]
    moved = tuple(
        replace(run, provenance={**run.provenance, "commit": "0" * 40}) for run in added.trials
    )
    found = report.compose(replace(material, added=(replace(added, trials=moved),))).summary.content
    assert any("commit" in flag["text"] for flag in found["verdict"]["flags"])
    assert not any("commit" in flag["text"] for flag in found["first"]["flags"])


def test_alone_it_answers_no_question(story: Story) -> None:
    code, output, _ = call("report", "tiny-add-1", "--home", story.home)
    assert code == outcomes.UNUSABLE
    assert "workbench report tiny" in " ".join(output.split())


# -- both looks, a second addition ----------------------------------------------------------------


def test_a_level_alone_is_enough_of_the_only_factor_and_after_a_second_look_has_the_seeds_of_both(
    tmp_path: Path,
) -> None:
    home = confirmed_in(tmp_path, ALONE, ("seeds: 2,", f"seeds: {SEEDS},"))
    confirm_study("tiny", (), home, InlineWorkers(), Unseen(), agree=lambda offer: True, fresh=1)
    with pytest.raises(UnknownNameError, match="tiny does not compare optimiser; did you mean opt"):
        add("tiny", home, "optimiser=nadam")
    assert add("tiny", home, "nadam").finished
    (own,) = home_studies.additions(home, "tiny")
    assert (own.factor, own.level) == ("optimizer", "nadam")
    second = json.loads(record.protocol_path(directory_of(home), look=2).read_text())
    seeds = [*protocol_of(home, "tiny")["seeds"], *second["seeds"]]
    assert len(seeds) == SEEDS + 1 and protocol_of(home, "tiny-add-1")["seeds"] == seeds
    assert add("tiny", home, "adam").finished
    found = report_of(home)
    assert list(found["added"]) == ["tiny-add-1", "tiny-add-2"]
    assert {side["n"] for side in found["verdict"]["sides"]} == {SEEDS + 1}
    assert found["verdict"]["claim"].endswith(" 3 is wrong with a probability of up to 15 %.")


# -- what is refused ------------------------------------------------------------------------------


def test_a_level_that_cannot_be_is_refused_with_the_nearest_one(
    confirmed: Path, file: Path, tmp_path: Path
) -> None:
    home = copied(confirmed, tmp_path / "home")
    for level, said in (
        ("optimizer=nadm", "found 'nadm'; did you mean nadam?"),
        ("optimizer=nadm", "--add optimizer=nadm: compare.optimizer"),
        ("optimzer=nadam", "workbench confirm tiny --add optimizer=nadam"),
        ("1", "tiny compares optimizer, freeze_depth"),
        ("freeze_depth=7", "freeze_depth"),
        ("optimizer=[", "broken YAML"),
        ("optimizer=", "a level must follow: --add optimizer=LEVEL"),
        ("optimizer=[adam]", "{LABEL: VALUE}"),
        ("optimizer=sgd", "tiny has compared optimizer sgd; its report shows it"),
        ("freeze_depth=all", "tiny has compared freeze_depth all"),
    ):
        assert said in refused("tiny", "--add", level, "--home", home)
    assert [row.name for row in browse.studies(home)] == ["tiny"], "nothing was begun"
    code, _, errors = call(
        "confirm", "tiny", "--add", "optimizer=adam", "--fresh", "3", "--home", home
    )
    assert code == outcomes.BAD_STUDY and "exclude each other" in errors


def test_a_labelled_level_continues_by_the_printed_command_and_its_pairs_are_of_what_was_tested(
    tmp_path: Path,
) -> None:
    home = confirmed_in(
        tmp_path,
        ("seeds: 2,", "seeds: 2, finalists: 2,"),
        (
            "  freeze_depth: [0, all]",
            "  decay: {weak: {weight_decay: 0.001}}\n  ema: [0.5, 0.9, 0.99]",
        ),
    )
    level = "decay={strong: {weight_decay: 0.123456789}}"
    assert not add("tiny", home, level, agree=lambda offer: False).agreed
    said = refused("tiny-add-1", "--home", home)
    words = shlex.split(said.partition("Continue it: workbench ")[2])
    works(*words, "--inline", "--yes", "--home", home)
    assert report_of(home)["added"].keys() == {"tiny-add-1"}
    other = level.replace("0.12", "0.13")
    refused("tiny", "--add", other, "--home", home)
    assert not add("tiny", home, "ema=0.123456789", agree=lambda offer: False).agreed
    assert "--add ema=0.123456789" in refused("tiny-add-2", "--home", home)
    arms = 0
    for name in ("tiny", "tiny-add-1", "tiny-add-2"):
        chosen = json.loads((directory_of(home, name) / SELECTION).read_text())
        arms += len(chosen["arms"])
        # Of the study the plan counts the default before it is known to be a finalist.
        assert name == "tiny" or protocol_of(home, name)["pairs"] == math.comb(arms, 2)


def test_it_follows_a_finished_confirmation(file: Path, confirmed: Path, tmp_path: Path) -> None:
    home = copied(confirmed, tmp_path / "home")
    shutil.rmtree(directory_of(home) / "confirmation" / "sgd-0" / "006")
    with pytest.raises(NotReadyError, match="Finish it first: workbench confirm tiny"):
        add("tiny", home, "optimizer=nadam", agree=never)
    fresh = home_in(tmp_path / "fresh")
    with pytest.raises(NotReadyError, match="Finish it first: workbench run"):
        add(file, fresh, "optimizer=nadam", agree=never)


def test_joint_studies_and_those_of_across_take_none(tmp_path: Path, confirmed: Path) -> None:
    joint = write(tmp_path)
    text = joint.read_text().replace("optimizer: [sgd]", "optimizer: [sgd, adamw]")
    for old, new in (*JOINT[:2], ("trials_per_strategy: 1", "trials: 1")):
        assert old in text
        text = text.replace(old, new)
    joint.write_text(text)
    said = refused(joint, "--add", "optimizer=nadam", "--home", tmp_path)
    assert "one search over all strategies" in said and "a new name" in said
    cells = write(tmp_path, ("seed: 1}", "}\nacross: {search_seed: [0, 1]}"))
    said = refused(cells, "--add", "optimizer=nadam", "--home", tmp_path)
    assert "one verdict with the other studies of tiny" in said and "a new name" in said


def test_a_second_look_does_not_follow_it(story: Story, tmp_path: Path) -> None:
    home = copied(story.home, tmp_path / "home")
    said = refused("tiny", "--fresh", "3", "--home", home, code=outcomes.UNUSABLE)
    assert "optimizer nadam was added to tiny" in said and "new name" in said
    assert not record.protocol_path(directory_of(home), look=2).exists()


def test_a_number_whose_records_were_deleted_is_given_to_no_other_level(
    story: Story, tmp_path: Path
) -> None:
    home = copied(story.home, tmp_path / "home")
    shutil.rmtree(directory_of(home, "tiny-add-1"))
    assert not add("tiny", home, "optimizer=adam", agree=lambda offer: False).agreed
    (other,) = home_studies.additions(home, "tiny")
    assert (other.name, other.level) == ("tiny-add-2", "adam")
    assert list(report_of(home)["added"]) == ["tiny-add-1"], "MLflow has its runs"


def test_a_level_in_the_edited_file_is_refused_before_any_trial(
    confirmed: Path, tmp_path: Path
) -> None:
    home = copied(confirmed, tmp_path / "home")
    file = write(tmp_path, ("optimizer: [sgd]", "optimizer: [sgd, nadam]"))
    before = len(list(directory_of(home).rglob("spec.json")))
    code, _, errors = call("run", file, "--home", home, "--inline")
    assert code == outcomes.BAD_STUDY
    for said in (
        " ".join(errors.split()),
        refused(file, "--add", "optimizer=adam", "--home", home),
    ):
        assert "workbench confirm tiny --add FACTOR=LEVEL" in said
    assert len(list(directory_of(home).rglob("spec.json"))) == before
