import type { Acting } from './components.ts'

/** An event of the stream of acting sessions. */
export type ActingEvent =
  /** Read the list now, and apply later events to it. */
  | { event: 'ready'; id: undefined; data: { at: number } }
  | { event: 'begun' | 'changed'; id: undefined; data: Acting }
  | { event: 'ended'; id: undefined; data: { sessionId: string; status: string; endedAt: number } }
  | { event: 'heartbeat'; id: undefined; data: { at: number } }
