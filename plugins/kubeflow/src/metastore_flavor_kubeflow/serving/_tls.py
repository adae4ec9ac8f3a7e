"""The server's certificate, read again when it is renewed."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

__all__ = ["TLSError", "TLSFiles"]

log = logging.getLogger("metastore.serve")


class TLSError(Exception):
    """The files do not make a certificate with its key; the text says which do not."""


@dataclass(frozen=True)
class TLSFiles:
    """Files in PEM form.

    certificate, key:
        The server's, the chain included; the key has no passphrase.
    client_ca:
        Clients must have a certificate of this authority; None for any client.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def credentials(self) -> grpc.ServerCredentials:
        """Credentials that follow the files: who renews them need not restart the server.

        Raises
        ------
        TLSError
            One of the files is not what it should be; or the key is not the certificate's.
        """
        self._check()
        current = self._stamp(), self._configuration()

        def renewed() -> grpc.ServerCertificateConfiguration | None:
            nonlocal current
            try:
                stamp = self._stamp()
                if stamp == current[0]:
                    return None
                self._check()
                current = stamp, self._configuration()
            except (OSError, TLSError) as error:
                # Half renewed: the old one serves on, and the next connection asks again.
                log.warning("the renewed certificate is passed over: %s", error)
                return None
            log.info("the certificate was renewed")
            return current[1]

        return grpc.dynamic_ssl_server_credentials(
            current[1], renewed, require_client_authentication=self.client_ca is not None
        )

    def _check(self) -> None:
        """Try the files with OpenSSL, which says what is wrong; gRPC does not."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # A key with a passphrase would be asked for at the terminal otherwise.
            context.load_cert_chain(self.certificate, self.key, password=lambda: "")
        except ssl.SSLError as error:
            raise TLSError(
                f"--tls-cert and --tls-key are no PEM files of a certificate and its key, the key "
                f"without passphrase ({error.reason or 'one cannot be read'})"
            ) from error
        try:
            if self.client_ca is not None:
                context.load_verify_locations(self.client_ca)
        except ssl.SSLError as error:
            raise TLSError(
                f"--tls-client-ca is no PEM file of certificates ({error.reason})"
            ) from error

    def _files(self) -> list[Path]:
        return [each for each in (self.certificate, self.key, self.client_ca) if each is not None]

    def _stamp(self) -> list[tuple[int, int]]:
        return [(each.stat().st_mtime_ns, each.stat().st_ino) for each in self._files()]

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        ca = None if self.client_ca is None else self.client_ca.read_bytes()
        pair = self.key.read_bytes(), self.certificate.read_bytes()
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=ca)
