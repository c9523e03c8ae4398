"""The Python interface: studies, their results and their models, for scripts and notebooks.

The command line calls the same functions, those of ``commands``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import record
from workbench.cli import printed, terminal
from workbench.cli.notebook import Picture, Printable, summary_lines
from workbench.cli.printed.layout import print_line
from workbench.commands import browse, home_studies
from workbench.commands import report as publish
from workbench.commands.check import CheckedStudy, check_file
from workbench.commands.confirm import confirm_study
from workbench.commands.outcomes import Outcome
from workbench.commands.report import WrittenReport
from workbench.commands.run import run_study
from workbench.messages import listed
from workbench.study.config import from_mapping, load_all
from workbench.study.config.changes import NotReadyError
from workbench.verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from workbench.commands.register import ModelVersion
    from workbench.commands.saved_model import SavedModel
    from workbench.report.summary import ReportContent
    from workbench.study.confirm.offer import Offer
    from workbench.verdict.external import ResultsVerdict

PathOrText = str | os.PathLike[str]


@dataclass(frozen=True, repr=False)
class CheckResult(Printable):
    """What studies will do; see ``Study.check``.

    Attributes:
        studies: One, or with ``across`` several.
    """

    studies: Sequence[CheckedStudy]

    def as_json(self) -> list[dict[str, Any]]:
        """The same as ``workbench check --json``."""
        return [study.as_json() for study in self.studies]

    def _print(self, console: Console) -> None:
        printed.plans(console, self.studies)


class Study(Printable):
    """A study: checked, run, confirmed, and read.

    Attributes:
        home: Directory that contains ``mlruns/`` and ``reports/``.
        names: Of the studies of its file: one, or with ``across`` several.
    """

    home: Path
    names: tuple[str, ...]
    _file: Path
    _overrides: tuple[str, ...]

    def __init__(
        self,
        study: PathOrText | Mapping[str, Any] | None = None,
        /,
        *,
        home: PathOrText | None = None,
        overrides: Sequence[str] = (),
        question: str = "",
        overwrite: bool = False,
        **blocks: Any,
    ) -> None:
        """Read a study, and check its settings.

        Args:
            study: A study file; or its content as a dictionary, which is written to ``NAME.yaml``
                in the current directory, so that the command line finds it too.
            home: ``WORKBENCH_HOME`` or the current directory by default.
            overrides: ``key.path=value`` each, as ``--set`` takes them.
            question: Of a study that is given as a dictionary: the first line of its file.
            overwrite: Replace a ``NAME.yaml`` that was written from other settings.
            **blocks: Instead of a dictionary, its keys: ``name``, ``recipe``, ``compare``, ...

        Raises:
            StudyFileError: Everything that is wrong with the study; nothing is written.
            FileExistsError: ``NAME.yaml`` was written by somebody else, or from other settings.
            ValueError: A dictionary has no valid name; or a file and blocks are given.
            TypeError: An argument is of another type.
        """
        self.home = _home(home)
        if isinstance(overrides, str):
            raise TypeError(f"overrides is a text; give a list: [{overrides!r}].")
        self._overrides = tuple(overrides)
        if isinstance(study, Mapping) or study is None:
            content = {**(study or {}), **blocks}
            self._file, self.names = from_mapping.write(
                content, question, self._overrides, overwrite
            )
            return
        if blocks or question or overwrite:
            raise ValueError("Give either a study file or its content; use overrides with a file.")
        self._file = _path("study", study, "a study file, or its content as a dictionary")
        self.names = tuple(config.name for config in load_all(self._file, self._overrides))

    @property
    def name(self) -> str:
        """Of a file's only study.

        Raises:
            ValueError: The file has several, with ``across``.
        """
        if len(self.names) > 1:
            raise ValueError(
                f"The file has {len(self.names)} studies; open one of them: "
                f"workbench.open_study({self.names[0]!r})"
            )
        return self.names[0]

    def check(self) -> CheckResult:
        """What the study will do, without doing any of it.

        Raises:
            StudyFileError: It does not fit the model, the data or the weights.
        """
        return CheckResult(check_file(self._file, self._overrides, self.home))

    def run(
        self,
        *,
        workers: int | None = None,
        inline: bool = False,
        on: str | None = None,
        wait: bool = False,
        retry_failed: bool = False,
    ) -> Outcome:
        """Search what is missing; stop it with Ctrl-C or the notebook's stop, and call it again.

        Args:
            workers: Number of workers; by default as many as fit on the machine or cluster.
            inline: Run trials in this process, for debugging.
            on: ``ray`` or ``ray://HOST:PORT``: run trials on a Ray cluster.
            wait: If another process is running this study, wait for it.
            retry_failed: Run failed trials again, except those that diverged.

        Raises:
            StudyFileError, StudyChangedError, StudyBusyError, RepeatedFailureError, StoreError: See
                ``commands.run.run_study``.
            ValueError: ``workers`` is no number of processes; or ``inline`` and ``on`` are given.
        """
        _check_place(workers, inline, on)
        with terminal.started_workers(self.home, workers, inline, on) as started:
            return run_study(
                self._file,
                self._overrides,
                self.home,
                started,
                terminal.watcher(),
                wait=wait,
                retry_failed=retry_failed,
            )

    def confirm(
        self,
        *,
        yes: bool = False,
        fresh: int | None = None,
        workers: int | None = None,
        inline: bool = False,
        on: str | None = None,
        wait: bool = False,
    ) -> Outcome:
        """Select on fresh seeds, then test what was selected once, on the test split.

        Args:
            yes: Use the test split. Without it the selection is made, and what the test would cost
                and could detect is printed.
            fresh: The second look: so many more seeds for every configuration.
            workers: As for ``run``.
            inline: As for ``run``.
            on: As for ``run``.
            wait: As for ``run``.

        Raises:
            NotReadyError, StudyChangedError, StudyBusyError, StoreError: See
                ``commands.confirm.confirm_study``.
            ValueError: ``workers`` or ``fresh`` is no number of processes or seeds; or see ``run``.
        """
        _check_place(workers, inline, on)
        _check_count("fresh", fresh)

        def agree(offer: Offer) -> bool:
            if not yes:
                printed.offer(terminal.console(), offer)
                print("Nothing was tested. Use the test split with confirm(yes=True).")
            return yes

        with terminal.started_workers(self.home, workers, inline, on) as started:
            return confirm_study(
                self._file,
                self._overrides,
                self.home,
                started,
                terminal.watcher(),
                wait=wait,
                agree=agree,
                fresh=fresh,
            )

    def write_report(
        self, out: PathOrText | None = None, *, venue: str = "neurips", percent: bool = False
    ) -> WrittenReport:
        """Write page, tables, figures and data; see ``commands.report.write``.

        Args:
            out: The folder; ``reports/NAME`` of the home by default.
            venue: Width and fonts of figures: ``neurips``, ``icml``, ``iclr``, ...
            percent: Whether page and paper have shares, such as accuracy, in percent.

        Raises:
            NotReadyError: The study has not been run.
            ValueError: There is no such venue.
        """
        from workbench.commands import across

        folder = None if out is None else _path("out", out)
        self._require_run()
        whole = record.experiment_of(self.names[0]) if len(self.names) > 1 else self.name
        return across.write_report(whole, self.home, folder, venue, percent=percent)

    def trials(self) -> pd.DataFrame:
        """The trials of the search, a row each; docs/python.md describes the columns."""
        return self._frame("trials")

    def confirmation(self) -> pd.DataFrame:
        """The runs of the confirmation, a row for each arm and seed; empty before it has ended."""
        return self._frame("confirmation")

    def verdict(self) -> Verdict:
        """What may be said now, in fixed words; EXPLORATORY before a confirmation."""
        verdict = self._composed(self.name).summary.verdict
        assert verdict is not None
        return verdict

    def figure(self, name: str) -> Picture:
        """A figure of the report, such as ``strategies`` or ``forest``.

        Raises:
            ValueError: The report of this study has no such figure; the message says why.
        """
        from workbench.report import figures

        composed = self._composed(self.name, figures=True)
        if name not in composed.numbers:
            reasons = {entry["name"]: entry["reason"] for entry in composed.summary.left_out}
            why = reasons.get(name) or f"The report has {listed([*composed.numbers])}."
            raise ValueError(f"There is no figure {name!r}. {why}")
        made, numbers = figures.load(name), composed.numbers[name]
        return Picture(figure=made.draw(numbers), caption=made.caption(numbers))

    def best_model(self, strategy: str | None = None) -> SavedModel:
        """The model of a strategy: that of its confirmation's first seed, or the search's best.

        Args:
            strategy: Its name; ``STRATEGY/NUMBER`` is a single trial. None is the one that leads
                the verdict or, without a verdict, the best trial of the search.

        Raises:
            NotReadyError: The study has not been run.
            UnknownNameError: There is none.
            ModelError: Its weights are damaged, or its data or code have changed.
        """
        from workbench.commands.predict import load_model

        self._require_run()
        return load_model(self.home, f"{self.name}/{strategy}" if strategy else self.name)

    def export(
        self, strategy: str, folder: PathOrText, *, onnx: bool = False, pt2: bool = False
    ) -> SavedModel:
        """Write a strategy's model as a folder for other programs; see ``commands.export``."""
        from workbench.commands.export import export
        from workbench.commands.program_export import Format

        self._require_run()
        formats = [*([Format.ONNX] if onnx else []), *([Format.PT2] if pt2 else [])]
        run = f"{self.name}/{strategy}"
        return export(self.home, run, _path("folder", folder), formats=formats)

    def register(self, *, name: str | None = None, strategy: str | None = None) -> ModelVersion:
        """Register the confirmed model in MLflow; see ``commands.register``."""
        from workbench.commands.register import register

        self._require_run()
        return register(self.home, self.name, name=name, strategy=strategy)

    def _frame(self, name: str) -> pd.DataFrame:
        import pandas as pd

        from workbench.report import tidy

        rows: list[Mapping[str, object]] = []
        for study in self.names:
            composed = self._composed(study)
            tables = tidy.tables(composed.material, composed.summary)
            rows += ({"study": study, **row} for row in tables.get(name, ()))
        return pd.DataFrame(rows)

    def _require_run(self) -> None:
        for name in self.names:
            if not record.study_directory(self.home, name).is_dir():
                raise NotReadyError(
                    f"{name} was not run yet in {self.home}; run it first: study.run()"
                )

    def _composed(self, name: str, *, figures: bool = False) -> ReportContent:
        self._require_run()
        return publish.composed(self.home, name, figures=figures)

    def _print(self, console: Console) -> None:
        begun = {row.name: row for row in browse.studies(self.home)}
        for name in self.names:
            row = begun.get(name)
            for line in [f"{name}: not run yet"] if row is None else summary_lines(row):
                print_line(console, line)


def open_study(name: str, *, home: PathOrText | None = None) -> Study:
    """A study that was run before, by its name; its file is needed only to continue it.

    Raises:
        UnknownNameError: The home has no such study.
    """
    study = Study.__new__(Study)
    study.home = _home(home)
    study.names = tuple(home_studies.studies_of(study.home, str(name)))
    # The commands find a study by its name as by its file.
    study._file, study._overrides = Path(name), ()
    return study


def load_model(folder: PathOrText) -> SavedModel:
    """The model in a folder of ``workbench export``.

    Raises:
        ModelError: The folder has no sound model, or the files of its backbone are missing.
    """
    from workbench.commands.saved_model import load_folder

    return load_folder(_path("folder", folder))


def judge(
    results: pd.DataFrame | PathOrText,
    *,
    metric: str | None = None,
    minimize: bool = False,
    smallest_effect: float | None = None,
    baseline: str | None = None,
    out: PathOrText | None = None,
) -> ResultsVerdict:
    """Apply the statistics of a confirmation to anyone's results; claims stay within the data.

    Args:
        results: A row for each run, with the columns ``strategy``, ``seed``, ``value`` (or the
            metric's name) and, if there are several, ``dataset``; or a CSV file of these.
        metric: Name of the metric.
        minimize: Lower values are better.
        smallest_effect: Smallest difference that matters, in units of the metric.
        baseline: Compare with this strategy only.
        out: Folder for a page with tables and figures.

    Raises:
        ResultsError: The results cannot be read or compared; with the row of each problem.
        TypeError: They are neither a table nor a path.
    """
    import pandas as pd

    from workbench.commands import verdict

    if not isinstance(results, pd.DataFrame):
        results = _path("results", results, "a pandas table or a CSV file")
    return verdict.judge(
        results,
        metric=metric,
        direction="minimize" if minimize else "maximize",
        smallest_effect=smallest_effect,
        baseline=baseline,
        out=None if out is None else _path("out", out),
    ).result


def _home(home: PathOrText | None) -> Path:
    place = _path("home", home or os.environ.get("WORKBENCH_HOME") or ".").absolute()
    # A mistyped home must not be made: every study would start again in it.
    if not place.is_dir():
        raise NotADirectoryError(f"The home {place} does not exist; create it first.")
    return place


def _path(name: str, value: object, expected: str = "a path") -> Path:
    if isinstance(value, str | os.PathLike):
        return Path(value)
    raise TypeError(f"{name} has the type {type(value).__name__}; expected {expected}.")


def _check_place(workers: object, inline: bool, on: str | None) -> None:
    _check_count("workers", workers)
    if inline and on is not None:
        raise ValueError("inline and on exclude each other; give one of them.")


def _check_count(name: str, value: object) -> None:
    if value is not None and (not isinstance(value, int) or value < 1):
        raise ValueError(f"{name} is {value!r}; expected a whole number of at least 1.")
