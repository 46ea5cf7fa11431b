"""What ``scripts/faults.py`` tries, a module a kind of fault."""
