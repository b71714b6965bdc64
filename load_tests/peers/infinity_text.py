"""Infinity, the strong peer for embeddings. Runs in ``.venv-infinity``.

    python -m load_tests.peers.infinity_text --engine optimum --checkpoint DIR --port PORT

Makes the ONNX file that the optimum engine expects, optimised at level O99 (every fusion) as
infinity itself would do: its own call fails with optimum 2, after which it would serve the
unoptimised graph. Then becomes ``infinity_emb``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

SETTINGS = {
    # torch 2's scaled dot-product attention; BetterTransformer is gone from optimum 2.
    "torch": ["--batch-size", "32", "--no-bettertransformer"],
    # Without the pooling method the optimum engine takes the first token: wrong vectors.
    "optimum": ["--batch-size", "32", "--pooling-method", "mean"],
}
"""Fastest settings found on 2 cores; the dtype is chosen by the caller."""

OPTIMISED = Path("hub", "infinity_onnx", "CPUExecutionProvider")
"""Where infinity looks for optimised graphs, below the folder of the model."""


def with_onnx(checkpoint: Path) -> Path:
    """Return a copy of the checkpoint with its plain and its optimised graph, made once."""
    target = checkpoint.parent / "infinity-optimum"
    if (target / "model.onnx").is_file():
        return target
    from optimum.onnxruntime import ORTModelForFeatureExtraction, ORTOptimizer
    from optimum.onnxruntime.configuration import OptimizationConfig

    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(checkpoint, partial)
    model = ORTModelForFeatureExtraction.from_pretrained(checkpoint, export=True)
    model.save_pretrained(partial)
    ORTOptimizer.from_pretrained(partial).optimize(
        OptimizationConfig(optimization_level=99), save_dir=partial / OPTIMISED
    )
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
