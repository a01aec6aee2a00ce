"""Result elements to values, one function a command; raises BadResponse or IncompleteRead for what is not whole. Does no I/O."""

from __future__ import annotations

from decimal import Decimal

from sophia_cli.core.dns import shown
from sophia_cli.core.errors import BadResponse, OutcomeUnknown, ProviderRefused
from sophia_cli.providers.namecheap.values import (
    Availability,
    Balances,
    CertificateInfo,
    CertificateSummary,
    DomainInfo,
    DomainSummary,
    Forward,
    HostRow,
    Hosts,
    Nameservers,
    Price,
    Renewal,
    Tld,
)
from sophia_cli.providers.namecheap.xml import Envelope, Result, us_date


def result(found: Envelope, name: str, where: str) -> Result:
    """The result element of an answer."""
    return Result.only(found.response, name, where)


def same_domain(item: Result, domain: str, attribute: str = "Domain") -> None:
    """Raise BadResponse when the answer is about another domain than the one asked for."""
    told = item.name(attribute)
    if told != domain:
        raise BadResponse(f"{item.where}: asked for {domain}, answered for {shown(told)}")


def hosts(found: Envelope, domain: str) -> Hosts:
    """getHosts."""
    item = result(found, "DomainDNSGetHostsResult", f"{domain}: getHosts")
    same_domain(item, domain)
    mode = item.mail_mode()
    # Recorded as `host`, documented as `Host`.
    rows = tuple(_host(row) for row in item.children("host", "Host"))
    return Hosts(domain, mode, item.flag("IsUsingOurDNS"), rows)


def _host(row: Result) -> HostRow:
    return HostRow(
        host_id=row.text("HostId", default=""),
        name=row.text("Name"),
        type=row.text("Type").upper(),
        address=row.text("Address"),
        mx_pref=row.number("MXPref", default=10),
        ttl=row.number("TTL"),
        is_active=row.maybe("IsActive") is not False,
        is_ddns=row.maybe("IsDDNSEnabled") is True,
        associated_app=row.text("AssociatedAppTitle", default=""),
        friendly_name=row.text("FriendlyName", default=""),
    )


def summaries(found: Envelope) -> tuple[tuple[DomainSummary, ...], int | None]:
    """One page of domains.getList, and the total when it is told."""
    item = result(found, "DomainGetListResult", "domains.getList")
    rows = tuple(
        DomainSummary(
            name=row.name("Name"),
            id=row.text("ID", default=""),
            owner=row.text("User", default=""),
            created=row.day("Created"),
            expires=row.day("Expires"),
            is_expired=row.maybe("IsExpired"),
            is_locked=row.maybe("IsLocked"),
            auto_renew=row.maybe("AutoRenew"),
            whois_guard=row.text("WhoisGuard", default=""),
            is_premium=row.maybe("IsPremium"),
            is_our_dns=row.maybe("IsOurDNS"),
        )
        for row in item.children("Domain")
    )
    return rows, _total(found, item.where)


def _total(found: Envelope, where: str) -> int | None:
    paging = Result(found.response, where).optional("Paging") if found.response is not None else None
    text = paging.inner("TotalItems") if paging else ""
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise BadResponse(f"{where}: TotalItems is {shown(text)}, not a number")
    return int(text)


def info(found: Envelope, domain: str) -> DomainInfo:
    """domains.getInfo."""
    item = result(found, "DomainGetInfoResult", f"{domain}: getInfo")
    same_domain(item, domain, "DomainName")
    dns = item.within("DnsDetails")
    rights = item.optional("Modificationrights")
    details = item.optional("DomainDetails")
    return DomainInfo(
        domain=domain,
        id=item.text("ID", default=""),
        status=item.text("Status", default=""),
        owner=item.text("OwnerName", default=""),
        is_owner=item.flag("IsOwner"),
        is_premium=item.maybe("IsPremium"),
        created=us_date(details.inner("CreatedDate")) if details else None,
        expires=us_date(details.inner("ExpiredDate")) if details else None,
        provider_type=dns.text("ProviderType", default=""),
        is_using_our_dns=dns.flag("IsUsingOurDNS"),
        host_count=dns.number("HostCount") if dns.text("HostCount", default="") else None,
        email_type=dns.mail_mode() if dns.text("EmailType", default="") else "",
        dynamic_dns=dns.maybe("DynamicDNSStatus"),
        nameservers=tuple(server.content().lower().rstrip(".") for server in dns.children("Nameserver")),
        rights=tuple((row.text("Type"), row.content()) for row in rights.children("Rights")) if rights else (),
        has_all_rights=bool(rights and rights.maybe("All")),
    )


def nameservers(found: Envelope, domain: str) -> Nameservers:
    """dns.getList."""
    item = result(found, "DomainDNSGetListResult", f"{domain}: dns.getList")
    same_domain(item, domain)
    return Nameservers(
        domain=domain,
        is_using_our_dns=item.flag("IsUsingOurDNS"),
        is_premium_dns=item.maybe("IsPremiumDNS") is True,
        is_free_dns=item.maybe("IsUsingFreeDNS") is True,
        hosts=tuple(server.content().lower().rstrip(".") for server in item.children("Nameserver")),
    )


def availabilities(found: Envelope) -> tuple[Availability, ...]:
    """domains.check."""
    if found.response is None:
        raise BadResponse("domains.check: the answer has no result")
    return tuple(
        Availability(
            domain=row.name(),
            available=row.flag("Available"),
            is_premium=row.maybe("IsPremiumName") is True,
            registration_price=row.money("PremiumRegistrationPrice", default="0"),
            renewal_price=row.money("PremiumRenewalPrice", default="0"),
            error=_problem(row),
        )
        for row in Result(found.response, "domains.check").children("DomainCheckResult")
    )


def _problem(row: Result) -> str:
    number = row.text("ErrorNo", default="0").strip()
    return "" if number in ("", "0") else f"{shown(number)} {shown(row.text('Description', default=''))}"


def tlds(found: Envelope) -> tuple[Tld, ...]:
    """domains.getTldList."""
    item = result(found, "Tlds", "domains.getTldList")
    return tuple(
        Tld(
            name=row.name("Name"),
            title=row.content(),
            type=row.text("Type", default=""),
            register_years=(row.number("MinRegisterYears"), row.number("MaxRegisterYears")),
            renew_years=(row.number("MinRenewYears"), row.number("MaxRenewYears")),
            is_registerable=row.flag("IsApiRegisterable"),
            is_renewable=row.flag("IsApiRenewable"),
            supports_idn=row.maybe("IsSupportsIDN") is True,
        )
        for row in item.children("Tld")
    )


def confirmed(found: Envelope, name: str, domain: str, attributes: tuple[str, ...], attribute: str) -> Result:
    """The result of a write that says it was done; raises OutcomeUnknown, or ProviderRefused when it says it was not.

    `attributes` are the names under which the yes may stand; `attribute` holds the domain.
    """
    where = f"{domain}: {name}"
    try:
        item = Result.only(found.response, name, where)
        same_domain(item, domain, attribute)
        told = next((value for value in map(item.maybe, attributes) if value is not None), None)
    except BadResponse as error:
        raise OutcomeUnknown(
            f"{error.message}; the write may or may not have been executed",
            hint="read what is there before writing again",
            details={"provider": "namecheap"},
        ) from error
    if told is True:
        return item
    if told is False:
        raise ProviderRefused(
            f"{where}: Namecheap says it was not done and names no reason", hint="nothing was changed"
        )
    raise OutcomeUnknown(
        f"{where}: the answer does not say whether it was done",
        hint="read what is there before writing again",
        details={"provider": "namecheap"},
    )


def warnings(item: Result) -> tuple[str, ...]:
    """The warnings of a write, escaped."""
    found = item.optional("Warnings")
    return tuple(shown(row.content(), 200) for row in found.children("Warning")) if found else ()


def renewal(item: Result, domain: str) -> Renewal:
    """domains.renew."""
    details = item.optional("DomainDetails")
    return Renewal(
        domain=domain,
        order_id=item.text("OrderID", default=""),
        transaction_id=item.text("TransactionID", default=""),
        charged=item.money("ChargedAmount"),
        expires=us_date(details.inner("ExpiredDate")) if details else None,
    )


def forwards(found: Envelope, domain: str) -> tuple[Forward, ...]:
    """dns.getEmailForwarding: the documented form, whose target is the element's text."""
    item = result(found, "DomainDNSGetEmailForwardingResult", f"{domain}: getEmailForwarding")
    same_domain(item, domain)
    rows = []
    for row in item.children("Forward"):
        target = row.content() or row.text("ForwardTo", default="")
        if not target:
            raise BadResponse(f"{item.where}: a forwarding rule has no target")
        rows.append(Forward(row.text("mailbox"), target))
    return tuple(rows)


def lock(found: Envelope, domain: str) -> bool:
    """domains.getRegistrarLock."""
    item = result(found, "DomainGetRegistrarLockResult", f"{domain}: getRegistrarLock")
    same_domain(item, domain)
    return item.flag("RegistrarLockStatus")


def balances(found: Envelope) -> Balances:
    """users.getBalances."""
    item = result(found, "UserGetBalancesResult", "users.getBalances")
    return Balances(
        currency=item.text("Currency"),
        available=item.money("AvailableBalance"),
        account=item.money("AccountBalance"),
        earned=item.money("EarnedAmount"),
        withdrawable=item.money("WithdrawableAmount"),
        required_for_auto_renew=item.money("FundsRequiredForAutoRenew"),
    )


def prices(found: Envelope) -> tuple[Price, ...]:
    """users.getPricing; empty for an unknown product."""
    item = result(found, "UserGetPricingResult", "users.getPricing")
    return tuple(
        _price(kind, category, product, row)
        for kind in item.children("ProductType")
        for category in kind.children("ProductCategory")
        for product in category.children("Product")
        for row in product.children("Price")
    )


def _price(kind: Result, category: Result, product: Result, row: Result) -> Price:
    promotion = row.money("PromotionPrice", default="0")
    # The wire form is misspelt (recorded); SSL rows have none.
    additional = row.text("YourAdditonalCost", default=row.text("YourAdditionalCost", default="0"))
    price = row.money("Price")
    return Price(
        product_type=kind.text("Name").lower(),
        category=category.text("Name").lower(),
        product=product.text("Name").lower(),
        duration=row.number("Duration"),
        duration_type=row.text("DurationType", default="YEAR"),
        price=price,
        additional_cost=row.money("AdditionalCost", default="0"),
        regular_price=row.money("RegularPrice", default=str(price)),
        your_price=row.money("YourPrice", default=str(price)),
        your_additional_cost=Decimal(0) if additional == "0" else _amount(additional, row),
        promotion_price=promotion if promotion else None,
        currency=row.text("Currency", default="USD"),
    )


def _amount(text: str, row: Result) -> Decimal:
    return row.money("YourAdditonalCost", default=text)


def certificates(found: Envelope) -> tuple[tuple[CertificateSummary, ...], int | None]:
    """One page of ssl.getList, and the total when it is told."""
    item = result(found, "SSLListResult", "ssl.getList")
    rows = tuple(
        CertificateSummary(
            id=row.text("CertificateID"),
            host_name=row.name("HostName"),
            type=row.text("SSLType", default=""),
            status=row.text("Status", default="").lower(),
            purchased=row.day("PurchaseDate"),
            expires=row.day("ExpireDate"),
            is_expired=row.maybe("IsExpiredYN"),
        )
        for row in item.children("SSL")
    )
    return rows, _total(found, item.where)


def certificate(found: Envelope, identity: str) -> CertificateInfo:
    """ssl.getInfo."""
    item = result(found, "SSLGetInfoResult", f"certificate {shown(identity)}: ssl.getInfo")
    details = item.optional("CertificateDetails")
    returned = details.optional("Certificates") if details else None
    return CertificateInfo(
        id=identity,
        status=item.text("Status").lower(),
        description=item.text("StatusDescription", default=""),
        type=item.text("Type", default=""),
        issued=item.day("IssuedOn"),
        expires=item.day("Expires"),
        common_name=details.inner("CommonName") if details else "",
        order_id=item.text("OrderId", default=""),
        replaced_by=item.text("ReplacedBy", default=""),
        certificate=returned.inner("Certificate") if returned else "",
    )
