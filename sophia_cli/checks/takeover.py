"""Services at which a name that nobody claims can be claimed by anybody, as data. Asks nobody.

Names, grades and what is shown at an unclaimed name: the public list can-i-take-over-xyz (its issue numbers stand beside the
entries; read November 2026). Host endings that it does not give are those commonly seen for the service.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# open: anybody can claim the name. edge: only in part, or only where the account proved nothing about the domain.
# closed: the service asks for a proof, so an unclaimed name is no way in.
Grade = Literal["open", "edge", "closed"]


@dataclass(frozen=True, slots=True)
class Service:
    """A service by the ends of its host names. An unclaimed name is NXDOMAIN there, or shows `page` (lower-cased text)."""

    name: str
    ends: tuple[str, ...]
    page: str = ""
    grade: Grade = "open"
    issue: int | None = None
    """Where the list discusses it."""


SERVICES = (
    Service("AWS Elastic Beanstalk", (".elasticbeanstalk.com",), issue=194),
    Service(
        "Microsoft Azure",
        (
            ".azurewebsites.net", ".cloudapp.net", ".cloudapp.azure.com", ".trafficmanager.net", ".azureedge.net",
            ".blob.core.windows.net", ".azure-api.net", ".azurecontainer.io", ".azurefd.net", ".azurestaticapps.net",
            ".servicebus.windows.net", ".search.windows.net", ".redis.cache.windows.net", ".database.windows.net",
        ),
        issue=35,
    ),
    Service("Discourse", (".trydiscourse.com",), issue=49),
    Service("AWS load balancer", (".elb.amazonaws.com",), grade="closed", issue=137),
    Service("AWS S3", (".amazonaws.com",), "the specified bucket does not exist", issue=36),
    Service("Agile CRM", (".agilecrm.com",), "sorry, this page is no longer available.", issue=145),
    Service("Anima", (".animaapp.io",), "if this is your website and you've just created it", issue=126),
    Service("Bitbucket", (".bitbucket.io",), "repository not found"),
    Service("Campaign Monitor", (".createsend.com",), "trying to access your account?", issue=275),
    Service("Gemfury", (".furyns.com",), "404: this page could not be found.", issue=154),
    Service("Ghost", (".ghost.io",), "the thing you were looking for is no longer here", issue=89),
    Service("Hatena Blog", (".hatenablog.com",), "404 blog is not found"),
    Service("Help Juice", (".helpjuice.com",), "we could not find what you're looking for"),
    Service("Help Scout", (".helpscoutdocs.com",), "no settings were found for this company"),
    Service("Intercom", (".custom.intercom.help",), "uh oh. that page doesn't exist.", issue=69),
    Service("JetBrains YouTrack", (".youtrack.cloud", ".myjetbrains.com"), "is not a registered incloud youtrack"),
    Service("Kinsta", (".kinsta.cloud",), "no site for domain", issue=48),
    Service("LaunchRock", (".launchrock.com",), "you may have taken a wrong turn somewhere", issue=74),
    Service("ngrok", (".ngrok.io",), ".ngrok.io not found", issue=92),
    Service("Pantheon", (".pantheonsite.io",), "404 error unknown site", issue=24),
    Service("Pingdom", (".stats.pingdom.com",), "couldn't find the status page", issue=144),
    Service("Readme.io", (".readme.io", ".readmessl.com"), "project doesnt exist... yet", issue=41),
    Service("Short.io", (".cname.short.io",), "link does not exist", issue=260),
    Service("SmartJobBoard", (".smartjobboard.com",), "this job board website is either expired", issue=139),
    Service("Strikingly", (".strikinglydns.com",), "page not found", issue=58),
    Service("Surge", (".surge.sh",), "project not found"),
    Service("SurveySparrow", (".surveysparrow.com",), "ouch! account not found", issue=281),
    Service("Uberflip", (".uberflip.com",), "does not provide a hub", issue=150),
    Service("UptimeRobot", (".stats.uptimerobot.com",), "page not found", issue=45),
    Service("WordPress.com", (".wordpress.com",), "do you want to register"),
    Service("Worksites", (".worksites.net",), "hello! sorry, but the website you", issue=142),
    Service("Frontify", (".frontify.com",), "looks like you got lost", "edge", 170),
    Service("GitHub Pages", (".github.io",), "there isn't a github pages site here", "edge", 37),
    Service("Heroku", (".herokudns.com", ".herokuapp.com", ".herokussl.com"), "no such app", "edge", 38),
    Service("Landingi", (".landingi.com",), "it looks like you\u2019re lost", "edge", 117),
    Service("Mashery", (".mashery.com",), "unrecognized domain", "edge", 14),
    Service("Netlify", (".netlify.app", ".netlify.com"), "not found - request id", "edge", 40),
    Service("Shopify", (".myshopify.com",), "sorry, this shop is currently unavailable", "edge", 32),
    Service("Smartling", (".smartling.com",), "domain is not configured", "edge", 67),
    Service("Tilda", (".tilda.ws",), "please renew your subscription", "edge", 155),
    Service("Tumblr", (".domains.tumblr.com",), "whatever you were looking for doesn't currently exist", "edge", 240),
    Service("Webflow", (".webflow.com", ".webflow.io"), "the page you are looking for doesn't exist", "edge", 44),
    Service("Wix", (".wixdns.net",), "looks like this domain isn't connected to a website yet", "edge", 231),
    Service("CloudFront", (".cloudfront.net",), grade="closed", issue=29),
    Service("Desk", (".desk.com",), grade="closed", issue=9),
    Service("Fastly", (".fastly.net",), grade="closed", issue=22),
    Service("Feedpress", (".feedpress.me",), grade="closed", issue=80),
    Service("Firebase", (".firebaseapp.com", ".web.app"), grade="closed", issue=128),
    Service("Freshdesk", (".freshdesk.com",), grade="closed", issue=214),
    Service("GitLab Pages", (".gitlab.io",), grade="closed"),
    Service("Google Sites", (".ghs.google.com", ".ghs.googlehosted.com"), grade="closed", issue=277),
    Service("HubSpot", (".hubspot.net", ".hs-sites.com"), grade="closed", issue=59),
    Service("Instapage", (".pageserve.co", ".secure.pageserve.co"), grade="closed", issue=73),
    Service("KeyCDN", (".kxcdn.com",), grade="closed", issue=112),
    Service("SendGrid", (".sendgrid.net",), grade="closed"),
    Service("Squarespace", (".squarespace.com",), grade="closed"),
    Service("Statuspage", (".stspg-customer.com", ".statuspage.io"), grade="closed"),
    Service("Unbounce", (".unbouncepages.com",), grade="closed", issue=11),
    Service("UserVoice", (".uservoice.com",), grade="closed", issue=163),
    Service("Vercel", (".vercel-dns.com", ".vercel.app"), grade="closed", issue=183),
    Service("WP Engine", (".wpengine.com",), grade="closed"),
    Service("Zendesk", (".zendesk.com",), grade="closed", issue=23),
)  # fmt: skip


def service_of(host: str) -> Service | None:
    """The service that a host name belongs to; the first whose ending fits."""
    bare = "." + host.rstrip(".").lower()
    return next((service for service in SERVICES if bare.endswith(service.ends)), None)


def claimable(host: str) -> Service | None:
    """The service at which an unclaimed name of this host could be claimed by others; None where it asks for a proof."""
    found = service_of(host)
    return found if found is not None and found.grade != "closed" else None
