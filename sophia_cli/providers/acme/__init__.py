"""Certificate authorities that speak ACME (RFC 8555). Decides nothing about zones or when to renew."""
