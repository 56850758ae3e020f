/** Keys of the whole page, and the operator’s own settings of this browser. */
import { useEffect, useSyncExternalStore } from 'react'

const typing = (target: EventTarget | null) =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))

/** Whether a dialog, drawer or menu is open: then the keys belong to it. */
const popupIsOpen = () => document.querySelector('dialog,[role=dialog]') !== null

/**
 * Calls a function for a key, or for two keys after each other: `'g l'`. Not while the operator types or a popup is open,
 * and never for single letters if they are switched off.
 */
export function useKeys(keys: Record<string, (event: KeyboardEvent) => void>): void {
  useEffect(() => {
    let first = ''
    let until = 0
    const press = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.altKey || event.metaKey || event.ctrlKey) return
      if (typing(event.target) || popupIsOpen()) return
      if (event.key.length === 1 && setting('keys') === 'off') return
      const pair = event.timeStamp < until ? `${first} ${event.key}` : ''
      const run = keys[pair] ?? keys[event.key]
      first = event.key
      until = event.timeStamp + 1_000
      if (!run) return
      first = ''
      event.preventDefault()
      run(event)
    }
    document.addEventListener('keydown', press)
    return () => document.removeEventListener('keydown', press)
  }, [keys])
}

const DEFAULTS = { theme: 'system', density: 'comfortable', keys: 'on' }
type Setting = keyof typeof DEFAULTS
const listeners = new Set<() => void>()
const stored = (name: Setting) => `stagedoor.${name}`

/** Returns a setting of this browser. */
export function setting(name: Setting): string {
  try {
    return localStorage.getItem(stored(name)) ?? DEFAULTS[name]
  } catch {
    return DEFAULTS[name]
  }
}

/** Keeps a setting in this browser, and applies it. */
export function changeSetting(name: Setting, value: string): void {
  try {
    localStorage.setItem(stored(name), value)
  } catch {
    // The browser keeps nothing: the setting lasts until the page is closed.
  }
  applySettings()
  for (const listener of listeners) listener()
}

/** Applies theme and density to the page. */
export function applySettings(): void {
  document.documentElement.dataset['theme'] = setting('theme')
  document.documentElement.dataset['density'] = setting('density')
}

export function useSetting(name: Setting): string {
  return useSyncExternalStore(
    listener => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    () => setting(name),
  )
}
