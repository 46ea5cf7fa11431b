"""The kinds of faults that ``scripts/faults.py`` tries: generators of a case and its problem."""
