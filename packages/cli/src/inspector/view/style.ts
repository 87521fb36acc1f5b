/** The inspector's style, inside its shadow root: nothing of it reaches the page around, and little of the page reaches in. */
export const STYLE = `
:host { display: block; }
.app {
  --bg: #f4f6f9; --surface: #ffffff; --sunk: #f0f3f7; --line: #e1e6ec; --line-strong: #c6ced8;
  --text: #17202b; --muted: #5b6775; --accent: #2b6cea; --accent-2: #d1600f; --accent-3: #0b8f78; --accent-4: #8a4bd6;
  --good: #167a4b; --bad: #c0262d; --shadow: 0 1px 2px rgb(20 30 45 / 6%), 0 1px 8px rgb(20 30 45 / 4%);
  color-scheme: light; background: var(--bg); color: var(--text); min-height: 100vh; box-sizing: border-box;
  padding: 14px 18px 28px; font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  container-type: inline-size;
}
.app[data-theme=dark] {
  --bg: #0d1117; --surface: #161b22; --sunk: #1c222b; --line: #272e38; --line-strong: #414b59;
  --text: #e8edf3; --muted: #96a1af; --accent: #5b9bff; --accent-2: #f5a04c; --accent-3: #3cc8ad; --accent-4: #bd8cf7;
  --good: #4cc38a; --bad: #ff6b72; --shadow: none; color-scheme: dark;
}
*, *::before, *::after { box-sizing: border-box; }
[hidden] { display: none !important; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; margin: 0; }
.muted { color: var(--muted); }
.num { font-variant-numeric: tabular-nums; }
.grow { flex: 1; }
code { font: 12px/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
h1, h2, h3, p, dl, dd, figure { margin: 0; }
h1 { font-size: 17px; font-weight: 650; letter-spacing: -.01em; }
h2 { font-size: 14px; font-weight: 650; }
h3 { font-size: 13px; font-weight: 650; }

button, select, input { font: inherit; color: inherit; }
button, select, input[type=search] {
  border: 1px solid var(--line-strong); border-radius: 7px; background: var(--surface); padding: 4px 10px; min-height: 30px;
}
button { cursor: pointer; }
button:hover, select:hover { border-color: var(--muted); }
button:active { background: var(--sunk); }
button.primary { background: var(--accent); border-color: var(--accent); color: #fff; }
.app[data-theme=dark] button.primary { color: #0b1523; }
button.icon { padding: 0; width: 30px; text-align: center; line-height: 1; }
button.link, th > button { border: 0; background: none; padding: 0; min-height: 0; border-radius: 3px; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }

header { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 10px; margin-bottom: 12px; }
.detail { font-size: 13px; }
.pill {
  display: inline-flex; align-items: center; gap: 6px; border: 1px solid var(--line); border-radius: 99px; padding: 1px 10px;
  font-size: 12.5px; color: var(--muted); background: var(--surface); font-variant-numeric: tabular-nums;
}
.pill:empty { display: none; }
.pill::before { content: ""; width: 8px; height: 8px; border-radius: 50%; background: var(--muted); }
.pill[data-kind=live]::before { background: var(--good); }
.pill[data-kind=bad]::before { background: var(--bad); }
.pill[data-kind=busy]::before { background: var(--accent-2); }
.banner {
  border: 1px solid var(--bad); border-radius: 9px; padding: 8px 12px; margin-bottom: 12px; color: var(--bad);
  background: color-mix(in srgb, var(--bad) 8%, var(--surface));
}

.card { background: var(--surface); border: 1px solid var(--line); border-radius: 11px; padding: 12px 14px; box-shadow: var(--shadow); min-width: 0; }
.card-head { display: flex; align-items: center; gap: 8px; margin-bottom: 10px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(132px, 1fr)); gap: 10px; margin-bottom: 12px; }
.tile { background: var(--surface); border: 1px solid var(--line); border-radius: 11px; padding: 8px 14px 9px; box-shadow: var(--shadow); }
.tile dt { color: var(--muted); font-size: 12.5px; }
.tile .value { font-size: 20px; font-weight: 620; letter-spacing: -.015em; line-height: 1.3; white-space: nowrap; }
.tile .note { color: var(--muted); font-size: 12.5px; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }

.brand { font-weight: 700; letter-spacing: -.02em; color: var(--accent); font-size: 17px; }
.main { display: grid; grid-template-columns: minmax(0, 1fr) 370px; gap: 12px; align-items: start; }
.left { display: grid; grid-template-columns: minmax(0, 1fr); gap: 12px; }
.main .pane { position: sticky; top: 12px; max-height: calc(100vh - 24px); overflow: auto; }
.board { position: relative; touch-action: pan-y; }
.board canvas { position: absolute; inset: 0; display: block; }
.marks { cursor: crosshair; border-radius: 4px; }
.strip-row { display: flex; align-items: center; gap: 8px; margin-top: 10px; }
.strip { flex: 1; min-width: 60px; height: 14px; border-radius: 3px; cursor: pointer; }
.range { font-size: 12.5px; white-space: nowrap; }
.tip {
  position: absolute; z-index: 5; top: 0; left: 0; pointer-events: none; width: max-content; max-width: min(440px, 90%);
  background: var(--surface); border: 1px solid var(--line-strong); border-radius: 9px; padding: 8px 11px; font-size: 12.5px;
  box-shadow: 0 6px 24px rgb(0 0 0 / 22%);
}
.tip strong { font-weight: 620; }
.tip .words { display: grid; grid-template-columns: auto auto 1fr; gap: 1px 12px; margin-top: 6px; font-size: 12px; }

.legend { display: flex; flex-wrap: wrap; gap: 4px 14px; margin-top: 10px; font-size: 12.5px; color: var(--muted); }
.key { display: inline-flex; align-items: center; gap: 6px; font-variant-numeric: tabular-nums; white-space: nowrap; }
.swatch { width: 11px; height: 11px; border-radius: 3px; flex: none; box-shadow: inset 0 0 0 1px rgb(128 128 128 / 25%); }
.swatch.tall { height: 16px; width: 11px; }
.parts { margin-left: auto; }

.pane { display: flex; flex-direction: column; gap: 10px; }
.pane h2 { font-size: 16px; overflow-wrap: anywhere; }
.facts { display: grid; grid-template-columns: auto 1fr; gap: 2px 14px; font-size: 13px; }
.facts dt { color: var(--muted); }
.objects-box { min-width: 0; }
.objects { display: block; cursor: crosshair; border-radius: 3px; }
.object { min-height: 1.5em; margin-top: 6px; font-size: 13px; }
.objects-box .legend { margin-top: 4px; }
.descriptor { border-top: 1px solid var(--line); padding-top: 8px; font-size: 12.5px; }
.descriptor summary { cursor: pointer; font-weight: 620; font-size: 13px; margin-bottom: 4px; }
.words-table { border-collapse: collapse; width: 100%; }
.words-table th { text-align: left; font-weight: 400; color: var(--muted); padding: 0 10px 0 0; font-size: 11.5px; white-space: nowrap; }
.words-table td { padding: 0 10px 0 0; vertical-align: baseline; }
.words-table td:last-child { padding: 0; }
.words-table + p { margin-top: 4px; font-size: 12px; }

.charts { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 12px; }
.chart { padding-bottom: 6px; }
.plot-figures { display: flex; flex-wrap: wrap; gap: 0 14px; font-size: 12.5px; color: var(--muted); margin: 2px 0 6px; }
.plot-figures b { color: var(--text); font-weight: 600; margin-left: 4px; }
.plot { height: 150px; overflow: hidden; }
.uplot { position: relative; width: min-content; line-height: 1.5; }
.u-wrap { position: relative; user-select: none; }
.u-over, .u-under { position: absolute; }
.u-under { overflow: hidden; }
.uplot canvas { display: block; position: relative; width: 100%; height: 100%; }
.u-axis { position: absolute; }
.u-legend, .u-select { display: none; }
.u-cursor-x, .u-cursor-y { position: absolute; left: 0; top: 0; pointer-events: none; will-change: transform; }
.u-hz .u-cursor-x { height: 100%; border-right: 1px dashed var(--muted); }
.u-cursor-y { display: none; }
.u-cursor-pt { position: absolute; top: 0; left: 0; border-radius: 50%; pointer-events: none; will-change: transform; }
.u-off { display: none; }

.scrub { margin-bottom: 12px; }
.scrub-row { display: flex; align-items: center; gap: 6px; flex-wrap: wrap; }
.place { font-weight: 600; margin-left: 8px; white-space: nowrap; }
.what { font-size: 13px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; flex: 1; min-width: 120px; }
.scrub-line { position: relative; margin-top: 10px; }
.scrub-line .overview { display: block; border-radius: 4px; background: var(--sunk); }
.scrub-line input { position: absolute; inset: 0; width: calc(100% + 4px); margin: 0 -2px; height: 100%; appearance: none; background: none; cursor: ew-resize; }
.scrub-line input::-webkit-slider-thumb { appearance: none; width: 4px; height: 44px; background: var(--text); border-radius: 2px; }
.scrub-line input::-moz-range-thumb { width: 4px; height: 44px; border: 0; background: var(--text); border-radius: 2px; }

.tabs { padding: 0; }
[role=tablist] { display: flex; gap: 2px; border-bottom: 1px solid var(--line); padding: 4px 8px 0; overflow-x: auto; }
[role=tab] { border: 0; background: none; border-radius: 6px 6px 0 0; padding: 7px 12px 8px; color: var(--muted); white-space: nowrap; border-bottom: 2px solid transparent; }
[role=tab][aria-selected=true] { color: var(--text); font-weight: 620; border-bottom-color: var(--accent); }
[role=tabpanel] { padding: 12px 14px; }
.table-tools { display: flex; flex-wrap: wrap; align-items: center; gap: 10px; margin-bottom: 8px; }
.table-tools input[type=search] { width: 240px; max-width: 100%; }
.check { display: inline-flex; gap: 6px; align-items: center; margin-left: auto; color: var(--muted); font-size: 13px; line-height: 30px; }
.scroller { overflow: auto; max-height: 480px; border-radius: 4px; }
table.data { border-collapse: separate; border-spacing: 0; width: 100%; font-size: 13px; }
table.data th, table.data td { padding: 3px 10px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); font-weight: 400; }
table.data thead th { position: sticky; top: 0; background: var(--surface); color: var(--muted); z-index: 1; border-bottom-color: var(--line-strong); }
table.data th:first-child, table.data .text, table.data td.wide { text-align: left; }
table.data tbody tr:hover > * { background: var(--sunk); }
table.data tr.chosen > * { background: color-mix(in srgb, var(--accent) 14%, var(--surface)); }
table.data tr.choosable { cursor: pointer; }
table.data button { text-align: inherit; }
table.data thead button { color: inherit; font-weight: 550; }
th[aria-sort=ascending] > button::after { content: " ↑"; }
th[aria-sort=descending] > button::after { content: " ↓"; }
th[aria-sort=ascending] > button, th[aria-sort=descending] > button { color: var(--text); }
td.bar > span { display: block; padding: 0 6px; border-radius: 3px; min-width: 64px;
  background: linear-gradient(to right, color-mix(in srgb, var(--accent) 26%, transparent) var(--share, 0%), var(--sunk) var(--share, 0%)); }
.leaks td, .leaks th { white-space: pre-wrap !important; vertical-align: top; }
.table > button { margin-top: 8px; }
.buddy { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 460px), 1fr)); gap: 18px; }
.buddy caption { text-align: left; font-weight: 620; padding-bottom: 6px; }
.buddy-table td.wide { width: 40%; }
.fill { display: block; height: 10px; border-radius: 3px; background: var(--accent); min-width: 0; }
.compare-row { display: flex; flex-wrap: wrap; align-items: center; gap: 8px; }
.sum { margin: 10px 0; }
.sum strong { font-weight: 640; }

@container (max-width: 1020px) {
  .main { grid-template-columns: minmax(0, 1fr); }
  .left { display: contents; }
  .main .pane { position: static; max-height: none; order: 1; }
  .map-card { order: 0; }
  .charts, .tabs { order: 2; }
  .charts { grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); }
  .parts { margin-left: 0; }
}
@media (prefers-reduced-motion: no-preference) { .pill[data-kind=live]::before { animation: pulse 2s infinite; } }
@keyframes pulse { 50% { opacity: .35; } }
@media (forced-colors: active) { .swatch, .fill, td.bar > span { forced-color-adjust: none; } }
`;
