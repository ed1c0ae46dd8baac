"""A private authority, a certificate for `localhost` that it signed, and an authority that signed nothing."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tools.servers.system import give, owned_folder

if TYPE_CHECKING:
    from pathlib import Path

HOST = "localhost"
WRONG_HOST = "127.0.0.1"
"""Reaches the same servers, but is no name in their certificate: a client that checks host names must refuse it."""


@dataclass(frozen=True)
class Tls:
    """Files in PEM form. `ca` signed `certificate`, `other_ca` did not."""

    ca: Path
    other_ca: Path
    certificate: Path
    key: Path


def certificates(folder: Path) -> Tls:
    """Return the files of this folder, made if they are not there. They hold for ten years."""
    tls = Tls(folder / "ca.pem", folder / "other-ca.pem", folder / "server.pem", folder / "server-key.pem")
    if tls.key.exists():
        return tls
    owned_folder(folder)
    authority_key, other_key, server_key = (rsa.generate_private_key(65537, 2048) for _ in range(3))
    authority, other = _authority("ematix tests", authority_key), _authority("another authority", other_key)
    server = (
        _builder(HOST, authority.subject, server_key)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    for path, certificate in ((tls.ca, authority), (tls.other_ca, other), (tls.certificate, server)):
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    # PEM of PKCS #1, the one form that MySQL 8.0.15 and its OpenSSL 1.0 read as well.
    form = serialization.PrivateFormat.TraditionalOpenSSL
    key = server_key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    tls.key.touch(mode=0o600)
    tls.key.write_bytes(key)
    give(tls.key)
    return tls


def _authority(name: str, key: rsa.RSAPrivateKey) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(
        key_cert_sign=True, crl_sign=True, digital_signature=False, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        _builder(name, subject, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )


def _builder(name: str, issuer: x509.Name, key: rsa.RSAPrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=3650))
    )
