# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A YAML text as nodes that know where they stand, aliases included, for an editor of the text. PRIVATE.

PyYAML reads less than YAML allows. What it needs not refuse (tabs between tokens, an anchor that is given twice, tags
that it does not know) is read here; the rest is named with its line, and never called wrong.
"""

from __future__ import annotations

import bisect
import typing as t

try:
    import yaml
except ImportError:  # AnsibleK8SModule reports the missing library in one clear line
    yaml = None  # type: ignore[assignment]
BREAKS = "\n\r\x85\u2028\u2029"
_MERGE = "tag:yaml.org,2002:merge"
_NULL = "tag:yaml.org,2002:null"
_SCALAR_ERRORS = (ValueError, LookupError, ArithmeticError, AttributeError, TypeError)


class PluginsError(ValueError):
    """A plugin file that cannot be understood or edited; the message says where and why."""


class Alias(t.NamedTuple):
    """An alias where it stands; PyYAML itself puts the anchored node in its place."""

    start_mark: t.Any
    end_mark: t.Any
    target: t.Any
    anchor: str


class Source(t.NamedTuple):
    """A text and its one document. All positions are indexes into the text."""

    text: str
    root: t.Any  # None when there is no document
    start: int  # where a first line can be put
    end: int  # where a last line can be put
    dashes: list[int]
    commas: list[int]
    colons: list[int]
    aliases: list[Alias]


class _Loader(yaml.SafeLoader if yaml else object):  # type: ignore[misc] # PyYAML may be missing
    """Composes nodes, and notes the positions that an editor needs and nodes do not have."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.dashes: list[int] = []
        self.commas: list[int] = []
        self.colons: list[int] = []
        self.aliases: list[Alias] = []

    def fetch_block_entry(self) -> None:
        self.dashes.append(self.index)
        super().fetch_block_entry()

    def fetch_flow_entry(self) -> None:
        self.commas.append(self.index)
        super().fetch_flow_entry()

    def fetch_value(self) -> None:
        self.colons.append(self.index)
        super().fetch_value()

    def scan_to_next_token(self) -> None:
        """Skip tabs as well where they are no indentation."""
        super().scan_to_next_token()
        while self.peek() == "\t" and (self.flow_level or not self.allow_simple_key or self._only_blanks_follow()):
            while self.peek() in " \t":
                self.forward()
            super().scan_to_next_token()

    def scan_plain_spaces(self, indent: int, start_mark: t.Any) -> t.Any:
        """Take tabs within a line of a plain value as well."""
        length = self._blanks()
        if "\t" not in self.prefix(length) or self.peek(length) in "\0" + BREAKS:
            return super().scan_plain_spaces(indent, start_mark)
        blanks = self.prefix(length)
        self.forward(length)
        return [blanks]

    def _blanks(self) -> int:
        length = 0
        while self.peek(length) in " \t":
            length += 1
        return length

    def _only_blanks_follow(self) -> bool:
        return self.peek(self._blanks()) in "#\0" + BREAKS

    def compose_node(self, parent: t.Any, index: t.Any) -> t.Any:
        if not self.check_event(yaml.AliasEvent):
            self.anchors.pop(self.peek_event().anchor, None)  # a later anchor of the same name takes its place
            return super().compose_node(parent, index)
        event = self.get_event()
        if event.anchor not in self.anchors:
            raise yaml.composer.ComposerError(None, None, f"found undefined alias {event.anchor!r}", event.start_mark)
        alias = Alias(event.start_mark, event.end_mark, self.anchors[event.anchor], event.anchor)
        self.aliases.append(alias)
        return alias


def read(text: str) -> Source:
    """Read a text of at most one document. Raises PluginsError with the line that PyYAML cannot read."""
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as exc:
        line = text.count("\n", 0, exc.position) + 1
        raise PluginsError(f"line {line} has a character that YAML does not allow: {exc.character:#x}") from exc
    try:
        return _document(loader, text)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark or loader.get_mark()
        raise _unread(mark.line + 1, str(exc.problem or exc.context)) from exc
    except PluginsError:
        raise
    except RecursionError as exc:
        raise _unread(loader.line + 1, "it is nested too deeply") from exc
    except (ValueError, OverflowError) as exc:
        raise _unread(loader.line + 1, str(exc)) from exc
    finally:
        loader.dispose()


def _unread(line: int, problem: str) -> PluginsError:
    return PluginsError(f"line {line} has YAML that this module, which reads with PyYAML, cannot read: {problem}")


def _document(loader: t.Any, text: str) -> Source:
    loader.get_event()
    bom = 1 if text.startswith("\ufeff") else 0
    root, start, end = None, bom, len(text)
    if not loader.check_event(yaml.StreamEndEvent):
        opened = loader.get_event()
        root = loader.compose_node(None, None)
        closed = loader.get_event()
        start = line_end(text, opened.end_mark.index) if opened.explicit else bom
        end = closed.start_mark.index if closed.explicit else len(text)
        if not loader.check_event(yaml.StreamEndEvent):
            line = loader.peek_event().start_mark.line + 1
            raise PluginsError(f"line {line} begins a second document, and only a file of one document can be edited")
    return Source(text, root, start, end, loader.dashes, loader.commas, loader.colons, loader.aliases)


# -- where things stand ---------------------------------------------------------------------------------------------


def line_start(text: str, index: int) -> int:
    """Return where the line of a position begins; a byte order mark is no part of it."""
    while index > 0 and text[index - 1] not in BREAKS and not (index == 1 and text[0] == "\ufeff"):
        index -= 1
    return index


def line_end(text: str, index: int) -> int:
    """Return where the line after the one of a position begins, or the end of the text."""
    while index < len(text) and text[index] not in BREAKS:
        index += 1
    if text[index : index + 2] == "\r\n":
        return index + 2
    return min(index + 1, len(text))


def first_from(positions: list[int], index: int, limit: int) -> int | None:
    """Return the first of some sorted positions that lies in a range."""
    place = bisect.bisect_left(positions, index)
    return positions[place] if place < len(positions) and positions[place] < limit else None


def content_end(source: Source, node: t.Any) -> int:
    """Return where a node's own text ends: its end mark may lie behind the comments that follow."""
    if isinstance(node, Alias) or getattr(node, "flow_style", None):
        return int(node.end_mark.index)
    if isinstance(node, yaml.ScalarNode):
        if node.style in ("|", ">"):
            return len(source.text[: node.end_mark.index].rstrip())
        return int(node.end_mark.index)
    last = node.value[-1]
    if isinstance(node, yaml.MappingNode):
        return max(content_end(source, part) for part in last)
    return content_end(source, last)


def is_open(source: Source, node: t.Any) -> bool:
    """Tell whether a node ends with a block scalar whose value any line below it would change."""
    while not isinstance(node, Alias) and not isinstance(node, yaml.ScalarNode) and not node.flow_style:
        node = node.value[-1][1] if isinstance(node, yaml.MappingNode) else node.value[-1]
    if isinstance(node, Alias) or node.__class__ is not yaml.ScalarNode or node.style not in ("|", ">"):
        return False
    return bool(node.value.endswith("\n\n")) or source.text[node.end_mark.index - 1] not in BREAKS


def line_of(node: t.Any) -> int:
    """Return the number of the line in which a node begins, from 1."""
    return int(node.start_mark.line) + 1


# -- what things say ------------------------------------------------------------------------------------------------


class Field(t.NamedTuple):
    """A field of a mapping. One that is not `own` comes from a merge key."""

    key: t.Any
    value: t.Any
    own: bool


def target(node: t.Any) -> t.Any:
    """Return the node that an alias stands for, or the node itself."""
    return node.target if isinstance(node, Alias) else node


def is_null(node: t.Any) -> bool:
    """Tell whether a node is null."""
    return isinstance(node, yaml.ScalarNode) and node.tag == _NULL


def is_merge(key: t.Any) -> bool:
    """Tell whether a key of a mapping is the merge key."""
    return isinstance(key, yaml.ScalarNode) and key.tag == _MERGE


def merged(value: t.Any) -> list[t.Any]:
    """Return the mappings that a merge key names, the one that counts most last."""
    value = target(value)
    parts = value.value if isinstance(value, yaml.SequenceNode) else [value]
    return [target(part) for part in reversed(parts) if isinstance(target(part), yaml.MappingNode)]


def fields(node: t.Any, depth: int = 0) -> dict[str, Field]:
    """Return the fields of a mapping with a scalar as key, those of merge keys included; of two the last counts."""
    if depth > 50:
        raise PluginsError(f"line {line_of(node)} merges a mapping into itself")
    inherited: dict[str, Field] = {}
    own: dict[str, Field] = {}
    for key, value in node.value:
        if is_merge(key):
            for part in merged(value):
                inherited.update({name: each._replace(own=False) for name, each in fields(part, depth + 1).items()})
        elif isinstance(target(key), yaml.ScalarNode):
            own[target(key).value] = Field(key, value, True)
    return {**inherited, **own}


def data(node: t.Any, depth: int = 0) -> t.Any:
    """Return what a node says as Python data; a value with a tag that PyYAML does not know as if it had none."""
    node = target(node)
    if depth > 100:
        raise PluginsError(f"line {line_of(node)} is nested too deeply, or in itself")
    if isinstance(node, yaml.SequenceNode):
        return [data(part, depth + 1) for part in node.value]
    if isinstance(node, yaml.MappingNode):
        return {name: data(each.value, depth + 1) for name, each in fields(node).items()}
    try:
        return yaml.constructor.SafeConstructor().construct_object(yaml.ScalarNode(node.tag, node.value))
    except (yaml.YAMLError, *_SCALAR_ERRORS):
        return node.value


class Meanings:
    """Numbers for what nodes mean: nodes of any texts have the same number when they say the same."""

    def __init__(self) -> None:
        self._numbers: dict[t.Any, int] = {}
        self._nodes: dict[int, tuple[t.Any, int]] = {}

    def of(self, node: t.Any) -> int:
        """Return the number of a node."""
        node = target(node)
        if id(node) not in self._nodes:
            self._nodes[id(node)] = (node, -1)  # what contains itself is not followed
            self._nodes[id(node)] = (node, self._number(self._key(node)))
        return self._nodes[id(node)][1]

    def of_list(self, numbers: t.Iterable[int]) -> int:
        """Return the number of a list of what has these numbers."""
        return self._number(("list", tuple(numbers)))

    def of_fields(self, pairs: t.Mapping[t.Any, int]) -> int:
        """Return the number of a mapping of what has these numbers."""
        return self._number(("mapping", frozenset(pairs.items())))

    def pairs(self, node: t.Any) -> dict[int, int]:
        """Return the numbers of a mapping's keys and values."""
        inherited: dict[int, int] = {}
        own: dict[int, int] = {}
        for key, value in node.value:
            if is_merge(key):
                for part in merged(value):
                    inherited.update(self.pairs(part))
            else:
                own[self.of(key)] = self.of(value)
        return {**inherited, **own}

    def _key(self, node: t.Any) -> t.Any:
        if isinstance(node, yaml.SequenceNode):
            return ("list", tuple(self.of(part) for part in node.value))
        if isinstance(node, yaml.MappingNode):
            return ("mapping", frozenset(self.pairs(node).items()))
        return ("scalar", node.tag, node.value)

    def _number(self, key: t.Any) -> int:
        return self._numbers.setdefault(key, len(self._numbers))


# -- how things are written --------------------------------------------------------------------------------------------


class _FlowDumper(yaml.SafeDumper if yaml else object):  # type: ignore[misc] # PyYAML may be missing
    """Quotes what has a colon: not every reader takes one within a plain value of a flow mapping."""

    def represent_str(self, data: str) -> t.Any:
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="'" if ":" in data else None)


def node(value: t.Any) -> t.Any:
    """Return a value as a node."""
    return yaml.compose(_dump(value), Loader=yaml.SafeLoader)


def _dump(value: t.Any, dumper: t.Any = None, **style: t.Any) -> str:
    dumper = dumper or yaml.SafeDumper
    return str(yaml.dump(value, Dumper=dumper, sort_keys=False, width=1 << 20, allow_unicode=True, **style))


def flow(value: t.Any) -> str:
    """Return a value as it can stand in a flow list, in one line."""
    return _dump([value], _FlowDumper, default_flow_style=True)[1:-2]


def pair(name: str, value: t.Any) -> str:
    """Return a field as it can stand in a flow mapping."""
    return f"{name}: {flow(value)}"


def lines(value: t.Any, column: int) -> list[str]:
    """Return a value as lines of a block that begins in a column."""
    return [" " * column + line for line in _dump(value).splitlines()]


def items(values: list[t.Any], column: int) -> list[str]:
    """Return values as lines of a block list whose dashes stand in a column."""
    written = []
    for value in values:
        first, *rest = lines(value, column + 2) if isinstance(value, dict) else [" " * (column + 2) + value]
        written += [first[:column] + "- " + first[column + 2 :], *rest]
    return written


if yaml:
    _FlowDumper.add_representer(str, _FlowDumper.represent_str)
