"""`python -m gateway.capacity.scale`, the former name of `python -m load_tests.lipsync.scale`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("load_tests.lipsync.scale", run_name="__main__", alter_sys=True)
