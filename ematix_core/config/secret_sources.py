"""Where secrets are kept: files, HashiCorp Vault, AWS Secrets Manager, Google Secret Manager.

Each function takes what stands after the prefix and returns the secret. It raises SecretError with the cause, or
MissingDriverError; never with the secret, nor with an answer that could hold it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ematix_core.errors import MissingDriverError, SecretError, near

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from google.cloud.secretmanager import SecretManagerServiceClient

SECONDS = 10.0
"""How long a secret server may take to answer."""


def read_file(body: str) -> str:
    """Return the content of a file without its trailing newline. `~` is the home folder."""
    try:
        return Path(body).expanduser().read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise SecretError(
            "the file is not UTF-8 text", hint="A secret is text; encode binary ones, as base64."
        ) from None
    except OSError as error:
        raise SecretError(
            f"the file cannot be read: {error.strerror}", hint=f"Create {body}, readable for this user."
        ) from error


def read_vault(body: str) -> str:
    """Return a field of a key-value secret of Vault: `mount/path#field`, as `vault kv get` names it.

    VAULT_ADDR and VAULT_TOKEN (or ~/.vault-token) say where and as whom; VAULT_NAMESPACE is respected.
    Version 1 and 2 of the key-value engine are told apart as the vault command does, by asking the mount.
    """
    try:
        import hvac
        from requests import RequestException
    except ImportError:
        raise missing("vault", "hvac") from None
    path, field = _split_field(body, "${vault:secret/shop#password}")
    if not os.environ.get("VAULT_ADDR"):
        raise SecretError("VAULT_ADDR is not set", hint="Set VAULT_ADDR to Vault's URL, and VAULT_TOKEN.")
    client = hvac.Client(namespace=os.environ.get("VAULT_NAMESPACE"), timeout=SECONDS)
    try:
        # https://developer.hashicorp.com/vault/api-docs/system/internal-ui-mounts
        mount = client.adapter.get(f"/v1/sys/internal/ui/mounts/{path}")["data"]
        if (mount.get("options") or {}).get("version") == "2":
            inner = path.removeprefix(mount["path"])
            answer = client.read(f"{mount['path']}data/{inner}")
            secret = answer and answer["data"]["data"]
        else:
            answer = client.read(path)
            secret = answer and answer["data"]
    except (hvac.exceptions.Forbidden, hvac.exceptions.Unauthorized) as error:
        raise SecretError("Vault refused the token", hint=f"Set VAULT_TOKEN to one that may read {path}.") from error
    except (hvac.exceptions.VaultError, RequestException) as error:
        raise SecretError(
            f"Vault did not answer with a secret: {type(error).__name__}", hint="Check VAULT_ADDR."
        ) from error
    if not secret:
        raise SecretError(f"Vault has no secret at {path}", hint=f"Write it: vault kv put {path} {field}=...")
    return _field(secret, field)


def read_aws(body: str) -> str:
    """Return a secret of AWS Secrets Manager by name or ARN; with `#field`, a field of its JSON.

    Credentials, region and endpoint are boto3's: AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL and so on.
    """
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise missing("aws", "boto3") from None
    name, _, field = body.partition("#")
    try:
        config = Config(connect_timeout=SECONDS, read_timeout=SECONDS, retries={"total_max_attempts": 3})
        answer = boto3.client("secretsmanager", config=config).get_secret_value(SecretId=name)
    except (BotoCoreError, ClientError) as error:
        raise SecretError(
            f"AWS Secrets Manager: {error}",
            hint="Check the name, AWS_REGION, and that the credentials may call secretsmanager:GetSecretValue.",
        ) from error
    text: str = answer["SecretString"] if "SecretString" in answer else _decode(answer["SecretBinary"])
    return _field(_json(text), field) if field else text


def read_gcp(body: str, client: SecretManagerServiceClient | None = None) -> str:
    """Return a secret of Google Secret Manager: its name (project from GOOGLE_CLOUD_PROJECT) or full resource name.

    Without `/versions/...` it is the latest version. Credentials are the application default ones.
    """
    try:
        from google.api_core.exceptions import GoogleAPIError
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.secretmanager import SecretManagerServiceClient
    except ImportError:
        raise missing("gcp", "google-cloud-secret-manager") from None
    try:
        client = client or SecretManagerServiceClient()
        answer = client.access_secret_version(name=_gcp_name(body), timeout=SECONDS)
    except (GoogleAPIError, GoogleAuthError) as error:
        raise SecretError(
            f"Google Secret Manager: {error}",
            hint="Check the name and that the credentials have the role Secret Manager Secret Accessor.",
        ) from error
    return _decode(answer.payload.data)


SOURCES: Mapping[str, Callable[[str], str]] = {
    "file": read_file,
    "vault": read_vault,
    "aws": read_aws,
    "gcp": read_gcp,
}


def missing(source: str, package: str) -> MissingDriverError:
    """Return the error for a secret source whose package is not installed."""
    error = MissingDriverError(source, package, source)
    error.what = f"${{{source}:...}} needs the package {package}, which is not installed"
    return error


def _gcp_name(body: str) -> str:
    if not body.startswith("projects/"):
        project = os.environ.get("GOOGLE_CLOUD_PROJECT")
        if not project:
            raise SecretError(
                "GOOGLE_CLOUD_PROJECT is not set",
                hint="Set it, or write the full name: ${gcp:projects/PROJECT/secrets/NAME}.",
            )
        body = f"projects/{project}/secrets/{body}"
    return body if "/versions/" in body else f"{body}/versions/latest"


def _split_field(body: str, example: str) -> tuple[str, str]:
    path, _, field = body.partition("#")
    if not path or not field:
        raise SecretError("a path and a field are needed", hint=f"Write it as {example}.")
    return path.strip("/"), field


def _field(secret: Mapping[str, Any], field: str) -> str:
    if field not in secret:
        raise SecretError(f"the secret has no field {field!r}", hint=near(field, secret))
    value = secret[field]
    return value if isinstance(value, str) else json.dumps(value)


def _json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise SecretError("the secret is not a JSON object, so it has no fields", hint="Leave out the #field.")
    return value


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise SecretError("the secret is not UTF-8 text", hint="Encode binary secrets, as base64.") from None
