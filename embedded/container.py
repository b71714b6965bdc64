"""`python -m embedded.container`, which is `python -m launcher.container`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("launcher.container", run_name="__main__", alter_sys=True)
