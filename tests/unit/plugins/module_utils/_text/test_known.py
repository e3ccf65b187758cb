"""Values that are known are removed in every encoding, and short or common ones do no harm."""

from __future__ import annotations

import base64
import html
import json
import random
import re
import shlex
import string
import threading
import time
from urllib.parse import quote, quote_plus

import pytest
import yaml
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.known import KNOWN, hide_values
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.redact import redact_text

SEED = 20261129


def b64(text):
    return base64.b64encode(text.encode()).decode()


ENCODINGS = {
    "plain": lambda v: v,
    "base64": b64,
    "base64 after one byte": lambda v: b64("x" + v + "yz"),
    "base64 after two bytes": lambda v: b64("xy" + v + "z"),
    "base64 within": lambda v: b64("user:" + v),
    "base64 with a line end": lambda v: b64(v + "\n"),
    "urlsafe base64": lambda v: base64.urlsafe_b64encode(v.encode()).decode(),
    "urlsafe base64 after one byte": lambda v: base64.urlsafe_b64encode(("?" + v).encode()).decode(),
    "url": lambda v: quote(v, safe=""),
    "url of a path": quote,
    "url of a form": quote_plus,
    "url in lower case": lambda v: re.sub("%..", lambda code: code.group().lower(), quote(v, safe="")),
    "json": json.dumps,
    "json in json": lambda v: json.dumps(json.dumps(v)),
    "json with other letters": lambda v: json.dumps(v, ensure_ascii=False),
    "json of go": lambda v: json.dumps(v).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"),
    "python": repr,
    "python bytes": lambda v: repr(v.encode()),
    "shell": shlex.quote,
    "shell in backslashes": lambda v: "'" + v.replace("'", "'\\''") + "'",
    "yaml": lambda v: "'" + v.replace("'", "''") + "'",
    "xml": html.escape,
    "xml text": lambda v: html.escape(v, quote=False),
}


@pytest.fixture
def known():
    KNOWN.open()
    return KNOWN


def value(rng):
    letters = string.ascii_letters + string.digits + " ,'\"/\\&<>$%+=é!"
    return "k" + "".join(rng.choice(letters) for _turn in range(22)) + "z"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_known_value_is_hidden_in_each_encoding(known, encoding):
    rng = random.Random(f"{SEED}{encoding}")
    for _turn in range(40):
        secret = value(rng)
        known.open()
        known.add(secret)
        encoded = ENCODINGS[encoding](secret)
        for text in (encoded, f"said {encoded} and ended", f"a={encoded}"):
            shown = known.hide(text)
            assert "<redacted>" in shown
            # Whatever is left beside the mark are the ends of base64, which hold bits of other bytes as well.
            rest = shown.replace("said ", "").replace(" and ended", "").replace("a=", "").replace("<redacted>", "")
            assert len(rest) <= (11 if "base64" in encoding else 6), (secret, shown)


def test_the_values_of_secrets_are_learned_from_answers_lists_and_events(known):
    def secret(value):
        return {"kind": "Secret", "metadata": {"name": "s"}, "data": {"any": b64(value)}}

    known.learn(secret("first-canary"))
    known.learn({"kind": "SecretList", "items": [{"data": {"any": b64("second-canary")}}]})
    known.learn({"type": "ADDED", "object": secret("third-canary")})
    known.learn({**secret("x"), "data": None, "stringData": {"any": "fourth-canary"}})
    known.learn({"kind": "Secret", "data": {"binary": b64("")[:0] + "/////w=="}})
    known.learn("a page and no object")
    shown = known.hide("first-canary second-canary third-canary fourth-canary")
    assert "canary" not in shown


def test_secrets_within_a_value_are_known(known):
    config = {"auths": {"quay.io": {"username": "bot", "password": "dock-er-pw", "auth": b64("bot:other-pw")}}}
    pem = "-----BEGIN PRIVATE KEY-----\n" + "Zm9vYmFyYmF6cXV4" * 4 + "\n-----END PRIVATE KEY-----\n"
    known.add(json.dumps(config), "postgresql://hub:url-pw-1@db/x", pem)
    text = f"dock-er-pw {b64('bot:other-pw')} other-pw url-pw-1 {'Zm9vYmFyYmF6cXV4' * 4} quay.io bot"
    shown = known.hide(text)
    assert shown == "<redacted> <redacted> <redacted> <redacted> <redacted> quay.io bot"


@pytest.mark.parametrize("word", ["abc", "x", "", "true", "postgres", "5432", "Password", "sonataflow"])
def test_short_and_common_values_leave_a_text_as_it_is(known, word):
    known.add(word)
    text = "abc: postgres on 5432 is true, x Password sonataflow"
    assert known.hide(text) == text


def test_a_value_of_a_few_letters_is_hidden_where_it_stands_alone(known):
    known.add("hubs")
    assert known.hide("hubs, githubs, 'hubs'") == "<redacted>, githubs, '<redacted>'"


def test_names_in_a_secret_stay(known):
    data = {"POSTGRES_USER": "janus-idp", "POSTGRES_HOST": "db.rhdh.svc", "POSTGRES_PASSWORD": "hunter2hunter2"}
    known.learn({"kind": "Secret", "data": {key: b64(value) for key, value in data.items()}})
    assert known.hide("janus-idp at db.rhdh.svc with hunter2hunter2") == "janus-idp at db.rhdh.svc with <redacted>"


def test_nothing_is_kept_outside_of_a_module():
    KNOWN.add("hunter2hunter2")
    assert KNOWN.hide("hunter2hunter2") == "hunter2hunter2"
    KNOWN.open()
    KNOWN.add("hunter2hunter2")
    KNOWN.open()
    assert KNOWN.hide("hunter2hunter2") == "hunter2hunter2"


def test_the_header_of_a_request_is_known_and_has_no_white_space_around(known):
    assert known.header("Bearer sha256~canary-token\n") == "Bearer sha256~canary-token"
    assert known.header(f"Basic {b64('u:canary-pw')}") == f"Basic {b64('u:canary-pw')}"
    assert "canary" not in known.hide("sha256~canary-token canary-pw")


def test_texts_of_all_kinds_are_hidden_by_value(known):
    known.add("hunter2hunter2")
    assert redact_text("x hunter2hunter2 y") == "x <redacted> y"
    assert hide_values({"hunter2hunter2": ["hunter2hunter2", 7, ("hunter2hunter2",)]}) == {
        "<redacted>": ["<redacted>", 7, ["<redacted>"]]
    }


def test_words_of_ours_stay_although_a_secret_is_the_same_word(known):
    known.add("changed", "timed_out", "created")
    ended = {"changed": True, "wait": {"phase": "timed_out"}, "action": "created"}
    result = {**ended, "value": "changed", "msg": "was changed"}
    assert hide_values(result) == {
        **ended,
        "value": "<redacted>",
        "msg": "was <redacted>",
    }


def test_of_a_file_of_settings_only_the_secrets_are_known(known):
    lines = ["kind: SonataFlowPlatform", "namespace: orchestrator-workflows", "password: canary-pw"]
    known.add("\n".join([*lines, "export API_TOKEN='canary-2'"]))
    text = "kind: SonataFlowPlatform in namespace: orchestrator-workflows"
    assert known.hide(text) == text
    assert "canary" not in known.hide("x canary-pw y canary-2 z")


def test_public_and_long_values_cost_little(known):
    block = "\n".join(f"{number:06}{'Ab3' * 19}" for number in range(4000))
    known.add(f"-----BEGIN CERTIFICATE-----\n{block}\n-----END CERTIFICATE-----")
    assert not known.values
    known.add(block, "x" * 1_000_000)
    assert len(known.values) <= 200
    assert "Ab3Ab3" not in known.hide(block.splitlines()[7])


def test_several_readers_learn_at_the_same_time(known):
    def learn(number):
        for each in range(20):
            known.add(f"canary-{number}-{each}-value")
            known.hide("canary-0-0-value")

    threads = [threading.Thread(target=learn, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    text = yaml.safe_dump([f"canary-{number}-{each}-value" for number in range(4) for each in range(20)])
    assert "canary" not in known.hide(text)


def test_the_time_grows_as_the_text_does(known):
    known.add(*(f"canary-{number}-value" for number in range(10)))

    def seconds(size):
        text = "a log line without and with canary-3-value and more\n" * size
        begun = time.process_time()
        known.hide(text)
        return time.process_time() - begun

    small = min(seconds(2000) for _turn in range(3))
    assert min(seconds(16000) for _turn in range(3)) < 24 * max(small, 0.001)


def test_the_secrets_of_a_whole_namespace_are_learned_in_time_that_grows_with_their_number(known):
    def seconds(count):
        known.open()
        begun = time.process_time()
        for number in range(count):
            known.learn({"kind": "Secret", "data": {"any": b64(f"canary-{number}-" * 20)}})
        known.hide("text")
        return time.process_time() - begun

    assert seconds(400) < 24 * max(seconds(50), 0.001)
