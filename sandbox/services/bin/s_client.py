"""`openssl s_client -starttls postgres` as far as pods ask for it: what is wrong with a server's certificate.

The verification is OpenSSL's own, through Python; the words are those of the program.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))

from sandbox import net  # (after the path: the interpreter runs isolated)

SSL_REQUEST = b"\0\0\0\x08" + (80877103).to_bytes(4, "big")


def main() -> None:
    """Arguments as openssl takes them: -connect HOST:PORT and -CAfile FILE."""
    values = dict(zip(sys.argv[1:], sys.argv[2:], strict=False))
    host, _, port = values["-connect"].rpartition(":")
    context = ssl.create_default_context(cafile=values["-CAfile"])
    context.check_hostname = False
    with socket.create_connection(net.resolve(host, int(port)), timeout=10) as connection:
        connection.sendall(SSL_REQUEST)
        if connection.recv(1) != b"S":
            sys.exit("no TLS")
        try:
            context.wrap_socket(connection).close()
        except ssl.SSLCertVerificationError as error:
            print(f"verify error:num={error.verify_code}:{error.verify_message}", file=sys.stderr)


if __name__ == "__main__":
    main()
