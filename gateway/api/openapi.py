"""One OpenAPI document out of those of the mounted applications."""

from __future__ import annotations

import json
from typing import Any


def merge(main: dict[str, Any], parts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return ``main`` with the paths of ``parts`` under their prefixes.

    Component names get the prefix too, so that two services may use the same one.
    """
    merged = json.loads(json.dumps(main))
    for operations in merged["paths"].values():
        for operation in operations.values():
            operation["tags"] = ["gateway"]
    for prefix, part in parts.items():
        tag = prefix.strip("/").replace("/", "-")
        text = json.dumps(part).replace("#/components/schemas/", f"#/components/schemas/{tag}-")
        document = json.loads(text)
        for path, operations in document.get("paths", {}).items():
            for operation in operations.values():
                operation["tags"] = [tag]
            merged["paths"][prefix + path] = operations
        schemas = document.get("components", {}).get("schemas", {})
        target = merged.setdefault("components", {}).setdefault("schemas", {})
        target.update({f"{tag}-{name}": schema for name, schema in schemas.items()})
    return dict(merged)
