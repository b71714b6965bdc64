"""A stand-in for the package `insightface` where the real one is not installed.

Written into a folder; it routes files by their number of outputs, as the real package does. What
the real one answers is tested by `tests/unit/export/test_insightface_itself.py`.
"""

from __future__ import annotations

from pathlib import Path

UTILS = """
from pathlib import Path
def ensure_available(sub_dir, name, root):
    folder = Path(root).expanduser() / sub_dir / name
    print("download_path:", folder)
    if not folder.is_dir():
        raise RuntimeError("Failed downloading url of " + name)
    return str(folder)
"""
MODEL_ZOO = """
import onnx
class Model:
    def __init__(self, file):
        graph = onnx.load(file).graph
        self.input_mean, self.input_std = 127.5, 127.5
        if len(graph.output) >= 5:
            self.taskname, self.input_std = "detection", 128.0
            self.use_kps = len(graph.output) == 9
            self._feat_stride_fpn, self._num_anchors = [8, 16, 32], 2
        else:
            self.taskname = "recognition"
            sides = [one.dim_value for one in graph.input[0].type.tensor_type.shape.dim]
            self.input_size = (sides[3], sides[2])
            if any(node.name.startswith("_minus") for node in graph.node[:8]):
                self.input_mean, self.input_std = 0.0, 1.0
def get_model(name, **options):
    assert options == {"providers": ["CPUExecutionProvider"]}
    return None if name.endswith("genderage.onnx") else Model(name)
def has_model_package_manifest(folder):
    return False
def load_model_package(folder):
    raise NotImplementedError
"""


def write(folder: Path) -> Path:
    """Writes the package; returns the folder to import from."""
    package = folder / "insightface"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "utils.py").write_text(UTILS)
    (package / "model_zoo.py").write_text(MODEL_ZOO)
    return folder
