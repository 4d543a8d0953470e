"""The table of primitives: each an operation's NumPy text, its shape rule, and its VJP rules.

`Primitive.table` holds them all, by name. To add one, write its entry in the file of its family and its sample row in
`tests/samples.py`.
"""

from . import elementwise, linear_algebra, reductions, structure

__all__ = ["elementwise", "linear_algebra", "reductions", "structure"]
