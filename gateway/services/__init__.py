"""The five services, each whole in a folder of its own; none of them imports another."""
