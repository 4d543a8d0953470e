"""How fast compiled cells are, against NumPy by hand and other libraries: `python -m tests.benchmarks --help`."""
