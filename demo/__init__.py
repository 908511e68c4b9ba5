"""A synthetic microscope and its story: exports with known truth, for demo, tests and benchmarks.

:func:`cytolake.demo.synthetic.make_export` writes a plate as Harmony would;
:func:`cytolake.demo.story.run_demo` takes two of them all the way to one answer in SQL. Import the modules
by name: nothing is loaded from here.
"""
