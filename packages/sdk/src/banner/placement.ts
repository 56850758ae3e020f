/** Where the banner is in the page: always visible, never covered, and covering nothing itself. */

/** Keeps an element visible and within reach of the pointer, even if the page covers, moves or removes it. */
export class Placement {
  /** Whether the element is elsewhere than where the app put it, because the page removed or hid it there. */
  stray = false
  readonly #element: HTMLElement
  #raisedAt = 0
  #printing = false
  /** Its original position while it is inside a modal dialog. */
  #home: { parent: Node; next: Node | null } | undefined

  constructor(element: HTMLElement) {
    this.#element = element
  }

  /** Whether the app's place for the element is no longer in the page. */
  get isHomeless(): boolean {
    return this.stray || this.#home?.parent.isConnected === false
  }

  /** Puts the element back into the page, after a script removed it. */
  putBack(): void {
    this.stray = true
    document.documentElement.insertBefore(this.#element, document.body)
  }

  /** @param button the part of the element that must be within reach */
  keepInSight(button: Element): void {
    const element = this.#element
    if (!element.isConnected || this.#printing) return
    if (this.#home && !element.closest('dialog')?.matches(':modal')) this.#goHome()
    const page = document.documentElement
    const isOutOfReach = element.getClientRects().length === 0 || element.closest('[inert], [aria-hidden=true]')
    // Its parent is not displayed, or is inert.
    if (isOutOfReach && element.parentNode !== page) this.putBack()
    if (page.getClientRects().length === 0) reserve(1, true)
    this.#raise()
    const { x, y, within } = this.#reach(button)
    if (within) return
    const dialog = modalAt(x, y)
    if (dialog && !dialog.contains(element)) {
      // A modal dialog makes everything outside it inert, even in the top layer.
      this.#home ??= { parent: element.parentNode as Node, next: element.nextSibling }
      this.#move(dialog, null)
    } else if (Date.now() - this.#raisedAt > 500) {
      this.#raisedAt = Date.now()
      this.#raise(true)
    }
  }

  /** For printing, shows the element once, at its position in the document. */
  print(printing: boolean): void {
    this.#printing = printing
    if (printing && this.#element.popover) this.#element.hidePopover()
  }

  /** Returns whether a click on the middle of the button would reach it. */
  #reach(button: Element): { x: number; y: number; within: boolean } {
    const box = button.getBoundingClientRect()
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2]
    const outside = x < 0 || y < 0 || x >= innerWidth || y >= innerHeight
    const root = this.#element.getRootNode() as Document
    return { x, y, within: outside || root.elementFromPoint(x, y) === this.#element }
  }

  #goHome(): void {
    const { parent, next } = this.#home ?? {}
    this.#home = undefined
    this.stray ||= !parent?.isConnected
    if (!parent?.isConnected) this.#move(document.documentElement, document.body)
    else this.#move(parent, next?.parentNode === parent ? next : null)
  }

  #move(parent: Node, before: Node | null): void {
    parent.insertBefore(this.#element, before)
    this.#raise()
  }

  /** Shows the element in the top layer. With `again`, raises it above the other elements of the top layer. */
  #raise(again = false): void {
    const element = this.#element
    if (!element.showPopover) return
    try {
      if (element.popover !== 'manual') element.popover = 'manual'
      const isOpen = element.matches(':popover-open')
      if (isOpen && again) element.hidePopover()
      if (!isOpen || again) element.showPopover()
    } catch {
      // The document is opening another element; this is retried within a second.
    }
  }
}

let reserved: CSSStyleSheet | undefined
let isPageShown = false

/** Reserves space at the top of the page, so that the banner covers nothing. Can also force a hidden page to show. 0 undoes both. */
export function reserve(height: number, showPage = false): void {
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

/** Returns the modal dialog that receives clicks at this point, including dialogs in shadow trees. */
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
