/** The button that ends acting sessions, with the reason that it asks for. */
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { api } from '../api.ts'
import { showEnded } from '../live.ts'
import { useSession } from '../session.tsx'
import { count, endReasons } from '../text/en.ts'
import type { Acting } from '../wire.ts'
import { Button, Choices } from './controls.tsx'
import { Popover, useClosePopover } from './popups.tsx'
import { Wrong } from './states.tsx'

/** When this page asked to end a session, on the clock of `performance.now`, by the id of the session. */
export const endClicks = new Map<string, number>()

export function EndSession({ sessions, onDone }: { sessions: readonly Acting[]; onDone?: () => void }) {
  const label = sessions.length === 1 ? 'End session' : `End ${count(sessions.length, 'session')}`
  return (
    <Popover
      className="popover"
      label={label}
      trigger={
        <Button look="stop-quiet" icon="stop">
          {label}
        </Button>
      }
    >
      <EndForm sessions={sessions} label={label} {...(onDone ? { onDone } : {})} />
    </Popover>
  )
}

function EndForm({ sessions, label, onDone }: { sessions: readonly Acting[]; label: string; onDone?: () => void }) {
  const { withStepUp } = useSession()
  const close = useClosePopover()
  const client = useQueryClient()
  const [chip, setChip] = useState<string>(endReasons[0])
  const [text, setText] = useState('')
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>()
  const end = async () => {
    setBusy(true)
    setError(undefined)
    const reason = [chip, text.trim()].filter(Boolean).join(': ')
    const clicked = performance.now()
    try {
      await withStepUp(() =>
        Promise.all(
          sessions.map(async ({ session_id }) => {
            endClicks.set(session_id, clicked)
            const { session, followers } = await api.endSession(session_id, reason)
            showEnded(client, session_id, { status: session.status, at: session.updated_at, followers })
          }),
        ),
      )
      close()
      onDone?.()
    } catch (failed) {
      setError(failed)
      setBusy(false)
    }
  }
  return (
    <form
      className="stack-tight"
      onSubmit={event => {
        event.preventDefault()
        void end()
      }}
    >
      <h2>{sessions.length === 1 ? 'Why does it end?' : `Why do these ${sessions.length} sessions end?`}</h2>
      <Choices
        legend="Reason"
        hideLegend
        look="chips"
        choices={endReasons.map(value => ({ value, label: value }))}
        value={chip as (typeof endReasons)[number]}
        onChange={setChip}
      />
      <input
        className="input"
        aria-label="More about the reason"
        placeholder="More, if you like"
        maxLength={400}
        value={text}
        onChange={event => setText(event.target.value)}
      />
      <Wrong error={error} />
      <Button look="stop" type="submit" busy={busy} disabled={busy}>
        {label}
      </Button>
    </form>
  )
}
