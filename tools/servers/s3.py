"""S3 by versitygw: a server that keeps objects as files, checks signatures, and has conditional writes.

https://github.com/versity/versitygw; why this one: docs/decisions/s3-server.md
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tools.servers.bucket import Bucket
from tools.servers.client import PASSWORD
from tools.servers.golang import build
from tools.servers.server import Server
from tools.servers.system import ServerError, owned_folder, run

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = "github.com/versity/versitygw/cmd/versitygw"
VERSION = "v1.8.0"
CHECKSUM = "h1:au+wI+aybno/STsQiSm35Uu6Q6iK5MWReQxgO6SEMFc="
BUCKET = "ematix"
_KEY, _SECRET = "ematix", "ematix-secret"
_READ = ["s3:GetObject", "s3:ListBucket"]


class S3(Server):
    """versitygw on a folder: `data/<bucket>/<key>` is an object. An account without rights, and one that reads."""

    name = "s3"
    default_port = 15390

    @property
    def program(self) -> Path:
        """The program, once it is built."""
        return self.kind_folder / "programs" / "versitygw"

    def packages(self) -> list[str]:
        return []

    def install(self) -> None:
        owned_folder(self.kind_folder)
        instead = "name a server that you have by EMATIX_TEST_S3_URL: docs/how-to/servers.md"
        build(PACKAGE, VERSION, checksum=CHECKSUM, into=self.program.parent, instead=instead)

    def initialise(self, data: Path) -> None:
        run(["mkdir", "-p", str(data / "buckets" / BUCKET), str(data / "accounts")])

    def command(self) -> list[str]:
        return [
            "env", f"ROOT_ACCESS_KEY_ID={_KEY}", f"ROOT_SECRET_ACCESS_KEY={_SECRET}",
            str(self.program), f"--port=127.0.0.1:{self.port}", "--keep-alive", "--quiet",
            f"--iam-dir={self.data / 'accounts'}", *self.options, "posix", str(self.data / "buckets"),
        ]  # fmt: skip

    @property
    def url(self) -> str:
        return Bucket(f"http://127.0.0.1:{self.port}", BUCKET, _KEY, _SECRET).url

    def ask(self) -> None:
        Bucket.from_url(self.url).store(retries=0).list_with_delimiter("nothing/")

    def accounts(self, url: str) -> dict[str, str]:
        """Make the bucket if it is not there; users only on a server of ours, as S3 itself has no word for that."""
        import boto3

        bucket = Bucket.from_url(url)
        client = boto3.client(
            "s3", endpoint_url=bucket.endpoint, region_name=bucket.region, aws_access_key_id=bucket.key,
            aws_secret_access_key=bucket.secret,
        )  # fmt: skip
        if bucket.bucket not in {known["Name"] for known in client.list_buckets()["Buckets"]}:
            client.create_bucket(Bucket=bucket.bucket)
        if not (self.running and url == self.url):
            return {}
        users = {
            role: Bucket(bucket.endpoint, BUCKET, f"ematix_{role}", PASSWORD) for role in ("unprivileged", "read_only")
        }
        for user in users.values():
            self._create(user, by=bucket)
        allowed = [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"]
        reader = {
            "Effect": "Allow",
            "Principal": {"AWS": [users["read_only"].key]},
            "Action": _READ,
            "Resource": allowed,
        }
        client.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [reader]}))
        return {role: user.url for role, user in users.items()}

    def _create(self, user: Bucket, *, by: Bucket) -> None:
        admin = [
            str(self.program), "admin", "--access", by.key, "--secret", by.secret, "--endpoint-url", by.endpoint,
            "create-user", "--access", user.key, "--secret", user.secret, "--role", "user",
        ]  # fmt: skip
        try:
            run(admin)
        except ServerError as error:
            if "XAdminUserExists" not in str(error):
                raise
