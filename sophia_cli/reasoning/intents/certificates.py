"""Intents about certificates and secrets: issued, renewed, looked at, made better, rotated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sophia_cli.reasoning import slots
from sophia_cli.reasoning.intents.intent import Intent, flag, operands


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class IssueCertificate(Intent):
    """A new certificate."""

    name: ClassVar[str] = "issue_certificate"
    writes: ClassVar[bool] = True
    names: tuple[str, ...]
    authority: str | None = None

    def _words(self) -> list[str]:
        provider = None if self.authority is None else f"ssl.provider={self.authority}"
        return ["cert", "issue", *flag("--set", provider)]

    def phrase(self) -> str:
        issuer = f" from {self.authority}" if self.authority else ""
        return f"issue a certificate for {' and '.join(self.names)}{issuer}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RenewCertificate(Intent):
    """The next certificate for names that have one."""

    name: ClassVar[str] = "renew_certificate"
    writes: ClassVar[bool] = True
    names: tuple[str, ...]

    def _words(self) -> list[str]:
        return ["cert", "renew"]

    def phrase(self) -> str:
        return f"renew the certificate for {' and '.join(self.names)}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class InspectCertificate(Intent):
    """A look at the certificate that is served."""

    name: ClassVar[str] = "inspect_certificate"
    subject: str

    def _words(self) -> list[str]:
        return ["cert", "show", *operands(self.subject)]

    def phrase(self) -> str:
        return f"inspect the certificate of {self.subject}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class OptimizeCertificates(Intent):
    """A better certificate and TLS configuration."""

    name: ClassVar[str] = "optimize_certificates"
    writes: ClassVar[bool] = True
    goal: str | None = None
    domain: str | None = None

    def _check(self) -> None:
        if self.goal is not None:
            slots.choice(self.goal, "a goal", ("performance", "security"))

    def _words(self) -> list[str]:
        return ["analyze", "--agent", "ssl", "--agent", "security", *operands(self.domain and f"dns:{self.domain}")]

    def phrase(self) -> str:
        goal = f" for {self.goal}" if self.goal else ""
        return "optimize the certificate configuration" + (f" of {self.domain}" if self.domain else "") + goal


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RotateSecret(Intent):
    """A secret replaced by a new one."""

    name: ClassVar[str] = "rotate_secret"
    writes: ClassVar[bool] = True
    secret: str

    def _words(self) -> list[str]:
        return ["secrets", "rotate", *operands(self.secret)]

    def phrase(self) -> str:
        return f"rotate the secret {self.secret}"
