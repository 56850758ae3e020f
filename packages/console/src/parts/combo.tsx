/** A text field with suggestions, by the combobox pattern of the ARIA Authoring Practices. */
import { type KeyboardEvent, type Ref, useEffect, useId, useState } from 'react'
import { Icon, type IconName } from './icon.tsx'

export interface Option {
  id: string
  label: string
  detail?: string
  group?: string
  /** Why it cannot be chosen, although it is shown. */
  blocked?: string
}

export interface ComboProps<T extends Option> {
  label: string
  text: string
  onText(text: string): void
  options: readonly T[]
  onChoose(option: T): void
  placeholder?: string
  icon?: IconName
  /** The key that leads to the field. */
  hint?: string
  /** What is said if there are no suggestions. */
  state?: string | undefined
  inputRef?: Ref<HTMLInputElement>
  autoFocus?: boolean
  id?: string
}

export function Combo<T extends Option>(props: ComboProps<T>) {
  const { options, text } = props
  const list = useId()
  const [open, setOpen] = useState(false)
  const [at, setAt] = useState(0)
  const current = options[Math.min(at, options.length - 1)]
  const shown = open && (options.length > 0 || (props.state !== undefined && text !== ''))
  const choose = (option: T | undefined) => {
    if (!option || option.blocked) return
    setOpen(false)
    props.onChoose(option)
  }
  const press = (event: KeyboardEvent<HTMLInputElement>) => {
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1 }
    const step = steps[event.key]
    if (step !== undefined && options.length > 0) {
      event.preventDefault()
      setOpen(true)
      setAt((Math.min(at, options.length - 1) + step + options.length) % options.length)
    } else if (event.key === 'Enter' && shown) {
      event.preventDefault()
      choose(current)
    } else if (event.key === 'Escape') {
      if (shown) setOpen(false)
      else event.currentTarget.blur()
    }
  }
  const optionId = (option: Option) => `${list}-${option.id}`
  return (
    <div className="combo">
      {props.icon && <Icon name={props.icon} />}
      <input
        ref={props.inputRef}
        id={props.id}
        className="input"
        role="combobox"
        type="text"
        aria-label={props.label}
        aria-expanded={shown}
        aria-controls={list}
        aria-autocomplete="list"
        {...(shown && current ? { 'aria-activedescendant': optionId(current) } : {})}
        // biome-ignore lint/a11y/noAutofocus: the first field of a screen that is only for filling it in
        autoFocus={props.autoFocus}
        autoComplete="off"
        spellCheck={false}
        placeholder={props.placeholder}
        value={text}
        onChange={event => {
          props.onText(event.target.value)
          setAt(0)
          setOpen(true)
        }}
        onFocus={() => setOpen(true)}
        onBlur={() => setOpen(false)}
        onKeyDown={press}
      />
      {props.hint && text === '' && <kbd className="combo-hint">{props.hint}</kbd>}
      <div className={shown ? 'combo-list' : 'combo-list hidden'}>
        <div id={list} role="listbox" aria-label={props.label}>
          {shown &&
            options.map((option, index) => (
              <div key={option.id} role="presentation">
                {option.group && option.group !== options[index - 1]?.group && (
                  <p className="combo-group" aria-hidden="true">
                    {option.group}
                  </p>
                )}
                <div
                  id={optionId(option)}
                  role="option"
                  tabIndex={-1}
                  aria-selected={option === current}
                  aria-disabled={option.blocked ? true : undefined}
                  className="combo-option"
                  // Before the field loses the focus, which closes the list.
                  onMouseDown={event => {
                    event.preventDefault()
                    choose(option)
                  }}
                  onMouseMove={() => setAt(index)}
                >
                  <span className="who">
                    <span className="who-name">
                      <bdi>{option.label}</bdi>
                    </span>
                    {option.detail && (
                      <span className="who-detail">
                        <bdi>{option.detail}</bdi>
                      </span>
                    )}
                  </span>
                  {option.blocked && <span className="combo-blocked">{option.blocked}</span>}
                </div>
              </div>
            ))}
        </div>
        {shown && options.length === 0 && (
          <p className="combo-state" role="status">
            {props.state}
          </p>
        )}
      </div>
    </div>
  )
}

/** Returns a value that follows another one when that has rested for a moment. */
export function useLater<T>(value: T, delay = 250): T {
  const [later, setLater] = useState(value)
  useEffect(() => {
    const timer = setTimeout(setLater, delay, value)
    return () => clearTimeout(timer)
  }, [value, delay])
  return later
}
