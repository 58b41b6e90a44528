"""Where the time of one inference goes, operator by operator, by the runtimes' own profilers.

A runtime that can be profiled has a file of its name here, with `open_profiled(file, threads)`.
"""
