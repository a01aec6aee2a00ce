"""The catalogue: every check as data, whether it can be run yet or not. Runs nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FixKind = Literal["auto", "ask", "ui", "none"]

# What a check looks at, by letter.
NEEDS = {
    "Z": "the zone",
    "D": "live DNS",
    "T": "a TLS handshake",
    "H": "an HTTP answer",
    "R": "registrar facts",
    "L": "a local inventory or logs",
}
_KINDS = {
    "ask": "needs a choice that only a person can make",
    "ui": "can only be done in Namecheap's web console or another system",
    "none": "cannot be changed on Namecheap BasicDNS",
    "auto": "needs a person here, because the case is not the plain one",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One check of the catalogue. `severities` are worst first; `needs` are letters of `NEEDS`.

    `fix` is `auto` (a typed change with nothing missing), `ask` (a choice is needed), `ui` (only in a web console or
    another system) or `none` (not possible on BasicDNS); `note` says what the fix is.
    """

    id: str
    agent: str
    severities: str
    needs: str
    text: str
    source: str
    fix: FixKind
    note: str = ""

    def no_fix(self) -> str:
        """Why a finding of this check comes without changes."""
        return f"{_KINDS[self.fix]}{': ' + self.note if self.note else ''}"


_SPF = "RFC 7208"
_DMARC = "RFC 9989"

CATALOGUE: tuple[Rule, ...] = (
    # -- the DNS specialist: the zone itself ---------------------------------------------------------------------
    Rule("DNS-CNAME-OTHER", "dns", "high", "Z", "A name has a CNAME and any other type",
         "RFC 1034 3.6.2, RFC 2181 10.1", "ask", "keep the CNAME or the other records"),
    Rule("DNS-CNAME-APEX", "dns", "high", "Z", "A CNAME stands at the apex", "RFC 1912 2.4", "auto", "an ALIAS instead"),
    Rule("DNS-CNAME-MULTI", "dns", "high", "Z", "Two or more CNAMEs stand at one name", "RFC 2181 10.1", "ask",
         "which target to keep"),
    Rule("DNS-CNAME-LOOP", "dns", "high", "Z D", "Following CNAME or ALIAS comes back to a name already seen",
         "RFC 1034 3.6.2", "ask", "where the name should end"),
    Rule("DNS-MX-CNAME", "dns", "high", "Z D", "The target of an MX owns a CNAME", "RFC 2181 10.3, RFC 5321 5.1", "ask",
         "which host with an address takes the mail"),
    Rule("DNS-NS-CNAME", "dns", "high", "Z D", "The target of an NS owns a CNAME", "RFC 2181 10.3", "ask",
         "which host with an address serves the zone below"),
    Rule("DNS-MX-IP", "dns", "high", "Z", "The target of an MX is an address", "RFC 1035 3.3.9", "auto",
         "a host name with that address"),
    Rule("DNS-MX-NOADDR", "dns", "high", "Z D", "The target of an MX has neither A nor AAAA", "RFC 5321 5.1", "ask",
         "the address of the mail host"),
    Rule("DNS-MX-NULL-MIX", "dns", "high", "Z", "A null MX stands beside another MX, or has a preference other than 0",
         "RFC 7505 3", "auto", "delete the null MX"),
    Rule("DNS-MX-IMPLICIT", "dns", "low info", "Z", "No MX but an address at the apex, so mail is tried there",
         "RFC 5321 5.1", "auto", "SPF `-all` and DMARC reject where the environment says `email_type: NONE`"),
    Rule("DNS-DUP", "dns", "low", "Z", "The same name, type and value stands there twice", "RFC 2181 5", "auto",
         "the provider keeps one row by itself; delete the line from the file"),
    Rule("DNS-TTL-SET", "dns", "medium", "Z", "TTLs differ inside one record set", "RFC 2181 5.2", "auto",
         "the lowest that is at least 300"),
    Rule("DNS-TTL-RANGE", "dns", "medium", "Z", "A TTL is outside what the provider accepts",
         "Namecheap API, setHosts: 60..60000", "auto", "clamp to 300..60000"),
    Rule("DNS-SPECIAL-IP", "dns", "high medium", "Z D", "An A or AAAA lies in a special-purpose block",
         "RFC 6890, 1918, 6598, 4193, 5737, 3849", "ask", "the public address"),
    Rule("DNS-NAME-SYNTAX", "dns", "high", "Z",
         "A label over 63 or a name over 253 characters; characters other than letters, digits and hyphens in A, AAAA, MX "
         "and NS names; `_` outside underscore-scoped names", "RFC 1035 2.3.4, RFC 1123 2.1, RFC 8552", "ask",
         "the name that was meant"),
    Rule("DNS-DOUBLED", "dns", "high", "Z", "A host or target ends with the zone's name twice (a missing final dot)",
         "practice; RFC 1035 5.1", "auto", "take the second one off"),
    Rule("DNS-WILDCARD", "dns", "medium info", "Z D", "A `*` owner, or a random name answers", "RFC 4592", "ask",
         "name the hosts that are really used"),
    Rule("DNS-WILDCARD-GAP", "dns", "low", "Z",
         "A name that a wildcard seems to cover exists as an empty non-terminal, so it has no answer", "RFC 4592 2.2.2",
         "ask", "whether that name should answer"),
    Rule("DNS-DANGLE-NX", "security", "critical high", "D",
         "The host of a CNAME, MX, NS, include or rua does not exist; critical when its registrable domain is free",
         "practice; RFC 8020", "auto", "delete it, after a confirmation"),
    Rule("DNS-DANGLE-SVC", "security", "critical medium", "D H",
         "A CNAME points at a service known for takeovers and its fingerprint of an unclaimed name is seen",
         "practice (can-i-take-over-xyz)", "auto", "delete it, after a confirmation"),
    Rule("DNS-DANGLE-NS", "security", "critical", "D", "The servers of a delegation refuse, fail or have no SOA",
         "practice (can-i-take-over-dns)", "auto", "delete it, after a confirmation"),
    Rule("DNS-DANGLE-IP", "security", "high", "Z L", "An A points to an address that is no longer in the cloud inventory",
         "practice", "ask", "the address that is yours"),
    Rule("DNS-LAME", "dns", "high", "D", "A listed name server gives no authoritative answer for the SOA", "RFC 1912 2.8",
         "ui", "change the delegation"),
    Rule("DNS-DELEG-DIFF", "dns", "medium", "D", "The parent and the zone name different servers", "RFC 1034 4.2.2", "ui",
         "change the delegation"),
    Rule("DNS-NS-FEW", "dns", "medium", "D", "Fewer than 2 name servers, or fewer than 2 addresses of them",
         "RFC 2182 5, RFC 1034 4.1", "none"),
    Rule("DNS-NS-ONE-NET", "dns", "low", "D", "All name servers are in one network", "RFC 2182 3.1", "none"),
    Rule("DNS-NS-V6", "dns", "low", "D", "No name server can be reached over IPv6", "RFC 3901 3", "none"),
    Rule("DNS-NS-TCP", "dns", "medium", "D", "A name server does not answer over TCP", "RFC 7766 5, RFC 9210", "none"),
    Rule("DNS-AXFR", "security", "high", "D", "A name server hands the whole zone to anybody", "RFC 5936 6", "none"),
    Rule("DNS-OPEN-REC", "security", "medium", "D", "A name server resolves unrelated names for anybody", "RFC 5358",
         "none"),
    Rule("DNS-SOA", "dns", "info", "D",
         "Refresh >= 14400, 3600 <= retry < refresh, expire >= 604800, 300 <= minimum <= 86400; MNAME no alias, RNAME valid",
         "RFC 1912 2.2, RFC 2308 5", "none"),
    Rule("DNS-SERIAL", "dns", "low", "D", "A server lacks a version of the zone for longer than refresh and retry",
         "RFC 1035 3.3.13, RFC 1982 3.2", "none"),
    Rule("DNS-DRIFT", "dns", "high", "Z D", "What the servers answer differs from the provider's rows beyond the TTL",
         "practice", "ui", "save the rows again in Advanced DNS; they already say what is meant"),
    Rule("DNS-INVISIBLE", "dns", "critical", "Z D",
         "The servers answer SRV, TLSA or another type that getHosts does not return; setHosts may drop it",
         "Namecheap API, setHosts", "ui", "note these records before any write"),
    Rule("DNS-ACME-LEFT", "dns", "low", "Z", "An `_acme-challenge` TXT is left behind", "RFC 8555 8.4", "auto",
         "delete it"),
    # -- the security specialist: DNSSEC, mail, CAA, secrets -----------------------------------------------------
    Rule("SEC-DNSSEC-NONE", "security", "medium", "D", "No DS stands at the parent", "RFC 9364", "ui",
         "Domain List > Manage > Advanced DNS > DNSSEC"),
    Rule("SEC-DNSSEC-BOGUS", "security", "critical", "D", "A DS without its DNSKEY, or a signature invalid or expired",
         "RFC 4035 5", "ui", "Domain List > Manage > Advanced DNS > DNSSEC"),
    Rule("SEC-DNSSEC-ALG", "security", "medium", "D", "An algorithm or digest that is not recommended", "RFC 9904, RFC 9905",
         "ui", "Domain List > Manage > Advanced DNS > DNSSEC"),
    Rule("SEC-DNSSEC-SOON", "security", "high", "D", "The nearest signature ends within 12 hours, or lasts over 180 days",
         "RFC 6781 4.4.2", "none"),
    Rule("SEC-NSEC3", "security", "low", "D", "NSEC3 with iterations or salt", "RFC 9276 3.1", "none"),
    Rule("MAIL-SPF-NONE", "security", "medium low", "Z", "No TXT at the apex is `v=spf1` or starts with `v=spf1 `",
         f"{_SPF} 4.5", "auto", "where the mail service is known or the domain sends no mail"),
    Rule("MAIL-SPF-MULTI", "security", "high", "Z", "Two or more SPF records at one name", f"{_SPF} 3.2, 4.5", "auto",
         "one record, where they can be merged"),
    Rule("MAIL-SPF-SYNTAX", "security", "high", "Z", "An SPF record breaks the grammar anywhere", f"{_SPF} 4.6, 12", "ask",
         "what was meant"),
    Rule("MAIL-SPF-TYPO", "security", "medium", "Z", "A TXT looks like SPF but is not selected", f"{_SPF} 4.5", "auto",
         "the same record, spelt right"),
    Rule("MAIL-SPF-LOOKUPS", "security", "high", "D", "More than 10 DNS look-ups over the whole tree", f"{_SPF} 4.6.4",
         "ask", "which senders are no longer used"),
    Rule("MAIL-SPF-VOID", "security", "medium", "D", "More than 2 look-ups without an answer", f"{_SPF} 4.6.4", "ask",
         "which terms to drop"),
    Rule("MAIL-SPF-MX10", "security", "medium", "D", "An `mx` term with more than 10 hosts", f"{_SPF} 4.6.4", "ask",
         "the addresses instead"),
    Rule("MAIL-SPF-INCLUDE", "security", "high", "D", "The target of an include or redirect has no SPF record",
         f"{_SPF} 5.2, 6.1", "ask", "which sender was meant"),
    Rule("MAIL-SPF-ALL", "security", "critical high medium", "Z",
         "`+all` lets anybody send; `?all` says nothing; neither `all` nor `redirect` says nothing either", f"{_SPF} 5.1",
         "auto", "`~all`"),
    Rule("MAIL-SPF-DEAD", "security", "low", "Z", "Mechanisms after `all`, or `redirect` beside `all`", f"{_SPF} 5.1, 6.1",
         "auto", "drop what is never reached"),
    Rule("MAIL-SPF-PTR", "security", "low", "Z", "Uses `ptr`", f"{_SPF} 5.5", "ask", "the senders' addresses instead"),
    Rule("MAIL-SPF-WIDE", "security", "high", "Z", "An IPv4 range wider than /16 or an IPv6 range wider than /32",
         "practice", "ask", "the addresses that really send"),
    Rule("MAIL-DMARC-NONE", "security", "high medium low", "Z", "No DMARC record at `_dmarc`", f"{_DMARC} 4.10", "auto",
         "`p=none`, or `p=reject` where the domain sends no mail"),
    Rule("MAIL-DMARC-MULTI", "security", "high", "Z", "Two or more DMARC records: treated as none", f"{_DMARC} 4.10", "ask",
         "which one to keep"),
    Rule("MAIL-DMARC-SYNTAX", "security", "high", "Z",
         "`v` is not first, a bad p, sp, np, adkim, aspf, psd or t value, or rua is not a URI", f"{_DMARC} 4.7, 4.8", "auto",
         "where it can be read in one way only"),
    Rule("MAIL-DMARC-WEAK", "security", "medium low info", "Z", "The effective policy is none; `t=y` lowers it by one rung",
         f"{_DMARC} 4.7", "auto", "the next rung, where SPF and DKIM are in place"),
    Rule("MAIL-DMARC-SUB", "security", "medium", "Z", "`sp` or `np` is weaker than `p`", f"{_DMARC} 4.7", "auto",
         "drop the weaker tag"),
    Rule("MAIL-DMARC-OLD", "security", "low", "Z", "`pct`, `rf`, `ri` or a `!size`, all gone since 2026",
         _DMARC, "auto", "drop them (a `pct` below 100 needs a choice)"),
    Rule("MAIL-DMARC-EXT", "security", "medium", "D", "Reports go to another organisation that does not accept them",
         "RFC 9990 4", "ui", "ask the receiver to publish its record"),
    Rule("MAIL-DMARC-BLIND", "security", "low info", "Z", "No `rua`: nobody sees the reports", f"{_DMARC} 4.7", "ask",
         "an address for the reports"),
    Rule("MAIL-DKIM-NONE", "security", "medium", "Z D", "No DKIM key while the domain has mail", "RFC 6376 3.6.2", "ui",
         "make the key where the mail is sent and publish what it shows"),
    Rule("MAIL-DKIM-KEY", "security", "high medium", "Z",
         "An RSA key below 1024 bits (unusable) or 2048 bits (weak), not base64 DER, or cut", "RFC 6376 3.6.1, RFC 8301 3.2",
         "ui", "make a new key where the mail is sent"),
    Rule("MAIL-DKIM-TEST", "security", "low", "Z", "A key in test mode (`t=y`), or a revoked key that is still there",
         "RFC 6376 3.6.1", "auto", "delete the revoked key"),
    Rule("MAIL-MTASTS", "security", "high medium info", "Z H",
         "Exactly one `v=STSv1; id=` with 1 to 32 letters and digits; its policy is served over valid TLS, names every MX, "
         "enforces, max_age <= 31557600", "RFC 8461 3", "auto", "a valid id; the policy host needs a person"),
    Rule("MAIL-TLSRPT", "security", "low", "Z",
         "Exactly one `v=TLSRPTv1; rua=` with mailto or https; asked for where MTA-STS is published", "RFC 8460 3", "ask",
         "an address for the reports"),
    Rule("MAIL-BIMI", "security", "low", "Z H", "`l=` is an https SVG, and DMARC quarantines or rejects, subdomains too",
         "draft-brand-indicators-for-message-identification 4", "ask", "the logo's address"),
    Rule("CAA-NONE", "security", "low", "Z", "No CAA at the apex: every authority may issue", "RFC 8659 3", "ask",
         "the issuer, taken from `ssl.provider` where it is given"),
    Rule("CAA-SYNTAX", "security", "high", "Z",
         "Flags other than 0 or 128, an unknown critical tag, a bad issuer, an iodef that is no mailto, http or https",
         "RFC 8659 4", "ask", "what was meant"),
    Rule("CAA-BLOCKS", "ssl", "high", "Z T", "The issuer in use is not authorised, so the next renewal fails",
         "RFC 8659 3", "ask", "add the issuer, taken from `ssl.provider`"),
    Rule("CAA-ACCT", "security", "info", "Z", "Neither accounturi nor validationmethods limits who may issue", "RFC 8657",
         "ask", "the account's URI"),
    Rule("TXT-SECRET", "security", "critical", "Z", "A TXT holds what looks like a secret token", "practice (detect-secrets)",
         "auto", "delete it, then rotate the secret: deleting alone does not unpublish it"),
    Rule("TXT-STALE", "security", "low", "Z", "A service's verification stands there more than once", "practice", "ask",
         "which one the service still asks for"),
    # -- the SSL specialist --------------------------------------------------------------------------------------
    Rule("TLS-EXPIRY", "ssl", "critical high medium", "T",
         "Less than 3 days left, less than 1/6 of the lifetime, less than 1/3", "practice; RFC 9773", "ask",
         "order a certificate"),
    Rule("TLS-REVOKED", "ssl", "critical", "T", "The authority has revoked the certificate, by OCSP or its list",
         "RFC 5280 3.3, RFC 6960", "ask", "order a certificate with a new key"),
    Rule("TLS-NAME", "ssl", "high", "Z T", "No name of the certificate matches the host", "RFC 9525 6.3", "ask",
         "order a certificate with that name"),
    Rule("TLS-CHAIN", "ssl", "high", "T", "Untrusted, self-signed, or an intermediate is missing", "RFC 5280 6", "ui",
         "install the whole chain on the server"),
    Rule("TLS-KEY", "ssl", "high", "T", "RSA below 2048 bits, an unusual curve, or a SHA-1 signature", "BR 6.1.5, 7.1.3",
         "ui", "a new key on the server"),
    Rule("TLS-LIFE", "ssl", "info", "T", "Valid for longer than 200, 100 or 47 days, by date of issue", "BR 6.3.2", "ui",
         "renew more often"),
    Rule("TLS-PROTO", "ssl", "high low", "T", "TLS 1.1 or older is offered; no TLS 1.3 (low)", "RFC 8996", "ui",
         "the server's TLS settings"),
    Rule("TLS-CIPHER", "ssl", "medium", "T", "No forward secrecy, 3DES, RC4, NULL or export ciphers", "RFC 9325 4.2", "ui",
         "the server's TLS settings"),
    Rule("TLS-TUNE-KEY", "ssl", "info", "T", "An RSA key, where ECDSA P-256 makes a smaller handshake",
         "RFC 9325 4.2; NIST SP 800-57 part 1, table 2", "ask", "the key of the next certificate"),
    Rule("TLS-TUNE-CHAIN", "ssl", "info", "T", "Certificates are sent that nobody needs to verify the leaf", "RFC 8446 4.4.2",
         "ui", "the chain on the server"),
    Rule("TLS-TUNE-SPLIT", "ssl", "info", "Z T", "Names of other hosts take 500 bytes and more of the certificate",
         "RFC 5280 4.2.1.6; practice", "ask", "which names belong together"),
    Rule("TLS-TUNE-RESUME", "ssl", "info", "T", "No session is resumed, so every visit pays the whole handshake",
         "RFC 8446 2.2, RFC 5077", "ui", "the server's TLS settings"),
    Rule("TLS-TUNE-STAPLE", "ssl", "info", "T", "No OCSP response is stapled, though the authority answers OCSP",
         "RFC 6066 8, RFC 6960", "ui", "the server's TLS settings"),
    Rule("TLS-MX", "ssl", "medium", "T", "An MX without STARTTLS or with a wrong name while MTA-STS enforces",
         "RFC 8461 4", "ui", "the mail server's TLS settings"),
    # -- web -----------------------------------------------------------------------------------------------------
    Rule("WEB-HTTPS", "security", "high medium", "H",
         "Port 80 does not first redirect to https on the same host (medium: to https elsewhere)",
         "practice; RFC 6797 7.2", "ask", "a web server with TLS instead of URL rows"),
    Rule("WEB-HSTS", "security", "medium", "H", "Strict-Transport-Security is missing or below a year", "RFC 6797", "ui",
         "the web server's headers"),
    Rule("WEB-HEADERS", "security", "low", "H", "No CSP, nosniff, frame-ancestors, Referrer-Policy or cookie flags",
         "practice", "ui", "the web server's headers"),
    Rule("WEB-SECTXT", "security", "low", "H", "`/.well-known/security.txt` is missing or expired", "RFC 9116", "ui",
         "a file on the web server"),
    # -- the performance specialist ------------------------------------------------------------------------------
    Rule("PERF-TTL-LOW", "performance", "low", "Z", "A TTL below 300 without a change in 30 days", "practice", "auto",
         "1800, or 3600 by `optimization_level`"),
    Rule("PERF-TTL-HIGH", "performance", "medium", "Z L", "A TTL above 3600 on a name that is about to change", "practice",
         "auto", "300 until the change is done"),
    Rule("PERF-CHAIN", "performance", "medium", "Z D", "More than 2 CNAME hops", "practice; RFC 1912 2.4", "ask",
         "point at the last name"),
    Rule("PERF-DNS-RTT", "performance", "info", "D", "The slowest server is over 3 times the best, or over 100 ms",
         "practice", "none"),
    Rule("PERF-V6", "performance", "medium info", "Z H", "A web name without AAAA (info), or with one that does not answer",
         "RFC 6540", "ask", "the IPv6 address"),
    Rule("PERF-HTTP", "performance", "high medium low", "H",
         "A configured endpoint does not answer (high) or an answer takes over 2 s (medium); slower than in the last good "
         "period, more than 1 redirect, no HTTP/2, no compression, no validators (low)",
         "practice", "ui", "the web server's settings"),
    # -- the cost specialist, and the registrar ------------------------------------------------------------------
    Rule("COST-EXPIRE", "cost", "critical high", "R", "Ends within 7 days (critical) or 30 days (high), auto-renew off",
         "practice", "ui", "Domain List > Auto-Renew, or renew it (this costs money)"),
    Rule("COST-IDLE", "cost", "low", "R Z L", "Auto-renew is on, but the domain is parked, without mail and traffic",
         "practice", "ask", "whether the domain is still wanted"),
    Rule("COST-DUPCERT", "cost", "low", "R", "A paid certificate for a name that a free one serves", "practice", "ui",
         "let the paid one run out"),
    Rule("COST-GPU", "cost", "high", "Z L", "A cloud instance that runs while no name and no traffic uses it", "practice",
         "ask", "whether to end it"),
    Rule("REG-LOCK", "security", "medium low", "R", "The registrar lock or domain privacy is off",
         "EPP clientTransferProhibited, RFC 5731 2.3", "ui", "Domain List > Manage > Sharing & Transfer"),
)  # fmt: skip

RULES: dict[str, Rule] = {rule.id: rule for rule in CATALOGUE}
