from __future__ import annotations

import base64

import pytest
from ansible_collections.rhdh.orchestrator.plugins.module_utils import _database as db
from ansible_collections.rhdh.orchestrator.plugins.module_utils import _database_job as job

CANARY = "c4n4ry-passw0rd"


def given(**changes):
    description = {"host": "pg.example.com", "port": 5432, "name": "orch", "secret": {"name": "db"}}
    return {**description, **changes}


def secret(**values):
    data = {"POSTGRES_USER": "u", "POSTGRES_PASSWORD": CANARY, **values}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items() if value is not None}
    return {"metadata": {"name": "db", "namespace": "ns"}, "data": encoded}


def test_a_good_description_has_no_problems():
    assert db.problems(given(), "ns") == []


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
    ],
)
def test_each_problem_of_a_description_is_named(changes, part):
    found = db.problems(given(**changes), "ns")
    assert len(found) == 1
    assert part in found[0]


def test_all_problems_are_told_at_once():
    assert len(db.problems({"port": 99999, "secret": {}}, "ns")) == 4


def test_an_external_host_becomes_a_jdbc_url():
    database = db.describe(given(), "ns")
    block = database.persistence("p", "data_index")
    assert block["jdbcUrl"] == "jdbc:postgresql://pg.example.com:5432/orch?currentSchema=p-data-index-service"
    assert block["secretRef"] == {"name": "db", "userKey": "POSTGRES_USER", "passwordKey": "POSTGRES_PASSWORD"}
    assert len(block) == 2  # the API accepts exactly two


def test_a_service_becomes_a_reference():
    database = db.describe(given(host=None, service="pg", schemas={"data_index": "di"}), "ns")
    reference = {"name": "pg", "namespace": "ns", "port": 5432, "databaseName": "orch"}
    assert database.persistence("p", "data_index")["serviceRef"] == {**reference, "databaseSchema": "di"}
    assert database.persistence("p", "job_service")["serviceRef"] == reference
    assert database.host == "pg.ns.svc"


def test_a_service_with_tls_needs_a_url():
    database = db.describe(given(host=None, service="pg", sslmode="require"), "ns")
    assert "sslmode=require" in database.persistence("p", "data_index")["jdbcUrl"]


def test_an_ipv6_address_is_put_in_brackets():
    database = db.describe(given(host="fd00::1"), "ns")
    assert database.jdbc_url("p", "data_index").startswith("jdbc:postgresql://[fd00::1]:5432/orch?")


def test_a_ca_means_full_verification_and_reaches_both_drivers():
    database = db.describe(given(ca={"config_map": "pg-ca", "key": "root ca.crt"}), "ns")
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
    assert db.describe(given(), "ns").pod_template("p", "job_service") == {}


def test_the_secret_needs_both_keys_with_content():
    database = db.describe(given(), "ns")
    assert db.secret_problems(secret(), database) == []
    assert db.secret_problems(None, database) == ["Secret ns/db does not exist."]
    missing = db.secret_problems(secret(POSTGRES_PASSWORD=None), database)
    assert "has no key POSTGRES_PASSWORD (it has POSTGRES_USER)" in missing[0]
    assert "key POSTGRES_USER is empty" in db.secret_problems(secret(POSTGRES_USER=" "), database)[0]
    assert not any(CANARY in text for text in db.secret_problems(secret(POSTGRES_USER=""), database))


def test_a_ca_must_be_pem():
    certificate = db.Certificate("config_map", "ca", "ca.crt")
    pem = "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n"
    good = {"metadata": {}, "data": {"ca.crt": pem}}
    assert db.certificate_problems(good, certificate, "ns") == []
    assert "not a PEM" in db.certificate_problems({"data": {"ca.crt": "TUlJ"}}, certificate, "ns")[0]
    assert "has no key" in db.certificate_problems({"data": {"x": pem}}, certificate, "ns")[0]
    assert "does not exist" in db.certificate_problems(None, certificate, "ns")[0]
    held = {"data": {"ca.crt": base64.b64encode(pem.encode()).decode()}}
    assert db.certificate_problems(held, db.Certificate("secret", "ca", "ca.crt"), "ns") == []


def hub_platform(**reference):
    postgresql = {
        "secretRef": {
            "name": "backstage-psql-secret-dh",
            "userKey": "POSTGRES_USER",
            "passwordKey": "POSTGRES_PASSWORD",
        },
        "serviceRef": {"name": "backstage-psql-dh", "namespace": "ns", "databaseName": db.HUB_DATABASE, **reference},
    }
    block = {"enabled": True, "persistence": {"postgresql": postgresql}}
    return {"spec": {"services": {"dataIndex": block, "jobService": block}}}


def test_the_platform_of_the_hub_uses_the_hub_database():
    database = db.hub_database("dh", "ns")
    assert db.uses(hub_platform(), database)
    assert db.uses(hub_platform(port=5432), database)
    assert not db.uses(hub_platform(port=5433), database)
    assert not db.uses(hub_platform(databaseName="other"), database)
    assert not db.uses({"spec": {}}, database)
    assert not db.uses(None, database)


def test_our_own_rendering_is_recognised_again():
    for changes in ({}, {"sslmode": "require"}, {"host": None, "service": "pg"}):
        database = db.describe(given(**changes), "ns")
        services = {
            field: {"persistence": {"postgresql": database.persistence("p", service)}}
            for field, service in (("dataIndex", "data_index"), ("jobService", "job_service"))
        }
        assert db.uses({"spec": {"services": services}}, database)


def test_the_hub_server_is_judged_with_its_secret():
    database = db.hub_database("dh", "ns")
    status = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}
    server = {"metadata": {"generation": 1}, "spec": {"replicas": 1}, "status": status}
    assert {v.state for v in db.judge_hub_server(server, secret(), database).values()} == {"ready"}
    assert db.judge_hub_server(None, None, database)["server"].reason == "NotCreated"
    assert db.judge_hub_server(server, secret(POSTGRES_PASSWORD=""), database)["secret"].state == "failed"


def test_an_old_volume_with_a_new_secret_is_explained():
    old = {"metadata": {"name": "data-x-0", "creationTimestamp": "2026-01-01T00:00:00Z"}}
    new = {"metadata": {"name": "s", "creationTimestamp": "2026-02-01T00:00:00Z"}}
    assert "older than the Secret" in db.old_volume(old, new)[0]
    assert db.old_volume(new, old) == []
    assert db.old_volume(None, new) == []


# -- the Job ----------------------------------------------------------------------------------------------------------


def body(**changes):
    database = db.describe(given(**changes), "ns")
    return job.body(database, "check-1", "image", create=True, schemas=["di"], options={})


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
    assert container["command"] == ["/bin/sh", "-c", job.SCRIPT]


LOG = """server_version=16.4
created=yes
existed=no
createdb=t
version_num=160004
encoding=UTF8
owner=u
may_create_schemas=true
size_bytes=7601175
tls=true
max_connections=100
connections=8
connection_limit=-1
schema.di=created
done=yes
"""


def test_the_log_becomes_facts():
    facts = job.facts_of(job.read(LOG))
    assert facts["created"] is True
    assert facts["existed"] is False
    assert facts["tls"] is True
    assert facts["schemas"] == {"di": "created"}
    assert facts["size_bytes"] == 7601175
    assert job.warnings_of(job.read(LOG)) == []


def test_what_will_hurt_later_is_warned_of():
    answers = {"encoding": "SQL_ASCII", "may_create_schemas": "false", "version_num": "110001"}
    assert len(job.warnings_of({**answers, "connections": "95", "max_connections": "100"})) == 4


@pytest.mark.parametrize(
    ("detail", "reason"),
    [
        ('could not translate host name "x" to address: Name or service not known', "NameNotResolved"),
        ('connection to server at "x", port 5432 failed: Connection refused', "Refused"),
        ("connection to server failed: timeout expired", "Unreachable"),
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
        ("something new", "DatabaseError"),
    ],
)
def test_what_postgresql_says_is_classified(detail, reason):
    assert job.classify("connection", detail)[0] == reason


def test_a_missing_database_is_told_apart():
    assert job.classify("missing", "database x does not exist")[0] == "DatabaseMissing"
    assert job.classify("createdb", "database x does not exist")[0] == "NoCreateDatabase"


def finished_job(kind):
    return {"metadata": {}, "status": {"conditions": [{"type": kind, "status": "True"}]}}


def test_the_job_is_judged_by_its_answer_first():
    assert job.judge(None, [], job.read(LOG)).state == "ready"
    verdict = job.judge(finished_job("Failed"), [], {"failure": "connection", "detail": "Connection refused"})
    assert (verdict.state, verdict.reason, verdict.grace) == ("failed", "Refused", 0.0)


def test_a_job_that_ended_without_a_log_says_so():
    verdict = job.judge(finished_job("Complete"), [{"metadata": {}, "status": {"phase": "Succeeded"}}], {})
    assert verdict.reason == "NoAnswer"


def test_a_pod_that_cannot_start_fails_after_a_while():
    waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
    pod = {"metadata": {"name": "p"}, "status": {"containerStatuses": [{"state": {"waiting": waiting}}]}}
    verdict = job.judge({"metadata": {"name": "j"}}, [pod], {})
    assert (verdict.state, verdict.grace > 0) == ("failed", True)
    assert job.judge({"metadata": {"name": "j"}}, [], {}).state == "pending"
