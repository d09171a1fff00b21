#!/bin/sh
# certbot's deploy hook: puts a new or renewed certificate where nodes and edge read it. A node sees the new files by
# itself; workerd reads its own when it starts, so a self-hosted edge that uses them is restarted.
set -eu
: "${RENEWED_LINEAGE:?certbot sets it}"
host=$(basename "$RENEWED_LINEAGE")
folder=/etc/holdfast/tls/$host

install -d -m 0750 -g holdfast /etc/holdfast/tls "$folder"
for pair in privkey:key fullchain:cert; do
  file=$folder/${pair#*:}.pem
  install -m 0640 -g holdfast "$RENEWED_LINEAGE/${pair%:*}.pem" "$file.new"
  mv "$file.new" "$file"
done

if grep -qs "tls/$host/" /etc/holdfast/edge/workerd.capnp; then
  systemctl try-restart holdfast-edge.service
fi
