"""A throw-away certificate authority, a server's and a client's certificate, as PEM files."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
_DAYS = ["-days", "2"]
_EXTENSIONS = """\
basicConstraints=CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth,clientAuth
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
subjectAltName=IP:127.0.0.1,DNS:localhost
"""


@dataclass(frozen=True)
class Certificates:
    """PEM files; the server's are valid for 127.0.0.1 and localhost."""

    ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path

    def client_context(self, *, with_certificate: bool = True) -> ssl.SSLContext:
        """Return what a client needs: trust in this authority only, and its own certificate."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if with_certificate:
            context.load_cert_chain(self.client, self.client_key)
        return context


def make_certificates(directory: Path, *, client_name: str = "alice") -> Certificates:
    """Make everything anew in `directory`; the client's subject is `CN=<client_name>`."""
    directory.mkdir(parents=True, exist_ok=True)
    ca, ca_key = directory / "ca.pem", directory / "ca.key"
    subject = ["-subj", "/CN=llmobs test authority", "-addext", "keyUsage=critical,keyCertSign"]
    _openssl("req", "-x509", *_KEY, "-keyout", ca_key, "-out", ca, *_DAYS, *subject)
    server, server_key = _issue(directory, "server", "localhost", ca, ca_key)
    client, client_key = _issue(directory, "client", client_name, ca, ca_key)
    return Certificates(ca, server, server_key, client, client_key)


def _issue(directory: Path, stem: str, subject: str, ca: Path, ca_key: Path) -> tuple[Path, Path]:
    certificate, key = directory / f"{stem}.pem", directory / f"{stem}.key"
    request, extensions = directory / f"{stem}.csr", directory / "extensions"
    extensions.write_text(_EXTENSIONS)
    _openssl("req", *_KEY, "-keyout", key, "-out", request, "-subj", f"/CN={subject}")
    signed_by: list[str | Path] = ["-CA", ca, "-CAkey", ca_key, "-CAcreateserial"]
    signed: list[str | Path] = ["-out", certificate, *_DAYS, "-extfile", extensions]
    _openssl("x509", "-req", "-in", request, *signed_by, *signed)
    return certificate, key


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=30)
