"""ML Programs (Core ML's MIL) read from a saved package and run in torch, on any system.

package.py reads what is on disk, values.py and constexpr.py the weights in it, evaluate.py runs the
program; each of the other files holds the operators of one category of Apple's documentation.
"""
