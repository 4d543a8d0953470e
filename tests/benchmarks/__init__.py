"""How fast compiled cells are, against NumPy written by hand and other libraries: `python -m tests.benchmarks --help`."""
