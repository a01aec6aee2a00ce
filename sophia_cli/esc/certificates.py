"""The `ssl` section: which authorities, in which order, and which certificates. Contacts nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from sophia_cli.core.acme import DNS_01, DNS_PERSIST_01, KEY_TYPES
from sophia_cli.core.certificates import AUTHORITIES, directories, name_of
from sophia_cli.core.dns import shown
from sophia_cli.core.renewal import MOST_BEFORE_DAYS
from sophia_cli.core.settings import ExternalAccountKey, Ssl
from sophia_cli.esc.sections import Section, url_problem
from sophia_cli.esc.spelling import suggestion

CHALLENGES = (DNS_PERSIST_01, DNS_01)
KEY_FAMILIES = {"ecdsa": "ec-p256", "rsa": "rsa-2048"}
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}\Z")  # it is a folder and part of a target id


def ssl_of(section: Section) -> Ssl:
    """The section, typed. What is wrong is reported with its place."""
    providers, urls = _providers(section), _directories(section)
    common = Ssl(
        provider=next(iter(providers), None),
        email=section.text("email"),
        directory=next(iter(urls), None),
        others=urls[1:] if urls else tuple(AUTHORITIES[name] for name in providers[1:]),
        key_type=_key_type(section) or Ssl().key_type,
        profile=section.text("profile"),
        preferred_chain=section.text("preferred_chain"),
        challenge=section.choice("challenge", CHALLENGES),
        store=section.text("store"),
        deploy_hook=section.text("deploy_hook"),
        renew_before_days=section.integer("renew_before_days", 1, MOST_BEFORE_DAYS),
        ca_file=section.text("ca_file"),
    )
    common = replace(common, external_accounts=_external_accounts(section.section("eab"), common))
    own = replace(common, domains=section.texts("domains"))
    found = replace(own, certificates=dict(_certificates(section.section("certificates"), common, name_of(own))))
    section.finish()
    return found


def _key_type(section: Section) -> str | None:
    text = section.choice("key_type", (*KEY_TYPES, *KEY_FAMILIES))
    return KEY_FAMILIES.get(text or "", text)


# -- authorities ------------------------------------------------------------------------------------------------------------


def _providers(section: Section) -> tuple[str, ...]:
    """One name, which may be that of an authority without ACME, or several of those known here."""
    found = section.texts_with_nodes("provider")
    for text, node in found if len(found) > 1 else ():
        if text not in AUTHORITIES:
            said = "the secret value" if node.secret else shown(text)
            known = f"{', '.join(AUTHORITIES)}{suggestion(text, AUTHORITIES)}"
            section.wrong(node, section.path_of("provider"), f"{said} is none of {known}")
    return tuple(dict.fromkeys(text for text, _ in found if len(found) == 1 or text in AUTHORITIES))


def _directories(section: Section) -> tuple[str, ...]:
    found = []
    for text, node in section.texts_with_nodes("directory"):
        reason = url_problem(text)
        if reason is None:
            found.append(text)
        else:
            said = "the secret value" if node.secret else shown(text)
            section.wrong(node, section.path_of("directory"), f"{said} {reason}")
    return tuple(dict.fromkeys(found))


def _external_accounts(section: Section, ssl: Ssl) -> Mapping[str, ExternalAccountKey]:
    """The keys of external accounts by directory: one pair where there is one authority, else one for each that is named."""
    known = directories(ssl)
    if section.has("key_id") or section.has("hmac_key"):
        if len(known) > 1 and section.node is not None:
            section.wrong(
                section.node, section.path, "there are several authorities: say whose it is, eab: {NAME: {...}}"
            )
        pair = _pair(section)
        section.finish()
        return {} if pair is None or not known else {known[0]: pair}
    found = {}
    for name, inner in section.sections():
        directory = AUTHORITIES.get(name, name)
        pair = _pair(inner)
        inner.finish()
        if directory in known and pair is not None:
            found[directory] = pair
        elif directory not in known and inner.node is not None:
            section.wrong(inner.node, inner.path, "this is none of the authorities of ssl.provider and ssl.directory")
    return found


def _pair(section: Section) -> ExternalAccountKey | None:
    key_id, hmac_key = section.secret("key_id"), section.secret("hmac_key")
    if key_id is None or hmac_key is None:
        if section.node is not None and not section.node.unknown and section.is_given:
            section.wrong(section.node, section.path, "key_id and hmac_key are both needed")
        return None
    return ExternalAccountKey(key_id, hmac_key)


# -- certificates -----------------------------------------------------------------------------------------------------------


def _certificates(section: Section, common: Ssl, taken: str | None) -> Iterator[tuple[str, Ssl]]:
    """The named certificates, each with what it says of its own and the rest from the section around it."""
    for name, inner in section.sections():
        domains = inner.texts("domains")
        found = replace(
            common,
            domains=domains,
            key_type=_key_type(inner) or common.key_type,
            profile=inner.text("profile") or common.profile,
            preferred_chain=inner.text("preferred_chain") or common.preferred_chain,
            challenge=inner.choice("challenge", CHALLENGES) or common.challenge,
            deploy_hook=inner.text("deploy_hook") or common.deploy_hook,
            renew_before_days=inner.integer("renew_before_days", 1, MOST_BEFORE_DAYS) or common.renew_before_days,
        )
        inner.finish()
        if inner.node is None or inner.node.unknown:
            continue
        if not _NAME.match(name):
            section.wrong(inner.node, inner.path, "a name of lower-case letters, digits and ._- is needed")
        elif name == taken:
            section.wrong(inner.node, inner.path, f"cert:{name} is the certificate of ssl.domains; take another name")
        elif not domains and not any(path.startswith(inner.path) for path in section.unknown):
            section.wrong(inner.node, inner.path, "it names no domains")
        else:
            yield name, found
