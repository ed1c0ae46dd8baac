"""Options of a connection that say how an object store is reached."""

from __future__ import annotations

from typing import Any

import pytest

from ematix_core.backends.delta.settings import settings_of as delta_settings
from ematix_core.backends.objects.settings import settings_of
from ematix_core.backends.storage.access import access_of
from ematix_core.errors import ConfigError
from ematix_core.model.connection import DeltaConnection, ObjectStoreConnection

KEYS = {"access_key_id": "AKIA", "secret_access_key": "hush"}


@pytest.fixture(autouse=True)
def _no_keys_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere/config")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere/credentials")


def test_a_local_path_has_no_access_and_keeps_its_options() -> None:
    values: dict[str, Any] = {"endpoint": "x"}
    assert access_of("./lake", values, where="connection lake") is None
    assert values == {"endpoint": "x"}


def test_the_url_is_taken_apart_and_the_options_are_taken_out() -> None:
    values: dict[str, Any] = {**KEYS, "region": "eu-west-1", "compression": "zstd", "retry_seconds": "5"}
    access = access_of("s3://bucket//a/b/", values, where="connection lake")
    assert access is not None
    assert (access.scheme, access.bucket, access.prefix, access.retry_seconds) == ("s3", "bucket", "a/b", 5.0)
    assert access.url == "s3://bucket/a/b"
    assert values == {"compression": "zstd"}


def test_secrets_are_not_shown() -> None:
    connection = ObjectStoreConnection("lake", path="s3://bucket", options=dict(KEYS))
    assert "hush" not in repr(connection)
    assert "hush" not in repr(settings_of(connection))


def test_delta_rs_gets_the_same_options() -> None:
    endpoint = {"endpoint": "http://127.0.0.1:9000"}
    settings = delta_settings(DeltaConnection("lake", path="s3://bucket/silver", options={**KEYS, **endpoint}))
    place = settings.root.at("orders")
    assert place.uri == "s3://bucket/silver/orders"
    expected = {
        "aws_access_key_id": "AKIA", "aws_secret_access_key": "hush", "aws_endpoint": "http://127.0.0.1:9000",
        "allow_http": "true", "aws_region": "us-east-1",
    }  # fmt: skip
    assert expected.items() <= dict(place.options).items()


def test_two_stores_with_a_bucket_of_one_name_have_different_locations() -> None:
    folders = [
        settings_of(
            ObjectStoreConnection("lake", path="s3://bucket", options={**KEYS, "endpoint": f"http://127.0.0.1:{port}"})
        ).folder()
        for port in (9000, 9001)
    ]
    assert len({folder.location("a.csv") for folder in folders}) == 2
    assert [folder.path(folder.location("x/a.csv")) for folder in folders] == ["x/a.csv"] * 2


def test_a_profile_gives_the_keys(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401 - a Path
    file = tmp_path / "credentials"
    file.write_text("[etl]\naws_access_key_id = FROM\naws_secret_access_key = PROFILE\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    for options in ({"profile": "etl"}, {}):
        monkeypatch.setenv("AWS_PROFILE", "" if options else "etl")
        place = delta_settings(DeltaConnection("lake", path="s3://bucket", options=options)).root
        expected = {"aws_access_key_id": "FROM", "aws_secret_access_key": "PROFILE"}
        assert expected.items() <= dict(place.options).items()


@pytest.mark.parametrize(
    ("path", "options", "said"),
    [
        ("s4://bucket", {}, r"s4:// is no object store \(connection lake\)\nDid you mean|s4:// is no object store"),
        ("s3:///orders", {}, "names no bucket"),
        ("s3://bucket/../other", {}, r"has \.\. in it"),
        ("s3://bucket", {"access_key_id": "AKIA"}, "access_key_id is given alone"),
        ("s3://bucket", {"endpoint": "minio:9000"}, "endpoint='minio:9000' is no URL"),
        ("s3://bucket", {"anonymous": "maybe"}, "anonymous='maybe' is neither true nor false"),
        ("s3://bucket", {"retry_seconds": "soon"}, "retry_seconds='soon' is no number of seconds"),
        ("s3://bucket", {"retry_seconds": 3600}, "retry_seconds=3600 is no number of seconds"),
        ("s3://bucket", {"acces_key_id": "x"}, "unknown option 'acces_key_id'"),
        ("gs://bucket", {"access_key_id": "x"}, "unknown option 'access_key_id'"),
        ("./lake", {"region": "x"}, "unknown option 'region'"),
    ],
)
@pytest.mark.parametrize("kind", [ObjectStoreConnection, DeltaConnection])
def test_what_makes_no_sense_is_refused_by_name(kind: Any, path: str, options: dict[str, Any], said: str) -> None:  # noqa: ANN401 - a class
    read = settings_of if kind is ObjectStoreConnection else delta_settings
    with pytest.raises(ConfigError, match=said):
        read(kind("lake", path=path, options=options))


def test_what_the_client_refuses_is_told_without_its_inner_structure() -> None:
    settings = settings_of(
        ObjectStoreConnection("lake", path="az://box", options={"account_name": "a", "account_key": "%"})
    )
    with pytest.raises(
        ConfigError, match=r"az://box cannot be reached with these options: .*Invalid Access Key"
    ) as caught:
        settings.folder()
    assert "Debug source" not in str(caught.value)


def test_an_unknown_profile_is_named() -> None:
    settings = settings_of(ObjectStoreConnection("lake", path="s3://bucket", options={"profile": "nope"}))
    with pytest.raises(ConfigError, match=r"profile 'nope' of AWS cannot be used.*could not be found"):
        settings.folder()
