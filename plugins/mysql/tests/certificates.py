"""Certificates for servers and clients of the tests."""

from __future__ import annotations

import datetime
import shutil
from pathlib import Path

import trustme

__all__ = ["Certificates"]


class Certificates:
    """Files of a CA, of what it signed, and of a CA that nobody knows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ca = trustme.CA()
        other = trustme.CA()
        self.ca = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.ca))
        self.other_ca = folder / "other-ca.pem"
        other.cert_pem.write_to_path(str(self.other_ca))
        self.client = self._write("client", self._ca.issue_cert(common_name="client"))
        self.other_client = self._write("other-client", other.issue_cert(common_name="client"))
        self._server = self._write("server", self._ca.issue_cert("localhost"))
        past = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
        self._expired = self._write("expired", self._ca.issue_cert("localhost", not_after=past))

    def _write(self, name: str, made: trustme.LeafCert) -> tuple[Path, Path]:
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        certificate.write_bytes(b"".join(each.bytes() for each in made.cert_chain_pems))
        made.private_key_pem.write_to_path(str(key))
        return certificate, key

    def server_options(self, folder: Path, *, expired: bool = False) -> list[str]:
        """Options of a server, whose files go to a folder that it may read."""
        options = []
        certificate, key = self._expired if expired else self._server
        for name, file in (("ca", self.ca), ("cert", certificate), ("key", key)):
            copy = folder / file.name
            shutil.copyfile(file, copy)
            copy.chmod(0o644)
            options.append(f"--ssl-{name}={copy}")
        return options
