"""Whether a machine is large enough, before anything is started (`python -m gateway plan`)."""
