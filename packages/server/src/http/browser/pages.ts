import { hash } from 'node:crypto'
import { html, raw } from 'hono/html'
import type { ErrorCode } from '../../contract/errors.ts'
import { statedReason } from '../../domain/policy.ts'
import type { ActorTokenRecord, UserWithIdentifiers } from '../../domain/records.ts'
import { type AnswerHeaders, asApiErrors } from '../answer.ts'
import type { HeaderReader } from '../caller.ts'
import { identifierOf } from '../fapi/present.ts'
import type { RequestLog } from '../request-log.ts'
import type { Brand } from './brand.ts'
import { duration } from './duration.ts'
import { catalogue, chooseLanguage, type Language, type Texts } from './texts/index.ts'

/** The pages for people: plain HTML without scripts or files of other servers. Their texts are in `texts/`. */

/** Settings of the pages. */
export interface PageOptions {
  /** Available languages; the first is the default. */
  languages: readonly [Language, ...Language[]]
  brand: Brand
}

/** Language and brand of one page, for one browser. */
export interface PageStyle {
  language: Language
  texts: Texts
  brand: Brand
}

export function pageStyle({ languages, brand }: PageOptions, header: HeaderReader): PageStyle {
  const language = chooseLanguage(header('accept-language'), languages)
  return { language, texts: catalogue[language], brand }
}

/** Whether the caller is a browser that shows a page. API clients accept JSON or any type. */
export function wantsPage(header: HeaderReader): boolean {
  return /(^|[,\s])text\/html(?!\s*;\s*q=0(\.0*)?\s*(,|$))/i.test(header('accept') ?? '')
}

export interface ConfirmPage {
  token: ActorTokenRecord
  user: UserWithIdentifiers
  /** The string that redeems it. */
  text: string
  /** Target of the button's form, and the URL to which it redirects the browser. */
  action: string
  next: URL
  now: number
  idleSeconds: number
}

/** Creates the page that names the actor, the user, the duration and the reason, and asks for confirmation. */
export function confirmPage(page: ConfirmPage, headers: AnswerHeaders, style: PageStyle): Response {
  const { token, user, text, action, next } = page
  const { texts } = style
  const { title, button } = token.actor === null ? texts.signIn : texts.act
  const who = { user: nameOf(user) }
  const body = html`${token.actor === null ? '' : badge(page, style)}
<h1>${sentence(title, who)}</h1>
${facts(token.actor === null ? [[texts.signIn.user, describeUser(user)]] : actingFacts(page, style))}
<form method="post" action="${action}">
<input type="hidden" name="ticket" value="${text}">
<button type="submit">${sentence(button, who)}</button>
<a class="cancel" href="${cancelUrl(page)}">${texts.cancel}</a>
</form>
<p class="quiet">${sentence(texts.goesOn, { host: next.host })}</p>
${token.actor === null ? '' : html`<p class="quiet">${texts.act.recorded}</p>`}`
  // The form-action policy also applies to the redirect after the form is sent.
  return answerPage({ title: plain(title, who), body, status: 200, forms: `'self' ${next.origin}` }, headers, style)
}

/** Returns the target of the cancel link: the return URL, or the app. Both are on allowed origins. The ticket stays unused. */
function cancelUrl({ token, next }: ConfirmPage): string {
  return token.return_url ?? new URL('/', next).href
}

function badge({ token }: ConfirmPage, { texts }: PageStyle): Html {
  const agent = actorOf(token).type === 'agent'
  return html`<p class="badge${agent ? ' agent' : ''}">${agent ? texts.act.agentBadge : texts.act.badge}</p>`
}

function actingFacts({ token, user, now, idleSeconds }: ConfirmPage, { texts, language }: PageStyle): Fact[] {
  const { act } = texts
  const actor = actorOf(token)
  const actorName = [actor.name, actor.email, actor.sub].find(name => typeof name === 'string') as string
  const longest = duration(token.session_max_duration_in_seconds, language)
  const left = timeLeft(token.expires_at - now, language)
  const { ticket } = statedReason(token)
  return [
    [actor.type === 'agent' ? act.agent : act.who, person(actorName, { id: actor.sub })],
    [act.as, describeUser(user)],
    [act.why, reasonOf(token) ?? act.noReason],
    ...(ticket === undefined ? [] : [[act.ticket, ticketLink(ticket)] as const]),
    [act.howLong, sentence(act.limits, { longest, idle: duration(idleSeconds, language) })],
    [texts.link, sentence(texts.linkUse, { left })],
  ]
}

/** Returns the category and the text, or the one that was given. */
function reasonOf(token: ActorTokenRecord): string | undefined {
  const given = [statedReason(token).category, token.reason].filter(text => typeof text === 'string')
  return given.length === 0 ? undefined : given.join(': ')
}

/** Returns a ticket as a link, if it is the address of a page. Nothing is sent to that page but the request for it. */
function ticketLink(ticket: string): string | Html {
  const url = URL.canParse(ticket) ? new URL(ticket) : undefined
  if (url?.protocol !== 'https:' || url.username !== '' || url.password !== '') return ticket
  return html`<a href="${url.href}" target="_blank" rel="noopener noreferrer">${ticket}</a>`
}

interface ActorPayload {
  sub: string
  [member: string]: unknown
}

const actorOf = ({ actor }: ActorTokenRecord) => JSON.parse(actor ?? 'null') as ActorPayload

/** Creates the page of an error: what happened and what to do, and below that the details for the operator of the server. */
export function errorPage(error: unknown, headers: AnswerHeaders, requestLog: RequestLog, style: PageStyle): Response {
  const [refusal] = asApiErrors(error)
  requestLog.refused(refusal, error)
  const { texts } = style
  const { title, text, fix } = errorTexts(refusal.code, texts)
  const body = html`<p class="badge error">${texts.error.badge}</p>
<h1>${title}</h1>
<p>${sentence(text, refusal.options.params ?? {})}</p>
<details><summary>${texts.error.operator}</summary>
${facts([
  [texts.error.code, shownCode(refusal.code)],
  ...(fix === undefined ? [] : [[texts.error.fix, withCode(fix)] as const]),
  [texts.error.trace, headers['clerk-trace-id'] ?? ''],
])}</details>`
  return answerPage({ title, body, status: refusal.status, forms: "'none'" }, headers, style)
}

/** Creates the page at `/`. The status stays 404, because the API has no resource there. */
export function homePage(headers: AnswerHeaders, style: PageStyle): Response {
  const { title, text } = style.texts.home
  const body = html`<h1>${title}</h1>
<p>${text}</p>`
  return answerPage({ title, body, status: 404, forms: "'none'" }, headers, style)
}

/** Creates a page that says why the console is not here. @param values the address of the console, if it is elsewhere */
export function noticePage(
  what: keyof Texts['console'],
  status: number,
  { url }: { url?: string },
  headers: AnswerHeaders,
  style: PageStyle,
): Response {
  const { title, text } = style.texts.console[what]
  const link = url === undefined ? '' : html`<p><a href="${url}">${url}</a></p>`
  const body = html`<h1>${title}</h1>
<p>${withCode(text)}</p>
${link}`
  return answerPage({ title, body, status, forms: "'none'" }, headers, style)
}

function errorTexts(code: ErrorCode, { errors, error }: Texts): { title: string; text: string; fix?: string } {
  return errors[code] ?? error.other
}

/** Returns the code to show. One code on the wire has Clerk's name in it, which would confuse people. */
const shownCode = (code: ErrorCode) => code.replace('_clerk', '')

type Html = ReturnType<typeof html>
type Fact = readonly [name: string, value: string | Html]

function facts(rows: readonly Fact[]): Html {
  return html`<dl>${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`
}

/** Fills values into a text. Each value keeps its own writing direction. */
function sentence(text: string, values: Record<string, string | number>): Html {
  const parts = text.split(/\{(\w+)\}/)
  return html`${parts.map((part, index) => (index % 2 === 0 ? part : isolated(String(values[part] ?? ''))))}`
}

/** Isolates a value: names may be written right to left, or contain characters that reverse the text after them. */
const isolated = (value: string) => (/^[\x20-\x7e]*$/.test(value) ? value : html`<bdi>${value}</bdi>`)

/** Formats text between backticks as code. */
function withCode(text: string): Html {
  return html`${text.split('`').map((part, index) => (index % 2 === 0 ? part : html`<code>${part}</code>`))}`
}

function plain(text: string, values: Record<string, string>): string {
  return text.replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? '')
}

function describeUser(user: UserWithIdentifiers): Html {
  return person(nameOf(user), { identifier: identifierOf(user), id: user.id })
}

function person(name: string, { identifier = name, id }: { identifier?: string; id: string }): Html {
  const detail = identifier === name || identifier === id ? '' : html`<span><bdi>${identifier}</bdi></span>`
  return html`<strong><bdi>${name}</bdi></strong>${detail}${id === name ? '' : html`<span class="id"><bdi>${id}</bdi></span>`}`
}

function nameOf(user: UserWithIdentifiers): string {
  return [user.first_name, user.last_name].filter(Boolean).join(' ') || identifierOf(user)
}

/** Rounds to minutes, except for the last two: the seconds that the page took to load are not worth showing. */
function timeLeft(milliseconds: number, language: Language): string {
  const seconds = Math.max(1, Math.ceil(milliseconds / 1_000))
  return duration(seconds > 120 ? Math.ceil(seconds / 60) * 60 : seconds, language)
}

function brandHeader({ name, logo }: Brand): Html {
  const image = logo === undefined ? '' : html`<img src="${logo}" alt="">`
  return html`<header>${image}<span>${name}</span></header>`
}

interface PageContent {
  title: string
  body: Html
  status: number
  /** Origins to which forms may be sent. */
  forms: string
}

function answerPage({ title, body, status, forms }: PageContent, headers: AnswerHeaders, style: PageStyle): Response {
  const { language, brand } = style
  const page = html`<!doctype html>
<html lang="${language}">
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
${brandHeader(brand)}
${body}
</main>
</body>
</html>
`
  return new Response(String(page), {
    status,
    headers: {
      ...headers,
      vary: `${headers['vary'] ?? 'Origin'}, Accept, Accept-Language`,
      'content-language': language,
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; img-src data:; form-action ${forms}; base-uri 'none'; frame-ancestors 'none'`,
      'x-frame-options': 'DENY',
      'cross-origin-opener-policy': 'same-origin',
      // With `no-referrer`, the Origin header of a form would be null. In both cases only this server gets the referrer.
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
header{display:flex;align-items:center;gap:.625rem;margin:0 0 1rem;color:var(--quiet);font-size:.875rem;font-weight:600;overflow-wrap:anywhere}
header span{min-width:0}
header img{max-width:10rem;max-height:2rem}
.badge{display:inline-block;margin:0;padding:.125rem .625rem;border-radius:1rem;background:var(--mark-page);color:var(--mark);font-size:.875rem;font-weight:600}
main:has(.agent){--mark:#6d28d9;--mark-page:#ede9fe;--button:#5b21b6;--button-ink:#fff}
main:has(.error){--mark:#b91c1c;--mark-page:#fee2e2}
@media (prefers-color-scheme:dark){main:has(.agent){--mark:#c4b5fd;--mark-page:#2e1065;--button:#c4b5fd;--button-ink:#1c1917}main:has(.error){--mark:#fca5a5;--mark-page:#450a0a}}
dl{margin:0 0 1.5rem}
dl div{display:grid;grid-template-columns:6.5rem 1fr;gap:0 1rem;padding:.625rem 0;border-top:1px solid var(--line)}
dt{color:var(--quiet)}
dd{margin:0;min-width:0;overflow-wrap:anywhere}
dd span{display:block;color:var(--quiet);font-size:.875rem}
dd .id{font-size:.75rem}
button{min-height:2.75rem;padding:.625rem 1rem;border:0;border-radius:.5rem;background:var(--button);color:var(--button-ink);font:inherit;font-weight:600;cursor:pointer;overflow-wrap:anywhere}
form{display:flex;flex-wrap:wrap;gap:.625rem}
form button{flex:1 1 14rem}
.cancel{flex:0 1 auto;display:grid;place-items:center;min-height:2.75rem;padding:.625rem 1.25rem;border:1px solid var(--line);border-radius:.5rem;color:var(--ink);font-weight:600;text-decoration:none}
.cancel:hover{text-decoration:underline}
button:focus-visible,.cancel:focus-visible,summary:focus-visible{outline:3px solid var(--mark);outline-offset:2px}
.quiet,details{margin:1rem 0 0;color:var(--quiet);font-size:.875rem}
details dl{margin:.5rem 0 0}
summary{cursor:pointer;min-height:1.75rem}
@media (max-width:26rem){body{padding:.5rem}main{padding:1rem 1.25rem}header{margin:0 0 .5rem}h1{margin:.5rem 0 .75rem;font-size:1.25rem}dl{margin:0 0 1rem}dl div{grid-template-columns:1fr;padding:.375rem 0}.cancel{flex:1 1 100%}}
`
const STYLE_HASH = hash('sha256', STYLE, 'base64')
