/** Buttons, fields, tags and other small parts. */
import { Link } from '@tanstack/react-router'
import { type ComponentProps, type ReactNode, useId, useState } from 'react'
import { httpsLink } from '../format.ts'
import { Icon, type IconName } from './icon.tsx'

type Look = 'primary' | 'plain' | 'quiet' | 'stop' | 'stop-quiet'

interface ButtonProps extends ComponentProps<'button'> {
  look?: Look
  icon?: IconName
  busy?: boolean
}

/** Returns the classes of a button, for links that look like one. */
export const buttonClass = (look: Look = 'plain') => `button ${look}`

export function Button({ look = 'plain', icon, busy = false, children, className = '', ...rest }: ButtonProps) {
  return (
    <button type="button" className={`${buttonClass(look)} ${className}`} aria-busy={busy || undefined} {...rest}>
      {icon && <Icon name={icon} />}
      {children}
    </button>
  )
}

export function IconButton({ label, icon, ...rest }: { label: string; icon: IconName } & ComponentProps<'button'>) {
  return (
    <button type="button" className="button quiet square" aria-label={label} title={label} {...rest}>
      <Icon name={icon} />
    </button>
  )
}

/** A label, a control, and below it a hint or what is wrong. `children` gets the attributes of the control. */
export function Field(props: {
  label: string
  hint?: ReactNode
  error?: string | undefined
  aside?: ReactNode
  children: (control: { id: string; 'aria-describedby'?: string; 'aria-invalid'?: true }) => ReactNode
}) {
  const id = useId()
  const below = props.error ?? props.hint
  return (
    <div className="field">
      <div className="spread">
        <label htmlFor={id}>{props.label}</label>
        {props.aside && <span className="meta">{props.aside}</span>}
      </div>
      {props.children({
        id,
        ...(below ? { 'aria-describedby': `${id}-below` } : {}),
        ...(props.error ? { 'aria-invalid': true } : {}),
      })}
      {below && (
        <p id={`${id}-below`} className={props.error ? 'meta wrong' : 'meta'}>
          {below}
        </p>
      )}
    </div>
  )
}

/** A field for one line of text. */
export function TextField(props: { label: string; hint?: ReactNode; value: string; onChange(value: string): void }) {
  return (
    <Field label={props.label} hint={props.hint}>
      {control => (
        <input
          {...control}
          className="input"
          maxLength={500}
          autoComplete="off"
          value={props.value}
          onChange={event => props.onChange(event.target.value)}
        />
      )}
    </Field>
  )
}

export interface Choice<T extends string> {
  value: T
  label: string
  icon?: IconName
}

/** A few choices next to each other, of which one is chosen: radio buttons that look like chips or like one bar. */
export function Choices<T extends string>(props: {
  legend: string
  choices: readonly Choice<T>[]
  value: T | undefined
  onChange(value: T): void
  look?: 'chips' | 'bar'
  hideLegend?: boolean
  hint?: ReactNode
}) {
  const name = useId()
  return (
    <fieldset className="choices">
      <legend className={props.hideLegend ? 'hidden' : ''}>{props.legend}</legend>
      <div className={props.look === 'chips' ? 'chips' : 'segments'}>
        {props.choices.map(({ value, label, icon }) => (
          <label key={value} className={props.look === 'chips' ? 'chip' : 'segment'}>
            <input
              type="radio"
              name={name}
              value={value}
              checked={props.value === value}
              onChange={() => props.onChange(value)}
            />
            {icon && <Icon name={icon} />}
            {label}
          </label>
        ))}
      </div>
      {props.hint && <p className="meta">{props.hint}</p>}
    </fieldset>
  )
}

/** A check box with its text. */
export function Check({ label, ...rest }: { label: ReactNode } & Omit<ComponentProps<'input'>, 'type'>) {
  return (
    <label className="check">
      <input type="checkbox" {...rest} />
      <span>{label}</span>
    </label>
  )
}

export type Tone = 'dim' | 'accent' | 'ok' | 'acting' | 'stop' | 'agent'

/** A state: always an icon and a word, never only a colour. */
export function Tag({ tone = 'dim', icon, children }: { tone?: Tone; icon?: IconName; children: ReactNode }) {
  return (
    <span className={`tag ${tone}`}>
      {icon && <Icon name={icon} size={12} />}
      {children}
    </span>
  )
}

/** A person or a program: the name, and below it in dim what tells them apart. */
export function Who({ name, detail, agent }: { name: string; detail?: string | undefined; agent?: boolean }) {
  return (
    <span className="who">
      <span className="who-name">
        <bdi title={name}>{name}</bdi>
      </span>
      {(detail || agent) && (
        <span className="who-detail">
          {agent && (
            <Tag tone="agent" icon="agent">
              Agent
            </Tag>
          )}
          {detail && <bdi title={detail}>{detail}</bdi>}
        </span>
      )}
    </span>
  )
}

/** A support ticket: a link if it is the address of a page. */
export function Ticket({ ticket }: { ticket: string }) {
  const href = httpsLink(ticket)
  if (href === undefined) return <span className="ticket">{ticket}</span>
  const shown = href.replace(/^https:\/\/(www\.)?/, '').replace(/\/$/, '')
  return (
    <a className="ticket" href={href} target="_blank" rel="noopener noreferrer" title={ticket}>
      {shown.length > 28 ? `…${shown.slice(-26)}` : shown}
      <Icon name="external" size={12} />
    </a>
  )
}

/** Copies a text. */
export function Copy({ text, label = 'Copy', look = 'plain' }: { text: string; label?: string; look?: Look }) {
  const [copied, setCopied] = useState(false)
  return (
    <Button
      look={look}
      icon={copied ? 'check' : 'copy'}
      onClick={() => {
        void navigator.clipboard.writeText(text).then(() => {
          setCopied(true)
          setTimeout(setCopied, 2_000, false)
        })
      }}
    >
      <span aria-live="polite">{copied ? 'Copied' : label}</span>
    </Button>
  )
}

/** An id, with a button that copies it. */
export function Id({ id }: { id: string }) {
  const [copied, setCopied] = useState(false)
  return (
    <span className="id-copy">
      <span className="id">{id}</span>
      <IconButton
        label={copied ? 'Copied' : 'Copy ID'}
        icon={copied ? 'check' : 'copy'}
        onClick={() => void navigator.clipboard.writeText(id).then(() => setCopied(true))}
      />
    </span>
  )
}

/** Names and values, below each other. */
export function Facts({ facts }: { facts: readonly (readonly [name: string, value: ReactNode] | false)[] }) {
  return (
    <dl className="facts">
      {facts.map(
        fact =>
          fact && (
            <div key={fact[0]}>
              <dt>{fact[0]}</dt>
              <dd>{fact[1]}</dd>
            </div>
          ),
      )}
    </dl>
  )
}

/** A note with an icon: something that a person should know before they continue. */
export function Note({ tone, icon, children }: { tone: Tone; icon: IconName; children: ReactNode }) {
  return (
    <div className={`note ${tone}`}>
      <Icon name={icon} />
      <div>{children}</div>
    </div>
  )
}

/** Links that switch between parts of one screen. The part is in the URL. */
export function Tabs({
  label,
  tabs,
  current,
}: {
  label: string
  tabs: readonly (readonly [string, string])[]
  current: string
}) {
  return (
    <nav className="tabs" aria-label={label}>
      {tabs.map(([value, text]) => (
        <Link
          key={value}
          to="."
          search={{ tab: value } as never}
          aria-current={current === value ? 'page' : undefined}
          activeProps={{}}
        >
          {text}
        </Link>
      ))}
    </nav>
  )
}
