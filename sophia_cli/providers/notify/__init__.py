"""Ways to tell people: mail by SMTP, and webhooks. They decide nothing about what is told."""
