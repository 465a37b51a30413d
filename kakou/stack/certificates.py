"""Edge: the private authority of a stack and the certificate that its stores show.

Both are made on first use and made anew at a start before they end. ``<var>/secrets/tls`` holds

* ``ca.pem``: certificate of the authority, which every client needs; no secret
* ``authority.pem``: the same with its key; it signs what the stores show
* ``server.pem``: certificate and key of Kafka, the nodes, the endpoint and Redis

Key and certificate are one file each, so that no reader can get halves that do not belong together.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kakou.errors import SettingsError
from kakou.process_lock import one_after_another
from kakou.settings import Settings
from kakou.whole_files import write_private

AUTHORITY_LIFE: Final = timedelta(days=3650)
SERVER_LIFE: Final = timedelta(days=397)
RENEW_BEFORE: Final = timedelta(days=60)
_CLOCKS_DIFFER: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def pem(self) -> str:
        """Key, then certificate; Kafka, MariaDB and Redis each take the two from one file."""
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return (key + self.certificate.public_bytes(Encoding.PEM)).decode("ascii")

    @classmethod
    def read(cls, path: Path) -> Pair:
        """What ``pem`` was written to.

        Raises:
            FileNotFoundError: there is no such file.
            SettingsError: it holds something else.
        """
        text = path.read_bytes()
        try:
            key = load_pem_private_key(text, password=None)
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise ValueError
            return cls(x509.load_pem_x509_certificate(text), key)
        except ValueError as error:
            raise SettingsError(
                f"{path} holds no certificate with its key. Stop the stack, remove {path.parent} and run "
                "`kakou up`: everything in it is made anew, and clients need the new ca.pem."
            ) from error

    def lasts(self, moment: datetime) -> bool:
        """Whether it holds at ``moment``."""
        return moment < self.certificate.not_valid_after_utc


def server_file(settings: Settings) -> Path:
    """What every store is started with: certificate and key."""
    return settings.tls_dir / "server.pem"


def ensure_certificates(settings: Settings, now: datetime | None = None) -> None:
    """Makes authority and server certificate, or makes anew what ends soon or does not name ``host``.

    A server certificate is renewed ``RENEW_BEFORE`` its end, the authority before it could end ahead of a
    server certificate. Safe to call at once from several threads and processes.

    Raises:
        SettingsError: a file is there but holds no certificate.
    """
    now = now or datetime.now(UTC)
    with one_after_another(settings.tls_dir / ".lock"):
        settings.tls_dir.chmod(0o700)
        kept = settings.tls_dir / "authority.pem"
        authority = Pair.read(kept) if kept.exists() else None
        if authority is None or not authority.lasts(now + SERVER_LIFE):
            authority = make_authority(now)
            write_private(kept, authority.pem())
        public, shown = settings.tls_authority_file, authority.certificate.public_bytes(Encoding.PEM)
        if not public.exists() or public.read_bytes() != shown:
            write_private(public, shown.decode("ascii"))
        server = server_file(settings)
        if not (server.exists() and _fits(Pair.read(server), authority, settings.host, now)):
            write_private(server, sign_server(authority, settings.host, now).pem())


def make_authority(now: datetime) -> Pair:
    """An authority that can sign servers and nothing else."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Kakou private authority")])
    builder = (
        _certificate(key, now, AUTHORITY_LIFE)
        .subject_name(name)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return Pair(builder.sign(key, hashes.SHA256()), key)


def sign_server(authority: Pair, host: str, now: datetime) -> Pair:
    """A certificate for servers reached as ``host``, ``localhost`` or ``127.0.0.1``."""
    key = ec.generate_private_key(ec.SECP256R1())
    of_authority = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        _certificate(key, now, SERVER_LIFE)
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Kakou stores")]))
        .issuer_name(authority.certificate.subject)
        .add_extension(x509.SubjectAlternativeName(_names(host)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(of_authority), critical=False
        )
    )
    return Pair(builder.sign(authority.key, hashes.SHA256()), key)


def _certificate(key: ec.EllipticCurvePrivateKey, now: datetime, life: timedelta) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _names(host: str) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for one in dict.fromkeys((host, "localhost", "127.0.0.1")):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(one)))
        except ValueError:
            names.append(x509.DNSName(one))
    return names


def _fits(server: Pair, authority: Pair, host: str, now: datetime) -> bool:
    try:
        server.certificate.verify_directly_issued_by(authority.certificate)
    except (ValueError, InvalidSignature):
        return False
    named = server.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(_names(host)) <= set(named) and server.lasts(now + RENEW_BEFORE)
