"""Runs in .clients/python: certbot's Namecheap plugin sets and removes a dns-01 challenge at the endpoint it is given.

Arguments: endpoint, user, key, folder for the credentials file, and `perform` or `cleanup`.
"""

import argparse
import sys
from pathlib import Path

from certbot_dns_namecheap.dns_namecheap import Authenticator
from lexicon._private.providers import namecheap as provider

NAME, VALUE = "_acme-challenge.www.example.com", "challenge+&%"


def main() -> None:
    endpoint, user, key, folder, step = sys.argv[1:]
    original = provider._Api.__init__

    def pointed(self, *args, **options):
        original(self, *args, **options)
        self.endpoint = endpoint

    provider._Api.__init__ = pointed
    credentials = Path(folder) / "credentials.ini"
    credentials.touch(mode=0o600)
    credentials.write_text(f"dns_namecheap_username={user}\ndns_namecheap_api_key={key}\n")
    config = argparse.Namespace(dns_namecheap_credentials=str(credentials), dns_namecheap_propagation_seconds=0)
    plugin = Authenticator(config, "dns-namecheap")
    plugin._setup_credentials()
    {"perform": plugin._perform, "cleanup": plugin._cleanup}[step]("www.example.com", NAME, VALUE)


main()
