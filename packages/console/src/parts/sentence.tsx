/** What an audit event says, with names instead of ids where they are known. */
import { Fragment, type ReactNode } from 'react'
import { actorName } from '../format.ts'
import { sentenceOf } from '../text/en.ts'
import type { AuditEvent } from '../wire.ts'

/**
 * Returns an event as a sentence: “Olivia Park started acting as Carl”.
 * @param names of users, by their ids
 */
export function eventSentence(event: AuditEvent, names: ReadonlyMap<string, string> = new Map()): ReactNode {
  const actor = event.actor ? actorName(event.actor) : event.actor_sub
  const user = event.user_id === null ? null : (names.get(event.user_id) ?? event.user_id)
  const values: Record<string, string> = { actor: actor ?? 'An unknown actor', user: user ?? 'a user' }
  return sentenceOf(event)
    .split(/\{(\w+)\}/)
    .map((part, index) => {
      const key = `${index} ${part}`
      if (index % 2 === 0) return <Fragment key={key}>{part}</Fragment>
      return (
        <bdi key={key} className="strong">
          {values[part]}
        </bdi>
      )
    })
}
