"""The text of a study file: YAML with the line of every key, and the problems found in it.

The only reader of YAML. ``config`` reads its content, and notes every problem in it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from workbench.messages import nearest
from workbench.record.strategy import Knobs, Scalar
from workbench.study.config.knobs import label
from workbench.study.config.problems import Flaw
from workbench.study.config.yaml_schema import Dumper, Loader

Location = tuple[str | int, ...]
# Characters, and keys and items: a study file with more is a slip or a trap, and takes minutes.
_LONGEST, _MOST = 500_000, 10_000
_QUOTED = 200  # characters of a value in a message


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong with a study file: where, what was found, what is valid."""

    place: str
    key: str
    found: str
    expected: str
    nearest: str | None = None
    reason: str | None = None
    unknown: bool = False

    def __str__(self) -> str:
        """``digits.yaml:12: tune.momentun: unknown key 'momentun'; did you mean momentum?``.

        A reason takes the place of what was expected where only the model or the data know it.
        """
        said = f"{'unknown key' if self.unknown else 'found'} {self.found}" if self.found else ""
        if self.reason is not None:
            parts = [self.place, self.key, said, self.reason]
            return ": ".join(part for part in parts if part)
        expected = f", expected {self.expected}" if self.expected else ""
        hint = f"; did you mean {self.nearest}?" if self.nearest else ""
        return f"{self.place}: {self.key}: {said}{expected}{hint}"


class Unquoted(str):
    """Text about a file, which a message shows without quotes."""


class StudyFileError(Exception):
    """All that is wrong with a study file; nothing has been written when it is raised."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(dict.fromkeys(problems), key=_by_line))
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def with_name(self, file: str, name: str) -> StudyFileError:
        """The same problems of a study whose file is only temporary, without its lines."""
        lines = re.compile(rf"{re.escape(file)}(:\d+)?")
        return StudyFileError(
            replace(
                problem,
                place=lines.sub(name, problem.place),
                expected=lines.sub(name, problem.expected),
                reason=problem.reason and lines.sub(name, problem.reason),
            )
            for problem in self.problems
        )


def _by_line(problem: Problem) -> tuple[str, int]:
    file, _, line = problem.place.rpartition(":")
    return (file, int(line)) if line.isdigit() else (problem.place, 0)


def show(value: object) -> str:
    """A value as it should be quoted in a message."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, Unquoted) or value is None:
        return "nothing" if value is None else str(value)
    shown = repr(value) if isinstance(value, str | float) else label(value)
    return shown if len(shown) <= _QUOTED else f"{shown[:_QUOTED]}..."


def parse_value(text: str) -> Any:
    """One value in the notation of a study file; raises ``ValueError`` for broken YAML."""
    tree = _Tree()
    try:
        value = tree.read(text)
    except yaml.YAMLError as error:
        raise ValueError(_broken(error)) from None
    for _, found, expected in tree.problems:
        raise ValueError(f"{show(found)} (expected: {expected})")
    return value


def dump(content: Mapping[str, Any], *, width: float = 100, flow: bool = False) -> str:
    """The text of a study file with this content; with ``flow`` in braces.

    Raises:
        ValueError: A value has no place in YAML.
    """
    layout: dict[str, Any] = {"width": width, "default_flow_style": flow}
    try:
        return str(
            yaml.dump(dict(content), None, Dumper, sort_keys=False, allow_unicode=True, **layout)
        )
    except yaml.representer.RepresenterError as error:
        value = error.args[-1]
        raise ValueError(
            f"{value!r} is a {type(value).__name__}; expected text, a number, a list or a mapping."
        ) from error


def _broken(error: yaml.YAMLError) -> Unquoted:
    reason = error.problem if isinstance(error, yaml.MarkedYAMLError) else None
    for part, sentence in _MEANT.items():
        if part in (reason or ""):
            return Unquoted(sentence)
    return Unquoted(f"broken YAML ({reason})" if reason else str(error).splitlines()[0])


def nearest_file(path: Path) -> str | None:
    """The study file that may have been meant."""
    folders = (path.parent, path.parent / "studies")
    files = [file for folder in folders for file in sorted(folder.glob("*.y*ml"))]
    same = next((str(file) for file in files if path.name in (file.name, file.stem)), None)
    return same or nearest(path, files)


def _unreadable(path: Path, error: OSError | UnicodeDecodeError) -> str:
    """Why a study file cannot be read, and which one may have been meant."""
    if not isinstance(error, FileNotFoundError):
        return str(getattr(error, "strerror", None) or "not a text in UTF-8")
    near = nearest_file(path)
    return f"no such file; did you mean {near}?" if near else "no such file"


class Document:
    """A study file as plain data, and everything that was found wrong with it so far.

    Attributes:
        content: The mapping at the file's root, with every override in place.
        lines: The line of every key and list item, or the override that set it.
    """

    def __init__(self, path: Path, overrides: Sequence[str] = ()) -> None:
        self.path = path
        self.overrides = tuple(overrides)
        self.problems: list[Problem] = []
        self.lines: dict[Location, str] = {}
        self.text, self.content = self._read()
        for override in self.overrides:
            self._override(override)

    def add(
        self, location: Location, found: object, expected: str, near: str | None = None
    ) -> None:
        """Note a problem."""
        self.problems.append(self.problem(location, found, expected, near))

    def add_message(self, location: Location, sentence: str) -> None:
        """Note a problem in a sentence, where ``found ..., expected ...`` would read badly."""
        key = ".".join(map(str, location))
        place = self.place(location)
        self.problems.append(Problem(place=place, key=key, found="", expected="", reason=sentence))

    def add_flaws(self, base: Location, flaws: Iterable[Flaw]) -> None:
        """Note what is wrong with the value at a location."""
        for flaw in flaws:
            self.add_flaw((*base, *flaw.loc), flaw)

    def add_flaw(self, location: Location, flaw: Flaw) -> None:
        """Note a flaw of what stands at a location."""
        problem = self.problem(location, flaw.found, flaw.expected, flaw.nearest)
        self.problems.append(replace(problem, unknown=flaw.unknown))

    def problem(
        self, location: Location, found: object, expected: str, near: str | None = None
    ) -> Problem:
        """A problem with what stands at a location, without noting it."""
        return Problem(
            place=self.place(location),
            key=".".join(map(str, location)) or "the file",
            found=show(found),
            expected=expected,
            nearest=near,
        )

    def alias(self, location: Location, of: Location) -> None:
        """Let what stands at one location be known by another one too."""
        for known in [k for k in self.lines if k[: len(of)] == of]:
            self.lines[(*location, *known[len(of) :])] = self.lines[known]

    def place(self, location: Location) -> str:
        """``file:line`` of a key, or of what holds it where it is not in the file."""
        for length in range(len(location), -1, -1):
            line = self.lines.get(location[:length])
            if line is not None:
                return line if line.startswith("--") else f"{self.path}:{line}"
        return str(self.path)

    def discard(self, blocks: Collection[str | None]) -> None:
        """Forget what was noted of blocks."""
        self.problems = [p for p in self.problems if p.key.partition(".")[0] not in blocks]

    def finish(self) -> None:
        """Raise what was found so far, if anything was."""
        if self.problems:
            raise StudyFileError(self.problems)

    def _read(self) -> tuple[str, Knobs]:
        try:
            text = self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            self.add_message((), _unreadable(self.path, error))
            self.finish()
        if len(text) > _LONGEST:
            self.add((), Unquoted(f"{len(text):,} characters"), f"at most {_LONGEST:,}")
            self.finish()
        tree = _Tree()
        try:
            content = tree.read(text)
            content = {} if content is None else content
        except yaml.YAMLError as error:
            if isinstance(error, yaml.MarkedYAMLError):
                # A key without its colon began where its context does.
                missing = "could not find expected" in (error.problem or "")
                mark = error.context_mark if missing else error.problem_mark
                if mark is not None:
                    self.lines[()] = str(mark.line + 1)
            self.add_message((), _broken(error))
            self.finish()
        self.lines.update(tree.lines)
        for location, found, expected in tree.problems:
            self.add(location, found, expected)
        if not isinstance(content, dict):
            self.add((), content, "a mapping")
            self.finish()
        return text, content

    def _override(self, override: str) -> None:
        key, separator, written = override.partition("=")
        place = f"--set {override}"
        if not separator or not key:
            self._refuse(place, key or "--set", written or "no value", "KEY=VALUE")
            return
        try:
            value = parse_value(written)
        except ValueError as error:
            self._refuse(place, key, str(error), "a value in YAML's notation")
            return
        location = _override_location(self.content, key.split("."))
        block: Any = self.content
        for depth, part in enumerate(location, start=1):
            if isinstance(block, list) and isinstance(part, str):
                self._refuse(place, key, show(part), f"a position from 0 to {len(block) - 1}")
                return
            if depth == len(location):
                block[part] = value
                break
            inner = block.get(part) if isinstance(block, dict) else block[part]
            if not isinstance(inner, dict | list):
                inner = {"name": inner} if isinstance(inner, str) else {}
                block[part] = inner
            self.lines.setdefault(location[:depth], place)
            block = inner
        for known in [k for k in self.lines if k[: len(location)] == location]:
            del self.lines[known]
        self.lines[location] = place

    def _refuse(self, place: str, key: str, found: str, expected: str) -> None:
        self.problems.append(Problem(place=place, key=key, found=found, expected=expected))


def _override_location(content: Knobs, words: list[str]) -> Location:
    """The keys that a dotted path names; a key of the file may hold dots itself."""
    location: list[str | int] = []
    block: Any = content
    while words:
        # A new factor is a whole path: tune.probe.learning_rate has no key probe.
        new = len(words) if location in (["tune"], ["compare"]) else 1
        known = (n for n in range(len(words), 0, -1) if ".".join(words[:n]) in block)
        length = next(known, new) if isinstance(block, dict) else 1
        key: str | int = ".".join(words[:length])
        if isinstance(block, list) and words[0] in map(str, range(len(block))):
            key = int(words[0])
        location.append(key)
        if isinstance(block, dict):
            block = block.get(str(key))
        else:
            block = block[key] if isinstance(key, int) else None
        words = words[length:]
    return tuple(location)


# Reasons of PyYAML that say little to its reader, by a part of each.
_MEANT = {
    r"'\t'": "tabs are not allowed for indentation; use spaces",
    "could not find expected ':'": "a key without its colon, as in `epochs: 3`",
    "<block end>": "the indentation differs from that of the lines above",
    "mapping values are not allowed": "a second colon in this line, or none in the line above",
}


class _Tree:
    """Turns YAML nodes into plain data and remembers the line of every key."""

    def __init__(self) -> None:
        self.lines: dict[Location, str] = {}
        self.problems: list[tuple[Location, object, str]] = []
        self._count = 0

    def read(self, text: str) -> Any:
        """The data of a text; raises ``yaml.YAMLError`` for broken YAML, and for too much of it."""
        try:
            node = yaml.compose(text, Loader=Loader)
            return None if node is None else self.build(node, ())
        except RecursionError:
            # An alias of what it stands in is the deepest nesting of all.
            raise yaml.YAMLError("nested too deeply") from None

    def build(self, node: yaml.Node, location: Location) -> Any:
        self._count += 1
        if self._count > _MOST:
            raise yaml.YAMLError(f"more than {_MOST:,} values, aliases included")
        if location:
            self.lines.setdefault(location, str(node.start_mark.line + 1))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, location)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, location)
        return [self.build(item, (*location, i)) for i, item in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[Any, Any]:
        content: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            plain = isinstance(key_node, yaml.ScalarNode)
            key = self._scalar(key_node, location) if plain else None
            line = str(key_node.start_mark.line + 1)
            if not isinstance(key, str | int | float) or isinstance(key, bool):
                written = key_node.value if plain else Unquoted("a list or a mapping")
                at: Location = (*location, written if plain else "?")
                self.lines[at] = line
                self.problems.append((at, written, "a key that is text or a number"))
                continue
            # Keys that are numbers name phases and levels, which are texts everywhere else.
            key = label(key)
            at = (*location, key)
            if key in content:
                first = self.lines[at]
                self.lines[at] = line
                self.problems.append((at, key, f"each key once; it is also on line {first}"))
                continue
            self.lines[at] = line
            content[key] = self.build(value_node, at)
        return content

    def _scalar(self, node: yaml.ScalarNode, location: Location) -> Scalar:
        kind, text = node.tag.rpartition(":")[2], node.value
        if kind == "null":
            return None
        if kind == "bool":
            return bool(text.lower() == "true")
        try:
            if kind == "int":
                return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
            if kind == "float":
                return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            self.problems.append((location, text, "a number"))
        if kind not in ("str", "int", "float"):
            tag = Unquoted(node.tag.replace("tag:yaml.org,2002:", "!!"))
            self.problems.append((location, tag, "a plain value without a tag"))
        return str(text)
