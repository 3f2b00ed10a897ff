#!/bin/sh
# Makes the bucket for the images where it is missing; safe to repeat. The address and the credentials of the server
# come in MC_HOST_store, the name of the bucket in BUCKET.
#
# The bucket is private, as every new bucket is. MinIO removes unfinished multipart uploads by itself after a day; on
# other stores add a lifecycle rule for that (docs/install.md).
set -eu

mc mb --ignore-existing "store/$BUCKET"
