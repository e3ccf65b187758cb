# Copyright: (c) 2026, rhdh.orchestrator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Edits the list `plugins` of a plugin file as text: ranges are cut out or put in, all else stays. PRIVATE.

A comment belongs to its user. Only those within the lines of a removed entry go with it.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub import document
from ansible_collections.rhdh.orchestrator.plugins.module_utils._hub.document import PluginsError, yaml
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.objects import Object

PLUGINS = "plugins"
INCLUDES = "includes"
_PROPERTIES = re.compile(r"(?:[&!][^\s]*[ \t]*)+")  # anchor and tag before a value


class Cut(t.NamedTuple):
    """A range of the text and what is written in its place. One without text is an insertion."""

    start: int
    end: int
    text: str


class PluginFile:
    """A plugin file: its entries as data, and the text with other entries."""

    def __init__(self, text: str) -> None:
        """Raises PluginsError when the file is not what the operator expects, or cannot be read."""
        self._source = document.read(text)
        root = document.target(self._source.root)
        self._root: t.Any = None if root is None or _is_empty(root) else root
        if self._root is not None and not isinstance(self._root, yaml.MappingNode):
            raise PluginsError(
                f"line {document.line_of(root)}: the file must be a mapping with `{INCLUDES}` and `{PLUGINS}`"
            )
        self._fields = document.fields(self._root) if self._root is not None else {}
        self._refuse_second_list()
        self._list: t.Any = document.target(self._fields[PLUGINS].value) if PLUGINS in self._fields else None
        if self._list is not None and not (document.is_null(self._list) or isinstance(self._list, yaml.SequenceNode)):
            raise PluginsError(f"line {document.line_of(self._list)}: `{PLUGINS}` must be a list")
        self._items: list[t.Any] = [] if self._list is None or document.is_null(self._list) else self._list.value
        self.entries = [_entry(item) for item in self._items]
        self.has_includes = INCLUDES in self._fields
        self._newline = (re.search(r"\r\n|\r|\n", text) or ["\n"])[0]

    def _refuse_second_list(self) -> None:
        keys = [key for key, _value in (self._root.value if self._root is not None else ())]
        found = [
            key
            for key in keys
            if isinstance(document.target(key), yaml.ScalarNode) and document.target(key).value == PLUGINS
        ]
        if len(found) > 1:
            lines = " and ".join(str(document.line_of(key)) for key in found[:2])
            raise PluginsError(f"lines {lines} both have the key `{PLUGINS}`, and readers differ in which one counts")

    def edited(self, entries: list[Object | None], added: list[Object], includes: list[str]) -> str:
        """Return the text with these entries: None for one that goes, and any others at the end of the list.

        Raises PluginsError, with a line, for a layout in which that cannot be done.
        """
        text = self._source.text
        changed = [index for index, entry in enumerate(entries) if entry != self.entries[index]]
        if not changed and not added and not includes:
            return text
        where = document.line_of(self._items[changed[0]]) if changed else self._line_of_list()
        if (changed or added) and PLUGINS in self._fields:
            self._refuse_list_elsewhere()
        cuts = self._includes(includes) + self._changes(entries, changed) + self._additions(entries, added)
        self._refuse_used_anchors(cuts, changed, entries)
        try:
            new = _apply(text, cuts)
            done = new is not None and self._means(new, entries, added, includes)
        except (PluginsError, RecursionError):
            done = False
        if new is None or not done:
            raise PluginsError(
                f"line {where}: this module cannot change that without a change of what other lines say; write the "
                "entry with one field a line, and no comment below it that stands further to the right than its dash"
            )
        return new

    # -- what is refused -----------------------------------------------------------------------------------------

    def _line_of_list(self) -> int:
        return document.line_of(self._fields[PLUGINS].key) if PLUGINS in self._fields else 1

    def _refuse_list_elsewhere(self) -> None:
        field = self._fields[PLUGINS]
        if not field.own or isinstance(field.value, document.Alias):
            what = "an alias" if field.own else "from a merge key"
            raise PluginsError(
                f"line {document.line_of(field.value)}: `{PLUGINS}` is {what}, and only a list written there can "
                "be edited"
            )

    def _refuse_used_anchors(self, cuts: list[Cut], changed: list[int], entries: list[Object | None]) -> None:
        kept = {id(document.target(self._items[index])) for index in changed if entries[index] is not None}
        for alias in self._source.aliases:
            place, anchored = alias.start_mark.index, alias.target.start_mark.index
            cut_away = any(cut.start <= anchored < cut.end and not cut.start <= place < cut.end for cut in cuts)
            shared = id(alias.target) in kept and not any(cut.start <= place < cut.end for cut in cuts)
            if cut_away or shared:
                raise PluginsError(
                    f"line {document.line_of(alias.target)} defines the anchor `{alias.anchor}` in an entry that has "
                    f"to change, and line {alias.start_mark.line + 1} uses it: write the value out there first"
                )

    def _means(self, new: str, entries: list[Object | None], added: list[Object], includes: list[str]) -> bool:
        """Tell whether an edited text says what it should, and all else as before."""
        after, meanings = PluginFile(new), document.Meanings()
        expected = [self._meaning(meanings, index, entry) for index, entry in enumerate(entries) if entry is not None]
        new_ones = [meanings.of(document.node(entry)) for entry in added]
        expected = new_ones + expected if self._first(entries) else expected + new_ones
        wanted = meanings.pairs(self._root) if self._root is not None else {}
        if PLUGINS in self._fields or expected:
            wanted[meanings.of(document.node(PLUGINS))] = meanings.of_list(expected)
        if includes:
            wanted[meanings.of(document.node(INCLUDES))] = meanings.of(document.node(includes))
        return after._root is not None and meanings.of(after._root) == meanings.of_fields(wanted)

    def _meaning(self, meanings: document.Meanings, index: int, entry: Object) -> int:
        node, before = document.target(self._items[index]), self.entries[index]
        if entry == before:
            return meanings.of(node)
        pairs, keys = meanings.pairs(node), {name: field.key for name, field in document.fields(node).items()}
        for name in set(before) - set(entry):
            pairs.pop(meanings.of(keys[name]))
        for name, value in entry.items():
            if name not in before or before[name] != value:
                pairs[meanings.of(keys.get(name) or document.node(name))] = meanings.of(document.node(value))
        return meanings.of_fields(pairs)

    # -- cuts ----------------------------------------------------------------------------------------------------

    def _changes(self, entries: list[Object | None], changed: list[int]) -> list[Cut]:
        gone = [index for index in changed if entries[index] is None]
        if self._list is not None and getattr(self._list, "flow_style", None):
            cuts = self._cut_from_flow(self._list, [(item, item) for item in self._items], gone)
        else:
            cuts = [self._cut_lines(self._dash(index), self._items[index]) for index in gone]
        for index in changed:
            entry = entries[index]
            if entry is not None:
                cuts += self._change(self._items[index], self.entries[index], entry)
        return cuts

    def _dash(self, index: int) -> int:
        """Return where the dash of an entry of a block list is: the last one before it."""
        start = self._items[index].start_mark.index
        return max(dash for dash in self._source.dashes if dash < start)

    def _cut_lines(self, start: int, node: t.Any) -> Cut:
        text = self._source.text
        return Cut(
            document.line_start(text, start), document.line_end(text, document.content_end(self._source, node)), ""
        )

    def _change(self, item: t.Any, before: Object, entry: Object) -> list[Cut]:
        """Return the cuts that give an entry other fields."""
        gone = [name for name in before if name not in entry]
        fields = {} if isinstance(item, document.Alias) else document.fields(item)
        if not fields or any(not fields[name].own for name in gone):  # an alias, or fields of a merge key
            return [Cut(item.start_mark.index, document.content_end(self._source, item), document.flow(entry))]
        cuts, new = [], {}
        for name, value in entry.items():
            if name not in before or not fields[name].own:
                if name not in before or before[name] != value:
                    new[name] = value
            elif before[name] != value:
                cuts += self._set(fields[name], document.flow(value))
        if item.flow_style:
            pairs = list(item.value)
            spots = [pairs.index((fields[name].key, fields[name].value)) for name in gone]
            cuts += self._cut_from_flow(item, pairs, spots)
            kept = [index for index in range(len(pairs)) if index not in spots]
            return cuts + self._into_flow(
                item, pairs, kept, [document.pair(name, value) for name, value in new.items()]
            )
        cuts += [self._drop(item, fields[name], [fields[each].key for each in gone]) for name in gone]
        return cuts + self._add_fields(item, new)

    def _set(self, field: document.Field, value: str) -> list[Cut]:
        """Return the cuts that give a field another value."""
        node, text = field.value, self._source.text
        end = document.content_end(self._source, node)
        collection = not isinstance(node, (document.Alias, yaml.ScalarNode)) and not node.flow_style
        if collection:  # a flow value stands behind the colon, not on lines of its own
            colon = self._colon(field)
            return [Cut(colon + 1, colon + 1, f" {value}"), self._cut_lines(node.start_mark.index, node)]
        start = node.start_mark.index
        return [Cut(start, end, value if text[start - 1] in " \t" + document.BREAKS else f" {value}")]

    def _colon(self, field: document.Field) -> int:
        key_end = document.content_end(self._source, field.key)
        found = document.first_from(self._source.colons, key_end, len(self._source.text))
        return key_end if found is None else found

    def _drop(self, item: t.Any, field: document.Field, gone: list[t.Any]) -> Cut:
        """Return the cut that takes a field out of a block mapping; the first one shares the line of the dash."""
        text, start = self._source.text, field.key.start_mark.index
        before = text[document.line_start(text, start) : start]
        if not before.strip():
            return self._cut_lines(start, field.value)
        end = max(document.content_end(self._source, field.key), document.content_end(self._source, field.value))
        joined = self._next_kept(item, end, gone)
        if joined is not None:
            return Cut(start, joined, "")
        return Cut(start - len(before) + len(before.rstrip(" \t")), end, "")

    def _next_kept(self, item: t.Any, index: int, gone: list[t.Any]) -> int | None:
        """Return where the next field that stays begins; None when comments stand before it."""
        for key, value in item.value:
            start = key.start_mark.index
            if start >= index:
                if self._source.text[index:start].strip():
                    return None
                if key not in gone:
                    return int(start)
                index = document.content_end(self._source, value)
        return None

    def _add_fields(self, item: t.Any, new: Object) -> list[Cut]:
        if not new:
            return []
        column = item.value[0][0].start_mark.column
        above = item.value[0][1] if document.is_open(self._source, item) else item
        return [self._insert_lines(document.content_end(self._source, above), document.lines(new, column))]

    def _insert_lines(self, index: int, lines: list[str]) -> Cut:
        """Return the cut that puts lines below the one of a position."""
        place = document.line_end(self._source.text, index)
        if place == index or self._source.text[place - 1] not in document.BREAKS:
            return Cut(place, place, "".join(self._newline + line for line in lines))
        return Cut(place, place, "".join(line + self._newline for line in lines))

    def _cut_from_flow(self, node: t.Any, pairs: list[tuple[t.Any, t.Any]], gone: list[int]) -> list[Cut]:
        """Return the cuts that take some parts, and a comma each, out of a flow list or mapping."""
        text, close = self._source.text, node.end_mark.index - 1
        spans = [(key.start_mark.index, document.content_end(self._source, value)) for key, value in pairs]
        limits = [start for start, _end in spans[1:]] + [close]
        commas = [document.first_from(self._source.commas, end, limits[n]) for n, (_start, end) in enumerate(spans)]
        cuts = []
        for index in gone:
            start, comma = spans[index][0], commas[index]
            end = spans[index][1] if comma is None else comma + 1
            line, line_end = document.line_start(text, start), document.line_end(text, end)
            rest = text[end:line_end]
            if not text[line:start].strip() and (not rest.strip() or rest.lstrip().startswith("#")):
                cuts.append(Cut(line, line_end, ""))
            else:
                cuts.append(Cut(start, end + (len(rest) - len(rest.lstrip(" \t")) if comma is not None else 0), ""))
        kept = [index for index in range(len(pairs)) if index not in gone]
        if kept and gone and kept[-1] < gone[-1] and commas[gone[-1]] is None:
            comma, following = commas[kept[-1]], spans[kept[-1] + 1][0]
            if comma is not None:
                blank = text[comma + 1 : following].strip(" \t") == ""
                cuts.append(Cut(comma, following if blank else comma + 1, ""))
        return cuts

    def _into_flow(self, node: t.Any, pairs: list[tuple[t.Any, t.Any]], kept: list[int], parts: list[str]) -> list[Cut]:
        """Return the cut that puts parts behind the kept ones of a flow list or mapping."""
        if not parts:
            return []
        if kept:
            place = document.content_end(self._source, pairs[kept[-1]][1])
            gap = " " if self._source.text[place - 1] == ":" else ""  # of an empty value
            return [Cut(place, place, gap + "".join(f", {part}" for part in parts))]
        text, start = self._source.text, node.start_mark.index
        place = start + len((_PROPERTIES.match(text, start) or [""])[0]) + 1
        return [Cut(place, place, ", ".join(parts))]

    def _additions(self, entries: list[Object | None], added: list[Object]) -> list[Cut]:
        kept = [index for index, entry in enumerate(entries) if entry is not None]
        in_flow = self._root is not None and self._root.flow_style
        if self._list is None:
            return self._add_key(PLUGINS, added) if added else []
        if self._items and not self._list.flow_style:
            return self._into_block(entries, added)
        if not added:
            return []
        start, end = self._list.start_mark.index, self._list.end_mark.index
        if not in_flow and (document.is_null(self._list) or re.fullmatch(r"\[\s*\]", self._source.text[start:end])):
            return self._instead_of_nothing(start, end, added)
        if document.is_null(self._list):
            return self._set(self._fields[PLUGINS], document.flow(added))
        pairs = [(item, item) for item in self._items]
        return self._into_flow(self._list, pairs, kept, [document.flow(entry) for entry in added])

    def _first(self, entries: list[Object | None]) -> bool:
        """Tell whether entries are added above the others, because a line below them would be a part of the last."""
        kept = [self._items[index] for index, entry in enumerate(entries) if entry is not None]
        return bool(kept) and not self._list.flow_style and document.is_open(self._source, kept[-1])

    def _into_block(self, entries: list[Object | None], added: list[Object]) -> list[Cut]:
        """Return the cut that puts entries below the last one, or that leaves an empty list."""
        text, dash = self._source.text, self._dash(len(self._items) - 1)
        indent = dash - document.line_start(text, dash)
        if added and self._first(entries):
            return [self._insert_lines(self._colon(self._fields[PLUGINS]), document.items(added, indent))]
        if added:
            end = document.content_end(self._source, self._items[-1])
            return [self._insert_lines(self._below_comments(end, indent), document.items(added, indent))]
        if any(entries):
            return []
        start = self._list.start_mark.index
        properties = _PROPERTIES.match(text, start)
        colon = self._colon(self._fields[PLUGINS])
        place = start + len(properties[0].rstrip()) if properties else colon + 1
        return [Cut(place, place, " []")]

    def _below_comments(self, index: int, indent: int) -> int:
        """Return the last position of the comments that stand below an entry and further to the right than its dash."""
        text = self._source.text
        while True:
            start = document.line_end(text, index)
            line = text[start : document.line_end(text, start)]
            column = len(line) - len(line.lstrip(" "))
            if start == index or not line[column:].startswith("#") or column <= indent:
                return index
            index = start + column

    def _instead_of_nothing(self, start: int, end: int, added: list[Object]) -> list[Cut]:
        text, colon = self._source.text, self._colon(self._fields[PLUGINS])
        blank = not text[colon + 1 : start].strip(" \t")
        column = self._root.value[0][0].start_mark.column
        written = [Cut(colon + 1 if blank else start, end, "")] if end > start else []
        return [*written, self._insert_lines(end, document.items(added, column + 2))]

    def _add_key(self, name: str, value: t.Any) -> list[Cut]:
        """Return the cut that gives the file another key, at its end."""
        if self._root is not None and self._root.flow_style:
            pairs = list(self._root.value)
            return self._into_flow(self._root, pairs, list(range(len(pairs))), [document.pair(name, value)])
        column = self._root.value[0][0].start_mark.column if self._root is not None else 0
        lines = [" " * column + f"{name}:", *document.items(value, column + 2)]
        if self._root is not None and document.is_open(self._source, self._root):
            return self._first_lines(lines)
        text, end = self._source.text, self._source.end
        if end and text[end - 1] not in document.BREAKS + "\ufeff":
            return [Cut(end, end, "".join(self._newline + line for line in lines))]
        return [Cut(end, end, "".join(line + self._newline for line in lines))]

    def _first_lines(self, lines: list[str]) -> list[Cut]:
        """Return the cut that puts lines at the beginning of the document."""
        place, text = self._source.start, self._source.text
        before = self._newline if place and text[place - 1] not in document.BREAKS + "\ufeff" else ""
        return [Cut(place, place, before + "".join(line + self._newline for line in lines))]

    def _includes(self, includes: list[str]) -> list[Cut]:
        """Return the cut that gives the file the key `includes`, at its beginning."""
        if not includes:
            return []
        if self._root is not None and self._root.flow_style:
            return self._add_key(INCLUDES, includes)
        column = self._root.value[0][0].start_mark.column if self._root is not None else 0
        return self._first_lines([" " * column + f"{INCLUDES}:", *document.items(includes, column + 2)])


def _is_empty(root: t.Any) -> bool:
    return document.is_null(root) and root.value == ""


def _entry(item: t.Any) -> Object:
    node = document.target(item)
    if not isinstance(node, yaml.MappingNode) or "package" not in document.fields(node):
        raise PluginsError(f"line {document.line_of(item)}: an entry of `{PLUGINS}` must be a mapping with `package`")
    return t.cast(Object, document.data(node))


def _apply(text: str, cuts: list[Cut]) -> str | None:
    """Return the text after some cuts; None when one of them would write into what another removes."""
    parts, done = [], 0
    for cut in sorted(cuts, key=lambda cut: (cut.start, cut.end > cut.start)):
        if cut.start < done and cut.text:
            return None
        parts += [text[done : cut.start], cut.text]
        done = max(done, cut.end)
    return "".join([*parts, text[done:]])
