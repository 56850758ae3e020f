/**
 * `<stagedoor-banner>`: who is acting as whom, why, for how long, and a way out. A plain custom element in one file that
 * imports nothing, so that any page can load it as it is.
 *
 *     <script type="module" src="/banner.js"></script>
 *     <stagedoor-banner session="sess_…" actor='{"sub":"olivia@support"}' user="carl@example.com" reason="Ticket 1234"
 *       expires-at="2026-01-01T12:30:00Z" leave-url="/stop-acting" status-url="/acting"></stagedoor-banner>
 */

/** The actor payload. Shown by its `name`, else `email`, else `sub`; `type: 'agent'` is an AI agent. */
export interface BannerActor {
  sub?: string
  [member: string]: unknown
}

/** What takes the place of `status-url`, of `leave-url`, and of the reload at the end. */
export interface BannerHandlers {
  /** Does acting still go on? `undefined`: it could not be found out. */
  check?(): Promise<boolean | undefined>
  /** Ends acting and goes on from there. A rejection is shown, and can be tried again. */
  leave?(): Promise<unknown>
  /** Acting is over: brings the page back to the operator. */
  back?(): unknown
}

const english = {
  region: 'Acting as another user',
  acting: '{actor} is acting as {user}.',
  reason: 'Reason: {reason}',
  agent: 'AI agent',
  someone: 'Someone',
  anotherUser: 'another user',
  left: '{time} left',
  fiveMinutes: '5 minutes left.',
  oneMinute: '1 minute left.',
  over: 'Time is up.',
  leave: 'Leave',
  leaveName: 'Leave: stop acting as {user}',
  leaving: 'Leaving…',
  failed: 'Leaving did not work. You are still acting.',
  retry: 'Try again',
  more: 'Show all',
  less: 'Show less',
}
/** The words of the banner; `{actor}`, `{user}`, `{reason}` and `{time}` stand for what is shown there. */
export type BannerLabels = typeof english

const CHECK_EVERY = 10_000
const LEAVING_TAKES_AT_MOST = 15_000
const TEXTS = ['session', 'user', 'reason', 'leave-url', 'status-url', 'return-url']
/** Attributes that would take it from people unseen. What style sheets can do, `:host` undoes. */
const HIDING = ['hidden', 'inert', 'aria-hidden']
/** Tells this page's messages from those of other tabs. */
const PAGE = String(Math.random())

// Also imported where there is no browser: by servers that render, and by bundlers.
const Base = (globalThis.HTMLElement ?? class {}) as typeof HTMLElement

/**
 * The element. Its attributes are properties too, in camelCase. Without `actor` it shows nothing, and listens.
 *
 * Events, cancelable by who wants to take over: `stagedoor-leave` before leaving, `stagedoor-end` when acting is over.
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
  static readonly observedAttributes = [...TEXTS, ...HIDING, 'actor', 'expires-at', 'now', 'clerk']

  declare session: string | null
  declare user: string | null
  declare reason: string | null
  declare leaveUrl: string | null
  declare statusUrl: string | null
  declare returnUrl: string | null

  #handlers: BannerHandlers = {}
  #words = english
  #parts: Parts | undefined
  /** Ends every listener. */
  #life: AbortController | undefined
  #channel: BroadcastChannel | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #updating = false
  #phase: 'idle' | 'acting' | 'leaving' | 'over' = 'idle'
  /** The session that is shown. */
  #shown = ''
  #clockOffset = 0
  #lastLeft = Number.NaN
  #checkedAt = 0
  /** Whether the rest was left to us by who heard `stagedoor-end`; undefined until it is fired. */
  #endIsOurs: boolean | undefined
  /** Another tab changed who is acting: where to go, null or undefined to stay and reload; false if none did. */
  #stale: string | null | undefined | false = false
  #printing = false
  /** Not where the app put it, because a script took it from there. */
  #stray = false
  #putBackAt: number[] = []
  #raisedAt = 0
  /** Where it belongs while it is a guest in a modal dialog. */
  #home: { parent: Node; next: Node | null } | undefined

  get actor(): BannerActor | null {
    return readActor(this.getAttribute('actor'))
  }
  set actor(value: object | string | null) {
    reflect(this, 'actor', value !== null && typeof value === 'object' ? JSON.stringify(value) : value)
  }

  /** Unix milliseconds; a Date or ISO 8601 will do, too. */
  get expiresAt(): number | null {
    return readTime(this.getAttribute('expires-at'))
  }
  set expiresAt(value: number | string | Date | null) {
    reflect(this, 'expires-at', value instanceof Date ? value.getTime() : value)
  }

  /** The server's time when it made the page, for browsers whose clock is wrong. */
  get now(): number | null {
    return readTime(this.getAttribute('now'))
  }
  set now(value: number | string | null) {
    reflect(this, 'now', value)
  }

  /** Follows `window.Clerk` as soon as that is loaded: see `followClerk`. */
  get clerk(): boolean {
    return this.hasAttribute('clerk')
  }
  set clerk(value: boolean) {
    this.toggleAttribute('clerk', Boolean(value))
  }

  /** How the app checks, leaves and goes back, where it does so itself. */
  get handlers(): BannerHandlers {
    return this.#handlers
  }
  set handlers(value: BannerHandlers | null) {
    this.#handlers = value ?? {}
  }

  /** Other words, or some of them. */
  get labels(): BannerLabels {
    return this.#words
  }
  set labels(value: Partial<BannerLabels>) {
    this.#words = { ...english, ...value }
    this.#updateSoon()
  }

  /** Leaves, as the button does. */
  leave(): void {
    this.#parts?.form.requestSubmit()
  }

  /** Asks now whether acting still goes on. */
  async check(): Promise<void> {
    this.#checkedAt = Date.now()
    const shown = this.#shown
    const active = await (this.handlers.check?.() ?? askStatus(this.statusUrl)).catch(() => undefined)
    if (active === false && shown === this.#shown) this.end()
  }

  /** Says that acting is over: the other tabs hear of it, and the page goes back to the operator. */
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
    // The app has put up its own again: what it says now counts.
    for (const other of others(this))
      if (#stray in other && (other.#stray || other.#home?.parent.isConnected === false)) other.#retire()
    this.#updateSoon()
  }

  disconnectedCallback(): void {
    // To move is to remove, too: look again when whoever does it is done.
    queueMicrotask(() => {
      if (this.isConnected) return
      if (this.#phase === 'idle' || this.#phase === 'over') {
        this.#retire()
        return
      }
      const now = Date.now()
      this.#putBackAt = [...this.#putBackAt.filter(time => now - time < 10_000), now]
      // Who takes it away again and again gets it back once a second, so that the page stays usable.
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
    if (name === 'clerk') this.#bindClerk()
    this.#updateSoon()
  }

  #start(): void {
    if (this.#life) return
    // What was set before the element was defined lies over the class.
    for (const name of [...TEXTS.map(camel), 'actor', 'expiresAt', 'now', 'clerk', 'handlers', 'labels']) {
      const own = Object.getOwnPropertyDescriptor(this, name)
      if (own && Reflect.deleteProperty(this, name)) Reflect.set(this, name, own.value)
    }
    this.#parts ??= build(this.attachShadow({ mode: 'open' }))
    const { bar, form, more } = this.#parts
    this.#life = new AbortController()
    const { signal } = this.#life
    const on = (target: EventTarget, types: string, listener: (event: Event) => void) => {
      for (const type of types.split(' ')) target.addEventListener(type, listener, { signal, capture: true })
    }
    on(form, 'submit', event => this.#submit(event))
    on(more, 'click', () => this.#measure(more.ariaExpanded !== 'true'))
    on(window, 'focus online', event => this.#wake(event))
    on(document, 'visibilitychange', event => this.#wake(event))
    on(document, 'toggle fullscreenchange', () => this.#keepInSight())
    on(window, 'beforeprint afterprint', ({ type }) => this.#print(type === 'beforeprint'))
    // The answer to the form is here, and not before: tabs that look again now find the operator's session.
    on(window, 'pagehide', () => this.#phase === 'leaving' && this.#tellTabs('leave'))
    on(window, 'pageshow', event => this.#phase === 'leaving' && (event as PageTransitionEvent).persisted && visit())
    const opened = new MutationObserver(() => this.#keepInSight())
    opened.observe(document, { subtree: true, attributeFilter: ['open', 'inert', 'aria-hidden'] })
    const resized = new ResizeObserver(() => this.#measure())
    resized.observe(bar)
    const channel = globalThis.BroadcastChannel && new BroadcastChannel('stagedoor')
    if (channel) on(channel, 'message', event => this.#hear((event as MessageEvent).data))
    this.#channel = channel
    signal.addEventListener('abort', () => {
      opened.disconnect()
      resized.disconnect()
      channel?.close()
    })
    this.#bindClerk()
  }

  #retire(): void {
    this.#stray = false
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
    this.#stray = true
    document.documentElement.insertBefore(this, document.body)
    this.check()
  }

  async #bindClerk(): Promise<void> {
    if (!this.clerk) followed.get(this)?.()
    while (this.clerk && this.#life && !followed.has(this)) {
      const { Clerk } = globalThis as { Clerk?: ClerkLike }
      if (Clerk?.loaded) followClerk(this, Clerk)
      else await sleep(100)
    }
  }

  // ── what it shows ──

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
    this.#write(actor)
    this.#keepInSight()
    this.#measure()
    if (begins) this.#begin()
    this.#tick()
  }

  #hide(): void {
    if (!this.#parts || this.#phase === 'idle') return
    clearTimeout(this.#timer)
    this.#phase = 'idle'
    this.popover = null
    this.#parts.root.adoptedStyleSheets = [sheet(HIDDEN)]
    this.#parts.status.textContent = ''
    reserve(0)
  }

  #write(actor: BannerActor): void {
    const { root, bar, kind, what, why, form } = this.#view
    const words = this.#words
    const values = { actor: nameOf(actor) || words.someone, user: this.user || words.anotherUser, reason: this.reason }
    const agent = actor['type'] === 'agent'
    root.adoptedStyleSheets = [sheet(STYLE)]
    bar.dataset['kind'] = agent ? 'agent' : 'person'
    bar.ariaLabel = words.region
    kind.textContent = agent ? words.agent : ''
    fill(what, words.acting, values)
    fill(why, this.reason ? words.reason : '', values)
    form.action = webUrl(this.leaveUrl)?.href ?? ''
    this.#writeLeave()
  }

  #writeLeave(failed = false): void {
    const { leave, error } = this.#view
    const words = this.#words
    const leaving = this.#phase === 'leaving'
    error.textContent = failed ? words.failed : ''
    leave.textContent = leaving ? words.leaving : failed ? words.retry : words.leave
    leave.ariaLabel = leaving || failed ? null : words.leaveName.replace('{user}', () => this.user || words.anotherUser)
    leave.ariaDisabled = String(leaving)
  }

  /** Keeps the page clear of it, and offers the whole text where some of it is cut off. */
  #measure(open = this.#view.more.ariaExpanded === 'true'): void {
    if (this.#phase === 'idle') return
    const { bar, text, more } = this.#view
    more.ariaExpanded = String(open)
    more.textContent = open ? this.#words.less : this.#words.more
    bar.dataset['text'] = open ? 'whole' : 'short'
    const cut = [text, ...text.querySelectorAll('bdi')].some(
      part => part.scrollHeight > part.clientHeight + 1 || part.scrollWidth > part.clientWidth + 1,
    )
    more.hidden = !open && !cut
    reserve(bar.offsetHeight)
  }

  get #view(): Parts {
    return this.#parts as Parts
  }

  // ── time ──

  #begin(): void {
    const { kind, what, why } = this.#view
    this.#announce(
      [kind, what, why]
        .map(part => part.textContent)
        .join(' ')
        .trim(),
    )
    // Once a session, not once a page: tabs that show different things would send each other on for ever.
    const told = recall('stagedoor:announced')?.split(' ') ?? []
    if (!this.session || told.includes(this.session)) return
    remember('stagedoor:announced', [...told.slice(-50), this.session].join(' '))
    this.#tellTabs('start')
  }

  #tick(): void {
    clearTimeout(this.#timer)
    const left = this.expiresAt === null ? Number.NaN : this.expiresAt - Date.now() - this.#clockOffset
    fill(this.#view.time, left <= 0 ? this.#words.over : left > 0 ? this.#words.left : '', { time: countdown(left) })
    this.#announceTime(left)
    this.#keepInSight()
    if (left <= 0 && this.#endIsOurs === undefined) this.#expire()
    else if (isSeen() && Date.now() - this.#checkedAt >= CHECK_EVERY) this.check()
    this.#timer = setTimeout(() => this.#tick(), left > 0 ? left % 1_000 || 1_000 : 1_000)
  }

  #expire(): void {
    if (this.#phase !== 'acting') return
    if (!this.#tellEnd('expired')) this.#phase = 'over'
    else if (this.handlers.check || this.statusUrl) this.check()
    else this.end('expired')
  }

  #announceTime(left: number): void {
    const before = this.#lastLeft
    this.#lastLeft = left
    const passed = (mark: number) => before > mark && left <= mark
    if (passed(0)) this.#announce(this.#words.over)
    else if (passed(60_000)) this.#announce(this.#words.oneMinute)
    else if (passed(300_000)) this.#announce(this.#words.fiveMinutes)
  }

  #announce(text: string): void {
    // Later: screen readers tell what changes in a region they have seen before.
    setTimeout(() => {
      this.#view.status.textContent = text
    }, 100)
  }

  // ── leaving, and the end ──

  #submit(event: Event): void {
    if (this.#phase === 'leaving') {
      event.preventDefault()
      return
    }
    this.#phase = 'leaving'
    this.#writeLeave()
    const shown = this.#shown
    const failed = () => {
      if (this.#phase !== 'leaving' || shown !== this.#shown) return
      this.#phase = 'acting'
      this.#writeLeave(true)
    }
    setTimeout(failed, LEAVING_TAKES_AT_MOST)
    const isOurs = this.#fire('stagedoor-leave', { session: this.session })
    if (isOurs && !this.handlers.leave && webUrl(this.leaveUrl)) {
      this.#addFields()
      return
    }
    event.preventDefault()
    if (!isOurs) return
    const leaving = this.handlers.leave?.() ?? Promise.reject(new Error('There is no leave-url.'))
    leaving.then(() => this.#tellTabs('leave'), failed)
  }

  /** Hidden inputs inside the banner, such as a CSRF token, go along with the form. */
  #addFields(): void {
    const { form, leave } = this.#view
    form.replaceChildren(leave, ...[...this.querySelectorAll('input[type=hidden]')].map(field => field.cloneNode()))
  }

  /** @returns whether the rest is ours to do */
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
    // On its way already, and perhaps to another page.
    if (this.#phase === 'leaving' || this.#phase === 'over') return
    const mine = this.#phase === 'idle' ? null : this.session
    if ((type === 'start') === (session === mine)) return
    if (mine) this.#phase = 'over'
    // Whoever acted here is back in their own session: on the page that says so, if this is not it.
    this.#stale = mine && type !== 'start' ? this.returnUrl : undefined
    this.#wake()
  }

  #wake(event?: Event): void {
    if (!isSeen()) return
    if (this.#stale !== false) {
      // clerk-js would tell the server that the session of this page, not the one of the other tabs, is in use.
      event?.stopImmediatePropagation()
      visit(this.#stale)
    } else if (this.#phase !== 'idle' && Date.now() - this.#checkedAt > 1_000) this.check()
  }

  // ── in sight, and within reach ──

  #keepInSight(): void {
    if (this.#phase === 'idle' || !this.isConnected || this.#printing) return
    if (this.#home && !this.closest('dialog')?.matches(':modal')) this.#goHome()
    const page = document.documentElement
    const isOutOfReach = this.getClientRects().length === 0 || this.closest('[inert], [aria-hidden=true]')
    if (isOutOfReach && this.parentNode !== page) {
      // What it stands in is not displayed, or not to be used.
      this.#stray = true
      page.insertBefore(this, document.body)
    }
    if (page.getClientRects().length === 0) reserve(1, true)
    this.#raise()
    const { x, y, within } = this.#reach()
    if (within) return
    const dialog = modalAt(x, y)
    if (dialog && !dialog.contains(this)) {
      // A modal dialog makes everything outside it inert, however high that lies.
      this.#home ??= { parent: this.parentNode as Node, next: this.nextSibling }
      this.#move(dialog, null)
    } else if (Date.now() - this.#raisedAt > 500) {
      this.#raisedAt = Date.now()
      this.#raise(true)
    }
  }

  /** Would a press on the middle of the button get there? */
  #reach(): { x: number; y: number; within: boolean } {
    const box = this.#view.leave.getBoundingClientRect()
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2]
    const outside = x < 0 || y < 0 || x >= innerWidth || y >= innerHeight
    return { x, y, within: outside || (this.getRootNode() as Document).elementFromPoint(x, y) === this }
  }

  #goHome(): void {
    const { parent, next } = this.#home ?? {}
    this.#home = undefined
    this.#stray ||= !parent?.isConnected
    if (!parent?.isConnected) this.#move(document.documentElement, document.body)
    else this.#move(parent, next?.parentNode === parent ? next : null)
  }

  #move(parent: Node, before: Node | null): void {
    parent.insertBefore(this, before)
    this.#raise()
  }

  /** Into the top layer: above everything that is not in it, or, `again`, above all that is. */
  #raise(again = false): void {
    if (!this.showPopover) return
    try {
      if (this.popover !== 'manual') this.popover = 'manual'
      const isOpen = this.matches(':popover-open')
      if (isOpen && again) this.hidePopover()
      if (!isOpen || again) this.showPopover()
    } catch {
      // The document is busy opening something else; in a second we try again.
    }
  }

  /** On paper it stands once, where it is in the document. */
  #print(printing: boolean): void {
    this.#printing = printing
    if (this.#phase === 'idle') return
    if (printing && this.popover) this.hidePopover()
    else this.#keepInSight()
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

// ── Clerk ──

/** What is used of clerk-js, so that any version of it and any wrapper will do. */
export interface ClerkLike {
  loaded?: boolean
  proxyUrl?: string | undefined
  frontendApi: string
  session?: ClerkSession | null | undefined
  client?: { sessions: ClerkSession[] } | undefined
  addListener(listener: (state: { session?: ClerkSession | null | undefined }) => void): () => void
  signOut(options: { sessionId: string; redirectUrl: string }): Promise<unknown>
  setActive(options: { session: string }): Promise<unknown>
}

export interface ClerkSession {
  id: string
  status: string
  actor: object | null
  expireAt: Date
  user?: ClerkUser | null
}

export interface ClerkUser {
  id: string
  fullName: string | null
  username: string | null
  primaryEmailAddress: { emailAddress: string } | null
}

const followed = new WeakMap<StagedoorBanner, () => void>()

/**
 * Fills the banner from clerk-js, and lets it end the acting session and give the operator's own back.
 *
 * The operator goes on at the banner's `return-url`, else the session's, else the page they came from, else `/`.
 * @param banner the element; `reason`, `return-url` and `handlers` that the app has set itself stay
 * @param clerk clerk-js, loaded: `window.Clerk`, or what `useClerk()` returns
 * @returns stops following
 * @example
 * import { type ClerkLike, followClerk, type StagedoorBanner } from '@stagedoor/sdk/banner'
 *
 * export const bind = (banner: StagedoorBanner, clerk: ClerkLike) => followClerk(banner, clerk)
 */
export function followClerk(banner: StagedoorBanner, clerk: ClerkLike): () => void {
  followed.get(banner)?.()
  const { reason: givenReason, handlers: givenHandlers } = banner
  let acting: ClerkSession | undefined
  let returnUrl: unknown
  let goingBack = false

  const show = ({ session }: { session?: ClerkSession | null | undefined }) => {
    // Undefined: clerk-js is between two sessions.
    if (session === undefined || goingBack) return
    if (session?.actor) {
      const begins = session.id !== acting?.id
      acting = session
      banner.session = session.id
      banner.actor = session.actor
      banner.user = userText(session.user)
      banner.expiresAt = session.expireAt
      if (!begins) return
      const { reason } = session.actor as { reason?: unknown }
      banner.reason = givenReason ?? (typeof reason === 'string' ? reason : null)
      returnUrl = undefined
      banner.check()
    } else if (acting && session === null) {
      // It expired or was revoked, and clerk-js found out first.
      banner.end()
    } else {
      acting = undefined
      banner.actor = null
      noteWhereFrom()
    }
  }

  const check = async () => {
    const id = acting?.id
    const answer = id && (await ask(`${frontendApi(clerk)}/v1/client/sessions/${id}`, 'include'))
    if (!answer) return answer === false ? false : undefined
    if (id !== acting?.id) return undefined
    const session = answer['response'] as Record<string, unknown>
    if (givenReason === null && typeof session['reason'] === 'string') banner.reason = session['reason']
    returnUrl = session['return_url']
    return session['status'] === 'active'
  }

  const leave = async () => {
    const url = destination()
    const unloading = new AbortController()
    addEventListener('beforeunload', () => unloading.abort(), { once: true })
    goingBack = true
    try {
      await clerk.signOut({ sessionId: acting?.id ?? '', redirectUrl: url })
    } catch (cause) {
      goingBack = false
      throw cause
    }
    await sleep(50)
    // Still here: after a failed try, or with a router that changes pages without loading them.
    if (!unloading.signal.aborted) await back(url)
  }

  /** The page that is loaded next finds the operator's session by itself; selecting it tells the app's server, too. */
  const back = async (url = destination()) => {
    goingBack = true
    const own = clerk.client?.sessions.find(({ id, status }) => status === 'active' && id !== acting?.id)
    // More than once if need be: clerk-js may be about to sign out, having found out that the acting session is over.
    for (let tries = 0; own && clerk.session?.id !== own.id && tries < 5; tries += 1) {
      await clerk.setActive({ session: own.id }).catch(() => undefined)
      await sleep(50)
    }
    visit(url)
  }

  const destination = () => {
    const from = webUrl(recall('stagedoor:from'))
    const own = from?.origin === location.origin ? from : undefined
    return (webUrl(banner.returnUrl) ?? webUrl(returnUrl) ?? own ?? new URL('/', location.href)).href
  }

  const noteWhereFrom = () => {
    const isOwn = clerk.session && !clerk.session.actor && !goingBack
    // Not the page that redeems a ticket.
    if (isOwn && !/[?&]__clerk_/.test(location.search)) remember('stagedoor:from', location.href)
  }

  banner.handlers = { check, leave, back, ...givenHandlers }
  const unlisten = clerk.addListener(show)
  addEventListener('pagehide', noteWhereFrom)
  addEventListener('visibilitychange', noteWhereFrom, true)
  const stop = () => {
    unlisten()
    removeEventListener('pagehide', noteWhereFrom)
    removeEventListener('visibilitychange', noteWhereFrom, true)
    banner.handlers = givenHandlers
    followed.delete(banner)
  }
  followed.set(banner, stop)
  return stop
}

function frontendApi({ proxyUrl, frontendApi }: ClerkLike): string {
  return proxyUrl ? new URL(proxyUrl, location.href).href.replace(/\/$/, '') : `https://${frontendApi}`
}

function userText(user: ClerkUser | null | undefined): string | null {
  return user?.primaryEmailAddress?.emailAddress || user?.fullName || user?.username || user?.id || null
}

// ── what the app gives ──

function camel(name: string): string {
  return name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())
}

function reflect(element: Element, name: string, value: unknown): void {
  if (value === null || value === undefined) element.removeAttribute(name)
  else element.setAttribute(name, String(value))
}

/** What cannot be read is shown as it stands: somebody is acting. */
function readActor(text: string | null): BannerActor | null {
  if (!text?.trim()) return null
  try {
    const value = JSON.parse(text)
    return typeof value === 'object' ? value : { sub: String(value) }
  } catch {
    return { sub: text }
  }
}

function nameOf({ name, email, sub }: BannerActor & { name?: unknown; email?: unknown }): string {
  return [name, email, sub].find(each => typeof each === 'string' && each.trim() !== '') as string
}

function readTime(text: string | null): number | null {
  if (!text) return null
  const time = /^\d+$/.test(text) ? Number(text) : Date.parse(text)
  return Number.isNaN(time) ? null : time
}

/** When the server's time was right: as the page came in, however late this script did. */
function arrivedAt(): number {
  const [page] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[]
  return page && document.readyState !== 'complete' ? performance.timeOrigin + page.responseStart : Date.now()
}

/** An address that a page may be sent to: never `javascript:`. */
function webUrl(text: unknown): URL | undefined {
  if (typeof text !== 'string' || text === '' || !URL.canParse(text, location.href)) return undefined
  const url = new URL(text, location.href)
  return /^https?:$/.test(url.protocol) ? url : undefined
}

// ── asking, going, remembering ──

async function askStatus(url: string | null): Promise<boolean | undefined> {
  if (url === null || webUrl(url)?.origin !== location.origin) return undefined
  const answer = await ask(url, 'same-origin')
  const active = typeof answer === 'object' ? answer['active'] : answer
  return typeof active === 'boolean' ? active : undefined
}

/** @returns the answer; `false` if it is refused; `undefined` if there is none to go by */
async function ask(url: string, credentials: RequestCredentials): Promise<Record<string, unknown> | false | undefined> {
  // Sent somewhere else: the app has taken the request for the operator's, who is to go on at another page.
  const answer = await fetch(url, {
    credentials,
    cache: 'no-store',
    redirect: 'manual',
    signal: AbortSignal.timeout(8_000),
  })
  if (answer.type === 'opaqueredirect' || [401, 403, 404].includes(answer.status)) return false
  return answer.ok ? answer.json() : undefined
}

let visitedAt = 0

/** Goes there, or loads this page anew. A tab that is sent on again and again stays where it is. */
function visit(url?: string | null): void {
  const now = Date.now()
  if (now - visitedAt < 3_000) return
  visitedAt = now
  const visits = (recall('stagedoor:visits', 'sessionStorage') ?? '')
    .split(' ')
    .filter(time => now - Number(time) < 60_000)
  if (visits.length >= 5) return
  remember('stagedoor:visits', [...visits, now].join(' '), 'sessionStorage')
  const target = webUrl(url)
  const pageOf = ({ href }: { href: string }) => href.split('#')[0]
  if (target && pageOf(target) !== pageOf(location)) location.assign(target)
  else location.reload()
}

type StorageName = 'localStorage' | 'sessionStorage'

/** Where storage is forbidden, nothing is remembered. */
function recall(key: string, storage: StorageName = 'localStorage'): string | null {
  try {
    return window[storage].getItem(key)
  } catch {
    return null
  }
}

function remember(key: string, value: string, storage: StorageName = 'localStorage'): void {
  try {
    window[storage].setItem(key, value)
  } catch {}
}

function isSeen(): boolean {
  return document.visibilityState === 'visible'
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, milliseconds))
}

// ── the page around it ──

function others(banner: StagedoorBanner): StagedoorBanner[] {
  return [...document.querySelectorAll('stagedoor-banner')].filter(each => each !== banner)
}

let reserved: CSSStyleSheet | undefined
let isPageShown = false

/** Keeps the top of the page free, so that nothing is covered, and the page shown if it must be. 0 gives it back. */
function reserve(height: number, showPage = false): void {
  const sheets = document.adoptedStyleSheets.filter(each => each !== reserved)
  document.adoptedStyleSheets = sheets
  isPageShown = height > 0 && (isPageShown || showPage)
  if (height === 0) return
  const own = Number.parseFloat(getComputedStyle(document.documentElement).paddingTop) || 0
  reserved ??= new CSSStyleSheet()
  reserved.replaceSync(`
    :root { --stagedoor-banner-height: ${height}px }
    @media not print {
      :root:root:root { padding-top: ${own + height}px !important; scroll-padding-top: ${height}px }
    }
    ${isPageShown ? ':root:root:root { display: block !important }' : ''}
  `)
  document.adoptedStyleSheets = [...sheets, reserved]
}

/** The modal dialog that takes the presses at this point, in shadow trees too. */
function modalAt(x: number, y: number): Element | null {
  let found = [...document.querySelectorAll('dialog:modal')].at(-1) ?? null
  let hit = document.elementFromPoint(x, y)
  while (hit) {
    found = hit.closest('dialog:modal') ?? found
    const inner: Element | null = hit.shadowRoot?.elementFromPoint(x, y) ?? null
    hit = inner === hit ? null : inner
  }
  return found
}

// ── its inside ──

type Parts = ReturnType<typeof build>

function build(root: ShadowRoot) {
  root.adoptedStyleSheets = [sheet(HIDDEN)]
  const [kind, what, why] = [make('strong', 'kind'), make('span', 'what'), make('span', 'why')]
  const text = make('p', 'text', kind, ' ', what, ' ', why)
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
  const bar = make('section', 'bar', icon, make('div', 'words', text, error), more, time, form)
  bar.role = 'region'
  const status = make('div', 'status')
  status.role = 'status'
  root.append(bar, status)
  return { root, bar, kind, what, why, text, more, time, error, form, leave, status }
}

function make<K extends keyof HTMLElementTagNameMap>(tag: K, name: string, ...children: (Node | string)[]) {
  const made = document.createElement(tag)
  made.className = name
  made.append(...children)
  return made
}

/** Puts values into a sentence: as text, each with its own direction of writing. */
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

/** 754 000 ms is `12:34`. */
function countdown(milliseconds: number): string {
  const seconds = Math.ceil(milliseconds / 1_000)
  const [h, m, s] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60]
  const two = (n: number) => String(n).padStart(2, '0')
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`
}

const sheets = new Map<string, CSSStyleSheet>()

/** Constructed, so that no Content-Security-Policy forbids it. */
function sheet(css: string): CSSStyleSheet {
  const made = sheets.get(css) ?? new CSSStyleSheet()
  if (!sheets.has(css)) made.replaceSync(css)
  sheets.set(css, made)
  return made
}

const HIDDEN = ':host { display: none !important }'

// What is `!important` in `:host` wins over every rule of the page, important or not.
const STYLE = `
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
.text { overflow-wrap: anywhere; white-space: pre-line }
[data-text=short] .text { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden }
[data-text=whole] .text { max-height: 40vh; overflow: auto }
.kind { padding: .1em .5em; border: 1px solid; border-radius: 1em; font-size: .85em; white-space: nowrap }
.kind:empty { display: none }
.what bdi { font-weight: 700 }
[data-text=short] .what .long {
  display: inline-block; max-width: min(100% - .5em, 20em); vertical-align: bottom;
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
}
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
}
@media print {
  :host { position: static !important }
  .form, .more { display: none }
}
`

// Last: those that stand in the page already come to life here.
if (globalThis.customElements && !customElements.get('stagedoor-banner')) {
  customElements.define('stagedoor-banner', StagedoorBanner)
}
