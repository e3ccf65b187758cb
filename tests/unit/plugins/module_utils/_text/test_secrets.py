"""What looks like a secret is hidden in every form; what only speaks of secrets stays, byte for byte."""

from __future__ import annotations

import ast
import base64
import json
import random
import shlex
import time
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.keys import is_secret_key
from ansible_collections.rhdh.orchestrator.plugins.module_utils._text.redact import redact, redact_text

ROOT = Path(__file__).resolve().parents[5]
SEED = 20261129
ROUNDS = 12
PLAIN = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
NAMES = (
    "password",
    "PGPASSWORD",
    "dbPassword",
    "clientSecret",
    "client_secret",
    "accessToken",
    "AWS_SECRET_ACCESS_KEY",
    "api-key",
)


def b64(text):
    return base64.b64encode(text.encode()).decode()


def pem(body, begin="-----BEGIN RSA PRIVATE KEY-----\n", end="\n-----END RSA PRIVATE KEY-----"):
    filler = "MIIEpAIBAAKCAQEAxkV9w2Zr7Yk3mJtq8sLh5dNfQ1uT0oWcXvGiBzEeRyPaSjHk"
    return f"{begin}{filler}\n{filler}{body}\n{filler}{end}"


def jwt(canary):
    return f"eyJhbGciOiJSUzI1NiIsImtpZCI6IiJ9.{b64(json.dumps({'sub': 'x'})).rstrip('=')}.{canary}"


# Each form takes a name of a secret and a canary. In PLAIN_FORMS the canary is letters and digits, in RICH_FORMS
# it holds white space, commas, quotes and other signs, which the form quotes as its language does.
PLAIN_FORMS = {
    "environment": lambda n, c: f"{n}={c}",
    "yaml": lambda n, c: f"{n}: {c}",
    "tight yaml": lambda n, c: f"{n}:{c}",
    "arrow": lambda n, c: f"{n} => {c}",
    "go map, first key": lambda n, c: f"map[{n}:{c} user:u]",
    "member": lambda n, c: f"env[{n}]={c}",
    "go struct": lambda n, c: f"{{User:hub {n}:{c} Port:5432}}",
    "java map": lambda n, c: f"{{user=hub, {n}={c}, port=5432}}",
    "connection string": lambda n, c: f"Server=db;User Id=hub;{n}={c};Pooling=true",
    "query": lambda n, c: f"https://h/x?user=u&{n}={c}&ssl=true",
    "jdbc": lambda n, c: f"jdbc:postgresql://h:5432/d?user=u&password={c}",
    "jdbc of another": lambda n, c: f"jdbc:sqlserver://h:1433;user=u;password={c};encrypt=true",
    "oracle": lambda n, c: f"jdbc:oracle:thin:scott/{c}@h:1521:x",
    "url": lambda n, c: f"postgresql://u:{c}@h/d",
    "url with a slash": lambda n, c: f"postgresql://u:pa/{c}@h",
    "url with signs": lambda n, c: f"postgresql://u:p@#?{c}@h:5432/d",
    "redis": lambda n, c: f"redis://:{c}@h:6379/0",
    "url of a token": lambda n, c: f"https://{c}{c}@git.example.com/x.git",
    "header": lambda n, c: f"Authorization: Bearer {c}",
    "basic": lambda n, c: f"Authorization: Basic {b64('u:' + c)} {c}",
    "header of go": lambda n, c: f"map[Accept:[*/*] Authorization:[Bearer {c}]]",
    "curl": lambda n, c: f"curl -H 'Authorization: Bearer {c}' https://h",
    "curl user": lambda n, c: f"curl -u hub:{c} https://h",
    "x header": lambda n, c: f"X-Auth-Token: {c}",
    "cookie": lambda n, c: f"Set-Cookie: session={c}; Path=/",
    "bearer": lambda n, c: f"sent Bearer {c}9 to the server",
    "jwt": lambda n, c: f"token {jwt(c)} used",
    "option": lambda n, c: f"run --db-password {c} --verbose",
    "option with sign": lambda n, c: f"run --{n}={c} --verbose",
    "short option": lambda n, c: f"podman login -u me -p {c} quay.io",
    "joined option": lambda n, c: f"mysql -uroot -p{c} -h db",
    "list": lambda n, c: json.dumps(["run", "--password", c, "-v"]),
    "short list": lambda n, c: json.dumps(["login", "-u", "me", "-p", c]),
    "python list": lambda n, c: str(["run", "--token", c]),
    "yaml list": lambda n, c: f"args:\n- --password\n- {c}\n- -v",
    "literal": lambda n, c: f"oc create secret generic x --from-literal={n}={c}",
    "npm": lambda n, c: f"//registry.example.com/:_authToken={c}",
    "npm auth": lambda n, c: f"_auth={b64('u:' + c)}{c}",
    "dockerconfig": lambda n, c: json.dumps({"auths": {"quay.io": {"auth": c + "Zz9="}}}),
    "pem": lambda n, c: pem(c),
    "pem without end": lambda n, c: pem(c, end=""),
    "pem without begin": lambda n, c: pem(c, begin=""),
    "pem in json": lambda n, c: json.dumps({"x": pem(c)}),
    "pem in json without end": lambda n, c: json.dumps({"x": pem(c, end="")}),
    "element": lambda n, c: f"<{n}>{c}</{n}>",
    "escaped element": lambda n, c: f"&lt;{n}&gt;{c}&lt;/{n}&gt;",
    "cdata": lambda n, c: f"<{n}><![CDATA[{c}]]></{n}>",
    "entry": lambda n, c: f'<entry key="{n}">{c}</entry>',
    "attribute": lambda n, c: f'<property name="{n}" value="{c}"/>',
    "hadoop": lambda n, c: f"<property>\n  <name>{n}</name>\n  <value>{c}</value>\n</property>",
    "go env": lambda n, c: f"[{{Name:{n} Value:{c} ValueFrom:nil}}]",
    "sql in json": lambda n, c: json.dumps({"sql": f"ALTER ROLE hub PASSWORD '{c}'", "b": "c"}),
    "scram": lambda n, c: f"stored SCRAM-SHA-256$4096:{c}==$x:y for hub",
    "crypt": lambda n, c: f"hub:$apr1$salt${c}",
    "description": lambda n, c: f"    Environment:\n      {n}:  {c}\n      A: b",
    "container": lambda n, c: json.dumps({"Env": ["A=b", f"{n}={c}"]}),
    "secret": lambda n, c: (
        f"apiVersion: v1\nkind: Secret\ndata:\n  any: {c}\n  other: |\n    {c}\nmetadata:\n  name: x"
    ),
    "secret as json": lambda n, c: json.dumps({"kind": "Secret", "data": {"any": c, "other": c}, "a": "b"}),
    "secret as json in json": lambda n, c: json.dumps(json.dumps({"kind": "Secret", "stringData": {"any": c}})),
    "json in a url": lambda n, c: quote(json.dumps({n: c}), safe=""),
    "form in a url": lambda n, c: f"next=%2Fx%3F{n}%3D{c}%26a%3Db",
    "json in a page": lambda n, c: f"&quot;{n}&quot;:&quot;{c}&quot;",
    "container file": lambda n, c: f"ENV DB_PASSWORD {c}",
    "continued line": lambda n, c: f"run --token \\\n  {c}",
    "authorization of a token": lambda n, c: f"authorization: token {c}",
    "pgpass": lambda n, c: f"db.rhdh.svc:5432:*:hub:{c}",
    "list index": lambda n, c: f"{n}[0]={c}",
    "netrc": lambda n, c: f"machine h login u password {c}",
    "oracle user": lambda n, c: f"CREATE USER hub IDENTIFIED BY {c}",
    "ruby": lambda n, c: f'config[:{n}] = "{c}"' if "-" not in n else f"{n} = {c}",
    "subscript": lambda n, c: f'config["{n}"] = "{c}"',
    "default": lambda n, c: f"echo ${{PGPASSWORD:-{c}}}",
    "refused by a schema": lambda n, c: f'spec.{n}: Invalid value: "{c}": must be longer',
}
RICH_FORMS = {
    "json": lambda n, c: json.dumps({"user": "hub", n: c, "port": 5432}),
    "json with indents": lambda n, c: json.dumps({"user": "hub", n: c, "port": 5432}, indent=2),
    "json in json": lambda n, c: json.dumps({"body": json.dumps({n: c})}),
    "json in json in json": lambda n, c: json.dumps(json.dumps({"body": json.dumps({n: c})})),
    "python": lambda n, c: str({"user": "hub", n: c, "port": 5432}),
    "python bytes": lambda n, c: str({n: c.encode()}),
    "yaml of a library": lambda n, c: yaml.safe_dump({n: c, "user": "hub"}),
    "yaml in single quotes": lambda n, c: f"{n}: '" + c.replace("'", "''") + "'\nuser: hub",
    "yaml in double quotes": lambda n, c: f"{n}: {json.dumps(c)}\nuser: hub",
    "yaml block": lambda n, c: f"{n}: |\n  {c}\n  {c}\nuser: hub",
    "yaml folded": lambda n, c: f"a:\n  {n}: >-\n    {c}\n\n    {c}\n  user: hub",
    "yaml next line": lambda n, c: f"a:\n  {n}:\n    {c.strip()}\n  user: hub",
    "yaml in json": lambda n, c: json.dumps({"a.yaml": f"{n}: {json.dumps(c)}\nuser: hub\n"}),
    "yaml block in json": lambda n, c: json.dumps({"a.yaml": f"{n}: |\n  {c}\nuser: hub\n"}),
    "shell": lambda n, c: f"export {n.replace('-', '_')}={shlex.quote(c)}",
    "shell in double quotes": lambda n, c: f'{n}="{c.replace(chr(34), chr(92) + chr(34))}" psql',
    "option quoted": lambda n, c: f"run --password {shlex.quote(c)} --verbose",
    "list of rich": lambda n, c: json.dumps(["run", "--password", c, "-v"]),
    "properties": lambda n, c: f"db.{n}={c}",
    "spaced properties": lambda n, c: f"db.{n} = {c}",
    "sql": lambda n, c: "ALTER ROLE hub WITH PASSWORD '" + c.replace("'", "''") + "';",
    "sql identified": lambda n, c: "CREATE USER 'u'@'%' IDENTIFIED BY '" + c.replace("'", "''") + "' REQUIRE SSL",
    "sql encrypted": lambda n, c: "CREATE ROLE u LOGIN ENCRYPTED PASSWORD E'" + c.replace("'", "\\'") + "' VALID",
    "element rich": lambda n, c: f"<{n}>{c.replace('&', '&amp;').replace('<', '&lt;')}</{n}>",
    "env item": lambda n, c: yaml.safe_dump({"env": [{"name": n, "value": c}, {"name": "A", "value": "b"}]}),
    "env item as json": lambda n, c: json.dumps({"env": [{"name": n, "value": c}, {"name": "A", "value": "b"}]}),
    "env item, other order": lambda n, c: json.dumps([{"value": c, "name": n}]),
    "query quoted": lambda n, c: f"https://h/x?user=u&{n}={quote(c)}&ssl=true",
}
SURROUNDINGS = {
    "alone": lambda text: text,
    "lines": lambda text: f"starting\n{text}\ndone",
    "crlf": lambda text: f"starting\r\n{text}\r\ndone",
    "last line": lambda text: f"starting up: 1 of 2\n{text}",
}
# A form of one line may as well stand within a line of a log.
INLINE = {
    "log": lambda text: f"2026-11-29T05:45:02Z INFO connection: {text}",
    "sentence": lambda text: f"could not connect with {text}",
    "brackets": lambda text: f"failed ({text})",
}


def plain(rng):
    return "".join(rng.choice(PLAIN) for _turn in range(14)) + "q7"


def rich(rng):
    signs = " ,'\";&$!%+:#\\/{}()[]|<>@?*~`"
    return plain(rng)[:8] + "".join(rng.choice(signs) + plain(rng)[:6] for _turn in range(4))


def pieces(canary):
    """The words of a canary: none of them may be left, however the rest is written."""
    word, found = "", []
    for char in canary + " ":
        if char.isalnum():
            word += char
        else:
            found += [word] * (len(word) > 5)
            word = ""
    return found


@pytest.mark.parametrize("form", PLAIN_FORMS)
def test_a_plain_canary_is_hidden_in_each_form(form):
    rng = random.Random(f"{SEED}{form}")
    for _turn in range(ROUNDS):
        name, canary = rng.choice(NAMES), plain(rng)
        text = PLAIN_FORMS[form](name, canary)
        for around in (SURROUNDINGS | INLINE if "\n" not in text else SURROUNDINGS).values():
            shown = redact_text(around(text))
            assert canary not in shown, around(text)


@pytest.mark.parametrize("form", RICH_FORMS)
def test_a_canary_with_spaces_commas_and_quotes_is_hidden_in_each_form(form):
    rng = random.Random(f"{SEED}{form}")
    for _turn in range(ROUNDS):
        name, canary = rng.choice(NAMES), rich(rng)
        text = RICH_FORMS[form](name, canary)
        lonely = "\n" in text or "propert" in form
        for around in (SURROUNDINGS if lonely else SURROUNDINGS | INLINE).values():
            shown = redact_text(around(text))
            left = [piece for piece in pieces(canary) if piece in shown]
            assert not left, (around(text), shown)


@pytest.mark.parametrize(
    "form", ["json", "json with indents", "yaml of a library", "yaml block", "env item", "env item as json"]
)
def test_what_stands_beside_a_secret_stays(form):
    shown = redact_text(RICH_FORMS[form]("password", "a b,c'd\"e f"))
    assert {"env item": "name: A", "env item as json": '"name": "A", "value": "b"'}.get(form, "hub") in shown


HARMLESS = """\
secretName: orchestrator-database
passwordSecret: orchestrator-database
passwordKey: POSTGRES_PASSWORD
imagePullSecrets: [quay, mirror]
imagePullSecrets:\n- name: quay
key: password
secretKeyRef: {name: db, key: password}
secretKeyRef:\n  key: POSTGRES_PASSWORD\n  name: db\n  optional: false
{"secretKeyRef":{"key":"password","name":"db"}}
env:\n- name: PGPASSWORD\n  valueFrom:\n    secretKeyRef:\n      name: db\n      key: password
POSTGRES_PASSWORD:  <set to the key 'POSTGRES_PASSWORD' in secret 'db'>  Optional: false
secret "x" not found
secrets "db-token" is forbidden: User "system:serviceaccount:a:b" cannot get resource "secrets"
Secret orchestrator-credentials: key password is missing.
Secret rhdh/db-token: key password is empty.
secret/db-password created
configmap "api-token": not found
MountVolume.SetUp failed for volume "token" : secret "hub-token" not found
couldn't find key POSTGRES_PASSWORD in Secret rhdh/db
password authentication failed for user "u"
FATAL:  password authentication failed for user "hub" (SQLSTATE 28P01)
FATAL: no password was given: password is required
fe_sendauth: no password supplied
token expired
token: expired
Unauthorized: token: is not valid (any more)
the token's signature is invalid, the user's isn't
invalid bearer token, square/go-jose: error in cryptographic primitive
Bearer token required
Bearer authentication is not possible
Basic authentication failed
WWW-Authenticate: Bearer realm="https://quay.io/v2/auth",service="quay.io"
spec.password: Required value
spec.template.spec.containers[0].env[1].valueFrom.secretKeyRef.key: Required value
type: Ready, status: "False", reason: SecretNotFound, message: the Secret was not found
reason: TokenExpired
automountServiceAccountToken: true
serviceAccountToken:\n  expirationSeconds: 3607\n  path: token
tokenExpirationSeconds: 3600
password: ${POSTGRES_PASSWORD}
password: $(POSTGRES_PASSWORD)
password: {{ db_password }}
password: ""
password: null
"password": "<redacted>"
password:\n  secretKeyRef:\n    name: db
secret:\n  secretName: db
secret: {name: orchestrator-database, user_key: USER, password_key: PASSWORD}
{"secret":{"secretName":"db","defaultMode":420}}
max_tokens: 512
pass: 12, fail: 3
use --password to set the password
the option --token is required
Set --password-file or --token-file /run/x
mkdir -p data/db
ssh -p 2222 host
podman run -p 8080:80 image
oc patch deployment x -p '{"spec":{"replicas":1}}'
https://example.com:8443/x/@scope/plugin
oci://registry.example.com:5000/rhdh/plugin@sha256:0123456789abcdef
docker://localhost:5000/ns/image@sha256:0123
postgresql://hub@db:5432/orchestrator
jdbc:postgresql://db.rhdh.svc:5432/orchestrator?currentSchema=data-index-service
image: quay.io/rhdh/hub@sha256:7f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069
2026-11-29T05:45:02Z INFO auth: guest provider is enabled
auth: oidc
auth:\n  environment: development
-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUQ\n-----END CERTIFICATE-----
Permission denied: password file not readable
compass: north
cannot get token: Post "https://h:6443/api": dial tcp 10.0.0.1:6443: connect: connection refused
cannot get token: context deadline exceeded
podman run -p 127.0.0.1:8080:80 image
oc process -p NAME=x
failed to create token: the server could not find the requested resource
password_encryption: scram-sha-256
PASSWORD_MIN_LENGTH=8
unable to retrieve some image pull secrets (regcred); attempting to pull the image may not succeed.
Put the key password into Secret db in rhdh, or name the right key
GET /api/v1/namespaces/x/secrets/hub-token: 404 NotFound secrets "hub-token" not found
SELECT password FROM users WHERE id = 1
A module that shows no secret: whatever it ends with
The operator never repairs this Secret: put the keys back by hand.
no password: set POSTGRES_PASSWORD or another
set the new one: `ALTER ROLE postgres PASSWORD '...'`; then `restart`
{"a": "PASSWORD '...'", "b": "c"}
--tls-key=certificates/apiserver.key --auth=scram-sha-256
token: /var/run/secrets/kubernetes.io/serviceaccount/token
[{"name":"LEVEL","value":"info"},{"name":"TOKEN_URL","value":"https://h/token"}]
<secretName>db</secretName>
<token> is a placeholder
keys: password, user
it has keys POSTGRES_PASSWORD, POSTGRES_USER
identified by name
ERROR: role "hub" does not exist
java.lang.IllegalStateException: bad token:\n\tat a.b.C.d(C.java:12)
""".splitlines()


@pytest.mark.parametrize("line", HARMLESS)
def test_texts_that_only_speak_of_secrets_stay(line):
    text = line.replace("\\n", "\n").replace("\\t", "\t")
    for around in SURROUNDINGS.values():
        assert redact_text(around(text)) == around(text)


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        *((name, True) for name in NAMES),
        *(
            (name, True)
            for name in ("password1", "PASSWORD_2", "tls.key", "client-key-data", "passwordHash", "token_value")
        ),
        *(
            (name, True)
            for name in (".dockerconfigjson", "_authToken", "spring.datasource.password", "secretKey", "pwd")
        ),
        *((name, False) for name in ("secretName", "passwordKey", "passwordSecret", "imagePullSecrets", "tlsSecret")),
        *((name, True) for name in ("SECRET_KEY_BASE", "bindpw", "ACCESS_TOKEN_SECRET", "AUTH_SECRET", "pass_phrase")),
        *((name, False) for name in ("secretKeyRef", "key", "tokenUrl", "password-file", "user", "compass")),
    ],
)
def test_the_end_of_a_name_decides(name, secret):
    assert is_secret_key(name) is secret


def test_objects_hide_commands_lists_and_numbers():
    shown = redact(
        {
            "args": ["--password", "hunter2", "-p", "hunter3", "--port", "5432", "-p", "8080"],
            "env": [{"name": "PGPASSWORD", "value": "x1"}, {"name": "PGHOST", "value": "db"}],
            "passwords": ["a1", "b2"],
            "password": 12345678,
            "automountServiceAccountToken": True,
            "imagePullSecrets": ["quay"],
        }
    )
    assert shown == {
        "args": ["--password", "<redacted>", "-p", "<redacted>", "--port", "5432", "-p", "8080"],
        "env": [{"name": "PGPASSWORD", "value": "<redacted>"}, {"name": "PGHOST", "value": "db"}],
        "passwords": ["<redacted>", "<redacted>"],
        "password": "<redacted>",
        "automountServiceAccountToken": True,
        "imagePullSecrets": ["quay"],
    }


UNIT = {
    "log": "2026-11-29T05:45:02Z INFO request user=hub status=200 path=/api/v1 password=hunter2 token: abc\n",
    "one line": "password=hunter2,token=abc,user=x&secret=y;",
    "json": '{"password": "hunter2", "a": [1, 2]}, ',
    "begins of keys": "-----BEGIN PRIVATE KEY-----\n",
    "ends of keys": "-----END PRIVATE KEY-----\n",
    "begins of tokens": "eyJ-eyJ.",
    "schemes": "a.b+c-d.",
    "urls": "a://b:c",
    "quotes": 'password="',
    "other quotes": "token='x\\",
    "blocks": "password: |\n  x\n",
    "empty": "password:\n",
    "names": "name: password value ",
    "elements": "<password>x",
    "options": "--password -p ",
    "statements": "PASSWORD 'x IDENTIFIED BY ",
    "spaces": "password          ",
    "separators": "=:=:",
    "commas": "(token=,,,,",
    "sentences in brackets": "(token: is x",
    "references in brackets": "(token=${",
    "short auth": "(auth=a",
    "names before": "name: TOKEN value: (",
    "flows": "password: [",
    "values first": "{value: (",
    "letters": "abcdefgh",
    "dollars": "password $$x ",
    "mysql": "mysql -x ",
    "secrets": "kind: Secret\ndata:\n  a: b\n",
    "secrets in json": '"kind":"Secret","data":{"a":"b",',
    "encoded": "password%3A%22x",
    "indices": "password[0",
}


def seconds(text):
    best = 1e9
    for _turn in range(3):
        begun = time.process_time()
        redact_text(text)
        best = min(best, time.process_time() - begun)
    return best


@pytest.mark.parametrize("what", UNIT)
def test_the_time_grows_as_the_text_does(what):
    size = 1 << 13
    small, large = (UNIT[what] * (size * factor // len(UNIT[what])) for factor in (1, 8))
    # Eight times the text takes eight times the time; were the time quadratic, it would be 64 times.
    assert seconds(large) < 24 * max(seconds(small), 0.001)


def texts_of(path):
    """The texts in a file of Python, those with names in them included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "some-name" for part in node.values)


def test_what_the_collection_says_itself_stays():
    redaction = {"_secret_text.py", "_secret_keys.py", "_known.py"}
    texts = {
        text
        for path in sorted((ROOT / "plugins").glob("**/*.py"))
        if path.name not in redaction
        for text in texts_of(path)
    }
    assert len(texts) > 3000
    assert [text for text in sorted(texts) if redact_text(text) != text] == []


@pytest.mark.parametrize("folder", ["docs", "tests/recorded"])
def test_what_is_written_about_clusters_and_was_recorded_on_them_stays(folder):
    paths = [path for path in sorted((ROOT / folder).glob("**/*")) if path.suffix in (".md", ".yaml", ".yml", ".json")]
    if not paths:
        pytest.skip(f"{folder} is part of the repository, not of the collection")
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert redact_text(text) == text, path
