/**
 * Dialogs, drawers and popovers, of the browser’s own `<dialog>` and `popover`: it keeps the focus inside, closes them
 * with Esc, and gives the focus back.
 */
import {
  type ComponentProps,
  cloneElement,
  createContext,
  type ReactElement,
  type ReactNode,
  use,
  useCallback,
  useEffect,
  useId,
  useLayoutEffect,
  useRef,
  useState,
} from 'react'
import { createPortal } from 'react-dom'
import { IconButton } from './controls.tsx'

interface DialogProps {
  title: string
  open: boolean
  onClose(): void
  children: ReactNode
  /** Below the title. */
  lead?: ReactNode
  wide?: boolean
}

function Modal({
  title,
  lead,
  onClose,
  children,
  className,
}: Omit<DialogProps, 'open' | 'wide'> & { className: string }) {
  const element = useRef<HTMLDialogElement>(null)
  const id = useId()
  const close = useRef(onClose)
  useEffect(() => {
    close.current = onClose
  })
  useLayoutEffect(() => {
    const dialog = element.current
    if (!dialog) return
    // React does not give the focus back to what opened it when it removes the element.
    const before = document.activeElement
    dialog.showModal()
    // The button that closes comes first in the order, but is seldom what a person wants.
    const content = dialog.querySelector('.dialog-inside > :not(.dialog-title)')
    const first = content?.querySelector<HTMLElement>(
      'input:checked, input:not([type=hidden]), textarea, select, button',
    )
    if (dialog.classList.contains('dialog')) first?.focus()
    return () => {
      dialog.close()
      if (before instanceof HTMLElement && before.isConnected) before.focus()
    }
  }, [])
  return createPortal(
    // biome-ignore lint/a11y/useKeyWithClickEvents: Esc closes it too
    <dialog
      ref={element}
      className={className}
      aria-labelledby={`${id}-title`}
      aria-describedby={lead ? `${id}-lead` : undefined}
      onCancel={event => {
        event.preventDefault()
        close.current()
      }}
      onClick={event => event.target === event.currentTarget && close.current()}
    >
      <div className="dialog-inside">
        <header className="dialog-title">
          <div>
            <h2 id={`${id}-title`}>{title}</h2>
            {lead && (
              <p id={`${id}-lead`} className="dim">
                {lead}
              </p>
            )}
          </div>
          <IconButton label="Close" icon="cross" onClick={() => close.current()} />
        </header>
        {children}
      </div>
    </dialog>,
    document.body,
  )
}

/** A question in the middle of the page. */
export function Dialog({ open, wide, ...rest }: DialogProps) {
  return open ? <Modal {...rest} className={wide ? 'dialog wide' : 'dialog'} /> : null
}

/** Details of one row, at the right edge. */
export function Drawer({ open, children, ...rest }: Omit<DialogProps, 'wide'>) {
  if (!open) return null
  return (
    <Modal {...rest} className="drawer">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable with the keyboard */}
      <section className="drawer-body stack" tabIndex={0} aria-label={rest.title}>
        {children}
      </section>
    </Modal>
  )
}

const ClosePopover = createContext<() => void>(() => {})
/** Returns what closes the popover that is around. */
export const useClosePopover = () => use(ClosePopover)

type Trigger = ReactElement<ComponentProps<'button'> & { 'data-open'?: boolean }>

/** Something next to the button that opens it. `children` exist only while it is open. */
export function Popover({
  trigger,
  label,
  className,
  children,
}: {
  trigger: Trigger
  label: string
  className: string
  children: ReactNode
}) {
  const [open, setOpen] = useState(false)
  const id = useId()
  const popup = useRef<HTMLDivElement>(null)
  const anchor = useRef<HTMLSpanElement>(null)
  const button = useCallback(() => anchor.current?.querySelector('button'), [])
  useLayoutEffect(() => {
    const element = popup.current
    if (!open || !element) return
    element.showPopover()
    const move = () => place(element, button())
    move()
    element.querySelector<HTMLElement>('input:checked, input, button, a')?.focus()
    addEventListener('resize', move)
    addEventListener('scroll', move, true)
    return () => {
      removeEventListener('resize', move)
      removeEventListener('scroll', move, true)
    }
  }, [open, button])
  const close = () => {
    setOpen(false)
    button()?.focus()
  }
  return (
    <span ref={anchor} className="anchor">
      {cloneElement(trigger, {
        'aria-expanded': open,
        'aria-haspopup': 'dialog',
        'aria-controls': open ? id : undefined,
        onClick: () => setOpen(!open),
      })}
      {open &&
        createPortal(
          <div
            ref={popup}
            id={id}
            popover="auto"
            role="dialog"
            aria-label={label}
            className={className}
            onToggle={event => {
              if (event.newState !== 'closed') return
              setOpen(false)
              if (document.activeElement === document.body) button()?.focus()
            }}
          >
            <ClosePopover value={close}>{children}</ClosePopover>
          </div>,
          document.body,
        )}
    </span>
  )
}

const GAP = 6

/** Puts a popover below its button, or above if there is more room, and inside the window. */
function place(popup: HTMLElement, button: HTMLElement | null | undefined): void {
  if (!button) return
  const at = button.getBoundingClientRect()
  const [width, height] = [popup.offsetWidth, popup.offsetHeight]
  const below = at.bottom + GAP + height <= innerHeight || at.top < innerHeight - at.bottom
  const top = below ? at.bottom + GAP : at.top - GAP - height
  popup.style.top = `${Math.max(8, Math.min(top, innerHeight - height - 8))}px`
  const left = at.left < innerWidth / 2 ? at.left : at.right - width
  popup.style.left = `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`
}
