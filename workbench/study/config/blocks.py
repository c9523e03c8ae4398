"""Reads ``compare`` and ``tune``: lists, labelled levels, bundles and conditional ranges.

The result is plain data (``Factor``, ``TunedKnob``). Each block is read alone; ``consistency``
checks them together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from workbench.messages import nearest
from workbench.record.strategy import Knobs
from workbench.study.config import recipes, schema
from workbench.study.config.document import Document, Location, Unquoted
from workbench.study.config.knobs import (
    Categorical,
    Factor,
    Interval,
    Level,
    TunedKnob,
    flatten,
    is_multiple,
    label,
    parts_of,
    phases_in,
)
from workbench.study.config.problems import Flaw, choice, one_of, read


class FactorBlocks:
    """Reads the blocks of one document.

    Args:
        document: Where they stand, and where their problems are noted.
        phases: The names of all phases in the file: their knobs are paths too.
    """

    def __init__(self, document: Document, phases: Collection[str]) -> None:
        self._document = document
        self._phases = phases

    def factors(self, factors: Knobs) -> tuple[Factor, ...]:
        """The factors of ``compare``, without those that are flawed."""
        read: list[Factor] = []
        for name, written in factors.items():
            levels = self._levels(("compare", name), name, written)
            if levels:
                read.append(Factor(name=name, levels=levels))
        return tuple(read)

    def _levels(self, at: Location, name: str, written: object) -> tuple[Level, ...]:
        """The levels of a factor: a list of a knob's values, or labels with bundles or values."""
        knob = self._is_knob(name)
        if isinstance(written, dict):
            pairs = [(word, value, (*at, word)) for word, value in written.items()]
        elif isinstance(written, list) and knob:
            pairs = [
                ("" if isinstance(value, list) else label(value), value, (*at, index))
                for index, value in enumerate(written)
            ]
        elif isinstance(written, list):
            self._not_a_knob(at, name, "a knob, or levels with labels: {LABEL: {KNOB: VALUE}}")
            return ()
        else:
            self._document.add(at, written, "a list of levels, or a mapping of labels to levels")
            return ()
        if not pairs:
            self._document.add(at, Unquoted("no level"), "one level or more")
        levels: list[Level] = []
        for word, value, place in pairs:
            if not word:
                self._document.add(place, value, "a label for this level: {LABEL: VALUE}")
                continue
            if any(level.label == word for level in levels):
                # Numbers that are not equal may have one label, which is rounded.
                taken = Unquoted(f"{value!r}, whose label {word} is already taken")
                self._document.add(place, taken, "a label for each: {LABEL: VALUE}")
                continue
            bundle = {name: value} if knob else value
            if not isinstance(bundle, dict):
                self._not_a_knob(
                    place, name, f"a mapping of knobs, because {name} is not a knob", value
                )
                continue
            places = {path: place if knob else (*place, path) for path in bundle}
            if not sum(self._has_flaws(places[path], path, bundle[path]) for path in bundle):
                phases = frozenset(phases_in(bundle))
                levels.append(Level(label=word, knobs=self._leaves(bundle), phases=phases))
        return tuple(levels)

    def _is_knob(self, path: str) -> bool:
        return parts_of(path, self._phases)[0] in schema.Recipe.model_fields

    def _not_a_knob(self, at: Location, path: str, expected: str, found: object = None) -> None:
        """Note that a path starts with neither a knob nor a phase."""
        first, dot, rest = path.partition(".")
        guess = nearest(first, (*schema.Recipe.model_fields, *self._phases))
        near = guess and f"{guess}{dot}{rest}"
        if found is None:
            expected = "" if near else expected
            flaw = Flaw(loc=(), found=path, expected=expected, nearest=near, unknown=True)
            self._document.add_flaw(at, flaw)
        else:
            self._document.add(at, found, expected, near)

    def _has_flaws(self, at: Location, path: str, value: object) -> bool:
        """Note what is wrong with a knob's value; whether anything is."""
        if not self._is_knob(path):
            phases = f"; or PHASE.KNOB ({one_of(self._phases)})" if self._phases else ""
            self._not_a_knob(at, path, f"{one_of(schema.Recipe.model_fields)}{phases}")
            return True
        parts = parts_of(path, self._phases)
        found = recipes.recipe_flaws(_nested(parts, value))
        for flaw in found:
            self._document.add_flaw((*at, *flaw.loc[len(parts) :]), flaw)
        return bool(found)

    def _leaves(self, bundle: Knobs) -> Knobs:
        leaves: dict[str, Any] = {}
        for path, value in bundle.items():
            leaves.update(flatten(parts_of(path, self._phases), value))
        return leaves

    def tune(
        self, tune: Knobs, recipe: Knobs, compare: tuple[Factor, ...]
    ) -> tuple[TunedKnob, ...]:
        """The tuned knobs in the order of the file, without the entries that are flawed."""
        known: dict[str, tuple[str, ...] | None] = dict.fromkeys(flatten((), recipe))
        for factor in compare:
            known |= _conditions(factor.name, factor.levels)
        read: list[TunedKnob] = []
        for knob, written in tune.items():
            at: Location = ("tune", knob)
            entries: list[Interval | Categorical] = []
            for place, entry in self._entries(at, written):
                when = self._when(place, entry, known, list(tune), knob)
                parsed = self._entry(place, knob, entry, when)
                if parsed is not None:
                    entries.append(parsed)
            if entries:
                read.append(TunedKnob(knob=knob, entries=tuple(entries)))
            levels = self._same_levels(at, entries)
            known |= _conditions(knob, levels) if levels else {}
        return tuple(read)

    def _same_levels(
        self, at: Location, entries: Sequence[Interval | Categorical]
    ) -> tuple[Level, ...]:
        """All levels of a tuned choice; a label names a strategy and must name one only."""
        levels: dict[str, Level] = {}
        for entry in entries:
            for level in entry.levels if isinstance(entry, Categorical) else ():
                if levels.setdefault(level.label, level) != level:
                    expected = "a label that means the same in every entry"
                    self._document.add(at, level.label, expected)
        return tuple(levels.values())

    def _entries(self, at: Location, written: object) -> Iterator[tuple[Location, Knobs]]:
        """The entries of a tuned knob: one, a list of them, or levels in the grammar of compare."""
        fields = {*schema.Range.model_fields, *schema.Choices.model_fields}
        if isinstance(written, list) and any(
            isinstance(entry, dict) and fields & set(entry) for entry in written
        ):
            for index, entry in enumerate(written):
                if isinstance(entry, dict):
                    yield (*at, index), entry
                else:
                    expected = "a range: {low: ..., high: ..., default: ...}"
                    self._document.add((*at, index), entry, expected)
        elif isinstance(written, dict) and fields & set(written):
            yield at, written
        elif isinstance(written, list) or (isinstance(written, dict) and not _is_sweep(written)):
            yield at, {"choices": written}
        else:
            self._document.add(
                at, written, "a range {low: ..., high: ..., default: ...}, or a list of values"
            )

    def _when(
        self,
        at: Location,
        entry: Knobs,
        known: Mapping[str, tuple[str, ...] | None],
        tuned: list[str],
        knob: str,
    ) -> dict[str, tuple[str, ...]]:
        conditions = entry.get("when")
        read: dict[str, tuple[str, ...]] = {}
        # Anything but a mapping is noted as a flaw of the entry.
        for name, written in conditions.items() if isinstance(conditions, dict) else ():
            place = (*at, "when", name)
            values = written if isinstance(written, list) else [written]
            read[name] = tuple(label(value) for value in values)
            if name not in known:
                expected, near = choice(name, known)
                if name in tuned:
                    before = tuned.index(name) < tuned.index(knob)
                    expected = "a choice, not a range" if before else "a knob tuned before this one"
                    near = None
                self._document.add(place, name, expected, near)
                continue
            valid = known[name]
            for value, word in zip(values, read[name], strict=True):
                if valid is None:
                    self._has_flaws(place, name, value)
                elif word not in valid:
                    self._document.add(place, word, *choice(word, valid))
        return read

    def _entry(
        self, at: Location, knob: str, entry: Knobs, when: dict[str, tuple[str, ...]]
    ) -> Interval | Categorical | None:
        if "choices" not in entry:
            return self._interval(at, knob, entry, when)
        self._document.add_flaws(at, read(schema.Choices, entry)[1])
        place = (*at, "choices") if (*at, "choices") in self._document.lines else at
        levels = self._levels(place, knob, entry["choices"])
        if not levels:
            return None
        chosen = label(entry["default"]) if "default" in entry else levels[0].label
        labels = [level.label for level in levels]
        if chosen not in labels:
            self._document.add((*at, "default"), chosen, *choice(chosen, labels))
        return Categorical(when=when, levels=levels, default=chosen)

    def _interval(
        self, at: Location, knob: str, entry: Knobs, when: dict[str, tuple[str, ...]]
    ) -> Interval | None:
        written, found = read(schema.Range, entry)
        self._document.add_flaws(at, found)
        if not self._is_knob(knob):
            self._has_flaws(at, knob, None)
        if written is None or not self._is_knob(knob):
            return None
        if sum(self._has_flaws((*at, end), knob, getattr(written, end)) for end in ("low", "high")):
            return None
        whole = isinstance(written.low, int) and isinstance(written.high, int)
        # Options of a user's own training have no declared types: whole ends are taken as written.
        if whole and knob != "trial" and not knob.startswith("trial."):
            # Whole ends are natural for a knob of fractions too ({low: 0, high: 1}). The knob's own
            # type tells them apart, wherever it is declared: it refuses a fraction or takes it.
            between = _nested(parts_of(knob, self._phases), written.low + 0.5)
            whole = bool(recipes.recipe_flaws(between))
        number = int if whole else float
        interval = Interval(
            when=when,
            low=number(written.low),
            high=number(written.high),
            log=written.log,
            step=None if written.step is None else number(written.step),
            whole=whole,
            default=number(written.low if written.default is None else written.default),
        )
        if flaw := _flaw(interval, written):
            key, value, expected = flaw
            self._document.add((*at, key), value, expected)
            return None
        if written.default is None:
            self._document.add_message(
                at,
                "missing key `default`: a value in the range, for the first trial and the baseline",
            )
            return None
        return interval


def _is_sweep(written: Knobs) -> bool:
    """Whether this is a range of a W&B sweep, whose keys would be read as labels of levels."""
    return bool({"distribution", "values"} & set(written)) or set(written) == {"min", "max"}


def _flaw(interval: Interval, written: schema.Range) -> tuple[str, object, str] | None:
    """What does not fit together in a range: the key, what stands there, what may stand there."""
    low, high, step = written.low, written.high, written.step
    if low >= high:
        return "low", low, f"less than high ({high:g})"
    if interval.log and low <= 0:
        return "low", low, "greater than 0, because log is true"
    if interval.log and step is not None:
        return "step", step, "no step, because log is true"
    if step is not None and interval.whole and not isinstance(step, int):
        return "step", step, "a whole number"
    if step is not None and not is_multiple(high - low, step):
        return "high", high, f"low ({low:g}) and a whole number of steps ({step:g})"
    if written.default is not None and not interval.holds(written.default):
        kind = "a whole number" if interval.whole else "a number"
        steps = f", in steps of {step:g}" if step is not None else ""
        return "default", written.default, f"{kind} from {low:g} to {high:g}{steps}"
    return None


def _nested(parts: Sequence[str], value: Any) -> Any:
    """A recipe with one knob in it."""
    for part in reversed(parts):
        value = {part: value}
    return value


def _conditions(name: str, levels: Sequence[Level]) -> dict[str, tuple[str, ...] | None]:
    """What a condition may name once a factor is known: its labels, and the knobs it sets."""
    known: dict[str, tuple[str, ...] | None] = {
        path: None for level in levels for path in level.knobs
    }
    return {**known, name: tuple(level.label for level in levels)}
