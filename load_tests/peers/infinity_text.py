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


def with_onnx(checkpoint: Path) -> Path:
    """Return a copy of the checkpoint that holds the optimised graph, made once."""
    target = checkpoint.parent / "infinity-optimum"
    if (target / "model.onnx").is_file():
        return target
    from optimum.onnxruntime import ORTModelForFeatureExtraction, ORTOptimizer
    from optimum.onnxruntime.configuration import OptimizationConfig

    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(checkpoint, partial, ignore=shutil.ignore_patterns("*.safetensors"))
    plain = partial / "plain"
    ORTModelForFeatureExtraction.from_pretrained(checkpoint, export=True).save_pretrained(plain)
    ORTOptimizer.from_pretrained(plain).optimize(
        OptimizationConfig(optimization_level=99), save_dir=plain
    )
    # The only graph in the folder, so that infinity takes this one.
    (plain / "model_optimized.onnx").rename(partial / "model.onnx")
    shutil.rmtree(plain)
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
    # infinity hands optimum a file name that is relative only when the model's folder is ".".
    os.chdir(model)
    server = str(Path(sys.prefix, "bin", "infinity_emb"))
    command = [server, "v2", "--model-id", ".", "--served-model-name", "minilm"]
    command += ["--engine", args.engine, "--device", "cpu", "--dtype", args.dtype]
    command += ["--host", "127.0.0.1", "--port", args.port, "--url-prefix", ""]
    command += ["--no-trust-remote-code", *SETTINGS[args.engine], *further]
    os.environ |= {"INFINITY_ANONYMOUS_USAGE_STATS": "0", "INFINITY_ONNX_DISABLE_OPTIMIZE": "1"}
    os.execv(server, command)


if __name__ == "__main__":
    main()
