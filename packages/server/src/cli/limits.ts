import { UsageError } from './output.ts'

/** Options that limit what a session may do. */
export interface LimitOptions {
  access?: 'read' | 'write'
  scope?: string[]
}

export const ACCESS = ['--access <access>', 'what the session may do: read or write', accessOf] as const
export const SCOPES = ['--scope <scope...>', 'all that the session may do, as scopes of your app'] as const

/** Returns the limits as the API takes them. */
export function limitsOf({ access, scope }: LimitOptions) {
  return { ...(access === undefined ? {} : { access }), ...(scope === undefined ? {} : { scopes: scope }) }
}

function accessOf(text: string): 'read' | 'write' {
  if (text === 'read' || text === 'write') return text
  throw new UsageError(`--access must be read or write, not “${text}”.`)
}
