#!/bin/sh
# What makes servers use a new certificate. A real one would say: systemctl reload nginx
echo "$SOPHIA_CERTIFICATE_NAME: $SOPHIA_CERTIFICATE_FULLCHAIN" >> reloaded.txt
