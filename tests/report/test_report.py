"""The report: its numbers, its words, its safety, and that it is written whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import inspect
import json
import random
import re
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.support.pages import FORBIDDEN, Page, files
from tests.support.searched import HOSTILE, describe, described, joint, realistic, row, runs
from workbench import report
from workbench.cli import results
from workbench.report import Material, templates, writing
from workbench.report.figures import FIGURES, SEARCH, load
from workbench.report.writing import CONTENTS
from workbench.tracker.store import PORT
from workbench.tracker.stored_study import read


def material(rows: Sequence[Mapping[str, Any]], **changes: Any) -> Material:
    return Material(study=describe(**changes), trials=runs(rows))


def summarize(rows: Sequence[Mapping[str, Any]], **changes: Any) -> dict[str, Any]:
    return report.compose(material(rows, **changes)).summary.content


def failed(*numbers: int, **changes: Any) -> list[dict[str, Any]]:
    """Trials that make a report without figures, which takes no time."""
    reason = "diverged at epoch 1"
    return [row("sgd-0", n, state="failed", reason=reason, **changes) for n in numbers]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports") / "digits"
    assert writing.write(report.compose(material(realistic())), folder) == folder / "index.html"
    return folder


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report in which every text that a store or a study file can hold is an attack."""
    label = HOSTILE.strip()
    bad = {"optimizer": "sgd", "x": label}
    strategies = [{"name": label, "levels": bad}, {"name": "sgd-a", "levels": bad | {"x": "a"}}]
    study = describe(
        name=label,
        question=label,
        factors={"optimizer": ["sgd"], "x": [label, "a"]},
        strategies=strategies,
        objective={"metric": f"validation/{label}", "direction": "maximize", "epoch": label},
        tune=[{"knob": label, "when": {label: label}, "choices": [label], "default": label}],
        data={"name": label, "digest": label},
        backbone={"name": label, "weights": {"source": label}},
        search={"sampler": label, label: label},
        packages={label: label},
        environment={label: label},
        plan={
            "batch_size": 32,
            "augmentation": [label],
            "phases": [{"name": label, "schedule": label, "optimizer": label}] * 2,
        },
        commit=label,
        dirty=True,
        tracking_uri="javascript:alert(1)",
        parent_run_id=label,
        experiment_id=label,
        baseline=label,
    )
    text = {"run_id": label, "reason": label, "device": label}
    rows = []
    for item in strategies:
        for n in range(4):
            changes = {
                **text,
                "levels": item["levels"],
                "hyperparameters": {label: label},
                "metrics": {f"validation/{label}": 0.5},
                "learning_rate": 10.0**-n,
                "state": "complete" if n < 3 else "failed",
                "optimizer": "sgd" if n < 3 else label,
            }
            rows.append(row(str(item["name"]), n, 0.5 + n / 10, **changes))
    folder = tmp_path_factory.mktemp("reports") / "hostile"
    writing.write(report.compose(Material(study=study, trials=runs(rows))), folder)
    return folder


# What it says


def test_a_search_alone_is_exploratory_and_says_what_that_means(written: Path) -> None:
    summary = json.loads((written / "report.json").read_text())
    verdict = summary["verdict"]
    assert verdict["word"] == "EXPLORATORY"
    assert summary["confirmation"] is None and summary["emphasis"] is None
    for name in ("index.html", "report.md"):
        text = " ".join("".join(Page((written / name).read_text()).text).split())
        assert "EXPLORATORY" in text[: len(text) // 3]
        assert verdict["headline"] in text and verdict["claim"] in text
    assert "EXPLORATORY" in (note := report.markdown_summary(summary))
    assert verdict["claim"] in note
    assert any("the test split was not loaded" in note for note in summary["notes"])


def test_no_word_of_a_claim_is_rendered_anywhere(written: Path, hostile: Path) -> None:
    # Every warning of the validity panel, a joint study, and an unusable one have words too.
    warned = [row("sgd-0", n, 0.9 + n / 1000, learning_rate=0.29, epoch=12) for n in range(3)]
    warned += [row("adam-0", 0, 0.1), row("adamw-0", 0, device="cuda"), *failed(3, 4, 5)]
    texts = [
        path.read_text()
        for folder in (written, hostile)
        for path in folder.rglob("*")
        if path.suffix in (".html", ".md", ".tex", ".json", ".csv")
    ]
    for rows, mode in ((warned, "balanced"), (joint(warned), "joint"), (failed(0), "balanced")):
        summary = summarize(rows, mode=mode)
        texts += [json.dumps(summary), templates.markdown(summary), templates.note(summary)]
        texts += [templates.methods(summary), templates.html(summary, dict.fromkeys(FIGURES, ""))]
    for text in texts:
        assert [word for word in FORBIDDEN if word in text.lower()] == []


def test_numbers_of_a_strategy_are_those_of_its_completed_trials() -> None:
    rows = realistic()
    table = runs(rows)
    summary = summarize(rows)
    assert [item["name"] for item in summary["strategies"]] == [
        strategy.name for strategy in describe().strategies
    ]
    for item in summary["strategies"]:
        own = [trial for trial in table if trial.strategy == item["name"]]
        done = [(trial.value, trial.run_id) for trial in own if trial.value is not None]
        assert item["started"] == 12 == item["complete"] + item["pruned"] + item["failed"]
        assert item["complete"] == len(done)
        assert item["best"]["value"] == max(value for value, _ in done)
        assert item["best"]["run_id"] in {run_id for _, run_id in done}
        assert item["median"] is None, "the sampler chose where to look"
        assert item["seconds"] == pytest.approx(sum(trial.seconds or 0.0 for trial in own))
        best = sorted(done, reverse=True)[:3]
        top = [t.learning_rate or 0.0 for t in own if (t.value, t.run_id) in best]
        assert item["learning_rates"] == {"low": min(top), "high": max(top), "of": 3}
    assert summary["top"]["value"] == max(trial.value or 0.0 for trial in table)


@pytest.mark.parametrize(
    ("sampler", "mode", "pruned", "shown"),
    [
        ("random", "balanced", 0, True),
        ("grid", "balanced", 0, True),
        ("tpe", "balanced", 0, False),
        ("random", "joint", 0, False),
        ("random", "balanced", 1, False),
    ],
)
def test_a_median_is_shown_only_of_whole_searches_that_do_not_follow_their_results(
    sampler: str, mode: str, pruned: int, shown: bool
) -> None:
    rows = [row("sgd-0", n, value) for n, value in enumerate((0.5, 0.8, 0.9))]
    rows += [row("sgd-0", 3 + n) for n in range(pruned)]
    summary = summarize(rows, mode=mode, search={"sampler": sampler})
    assert summary["medians"] is shown
    assert summary["strategies"][0]["median"] == (0.8 if shown else None)
    page = templates.html(summary, dict.fromkeys(FIGURES, ""))
    assert ('<button type="button">median</button>' in page) is shown


def test_learning_rates_that_worked_are_those_of_the_top_quarter() -> None:
    rows = [row("sgd-0", n, n / 100, learning_rate=(n + 1) / 1000) for n in range(20)]
    rates = summarize(rows)["strategies"][0]["learning_rates"]
    assert rates == {"low": 0.016, "high": 0.02, "of": 5}


def test_the_best_trial_is_the_lowest_where_the_study_minimises() -> None:
    objective = {"metric": "validation/mse", "direction": "minimize", "epoch": "best"}
    rows = [row("sgd-0", n, value) for n, value in enumerate((30.0, 2.0, 9000.0))]
    summary = summarize(rows, objective=objective)
    assert summary["strategies"][0]["best"]["trial"] == "sgd-0/001"
    assert "lowest" in templates.html(summary, dict.fromkeys(FIGURES, ""))


def test_a_pruned_trial_is_counted_and_its_value_is_nowhere() -> None:
    rows = [row("sgd-0", 0, 0.5), row("sgd-0", 1, 0.987654, state="pruned", metrics={})]
    summary = summarize(rows)
    assert summary["progress"]["pruned"] == 1
    assert "0.98765" not in json.dumps(summary)


def test_trials_that_were_only_tried_are_no_evidence_but_are_named() -> None:
    summary = summarize([row("sgd-0", 0, 0.5), row("sgd-0", 0, 0.99, role="try")])
    assert summary["top"]["value"] == 0.5
    assert summary["progress"]["other_roles"] == {"try": 1}


def test_a_joint_study_shows_counts_and_best_values_but_no_medians() -> None:
    summary = summarize(joint(realistic()), mode="joint")
    assert all(item["median"] is None for item in summary["strategies"])
    assert all(item["best"] for item in summary["strategies"])
    page = templates.html(summary, dict.fromkeys(FIGURES, ""))
    assert '<button type="button">median</button>' not in page
    assert "by design" in page


def test_a_strategy_that_left_the_study_is_still_shown_and_marked() -> None:
    summary = summarize([row("lion-0", 0, 0.9), row("sgd-0", 0, 0.5)])
    last = summary["strategies"][-1]
    assert (last["name"], last["in_study"], last["best"]["value"]) == ("lion-0", False, 0.9)
    assert "no longer in the study" in templates.html(summary, dict.fromkeys(FIGURES, ""))


def test_divergence_is_told_by_optimizer_and_learning_rate() -> None:
    rows = failed(0, learning_rate=0.3) + failed(1, learning_rate=0.2)
    rows += [row("sgd-0", 2, 0.5, learning_rate=0.1), row("adam-0", 0, 0.5)]
    rows += [row("adam-0", 1, state="failed", reason="CUDA out of memory")]
    summary = summarize(rows)
    assert summary["divergence"] == [
        {
            "optimizer": "adam",
            "ended": 2,
            "diverged": 0,
            "learning_rates": [],
            "highest_without": 0.01,
        },
        {
            "optimizer": "sgd",
            "ended": 3,
            "diverged": 2,
            "learning_rates": [0.2, 0.3],
            "highest_without": 0.1,
        },
    ]
    assert [item["reason"] for item in summary["failures"]] == [
        "diverged at epoch 1",
        "diverged at epoch 1",
        "CUDA out of memory",
    ]
    text = templates.markdown(summary)
    assert "sgd: 2 of 3 ended trials diverged, at learning rates 0.2, 0.3" in text
    assert "adam: " not in text


def test_an_unfinished_search_says_so() -> None:
    rows = [row("sgd-0", 0, 0.5), row("sgd-0", 1, state="running"), row("sgd-0", 2, state="parked")]
    summary = summarize(rows)
    assert summary["progress"]["finished"] is False
    assert "1 of 108 trials" in templates.note(summary)
    assert "UNFINISHED" in templates.html(summary, dict.fromkeys(FIGURES, ""))
    done = summarize(realistic())
    assert done["progress"]["finished"] is True
    assert "UNFINISHED" not in templates.html(done, dict.fromkeys(FIGURES, ""))


def test_trials_of_one_strategy_make_up_for_none_of_another() -> None:
    budget = {"trials_per_strategy": 2, "total": 4, "targets": {"sgd-0": 2, "adam-0": 2}}
    rows = [row("sgd-0", n, 0.5) for n in range(3)] + [row("adam-0", 0, 0.5)]
    progress = summarize(rows, budget=budget)["progress"]
    assert (progress["ended"], progress["done"], progress["planned"]) == (4, 3, 4)
    assert progress["finished"] is False
    whole = summarize([*rows, row("adam-0", 1, 0.5)], budget=budget)
    assert whole["progress"]["finished"] is True
    assert "Search finished: 4 of 4 trials ended, 5 with those beyond" in templates.note(whole)
    still = summarize(
        [*rows, row("adam-0", 1, 0.5), row("sgd-0", 3, state="parked")], budget=budget
    )
    assert still["progress"]["finished"] is False


def test_strategies_that_left_the_study_count_towards_nothing_and_a_note_says_so() -> None:
    budget = {"trials_per_strategy": 1, "total": 2, "targets": {"sgd-0": 1, "adam-0": 1}}
    left = [row("lion-0", 0, 0.9), row("lion-0", 1, state="parked")]
    short = summarize([*left, row("sgd-0", 0, 0.5)], budget=budget)
    assert (short["progress"]["done"], short["progress"]["finished"]) == (1, False)
    both = summarize([*left, row("sgd-0", 0, 0.5), row("adam-0", 0, 0.5)], budget=budget)
    assert both["progress"]["finished"] is True
    assert "lion-0" in [item["name"] for item in both["strategies"]]
    notes = [note for note in both["notes"] if "removed from the study file" in note]
    assert len(notes) == 1
    assert "2 trials of lion-0 are listed" in notes[0]
    assert "no longer names" not in str(summarize(realistic())["notes"])


def test_a_joint_search_is_finished_when_its_only_group_is() -> None:
    budget = {"trials_per_strategy": None, "total": 2, "targets": {"joint": 2}}
    rows = joint([row("sgd-0", 0, 0.5), row("sgd-0", 1, 0.5)])
    assert summarize(rows[:1], mode="joint", budget=budget)["progress"]["finished"] is False
    assert summarize(rows, mode="joint", budget=budget)["progress"]["finished"] is True


def test_without_a_completed_trial_the_report_is_written_and_lists_the_failures(
    tmp_path: Path,
) -> None:
    index = writing.write(report.compose(material(failed(0, 1))), tmp_path / "digits")
    summary = json.loads(index.with_name("report.json").read_text())
    assert summary["usable"] is False
    expected = [name for name in FIGURES if load(name).of == SEARCH and name != "expected_maximum"]
    assert [item["name"] for item in summary["left_out"] if item["name"] in expected] == expected
    text = index.read_text()
    assert text.index("NO USABLE TRIAL") < text.index('id="strategies"')
    assert text.count("diverged at epoch 1") == 2
    assert "No trial completed" in index.with_name("report.md").read_text()


def test_a_study_without_trials_has_a_report(tmp_path: Path) -> None:
    writing.write(report.compose(material([])), tmp_path / "digits")
    assert json.loads((tmp_path / "digits/report.json").read_text())["usable"] is False


def test_a_study_that_knows_little_of_itself_has_a_report() -> None:
    bare: dict[str, Any] = {"name": "bare", "mode": "balanced", "factors": {}, "tune": []}
    bare |= {"objective": {"metric": "score", "direction": "maximize", "epoch": "best"}}
    bare |= {"strategies": [{"name": "sgd-0", "levels": {}}], "search": {}}
    summary = report.compose(
        Material(study=read(bare), trials=runs([row("sgd-0", 0, 0.5)]))
    ).summary.content
    assert summary["usable"] is True
    for text in (templates.html(summary, dict.fromkeys(FIGURES, "")), templates.markdown(summary)):
        assert "TODO" in text
    assert [item["name"] for item in summary["figures"]] == ["strategies"]


def test_a_figure_is_missed_only_where_a_reader_expects_it() -> None:
    one = [row("sgd-0", number, 0.5 + number / 100) for number in range(3)]
    missed = {
        item["name"]: item["reason"]
        for item in report.compose(material(one)).summary.content["left_out"]
    }
    # Few trials are no reason to expect fewer figures; a search without a confirmation, by a
    # sampler that is not random, of a task that predicts no numbers, is.
    assert "trials" in missed["importances"]
    assert not {"forest", "confirmed", "expected_maximum", "predicted_against_true"} & {*missed}


def test_a_study_whose_description_was_lost_is_refused_in_words(tmp_path: Path) -> None:
    content = {name: x for name, x in described().items() if name not in ("tune", "mode")}
    study = read(content)
    with pytest.raises(ValueError, match="lacks mode, tune"):
        writing.write(
            report.compose(Material(study=study, trials=runs(failed(0)))), tmp_path / "digits"
        )
    assert not (tmp_path / "digits").exists()


def test_ranges_say_when_they_apply_and_searches_with_which_options() -> None:
    search: dict[str, Any] = {"sampler": "tpe", "timeout": None, "sampler_options": {}}
    search |= {"pruner": "median", "pruner_options": {"n_warmup_steps": 4}, "seed": 0}
    tune = [{"knob": "momentum", "when": {"optimizer": ["sgd", "lion"]}, "low": 0, "high": 1}]
    summary = summarize(failed(0), search=search, tune=tune)
    text = templates.html(summary, {})
    assert "optimizer is sgd or lion" in text
    assert "pruner median (n warmup steps 4), seed 0" in text
    assert "timeout" not in text
    assert "| momentum | optimizer is sgd or lion | 0 to 1 | linear |" in templates.markdown(
        summary
    )


def methods(**changes: Any) -> str:
    """The paragraph as Markdown has it; the page has the same words."""
    summary = summarize(failed(0), **changes)
    text = templates.markdown(summary).partition("## Methods")[2].partition("## Reproducibility")[0]
    page = " ".join("".join(Page(templates.html(summary, {})).text).split())
    plain = text.replace("\\", "").strip()
    assert plain in page
    return plain


def phase(name: str = "train", epochs: int = 12, **changes: Any) -> dict[str, Any]:
    plain = {"optimizer": "sgd", "schedule": "cosine", "warmup_epochs": 0.0}
    return {"name": name, "epochs": epochs, **plain, **changes}


def test_methods_tell_batch_size_schedule_and_augmentation_of_the_baseline() -> None:
    plan = {"batch_size": 32, "augmentation": ["shift", "noise"], "enqueued": 0}
    text = methods(plan={**plan, "phases": [phase(warmup_epochs=0.5)]})
    assert "The baseline strategy (sgd-0) trains" in text
    assert "batches of 32 samples augmented by shift, noise" in text
    assert "cosine schedule, linear warm-up over the first 0.5 epochs" in text
    for word in ("phases", "enqueued", "TODO"):
        assert word not in text
    odd = summarize(failed(0), plan={**plan, "phases": [phase(schedule="one_cycle<b>")]})
    assert r"one\_cycle&lt;b&gt; schedule, no" in templates.markdown(odd)
    assert "one_cycle&lt;b&gt; schedule, no" in templates.html(odd, {})
    bare = methods(plan={**plan, "augmentation": [], "phases": [phase()]})
    assert "without augmentation (learning rate: cosine schedule, no warm-up)." in bare


def test_methods_tell_phases_and_enqueued_settings_where_there_are_any() -> None:
    plan: dict[str, Any] = {"batch_size": 32, "augmentation": [], "enqueued": 2}
    plan["phases"] = [phase("probe", 1, optimizer="adam", warmup_epochs=1.0), phase("tune", 11)]
    text = methods(plan=plan, plans_differ=True)
    assert "in 2 phases: probe (1 epoch, adam, cosine schedule, linear warm-up over the" in text
    assert "the first 1 epoch); tune (11 epochs, sgd, cosine schedule, no warm-up)." in text
    assert "Strategies differ in their phases." in text
    assert "2 settings of the study file were enqueued" in text
    assert "1 setting of the study file was" in methods(plan={**plan, "enqueued": 1})


def test_methods_of_an_old_store_leave_the_plan_to_the_author() -> None:
    assert "Batch size, learning rate schedule and augmentation: TODO." in methods()


def a_plan(**changes: Any) -> dict[str, Any]:
    phase = {"name": "main", "layer_decay": 1.0, "trainable": "all", "unfreeze_every": 0}
    knobs = {"task": {"name": "classification"}, "ema": None, "mixup": 0.0, "lora": None}
    return {**knobs, "report_every": 1.0, "phases": [phase], **changes}


def test_methods_name_what_strategies_use_with_its_source() -> None:
    plans = {
        "sgd-0": a_plan(ema=0.99, lora={"rank": 4, "alpha": 16.0}),
        "adam-0": a_plan(ema=0.999, phases=[{"trainable": "bias"}, {"layer_decay": 0.75}]),
    }
    text = templates.markdown(summarize([], plans=plans))
    assert "low-rank adapters (LoRA, rank 4) [Hu et al. 2022, arXiv:2106.09685] in sgd-0;" in text
    assert "(BitFit) [Ben Zaken et al. 2022, arXiv:2106.10199] in adam-0;" in text
    assert "layer-wise learning rate decay (factor 0.75 " in text
    assert "(EMA, decay 0.99 or 0.999) [Polyak and Juditsky 1992]." in text, "in all"
    assert "mixup" not in text


def test_methods_name_what_is_tuned_without_a_value() -> None:
    tune = [{"knob": "probe.layer_decay", "low": 0.5, "high": 1.0, "default": 1.0}]
    tune += [{"knob": "unfreeze.every", "choices": [1, 2], "default": 1}]
    plans = {"sgd-0": a_plan(), "adam-0": a_plan()}
    text = templates.markdown(summarize([], plans=plans, tune=tune))
    assert "layer-wise learning rate decay (factor tuned " in text
    assert "(one stage every tuned epochs)" in text


def test_a_plan_that_does_as_everybody_does_names_no_method() -> None:
    assert summarize([], plans={"sgd-0": a_plan()})["methods"] == []
    assert summarize([])["methods"] == []


@pytest.mark.parametrize(
    ("task", "classes", "text"),
    [
        ("regression", ["price"], "; 1 target column<"),
        ("multilabel", ["a", "b"], "; 2 labels<"),
        ("classification", ["a", "b"], "; 2 classes<"),
    ],
)
def test_what_a_task_predicts_is_called_by_its_name(
    task: str, classes: list[str], text: str
) -> None:
    plans = {"sgd-0": a_plan(task={"name": task})}
    data = {"name": "d", "train": 1, "validation": 1, "test": 1, "classes": classes}
    page = templates.html(summarize([], plans=plans, data=data), dict.fromkeys(FIGURES, ""))
    assert text in page
    content = {"recipe": {"task": {"name": task}}}
    assert summarize([], content=content, data=data)["data"]["kind"] in text


def test_a_regression_study_has_a_report_without_a_word_of_accuracy(tmp_path: Path) -> None:
    objective = {"metric": "validation/rmse", "direction": "minimize", "epoch": "best"}
    rows = []
    for name in ("sgd-0", "adam-0"):
        for n in range(5):
            error = 21_000.0 + 3_000 * n
            reports = 4 * n + 8
            metrics = {"validation/rmse": error, "validation/r2": 1 - error / 90_000}
            changes = {"epoch": reports, "epochs": 12, "epochs_done": reports / 4 + 0.5}
            metrics["epochs"] = reports / 4
            rows.append(
                row(name, n, error, learning_rate=10.0 ** -(n + 1), metrics=metrics, **changes)
            )
    study = describe(
        objective=objective,
        plans={"sgd-0": a_plan(task={"name": "regression"})},
        question="",
        data={"name": "houses", "train": 9, "validation": 9, "test": 9, "classes": ["price"]},
    )
    index = writing.write(
        report.compose(Material(study=study, trials=runs(rows))), tmp_path / "houses"
    )
    summary = json.loads(index.with_name("report.json").read_text())
    assert summary["top"]["value"] == 21_000.0
    assert summary["top"]["epoch"] == 2
    assert summary["strategies"][0]["best"]["metrics"]["epochs"] == 2.0
    assert summary["metrics"] == ["validation/r2"]
    assert summary["progress"]["stopped_early"] == 10
    for path in (index, index.with_name("report.md")):
        text = path.read_text()
        assert "accuracy" not in text
        assert "21000" in text
        assert "10 trials ended before the last epoch, stopped early" in text


def test_trials_of_different_lengths_are_told() -> None:
    rows = [row("sgd-0", n, 0.5, epochs=epochs) for n, epochs in enumerate((3, 12))]
    summary = summarize(rows)
    assert summary["epochs"] == {"low": 3, "high": 12}
    assert "3 to 12 epochs a trial" in templates.html(summary, dict.fromkeys(FIGURES, ""))


def test_many_levels_are_cut_short_among_the_facts() -> None:
    levels = [f"level{n}" for n in range(20)]
    page = templates.html(summarize([], factors={"x": levels}), dict.fromkeys(FIGURES, ""))
    assert "level5 and 14 more" in page


def test_json_has_no_number_that_json_lacks(written: Path) -> None:
    def refuse(text: str) -> None:
        raise AssertionError(text)

    text = (written / "report.json").read_text()
    assert json.loads(text, parse_constant=refuse) == summarize(realistic())
    odd = summarize([row("sgd-0", 0, 0.5, hyperparameters={"x": np.float64("nan")})])
    assert odd["strategies"][0]["best"]["hyperparameters"] == {"x": None}


# The page


def test_the_page_is_well_formed_and_loads_nothing(written: Path, hostile: Path) -> None:
    for folder in (written, hostile):
        text = (folder / "index.html").read_text()
        page = Page(text)
        for tag, attributes in page.elements:
            assert tag not in {"link", "iframe", "object", "embed", "img", "base", "form"}
            assert not {"src", "srcset", "action", "background"} & attributes.keys()
            for name in ("href", "xlink:href"):
                # Of a store without a server: to the one that ``workbench ui`` starts.
                assert (attributes.get(name) or "#").startswith(("#", "http://127.0.0.1:5000/#/"))
            assert not [name for name in attributes if name.startswith("on")]
        assert not re.search(r"@import|url\((?!#)", text)


def test_only_the_pages_own_script_may_run(hostile: Path) -> None:
    text = (hostile / "index.html").read_text()
    (script,) = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = Page(text)
    (policy,) = [a["content"] for tag, a in page.elements if a.get("http-equiv")]
    assert policy is not None
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy
    assert "alert" not in script


def test_every_hostile_text_is_shown_as_text(hostile: Path) -> None:
    page = Page((hostile / "index.html").read_text())
    label = HOSTILE.strip()
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert sum(label in text for text in page.text) > 15


@pytest.mark.parametrize(
    ("uri", "server"),
    [
        ("https://mlflow.example.org/", "https://mlflow.example.org"),
        ("http://127.0.0.1:5001", "http://127.0.0.1:5001"),
        ("sqlite:////home/me/mlflow.db", "http://127.0.0.1:5000"),
        ("javascript:alert(1)//", "http://127.0.0.1:5000"),
    ],
)
def test_runs_link_to_their_server_or_to_the_one_that_the_ui_starts(uri: str, server: str) -> None:
    rows = [row("sgd-0", 0, 0.5, run_id="a/b c")]
    text = templates.html(summarize(rows, tracking_uri=uri), dict.fromkeys(FIGURES, ""))
    links = [a["href"] for tag, a in Page(text).elements if tag == "a" and a.get("href")]
    outside = {link for link in links if link and not link.startswith("#")}
    assert outside == {f"{server}/#/experiments/1/runs/a%2Fb%20c"}
    assert ("workbench ui digits" in text) == (server == "http://127.0.0.1:5000")
    assert inspect.signature(results.ui).parameters["port"].default == PORT


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql+psycopg://me:hunter2@db.example.org/mlflow",
        "postgresql://db.example.org/mlflow?user=me&password=hunter2",
        "https://me:hunter2@mlflow.example.org",
    ],
)
def test_a_password_in_the_stores_address_is_not_published(uri: str) -> None:
    summary = summarize([row("sgd-0", 0, 0.5)], tracking_uri=uri)
    assert "hunter2" not in json.dumps(summary)
    assert "example.org" in summary["provenance"]["tracking_uri"]


def test_damaged_checkpoints_are_counted_in_the_provenance() -> None:
    rows = [row("sgd-0", n, 0.5, damaged_checkpoints=n) for n in range(3)]
    summary = summarize(rows)
    assert summary["provenance"]["damaged_checkpoints"] == 3
    told = "3, set aside; the trials continued from an earlier state"
    assert told in templates.markdown(summary)
    assert "damaged" not in templates.markdown(summarize([row("sgd-0", 0, 0.5)]))


@pytest.mark.parametrize(
    ("commits", "told"),
    [
        (["148fd37c0ffe"] * 3, "commit 148fd37c0ffee"),
        (["148fd37c0ffe+dirty.12345678"] * 3, "commit 148fd37c0ffee with uncommitted changes"),
        (
            ["aaaabbbbcccc", "148fd37c0ffe", "148fd37c0ffe"],
            "commit 148fd37c0ffe (2 runs), commit aaaabbbbcccc (1 run)",
        ),
        (
            ["aaaabbbbcccc", "aaaabbbbcccc", ""],
            "commit aaaabbbbcccc (2 runs), an unknown commit (1 run)",
        ),
        (["", "", ""], "commit 148fd37c0ffee at the last start"),
    ],
)
def test_the_report_names_the_commits_that_the_trials_recorded(
    commits: list[str], told: str
) -> None:
    rows = [
        row("sgd-0", n, 0.5, provenance={"commit": commit} if commit else {})
        for n, commit in enumerate(commits)
    ]
    summary = summarize(rows, commit="148fd37c0ffee")
    assert summary["provenance"]["code"] == told
    assert f"The code is at {told};" in templates.reproducibility(summary)


def test_every_best_value_stands_beside_its_run(written: Path) -> None:
    summary = json.loads((written / "report.json").read_text())
    page = (written / "index.html").read_text()
    text = (written / "report.md").read_text()
    for item in summary["strategies"]:
        number, run = f"{item['best']['value']:.4f}", item["best"]["run_id"]
        within = item["best"]["trial"].removeprefix(f"{item['name']}/")
        assert re.search(rf">{number}</td>\s*<td[^>]*>{within} .{{0,130}}{run}", page)
        assert re.search(rf"\| {number} \| {item['best']['trial']} \| {run} \|", text)


def test_every_figure_is_on_the_page_and_in_the_folder(written: Path) -> None:
    page = Page((written / "index.html").read_text())
    found = [a.get("id") for tag, a in page.elements if tag == "figure"]
    summary = json.loads((written / "report.json").read_text())
    assert found == [entry["name"] for entry in summary["figures"]]
    assert not {*found} & {entry["name"] for entry in summary["left_out"]}
    text = (written / "report.md").read_text()
    for entry in summary["figures"]:
        name = entry["name"]
        assert f"](figures/{name}.svg)" in text
        for suffix in ("pdf", "svg", "png"):
            assert (written / f"figures/{name}.{suffix}").exists()


def test_a_cell_sorts_by_its_number_and_not_by_its_text(written: Path) -> None:
    page = Page((written / "index.html").read_text())
    values = [a["data-value"] for tag, a in page.elements if tag == "td" and "data-value" in a]
    assert len(values) > 100
    for value in values:
        assert value == "" or float(str(value)) is not None


# Tables


def test_markdown_tables_keep_their_columns_whatever_the_names_are(hostile: Path) -> None:
    text = (hostile / "report.md").read_text()
    assert "<script" not in text
    blocks = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    assert len(blocks) == 4
    for block in blocks:
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(counts) == 1


def test_csv_tables_keep_every_digit(written: Path) -> None:
    trials = pd.read_csv(written / "data/trials.csv")
    source = {trial.run_id: trial for trial in runs(realistic())}
    assert len(trials) == 108
    for _, item in trials.iterrows():
        assert item["learning_rate"] == source[item["run_id"]].learning_rate
    assert trials["value"].notna().sum() == sum(t.value is not None for t in source.values())
    assert {"level.optimizer", "hyperparameters.weight_decay", "reason"} <= {*trials.columns}


# The note


def test_the_note_has_a_row_for_each_strategy() -> None:
    text = report.markdown_summary(summarize(realistic()))
    assert text.startswith("## digits\n")
    assert "Search finished: 108 of 108 trials ended" in text
    block = re.search(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    assert block is not None
    lines = block.group().splitlines()
    assert len(lines) == 11
    assert len({line.count("|") for line in lines}) == 1


def test_the_note_stays_short_and_says_what_it_leaves_out() -> None:
    names = [f"strategy-{n:03d}-{'x' * 60}" for n in range(400)]
    summary = summarize(
        [row(name, 0, 0.5) for name in names],
        name="n" * 500,
        question="Why? " * 3000,
        strategies=[{"name": name, "levels": {}} for name in names],
    )
    text = report.markdown_summary(summary)
    assert 3000 < len(text) < 6000
    shown = text.count("| strategy-")
    assert f"and {400 - shown} more strategies" in text


def test_the_note_of_a_hostile_study_is_short_and_inert() -> None:
    summary = summarize([row("sgd-0", 0, 0.5)], name="<b>&|`_*" * 900, question="<i>|_" * 4000)
    text = report.markdown_summary(summary)
    assert len(text) < 6000
    assert "<b>" not in text
    assert "<i>" not in text


# Writing


def test_the_same_trials_in_any_order_give_the_same_bytes(written: Path, tmp_path: Path) -> None:
    rows = realistic()
    writing.write(
        report.compose(material(random.Random(1).sample(rows, len(rows)))), tmp_path / "again"
    )
    assert files(tmp_path / "again") == files(written)


def test_a_new_report_leaves_nothing_of_the_old_one_behind(tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    writing.write(report.compose(material(failed(0))), folder)
    (folder / "figures").mkdir()
    (folder / "figures/stale.pdf").write_text("stale")
    writing.write(report.compose(material(failed(0, 1))), folder)
    assert not (folder / "figures").exists()
    assert len(json.loads((folder / "report.json").read_text())["failures"]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["digits"]


def test_a_users_own_files_stay_in_the_folder_of_a_new_report(tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    writing.write(report.compose(material(failed(0))), folder)
    (folder / "notes").mkdir()
    (folder / "notes/thesis.txt").write_text("years of work")
    (folder / ".hidden").write_text("mine")
    (folder / "data/stale.csv").write_text("stale")
    mode = folder.stat().st_mode
    writing.write(report.compose(material(failed(0, 1))), folder)
    assert (folder / "notes/thesis.txt").read_text() == "years of work"
    assert (folder / ".hidden").read_text() == "mine"
    assert not (folder / "data/stale.csv").exists()
    assert folder.stat().st_mode == mode
    assert {path.name for path in folder.iterdir()} - {"notes", ".hidden"} <= {*CONTENTS}
    assert len(json.loads((folder / "report.json").read_text())["failures"]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["digits"]


def test_a_folder_that_cannot_be_swapped_is_given_back_with_the_users_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "digits"
    writing.write(report.compose(material(failed(0))), folder)
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text(name)
    before = files(folder)
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path.name == "b.txt":
            raise OSError("busy")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="busy"):
        writing.write(report.compose(material(failed(0, 1))), folder)
    assert files(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["digits"]


KILLED = (
    "import os, sys\n"
    "from pathlib import Path\n"
    "from workbench.report import writing\n"
    "old = Path(sys.argv[1])\n"
    "temporary = old.parent / f'{writing._hidden(old)}{os.getpid()}.killed'\n"
    "(temporary / 'new').mkdir(parents=True)\n"
    "old.rename(temporary / 'old')\n"
    "(temporary / 'old' / 'a.txt').rename(temporary / 'new' / 'a.txt')\n"
    "os._exit(1)\n"
)


def test_a_report_that_a_killed_process_had_moved_away_comes_back_with_the_users_files(
    tmp_path: Path,
) -> None:
    folder, other = tmp_path / "digits", tmp_path / "digits.2"
    for at in (folder, other):
        writing.write(report.compose(material(failed(0))), at)
        for name in ("a.txt", "b.txt"):
            (at / name).write_text(at.name)
        subprocess.run([sys.executable, "-c", KILLED, str(at)], check=False)
    writing.write(report.compose(material(failed(0, 1))), folder)
    assert {(folder / name).read_text() for name in ("a.txt", "b.txt")} == {"digits"}
    left = sorted(path.name for path in tmp_path.iterdir())
    assert len(left) == 2 and left[0].startswith(".digits.2."), "another report's stays"


def test_a_folder_of_figures_that_is_a_symbolic_link_keeps_its_files(tmp_path: Path) -> None:
    folder, own = tmp_path / "digits", tmp_path / "own"
    writing.write(report.compose(material(failed(0))), folder)
    own.mkdir()
    (own / "mine.pdf").write_text("mine")
    (folder / "figures").symlink_to(own)
    writing.write(report.compose(material(failed(0, 1))), folder)
    assert not (folder / "figures").exists()
    assert (own / "mine.pdf").read_text() == "mine"
    assert len(json.loads((folder / "report.json").read_text())["failures"]) == 2


def test_a_failure_while_writing_leaves_the_old_report_whole(tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    writing.write(report.compose(material(failed(0))), folder)
    before = files(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A limit on a file's size is what a full disk looks like, after the first files were written.
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before["report.json"]) + 2000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            writing.write(report.compose(material(failed(0, 1))), folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["digits"]


def test_a_folder_that_holds_something_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match=r"contains no report\.json"):
        writing.write(report.compose(material(failed(0))), tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    assert writing.write(report.compose(material(failed(0))), tmp_path / "empty").exists()


def test_missing_parent_folders_are_made(tmp_path: Path) -> None:
    assert writing.write(report.compose(material(failed(0))), tmp_path / "a/b/digits").exists()


def test_summaries_need_no_heavy_library() -> None:
    code = """
import json, sys
from workbench import report
from workbench.record import State
from workbench.tracker import stored_study
from workbench.tracker.trial_run import TrialRun
content, rows = json.load(sys.stdin)
trials = tuple(TrialRun(**{**row, "state": State(row["state"])}) for row in rows)
material = report.Material(study=stored_study.read(content), trials=trials)
text = report.markdown_summary(report.compose(material).summary.content)
assert "adamw-2" in text
print([n for n in ("torch", "mlflow", "matplotlib", "yaml") if n in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps([described(), realistic()]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.95333, "0.9533"),
        (0.0, "0.0000"),
        (-0.5, "−0.5000"),
        (123.456, "123.46"),
        (21_770.4, "21770"),
        (2.5e8, "2.500·10⁸"),
        (3.2e-6, "3.200·10⁻⁶"),
        (None, "–"),
    ],
)
def test_values_are_written_with_the_digits_that_they_deserve(
    value: float | None, text: str
) -> None:
    assert templates.number(value) == text


def test_a_difference_has_the_digits_of_what_it_is_a_difference_of() -> None:
    assert templates.number(2.4e-6, 0.9) == "0.0000"
    assert templates.signed(2.4e-6, 0.9) == "0.0000" and templates.signed(-0.01, 0.9) == "−0.0100"
    assert templates.signed(4e-5, 0.9, 1e-5, 7e-5) == "+0.00004"
    assert templates.interval(-3e-5, 0.0123, 0.9) == "[−0.00003, 0.01230]"
    assert templates.reach(-1e-18, 0.5, 0.9) == "0.0000 to 0.5000"
    assert templates.reach(None, 0.5) == "–"


def test_what_an_author_gave_is_printed_as_it_was_written() -> None:
    given = (0.01, 0.0125, 1e-5, 2.0, None)
    assert [templates.given(value) for value in given] == ["0.01", "0.0125", "1e−05", "2", "–"]


@pytest.mark.parametrize(
    ("roles", "said"),
    [
        ({}, ""),
        ({"confirmation": 1}, "1 run of the confirmation is not counted here."),
        ({"try": 1}, "1 run of workbench try is not counted here."),
        (
            {"confirmation": 120, "selection": 81},
            "120 runs of the confirmation and 81 runs of its selection are not counted here.",
        ),
    ],
)
def test_runs_of_other_roles_are_told_in_words(roles: dict[str, int], said: str) -> None:
    assert templates.aside(roles) == said


@pytest.mark.parametrize(
    ("seconds", "text"), [(5.04, "5.0 s"), (600, "10 min"), (9000, "2.5 h"), (None, "–")]
)
def test_durations_have_the_unit_that_fits(seconds: float | None, text: str) -> None:
    assert templates.duration(seconds) == text
