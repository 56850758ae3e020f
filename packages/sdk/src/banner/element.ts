import { askStatus, isSeen, recall, remember, sleep, visit } from './browser.ts'
import { type ClerkLike, followClerk, followed } from './clerk.ts'
import { Placement } from './placement.ts'
import { type BannerLabels, LABELS } from './texts.ts'
import type { BannerActor, BannerHandlers } from './types.ts'
import { arrivedAt, camel, readActor, readTime, reflect, webUrl } from './values.ts'
import { type Contents, View } from './view.ts'

const CHECK_EVERY = 10_000
const LEAVING_TAKES_AT_MOST = 15_000
const TEXTS = ['session', 'user', 'reason', 'reason-category', 'ticket', 'leave-url', 'status-url', 'return-url']
/** Attributes that would hide the banner; they are removed. `:host` styles override the page's style sheets. */
const HIDING = ['hidden', 'inert', 'aria-hidden']
/** Distinguishes this page's messages from those of other tabs. */
const PAGE = String(Math.random())

// Servers that render and bundlers import this file too, without a browser.
const Base = (globalThis.HTMLElement ?? class {}) as typeof HTMLElement

/**
 * The banner element. Its attributes are also properties, in camelCase. Without `actor` it shows nothing, but listens for
 * messages of other tabs.
 *
 * Events: `stagedoor-leave` before leaving, `stagedoor-end` when acting has ended. Cancel an event to handle it yourself.
 * @example
 * import '@stagedoor/sdk/banner'
 *
 * const banner = document.createElement('stagedoor-banner')
 * banner.actor = { sub: 'olivia@support' }
 * banner.expiresAt = Date.now() + 15 * 60_000
 * banner.labels = { acting: '{actor} handelt als {user}.', leave: 'Beenden' }
 * banner.addEventListener('stagedoor-end', event => console.log(event.detail.reason))
 * document.body.prepend(banner)
 */
export class StagedoorBanner extends Base {
  static readonly observedAttributes = [...TEXTS, ...HIDING, 'actor', 'expires-at', 'now', 'clerk', 'lang']

  declare session: string | null
  declare user: string | null
  declare reason: string | null
  declare reasonCategory: string | null
  declare ticket: string | null
  declare leaveUrl: string | null
  declare statusUrl: string | null
  declare returnUrl: string | null

  #handlers: BannerHandlers = {}
  /** The labels that the app has set. */
  #ownLabels: Partial<BannerLabels> = {}
  #ownView: View | undefined
  readonly #placement = new Placement(this)
  /** Removes every listener when it is aborted. */
  #life: AbortController | undefined
  #channel: BroadcastChannel | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #updating = false
  #phase: 'idle' | 'acting' | 'leaving' | 'over' = 'idle'
  /** The session that the banner shows. */
  #shown = ''
  #clockOffset = 0
  #lastLeft = Number.NaN
  #checkedAt = 0
  /** Whether the banner handles the end, because no listener canceled `stagedoor-end`; undefined until it is fired. */
  #endIsOurs: boolean | undefined
  /** After another tab has changed the session: the URL to navigate to, or null or undefined to reload; otherwise false. */
  #stale: string | null | undefined | false = false
  #putBackAt: number[] = []

  get actor(): BannerActor | null {
    return readActor(this.getAttribute('actor'))
  }
  set actor(value: object | string | null) {
    reflect(this, 'actor', value !== null && typeof value === 'object' ? JSON.stringify(value) : value)
  }

  /** When the session ends: Unix milliseconds, a Date, or ISO 8601. */
  get expiresAt(): number | null {
    return readTime(this.getAttribute('expires-at'))
  }
  set expiresAt(value: number | string | Date | null) {
    reflect(this, 'expires-at', value instanceof Date ? value.getTime() : value)
  }

  /** The server's time when it rendered the page, for browsers with a wrong clock. */
  get now(): number | null {
    return readTime(this.getAttribute('now'))
  }
  set now(value: number | string | null) {
    reflect(this, 'now', value)
  }

  /** Follows `window.Clerk` as soon as it is loaded: see `followClerk`. */
  get clerk(): boolean {
    return this.hasAttribute('clerk')
  }
  set clerk(value: boolean) {
    this.toggleAttribute('clerk', Boolean(value))
  }

  /** The app's own functions to check, leave and go back. */
  get handlers(): BannerHandlers {
    return this.#handlers
  }
  set handlers(value: BannerHandlers | null) {
    this.#handlers = value ?? {}
  }

  /** The app's own texts. All others are in the language of `lang`, else of the browser, else in English. */
  get labels(): BannerLabels {
    return this.#words
  }
  set labels(value: Partial<BannerLabels>) {
    this.#ownLabels = { ...value }
    this.#updateSoon()
  }

  get #words(): BannerLabels {
    return { ...LABELS[this.#language], ...this.#ownLabels }
  }

  /** The language for the operator. It does not follow the page, which may be in the customer's language. */
  get #language(): keyof typeof LABELS {
    const wanted = [this.lang, ...navigator.languages].map(tag => tag.toLowerCase().split('-')[0])
    return (wanted.find(language => language && Object.hasOwn(LABELS, language)) ?? 'en') as keyof typeof LABELS
  }

  /** Stops acting, like the button. */
  leave(): void {
    this.#ownView?.form.requestSubmit()
  }

  /** Checks now whether the session is still active. */
  async check(): Promise<void> {
    this.#checkedAt = Date.now()
    const shown = this.#shown
    const active = await (this.handlers.check?.() ?? askStatus(this.statusUrl)).catch(() => undefined)
    if (active === false && shown === this.#shown) this.end()
  }

  /** Handles the end of acting: notifies other tabs, and navigates back to the operator's page. */
  end(reason: 'expired' | 'ended' = 'ended'): void {
    if (this.#phase !== 'acting') return
    this.#phase = 'over'
    this.#tellTabs('end')
    if (!this.#tellEnd(reason)) return
    if (this.handlers.back) this.handlers.back()
    else visit(this.returnUrl)
  }

  connectedCallback(): void {
    this.#start()
    // If the app has added a new banner, that one counts, so remove the others that put themselves back.
    for (const other of others(this)) if (#placement in other && other.#placement.isHomeless) other.#retire()
    this.#updateSoon()
  }

  disconnectedCallback(): void {
    // Moving an element also removes it, so check again after the current script.
    queueMicrotask(() => {
      if (this.isConnected) return
      if (this.#phase === 'idle' || this.#phase === 'over') {
        this.#retire()
        return
      }
      const now = Date.now()
      this.#putBackAt = [...this.#putBackAt.filter(time => now - time < 10_000), now]
      // If a script removes it repeatedly, put it back only once a second, so that the page stays usable.
      if (this.#putBackAt.length <= 3) this.#putBack()
      else setTimeout(() => this.#putBack(), 1_000)
    })
  }

  attributeChangedCallback(name: string, _before: string | null, value: string | null): void {
    if (HIDING.includes(name)) {
      if (value !== null && this.#phase !== 'idle') this.removeAttribute(name)
      return
    }
    if (name === 'now' && this.now !== null) this.#clockOffset = this.now - arrivedAt()
    if (name === 'clerk') void this.#bindClerk()
    this.#updateSoon()
  }

  #start(): void {
    if (this.#life) return
    // Properties that were set before the element was defined hide the accessors of the class.
    for (const name of [...TEXTS.map(camel), 'actor', 'expiresAt', 'now', 'clerk', 'handlers', 'labels']) {
      const own = Object.getOwnPropertyDescriptor(this, name)
      if (own && Reflect.deleteProperty(this, name)) Reflect.set(this, name, own.value)
    }
    this.#ownView ??= new View(this.attachShadow({ mode: 'open' }))
    const { bar, form, more } = this.#ownView
    this.#life = new AbortController()
    const { signal } = this.#life
    const on = (target: EventTarget, types: string, listener: (event: Event) => void) => {
      for (const type of types.split(' ')) target.addEventListener(type, listener, { signal, capture: true })
    }
    on(form, 'submit', event => this.#submit(event))
    on(more, 'click', () => this.#view.measure(more.ariaExpanded !== 'true'))
    on(window, 'focus online', event => this.#wake(event))
    on(document, 'visibilitychange', event => this.#wake(event))
    on(document, 'toggle fullscreenchange', () => this.#keepInSight())
    on(window, 'beforeprint afterprint', ({ type }) => this.#print(type === 'beforeprint'))
    // At this time the form has been answered, so other tabs that check now find the operator's session.
    on(window, 'pagehide', () => this.#phase === 'leaving' && this.#tellTabs('leave'))
    on(window, 'pageshow', event => this.#phase === 'leaving' && (event as PageTransitionEvent).persisted && visit())
    const opened = new MutationObserver(() => this.#keepInSight())
    opened.observe(document, { subtree: true, attributeFilter: ['open', 'inert', 'aria-hidden'] })
    const resized = new ResizeObserver(() => this.#phase !== 'idle' && this.#view.measure())
    resized.observe(bar)
    const channel = globalThis.BroadcastChannel && new BroadcastChannel('stagedoor')
    if (channel) on(channel, 'message', event => this.#hear((event as MessageEvent).data))
    this.#channel = channel
    signal.addEventListener('abort', () => {
      opened.disconnect()
      resized.disconnect()
      channel?.close()
    })
    void this.#bindClerk()
  }

  #retire(): void {
    this.#placement.stray = false
    this.#hide()
    followed.get(this)?.()
    this.#life?.abort()
    this.#life = undefined
    this.remove()
  }

  #putBack(): void {
    if (this.isConnected || this.#phase === 'idle') return
    if (others(this).length > 0) {
      this.#retire()
      return
    }
    this.#placement.putBack()
    void this.check()
  }

  async #bindClerk(): Promise<void> {
    if (!this.clerk) followed.get(this)?.()
    while (this.clerk && this.#life && !followed.has(this)) {
      const { Clerk } = globalThis as { Clerk?: ClerkLike }
      if (Clerk?.loaded) followClerk(this, Clerk)
      else await sleep(100)
    }
  }

  // ── contents ──

  #updateSoon(): void {
    if (this.#updating) return
    this.#updating = true
    queueMicrotask(() => {
      this.#updating = false
      if (this.isConnected && this.#life) this.#update()
    })
  }

  #update(): void {
    const { actor } = this
    if (!actor) {
      this.#hide()
      return
    }
    const shown = this.session || this.getAttribute('actor') || ''
    const begins = this.#phase === 'idle' || shown !== this.#shown
    if (begins) {
      this.#shown = shown
      this.#phase = 'acting'
      this.#endIsOurs = undefined
      this.#lastLeft = Number.NaN
      this.#checkedAt = Date.now()
    }
    for (const name of HIDING) this.removeAttribute(name)
    this.#view.show(this.#contents(actor), this.#phase === 'leaving' ? 'leaving' : 'ready')
    this.#keepInSight()
    this.#view.measure()
    if (begins) this.#begin()
    this.#tick()
  }

  #hide(): void {
    if (!this.#ownView || this.#phase === 'idle') return
    clearTimeout(this.#timer)
    this.#phase = 'idle'
    this.popover = null
    this.#ownView.hide()
  }

  #contents(actor: BannerActor): Contents {
    const { user, reason, reasonCategory, ticket, leaveUrl } = this
    return { actor, user, reason, reasonCategory, ticket, leaveUrl, words: this.#words, language: this.#language }
  }

  get #view(): View {
    return this.#ownView as View
  }

  // ── time ──

  #begin(): void {
    this.#view.announceContents()
    // Notify once per session, not per page; otherwise tabs with different sessions would reload each other endlessly.
    const told = recall('stagedoor:announced')?.split(' ') ?? []
    if (!this.session || told.includes(this.session)) return
    remember('stagedoor:announced', [...told.slice(-50), this.session].join(' '))
    this.#tellTabs('start')
  }

  #tick(): void {
    clearTimeout(this.#timer)
    const left = this.expiresAt === null ? Number.NaN : this.expiresAt - Date.now() - this.#clockOffset
    this.#view.showTime(left)
    this.#announceTime(left)
    this.#keepInSight()
    if (left <= 0 && this.#endIsOurs === undefined) this.#expire()
    else if (isSeen() && Date.now() - this.#checkedAt >= CHECK_EVERY) void this.check()
    this.#timer = setTimeout(() => this.#tick(), left > 0 ? left % 1_000 || 1_000 : 1_000)
  }

  #expire(): void {
    if (this.#phase !== 'acting') return
    if (!this.#tellEnd('expired')) this.#phase = 'over'
    else if (this.handlers.check || this.statusUrl) void this.check()
    else this.end('expired')
  }

  #announceTime(left: number): void {
    const before = this.#lastLeft
    this.#lastLeft = left
    const passed = (mark: number) => before > mark && left <= mark
    if (passed(0)) this.#view.announce(this.#words.over)
    else if (passed(60_000)) this.#view.announce(this.#words.oneMinute)
    else if (passed(300_000)) this.#view.announce(this.#words.fiveMinutes)
  }

  // ── leaving and end ──

  #submit(event: Event): void {
    if (this.#phase === 'leaving') {
      event.preventDefault()
      return
    }
    this.#phase = 'leaving'
    this.#view.showLeave('leaving')
    const shown = this.#shown
    const failed = () => {
      if (this.#phase !== 'leaving' || shown !== this.#shown) return
      this.#phase = 'acting'
      this.#view.showLeave('failed')
    }
    setTimeout(failed, LEAVING_TAKES_AT_MOST)
    const isOurs = this.#fire('stagedoor-leave', { session: this.session })
    if (isOurs && !this.handlers.leave && webUrl(this.leaveUrl)) {
      this.#view.addFields(this.querySelectorAll('input[type=hidden]'))
      return
    }
    event.preventDefault()
    if (!isOurs) return
    const leaving = this.handlers.leave?.() ?? Promise.reject(new Error('There is no leave-url.'))
    leaving.then(() => this.#tellTabs('leave'), failed)
  }

  /** Fires `stagedoor-end` once. @returns whether the banner handles the end */
  #tellEnd(reason: string): boolean {
    this.#endIsOurs ??= this.#fire('stagedoor-end', { session: this.session, reason })
    return this.#endIsOurs
  }

  #fire(type: string, detail: object): boolean {
    return this.dispatchEvent(new CustomEvent(type, { bubbles: true, composed: true, cancelable: true, detail }))
  }

  // ── other tabs ──

  #tellTabs(type: 'start' | 'leave' | 'end'): void {
    if (this.session) this.#channel?.postMessage({ type, session: this.session, page: PAGE })
  }

  #hear(data: { type: string; session: string; page: string } | null): void {
    const { type, session, page } = data ?? {}
    if (!type || !session || page === PAGE) return
    // This page is already navigating, perhaps to another page.
    if (this.#phase === 'leaving' || this.#phase === 'over') return
    const mine = this.#phase === 'idle' ? null : this.session
    if ((type === 'start') === (session === mine)) return
    if (mine) this.#phase = 'over'
    // The operator is back in their own session, so go to the return page if acting ended.
    this.#stale = mine && type !== 'start' ? this.returnUrl : undefined
    this.#wake()
  }

  #wake(event?: Event): void {
    if (!isSeen()) return
    if (this.#stale !== false) {
      // Stop clerk-js from reporting this page's session as in use, instead of the session of the other tabs.
      event?.stopImmediatePropagation()
      visit(this.#stale)
    } else if (this.#phase !== 'idle' && Date.now() - this.#checkedAt > 1_000) void this.check()
  }

  // ── visibility ──

  #keepInSight(): void {
    if (this.#phase !== 'idle') this.#placement.keepInSight(this.#view.leave)
  }

  #print(printing: boolean): void {
    this.#placement.print(printing)
    if (!printing) this.#keepInSight()
  }
}

for (const name of TEXTS) {
  Object.defineProperty(StagedoorBanner.prototype, camel(name), {
    get(this: Element) {
      return this.getAttribute(name)
    },
    set(this: Element, value: string | null) {
      reflect(this, name, value)
    },
  })
}

declare global {
  interface HTMLElementTagNameMap {
    'stagedoor-banner': StagedoorBanner
  }
  interface HTMLElementEventMap {
    'stagedoor-leave': CustomEvent<{ session: string | null }>
    'stagedoor-end': CustomEvent<{ session: string | null; reason: 'expired' | 'ended' }>
  }
}

function others(banner: StagedoorBanner): StagedoorBanner[] {
  return [...document.querySelectorAll('stagedoor-banner')].filter(each => each !== banner)
}
