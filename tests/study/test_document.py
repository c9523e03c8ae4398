"""A study file's text: YAML without the traps of version 1.1, and the line of everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.study.config.document import (
    Document,
    Problem,
    StudyFileError,
    Unquoted,
    dump,
    parse_value,
    show,
)


def written(folder: Path, text: str) -> Path:
    path = folder / "study.yaml"
    path.write_text(text)
    return path


def problems(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(StudyFileError) as caught:
        Document(path, overrides).finish()
    return [str(problem).replace(f"{path.parent}/", "") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        (".5", 0.5),
        ("1.", 1.0),
        ("-3", -3),
        ("012", 12),
        ("0o17", 15),
        ("0x1F", 31),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("No", "No"),
        ("true", True),
        ("False", False),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2026-01-31", "2026-01-31"),
        ("=", "="),
        ("~", None),
        ("", None),
        ("null", None),
        ("none", "none"),
        ("'1'", "1"),
        ("'null'", "null"),
        ("[1, {a: b}]", [1, {"a": "b"}]),
        ("{1: a, 0.5: b, on: c}", {"1": "a", "0.5": "b", "on": "c"}),
    ],
)
def test_a_plain_value_means_what_yaml_1_2_says(text: str, value: object) -> None:
    found = parse_value(text)
    assert found == value and type(found) is type(value)


def test_infinity_is_read_so_that_it_can_be_refused_as_a_number() -> None:
    assert parse_value("-.inf") == float("-inf")
    assert parse_value(".nan") != parse_value(".nan")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1", "broken YAML (expected ',' or ']', but got '<stream end>')"),
        ("{a: 1, a: 2}", "'a' (expected: each key once; it is also on line 1)"),
        ("!!int x", "'x' (expected: a number)"),
        (
            "!!python/name:os.system",
            "!!python/name:os.system (expected: a plain value without a tag)",
        ),
    ],
)
def test_a_broken_value_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_value(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "name: x\nname: y\n",
            ["study.yaml:2: name: found 'name', expected each key once; it is also on line 1"],
        ),
        (
            "a:\n  b: 1\n  c: 2\n  b: 3\n",
            ["study.yaml:4: a.b: found 'b', expected each key once; it is also on line 2"],
        ),
        ("- a\n- b\n", ["study.yaml: the file: found a list of 2, expected a mapping"]),
        ("hello\n", ["study.yaml: the file: found 'hello', expected a mapping"]),
        (
            "name: x\nrecipe: {a: [1, 2}\n",
            ["study.yaml:2: broken YAML (expected ',' or ']', but got '}')"],
        ),
        (
            "name: x\nrecipe:\n\tdataset: wine\n",
            ["study.yaml:3: tabs are not allowed for indentation; use spaces"],
        ),
        (
            "name: x\nrecipe:\n  dataset: wine\n  epochs 3\nsearch: {}\n",
            ["study.yaml:4: a key without its colon, as in `epochs: 3`"],
        ),
        (
            "recipe:\n  dataset: wine\n epochs: 3\n",
            ["study.yaml:3: the indentation differs from that of the lines above"],
        ),
        (
            "name: a: b\n",
            ["study.yaml:1: a second colon in this line, or none in the line above"],
        ),
        (
            "name: x\n---\nname: y\n",
            ["study.yaml:2: broken YAML (but found another document)"],
        ),
        (
            "name: !!python/object/apply:os.system [x]\n? [a]\n: 3\ntrue: 4\n",
            [
                "study.yaml:2: ?: found a list or a mapping, "
                "expected a key that is text or a number",
                "study.yaml:4: true: found 'true', expected a key that is text or a number",
            ],
        ),
        (
            "recipe: &r\n  dataset: *r\n",
            ["study.yaml: nested too deeply"],
        ),
    ],
)
def test_a_broken_file_is_refused_with_its_line(
    tmp_path: Path, text: str, expected: list[str]
) -> None:
    assert problems(written(tmp_path, text)) == expected


_TOO_MANY = "study.yaml: more than 10,000 values, aliases included"
ALIASES = "a: &a0 [1, 1]\n" + "".join(f"b{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 30))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(ALIASES, _TOO_MANY, id="aliases"),
        pytest.param("a: [" + "1, " * 20_000 + "1]\n", _TOO_MANY, id="items"),
        pytest.param("# " + "x" * 600_000, "found 600,002 characters, expected at most", id="long"),
        pytest.param("a: " + "[" * 5000, "study.yaml: nested too deeply", id="deep"),
        pytest.param("a: " + "{a: " * 5000, "study.yaml: nested too deeply", id="deep mappings"),
    ],
)
def test_a_file_that_is_far_too_large_is_refused_at_once(
    tmp_path: Path, text: str, message: str
) -> None:
    (found,) = problems(written(tmp_path, text))
    assert message in found


def test_an_alias_is_read_as_what_it_stands_for(tmp_path: Path) -> None:
    text = "a: &range {low: 1}\nb: *range\n"
    assert Document(written(tmp_path, text)).content == {"a": {"low": 1}, "b": {"low": 1}}


def test_a_missing_file_names_the_nearest_one(tmp_path: Path) -> None:
    written(tmp_path, "name: x\n")
    path = tmp_path / "studdy.yaml"
    assert problems(path) == ["studdy.yaml: no such file; did you mean study.yaml?"]


def test_a_study_named_in_place_of_its_file_is_found_among_the_studies(tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    for name in ("m", "mm"):
        (tmp_path / "studies" / f"{name}.yaml").write_text("name: x\n")
    assert problems(tmp_path / "m") == ["m: no such file; did you mean studies/m.yaml?"]


def test_a_missing_folder_and_a_file_that_is_no_text_are_refused(tmp_path: Path) -> None:
    assert problems(tmp_path / "none" / "study.yaml") == ["study.yaml: no such file"]
    path = tmp_path / "study.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    assert problems(path) == ["study.yaml: not a text in UTF-8"]


def test_a_place_is_the_line_of_the_key_or_of_what_would_hold_it(tmp_path: Path) -> None:
    path = written(tmp_path, "# x\nrecipe:\n  dataset:\n    name: wine\nlist:\n- a\n- b\n")
    document = Document(path)
    assert document.place(("recipe", "dataset", "name")) == f"{path}:4"
    assert document.place(("recipe", "dataset", "size")) == f"{path}:3"
    assert document.place(("list", 1)) == f"{path}:7"
    assert document.place(("tune",)) == str(path)


@pytest.mark.parametrize(
    ("override", "content"),
    [
        ("epochs=3", {"epochs": 3}),
        ("recipe.epochs=1e1", {"recipe": {"epochs": 10.0}}),
        ("recipe.dataset.size=3", {"recipe": {"dataset": {"name": "wine", "size": 3}}}),
        ("recipe.list.1=c", {"recipe": {"list": ["a", "c"]}}),
        ("recipe.a.b=c", {"recipe": {"a": {"b": "c"}}}),
        ("tune.probe.rate={low: 1}", {"tune": {"probe.rate": {"low": 1}}}),
        ("tune.warm.rate.low=2", {"tune": {"warm.rate": {"low": 2}}}),
        ("recipe.dataset=", {"recipe": {"dataset": None}}),
        ("recipe.dataset=a=b", {"recipe": {"dataset": "a=b"}}),
    ],
)
def test_an_override_sets_the_key_that_its_path_names(
    tmp_path: Path, override: str, content: dict[str, dict[str, object]]
) -> None:
    text = "recipe:\n  dataset: wine\n  list: [a, b]\ntune:\n  warm.rate: {low: 1}\n"
    path = written(tmp_path, text)
    document = Document(path, [override])
    document.finish()
    expected = dict(Document(path).content)
    for block, keys in content.items():
        expected[block] = {**expected[block], **keys} if isinstance(keys, dict) else keys
    assert document.content == expected
    location = ("recipe", "dataset", "size")
    if override.startswith("recipe.dataset.size"):
        assert document.place(location) == f"--set {override}"
        assert document.place(location[:2]) == f"{path}:2"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("recipe.epochs", "recipe.epochs: found no value, expected KEY=VALUE"),
        ("=3", "--set: found 3, expected KEY=VALUE"),
        (
            "recipe.epochs=[1",
            "recipe.epochs: found broken YAML (expected ',' or ']', but got '<stream end>'), "
            "expected a value in YAML's notation",
        ),
        ("recipe.list.2=c", "recipe.list.2: found '2', expected a position from 0 to 1"),
        ("recipe.list.a.b=c", "recipe.list.a.b: found 'a', expected a position from 0 to 1"),
    ],
)
def test_an_override_that_sets_nothing_is_refused(
    tmp_path: Path, override: str, expected: str
) -> None:
    path = written(tmp_path, "recipe:\n  list: [a, b]\n")
    assert problems(path, override) == [f"--set {override}: {expected}"]


def test_a_new_block_of_an_override_is_placed_at_the_override(tmp_path: Path) -> None:
    document = Document(written(tmp_path, "name: x\n"), ["recipee.epochs=3"])
    assert document.place(("recipee",)) == "--set recipee.epochs=3"


def test_what_stands_at_one_location_may_be_known_by_another(tmp_path: Path) -> None:
    path = written(tmp_path, "recipe:\n  backbone.size: {a: 1}\n")
    document = Document(path)
    document.alias(("recipe", "backbone", "size"), ("recipe", "backbone.size"))
    assert document.place(("recipe", "backbone", "size", "a")) == f"{path}:2"


def test_problems_are_raised_together_once_each_in_the_order_of_the_lines(tmp_path: Path) -> None:
    document = Document(written(tmp_path, "a: 1\nb: 2\n" + "\n" * 9 + "c: 3\n"))
    for key in ("c", "a", "b", "a"):
        document.add((key,), 1, "2")
    with pytest.raises(StudyFileError) as caught:
        document.finish()
    assert [problem.key for problem in caught.value.problems] == ["a", "b", "c"]


def test_a_problem_reads_as_one_line() -> None:
    problem = Problem(place="x.yaml:3", key="a.b", found="1", expected="text", nearest="c")
    assert str(problem) == "x.yaml:3: a.b: found 1, expected text; did you mean c?"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "nothing"),
        ("sgd", "'sgd'"),
        (Unquoted("no level"), "no level"),
        (1.0, "1.0"),
        (1e-5, "1e-05"),
        (3, "3"),
        (True, "true"),
        ([1, 2], "a list of 2"),
        ({"a": 1}, "a mapping"),
    ],
)
def test_a_value_is_shown_as_it_may_have_been_written(value: object, shown: str) -> None:
    assert show(value) == shown


@pytest.mark.parametrize("text", ["1e3", "0o17", "yes", "12:30", "2020-01-01", "null", "", "a: b"])
@pytest.mark.parametrize("flow", [False, True])
def test_a_text_that_looks_like_a_number_is_read_back_as_a_text(text: str, flow: bool) -> None:
    content = {"name": text, "list": [text, 1, 1e3, True, None], text or "key": 0.00001}
    assert parse_value(dump(content, flow=flow)) == content
