"""Kafka: one broker that is its own controller (KRaft), with a listener for each way to log in.

https://kafka.apache.org/41/configuration/broker-configs/
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tools.servers import maven
from tools.servers.broker import Broker
from tools.servers.client import PASSWORD
from tools.servers.server import Server, free_port
from tools.servers.system import owned_folder, run
from tools.servers.tls import ClientTls, client_certificates, key_store

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VERSION = "4.1.2"
ARTIFACTS = (f"org.apache.kafka:kafka_2.13:{VERSION}", "org.slf4j:slf4j-simple:1.7.36")
CHECKSUM = "a7a80a30421a5b0e302a2353f5d1d41867a5602ccfbd90b207aa3a8c1dc9b636"
# All data folders begin as copies of one, so there is one name for the cluster as well.
CLUSTER = "ematix-tests-cluster-1"
USER, UNPRIVILEGED = "ematix_password", "ematix_unprivileged"
_PLAIN = (
    "org.apache.kafka.common.security.plain.PlainLoginModule required "
    + " ".join(f'user_{user}="{PASSWORD}"' for user in (USER, UNPRIVILEGED))
    + ";"
)
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"  # users are in the metadata: initialise
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
SECURITY: Mapping[str, str] = {
    "plain": "PLAINTEXT",
    "sasl": "SASL_PLAINTEXT",
    "sasl_tls": "SASL_SSL",
    "tls": "SSL",
    "mutual": "SSL",
    "controller": "PLAINTEXT",
}
"""The listeners, and their protocols. `tls` asks for no certificate of the client, `mutual` requires one."""

SETTINGS: Mapping[str, object] = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAIN",
    "auto.create.topics.enable": "false",
    # One broker can hold one copy only; and few partitions make it start quickly.
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 3,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 3,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    # A killed broker is let in again when its former session is over: 9 s, if nothing is said.
    "broker.session.timeout.ms": 2000,
    "broker.heartbeat.interval.ms": 300,
    # Tests wait for these: the first rebalance, a lost consumer, a transaction past its time, retention, compaction.
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 500,
    "group.consumer.min.session.timeout.ms": 500,
    "group.consumer.min.heartbeat.interval.ms": 100,
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 500,
    "log.initial.task.delay.ms": 500,
    "log.retention.check.interval.ms": 1000,
    "log.segment.delete.delay.ms": 1000,
    "log.cleaner.backoff.ms": 1000,
    "log.cleaner.dedupe.buffer.size": 16 * 2**20,
    # Users of `plain` are administrators; whom an ACL allows nothing may do nothing.
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": f"User:ANONYMOUS;User:{USER};User:CN={USER}",
    "sasl.enabled.mechanisms": ",".join(MECHANISMS),
}


@dataclass(frozen=True)
class Listener:
    """A listener by its name, with the port that it has."""

    name: str
    port: int

    @property
    def protocol(self) -> str:
        """Kafka's word for how a client gets in."""
        return SECURITY[self.name]

    @property
    def address(self) -> str:
        """`host:port`; with TLS the host is the one in the certificate."""
        return f"{'localhost' if self.protocol.endswith('SSL') else '127.0.0.1'}:{self.port}"

    def at(self, address: str) -> str:
        """Return the word of Kafka's settings for this listener at an address."""
        return f"{self.name.upper()}://{address}"


QUICK = "-Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
"""Java's quick compiler only, and its small collector: half the time to start. EMATIX_KAFKA_JAVA has others."""


class Kafka(Server):
    """Kafka on Java 17. `options` are settings, `name=value`."""

    name = "kafka"
    default_port = 15392

    @property
    def programs(self) -> Path:
        """The folder of the jars."""
        return self.kind_folder / "programs"

    @property
    def client(self) -> ClientTls:
        """The certificate of a client, whom the listener `mutual` lets in as `CN=ematix_password`."""
        return client_certificates(self.kind_folder / "tls", USER)

    def packages(self) -> list[str]:
        needs_maven = not self.programs.exists() and not shutil.which("mvn")
        return ([] if shutil.which("java") else ["openjdk-17-jre-headless"]) + (["maven"] if needs_maven else [])

    def install(self) -> None:
        owned_folder(self.kind_folder)
        maven.jars(ARTIFACTS, checksum=CHECKSUM, into=self.programs)

    def initialise(self, data: Path) -> None:
        settings = data.with_name("format.properties")
        self._write(settings, {name: self.default_port + place for place, name in enumerate(SECURITY)}, data)
        users = [
            f"--add-scram={mechanism}=[name={user},password={PASSWORD}]"
            for mechanism in MECHANISMS[1:]
            for user in (USER, UNPRIVILEGED)
        ]
        run(
            [
                *self._java("kafka.tools.StorageTool"),
                "format",
                f"--cluster-id={CLUSTER}",
                f"--config={settings}",
                *users,
            ]
        )

    def command(self) -> list[str]:
        settings = self.folder / "server.properties"
        self._write(settings, self._choose_ports(), self.data)
        return [*self._java("kafka.Kafka"), str(settings)]

    @property
    def url(self) -> str:
        return Broker(f"127.0.0.1:{self.port}").url

    def ask(self) -> None:
        Broker.from_url(self.url).ask()

    def accounts(self, url: str) -> dict[str, str]:
        """Return how to log in on a server of ours; of another one only the listener in its URL is known."""
        if not (self.running and url == self.url):
            Broker.from_url(url).ask(seconds=10)
            return {}
        ca = str(self.tls.ca)
        sasl, tls, both, mutual = (
            Broker(self.listener(name).address, scheme)
            for name, scheme in (
                ("sasl", "kafka+sasl"), ("tls", "kafka+tls"), ("sasl_tls", "kafka+sasl+tls"), ("mutual", "kafka+tls")
            )
        )  # fmt: skip
        certificate, key = str(self.client.certificate), str(self.client.key)
        users = {
            "tls": replace(tls, ca=ca),
            "mutual": replace(mutual, ca=ca, certificate=certificate, key=key),
            "unprivileged": replace(sasl, user=UNPRIVILEGED, password=PASSWORD),
        }
        for role, mechanism in zip(("plain", "scram256", "scram512"), MECHANISMS, strict=True):
            users[role] = replace(sasl, user=USER, password=PASSWORD, mechanism=mechanism)
            users[f"{role}_tls"] = replace(both, user=USER, password=PASSWORD, mechanism=mechanism, ca=ca)
        return {role: user.url for role, user in users.items()}

    def listener(self, name: str) -> Listener:
        """Return a listener by its name in SECURITY."""
        return Listener(name, self._ports()[name])

    def _ports(self) -> dict[str, int]:
        file = self.folder / "ports.json"
        known: dict[str, int] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        return known | {"plain": self.port}

    def _choose_ports(self) -> dict[str, int]:
        """Return a free port for each listener: that of last time, if it is free."""
        known = self._ports()
        ports = {name: self.port if name == "plain" else free_port(known.get(name)) for name in SECURITY}
        (self.folder / "ports.json").write_text(json.dumps(ports), encoding="utf-8")
        return ports

    def _write(self, settings: Path, ports: Mapping[str, int], data: Path) -> None:
        """Write the file of settings, those that depend on ports, certificates and folders among them."""
        listeners = [Listener(name, port) for name, port in ports.items()]
        local = {
            "log.dirs": data,
            "listeners": ",".join(one.at(f"127.0.0.1:{one.port}") for one in listeners),
            "advertised.listeners": ",".join(one.at(one.address) for one in listeners if one.name != "controller"),
            "listener.security.protocol.map": ",".join(f"{one.name.upper()}:{one.protocol}" for one in listeners),
            "controller.quorum.voters": f"1@127.0.0.1:{ports['controller']}",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": key_store(self.tls, self.kind_folder / "server.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.client.ca,
            "listener.name.mutual.ssl.client.auth": "required",
        }
        logins = {
            f"listener.name.{listener}.{mechanism.lower()}.sasl.jaas.config": login
            for listener in ("sasl", "sasl_tls")
            for mechanism, login in zip(MECHANISMS, (_PLAIN, _SCRAM, _SCRAM), strict=True)
        }
        own = dict(option.split("=", 1) for option in self.options)
        values = {**SETTINGS, **local, **logins, **own}
        settings.write_text("".join(f"{name}={value}\n" for name, value in values.items()), encoding="utf-8")

    def _java(self, program: str) -> list[str]:
        log = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        options = os.environ.get("EMATIX_KAFKA_JAVA", QUICK).split()
        return ["java", *options, log, "-cp", f"{self.programs}/*", program]
