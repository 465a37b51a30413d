"""The private authority and what the stores show: fitting, private, renewed in time."""

from __future__ import annotations

import ipaddress
import ssl
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from kakou.connections import authority, database_url, kafka_options, spark_kafka_options
from kakou.errors import SettingsError
from kakou.settings import Settings, load_settings
from kakou.stack.certificates import (
    AUTHORITY_LIFE,
    RENEW_BEFORE,
    SERVER_LIFE,
    ensure_certificates,
    make_authority,
    server_file,
    sign_server,
)

NOW = datetime(2024, 1, 15, 8, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def own(tmp_path: Path) -> Settings:
    return _settings(tmp_path)


def _settings(var: Path, host: str = "127.0.0.1", tls: str = "on") -> Settings:
    return load_settings(_env_file=None, var=var, host=host, tls=tls)


def _shown(settings: Settings) -> x509.Certificate:
    return x509.load_pem_x509_certificate(server_file(settings).read_bytes())


def _verify(settings: Settings, name: str, when: datetime, ca: x509.Certificate | None = None) -> None:
    """As a client does: chain, dates and name."""
    ca = ca or x509.load_pem_x509_certificate(settings.tls_authority_file.read_bytes())
    try:
        subject: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        subject = x509.DNSName(name)
    policy = PolicyBuilder().store(Store([ca])).time(when)
    policy.build_server_verifier(subject).verify(_shown(settings), [])


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "10.1.2.3"])
def test_a_client_accepts_every_name_of_the_host(tmp_path: Path, name: str) -> None:
    settings = _settings(tmp_path, "10.1.2.3")
    ensure_certificates(settings, NOW)
    _verify(settings, name, NOW)


def test_a_client_refuses_another_name_another_authority_and_another_time(own: Settings) -> None:
    ensure_certificates(own, NOW)
    for name, when, ca in (
        ("10.1.2.3", NOW, None),
        ("example.org", NOW, None),
        ("127.0.0.1", NOW, make_authority(NOW).certificate),
        ("127.0.0.1", NOW + SERVER_LIFE + DAY, None),
        ("127.0.0.1", NOW - DAY, None),
    ):
        with pytest.raises(VerificationError):
            _verify(own, name, when, ca)


def test_keys_are_their_owners_alone(own: Settings) -> None:
    ensure_certificates(own)
    assert stat.S_IMODE(own.tls_dir.stat().st_mode) == 0o700
    keys = [path for path in own.tls_dir.iterdir() if b"PRIVATE KEY" in path.read_bytes()]
    assert {path.name for path in keys} == {"authority.pem", "server.pem"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}
    # One file holds what belongs together, as every server loads it.
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(server_file(own))


def test_asked_for_again_or_at_once_it_stays_the_same(own: Settings) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: ensure_certificates(own, NOW), range(16)))
    files = {path: path.read_bytes() for path in own.tls_dir.glob("*.pem")}
    assert len(files) == 3
    ensure_certificates(own, NOW + SERVER_LIFE - RENEW_BEFORE - DAY)
    assert {path: path.read_bytes() for path in own.tls_dir.glob("*.pem")} == files
    _verify(own, "127.0.0.1", NOW)


def test_it_is_renewed_before_it_ends_by_the_same_authority(own: Settings) -> None:
    ensure_certificates(own, NOW)
    first, ca = _shown(own), own.tls_authority_file.read_bytes()
    late = NOW + SERVER_LIFE - RENEW_BEFORE + DAY
    assert late < first.not_valid_after_utc
    ensure_certificates(own, late)
    assert _shown(own).not_valid_after_utc == late + SERVER_LIFE
    assert own.tls_authority_file.read_bytes() == ca


def test_the_authority_is_renewed_before_it_could_end_first(own: Settings) -> None:
    ensure_certificates(own, NOW)
    ca = own.tls_authority_file.read_bytes()
    late = NOW + AUTHORITY_LIFE - SERVER_LIFE + DAY
    ensure_certificates(own, late)
    assert own.tls_authority_file.read_bytes() != ca
    _verify(own, "127.0.0.1", late + SERVER_LIFE - DAY)


def test_another_host_or_a_lost_file_is_mended(own: Settings, tmp_path: Path) -> None:
    ensure_certificates(own, NOW)
    moved = _settings(tmp_path, "10.1.2.3")
    ensure_certificates(moved, NOW)
    _verify(moved, "10.1.2.3", NOW)
    own.tls_authority_file.unlink()
    ensure_certificates(own, NOW)
    _verify(own, "127.0.0.1", NOW)


def test_a_certificate_of_another_authority_is_replaced(own: Settings) -> None:
    ensure_certificates(own, NOW)
    server_file(own).write_text(sign_server(make_authority(NOW), own.host, NOW).pem())
    ensure_certificates(own, NOW)
    _verify(own, "127.0.0.1", NOW)


def test_a_broken_file_is_named(own: Settings) -> None:
    ensure_certificates(own, NOW)
    for name in ("server.pem", "authority.pem"):
        (own.tls_dir / name).write_text("no certificate")
        with pytest.raises(SettingsError, match=name):
            ensure_certificates(own, NOW)


@pytest.mark.parametrize(
    ("host", "tls", "on"),
    [
        ("127.0.0.1", "auto", False),
        ("localhost", "auto", False),
        ("::1", "auto", False),
        ("10.1.2.3", "auto", True),
        ("0.0.0.0", "auto", True),
        ("kakou.example", "auto", True),
        ("127.0.0.1", "on", True),
        ("127.0.0.1", "off", False),
    ],
)
def test_on_outside_loopback(tmp_path: Path, host: str, tls: str, on: bool) -> None:
    settings = _settings(tmp_path, host, tls)
    assert settings.tls_on is on
    if on:
        ensure_certificates(settings)
    assert (kafka_options(settings)["security_protocol"] == "SASL_SSL") is on
    assert (spark_kafka_options(settings)["kafka.security.protocol"] == "SASL_SSL") is on
    assert ("ssl_ca" in database_url(settings, "dn1", "root").query) is on


@pytest.mark.parametrize("host", ["10.1.2.3", "0.0.0.0", "kakou.example"])
def test_off_outside_loopback_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(SettingsError, match=r"KAKOU_TLS: off .* KAKOU_HOST=") as caught:
        _settings(tmp_path, host, "off")
    assert host in str(caught.value)


def test_a_client_without_the_authority_is_told_where_it_is(own: Settings) -> None:
    with pytest.raises(SettingsError, match=r"ca\.pem is missing"):
        authority(own)
