"""What ``scripts/benchmark.py`` measures, one module per command.

``problem`` holds every use of jaxstyle, ``pytorch`` PyTorch's side, ``timing`` rounds, processes
and peaks of memory, ``options`` what all commands share, ``outcome`` tables and JSON.
"""
