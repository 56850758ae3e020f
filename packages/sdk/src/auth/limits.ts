import { type Guard, READING } from './guards.ts'
import { pathMatcher } from './never-while-acting.ts'
import { refusal } from './refusal.ts'

/**
 * Creates the guard that `authenticate` applies to every request: in a session that may only read, it refuses methods except GET,
 * HEAD and OPTIONS. Every other session passes, as do signed-out requests.
 * @throws TypeError if a pattern is invalid
 */
export function limitGuard({ reads = [] }: { reads?: readonly string[] | undefined }): Guard {
  const isRead = pathMatcher(reads)
  return (auth, { methods, urls }) => {
    if (auth.access !== 'read') return
    const onlyReads = methods.length > 0 && methods.every(method => READING.includes(method) || isRead(method, urls))
    if (!onlyReads) return refusal('forbidden_while_acting', { rule: 'read-only', action: ASK_FOR_WRITING })
  }
}

const ASK_FOR_WRITING =
  'This session may only read. Act with a token that has `access: "write"`, or ask the user to do it.'
