"""The skeleton of every page edgevit writes: one file that loads nothing, in light and in dark.

Parts are HTML already; whoever makes them escapes what is not theirs. The policy in the head has
the browser refuse whatever a page would fetch from elsewhere.
"""

from collections.abc import Iterable
from html import escape
from pathlib import Path

STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def page(title: str, parts: Iterable[str], *, style: str = "", script: str = "") -> str:
    """The whole document; `title`, plain text, is its heading as well."""
    head = (
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>\n{STYLE}{style}</style>",
    )
    body = (f"<h1>{escape(title)}</h1>", *parts)
    return (
        f'<!doctype html>\n<html lang="en"><head>{"".join(head)}</head>\n<body><main>\n'
        + "\n".join(body)
        + f"\n</main>{f'<script>{script}</script>' if script else ''}</body></html>\n"
    )
