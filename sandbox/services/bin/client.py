"""psql and its kin for pods: turns a name of the cluster into its loopback address, then runs the program."""

from __future__ import annotations

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))

from sandbox import net  # (after the path: the interpreter runs isolated)


def main() -> None:
    """Run the program sys.argv[1] with the rest of the arguments. Exits with 2, as psql, when a name is unknown."""
    program, *arguments = sys.argv[1:]
    host, port = os.environ.get("PGHOST", "127.0.0.1"), os.environ.get("PGPORT", "5432")
    kept: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument in ("-h", "--host"):
            host = next(rest, "")
        elif argument in ("-p", "--port"):
            port = next(rest, "")
        elif argument.startswith("--host="):
            host = argument.partition("=")[2]
        elif argument.startswith("--port="):
            port = argument.partition("=")[2]
        elif argument.startswith("-h") and not argument.startswith("--"):
            host = argument[2:]
        elif argument.startswith("-p") and not argument.startswith("--"):
            port = argument[2:]
        else:
            kept.append(argument)
    environment = {key: value for key, value in os.environ.items() if key not in ("PGHOST", "PGPORT", "PGHOSTADDR")}
    if host in ("127.0.0.1", "localhost", "0.0.0.0"):
        environment["PGHOST"], number = os.environ.get("SANDBOX_BIND", "127.0.0.1"), int(port)
    else:
        try:
            address, number = net.resolve(host, int(port))
        except (net.NameNotResolved, ValueError) as error:
            print(f"{program}: error: {_words(host, port, error)}", file=sys.stderr)
            sys.exit(2)
        # A server's certificate is for the name, so libpq is given both.
        environment |= {"PGHOST": host, "PGHOSTADDR": address}
    environment["PGPORT"] = str(number)
    environment.setdefault("PGSSLMODE", "prefer")
    environment["LD_PRELOAD"] = os.environ["SANDBOX_LIBPQ"]
    path = os.path.join(os.environ["SANDBOX_POSTGRES_BIN"], program)
    os.execve(path, [program, *kept], environment)


def _words(host: str, port: str, error: Exception) -> str:
    """Return libpq's words for a name that leads nowhere."""
    if "refused" in str(error):
        return f'connection to server at "{host}", port {port} failed: Connection refused'
    return f'could not translate host name "{host}" to address: Name or service not known'


if __name__ == "__main__":
    main()
