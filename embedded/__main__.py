"""`python -m embedded`, which is `python -m launcher`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("launcher", run_name="__main__", alter_sys=True)
