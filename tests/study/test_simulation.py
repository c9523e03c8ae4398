"""Many workers in virtual time, of which some are lost: nothing is lost of what they found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from tests.support.virtual_workers import STUDY, Faults, VirtualWorkers, drive
from workbench import record
from workbench.driver.attempts import MAX_FAILURES
from workbench.record import State, TrialDirectory

TRIALS = 40


def found(home: Path) -> dict[str, tuple[Any, ...]]:
    """By trial: what was proposed, how it ended and with what value."""
    trials = {}
    for directory, spec in record.scan(record.study_directory(home, "virtual")):
        result = directory.result()
        assert result is not None and result.state.ended
        trials[spec.name] = (dict(spec.hyperparameters), result.state, result.value)
    return trials


def run(home: Path, workers: VirtualWorkers) -> int:
    """Run the study to its end; the number of drivers that it took."""
    home.mkdir()
    file = home / "virtual.yaml"
    file.write_text(STUDY.replace("COUNT", str(TRIALS // 2)))
    ended: dict[TrialDirectory, State] = {}
    attempts: dict[TrialDirectory, int] = {}
    drivers, running = 0, -1
    for search in drive(file, home, workers):
        drivers += 1
        running = sum(group.running for group in search.progress())
        for directory, spec in record.scan(record.study_directory(home, "virtual")):
            epochs = [line.epoch for line in directory.history()]
            assert epochs == [*range(1, len(epochs) + 1)], "each epoch once, none is missing"
            assert spec.attempt >= attempts.get(directory, 1), "attempts only grow"
            attempts[directory] = spec.attempt
            result = directory.result()
            if directory in ended:
                assert result is not None and result.state is ended[directory]
            if result is not None and result.state.ended:
                ended[directory] = result.state
    assert running == 0
    agrees_with_optuna(home)
    return drivers


def agrees_with_optuna(home: Path) -> None:
    """Optuna's file says of every trial what its record says."""
    storage = f"sqlite:///{record.study_directory(home, 'virtual') / 'optuna.db'}"
    states = {State.COMPLETE: "COMPLETE", State.FAILED: "FAIL", State.PRUNED: "PRUNED"}
    told = {
        f"{summary.study_name}/{trial.number:03d}": (trial.state.name, trial.value)
        for summary in optuna.get_all_study_summaries(storage)
        for trial in optuna.load_study(study_name=summary.study_name, storage=storage).trials
    }
    assert told == {name: (states[state], value) for name, (_, state, value) in found(home).items()}


@pytest.mark.parametrize("seed", range(2))
def test_a_study_that_loses_workers_nodes_and_drivers_finds_what_an_undisturbed_one_finds(
    seed: int, tmp_path: Path
) -> None:
    calm = VirtualWorkers(8, seed=seed)
    assert run(tmp_path / "calm", calm) == 1
    assert calm.counts["report"] == 4 * TRIALS
    faults = Faults(worker=0.05, node=0.01, driver=0.02)
    rough = VirtualWorkers(20, seed=seed, faults=faults)
    assert run(tmp_path / "rough", rough) > 1
    expected, disturbed = found(tmp_path / "calm"), found(tmp_path / "rough")
    assert disturbed.keys() == expected.keys()
    for name, (settings, state, value) in disturbed.items():
        assert settings == expected[name][0]
        if state is State.FAILED:
            group, number = name.split("/")
            path = record.study_directory(tmp_path / "rough", "virtual") / "trials" / group / number
            spec = TrialDirectory(path).spec()
            assert spec is not None and spec.failures == MAX_FAILURES
        else:
            assert (state, value) == expected[name][1:]
    assert rough.counts["lost"] > 0
