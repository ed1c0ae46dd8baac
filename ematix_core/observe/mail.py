"""Alerts as mails, through an SMTP server."""

from __future__ import annotations

from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import TYPE_CHECKING

from ematix_core.errors import AlertError, ReceiverError

if TYPE_CHECKING:
    import smtplib

    from ematix_core.config.alerting import EmailSettings
    from ematix_core.observe.alert import Alert

SECONDS = 10.0
_PORTS = {"starttls": 587, "ssl": 465, "none": 25}
_TEMPORARY = range(400, 500)  # https://www.rfc-editor.org/rfc/rfc5321#section-4.2.1


def send(settings: EmailSettings, alert: Alert) -> None:
    """Send one mail to all recipients; the server's certificate is checked."""
    import smtplib

    try:
        message = _message(settings, alert)
        with _connected(settings) as server:
            if settings.user:
                server.login(settings.user, settings.password)
            refused = server.send_message(message, settings.sender, settings.to)
    except smtplib.SMTPRecipientsRefused as error:
        code, said = next(iter(error.recipients.values()))
        raise _refusal(code, said, "the server refuses the recipients") from None
    except smtplib.SMTPResponseException as error:
        raise _refusal(error.smtp_code, error.smtp_error, "the server refuses") from None
    except smtplib.SMTPNotSupportedError as error:
        hint = 'Set security = "ssl", or security = "none" for a server that you reach over a safe network.'
        raise AlertError(str(error), hint=hint) from None
    except (smtplib.SMTPException, OSError) as error:
        raise ReceiverError(f"no answer from {settings.host}: {error}") from None
    except ValueError as error:  # a line break in an address, or one that cannot be written as the server takes it
        raise AlertError(f"the mail cannot be made: {error}", hint="Check sender and to.") from None
    if refused:
        raise AlertError(f"the mail was sent, but not to {', '.join(refused)}: the server refuses")


def _connected(settings: EmailSettings) -> smtplib.SMTP:
    import smtplib
    import ssl

    port = settings.port or _PORTS[settings.security]
    if settings.security == "none":
        return smtplib.SMTP(settings.host, port, timeout=SECONDS)
    trust = ssl.create_default_context()
    if settings.security == "ssl":
        return smtplib.SMTP_SSL(settings.host, port, timeout=SECONDS, context=trust)
    server = smtplib.SMTP(settings.host, port, timeout=SECONDS)
    try:
        server.starttls(context=trust)
    except BaseException:
        server.close()
        raise
    return server


def _message(settings: EmailSettings, alert: Alert) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = f"[ematix] {' '.join(alert.title.split())}"
    message["From"] = settings.sender
    message["To"] = ", ".join(settings.to)
    message["Date"] = format_datetime(alert.at)
    message["Message-ID"] = make_msgid(domain="ematix")
    message["Auto-Submitted"] = "auto-generated"  # so that no absence note answers: RFC 3834
    facts = "\n".join(f"{name}: {value}" for name, value in alert.facts().items())
    body = f"{alert.title}\n\n{alert.text}\n\n{facts}\n" if alert.text else f"{alert.title}\n\n{facts}\n"
    message.set_content(body.encode(errors="replace").decode())
    return message


def _refusal(code: int, said: bytes | str, what: str) -> AlertError:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    if code in _TEMPORARY:
        return ReceiverError(f"{what}: {code} {text}")
    return AlertError(f"{what}: {code} {text}", hint="Check user, password, sender and to of the alerter.")
