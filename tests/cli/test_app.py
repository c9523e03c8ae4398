"""The command line: exit codes, messages, and a help that does not keep one waiting."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from tests.support.commands import call
from tests.support.tiny import TWO
from workbench.cli.group import CommandGroup
from workbench.commands import ui
from workbench.driver.leases import lease
from workbench.record import study_directory

Write = Callable[..., Path]


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from workbench.cli.app import app\n"
        "print(CliRunner().invoke(app, ['--help']).stdout)\n"
        "heavy = {'torch', 'mlflow', 'optuna', 'pandas', 'matplotlib', 'sklearn', 'numpy'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    for name in (
        "new",
        "check",
        "run",
        "confirm",
        "verdict",
        "try",
        "report",
        "list",
        "show",
        "sync",
        "ui",
        "predict",
    ):
        assert f" {name} " in done.stdout
    assert "heavy: []" in done.stdout


def test_check_prints_the_plan(tiny: Path, home: Path) -> None:
    code, output, _ = call("check", tiny, "--home", home)
    assert code == 0
    for words in (
        "maximize validation/accuracy",
        "4: sgd-0, sgd-all, adamw-0, adamw-all",
        "20 (5 per strategy) of 3 epochs",
        "wine: 98 train, 40 validation, 40 test samples, 3 classes",
        "hidden1",
        "never frozen",
    ):
        assert words in output
    assert not list(home.iterdir())


def test_check_in_json_can_be_read(tiny: Path, home: Path) -> None:
    code, output, _ = call("check", tiny, "--home", home, "--json")
    (plan,) = json.loads(output)
    assert code == 0
    assert plan["budget"]["total"] == 20


def test_check_names_the_broken_file_and_still_shows_the_sound_one(
    write_study: Write, home: Path
) -> None:
    sound = write_study(name="sound")
    broken = write_study(("optimizer: [sgd, adamw]", "optimizer: [sgd, adamww]"), name="broken")
    code, output, errors = call("check", broken, sound, "--home", home)
    assert code == 2
    assert "sound" in output
    assert f"{broken}:9: compare.optimizer.1: found 'adamww'; did you mean adamw?" in errors


def test_a_broken_file_is_refused_before_anything_is_written(
    write_study: Write, home: Path
) -> None:
    broken = write_study(("low: 1e-4, high: 1e-1", "low: 1, high: 1e-1"))
    code, _, errors = call("run", broken, "--home", home, "--inline")
    assert code == 2
    assert "tune.learning_rate.low: found 1, expected less than high (0.1)" in errors
    assert not list(home.glob("mlruns/studies/*"))


def test_a_freeze_depth_deeper_than_the_backbone_is_refused_with_its_line(
    write_study: Write, home: Path
) -> None:
    file = write_study(("freeze_depth: [0, all]", "freeze_depth: [0, 9]"))
    code, _, errors = call("run", file, "--home", home, "--inline")
    assert code == 2
    assert f"{file}:10: compare.freeze_depth" in errors
    assert "deeper than the backbone, which has 2 stages" in errors
    assert not list(home.glob("mlruns/studies/*"))


def test_problems_of_data_backbone_and_device_are_told_together(
    write_study: Write, home: Path
) -> None:
    file = write_study(
        ("validation: 40, test: 40", "validation: 400, test: 40"),
        ("hidden: [8, 8]}", "hidden: [8, 8], weights: none.pth}"),
        ("  batch_size", "  device: cuda\n  batch_size"),
    )
    code, _, errors = call("run", file, "--home", home, "--inline")
    assert code == 2
    told = [line.partition(": found ")[0] for line in errors.splitlines() if ": found " in line]
    keys = ["4: recipe.dataset", "5: recipe.backbone.weights", "7: recipe.device"]
    if torch.cuda.is_available():
        keys.pop()
    assert told == [f"{file}:{key}" for key in keys], "each once, although four strategies have it"


def test_a_device_of_another_machine_is_a_note_of_check_and_an_error_of_a_local_run(
    write_study: Write, home: Path
) -> None:
    file = write_study(("  batch_size", "  device: cuda:77\n  batch_size"))
    code, output, errors = call("check", file, "--home", home)
    assert code == 0, errors
    assert "this machine has no cuda:77" in output and "--on ray" in output
    code, _, errors = call("run", file, "--home", home, "--inline")
    assert code == 2 and f"{file}:7: recipe.device" in errors


@pytest.mark.parametrize("words", [("run",), ("confirm", "--yes")])
def test_trials_cannot_run_in_this_process_and_on_a_cluster(
    tiny: Path, home: Path, words: tuple[str, ...]
) -> None:
    code, _, errors = call(words[0], tiny, *words[1:], "--home", home, "--inline", "--on", "ray")
    assert code == 2 and "--inline and --on" in errors


@pytest.mark.parametrize(
    "given", [["--home", "."], ["--tracking-uri", "sqlite:///a"], ["--wait"], ["--retry-failed"]]
)
def test_a_smoke_run_refuses_options_that_it_would_ignore(tiny: Path, given: list[str]) -> None:
    code, _, errors = call("run", tiny, "--smoke", *given)
    assert code == 2
    assert f"--smoke and {given[0]} exclude each other." in errors


def test_a_search_in_json_names_the_next_commands(write_study: Write, home: Path) -> None:
    file = write_study(TWO, ("trials_per_strategy: 5", "trials_per_strategy: 1"))
    code, output, errors = call("run", file, "--home", home, "--inline", "--json")
    found = json.loads(output)
    assert code == 0, errors
    assert found["next"] == ["workbench confirm tiny", "workbench report tiny"]
    assert [(group["name"], group["complete"]) for group in found["groups"]] == [
        ("sgd", 1),
        ("adamw", 1),
    ]
    assert found["best"] == max(group["best"] for group in found["groups"])
    assert "checking data" in errors, "progress is not in the way"


def test_two_levels_that_freeze_the_same_are_refused(write_study: Write, home: Path) -> None:
    file = write_study(("freeze_depth: [0, all]", "freeze_depth: [2, all]"))
    code, _, errors = call("check", file, "--home", home)
    assert code == 2
    assert "both freeze 2 stages" in errors


def test_an_override_is_named_in_the_message(tiny: Path, home: Path) -> None:
    code, _, errors = call("check", tiny, "--set", "recipe.epochs=many", "--home", home)
    assert code == 2
    assert (
        "--set recipe.epochs=many: recipe.epochs: found 'many', expected a whole number" in errors
    )


def test_a_study_that_another_process_drives_is_refused_with_its_holder(
    tiny: Path, home: Path
) -> None:
    with lease(study_directory(home, "tiny")):
        code, _, errors = call("run", tiny, "--home", home, "--inline")
    assert code == 4
    assert "process " in errors and "since" in errors


def test_ctrl_c_ends_any_command_with_a_line_and_130(
    tiny: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("workbench.commands.check.check_file", interrupted)
    assert call("check", tiny, "--home", home) == (130, "", "Stopped by Ctrl-C.\n")


def test_a_home_that_cannot_be_written_to_is_named(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "mlruns").write_text("")
    code, _, errors = call("run", tiny, "--home", tmp_path, "--inline")
    assert code == 4
    assert f"{tmp_path}/mlruns/studies cannot be written to" in errors
    assert "WORKBENCH_HOME" in errors


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    code, _, errors = call("list", "--home", file)
    assert code == 2
    assert "is a file" in " ".join(errors.replace("│", " ").split())


def test_a_confirmation_that_is_refused_leaves_an_empty_home_empty(tiny: Path, home: Path) -> None:
    for study in ("tiny", str(tiny)):
        code, _, errors = call("confirm", study, "--home", home)
        assert code == 2 and "tiny" in errors
        assert not list(home.iterdir())


def test_a_study_file_of_any_name_can_be_confirmed(tiny: Path, home: Path) -> None:
    code, _, errors = call("confirm", tiny.rename(tiny.with_name("plain")), "--home", home)
    assert code == 2 and "The search of tiny is unfinished" in errors


@pytest.mark.parametrize("words", [("list",), ("list", "--json"), ("schema",)])
def test_an_output_that_cannot_be_written_ends_with_a_line_and_4(
    words: tuple[str, ...], home: Path
) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "workbench", *words],
            cwd=home,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 4
    assert done.stderr == "The output cannot be written: No space left on device.\n"


def test_an_error_about_a_file_is_not_taken_for_one_of_the_output(tmp_path: Path) -> None:
    commands = typer.Typer(cls=CommandGroup, pretty_exceptions_enable=False)
    commands.callback()(lambda: None)

    @commands.command()
    def read() -> None:
        (tmp_path / "gone").read_text()

    result = CliRunner().invoke(commands, ["read"])
    assert isinstance(result.exception, FileNotFoundError)
    assert "output" not in result.output


@pytest.mark.parametrize("words", [("list",), ("run", "tiny.yaml"), ("report", "tiny")])
def test_a_home_that_does_not_exist_is_refused_and_not_made(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    mistyped = tmp_path / "hoem"
    code, _, errors = call(*words, "--home", mistyped)
    assert code == 2
    assert "does not exist" in " ".join(errors.replace("│", " ").split())
    assert not mistyped.exists()


def test_an_unknown_venue_is_refused_before_the_study_is_read(home: Path) -> None:
    code, _, errors = call("report", "no_such_study", "--venue", "nips", "--home", home)
    assert code == 2
    assert "There is no venue 'nips'" in errors and "neurips" in errors


@pytest.mark.parametrize("command", ["run", "check", "confirm"])
def test_a_study_s_name_in_place_of_its_file_is_answered_with_the_file(
    tiny: Path, home: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tiny.parent)
    code, _, errors = call(command, "tiny", "--home", home)
    assert code == 2
    assert errors.startswith("tiny: no such file; did you mean tiny.yaml? No study named tiny in ")


def test_optuna_s_dashboard_that_is_not_installed_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ui, "find_spec", lambda name: None)
    code, _, errors = call("ui", "tiny", "--optuna", "--home", home)
    assert code == 4 and "pip install optuna-dashboard" in errors


def test_a_setting_to_try_that_is_none_is_refused(tiny: Path, home: Path) -> None:
    code, _, errors = call("try", tiny, "optimizer=adamv", "--home", home)
    assert code == 2
    assert "optimizer=adamv: optimizer: found 'adamv'; did you mean adamw?" in errors


def test_an_empty_home_says_how_to_start(home: Path) -> None:
    assert "No studies yet" in call("list", "--home", home)[1]


def test_what_stands_between_colons_is_printed_as_it_is(write_study: Write, home: Path) -> None:
    study = write_study(("# Which optimizer fits the wines?", "# Is :one: or :x: better?"))
    assert "Is :one: or :x: better?" in call("check", study, "--home", home)[1]
    code, _, errors = call("check", study, "--home", home, "--set", "recipe.backbone=um.py:X")
    assert code == 2 and "um.py:X" in errors


def test_a_study_that_was_not_searched_must_be_searched_before_its_weights_are_looked_for(
    write_study: Callable[..., Path], home: Path
) -> None:
    write_study(name="first")
    weights = ("hidden: [8, 8]}", "hidden: [8, 8], weights: first.yaml}")
    file = write_study(weights, name="second")
    code, _, errors = call("confirm", file, "--home", home, "--inline")
    assert code == 2
    assert errors.strip().endswith(f"workbench run {file}")
    assert not study_directory(home, "second").exists()
