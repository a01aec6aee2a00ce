"""The embedded Namecheap (real HTTP on loopback) and authoritative DNS server (UDP and TCP)."""
