/** The styles of the banner, and how they reach its shadow tree. */

const sheets = new Map<string, CSSStyleSheet>()

/** Creates a constructed style sheet, which no Content-Security-Policy blocks. */
export function sheet(css: string): CSSStyleSheet {
  const made = sheets.get(css) ?? new CSSStyleSheet()
  if (!sheets.has(css)) made.replaceSync(css)
  sheets.set(css, made)
  return made
}

export const HIDDEN = ':host { display: none !important }'

// `!important` rules in `:host` override every rule of the page, even important ones.
export const STYLE = `
:host {
  all: initial !important; display: block !important; position: fixed !important; inset: 0 0 auto !important;
  z-index: 2147483647 !important; font: medium/1.4 system-ui, sans-serif !important; color-scheme: light dark !important;
}
:host::backdrop { display: none !important }
* { box-sizing: border-box; margin: 0 }
[hidden] { display: none }
.bar {
  --back: #ffc02e; --text: #221600; --edge: #8a5a00; --button: #221600; --on-button: #fff;
  display: grid; grid-template-columns: auto minmax(0, 1fr); grid-auto-flow: column;
  align-items: center; gap: .25em 1em;
  min-height: 3.5em; padding: .4em max(1em, env(safe-area-inset-right)) .4em max(1em, env(safe-area-inset-left));
  padding-top: max(.4em, env(safe-area-inset-top)); border-bottom: 2px solid var(--edge);
  background: var(--back); color: var(--text); print-color-adjust: exact; -webkit-print-color-adjust: exact;
}
.bar[data-kind=agent] { --back: #5b2bc9; --text: #fff; --edge: #2c0f75; --button: #fff; --on-button: #3a1696 }
@media (prefers-color-scheme: dark) {
  .bar { --back: #e09a00; --edge: #ffd98a }
  .bar[data-kind=agent] { --back: #6a3ad9; --edge: #c9b3ff }
}
.icon {
  width: 24px; height: 24px; background: currentColor;
  clip-path: path("M9 3a4 4 0 1 1 0 8 4 4 0 0 1 0-8Zm0 9.5c3.9 0 7 2.1 7 4.8V20H2v-2.7c0-2.7 3.1-4.8 7-4.8ZM16.5 5a3.2 3.2 0 1 1-1.3 6.1 6 6 0 0 0 .1-5.9 3.2 3.2 0 0 1 1.2-.2Zm.6 7.8c2.8.3 4.9 2 4.9 4.2V20h-4v-2.7c0-1.7-.8-3.2-2.1-4.4.4-.1.8-.1 1.2-.1Z");
}
[data-kind=agent] .icon {
  clip-path: path("M10 3l2.3 6.7L19 12l-6.7 2.3L10 21l-2.3-6.7L1 12l6.7-2.3ZM19 2l1.1 2.9L23 6l-2.9 1.1L19 10l-1.1-2.9L15 6l2.9-1.1Z");
}
.words { display: flex; flex-wrap: wrap; gap: 0 .75em }
.words > * { max-width: 100% }
.text, .ticket { overflow-wrap: anywhere }
.text { white-space: pre-line }
[data-text=short] .text { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden }
[data-text=whole] .text { max-height: 30vh; overflow: auto }
.kind { padding: .1em .5em; border: 1px solid; border-radius: 1em; font-size: .85em; white-space: nowrap }
.kind:empty { display: none }
.what bdi { font-weight: 700 }
[data-text=short] .what .long {
  display: inline-block; max-width: min(100% - .5em, 20em); vertical-align: bottom;
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
}
.ticket:empty { display: none }
[data-text=short] .ticket:not(:empty) { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 1; overflow: hidden }
[data-text=whole] .ticket { max-height: 12vh; overflow: auto }
.link { padding: .15em 0; color: inherit; text-decoration: underline; word-break: break-all }
.link:focus-visible { background: var(--button); color: var(--on-button); outline: 2px solid var(--button); outline-offset: -2px }
.time { font-weight: 600; font-variant-numeric: tabular-nums; white-space: nowrap }
.error { font-weight: 700 }
.error:empty { display: none }
button {
  min-width: 44px; min-height: 44px; padding: .4em 1.2em; border: 1px solid transparent; border-radius: .5em;
  font: inherit; font-weight: 600; background: var(--button); color: var(--on-button); cursor: pointer;
}
button:hover { text-decoration: underline }
button:focus-visible { outline: 3px solid var(--text); outline-offset: 2px }
button[aria-disabled=true] { cursor: progress; opacity: .85 }
.more { padding: 0; background: none; color: inherit; text-decoration: underline }
.status { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap }
@media (max-width: 40em) {
  .bar { grid-template-columns: minmax(0, 1fr) auto }
  .icon { display: none }
  .words { grid-area: 1 / 1 / 3 }
  .more { grid-area: 3 / 1; justify-self: start }
  .time { grid-area: 2 / 2; justify-self: center; font-size: .9em }
  .form { grid-area: 1 / 2; align-self: end }
  [data-text=short] .text { -webkit-line-clamp: 4 }
  [data-text=short] .ticket:not(:empty) { -webkit-line-clamp: 2 }
}
@media print {
  :host { position: static !important }
  .form, .more { display: none }
}
`
