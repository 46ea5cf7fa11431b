"""The web page: a small server with hand-written pages, from which no request leaves the machine.

``limits`` says how much a visitor may ask for, ``sessions`` keeps what each has, ``pictures`` takes
uploads in, ``controls`` makes the page's controls of the recipe's fields, ``runs`` is the queue
whose one thread paints, ``work`` what it does, ``guard`` refuses requests of strangers,
``reading`` reads the others, ``orders`` turns them into what is to be painted, ``answers`` tells
what went wrong and how a run goes on, ``app`` has the routes, and ``serve`` runs them.
"""
