"""How the page looks, in light and in dark."""

CSS = """
:root { color-scheme: light dark; --ink: #1a1a1a; --soft: #5c5c5c; --paper: #fff; --line: #d8d8d8; --track: #eee;
  --warn: #fff4d6; --warn-line: #b7791f; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececec; --soft: #a8a8a8; --paper: #161616; --line: #3a3a3a; --track: #2a2a2a;
    --warn: #3a2e10; --warn-line: #d9a441; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1rem 1.25rem 3rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, Arial, sans-serif; }
header { display: flex; flex-wrap: wrap; align-items: baseline; justify-content: space-between; gap: 0 1rem;
  border-bottom: 1px solid var(--line); }
h1 { font-size: 1.5rem; margin: 0.5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 1.75rem 0 0.5rem; }
.notice, figcaption { color: var(--soft); font-size: 0.9rem; }
.warnings { background: var(--warn); border-left: 4px solid var(--warn-line); padding: 0.25rem 1rem; margin-top: 1rem; }
.warnings h2 { margin-top: 0.5rem; }
figure { margin: 1rem 0; }
img { max-width: 100%; height: auto; display: block; background: #fff; }
.numbers { display: flex; flex-wrap: wrap; gap: 0.5rem 2.5rem; margin: 0; }
.numbers div { display: flex; flex-direction: column-reverse; }
.numbers dt { color: var(--soft); font-size: 0.9rem; }
.numbers dd { margin: 0; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; }
th, td { padding: 0.3rem 0.8rem 0.3rem 0; text-align: left; vertical-align: top; font-weight: normal; }
thead th { color: var(--soft); font-size: 0.9rem; }
tbody tr { border-top: 1px solid var(--line); }
.classes { width: 100%; }
.classes td { font-variant-numeric: tabular-nums; text-align: right; white-space: nowrap; }
.classes thead th:not(:first-child) { text-align: right; }
.classes .track { width: 55%; text-align: left; padding: 0.6rem 0 0.5rem 0.5rem; }
.bar { display: block; height: 0.9rem; min-width: 1px; outline: 1px solid var(--line); }
.mark { display: inline-block; min-width: 1.6em; padding: 0 0.25em; text-align: center; border-radius: 0.25em;
  font-size: 0.85em; }
.examples img { image-rendering: pixelated; max-width: none; }
.examples { overflow-x: auto; }
.examples figcaption { margin-bottom: 0.25rem; color: var(--ink); }
.facts th { color: var(--soft); white-space: nowrap; }
.facts td { overflow-wrap: anywhere; }
footer { margin-top: 2.5rem; border-top: 1px solid var(--line); }
"""
