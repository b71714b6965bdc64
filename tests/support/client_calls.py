"""Calls every operation through a generated Python client; runs in the clients' environment.

    python client_calls.py FOLDER PACKAGE ADDRESS KEY ARGUMENTS

Prints one JSON object: by the name of the operation the status, the type of what was parsed, and
what went wrong instead. ARGUMENTS is JSON: keyword arguments by name, in which ``{"$bytes": …}``
stands for a file in base64; the order is that of the calls.
"""

from __future__ import annotations

import base64
import importlib
import inspect
import json
import pkgutil
import sys
import typing


def operations(package):
    """Yield name and module of every operation."""
    api = importlib.import_module(f"{package}.api")
    for tag in pkgutil.iter_modules(api.__path__):
        folder = importlib.import_module(f"{api.__name__}.{tag.name}")
        for one in pkgutil.iter_modules(folder.__path__):
            yield one.name, importlib.import_module(f"{folder.__name__}.{one.name}")


def files_in(value):
    """Replace what stands for files."""
    if isinstance(value, dict):
        if "$bytes" in value:
            return base64.b64decode(value["$bytes"])
        return {name: files_in(one) for name, one in value.items()}
    return [files_in(one) for one in value] if isinstance(value, list) else value


def call(module, client, arguments):
    """Return what an operation answers."""
    hints = typing.get_type_hints(module.sync_detailed)
    given = dict(arguments)
    if "body" in given:
        kinds = typing.get_args(hints["body"]) or [hints["body"]]
        (kind,) = [one for one in kinds if hasattr(one, "from_dict")]
        given["body"] = kind.from_dict(files_in(given["body"]))
        for value in (getattr(given["body"], one.name) for one in kind.__attrs_attrs__):
            for one in value if isinstance(value, list) else [value]:
                if hasattr(one, "payload"):
                    one.file_name = "picture.png"  # without one a part is text
    return module.sync_detailed(client=client, **given)


def main(folder, package, address, key, arguments):
    """Call them all."""
    sys.path.insert(0, folder)
    client_type = importlib.import_module(f"{package}.client").AuthenticatedClient
    client = client_type(base_url=address, token=key, prefix="", auth_header_name="X-API-Key")
    modules = dict(operations(package))
    wanted = json.loads(arguments)
    told = {}
    names = [
        *(one for one in wanted if one in modules),
        *(one for one in modules if one not in wanted),
    ]
    for name in names:
        module = modules[name]
        needs = [
            one.name
            for one in inspect.signature(module.sync_detailed).parameters.values()
            if one.default is inspect.Parameter.empty and one.name != "client"
        ]
        given = wanted.get(name, {})
        if missing := set(needs) - given.keys():
            told[name] = {"status": None, "error": f"no {', '.join(sorted(missing))} given"}
            continue
        try:
            reply = call(module, client, given)
            told[name] = {"status": reply.status_code, "parsed": type(reply.parsed).__name__}
        except Exception as error:
            told[name] = {"status": None, "error": f"{type(error).__name__}: {error}"}
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
