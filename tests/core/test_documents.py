import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.documents import DEPTH_MAX, DOCUMENT_CHARS_MAX, LocatedDict, file_of, line_of, read_document, suggest
from engine.core.errors import InvalidDocument


def read(text):
    return read_document(text, "maps/x.yaml")


def fault(text):
    with pytest.raises(InvalidDocument) as caught:
        read(text)
    return caught.value.problems[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("no", "no"),
        ("y", "y"),
        ("09:00", "09:00"),
        ("12:30:45", "12:30:45"),
        ("2026-01-05", "2026-01-05"),
        ("2026-01-05T09:00:00Z", "2026-01-05T09:00:00Z"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("017", 17),
        ("0o17", 15),
        ("0x1F", 31),
        ("+12", 12),
        ("-3.5", -3.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("true", True),
        ("False", False),
        ("tRUE", "tRUE"),
        ("null", None),
        ("~", None),
        ("", None),
        ("'5'", "5"),
        ('"true"', "true"),
        ("1w", "1w"),
        ("=", "="),
    ],
)
def test_a_scalar_is_what_the_core_schema_says(text, value):
    found = read(f"key: {text}")["key"]
    assert found == value
    assert type(found) is type(value)


def test_every_key_and_item_knows_its_line_and_file():
    found = read("map: a\n\npath:\n  - wait: 3d\n  - id: fin\n    end: true\n")
    assert line_of(found) == 1
    assert line_of(found, "path") == 3
    assert line_of(found["path"], 1) == 5
    assert line_of(found["path"][1], "end") == 6
    assert file_of(found["path"]) == "maps/x.yaml"
    assert line_of({"plain": 1}, "plain") == 0


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: 1\nb: 2\na: 3", 3, "stands twice"),
        ("a: !!python/object/apply:os.system [id]", 1, "tags"),
        ("a: ! 5", 1, "tags"),
        ("a: 1\n5: x", 2, "a key must be text"),
        ("true: x", 1, "a key must be text"),
        ("a: {{ name }}", 1, "a key must be text"),
        ("a: b: c", 1, "mapping values are not allowed"),
        ("a: [1", 1, "expected"),
        ("\ta: 1", 1, "cannot start"),
        ("a: *nowhere", 1, "no anchor"),
        ("a: &a [*a]", 1, "no anchor"),
        ("a: 1\n---\nb: 2", 2, "second document"),
        ("%YAML 1.1\n---\na: yes", 2, "1.2"),
        ("a: 1\n<<: {b: 2}", 2, "merge keys"),
        ("a: 1e999", 1, "too large"),
        ("a: 18446744073709551616", 1, "too large"),
        ("a: .inf", 1, "no number"),
        ('a: "\\ud83d"', 1, "half of a pair"),
        ("just text", 1, "single value"),
        ("a: 'x\x00'", 0, "#x0000"),
    ],
)
def test_what_would_mislead_is_an_error_with_its_line(text, line, says):
    problem = fault(text)
    assert says in problem.message
    assert problem.line == line
    assert problem.file == "maps/x.yaml"


def test_an_empty_file_is_an_empty_mapping():
    assert read("") == read("# nothing yet\n") == {}
    assert isinstance(read(""), LocatedDict)


def test_aliases_repeat_a_value_within_a_bound():
    assert read("a: &x [1, 2]\nb: *x") == {"a": [1, 2], "b": [1, 2]}
    levels = "".join(f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True))
    assert "aliases repeat" in fault("a: &a [x, x, x, x, x, x, x, x, x]\n" + levels).message


def test_depth_and_length_are_bounded():
    assert str(DEPTH_MAX) in fault("a: " + "[" * 5000).message
    assert "longer" in fault("#" * (DOCUMENT_CHARS_MAX + 1)).message


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=8).filter(lambda key: max(key, default="") < "\ud800"), PLAIN, max_size=4))
def test_json_is_read_as_json_reads_it(value):
    assert read(json.dumps(value)) == value


@given(st.text(max_size=200) | st.text(alphabet="{}[]:,-&*!|>'\"#%@ \n\tax1?", max_size=60))
def test_any_text_is_a_document_or_an_error_with_a_file(text):
    problems = []
    try:
        found = read(text)
    except InvalidDocument as error:
        found, problems = {}, error.problems
    assert isinstance(found, dict | list)
    assert all(problem.file == "maps/x.yaml" and problem.message for problem in problems)


def test_a_hostile_text_costs_no_more_than_its_length():
    # Quadratic reading of this would take minutes; pytest's own timeout is the judge.
    started = time.process_time()
    for text in ("- " * 3000, "? " * 3000, "{" * 3000, "a: &a\n" * 1000, "'" * 3000, "[,]" * 1000):
        with pytest.raises(InvalidDocument):
            read(text)
    assert time.process_time() - started < 60


def test_suggestions_are_near_or_absent():
    assert suggest("wiat", ["wait", "goal"]) == 'did you mean "wait"?'
    assert suggest("zzz", ["wait", "goal"]) == ""
