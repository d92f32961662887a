import pytest

from engine.core.documents import line_of
from engine.core.errors import InvalidDocument
from engine.workspace_folder import FILE_BYTES_MAX, read_workspace


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def faults(root, files):
    with pytest.raises(InvalidDocument) as caught:
        read_workspace(write(root, files))
    return [str(problem) for problem in caught.value.problems]


def test_long_suppression_lists_lie_in_files_of_their_own(tmp_path):
    problems = []
    files = {
        "limits.yaml": "suppression: {email: [a@example.com], webhook: }",
        "suppression/email.txt": "# bounced\nb@example.com\n\n  @c.example  \n",
        "suppression/email/old.txt": "d@example.com",
        "suppression/sms.txt": "+12025550123\n",
    }
    found = read_workspace(write(tmp_path, files), problems)["limits"]
    assert found == {"suppression": {"email": ["a@example.com", "d@example.com", "b@example.com", "@c.example"], "sms": ["+12025550123"], "webhook": None}}
    assert line_of(found, "suppression") == 1
    assert problems == []
    (tmp_path / "limits.yaml").write_text("suppression: none")
    assert read_workspace(tmp_path)["limits"] == {"suppression": "none"}


def test_a_folder_becomes_documents(tmp_path):
    problems = []
    found = read_workspace(
        write(
            tmp_path,
            {
                "maps/b.yaml": "map: b\npath: []",
                "maps/a.yml": "\nmap: a\npath: []",
                "maps/deep/c.json": '{"map": "c", "path": []}',
                "sequences/s.yaml": "sequence: s\nsteps: []",
                "templates/thanks.html": "---\nsubject: s\n---\n<p>x</p>",
                "templates/sms/short.txt": "hi",
                "products.yaml": "course: {price: 99}",
                "README.md": "read me",
                "maps/README.md": "me too",
                ".git/config": "x",
            },
        ),
        problems,
    )
    assert [one["map"] for one in found["maps"]] == ["a", "b", "c"]
    assert line_of(found["maps"][0], "map") == 2
    assert found["templates"] == {"short": "hi", "thanks": "---\nsubject: s\n---\n<p>x</p>"}
    assert found["products"] == {"course": {"price": 99}}
    assert found["team"] == found["limits"] == {}
    assert found["sequences"][0]["sequence"] == "s"
    assert problems == []


def test_an_empty_folder_is_an_empty_workspace(tmp_path):
    assert read_workspace(tmp_path)["maps"] == []


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InvalidDocument, match="nowhere: the workspace folder does not exist"):
        read_workspace(tmp_path / "nowhere")
    write(tmp_path, {"file": "x"})
    with pytest.raises(InvalidDocument, match="is not a folder"):
        read_workspace(tmp_path / "file")


def test_every_bad_file_is_named_at_once(tmp_path):
    found = faults(
        tmp_path,
        {
            "maps/twice.yaml": "map: a\nmap: b",
            "maps/list.yaml": "- map: a",
            "maps/latin.yaml": b"map: caf\xe9",
            "maps/large.yaml": "#" * (FILE_BYTES_MAX + 1),
            "templates/a.html": "x",
            "templates/a.txt": "y",
            "team.yaml": "- eve",
            "limits.yaml": "a: [",
            "limits.json": "{}",
        },
    )
    for says in (
        "maps/twice.yaml:2:",
        "maps/list.yaml: the document is a list",
        "maps/latin.yaml: is not UTF-8 (byte 8)",
        "maps/large.yaml: is larger",
        'the template "a" is also in templates/a.html',
        "team.yaml: the document must be a mapping",
        "limits.yaml:1:",
        "limits.json: limits.yaml is there too",
    ):
        assert [fault for fault in found if says in fault], (says, found)
    assert len(found) == 8


def test_what_is_no_part_of_a_workspace_is_a_warning(tmp_path):
    problems = []
    read_workspace(write(tmp_path, {"prodcuts.yaml": "a: 1", "map/x.yaml": "map: x", "maps/notes.doc": "x"}), problems)
    assert all(problem.warning for problem in problems)
    shown = [str(problem) for problem in problems]
    assert [one for one in shown if 'prodcuts.yaml: warning: is no part of a workspace and is left out (did you mean "products"?)' in one], shown
    assert [one for one in shown if 'map: warning: is no part of a workspace and is left out (did you mean "maps"?)' in one], shown
    assert [one for one in shown if "maps/notes.doc: warning: is left out" in one], shown


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "gone.yaml").symlink_to(tmp_path / "nowhere")
    assert read_workspace(tmp_path)["maps"] == []  # a link that leads nowhere is no file
    (tmp_path / "team.yaml").mkdir()
    assert faults(tmp_path, {}) == ["team.yaml: cannot be read: Is a directory"]
