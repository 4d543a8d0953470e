"""The test suite: `python -m pytest`, and `python -m tests.mutate`, which tests the tests."""
