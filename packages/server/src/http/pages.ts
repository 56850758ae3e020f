import { hash } from 'node:crypto'
import { html, raw } from 'hono/html'
import { errors } from '../contract/errors.ts'
import type { TicketRecord, UserWithIdentifiers } from '../domain/records.ts'
import { type AnswerHeaders, asApiErrors } from './answer.ts'
import type { HeaderReader } from './headers.ts'
import type { Seen } from './observe.ts'
import { identifierOf } from './present.ts'

/** The pages a person meets: plain HTML, no script, nothing from anywhere else. */

/** Whether whoever asks is a browser that goes to a page. */
export function wantsPage(header: HeaderReader): boolean {
  return header('accept')?.includes('text/html') === true
}

export interface ConfirmPage {
  ticket: TicketRecord
  user: UserWithIdentifiers
  /** The string that redeems it. */
  text: string
  /** Where the button's form is sent to, and where that sends the browser on. */
  action: string
  next: URL
  now: number
  idleSeconds: number
}

/** Says who is about to act as whom, for how long and why, and asks. */
export function confirmPage(page: ConfirmPage, headers: AnswerHeaders): Response {
  const { ticket, user, text, action, next } = page
  const who = nameOf(user)
  const form = html`<form method="post" action="${action}">
<input type="hidden" name="ticket" value="${text}">
<button type="submit" autofocus>${ticket.actor === null ? `Sign in as ${who}` : `Act as ${who}`}</button>
</form>
<p class="quiet">You go on to ${next.host}. If you did not ask for this, close the page: nothing has happened yet, and nothing was used up.</p>`
  const body =
    ticket.actor === null
      ? html`<h1>Sign in as ${who}?</h1>
${facts([['User', person(who, [identifierOf(user), user.id])]])}${form}`
      : actingBody(page, who, JSON.parse(ticket.actor), form)
  const title = ticket.actor === null ? `Sign in as ${who}?` : `Act as ${who}?`
  // The policy of forms holds for where a form is sent on to as well.
  return answerPage(title, body, 200, headers, `'self' ${next.origin}`)
}

function actingBody({ ticket, user, now, idleSeconds }: ConfirmPage, who: string, actor: ActorPayload, form: Html) {
  const agent = actor.type === 'agent'
  const actorName = [actor.name, actor.email, actor.sub].find(name => typeof name === 'string') as string
  return html`<p class="badge${agent ? ' agent' : ''}">${agent ? 'An AI agent acts as a user' : 'Acting as a user'}</p>
<h1>Act as ${who}?</h1>
${facts([
  [agent ? 'AI agent' : 'Who acts', person(actorName, [actor.sub])],
  ['As', person(who, [identifierOf(user), user.id])],
  ['Why', ticket.reason ?? 'No reason was given.'],
  [
    'How long',
    `At most ${duration(ticket.session_max_duration_in_seconds)}; it ends after ${duration(idleSeconds)} without use, and whenever you leave.`,
  ],
  ['This link', `Opens once, within ${timeLeft(ticket.expires_at - now)}.`],
])}${form}
<p class="quiet">What is done is recorded under both names.</p>`
}

interface ActorPayload {
  sub: string
  [member: string]: unknown
}

/** A refusal, for a person: what happened and what to do; and underneath what to tell whoever runs the server. */
export function errorPage(error: unknown, headers: AnswerHeaders, seen: Seen): Response {
  const [refusal] = asApiErrors(error)
  seen.refused(refusal, error)
  const { long_message, meta } = refusal.toJSON()
  const { title, text } = errors[refusal.code].person ?? { title: 'That did not work', text: long_message }
  const body = html`<p class="badge error">Nothing was changed</p>
<h1>${title}</h1>
<p>${text}</p>
<details><summary>For whoever runs this server</summary>
${facts([
  ['Code', refusal.code],
  ['Message', long_message],
  ...(typeof meta.action === 'string' ? [['What to do', meta.action] as const] : []),
  ['Trace id', headers['clerk-trace-id'] ?? ''],
])}</details>`
  return answerPage(title, body, refusal.status, headers, "'none'")
}

type Html = ReturnType<typeof html>

function facts(rows: readonly (readonly [string, string | Html])[]): Html {
  return html`<dl>${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`
}

function person(name: string, details: string[]): Html {
  const more = [...new Set(details)].filter(detail => detail !== name)
  return html`<strong><bdi>${name}</bdi></strong>${more.map(detail => html`<span><bdi>${detail}</bdi></span>`)}`
}

function nameOf(user: UserWithIdentifiers): string {
  return [user.first_name, user.last_name].filter(Boolean).join(' ') || identifierOf(user)
}

/** By the minute, until the last two: nobody minds the second that the page took. */
function timeLeft(milliseconds: number): string {
  const seconds = Math.max(1, Math.ceil(milliseconds / 1_000))
  return duration(seconds > 120 ? Math.ceil(seconds / 60) * 60 : seconds)
}

/** `30 minutes`, `1 hour and 5 minutes`, `45 seconds`. */
function duration(seconds: number): string {
  const units = [
    ['day', 86_400],
    ['hour', 3_600],
    ['minute', 60],
    ['second', 1],
  ] as const
  const parts: string[] = []
  let rest = seconds
  for (const [unit, size] of units) {
    const count = Math.floor(rest / size)
    rest -= count * size
    if (count > 0) parts.push(`${count} ${unit}${count === 1 ? '' : 's'}`)
  }
  return parts.slice(0, 2).join(' and ')
}

function answerPage(title: string, body: Html, status: number, headers: AnswerHeaders, forms: string): Response {
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="icon" href="data:,">
<style>${raw(STYLE)}</style>
</head>
<body>
<main>
${body}
</main>
</body>
</html>
`
  return new Response(String(page), {
    status,
    headers: {
      ...headers,
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; img-src data:; form-action ${forms}; base-uri 'none'; frame-ancestors 'none'`,
      'x-frame-options': 'DENY',
      'cross-origin-opener-policy': 'same-origin',
      // With `no-referrer` a form's Origin would be null. Nothing leaves this server either way.
      'referrer-policy': 'same-origin',
    },
  })
}

const STYLE = `
:root{color-scheme:light dark;--ink:#1c1917;--quiet:#57534e;--page:#f5f5f4;--card:#fff;--line:#e7e5e4;--mark:#b45309;--mark-page:#fef3c7;--button:#9a3412;--button-ink:#fff}
@media (prefers-color-scheme:dark){:root{--ink:#fafaf9;--quiet:#a8a29e;--page:#0c0a09;--card:#1c1917;--line:#44403c;--mark:#fcd34d;--mark-page:#451a03;--button:#fbbf24;--button-ink:#1c1917}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1rem;background:var(--page);color:var(--ink);font:1rem/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{width:100%;max-width:34rem;padding:1.75rem;background:var(--card);border:1px solid var(--line);border-top:.375rem solid var(--mark);border-radius:.75rem}
h1{margin:.75rem 0 1rem;font-size:1.5rem;line-height:1.25;overflow-wrap:anywhere}
.badge{display:inline-block;margin:0;padding:.125rem .625rem;border-radius:1rem;background:var(--mark-page);color:var(--mark);font-size:.875rem;font-weight:600}
main:has(.agent){--mark:#6d28d9;--mark-page:#ede9fe;--button:#5b21b6;--button-ink:#fff}
main:has(.error){--mark:#b91c1c;--mark-page:#fee2e2}
@media (prefers-color-scheme:dark){main:has(.agent){--mark:#c4b5fd;--mark-page:#2e1065;--button:#c4b5fd;--button-ink:#1c1917}main:has(.error){--mark:#fca5a5;--mark-page:#450a0a}}
dl{margin:0 0 1.5rem}
dl div{display:grid;grid-template-columns:6.5rem 1fr;gap:0 1rem;padding:.625rem 0;border-top:1px solid var(--line)}
dt{color:var(--quiet)}
dd{margin:0;min-width:0;overflow-wrap:anywhere}
dd span{display:block;color:var(--quiet);font-size:.875rem}
button{width:100%;min-height:2.75rem;padding:.625rem 1rem;border:0;border-radius:.5rem;background:var(--button);color:var(--button-ink);font:inherit;font-weight:600;cursor:pointer;overflow-wrap:anywhere}
button:focus-visible,summary:focus-visible{outline:3px solid var(--mark);outline-offset:2px}
.quiet,details{margin:1rem 0 0;color:var(--quiet);font-size:.875rem}
details dl{margin:.5rem 0 0}
summary{cursor:pointer;min-height:1.75rem}
@media (max-width:26rem){main{padding:1.25rem}dl div{grid-template-columns:1fr}}
`
const STYLE_HASH = hash('sha256', STYLE, 'base64')
