"""The editor of plugin files: real-looking files of every layout, whose text stays as it is around what changes."""

from __future__ import annotations

import re
import typing as t

import pytest
import yaml
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub.document import PluginsError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub.edit import PluginFile
from hypothesis import given, settings
from hypothesis import strategies as st


class Line(t.NamedTuple):
    """A line of a generated file, and the entry that it is a part of."""

    text: str
    entry: int | None = None


class Made(t.NamedTuple):
    """A generated file."""

    lines: list[Line]
    newline: str
    ends: bool  # whether the last line has a newline
    bom: bool
    count: int
    flow: bool

    @property
    def text(self) -> str:
        return self.without(set())

    def without(self, gone: set[int]) -> str:
        """The file without the lines of some entries."""
        kept = [line.text for line in self.lines if line.entry not in gone]
        text = ("\ufeff" if self.bom else "") + "".join(line + self.newline for line in kept)
        last = self.lines[-1]
        return text if self.ends or last.entry in gone else text[: -len(self.newline)]


class Reader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Another reader than the editor's; for it, a tag that nobody knows is not there."""


Reader.add_multi_constructor("!", lambda loader, _suffix, node: loader.construct_scalar(node))


def load(text: str) -> t.Any:
    return Reader(text.replace("\t", " ")).get_single_data()


COMMENTS = [
    "# DO NOT REMOVE, owner: team \U0001f680",
    "#\ttabs\tinside",
    "# - package: ./commented-out",
    "#   disabled: false",
    "  # further in",
    "#",
    "",
    "   ",
    "# --- no document: [ { \" ' | > & * !",
]
FIRST_LINES = [
    "package: ./local/{n}",
    "package:   './odd  spacing/{n}'   # why",
    '"package": "./quoted/{n}"',
    "'package': ./quoted/{n}",
    "package: ./käse/{n}-\U0001f9c0 # ☃",
    "package: oci://host.example/a/b:1!c-{n}",
    "package: >-\n  ./folded/{n}",
]
OTHER_LINES = [
    "disabled: true",
    "disabled: false # off again: soon",
    "disabled: !!bool 'true'",
    "integrity: sha512-AAAA{n}==",
    "pluginConfig: {a: [1,  2], 'b': \"c # d\"}",
    "pluginConfig:\n  deep:\n    # a comment within\n    list:\n    - x\n    - {y: z}\n\n"
    "    text: |\n      # no comment\n      a: b",
    "pluginConfig:\n  secret: !vault ${TOKEN}\n  when: 2024-01-31\n  odd: ! x",
    "pluginConfig: *shared",
    "<<: *common",
    "? pullPolicy\n: Always",
    "dependencies:\n- ref: tekton",
    "dependencies: []",
    "note: >\n  folded\n  text",
    "empty:",
    "local: &a{n} {x: 1}\nagain: *a{n}",
    "tab:\tvalue\t# with tabs",
    "twice: 1\ntwice: 2",
]


def _entry(first: str, others: list[str], comments: list[str], number: int) -> list[str]:
    fields = list({field.partition(":")[0]: field for field in [first, *others]}.values())
    lines: list[str] = []
    for place, field in enumerate(fields):
        lines += field.replace("{n}", str(number)).split("\n")
        if comments and place < len(fields) - 1 and not re.search("[|>]", field):
            lines.append(comments.pop().strip())
    return [line if line.strip() else "" for line in lines]


@st.composite
def block_files(draw: t.Any) -> Made:
    """A file with a block list."""
    comment = st.sampled_from(COMMENTS)
    between = st.lists(comment, max_size=3)
    indent = draw(st.sampled_from([0, 2, 4]))
    count = draw(st.integers(1, 6))
    lines = [Line(text) for text in draw(between)]
    if draw(st.booleans()):
        lines += [Line("%YAML 1.2"), Line("--- # a document")] if draw(st.booleans()) and not lines else [Line("---")]
    lines += [Line("x-common: &common {disabled: true}"), Line("x-shared: &shared"), Line("  some: config")]
    if draw(st.booleans()):
        lines += [Line("includes:"), Line("  - dynamic-plugins.default.yaml")]
    lines += [Line(draw(st.sampled_from(["plugins:", "plugins: # all", "'plugins':", "plugins: &all", "plugins:\t"])))]
    for number in range(count):
        lines += [Line(" " * min(indent, 2) + text if text else text) for text in draw(between)]
        body = _entry(
            draw(st.sampled_from(FIRST_LINES)),
            draw(st.lists(st.sampled_from(OTHER_LINES), max_size=4)),
            [text for text in draw(between) if text.strip().startswith("#")],
            number,
        )
        gap = draw(st.sampled_from([" ", "   "]))
        inner = " " * (indent + 1 + len(gap))
        lines += [Line(" " * indent + "-" + gap + body[0], number)]
        lines += [Line(inner + text if text else text, number) for text in body[1:]]
    lines += [Line(text.replace("  #", "#")) for text in draw(between)]
    if draw(st.booleans()):
        lines += [Line("last: 1")]
    if draw(st.booleans()):
        lines += [Line("...")]
    return Made(lines, draw(st.sampled_from(["\n", "\r\n"])), draw(st.booleans()), draw(st.booleans()), count, False)


@st.composite
def flow_files(draw: t.Any) -> Made:
    """A file with a flow list, an entry in a line."""
    count = draw(st.integers(1, 5))
    whole = draw(st.booleans())  # the file is one flow mapping
    tail = draw(st.sampled_from(["", ","]))
    lines = [Line("{includes: [], plugins: [ # all" if whole else "plugins: [ # all")]
    for number in range(count):
        lines += [Line("  " + text.strip()) for text in draw(st.lists(st.sampled_from(COMMENTS), max_size=2))]
        others = draw(st.sampled_from(["", ", disabled: true", ", pluginConfig: {a: [1, {b: c}]}", ", disabled: "]))
        comma = "," if number < count - 1 else tail
        lines += [Line(f"  {{package: './flow/{number}'{others}}}{comma}", number)]
    lines += [Line("  ]}" if whole else "  ]"), Line("# the end")]
    return Made(lines, draw(st.sampled_from(["\n", "\r\n"])), draw(st.booleans()), draw(st.booleans()), count, True)


def subsequence(lines: list[str], text: str) -> bool:
    rest = iter(re.split(r"\r\n|\n", text.lstrip("\ufeff")))
    return all(any(line == other for other in rest) for line in lines)


ACTIONS = ["keep", "gone", "package", "enable", "rest"]
NEW = {"package": "@x/new@1", "disabled": False, "pluginConfig": {"a": {"b": ["c", "{{inherit}}", "\U0001f680"]}}}


@settings(max_examples=150)
@given(st.one_of(block_files(), flow_files()), st.data())
def test_removed_entries_go_with_their_lines_and_nothing_else(made: Made, data: t.Any) -> None:
    gone = data.draw(st.sets(st.integers(0, made.count - 1), max_size=made.count))
    file = PluginFile(made.text)
    before = load(made.text)
    new = file.edited([None if n in gone else entry for n, entry in enumerate(file.entries)], [], [])
    left = [entry for n, entry in enumerate(before["plugins"]) if n not in gone]
    assert load(new) == {**before, "plugins": left}
    if len(gone) < made.count and not made.flow:
        assert new == made.without(gone)
    kept = [line.text for line in made.lines if line.entry is None and "plugins" not in line.text]
    assert subsequence([line for line in kept if line.strip()], new)


@settings(max_examples=150)
@given(st.one_of(block_files(), flow_files()), st.data())
def test_changed_and_added_entries_are_what_they_should_be_and_other_lines_stay(made: Made, data: t.Any) -> None:
    file = PluginFile(made.text)
    actions = data.draw(st.lists(st.sampled_from(ACTIONS), min_size=made.count, max_size=made.count))
    entries: list[dict | None] = []
    for entry, action in zip(file.entries, actions, strict=True):
        clean = {key: value for key, value in entry.items() if key not in ("integrity", "dependencies")}
        entries.append(
            {
                "keep": entry,
                "gone": None,
                "package": {**entry, "package": "oci://x/y:{{inherit}}"},
                "enable": {**entry, "disabled": False},
                "rest": {**clean, "package": "@x/y@2", "dependencies": [{"ref": "sonataflow"}]},
            }[action]
        )
    added = data.draw(st.sampled_from([[], [NEW], [NEW, {"package": "@x/other@1"}]]))
    includes = data.draw(st.sampled_from([[], ["a.yaml"]])) if not file.has_includes else []
    before = load(made.text)
    new = file.edited(entries, added, includes)
    left = [entry for entry in entries if entry is not None]
    after = load(new)
    assert after.pop("plugins") in (left + added, added + left)
    del before["plugins"]
    assert after == {**before, **({"includes": includes} if includes else {})}
    untouched = [
        line.text
        for line in made.lines
        if "plugins" not in line.text and (line.entry is None or actions[line.entry] == "keep") and line.text.strip()
    ]
    assert made.flow or subsequence(untouched, new)
    assert new.startswith("\ufeff") == made.bom
    if made.newline == "\r\n" and not made.flow:
        assert "\n" not in new.replace("\r\n", "")
    again = PluginFile(new)
    assert again.edited(list(again.entries), [], []) == new


@pytest.mark.parametrize("count", [200])
def test_many_entries(count: int) -> None:
    entries = "".join(f"  # {n}\n  - package: ./a/{n}\n    disabled: true\n\n" for n in range(count))
    file = PluginFile("plugins:\n" + entries)
    odd: list[dict | None] = [None if n % 2 else entry for n, entry in enumerate(file.entries)]
    new = file.edited(odd, [], [])
    assert new.count("# ") == count
    assert [entry["package"] for entry in load(new)["plugins"]] == [f"./a/{n}" for n in range(0, count, 2)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "plugins:\n  - package: b\n"),
        ("# c", "# c\nplugins:\n  - package: b"),
        ("\ufeff", "\ufeffplugins:\n  - package: b\n"),
        ("---\n", "---\nplugins:\n  - package: b\n"),
        ("---\n# c\n...\n", "---\n# c\nplugins:\n  - package: b\n...\n"),
        ("plugins:\n", "plugins:\n  - package: b\n"),
        ("plugins: # c\n# d\n", "plugins: # c\n  - package: b\n# d\n"),
        ("plugins: ~\n", "plugins:\n  - package: b\n"),
        ("plugins: []   # c\nx: 1\n", "plugins:   # c\n  - package: b\nx: 1\n"),
        ("plugins: []", "plugins:\n  - package: b"),
        ("plugins: [ # c\n]\n", "plugins: [{package: b} # c\n]\n"),
        ("includes: []\r\n", "includes: []\r\nplugins:\r\n  - package: b\r\n"),
        ("  includes: []\n", "  includes: []\n  plugins:\n    - package: b\n"),
        ("{}", "{plugins: [{package: b}]}"),
        ("{includes: []}\n", "{includes: [], plugins: [{package: b}]}\n"),
        ("{plugins: }\n", "{plugins: [{package: b}] }\n"),
        ("{plugins: null}\n", "{plugins: [{package: b}]}\n"),
        ("plugins: [{package: a}]\n", "plugins: [{package: a}, {package: b}]\n"),
        ("plugins:\n- package: a", "plugins:\n- package: a\n- package: b"),
        (
            "plugins:\n- package: a\n  # its own\n# the next\n- package: c\n  # its own\n\n# the end\n",
            "plugins:\n- package: a\n  # its own\n# the next\n- package: c\n  # its own\n- package: b\n\n# the end\n",
        ),
        ("plugins: # c\n# d\n- package: |\n    a", "plugins: # c\n- package: b\n# d\n- package: |\n    a"),
        ("plugins:\n- package: |+\n    a\n\n", "plugins:\n- package: b\n- package: |+\n    a\n\n"),
        ("# c\na: |\n  x", "plugins:\n  - package: b\n# c\na: |\n  x"),
        ("plugins:\n- package: |-\n    a\n\n\n", "plugins:\n- package: |-\n    a\n- package: b\n\n\n"),
    ],
)
def test_an_entry_is_added_where_it_belongs(text: str, expected: str) -> None:
    file = PluginFile(text)
    assert file.edited(list(file.entries), [{"package": "b"}], []) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plugins:\n- package: a\n", "plugins: []\n"),
        ("plugins: # c\n\n# d\n- package: a # e\n# f\n", "plugins: [] # c\n\n# d\n# f\n"),
        ("plugins: &all # c\n- package: a\n", "plugins: &all [] # c\n"),
        ("plugins: [{package: a}] # c", "plugins: [] # c"),
        ("plugins: [{package: a}, ] # c", "plugins: [] # c"),
        ("plugins:\n-\n  # - dash\n  package: a\n\n# c", "plugins: []\n\n# c"),
        ("plugins:\n- package: a\n  text: |+\n    b\n\n# c\n", "plugins: []\n\n# c\n"),
        ("plugins:\n- {package: a,\n   disabled: true}\n", "plugins: []\n"),
        ("x: &x {package: a}\nplugins:\n- *x\n", "x: &x {package: a}\nplugins: []\n"),
    ],
)
def test_the_last_entry_leaves_an_empty_list(text: str, expected: str) -> None:
    assert PluginFile(text).edited([None], [], []) == expected


def test_a_comment_below_an_entry_is_no_part_of_it() -> None:
    text = "plugins:\n- package: a\n  # disabled: true\n\n  # - package: ./old\n- package: b\n"
    file = PluginFile(text)
    assert file.edited([None, file.entries[1]], [], []) == text.replace("- package: a\n", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- package: a # c\n  disabled: true # d\n", "- package: a # c\n  disabled: false # d\n"),
        ("- package: a\n  disabled:\n", "- package: a\n  disabled: false\n"),
        ("- package: a\n", "- package: a\n  disabled: false\n"),
        ("- package: a", "- package: a\n  disabled: false"),
        ("- enabled: true\n  package: a\n", "- package: a\n  disabled: false\n"),
        ("- enabled: true # c\n  package: a\n", "- # c\n  package: a\n  disabled: false\n"),
        ("- enabled: true\n  # c\n  package: a\n", "-\n  # c\n  package: a\n  disabled: false\n"),
        ("- {package: a, enabled: true}\n", "- {package: a, disabled: false}\n"),
        ("- {enabled: true, package: a}\n", "- {package: a, disabled: false}\n"),
        ("- package: a\n  !t disabled: !u true\n", "- package: a\n  !t disabled: false\n"),
        ("- {package: a, disabled: true}\n", "- {package: a, disabled: false}\n"),
        ("- <<: {enabled: true}\n  package: a\n", "- {package: a, disabled: false}\n"),
        ("- <<: {disabled: true}\n  package: a\n", "- <<: {disabled: true}\n  package: a\n  disabled: false\n"),
    ],
)
def test_a_field_changes_where_it_stands(text: str, expected: str) -> None:
    new = {"package": "a", "disabled": False}
    assert PluginFile("plugins:\n" + text).edited([new], [], []) == "plugins:\n" + expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\n---\nb: 2\n", "line 2 begins a second document"),
        ("plugins: []\nx: 1\nplugins: []\n", "lines 1 and 3 both have the key `plugins`"),
        ("x: 1\nplugins: {}\n", "line 2: `plugins` must be a list"),
        ("# c\n- a\n", "line 2: the file must be a mapping"),
        ("plugins:\n- package: a\n- 1\n", "line 3: an entry of `plugins` must be a mapping with `package`"),
        ("plugins:\n- package: a\n-\tpackage: b\n", "line 3 has YAML that this module, which reads with PyYAML, can"),
        ("plugins:\n- package: *nobody\n", "line 2 has YAML that this module"),
        ("plugins:\n- package: !e!x a\n", "line 2 has YAML that this module"),
        ("plugins:\n- package: \"\\UFFFFFFFF\"\n", "line 2 has YAML that this module"),
        ("plugins:\n# \x1b\n", "line 2 has a character that YAML does not allow: 0x1b"),
        ("plugins: " + "[" * 3000, "is nested too deeply"),
        ("plugins: &a [{package: a, pluginConfig: &b {c: *b}}]\n", "line 1 is nested too deeply, or in itself"),
        ("plugins:\n- &a\n  <<: *a\n  package: a\n", "line 2 merges a mapping into itself"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_with_its_line(text: str, said: str) -> None:
    with pytest.raises(PluginsError) as caught:
        PluginFile(text)
    assert said in str(caught.value)
    assert "not YAML" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plugins:\n- &a {package: a}\n- *a\n", "line 2 defines the anchor `a` in an entry that has to change"),
        ("plugins:\n- &a {package: a}\n- *a\n", "and line 3 uses it"),
        ("plugins:\n- package: &a a\n- package: *a\n", "line 2 defines the anchor `a`"),
        ("x: &l [{package: a}, {package: b}]\nplugins: *l\n", "line 2: `plugins` is an alias"),
        ("x: &l {plugins: [{package: a}, {package: b}]}\n<<: *l\n", "line 1: `plugins` is from a merge key"),
        (
            "plugins:\n- package: 0\n  text: |\n    x\n- package: a\n    # c\n    # d\n- package: b\n",
            "line 5: this module cannot change that without a change of what other lines say",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_edited_is_named_with_its_line(text: str, said: str) -> None:
    file = PluginFile(text)
    entries: list[dict | None] = [None if entry["package"] == "a" else entry for entry in file.entries]
    entries[0] = None if len(entries) < 3 else entries[0]
    with pytest.raises(PluginsError) as caught:
        file.edited(entries, [], [])
    assert said in str(caught.value)
    assert file.edited(list(file.entries), [], []) == text


@pytest.mark.parametrize(
    "text",
    [
        "plugins:\t# tab\n\t# tab\n- package: a\t# tab\n  disabled:\ttrue\n\t\n",
        "plugins:\n- package: a\n  x: !custom {b: !other c}\n  y: 2024-99-99\n  z: =\n  n: .nan\n  o: !!int x\n",
        "plugins:\n- {package: a, x: &x 1}\n- {package: b, x: &x 2, y: *x}\n",
        "%YAML 1.2\n---\nplugins:\n- ? package\n  : a\n- ? [a, b]\n  : c\n  package: d\n...\n",
        'plugins: [{"package":"a"},\n\t{"package":"b"}]\n',
        "plugins:\n- package\t: a\t\n  text: b\tc \t d\t# e\n  f\tg: [h\ti, j]\n",
        "plugins:\n- package: a\n\n\n",
    ],
)
def test_legal_yaml_is_read_and_kept(text: str) -> None:
    file = PluginFile(text)
    assert file.entries[0]["package"] == "a"
    assert file.edited(list(file.entries), [], []) == text
    entries: list[dict | None] = [{**file.entries[0], "package": "new"}, *file.entries[1:]]
    after = PluginFile(file.edited(entries, [{"package": "last"}], []))
    assert [entry["package"] for entry in after.entries] == [
        "new", *[entry["package"] for entry in file.entries[1:]], "last"
    ]  # fmt: skip
