"""The web page: a small server with its own pages; no request leaves the machine.

``limits`` says how much a visitor may ask for, ``sessions`` keeps what each visitor has,
``pictures`` accepts uploads, ``controls`` makes the page's controls from the recipe's fields,
``runs`` is the queue and its one painting thread, ``painting`` paints a run, ``instant`` paints the
quick preview, ``pace`` estimates the time, ``labels`` has the words for people, ``guard`` refuses
requests from other sites, ``reading`` reads the rest, ``orders`` checks what is to be painted,
``answers`` are errors and progress, ``app`` has the routes, and ``serve`` runs them.
"""
