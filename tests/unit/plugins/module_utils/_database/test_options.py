from __future__ import annotations

import base64
import re
import shutil
import subprocess
from collections import Counter
from types import SimpleNamespace
from urllib.parse import unquote_plus

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import job as database_job
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import judge as database_judge
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import move as database_move
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import options as database_options
from ansible_collections.rhdh.orchestrator.plugins.module_utils._database import script as job_script
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.errors import ApiError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._kube.transport import UNREACHABLE
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.failures import InputError
from ansible_collections.rhdh.orchestrator.plugins.module_utils._run.flow import Call
from ansible_collections.rhdh.orchestrator.plugins.module_utils._wait.verdict import CERTIFICATE, UNAUTHORIZED
from ansible_collections.rhdh.orchestrator.plugins.modules import orchestrator_database as module
from hypothesis import given as with_values
from hypothesis import strategies as st

from ..fake_cluster import FakeCluster

CANARY = "c4n4ry-passw0rd"


def given(**changes):
    description = {"host": "pg.example.com", "port": 5432, "name": "orch", "secret": {"name": "db"}}
    return {**description, **changes}


def secret(**values):
    data = {"POSTGRES_USER": "u", "POSTGRES_PASSWORD": CANARY, **values}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items() if value is not None}
    return {"metadata": {"name": "db", "namespace": "ns"}, "data": encoded}


def test_a_good_description_has_no_problems():
    assert database_options.problems(given(), "ns") == []


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"service": "pg"}, "either host"),
        ({"host": None}, "either host"),
        ({"host": "http://pg:5432"}, "database.host"),
        ({"port": 0}, "between 1 and 65535"),
        ({"port": 65536}, "between 1 and 65535"),
        ({"name": None}, "database.name"),
        ({"name": "Orch"}, "quotes"),
        ({"name": "a" * 64}, "quotes"),
        ({"schemas": {"data_index": "a b"}}, "database.schemas.data_index"),
        ({"schemas": {"data_index": "same", "job_service": "same"}}, "different schemas"),
        ({"secret": {}}, "database.secret.name"),
        ({"secret": {"name": "db", "namespace": "other"}}, "own namespace"),
        ({"sslmode": "on"}, "database.sslmode"),
        ({"ca": {"key": "ca.crt"}}, "config_map or secret"),
        ({"ca": {"config_map": "c", "secret": "s"}}, "config_map or secret"),
        ({"ca": {"config_map": "c"}, "sslmode": "require"}, "does not verify"),
        ({"ca": {"config_map": "C_"}}, "'C_' cannot be an object's name"),
        ({"ca": {"config_map": "c", "key": "a/b"}}, "database.ca.key"),
        ({"sslmode": "verify-full"}, "needs the CA"),
        ({"name": "order"}, "keyword"),
        ({"name": "template1"}, "copies new databases from"),
        ({"schemas": {"job_service": "pg_jobs"}}, "PostgreSQL's own"),
        ({"schemas": {"job_service": "values"}}, "keyword"),
        ({"service_namespace": "elsewhere"}, "only together with database.service"),
        ({"secret": {"name": "db", "user_key": "a b"}}, "database.secret.user_key"),
        ({"secret": {"name": "db", "user_key": "k", "password_key": "k"}}, "are the same"),
    ],
)
def test_each_problem_of_a_description_is_named(changes, part):
    found = database_options.problems(given(**changes), "ns")
    assert len(found) == 1
    assert part in found[0]


def test_all_problems_are_told_at_once():
    assert len(database_options.problems({"port": 99999, "secret": {}}, "ns")) == 4


def test_an_external_host_becomes_a_jdbc_url():
    database = database_options.describe(given(), "ns")
    block = database.persistence("p", "data_index")
    assert block["jdbcUrl"] == "jdbc:postgresql://pg.example.com:5432/orch?currentSchema=p-data-index-service"
    assert block["secretRef"] == {"name": "db", "userKey": "POSTGRES_USER", "passwordKey": "POSTGRES_PASSWORD"}
    assert len(block) == 2  # the API accepts exactly two


def parse_jdbc(url):
    """Read a JDBC URL as the driver for Java does: split first, then decode each part."""
    found = re.fullmatch(r"jdbc:postgresql://(\[[^\]]+\]|[^:/?]+):(\d+)/([^?]*)\?(.*)", url)
    host, port, name, query = found.groups()
    pairs = [part.partition("=") for part in query.split("&")]
    values = {unquote_plus(key): unquote_plus(value) for key, _equals, value in pairs}
    assert len(values) == len(pairs), "a parameter came twice"
    return host.strip("[]"), int(port), unquote_plus(name), values


ANY = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=63)
HOSTS = st.one_of(st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True), st.ip_addresses().map(str))


@with_values(
    HOSTS,
    st.integers(1, 65535),
    ANY,
    ANY,
    st.sampled_from(["", *database_options.SSL_MODES]),
    st.booleans(),
    st.sampled_from(sorted(database_options.SERVICE_SUFFIX)),
)
def test_a_jdbc_url_is_read_back_as_it_was_meant(host, port, name, schema, mode, verified, service):
    ca = database_options.Certificate("secret", "ca", "the ca.crt") if verified else None
    database = database_options.Database(
        "ns", host, port, name, "s", "u", "p", schemas={service: schema}, sslmode=mode, ca=ca
    )
    url = database.jdbc_url("platform", service)
    wanted = {"currentSchema": schema}
    if mode:
        wanted["sslmode"] = mode
    if verified and service == "data_index":
        wanted["sslrootcert"] = "/etc/orchestrator/database-ca/the ca.crt"
    assert parse_jdbc(url) == (host, port, name, wanted)
    # A URL is also a line of properties and the value of a variable, where these mean something.
    assert not set(url) & set(" $(){}\\\n\r\t\"'#")
    assert url.isascii()


@with_values(
    st.from_regex(r"[a-z_][a-z0-9_]{0,62}", fullmatch=True), st.from_regex(r"[a-z_][a-z0-9_-]{0,62}", fullmatch=True)
)
def test_a_name_that_is_accepted_needs_no_encoding(name, schema):
    if database_options.problems(given(name=name, schemas={"data_index": schema}), "ns"):
        return
    url = database_options.describe(given(name=name, schemas={"data_index": schema}), "ns").jdbc_url("p", "data_index")
    assert url == f"jdbc:postgresql://pg.example.com:5432/{name}?currentSchema={schema}"


def test_a_service_becomes_a_reference():
    database = database_options.describe(given(host=None, service="pg", schemas={"data_index": "di"}), "ns")
    reference = {"name": "pg", "namespace": "ns", "port": 5432, "databaseName": "orch"}
    assert database.persistence("p", "data_index")["serviceRef"] == {**reference, "databaseSchema": "di"}
    assert database.persistence("p", "job_service")["serviceRef"] == reference
    assert database.host == "pg.ns.svc"


def test_a_service_with_tls_needs_a_url():
    database = database_options.describe(given(host=None, service="pg", sslmode="require"), "ns")
    assert "sslmode=require" in database.persistence("p", "data_index")["jdbcUrl"]


def test_an_ipv6_address_is_put_in_brackets():
    database = database_options.describe(given(host="fd00::1"), "ns")
    assert database.jdbc_url("p", "data_index").startswith("jdbc:postgresql://[fd00::1]:5432/orch?")


def test_a_ca_means_full_verification_and_reaches_both_drivers():
    database = database_options.describe(given(ca={"config_map": "pg-ca", "key": "root ca.crt"}), "ns")
    assert database.sslmode == "verify-full"
    index, jobs = database.jdbc_url("p", "data_index"), database.jdbc_url("p", "job_service")
    assert "sslrootcert=/etc/orchestrator/database-ca/root%20ca.crt" in index
    assert "sslrootcert" not in jobs  # its reactive driver would hand it to the server
    env = {item["name"]: item["value"] for item in database.pod_template("p", "job_service")["container"]["env"]}
    assert env["QUARKUS_DATASOURCE_REACTIVE_POSTGRESQL_SSL_MODE"] == "verify-full"
    assert env["QUARKUS_DATASOURCE_REACTIVE_TRUST_CERTIFICATE_PEM_CERTS"] == "/etc/orchestrator/database-ca/root ca.crt"
    assert "QUARKUS_DATASOURCE_REACTIVE_TRUST_ALL" not in env
    assert database.pod_template("p", "data_index")["volumes"][0]["configMap"] == {"name": "pg-ca"}


def test_without_tls_the_pod_template_is_left_alone():
    assert database_options.describe(given(), "ns").pod_template("p", "job_service") == {}


def test_the_secret_needs_both_keys_with_content():
    database = database_options.describe(given(), "ns")
    assert database_options.secret_problems(secret(), database) == []
    assert database_options.secret_problems(None, database) == ["Secret ns/db does not exist."]
    missing = database_options.secret_problems(secret(POSTGRES_PASSWORD=None), database)
    assert "has no key POSTGRES_PASSWORD (it has POSTGRES_USER)" in missing[0]
    assert "key POSTGRES_USER is empty" in database_options.secret_problems(secret(POSTGRES_USER=" "), database)[0]
    assert not any(CANARY in text for text in database_options.secret_problems(secret(POSTGRES_USER=""), database))


def test_a_ca_must_be_pem():
    certificate = database_options.Certificate("config_map", "ca", "ca.crt")
    pem = "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n"
    good = {"metadata": {}, "data": {"ca.crt": pem}}
    assert database_options.certificate_problems(good, certificate, "ns") == []
    assert "not a PEM" in database_options.certificate_problems({"data": {"ca.crt": "TUlJ"}}, certificate, "ns")[0]
    assert "has no key" in database_options.certificate_problems({"data": {"x": pem}}, certificate, "ns")[0]
    assert "does not exist" in database_options.certificate_problems(None, certificate, "ns")[0]
    held = {"data": {"ca.crt": base64.b64encode(pem.encode()).decode()}}
    assert (
        database_options.certificate_problems(held, database_options.Certificate("secret", "ca", "ca.crt"), "ns") == []
    )


def hub_platform(**reference):
    postgresql = {
        "secretRef": {
            "name": "backstage-psql-secret-dh",
            "userKey": "POSTGRES_USER",
            "passwordKey": "POSTGRES_PASSWORD",
        },
        "serviceRef": {
            "name": "backstage-psql-dh",
            "namespace": "ns",
            "databaseName": database_options.HUB_DATABASE,
            **reference,
        },
    }
    block = {"enabled": True, "persistence": {"postgresql": postgresql}}
    return {"metadata": {"name": "p"}, "spec": {"services": {"dataIndex": block, "jobService": block}}}


def test_the_platform_of_the_hub_uses_the_hub_database():
    database = database_options.hub_database("dh", "ns")
    assert database_move.uses(hub_platform(), database)
    assert database_move.uses(hub_platform(port=5432), database)
    assert not database_move.uses(hub_platform(port=5433), database)
    assert not database_move.uses(hub_platform(databaseName="other"), database)
    assert not database_move.uses({"spec": {}}, database)
    assert not database_move.uses(None, database)


def test_only_services_leave_data_behind():
    database = database_options.hub_database("dh", "ns")
    assert database_move.leaves(hub_platform(databaseName="other"), database)
    assert not database_move.leaves(hub_platform(), database)
    assert not database_move.leaves({"spec": {}}, database)
    assert not database_move.leaves(None, database)


def test_our_own_rendering_is_recognised_again():
    for changes in ({}, {"sslmode": "require"}, {"host": None, "service": "pg"}):
        database = database_options.describe(given(**changes), "ns")
        services = {
            field: {"persistence": {"postgresql": database.persistence("p", service)}}
            for field, service in (("dataIndex", "data_index"), ("jobService", "job_service"))
        }
        assert database_move.uses({"spec": {"services": services}}, database)


def ours(database):
    blocks = {
        field: {"persistence": {"postgresql": database.persistence("p", service)}}
        for field, service in (("dataIndex", "data_index"), ("jobService", "job_service"))
    }
    return {"kind": "SonataFlowPlatform", "metadata": {"name": "p", "namespace": "ns"}, "spec": {"services": blocks}}


@pytest.mark.parametrize(
    "changes",
    [
        {"sslmode": "require"},
        {"ca": {"config_map": "c"}},
        {"schemas": {"job_service": "other"}},
        {"secret": {"name": "db2"}},
        {"secret": {"name": "db", "user_key": "USER"}},
    ],
)
@pytest.mark.parametrize("place", [{}, {"host": None, "service": "pg"}])
def test_a_proof_counts_only_for_the_same_way_to_the_database(changes, place):
    platform = ours(database_options.describe(given(**place), "ns"))
    assert database_move.reaches(platform, database_options.describe(given(**place), "ns"))
    assert database_move.uses(platform, database_options.describe(given(**{**place, "secret": {"name": "db2"}}), "ns"))
    assert not database_move.reaches(platform, database_options.describe(given(**{**place, **changes}), "ns"))
    assert not database_move.reaches(None, database_options.describe(given(**place), "ns"))


def test_the_platform_of_the_hub_reaches_its_database():
    database = database_options.hub_database("dh", "ns")
    assert database_move.reaches(hub_platform(), database)
    assert (
        database_move.reaches(hub_platform(databaseSchema="p-data-index-service"), database) is False
    )  # not the Job Service's
    assert not database_move.reaches(hub_platform(databaseName="other"), database)


def crashed(message, **status):
    return {
        "status": {"containerStatuses": [{"ready": False, "lastState": {"terminated": {"message": message}}, **status}]}
    }


def test_a_crashing_service_tells_that_the_database_is_missing():
    database = database_options.describe(given(), "ns")
    text = 'FATAL: database "orch" does not exist'
    assert database_move.told_missing([crashed(text)], database)
    assert not database_move.told_missing([crashed(text, ready=True)], database)
    assert not database_move.told_missing([crashed('FATAL: database "orch2" does not exist'), {}], database)


def policy(name, kind):
    return {"metadata": {"name": name}, "spec": {"policyTypes": [kind]}}


def test_network_policies_on_the_way_are_named():
    database = database_options.describe(given(host="pg.data.svc.cluster.local"), "ns")
    assert database_judge.server_namespace(database) == "data"
    told = database_judge.policies_between(
        [policy("out", "Egress"), policy("in", "Ingress")], [policy("closed", "Ingress")], database
    )
    assert told == [
        "NetworkPolicies of ns limit what may be reached: out.",
        "Namespace data has NetworkPolicies (closed):",
        "  one must let namespace ns in on port 5432.",
    ]
    assert database_judge.server_namespace(database_options.describe(given(), "ns")) == ""
    assert (
        database_judge.server_namespace(
            database_options.describe(given(host=None, service="pg", service_namespace="x"), "ns")
        )
        == "x"
    )


def test_the_hub_server_is_judged_with_its_secret():
    database = database_options.hub_database("dh", "ns")
    status = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}
    server = {"metadata": {"generation": 1, "name": "pg"}, "spec": {"replicas": 1}, "status": status}
    assert {v.state for v in database_judge.judge_hub_server(server, secret(), database).values()} == {"ready"}
    assert database_judge.judge_hub_server(None, None, database)["server"].reason == "NotCreated"
    assert database_judge.judge_hub_server(server, secret(POSTGRES_PASSWORD=""), database)["secret"].state == "failed"


def test_an_old_volume_with_a_new_secret_is_explained():
    old = {"metadata": {"name": "data-x-0", "creationTimestamp": "2026-01-01T00:00:00Z"}}
    new = {"metadata": {"name": "s", "creationTimestamp": "2026-02-01T00:00:00Z"}}
    assert "older than the Secret" in database_judge.old_volume(old, new)[0]
    assert database_judge.old_volume(new, old) == []
    assert database_judge.old_volume(None, new) == []


# -- the Job ----------------------------------------------------------------------------------------------------------


def body(**changes):
    database = database_options.describe(given(**changes), "ns")
    options = {"retry_seconds": 30, "minimum_version": 12, "active_seconds": 660, "expected": ["di", "jobs"]}
    return database_job.body(database, "check-1", "image", create=True, schemas=["di"], options=options)


def test_the_job_is_restricted_and_takes_the_secret_by_reference():
    made = body(ca={"secret": "ca"})
    pod = made["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert set(container["resources"]) == {"requests", "limits"}
    env = {item["name"]: item for item in container["env"]}
    assert env["PGPASSWORD"] == {
        "name": "PGPASSWORD",
        "valueFrom": {"secretKeyRef": {"name": "db", "key": "POSTGRES_PASSWORD"}},
    }
    assert env["CA_CERTIFICATE"]["valueFrom"] == {"secretKeyRef": {"name": "ca", "key": "ca.crt"}}
    assert env["PGSSLMODE"]["value"] == "verify-full"
    assert (env["SCHEMAS"]["value"], env["WANTED"]["value"]) == ("di jobs", "di")
    assert made["spec"]["activeDeadlineSeconds"] == 660
    assert container["command"] == ["/bin/sh", "-c", job_script.SCRIPT]


LOG = """server_version=16.4
created=yes
existed=no
createdb=t
version_num=160004
encoding=UTF8
owner=u
may_create_schemas=true
size_bytes=7601175
tls=yes
all_bytes=900
max_connections=100
connections=8
connection_limit=-1
schema.di=created
done=yes
"""


def test_the_log_becomes_facts():
    facts = job_script.facts_of(job_script.read(LOG))
    assert facts["created"] is True
    assert facts["existed"] is False
    assert facts["tls"] is True
    assert facts["schemas"] == {"di": "created"}
    assert facts["size_bytes"] == 7601175
    assert job_script.warnings_of(facts, 2000) == []


@pytest.mark.parametrize(
    ("facts", "volume", "part"),
    [
        ({"connections": 95, "max_connections": 100}, 0, "Only 5 of 100"),
        ({"connections": 120, "max_connections": 100}, 0, "Only 0 of 100"),
        ({"connection_limit": 10}, 0, "limited to 10"),
        ({"all_bytes": 900 << 20}, 1 << 30, "take 900 MiB of the volume's 1024 MiB"),
    ],
)
def test_what_will_hurt_later_is_warned_of(facts, volume, part):
    found = job_script.warnings_of(facts, volume)
    assert len(found) == 1
    assert part in found[0]


@pytest.mark.parametrize(
    ("detail", "reason"),
    [
        ('could not translate host name "x" to address: Name or service not known', "NameNotResolved"),
        ('connection to server at "x", port 5432 failed: Connection refused', "Refused"),
        ("connection to server failed: timeout expired", "ServerUnreachable"),
        ("FATAL: the database system is starting up", "StartingUp"),
        ('FATAL: password authentication failed for user "u"', "LoginRefused"),
        ('FATAL: role "u" does not exist', "LoginRefused"),
        ("SSL error: certificate verify failed", "CertificateNotTrusted"),
        ("SSL error: certificate has expired", "CertificateExpired"),
        ('server certificate for "a" does not match host name "b"', "CertificateWrongName"),
        ("server does not support SSL, but SSL was required", "NoTls"),
        ('no pg_hba.conf entry for host "1.2.3.4", user "u"', "HostRefused"),
        ("FATAL: sorry, too many clients already", "ConnectionsFull"),
        ('FATAL: too many connections for role "u"', "ConnectionsFull"),
        ("FATAL: remaining connection slots are reserved", "ConnectionsFull"),
        ('permission denied for database "orch"', "NoConnectRight"),
        ("ERROR: permission denied to create database", "NoCreateDatabase"),
        ('role "u" is not permitted to log in', "LoginRefused"),
        ("FATAL: the database system is in recovery mode", "StartingUp"),
        ("cannot execute CREATE DATABASE in a read-only transaction", "ReadOnly"),
        ('could not extend file "base/5": No space left on device', "DiskFull"),
        ("FATAL: pg_hba.conf rejects connection for host", "HostRefused"),
        ('database "orch" is not currently accepting connections', "DatabaseClosed"),
        ("Network is unreachable", "ServerUnreachable"),
        ("server closed the connection unexpectedly", "ConnectionLost"),
        ("terminating connection due to administrator command", "ConnectionLost"),
        ('database "postgres" does not exist', "DatabaseMissing"),
        ("something new", "DatabaseError"),
    ],
)
def test_what_postgresql_says_is_classified(detail, reason):
    assert job_script.classify("connection", detail)[0] == reason


def test_no_reason_is_taken_for_one_of_the_api_server():
    reasons = {reason for _part, reason, _remedy in job_script._CAUSES} | {
        reason for reason, _remedy in job_script._FAILURES.values()
    }
    assert not reasons & {UNREACHABLE, UNAUTHORIZED, CERTIFICATE}  # a wait that ends by these is not explained further


def test_a_missing_database_is_told_apart():
    assert job_script.classify("missing", "database x does not exist")[0] == "DatabaseMissing"
    assert job_script.classify("createdb", "database x does not exist")[0] == "NoCreateDatabase"


def finished_job(kind, reason=""):
    return {"metadata": {"name": "j"}, "status": {"conditions": [{"type": kind, "status": "True", "reason": reason}]}}


def test_the_job_is_judged_by_its_answer_first():
    assert database_job.judge(None, [], job_script.read(LOG)).state == "ready"
    verdict = database_job.judge(finished_job("Failed"), [], {"failure": "connection", "detail": "Connection refused"})
    assert (verdict.state, verdict.reason, verdict.grace) == ("failed", "Refused", 0.0)


def test_a_job_that_ended_without_a_log_says_so():
    verdict = database_job.judge(finished_job("Complete"), [{"metadata": {}, "status": {"phase": "Succeeded"}}], {})
    assert verdict.reason == "NoAnswer"


def test_a_job_that_is_about_to_fail_is_read_first():
    """FailureTarget comes before Failed, and the watch of Jobs may be ahead of that of pods."""
    verdict = database_job.judge(finished_job("FailureTarget", "BackoffLimitExceeded"), [], {})
    assert (verdict.reason, verdict.grace > 0) == ("NoAnswer", True)


def test_a_job_that_ended_is_read_although_the_watch_of_pods_is_behind(monkeypatch):
    """The Job is Failed, and the snapshot still has its pod as Running: its answer is fetched."""
    answer = "detail=permission denied for database d\nfailure=connection\n"
    ended = {"state": {"terminated": {"exitCode": 1, "message": answer}}}

    class Session:
        def create(self, _kind, _body):
            pass

        def list(self, kind, namespace, label_selector):
            assert label_selector == f"batch.kubernetes.io/job-name={check.name}"
            return [{"metadata": {"name": "p"}, "status": {"containerStatuses": [ended]}}]

        def pod_log(self, *_place, **_how):
            return ""

    check = database_job.Check(Session(), database_options.describe(given(), "ns"), lambda name: {})
    labels = {"batch.kubernetes.io/job-name": check.name}
    running = {"metadata": {"name": "p", "labels": labels}, "status": {"phase": "Running", "containerStatuses": []}}
    failed = finished_job("Failed", "BackoffLimitExceeded")
    snapshot = SimpleNamespace(get=lambda *_: failed, list=lambda *_: [running])
    check.read(snapshot)
    assert check.judge(snapshot)["connection"].reason == "NoAnswer"  # it has looked just now
    monkeypatch.setattr(database_job, "LOOK", 0.0)
    check.read(snapshot)
    assert check.judge(snapshot)["connection"].reason == "NoConnectRight"


def test_a_pod_that_cannot_start_fails_after_a_while():
    waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
    pod = {"metadata": {"name": "p"}, "status": {"containerStatuses": [{"state": {"waiting": waiting}}]}}
    verdict = database_job.judge({"metadata": {"name": "j"}}, [pod], {})
    assert (verdict.state, verdict.grace > 0) == ("failed", True)
    assert database_job.judge({"metadata": {"name": "j"}}, [], {}).state == "pending"


def test_a_job_that_ran_out_of_time_says_so():
    assert database_job.judge(finished_job("Failed", "DeadlineExceeded"), [], {}).reason == "DeadlineExceeded"


@pytest.mark.parametrize(
    ("message", "reason", "remedy"),
    [
        ("pods is forbidden: exceeded quota: small", "ExceededQuota", "option resources"),
        ("pods is forbidden: violates PodSecurity", "PodForbidden", "security context constraint"),
        ("unable to validate against any security context constraint: is forbidden", "PodForbidden", "ServiceAccount"),
        ("serviceaccount ns/default not found", "PodForbidden", "ServiceAccount"),
        ('admission webhook "v" denied the request: no', "Denied", "admission webhook"),
    ],
)
def test_a_refused_pod_is_told_by_the_events_of_its_job(message, reason, remedy):
    verdict = database_job.judge({"metadata": {"name": "j"}}, [], {}, message)
    assert (verdict.state, verdict.reason) == ("failed", reason)
    assert remedy in verdict.remedy
    assert message in verdict.message
    assert verdict.grace > 0


def test_while_it_tries_again_it_says_why():
    pod = {"metadata": {"name": "p"}, "status": {"containerStatuses": [{"state": {"running": {}}}]}}
    verdict = database_job.judge({"metadata": {"name": "j"}}, [pod], {"waiting": "failed: Connection refused"})
    assert (verdict.state, verdict.reason) == ("pending", "Refused")


class Writer(FakeCluster):
    """A cluster that takes Jobs, or refuses them, and keeps a log."""

    def __init__(self, *objects, status=0, message="", **how):
        super().__init__(*objects, **how)
        self.made, self.status, self.message = [], status, message
        self.requests, self.check_mode = Counter(), False

    def create(self, kind, body):
        if self.status:
            raise ApiError("POST", kind.path(), self.status, {"reason": "Forbidden", "message": self.message})
        self.made.append(body)
        return body

    def list(self, kind, namespace=None, *, label_selector=None, field_selector=None):
        self._check(kind, kind.path(namespace))
        return self._of(kind, namespace)

    def service_proxy(self, *_arguments):
        return 200, '{"status": "UP"}'


def test_a_quota_of_jobs_is_told_as_one():
    refusing = Writer(status=403, message="exceeded quota: none, requested: count/jobs.batch=1")
    with pytest.raises(InputError, match="quota of the namespace"):
        database_job.Check(refusing, database_options.describe(given(), "ns"), lambda name: {})
    with pytest.raises(ApiError):
        database_job.Check(
            Writer(status=403, message="cannot create"), database_options.describe(given(), "ns"), lambda name: {}
        )


# -- the module -------------------------------------------------------------------------------------------------------

DEFAULTS = {
    "namespace": "ns", "hub_name": "dh", "platform": "p", "database": None, "create": True, "probe": "auto",
    "image": None, "resources": None, "maintenance_database": "postgres", "minimum_version": 12, "release": None,
    "retry_seconds": 60, "wait_timeout": 600,
}  # fmt: skip


def work(*objects, **params):
    cluster = Writer(*objects, **params.pop("how", {}))
    return module.Work(Call(SimpleNamespace(params={**DEFAULTS, **params}), cluster, lambda *_object: None))


def backstage(**database):
    metadata = {"name": "dh", "namespace": "ns"}
    return {"kind": "Backstage", "metadata": metadata, "spec": {"database": database}}


def named(kind, name, **content):
    return {"kind": kind, "metadata": {"name": name, "namespace": "ns"}, **content}


def test_all_options_are_looked_at_before_anything_else():
    with pytest.raises(InputError) as caught:
        work(retry_seconds=-1, wait_timeout=0, maintenance_database="A", release="0.1", database=given(port=0))
    assert len(caught.value.problems) == 5


def test_a_hub_without_a_database_of_its_own_is_told_at_once():
    found = work(backstage(enableLocalDb=False)).hub_problems()
    assert "describe the one to use" in found[0]
    assert work(backstage()).hub_problems() == []
    assert work().hub_problems() == []
    assert work(backstage(enableLocalDb=False), how={"refuse": ("backstages",)}).hub_problems() == []


def test_a_hub_with_a_secret_of_the_user_is_told_at_once():
    own = backstage(authSecretName="mine")
    assert "Take authSecretName out" in work(own).hub_problems()[0]
    assert work(own, named("Secret", "backstage-psql-secret-dh")).hub_problems() == []
    assert work(own, named("StatefulSet", "backstage-psql-dh")).hub_problems() == []


def test_names_that_the_operator_deletes_are_refused_where_it_does():
    taken = {"secret": {"name": "backstage-psql-secret-dh"}, "host": None, "service": "backstage-psql-dh"}
    external = backstage(enableLocalDb=False)
    assert len(work(external, database=given(**taken)).hub_problems()) == 2
    assert len(work(external, database=given(**taken), release="1.9").hub_problems()) == 2
    assert work(external, database=given(**taken), release="1.10").hub_problems() == []
    assert work(backstage(), database=given(**taken)).hub_problems() == []
    assert work(external, database=given()).hub_problems() == []


def missing_pod():
    pod = crashed('FATAL: database "backstage_plugin_orchestrator" does not exist')
    return {"kind": "Pod", "metadata": {"name": "x", "namespace": "ns"}, **pod}


SERVER = named("StatefulSet", "backstage-psql-dh")
DONE = named("Job", "create-sonataflow-database-dh", status={"conditions": [{"type": "Complete", "status": "True"}]})


@pytest.mark.parametrize(
    ("objects", "exists", "created", "would_create"),
    [
        ([], False, False, ["database backstage_plugin_orchestrator"]),
        (
            [named("PersistentVolumeClaim", "data-backstage-psql-dh-0")],
            None,
            False,
            ["database backstage_plugin_orchestrator"],
        ),
        ([SERVER], None, True, ["database backstage_plugin_orchestrator"]),
        ([SERVER, missing_pod()], False, True, ["database backstage_plugin_orchestrator"]),
        ([SERVER, DONE], True, False, []),
    ],
)
def test_check_mode_says_what_is_known_and_what_would_be_created(objects, exists, created, would_create):
    found = module.predict(work(*objects))
    assert (found["exists"], found["created"], found["would_create"]) == (exists, created, would_create)


def test_check_mode_looks_at_secret_and_ca():
    with pytest.raises(InputError, match="does not exist"):
        module.predict(work(database=given()))
    stored = {"kind": "Secret", **secret()}
    found = module.predict(work(stored, database=given(schemas={"data_index": "di"})))
    assert found["would_create"] == ["database orch", "schema di"]
    assert module.predict(work(stored, database=given(), create=False))["would_create"] == []


def test_data_index_proves_the_database_until_the_secret_changes():
    database = database_options.describe(given(), "ns")
    status = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}
    index = named("Deployment", "p-data-index-service", spec={"replicas": 1}, status=status)
    index["metadata"]["generation"] = 1
    pod = named(
        "Pod",
        "x",
        status={"containerStatuses": [{"state": {"running": {"startedAt": "2026-02-01T00:00:00Z"}}}]},
    )
    pod["metadata"] |= {
        "creationTimestamp": "2026-02-01T00:00:00Z",
        "labels": {"sonataflow.org/service": "p-data-index-service"},
    }
    old, new = ({"kind": "Secret", **secret()} for _each in range(2))
    old["metadata"] = {**old["metadata"], "creationTimestamp": "2026-01-01T00:00:00Z"}
    new["metadata"] = {**new["metadata"], "creationTimestamp": "2026-03-01T00:00:00Z"}
    assert work(ours(database), index, pod, old, database=given()).proven()
    assert not work(ours(database), index, pod, new, database=given()).proven()
    assert not work(ours(database), index, pod, database=given()).proven()
    assert not work(ours(database), pod, old, database=given()).proven()
    assert not work(ours(database), index, pod, old, database=given(sslmode="require")).proven()


TOOLS = ("sh", "cat", "cut", "date", "head", "mktemp", "sed", "sleep", "tee", "timeout", "tr")
UNTRUSTED = (
    'psql: error: connection to server at "pg" (10.0.0.1), port 5432 failed: SSL error: certificate verify failed'
)


@pytest.mark.parametrize(("told", "reason"), [("", "CertificateNotTrusted"), ("certificate has expired", None)])
def test_the_job_works_in_an_image_without_openssl(tmp_path, told, reason):
    """Then the reason is a coarser one. psql is the only other program that is not real here."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for tool in TOOLS:
        (programs / tool).symlink_to(shutil.which(tool))
    scripts = {"psql": f"echo '{UNTRUSTED}' >&2; exit 2"}
    if told:
        scripts["openssl"] = f"echo 'verify error:num=10:{told}'"
    for name, text in scripts.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    body = database_job.body(
        database_options.describe(given(ca={"config_map": "ca"}), "rhdh"), "check", "image", create=True, schemas=[],
        options={"retry_seconds": 0, "minimum_version": 12, "active_seconds": 60},
    )  # fmt: skip
    (container,) = body["spec"]["template"]["spec"]["containers"]
    given_values = {entry["name"]: entry.get("value", "x") for entry in container["env"]}
    answer = tmp_path / "termination-log"
    done = subprocess.run(
        container["command"],
        env={**given_values, "PATH": str(programs), "TERMINATION_LOG": str(answer), "TMPDIR": str(tmp_path)},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    answers = job_script.read(answer.read_text())
    assert answers["failure"] == "connection"
    assert " ".join(answers["detail"].split()) == UNTRUSTED + (f" ({told})" if told else "")
    assert job_script.classify(**{"failure": "connection", "detail": answers["detail"]})[0] == (
        reason or "CertificateExpired"
    )


def test_a_move_replaces_the_database_and_adds_only_what_is_not_there():
    old = {"secretRef": {"name": "hub"}, "serviceRef": {"name": "psql", "databaseName": "orch"}}
    new = {"secretRef": {"name": "db"}, "jdbcUrl": "jdbc:postgresql://pg:5432/orch"}
    theirs = {"container": {"env": [{"name": "A", "value": "1"}], "resources": {}}}
    live = {"metadata": {"name": "p"}, "spec": {"services": {"dataIndex": {"persistence": {"postgresql": old}}}}}
    live["spec"]["services"]["dataIndex"]["podTemplate"] = theirs
    template = {"volumes": [{"name": "ca"}], "container": {"env": [{"name": "B"}], "volumeMounts": [{"name": "ca"}]}}
    block = {"enabled": True, "persistence": {"postgresql": new}, "podTemplate": template}
    wanted = {"spec": {"services": {"dataIndex": block}}}
    assert database_move.move(live, wanted)["services"]["dataIndex"] == {
        "enabled": True,
        "persistence": {"postgresql": {**new, "serviceRef": None}},
        "podTemplate": {"volumes": [{"name": "ca"}], "container": {"volumeMounts": [{"name": "ca"}]}},
    }
    live["spec"]["services"]["dataIndex"]["persistence"]["postgresql"] = new
    assert database_move.move(live, wanted) == {}


def test_places_are_told_for_every_form():
    def platform(*blocks):
        services = dict(zip(("dataIndex", "jobService"), blocks, strict=False))
        return {"metadata": {"name": "p", "namespace": "ns"}, "spec": {"services": services}}

    reference = {"persistence": {"postgresql": {"serviceRef": {"name": "psql"}}}}
    url = {"persistence": {"postgresql": {"jdbcUrl": "jdbc:postgresql://pg:5432/orch?currentSchema=x"}}}
    assert database_move.places(platform(reference, url)) == ["pg:5432/orch", "psql.ns.svc:5432/sonataflow"]
    assert database_move.places(platform(url, url)) == ["pg:5432/orch"]
    assert database_move.places(platform({})) == ["memory"]
    assert database_move.places(None) == []
