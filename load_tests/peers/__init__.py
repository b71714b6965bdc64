"""The servers that Pentad is compared with."""
