"""What travels to a node that does not share the home, and what may come back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.trials import spec_for, write_light
from workbench.driver import transfer
from workbench.record import Result, State, TrialDirectory, directory_of, study_directory

Write = Callable[..., Path]


@pytest.fixture(params=["", "mlruns", "mlruns/studies", "home"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> TrialDirectory:
    """A record in a home of which a part may be a link to another disk."""
    home, linked = tmp_path / "home", request.param
    home.mkdir()
    if linked:
        link = home if linked == "home" else home / linked
        (tmp_path / "disk").mkdir()
        if linked == "home":
            home.rmdir()
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(tmp_path / "disk")
    spec = spec_for(write_light(home / "code"), home)
    found = directory_of(study_directory(home, "tiny"), spec)
    found.write_spec(spec)
    (study_directory(home, "tiny") / "environment.json").write_text("{}")
    return found


def test_a_node_gets_the_record_and_what_the_plan_names_in_the_home_once(
    directory: TrialDirectory, tmp_path: Path
) -> None:
    sent: transfer.Sent = {}
    at, files = transfer.files_for(directory, sent)
    assert (at, "environment.json" in {Path(name).name for name in files}) == (
        "mlruns/studies/tiny/trials/joint/000",
        True,
    )
    assert {"code/own.py", "code/rows.npz", f"{at}/spec.json"} <= files.keys()
    assert "code/own.py" not in transfer.files_for(directory, sent)[1]
    (tmp_path / "home" / "code" / "own.py").write_text("def train(trial): ...")
    assert "code/own.py" in transfer.files_for(directory, sent)[1]
    node = tmp_path / "node"
    transfer.write(node, files)
    there = TrialDirectory(node / at).spec()
    assert there is not None and there.plan.trial == f"{(node / 'code' / 'own.py').resolve()}:train"


def test_what_has_changed_comes_back_the_result_last(
    directory: TrialDirectory, tmp_path: Path
) -> None:
    at, files = transfer.files_for(directory, {})
    node = tmp_path / "node"
    transfer.write(node, files)
    there = TrialDirectory(node / at)
    changes = transfer.Changes(node, there.path)
    assert changes.collect() == {}
    there.write_result(Result(state=State.COMPLETE, attempt=1, value=1.0, epoch=1))
    (there.path / "history.jsonl").write_text("")
    there.save_checkpoint(lambda file: file.write(b"state"))
    (there.path / "lock").write_text("of the node")
    back = changes.collect()
    assert [Path(name).name for name in back][-2:] == ["checkpoint.pt", "result.json"]
    assert {Path(name).name for name in back} == {
        *("checkpoint.pt", "checkpoint.pt.sha256", "history.jsonl", "result.json"),
    }
    transfer.write_back(directory, back)
    result = directory.result()
    assert result is not None and result.state is State.COMPLETE
    assert not (directory.path / "checkpoint.pt").exists(), "an ended trial needs none"
    assert changes.collect() == {}


@pytest.mark.parametrize(
    "name",
    ["spec.json", "artifacts/own.py", "../../../study.json", "../001/result.json", "/tmp/x.json"],
)
def test_a_node_cannot_change_what_a_trial_is_or_write_elsewhere(
    name: str, tiny: Path, home: Path
) -> None:
    spec = spec_for(tiny, home)
    directory = directory_of(study_directory(home, "tiny"), spec)
    directory.write_spec(spec)
    before = (directory.path / "spec.json").read_bytes()
    at, _ = transfer.files_for(directory, {})
    with pytest.raises(ValueError, match="no trial writes"):
        transfer.write_back(directory, {name if name.startswith("/") else f"{at}/{name}": b"{}"})
    assert (directory.path / "spec.json").read_bytes() == before
    assert len(list(home.rglob("*.json"))) == 1
