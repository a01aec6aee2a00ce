"""namecheap.ssl.*: orders from purchase to renewal. Pure; no certificate it returns is one that anybody trusts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from sophia_cli.sandbox.account import Account, Certificate, Refusal
from sophia_cli.sandbox.commands import csr
from sophia_cli.sandbox.commands.call import Call, Command, Done, flag, page_of, paging, us_date
from sophia_cli.sandbox.commands.prices import SSL_NAMES, SSL_RENAMED, SSL_TYPES
from sophia_cli.sandbox.envelope import Node

_RENEWABLE = range(-180, 91)  # days left in which a renewal is taken (API reference)
_ISSUE_AFTER_S = 60  # how long an activated order stays `purchased` here


def _get_list(call: Call) -> Done:
    wanted = call.text("searchterm").lower()
    kind = call.text("listtype").lower() or "all"
    found = [
        item
        for item in (_current(item, call.now) for item in call.account.certificates)
        if wanted in item.host_name and kind in ("all", item.status.lower())
    ]
    if call.text("sortby").upper().endswith("_DESC"):
        found.reverse()
    page, size = page_of(call, 10)
    rows = tuple(_listing(item, call) for item in found[(page - 1) * size : page * size])
    return Done((Node("SSLListResult", children=rows), paging(len(found), page, size)))


def _listing(item: Certificate, call: Call) -> Node:
    return Node(
        "SSL",
        {
            "CertificateID": str(item.id),
            "HostName": item.host_name,
            "SSLType": item.type,
            "PurchaseDate": us_date(item.purchased),
            "ExpireDate": us_date(item.expires),
            "ActivationExpireDate": us_date(item.purchased + timedelta(days=365)),
            "IsExpiredYN": flag(item.expires is not None and item.expires < call.today),
            "Status": item.status,
        },
    )


def _get_info(call: Call) -> Done:
    item = _order(call)
    returned = call.text("returncertificate").lower() == "true" and bool(item.body)
    certificate = (Node("Certificate", text=item.body, cdata=True),) if returned else ()
    details = (
        Node("CSR", text=item.csr, cdata=True),
        Node("ApproverEmail"),
        Node("CommonName", text=item.host_name),
        Node("AdministratorName"),
        Node("AdministratorEmail"),
        Node("Certificates", {"CertificateReturned": flag(returned), "ReturnType": "Individual"}, certificate),
    )
    attributes = {
        "Status": item.status.lower(),
        "StatusDescription": f"Certificate is {item.status}.",
        "Type": item.type.lower().replace(" ", ""),
        "IssuedOn": _short(item.purchased) if item.status == "active" else "",
        "Expires": _short(item.expires),
        "ActivationExpireDate": "",
        "OrderId": str(item.order_id),
        "ReplacedBy": str(item.replaced_by) if item.replaced_by else "",
        "SANSCount": "0",
    }
    children = (
        Node("CertificateDetails", children=details),
        Node("Provider", children=(Node("OrderID", text=str(item.order_id)), Node("Name", text="SANDBOX"))),
    )
    return Done((Node("SSLGetInfoResult", attributes, children),))


def _create(call: Call) -> Done:
    kind = _type(call.text("type"))
    years = call.number("years", 0, 0, 100)
    if not 1 <= years <= 5:
        raise Refusal(2015167, "Validity years exceed the allowed range")
    cost = SSL_TYPES[kind] * years
    account, item = _bought(call, kind, years, cost, "NewPurchase", "")
    child = {
        "CertificateID": str(item.id),
        "Created": us_date(call.today),
        "SSLType": item.type,
        "Years": str(years),
        "Status": item.status,
    }
    attributes = {"IsSuccess": "true", **_charge(item, cost)}
    return Done((Node("SSLCreateResult", attributes, (Node("SSLCertificate", child),)),), account)


def _activate(call: Call) -> Done:
    item = _order(call)
    if item.status not in ("NewPurchase", "NewRenewal"):
        raise Refusal(4011331, "Certificate status code is invalid")
    request = _request(call, item)
    host = request.host
    if call.text("dnsdcvalidation").lower() == "true":
        method, first, second = "DNSDCValidation", "HostName", "Target"
        target = f"{request.sha256[:32]}.{request.sha256[32:]}.sandbox.example".lower()
        pair = (f"_{request.md5}.{request.validated}", target)
    elif call.text("httpdcvalidation").lower() == "true":
        method, first, second = "HttpDCValidation", "FileName", "FileContent"
        pair = (f"{request.md5}.txt", f"{request.sha256}\nsandbox.example")
    elif "@" in call.text("approveremail"):
        method, first, second, pair = "ApproverEmail", "", "", ("", "")
    else:
        raise Refusal(2010324, "One way of domain control validation must be chosen")
    children: tuple[Node, ...] = ()
    if first:
        rows = (Node(first, text=pair[0], cdata=True), Node(second, text=pair[1], cdata=True))
        children = (Node(method, {"ValueAvailable": "true"}, (Node("DNS", {"domain": host}, rows),)),)
    active = replace(
        item, status="purchased", csr=call.text("csr"), host_name=host, issued_at=call.now + _ISSUE_AFTER_S
    )
    result = Node("SSLActivateResult", {"ID": str(item.id), "IsSuccess": "true"}, children)
    return Done((result,), _put(call.account, active))


def _request(call: Call, item: Certificate) -> csr.Request:
    try:
        request = csr.read(call.text("csr"))
    except csr.BadRequest as error:
        raise Refusal(call.switches.number_bad_csr, f"CSR is invalid: {error}") from error
    if request.host.startswith("*.") != (item.type == SSL_NAMES["standardwildcardssl"]):
        raise Refusal(call.switches.number_bad_csr, f"CSR is invalid: {request.host} does not fit {item.type}")
    return request


def _renew(call: Call) -> Done:
    item = _order(call)
    kind = _type(call.text("ssltype"))
    if SSL_NAMES[kind] != item.type:
        raise Refusal(2011301, "SSLType mismatch")
    days = (item.expires - call.today).days if item.expires else 10**6
    if item.status != "active" or days not in _RENEWABLE:
        raise Refusal(4011331, "Certificate status code is invalid")
    years = call.number("years", 1, 1, 5)
    cost = SSL_TYPES[kind] * years
    account, fresh = _bought(call, kind, years, cost, "NewRenewal", item.host_name)
    account = _put(account, replace(item, replaced_by=fresh.id))
    attributes = {"CertificateID": str(fresh.id), "Years": str(years), **_charge(fresh, cost)}
    return Done((Node("SSLRenewResult", attributes),), account)


def _type(name: str) -> str:
    key = SSL_RENAMED.get(name.lower(), name).lower().replace(" ", "")
    if key not in SSL_TYPES:
        raise Refusal(2011301, "SSLType is invalid")
    return key


def _bought(call: Call, kind: str, years: int, cost: Decimal, status: str, host: str) -> tuple[Account, Certificate]:
    if cost > call.account.balance:
        raise Refusal(2528166, "Order creation failed: insufficient funds")
    number = call.account.next_id
    item = Certificate(number, host, SSL_NAMES[kind], status, call.today, years=years, order_id=number + 1)
    account = replace(call.account, balance=call.account.balance - cost, next_id=number + 2)
    return replace(account, certificates=(*account.certificates, item)), item


def _charge(item: Certificate, cost: Decimal) -> dict[str, str]:
    return {"OrderId": str(item.order_id), "TransactionId": str(item.order_id), "ChargedAmount": f"{cost:.4f}"}


def _order(call: Call) -> Certificate:
    wanted = call.text("certificateid")
    for item in call.account.certificates:
        if str(item.id) == wanted:
            return _current(item, call.now)
    raise Refusal(4011294, "Certificateid is invalid")


def _current(item: Certificate, now: float) -> Certificate:
    if item.status != "purchased" or now < item.issued_at:
        return item
    issued = datetime.fromtimestamp(item.issued_at, UTC).date()
    body = "-----BEGIN CERTIFICATE-----\nc2FuZGJveA==\n-----END CERTIFICATE-----"
    return replace(item, status="active", expires=issued + timedelta(days=365 * item.years), body=body)


def _put(account: Account, item: Certificate) -> Account:
    return replace(account, certificates=tuple(item if old.id == item.id else old for old in account.certificates))


def _short(day: date | None) -> str:
    return f"{day.month}/{day.day}/{day.year}" if day else ""


COMMANDS = (
    Command("namecheap.ssl.getList", _get_list),
    Command("namecheap.ssl.getInfo", _get_info),
    Command("namecheap.ssl.create", _create),
    Command("namecheap.ssl.activate", _activate),
    Command("namecheap.ssl.renew", _renew),
)
