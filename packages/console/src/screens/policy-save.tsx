/** Saves the policy: shows what differs, asks why, and asks for the number of sessions that end. */
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { ApiError, api } from '../api.ts'
import { Button, Field, Note } from '../parts/controls.tsx'
import { Dialog } from '../parts/popups.tsx'
import { Wrong } from '../parts/states.tsx'
import { useSession } from '../session.tsx'
import { count } from '../text/en.ts'
import type { Policy, PolicyWhatIf } from '../wire.ts'
import type { Draft } from './policy.tsx'

interface Props {
  base: Policy
  draft: Draft
  onSaved(policy: Policy): void
  onClose(): void
}

export function SavePolicy({ base, draft, onSaved, onClose }: Props) {
  const { withStepUp } = useSession()
  const [reason, setReason] = useState('')
  const [typed, setTyped] = useState('')
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>()
  const [theirs, setTheirs] = useState<Policy>()
  const effect = useQuery({
    queryKey: ['policy-what-if', draft, 0],
    queryFn: ({ signal }) => api.post<PolicyWhatIf>('/v1/policy/what_if', { ...draft, days: 0 }, signal),
    retry: false,
  })
  const ends = effect.data?.live.refused ?? 0
  const save = async () => {
    setBusy(true)
    setError(undefined)
    try {
      const body = {
        ...draft,
        if_version: theirs?.version ?? base.version,
        expect_refused: ends,
        ...(reason.trim() === '' ? {} : { reason: reason.trim() }),
      }
      onSaved(await withStepUp(() => api.put<Policy>('/v1/policy', body)))
    } catch (failed) {
      if (failed instanceof ApiError && failed.code === 'policy_changed_meanwhile')
        setTheirs(await api.get<Policy>('/v1/policy').catch(() => undefined))
      setError(failed)
      setBusy(false)
      void effect.refetch()
    }
  }
  const ready = !busy && !effect.isPending && (ends === 0 || typed.trim() === String(ends))
  return (
    <Dialog title="Save policy" wide open onClose={onClose}>
      <form
        className="stack"
        onSubmit={event => {
          event.preventDefault()
          if (ready) void save()
        }}
      >
        <Differences before={(theirs ?? base).text} after={draft.text} />
        {draft.off.join() !== base.off.join() && (
          <p>
            Base rules that do not apply: <code>{draft.off.join(', ') || 'none'}</code>
          </p>
        )}
        {theirs && (
          <Note tone="acting" icon="alert">
            Another admin has saved version {theirs.version}. The lines above compare your text with theirs. Saving
            replaces it.
          </Note>
        )}
        {effect.isPending && <p className="dim">Counting the sessions that would end…</p>}
        {effect.error && <Wrong error={effect.error} />}
        {ends > 0 && (
          <>
            <Note tone="stop" icon="alert">
              <p className="strong">This ends {count(ends, 'acting session')} at once.</p>
              <ul>
                {effect.data?.live.sessions.slice(0, 8).map(session => (
                  <li key={session.session_id}>
                    {session.actor_sub} as <code>{session.user_id}</code>
                    {session.determined_by.length > 0
                      ? `, by ${session.determined_by.join(', ')}`
                      : ', no rule permits it'}
                  </li>
                ))}
              </ul>
            </Note>
            <Field label={`Type ${ends} to confirm`}>
              {control => (
                <input
                  {...control}
                  className="input"
                  inputMode="numeric"
                  autoComplete="off"
                  value={typed}
                  onChange={event => setTyped(event.target.value)}
                />
              )}
            </Field>
          </>
        )}
        <Field label="Reason" hint="For the history and the audit log.">
          {control => (
            <input
              {...control}
              className="input"
              maxLength={500}
              value={reason}
              onChange={event => setReason(event.target.value)}
            />
          )}
        </Field>
        <Wrong error={error} />
        <div className="bar end">
          <Button onClick={onClose}>Cancel</Button>
          <Button look="primary" type="submit" busy={busy} disabled={!ready}>
            Save policy
          </Button>
        </div>
      </form>
    </Dialog>
  )
}

/** The lines that differ. */
export function Differences({ before, after }: { before: string; after: string }) {
  const lines = differences(before.split('\n'), after.split('\n'))
  if (lines.length === 0) return <p className="dim">The text is the same.</p>
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable with the keyboard
    <section className="diff" tabIndex={0} aria-label="What differs">
      {lines.map(({ sign, text, key }) => (
        <div key={key} className={sign === '+' ? 'added' : sign === '-' ? 'removed' : ''}>
          <span aria-hidden="true">{sign}</span>
          <span className="hidden">{sign === '+' ? 'Added: ' : sign === '-' ? 'Removed: ' : ''}</span>
          {text}
        </div>
      ))}
    </section>
  )
}

interface Line {
  sign: '+' | '-' | ' '
  text: string
  key: string
}

/** Longest common lines; those far from a change are left out. */
function differences(before: string[], after: string[]): Line[] {
  const rows = before.length
  const columns = after.length
  const common = Array.from({ length: rows + 1 }, () => new Uint32Array(columns + 1))
  const at = (row: number, column: number) => common[row]?.[column] ?? 0
  for (let row = rows - 1; row >= 0; row--)
    for (let column = columns - 1; column >= 0; column--) {
      const same = before[row] === after[column]
      const line = common[row]
      if (line) line[column] = same ? at(row + 1, column + 1) + 1 : Math.max(at(row + 1, column), at(row, column + 1))
    }
  const all: Line[] = []
  let [row, column] = [0, 0]
  const add = (sign: Line['sign'], text = '') => all.push({ sign, text, key: `${sign}${row}:${column}` })
  while (row < rows || column < columns) {
    if (row < rows && column < columns && before[row] === after[column]) {
      add(' ', before[row])
      row += 1
      column += 1
    } else if (row < rows && (column === columns || at(row + 1, column) >= at(row, column + 1))) {
      add('-', before[row])
      row += 1
    } else {
      add('+', after[column])
      column += 1
    }
  }
  const near = (index: number) => all.slice(Math.max(0, index - 2), index + 3).some(({ sign }) => sign !== ' ')
  return all.filter((_, index) => near(index))
}
