"""Infinity, the strong peer for embeddings. Runs in ``.venv-infinity``.

    python -m load_tests.peers.infinity_text --engine optimum --checkpoint DIR --port PORT

Makes the ONNX file that the optimum engine expects (infinity itself then optimises it with every
fusion, optimum's level O99, on its first start), then becomes ``infinity_emb``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

SETTINGS = {
    # torch: scaled dot-product attention is torch's own choice; BetterTransformer is gone from
    # optimum 2 and torch.compile(dynamic=True) is not faster for batches of changing shape.
    "torch": ["--batch-size", "32", "--bettertransformer"],
    "optimum": ["--batch-size", "32", "--pooling-method", "mean"],
}
"""Fastest settings found on 2 cores; the dtype is chosen by the caller."""


def with_onnx(checkpoint: Path) -> Path:
    """Return a copy of the checkpoint that holds ``model.onnx``, exported once by optimum."""
    target = checkpoint.parent / "infinity-optimum"
    if (target / "model.onnx").is_file():
        return target
    from optimum.onnxruntime import ORTModelForFeatureExtraction

    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(checkpoint, partial)
    ORTModelForFeatureExtraction.from_pretrained(checkpoint, export=True).save_pretrained(partial)
    (partial / "model.safetensors").unlink()
    partial.rename(target)
    return target


def main() -> None:
    """Prepare the model, then replace this process by the server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=SETTINGS, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--port", required=True)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    args, further = parser.parse_known_args()
    model = with_onnx(args.checkpoint) if args.engine == "optimum" else args.checkpoint
    # infinity hands optimum a file name that is relative only when the model's folder is ".";
    # it keeps what it optimises under the hub's cache, which must not be shared then.
    os.chdir(model)
    os.environ["HF_HUB_CACHE"] = str(model / "hub")
    server = str(Path(sys.prefix, "bin", "infinity_emb"))
    command = [server, "v2", "--model-id", ".", "--served-model-name", "minilm"]
    command += ["--engine", args.engine, "--device", "cpu", "--dtype", args.dtype]
    command += ["--host", "127.0.0.1", "--port", args.port, "--url-prefix", ""]
    command += ["--no-trust-remote-code", *SETTINGS[args.engine], *further]
    os.environ |= {"INFINITY_ANONYMOUS_USAGE_STATS": "0", "DO_NOT_TRACK": "1"}
    os.execv(server, command)


if __name__ == "__main__":
    main()
