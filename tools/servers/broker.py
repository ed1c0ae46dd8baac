"""A Kafka cluster as one URL says it: where it is, and how a client gets in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

PROTOCOLS: Mapping[str, str] = {
    "kafka": "PLAINTEXT",
    "kafka+sasl": "SASL_PLAINTEXT",
    "kafka+tls": "SSL",
    "kafka+sasl+tls": "SASL_SSL",
}


@dataclass(frozen=True)
class Broker:
    """`kafka://HOST:PORT`; `kafka+sasl` has USER:PASSWORD@ and `?mechanism=`, `kafka+tls` the files of certificates."""

    bootstrap: str
    scheme: str = "kafka"
    user: str = ""
    password: str = ""
    mechanism: str = "PLAIN"
    ca: str = ""
    certificate: str = ""
    key: str = ""

    @classmethod
    def from_url(cls, url: str) -> Broker:
        """Read the form that `url` has."""
        parts = urlsplit(url)
        if parts.scheme not in PROTOCOLS:
            raise ValueError(f"{parts.scheme} is no scheme of a Kafka URL: there are {', '.join(PROTOCOLS)}")
        login, _, bootstrap = parts.netloc.rpartition("@")
        user, _, password = login.partition(":")
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        return cls(bootstrap, parts.scheme, unquote(user), unquote(password), **options)

    @property
    def url(self) -> str:
        """All of it; user and password percent-encoded."""
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@" if self.user else ""
        options = {"ca": self.ca, "certificate": self.certificate, "key": self.key}
        if self.user:
            options["mechanism"] = self.mechanism
        query = urlencode({name: value for name, value in options.items() if value})
        return f"{self.scheme}://{login}{self.bootstrap}" + (f"?{query}" if query else "")

    @property
    def config(self) -> dict[str, str]:
        """The same in the words of librdkafka, for a client of confluent-kafka."""
        words = {
            "bootstrap.servers": self.bootstrap,
            "security.protocol": PROTOCOLS[self.scheme],
            "sasl.username": self.user,
            "sasl.password": self.password,
            "sasl.mechanism": self.mechanism if self.user else "",
            "ssl.ca.location": self.ca,
            "ssl.certificate.location": self.certificate,
            "ssl.key.location": self.key,
        }
        return {word: value for word, value in words.items() if value}

    def ask(self, seconds: float = 2) -> None:
        """Return if the cluster has a broker that answers. Raises KafkaException or ConnectionError."""
        from confluent_kafka.admin import AdminClient

        # What the client says meanwhile of a server that is not there is of no interest.
        found = AdminClient({**self.config, "log_level": "0"}).list_topics(timeout=seconds)
        if not found.brokers:
            raise ConnectionError(f"{self.bootstrap} knows of no broker")
