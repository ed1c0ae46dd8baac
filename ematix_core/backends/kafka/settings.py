"""Settings of a Kafka connection: what they say, and what librdkafka is told for them.

librdkafka's own settings: https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ematix_core.errors import ConfigError, near
from ematix_core.model.duration import parse_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ematix_core.model.connection import Connection

SECURITY = ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "AWS_MSK_IAM", "OAUTHBEARER")
MSK_IAM = "AWS_MSK_IAM"
_OWN = (
    "url", "bootstrap", "security", "mechanism", "username", "password", "ca", "certificate", "key", "key_password",
    "region",
)  # fmt: skip
_TARGET = ("key_column", "transactional_id", "transaction_timeout", "compression", "format")
_KNOWN = (*_OWN, *_TARGET, "timeout")
_OURS = frozenset({
    "enable.auto.commit", "enable.auto.offset.store", "enable.partition.eof", "auto.offset.reset", "group.id",
    "group.instance.id", "isolation.level", "transactional.id", "enable.idempotence", "bootstrap.servers",
    "security.protocol",
})  # fmt: skip
_FILES = {"ca": "ssl.ca.location", "certificate": "ssl.certificate.location", "key": "ssl.key.location"}


@dataclass(frozen=True)
class KafkaSettings:
    """A connection's settings with their defaults."""

    name: str
    bootstrap: str
    """`host:port,host:port`."""
    timeout: float = 10.0
    """Seconds after which a broker that does not answer is an error."""
    iam_region: str = ""
    """Region whose tokens of AWS IAM are asked for; empty for every other mechanism."""
    client: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """librdkafka's settings, with secrets."""
    target: Mapping[str, Any] = field(default_factory=dict)
    """Options of a target, those that are set."""

    @property
    def where(self) -> str:
        """What errors call the place."""
        return f"connection {self.name}, {self.bootstrap}"


def settings_of(connection: Connection) -> KafkaSettings:
    """Return a connection's settings. Raises ConfigError for what is unknown, missing or contradicts itself."""
    values, where = _from_url(connection), f"connection {connection.name}"
    for name in values:
        if name not in _KNOWN and "." not in name:
            raise ConfigError(
                f"unknown option {name!r}", where=where,
                hint=f"{near(name, _KNOWN)} Settings of librdkafka have a dot in their names, such as fetch.min.bytes.",
            )  # fmt: skip
        if name in _OURS:
            raise ConfigError(f"{name} is for ematix to set", where=where, hint="See docs/reference/kafka.md.")
    mechanism, security = _secured(values, where)
    client: dict[str, Any] = {"bootstrap.servers": values["bootstrap"], "security.protocol": security.upper()}
    if mechanism:
        client["sasl.mechanism"] = "OAUTHBEARER" if mechanism == MSK_IAM else mechanism
    client |= {theirs: _file(values[ours], ours, where) for ours, theirs in _FILES.items() if values.get(ours)}
    texts = {"username": "sasl.username", "password": "sasl.password", "key_password": "ssl.key.password"}
    client |= {theirs: str(values[ours]) for ours, theirs in texts.items() if values.get(ours)}
    client |= {name: value for name, value in values.items() if "." in name}
    return KafkaSettings(
        name=connection.name, bootstrap=values["bootstrap"],
        timeout=parse_seconds(values.get("timeout", 10), "timeout"),
        iam_region=str(values["region"]) if mechanism == MSK_IAM else "", client=client,
        target={name: values[name] for name in _TARGET if values.get(name)},
    )  # fmt: skip


def _from_url(connection: Connection) -> dict[str, Any]:
    """Return the settings, with those that stand in the URL: brokers, user, password, and settings as its query."""
    values = {name: value for name, value in connection.settings().items() if value not in {None, ""}}
    where, url = f"connection {connection.name}", str(values.pop("url", ""))
    if not url and not values.get("bootstrap"):
        raise ConfigError("no broker is named", where=where, hint='Set url="kafka://host:9092".')
    if not url:
        return values
    if values.get("bootstrap"):
        raise ConfigError("url and bootstrap both name brokers", where=where, hint="Give one of the two.")
    parts = urlsplit(url)
    user, at, brokers = parts.netloc.rpartition("@")
    if parts.scheme != "kafka" or not brokers or parts.path.strip("/"):
        raise ConfigError("the url is not that of a Kafka cluster", where=where,
                          hint='Write url="kafka://host:9092,host:9092".')  # fmt: skip
    found = dict(parse_qsl(parts.query)) | {"bootstrap": brokers}
    if at:
        name, _, password = user.partition(":")
        found |= {"username": unquote(name), "password": unquote(password)}
    return found | values


def _secured(values: dict[str, Any], where: str) -> tuple[str, str]:
    """Return mechanism and security. Without `security`, the safest that the other settings allow."""
    mechanism = str(values.get("mechanism", ""))
    if mechanism and mechanism not in MECHANISMS:
        raise ConfigError(f"unknown mechanism {mechanism!r}", where=where, hint=near(mechanism, MECHANISMS))
    encrypted = any(values.get(name) for name in _FILES)
    security = str(values.get("security", "") or ("sasl_ssl" if mechanism else "ssl" if encrypted else "plaintext"))
    if security not in SECURITY:
        raise ConfigError(f"unknown security {security!r}", where=where, hint=near(security, SECURITY))
    if security.startswith("sasl") != bool(mechanism):
        raise ConfigError(
            f"security={security!r} and mechanism={mechanism!r} do not go together", where=where,
            hint=f"Set mechanism to one of {', '.join(MECHANISMS)}, and security to sasl_ssl or sasl_plaintext.",
        )  # fmt: skip
    if encrypted and not security.endswith("ssl"):
        raise ConfigError(f"certificates are of no use with security={security!r}", where=where,
                          hint='Set security="ssl" or "sasl_ssl".')  # fmt: skip
    named = bool(values.get("username") and values.get("password"))
    if (mechanism == "PLAIN" or mechanism.startswith("SCRAM")) and not named:
        raise ConfigError(f"{mechanism} needs username and password", where=where)
    if values.get("username") and not mechanism:
        raise ConfigError("a username needs a mechanism", where=where,
                          hint=f"Set mechanism to one of {', '.join(MECHANISMS)}.")  # fmt: skip
    if mechanism == MSK_IAM and not values.get("region"):
        raise ConfigError("AWS_MSK_IAM needs the region", where=where, hint='Set region="eu-west-1" or the like.')
    return mechanism, security


def _file(value: object, option: str, where: str) -> str:
    path = Path(str(value)).expanduser()
    if "-----BEGIN" in str(value):
        raise ConfigError(f"{option} holds a certificate or key, not the path of one", where=where,
                          hint="Write it into a file that only this user may read.")  # fmt: skip
    if not path.is_file():
        raise ConfigError(f"{option}: there is no file {path}", where=where)
    return str(path)
