"""What ``benchmark.py`` measures, a module a subcommand, on shared parts.

``problem`` is what both sides compute, ``original`` PyTorch's side, ``floor`` the arithmetic limit;
``rounds`` lets sides take turns, ``processes`` start others, ``outcome`` shows and writes,
``options`` are common to all.
"""
