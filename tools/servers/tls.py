"""A private authority, a certificate for `localhost` that it signed, and an authority that signed nothing.

For servers that ask who the client is there is a further authority, with a certificate of a client.
"""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tools.servers.system import give, owned_folder

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

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


@dataclass(frozen=True)
class ClientTls:
    """Files in PEM form: a client's certificate and key, and the authority that signed it."""

    ca: Path
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


def client_certificates(folder: Path, name: str) -> ClientTls:
    """Return the files for a client of this name, made if they are not there, by an authority for clients only."""
    tls = ClientTls(folder / "client-ca.pem", folder / "client.pem", folder / "client-key.pem")
    if tls.key.exists():
        return tls
    owned_folder(folder)
    authority_key, key = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    authority = _authority("ematix clients", authority_key)
    certificate = _builder(name, authority.subject, key).sign(authority_key, hashes.SHA256())
    for path, made in ((tls.ca, authority), (tls.certificate, certificate)):
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    tls.key.touch(mode=0o600)
    tls.key.write_bytes(_pkcs8(key))
    give(tls.key)
    return tls


def key_store(tls: Tls, file: Path) -> Path:
    """Write the server's key and certificate into one file, as Java reads them, and return it."""
    key = serialization.load_pem_private_key(tls.key.read_bytes(), password=None)
    partial = file.with_name(f"{file.name}.{os.getpid()}")
    partial.touch(mode=0o600)
    partial.write_bytes(_pkcs8(key) + tls.certificate.read_bytes())
    give(partial)
    return partial.replace(file)


def _pkcs8(key: PrivateKeyTypes) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


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
