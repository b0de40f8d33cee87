"""How the page looks: in light, in dark, and on paper."""

CSS = """
:root { color-scheme: light dark; --ink: #1c1d1f; --soft: #585c62; --paper: #fff; --card: #f7f7f8; --line: #dcdee1;
  --track: #ececef; --warn: #fff6dd; --warn-line: #a86a10; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececee; --soft: #a9adb4; --paper: #151618; --card: #1d1f22; --line: #35383d; --track: #2a2d31;
    --warn: #362b10; --warn-line: #d9a441; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem 1.5rem 3rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, Arial, sans-serif; }
header { display: flex; flex-wrap: wrap; align-items: baseline; justify-content: space-between; gap: 0 1rem;
  border-bottom: 1px solid var(--line); }
h1 { font-size: 1.5rem; margin: 0.75rem 0; overflow-wrap: anywhere; font-weight: 600; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 0.25rem; font-weight: 600; }
h3 { font-size: 1rem; margin: 0 0 0.5rem; font-weight: 600; }
.notice, figcaption, .note { color: var(--soft); font-size: 0.875rem; }
.note { margin: 0 0 0.75rem; }
.warnings { background: var(--warn); border-left: 4px solid var(--warn-line); border-radius: 0 6px 6px 0;
  padding: 0.5rem 1.25rem; margin-top: 1.25rem; }
.warnings h2 { margin: 0.25rem 0; }
.warnings ul { margin: 0.25rem 0; padding-left: 1.2rem; }
figure { margin: 0; }
img { max-width: 100%; height: auto; display: block; }
.numbers { display: flex; flex-wrap: wrap; gap: 0.5rem 3rem; margin: 0.5rem 0 0; }
.numbers div { display: flex; flex-direction: column-reverse; }
.numbers dt { color: var(--soft); font-size: 0.875rem; }
.numbers dd { margin: 0; font-size: 1.75rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.stage { position: relative; border-radius: 6px; overflow: hidden; background: #fff; }
.stage img { width: 100%; }
.faded { opacity: 0.4; filter: saturate(0.6); }
.layer { position: absolute; inset: 0; width: 100%; height: 100%; }
.scale { position: absolute; right: 0.6rem; bottom: 0.5rem; display: flex; justify-content: center;
  border-top: 3px solid #111; color: #111;
  background: rgb(255 255 255 / 0.75); font-size: 0.75rem; line-height: 1.4; white-space: nowrap; }
fieldset { border: 0; margin: 0; padding: 0.5rem 0 0; min-width: 0; display: flex; flex-wrap: wrap;
  gap: 0.1rem 1.1rem; }
legend { float: left; color: var(--soft); font-size: 0.875rem; padding: 0.25rem 0; }
label { display: flex; align-items: center; gap: 0.4rem; padding: 0.25rem 0; cursor: pointer; font-size: 0.9375rem; }
label span { overflow-wrap: anywhere; }
input { accent-color: var(--ink); margin: 0; flex: none; }
.line { display: inline-block; padding: 0 0.25rem; background: #fff; border-radius: 3px; vertical-align: -0.1em; }
.line i { display: inline-block; width: 1.4em; border-top: 3px solid; vertical-align: 0.3em; }
table { border-collapse: collapse; }
th, td { padding: 0.35rem 1rem 0.35rem 0; text-align: left; vertical-align: top; font-weight: normal; }
thead th { color: var(--soft); font-size: 0.875rem; }
tbody tr, table > tr { border-top: 1px solid var(--line); }
.shares { width: 100%; }
.shares th { white-space: nowrap; }
.shares td { font-variant-numeric: tabular-nums; text-align: right; white-space: nowrap; }
.shares thead th:not(:first-child) { text-align: right; }
.shares .track { width: 55%; padding-right: 0; }
.track div { position: relative; height: 1.1rem; margin-top: 0.15rem; background: var(--track); border-radius: 3px; }
.bar { position: absolute; inset: 0 auto 0 0; min-width: 2px; border-radius: 3px; }
.interval { position: absolute; top: calc(50% - 1px); height: 2px; background: var(--ink);
  border-inline: 2px solid var(--paper); }
.mark { display: inline-block; min-width: 1.6em; padding: 0 0.3em; text-align: center; border-radius: 4px;
  font-size: 0.8125rem; line-height: 1.5; font-variant-numeric: tabular-nums; }
.mark:empty::before { content: " "; white-space: pre; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1.5rem 1.25rem; }
.grid > figure > img { width: 100%; max-height: 60vh; object-fit: contain; object-position: left; }
.large { grid-template-columns: repeat(auto-fit, minmax(26rem, 1fr)); }
.grid figcaption { display: flex; flex-wrap: wrap; align-items: center; gap: 0 0.4rem; padding-top: 0.4rem;
  overflow-wrap: anywhere; }
.ramp { margin-left: auto; display: flex; align-items: center; gap: 0.35rem; font-variant-numeric: tabular-nums; }
.ramp i { width: 4rem; height: 0.6rem; border-radius: 2px;
  background: linear-gradient(90deg, #440154, #3b528b, #21918c, #5ec962, #fde725); }
.card { background: var(--card); border-radius: 8px; padding: 0.9rem 1rem 1rem; margin: 0 0 0.75rem; }
.strip { display: grid; grid-template-columns: 6rem minmax(0, 1fr); align-items: center; }
.strip + .strip { margin-top: 0.5rem; }
.strip img { border-radius: 4px; image-rendering: pixelated; }
svg { display: block; width: 100%; height: auto; font: 11px system-ui, "Segoe UI", Roboto, Arial, sans-serif; }
svg .grid { stroke: var(--line); }
svg .tick { fill: var(--soft); text-anchor: middle; }
svg .number { text-anchor: middle; }
svg .whisker { stroke: var(--soft); stroke-width: 1.2; fill: none; }
svg .box { stroke: var(--soft); stroke-width: 0.8; }
svg .median { stroke: var(--ink); stroke-width: 2.4; }
.charts figcaption { padding-bottom: 0.4rem; color: var(--ink); }
.detail path { fill: none; stroke-width: 1.8; stroke-linejoin: round; pointer-events: visiblePainted; }
.detail .halo { stroke-width: 3.4; }
.on-000 { stroke: #000; stroke-opacity: 0.4; }
.on-fff { stroke: #fff; stroke-opacity: 0.7; }
summary { cursor: pointer; color: var(--soft); margin-top: 1rem; font-size: 0.875rem; }
.scroll { overflow-x: auto; }
.scroll td { white-space: nowrap; font-variant-numeric: tabular-nums; }
.facts th { color: var(--soft); white-space: nowrap; }
.facts td { overflow-wrap: anywhere; }
footer { margin-top: 3rem; border-top: 1px solid var(--line); }
@media (max-width: 48rem) { .strip { grid-template-columns: minmax(34rem, 1fr); overflow-x: auto; }
  .large { grid-template-columns: 1fr; } .shares .track { display: none; }
  .facts th { white-space: normal; } }
@media (max-width: 64rem) {
  .listed, .listed tbody, .listed tr { display: block; } .listed thead { display: none; }
  .listed th { display: block; padding: 0.5rem 0 0; overflow-wrap: anywhere; }
  .listed td { display: flex; justify-content: space-between; gap: 1rem; padding: 0.1rem 0; text-align: right; }
  .listed td::before { content: attr(data-name); color: var(--soft); text-align: left; flex: none; }
  .listed td:empty { display: none; } }
@media print {
  :root { color-scheme: light; --ink: #000; --soft: #444; --paper: #fff; --card: #fff; --line: #bbb; --track: #eee;
    --warn: #fff; }
  body { max-width: none; padding: 0; font-size: 10pt; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  h2 { break-after: avoid; }
  figure, .card, tr, .warnings, .map { break-inside: avoid; }
  .grid { grid-template-columns: repeat(3, 1fr); } .large { grid-template-columns: repeat(2, 1fr); }
  .card { border: 1px solid var(--line); } }
"""
