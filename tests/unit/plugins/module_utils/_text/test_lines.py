"""Of a log its end is read, however long its lines are."""

from __future__ import annotations

import itertools

from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.lines import KEPT, MOST_READ, read_tail


def test_a_short_log_is_read_as_it_is():
    tail = read_tail([b"one\n", b"two\n"])
    assert (tail.text(), tail.cut, tail.complete) == ("one\ntwo\n", False, True)


def test_of_a_long_log_the_last_whole_lines_are_kept():
    lines = [b"%06d canary\n" % number for number in range(20000)]
    text = read_tail(lines).text()
    mark, first, *_others, last = text.splitlines()
    assert mark == f"[cut: only the last {KEPT} bytes are shown]"
    assert first.endswith(" canary")
    assert len(first) == 13
    assert last == "019999 canary"
    assert len(text) < KEPT + 100


def test_of_a_line_that_is_too_long_the_end_is_kept():
    text = read_tail([b"x" * 3 * KEPT + b" FATAL: the end"]).text()
    assert text.endswith("x FATAL: the end")
    assert text.startswith("[cut:")


def test_a_word_that_was_cut_is_left_out():
    line = b"token=canary " + b"all is well " * 6000
    for more in range(12):
        text = read_tail([b"x" * more + line]).text()
        assert text.splitlines()[1].split()[0] in ("all", "is", "well")


def test_a_log_without_end_is_not_read_for_ever():
    read = []

    def chunks():
        for number in itertools.count():
            read.append(number)
            yield b"x" * 65536

    tail = read_tail(chunks())
    assert len(read) * 65536 == MOST_READ
    assert not tail.complete
    assert tail.text().endswith(f"[cut: the log goes on; {MOST_READ} bytes of it were read]")


def test_a_letter_that_was_cut_does_no_harm():
    assert read_tail([("é" * 10 + "\nlast é").encode()], kept=9).text().endswith("\nlast é")


def test_nothing_gives_nothing():
    assert read_tail([]).text() == ""
