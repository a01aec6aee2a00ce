"""Services at which a name that nobody claims can be claimed by anybody, as data (practice: can-i-take-over-xyz). Asks nobody."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Service:
    """A service by the ends of its host names. An unclaimed name is NXDOMAIN there, or shows `page` (lower-cased text)."""

    name: str
    ends: tuple[str, ...]
    page: str = ""


SERVICES = (
    Service("AWS Elastic Beanstalk", (".elasticbeanstalk.com",)),
    Service(
        "Microsoft Azure",
        (
            ".azurewebsites.net", ".cloudapp.net", ".cloudapp.azure.com", ".trafficmanager.net", ".azureedge.net",
            ".blob.core.windows.net", ".azure-api.net", ".azurecontainer.io", ".azurefd.net", ".azurestaticapps.net",
            ".servicebus.windows.net", ".search.windows.net", ".redis.cache.windows.net", ".database.windows.net",
        ),
    ),
    Service("Discourse", (".trydiscourse.com",)),
    Service("AWS S3", (".s3.amazonaws.com", ".amazonaws.com"), "the specified bucket does not exist"),
    Service("GitHub Pages", (".github.io",), "there isn't a github pages site here"),
    Service("Heroku", (".herokudns.com", ".herokuapp.com", ".herokussl.com"), "no such app"),
    Service("Bitbucket", (".bitbucket.io",), "repository not found"),
    Service("Ghost", (".ghost.io",), "site unavailable"),
    Service("Help Juice", (".helpjuice.com",), "we could not find what you're looking for"),
    Service("Help Scout", (".helpscoutdocs.com",), "no settings were found for this company"),
    Service("ngrok", (".ngrok.io", ".ngrok.app"), "err_ngrok_3200"),
    Service("Pantheon", (".pantheonsite.io",), "404 error unknown site"),
    Service("Readme.io", (".readme.io",), "the creators of this project are still working on making everything perfect"),
    Service("Strikingly", (".s.strikinglydns.com", ".strikinglydns.com"), "page not found"),
    Service("Surge", (".surge.sh",), "project not found"),
    Service("WordPress.com", (".wordpress.com",), "do you want to register"),
    Service("Worksites", (".worksites.net",), "hello! sorry, but the website you"),
)  # fmt: skip


def service_of(host: str) -> Service | None:
    """The service that a host name belongs to; the first whose ending fits."""
    bare = "." + host.rstrip(".").lower()
    return next((service for service in SERVICES if bare.endswith(service.ends)), None)
