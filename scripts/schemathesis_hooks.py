"""Tells schemathesis that the patch types of the Images API are JSON."""
import schemathesis

for version in ("2.0", "2.1"):
    schemathesis.serializer.alias(f"application/openstack-images-v{version}-json-patch", "application/json")
