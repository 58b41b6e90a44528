"""python -m edgevit"""

from .cli import main

main()
