"""What the try-on model needs beside its code."""
