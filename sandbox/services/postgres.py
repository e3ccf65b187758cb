"""A real PostgreSQL as the product's database image runs it: data on the pod's volume, the pod's address only.

The first start makes the cluster with the password of that time; later starts take the data as they are, so a new
password in the Secret does not open old data. Settings: services.postgres.fail, services.postgres.start_seconds.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

from sandbox.runtime.process import die_with_parent
from sandbox.services import _common, programs

# Small and without durability: the sandbox's data may be lost with the machine.
TUNING = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "16MB",
    "max_connections": "100",
    "max_worker_processes": "2",
    "max_parallel_workers": "0",
    "max_wal_size": "128MB",
    "jit": "off",
    "log_line_prefix": "%m [%p] ",
}


CONFIGURATION = "opt/app-root/src/postgresql-cfg"
BEHIND = 1  # what is added to the port for the server behind the one that does TLS


def configuration(directory: Path) -> dict[str, str]:
    """Return the settings of all `*.conf` files in a directory."""
    found = {}
    for file in sorted(directory.glob("*.conf")):
        for line in file.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition("#")[0].partition("=")
            if key.strip():
                found[key.strip()] = value.strip().strip("'")
    return found


def server_user() -> pwd.struct_passwd | None:
    """Return the user that root drops to, or None when this is not root."""
    if os.geteuid() != 0:
        return None
    return pwd.getpwnam("nobody")


def credentials(environment: t.Mapping[str, str]) -> tuple[str, str]:
    """Return superuser and password for new data. Raises ValueError when there is no password."""
    user = environment.get("POSTGRES_USER") or "postgres"
    password = environment.get("POSTGRESQL_ADMIN_PASSWORD") or environment.get("POSTGRES_PASSWORD") or ""
    if not password:
        password = environment.get("POSTGRESQL_PASSWORD", "")
    if not password:
        raise ValueError("no password: set POSTGRESQL_ADMIN_PASSWORD, POSTGRES_PASSWORD or POSTGRESQL_PASSWORD")
    return user, password


def extra_statements(environment: t.Mapping[str, str], superuser: str) -> list[str]:
    """Return what creates the user and database that the image's variables ask for."""
    statements = []
    user, password = environment.get("POSTGRESQL_USER", ""), environment.get("POSTGRESQL_PASSWORD", "")
    database = environment.get("POSTGRESQL_DATABASE") or environment.get("POSTGRES_DB") or ""
    owner = superuser
    if user and user != superuser:
        secret = password.replace("'", "''")
        statements.append(f"CREATE ROLE \"{user}\" LOGIN PASSWORD '{secret}'")
        owner = user
    if database and database != "postgres":
        statements.append(f'CREATE DATABASE "{database}" OWNER "{owner}"')
    return statements


class Server:
    """The server's programs, data directory and user."""

    def __init__(self, directory: Path, data: Path, given: t.Mapping[str, str]) -> None:
        """`given` are settings beside our own."""
        self._programs = directory
        self._data = data
        self._given = dict(given)
        self._user = server_user()
        self._environment = {"PATH": f"{directory}:/usr/bin:/bin", "LANG": "C.UTF-8", "PGDATA": str(data)}

    def _run(self, command: list[str], text: str = "", keep: int | None = None) -> None:
        drop: dict[str, t.Any] = {}
        if self._user:
            drop = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        done = subprocess.run(
            command,
            input=text,
            env=self._environment,
            cwd="/",
            text=True,
            capture_output=True,
            check=False,
            pass_fds=() if keep is None else (keep,),
            **drop,
        )
        if done.returncode:
            _common.die(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()}")

    def create(self, environment: t.Mapping[str, str]) -> None:
        """Make the data directory if it holds no cluster yet. May exit with code 1."""
        if (self._data / "PG_VERSION").exists():
            return
        try:
            user, password = credentials(environment)
        except ValueError as error:
            _common.die(str(error))
        # Made beside its place and renamed when complete, so that a killed start leaves no half cluster behind.
        new = self._data.with_name(f".{self._data.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as secret:
            secret.write(password)
            secret.flush()
            if self._user:
                os.chown(new, self._user.pw_uid, self._user.pw_gid)
                os.chown(secret.name, self._user.pw_uid, self._user.pw_gid)
            self._run(
                [
                    str(self._programs / "initdb"),
                    f"--pgdata={new}",
                    f"--username={user}",
                    # Through the inherited file, because the server's user cannot enter the pod's own directory.
                    f"--pwfile=/dev/fd/{secret.fileno()}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C",
                    "--no-sync",
                ],
                keep=secret.fileno(),
            )
        with open(new / "pg_hba.conf", "w" if environment.get("SANDBOX_TLS_ONLY") else "a", encoding="utf-8") as rules:
            # What is not encrypted comes from 127.0.0.1, see postgres_tls.py.
            allowed = f"{_common.bind_address()}/32" if environment.get("SANDBOX_TLS_ONLY") else "all"
            rules.write(f"host all all {allowed} scram-sha-256\n")
        statements = extra_statements(environment, user)
        if statements:
            single = [str(self._programs / "postgres"), "--single", "-F", "-j", "-D", str(new), "postgres"]
            self._run(single, "".join(f"{statement};\n\n" for statement in statements))
        new.rename(self._data)

    def become(self, address: str, port: int) -> t.NoReturn:
        """Turn this process into the server, with another one in front of it where TLS is wanted."""
        certificate, key = (self._given.pop(f"ssl_{name}_file", "") for name in ("cert", "key"))
        if self._given.pop("ssl", "off") == "on":
            root = Path(os.environ["SANDBOX_ROOT"])
            files = [str(root / name.lstrip("/")) for name in (certificate, key)]
            command = [sys.executable, "-m", "sandbox.services.postgres_tls", address, str(port), str(port + BEHIND)]
            subprocess.Popen([*command, *files])
            port += BEHIND
        if self._user:
            os.setgroups([])
            os.setgid(self._user.pw_gid)
            os.setuid(self._user.pw_uid)
        die_with_parent(signal.SIGQUIT)  # changing the user has cleared the runtime's own request
        settings = {**TUNING, **self._given, "listen_addresses": address, "port": port}
        options = [f"{key}={value}" for key, value in settings.items()]
        options.append("unix_socket_directories=")
        command = ["postgres", "-D", str(self._data), *(item for option in options for item in ("-c", option))]
        marks = {key: value for key, value in os.environ.items() if key.startswith("SANDBOX_")}
        os.execve(self._programs / "postgres", command, {**self._environment, **marks})


def main() -> None:
    """Create the data when there are none, then run the server on the pod's address."""
    _common.begin("postgres")
    root = Path(os.environ["SANDBOX_ROOT"])
    place = os.environ.get("PGDATA") or f"{os.environ.get('POSTGRESQL_VOLUME_DIR', '/var/lib/pgsql/data')}/userdata"
    data = root / place.lstrip("/")
    data.parent.mkdir(parents=True, exist_ok=True)
    given = configuration(root / CONFIGURATION)
    if limit := os.environ.get("POSTGRESQL_MAX_CONNECTIONS"):
        given["max_connections"] = limit
    major = int(sys.argv[1]) if len(sys.argv) > 1 else 16
    directory = programs.of_version(Path(os.environ["SANDBOX_POSTGRES_BIN"]), major)
    server = Server(directory, data.parent.resolve() / data.name, given)
    server.create(os.environ)
    server.become(_common.bind_address(), int(os.environ.get("POSTGRESQL_PORT_NUMBER", "5432")))


if __name__ == "__main__":
    main()
