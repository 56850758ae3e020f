import { reserve } from './placement.ts'
import { HIDDEN, STYLE, sheet } from './styles.ts'
import type { BannerLabels } from './texts.ts'
import type { BannerActor } from './types.ts'
import { nameOf, secureUrl, webUrl } from './values.ts'

/** The elements of the banner, and their texts. */

/** What the banner shows. */
export interface Contents {
  actor: BannerActor
  user: string | null
  reason: string | null
  reasonCategory: string | null
  /** The support ticket: an address, which becomes a link, or any other text. */
  ticket: string | null
  leaveUrl: string | null
  words: BannerLabels
  language: string
}

/** The state of the button: ready, leaving, or ready again after leaving failed. */
export type LeaveState = 'ready' | 'leaving' | 'failed'

/** The elements in the shadow tree of the banner. */
export class View {
  readonly #parts: ReturnType<typeof build>
  /** The texts that are shown. */
  #contents: Contents | undefined
  #ticket = ''

  constructor(root: ShadowRoot) {
    this.#parts = build(root)
  }

  get bar(): HTMLElement {
    return this.#parts.bar
  }

  get form(): HTMLFormElement {
    return this.#parts.form
  }

  get leave(): HTMLButtonElement {
    return this.#parts.leave
  }

  get more(): HTMLButtonElement {
    return this.#parts.more
  }

  hide(): void {
    const { root, status } = this.#parts
    root.adoptedStyleSheets = [sheet(HIDDEN)]
    status.textContent = ''
    reserve(0)
  }

  show(contents: Contents, leave: LeaveState): void {
    this.#contents = contents
    const { root, bar, kind, what, why, form, status } = this.#parts
    const { actor, user, words, language } = contents
    const reason = [contents.reasonCategory, contents.reason].filter(Boolean).join(': ')
    const values = { actor: nameOf(actor) || words.someone, user: user || words.anotherUser, reason }
    const agent = actor['type'] === 'agent'
    root.adoptedStyleSheets = [sheet(STYLE)]
    bar.dataset['kind'] = agent ? 'agent' : 'person'
    bar.ariaLabel = words.region
    bar.lang = language
    status.lang = language
    kind.textContent = agent ? words.agent : ''
    fill(what, words.acting, values)
    fill(why, reason ? words.reason : '', values)
    this.#showTicket(contents)
    form.action = webUrl(contents.leaveUrl)?.href ?? ''
    this.showLeave(leave)
  }

  #showTicket({ ticket, words }: Contents): void {
    const shown = ticket ? `${words.ticket}\n${ticket}` : ''
    // A link that has the focus keeps it.
    if (shown === this.#ticket) return
    this.#ticket = shown
    const url = secureUrl(ticket)
    const target = this.#parts.ticket
    fill(target, ticket ? words.ticket : '', { ticket: url ? (ticket ?? '').replace(/^https:\/\//i, '') : ticket })
    for (const value of url ? target.querySelectorAll('bdi') : []) {
      const link = make('a', 'link')
      link.href = url?.href ?? ''
      link.target = '_blank'
      link.rel = 'noopener noreferrer'
      value.replaceWith(link)
      link.append(value)
    }
  }

  showLeave(state: LeaveState): void {
    if (!this.#contents) return
    const { leave, error } = this.#parts
    const { words, user } = this.#contents
    const [leaving, failed] = [state === 'leaving', state === 'failed']
    error.textContent = failed ? words.failed : ''
    leave.textContent = leaving ? words.leaving : failed ? words.retry : words.leave
    leave.ariaLabel = leaving || failed ? null : words.leaveName.replace('{user}', () => user || words.anotherUser)
    leave.ariaDisabled = String(leaving)
  }

  /** Shows the remaining time, in ms; NaN if it is unknown. */
  showTime(left: number): void {
    if (!this.#contents) return
    const { words, language } = this.#contents
    const time = countdown(left, language)
    fill(this.#parts.time, left <= 0 ? words.over : left > 0 ? words.left : '', { time })
  }

  /** Reserves space at the top of the page, and shows the "Show all" button if text is cut off. */
  measure(open = this.more.ariaExpanded === 'true'): void {
    if (!this.#contents) return
    const { bar, text, ticket, more } = this.#parts
    const { words } = this.#contents
    more.ariaExpanded = String(open)
    more.textContent = open ? words.less : words.more
    bar.dataset['text'] = open ? 'whole' : 'short'
    const cut = [text, ticket, ...text.querySelectorAll('bdi')].some(
      part => part.scrollHeight > part.clientHeight + 1 || part.scrollWidth > part.clientWidth + 1,
    )
    more.hidden = !open && !cut
    reserve(bar.offsetHeight)
  }

  /** Tells screen readers who acts as whom, and why. */
  announceContents(): void {
    const { kind, what, why, ticket } = this.#parts
    const texts = [kind, what, why, ticket].map(part => part.textContent)
    this.announce(texts.join(' ').trim())
  }

  announce(text: string): void {
    // Wait: screen readers announce changes only in a region that they already know.
    setTimeout(() => {
      this.#parts.status.textContent = text
    }, 100)
  }

  /** Adds hidden inputs, such as a CSRF token, to the form. */
  addFields(fields: Iterable<Element>): void {
    const { form, leave } = this.#parts
    form.replaceChildren(leave, ...[...fields].map(field => field.cloneNode()))
  }
}

function build(root: ShadowRoot) {
  root.adoptedStyleSheets = [sheet(HIDDEN)]
  const [kind, what, why] = [make('strong', 'kind'), make('span', 'what'), make('span', 'why')]
  const text = make('p', 'text', kind, ' ', what, ' ', why)
  const ticket = make('p', 'ticket')
  const more = make('button', 'more')
  more.type = 'button'
  const time = make('time', 'time')
  const error = make('p', 'error')
  error.role = 'alert'
  const leave = make('button', 'leave')
  const form = make('form', 'form', leave)
  form.method = 'post'
  form.target = '_self'
  const icon = make('span', 'icon')
  icon.ariaHidden = 'true'
  const bar = make('section', 'bar', icon, make('div', 'words', text, ticket, error), more, time, form)
  bar.role = 'region'
  const status = make('div', 'status')
  status.role = 'status'
  root.append(bar, status)
  return { root, bar, kind, what, why, text, ticket, more, time, error, form, leave, status }
}

function make<K extends keyof HTMLElementTagNameMap>(tag: K, name: string, ...children: (Node | string)[]) {
  const made = document.createElement(tag)
  made.className = name
  made.append(...children)
  return made
}

/** Fills values into a sentence, as text, each with its own writing direction. */
function fill(target: Element, sentence: string, values: Record<string, string | null>): void {
  const nodes = sentence.split(/\{(\w+)\}/).map((part, i) => {
    if (i % 2 === 0) return part
    const value = document.createElement('bdi')
    value.textContent = values[part] ?? ''
    if (value.textContent.length > 28) value.className = 'long'
    return value
  })
  target.replaceChildren(...nodes)
}

/** Browsers have `Intl.DurationFormat` since 2025 at the latest, and TypeScript's own types since ES2025. */
interface MaybeWithDurations {
  DurationFormat?: new (
    language: string,
    options: { style: 'digital'; hoursDisplay: 'auto'; minutes: '2-digit' | 'numeric' },
  ) => { format(duration: { hours: number; minutes: number; seconds: number }): string }
}

/** Formats the remaining time: 754 000 ms is `12:34`. */
function countdown(milliseconds: number, language: string): string {
  const total = Math.ceil(milliseconds / 1_000)
  const [hours, minutes, seconds] = [Math.floor(total / 3_600), Math.floor(total / 60) % 60, total % 60]
  if (!(total >= 0)) return ''
  const { DurationFormat } = Intl as MaybeWithDurations
  if (DurationFormat) {
    const format = new DurationFormat(language, {
      style: 'digital',
      hoursDisplay: 'auto',
      minutes: hours > 0 ? '2-digit' : 'numeric',
    })
    return format.format({ hours, minutes, seconds })
  }
  const two = (n: number) => String(n).padStart(2, '0')
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`
}
