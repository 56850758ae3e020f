/** What will happen, with the policy’s answer, and the page to confirm after the click. */
import { ApiError } from '../api.ts'
import { shortName } from '../format.ts'
import { Button, Copy, Note } from '../parts/controls.tsx'
import { Icon } from '../parts/icon.tsx'
import { minutes, needText } from '../text/en.ts'
import type { PolicyDecision, User } from '../wire.ts'

interface WhatProps {
  user: User | undefined
  form: { seconds: number; access: 'read' | 'write' | 'scopes' }
  answer: { data: PolicyDecision | undefined; error: unknown; isPlaceholderData: boolean }
  onFix(need: string): void
}

export function WhatHappens({ user, form, answer, onFix }: WhatProps) {
  if (!user) return <p className="dim">Choose a user. The policy’s answer appears here.</p>
  return (
    <>
      <ol className="steps">
        <li>A page opens in a new tab. It names you and {shortName(user)}, and asks you to confirm.</li>
        <li>
          You are signed in to the app as {shortName(user)} for at most {minutes(form.seconds)}
          {form.access === 'read' ? ', and can only look' : ''}.
        </li>
        <li>You come back to this page when you leave.</li>
      </ol>
      <Answer answer={answer} onFix={onFix} />
    </>
  )
}

function Answer({ answer, onFix }: Pick<WhatProps, 'answer' | 'onFix'>) {
  const { data, error } = answer
  if (error) {
    const why =
      error instanceof ApiError ? `${error.message} ${error.action ?? ''}` : 'Something went wrong in this page.'
    return (
      <Note tone="stop" icon="alert">
        <p className="strong">The policy did not answer</p>
        <p>{why} Without an answer nobody may act.</p>
      </Note>
    )
  }
  if (!data) return <p className="dim">Asking the policy…</p>
  const allowed = data.decision === 'allowed'
  const rules = data.determined_by.map(({ id }) => id)
  const message = data.determined_by.map(rule => rule.message).find(Boolean)
  return (
    <div className="answer" aria-live="polite" aria-busy={answer.isPlaceholderData}>
      <Note tone={allowed ? 'ok' : 'stop'} icon={allowed ? 'allowed' : 'refused'}>
        <p className="strong">{allowed ? 'Allowed' : 'Refused'}</p>
        <p>
          {rules.length > 0 ? (
            <>
              by <code>{rules.join(', ')}</code>
            </>
          ) : (
            'because no rule permits it'
          )}
        </p>
        {!allowed && message && <p>{message}</p>}
      </Note>
      {!allowed && data.needs.length > 0 && (
        <div className="stack-tight">
          <p className="meta">This would help:</p>
          <div className="bar">
            {data.needs.flat().map(need => (
              <Button key={need} onClick={() => onFix(need)}>
                {needText(need)}
              </Button>
            ))}
          </div>
        </div>
      )}
    </div>
  )
}

/** After the click: the page is in another tab. The link is for another browser, or if the browser blocked the tab. */
export function Opened({ url }: { url: string }) {
  return (
    <div className="note ok" role="status">
      <Icon name="check" />
      <div className="stack-tight">
        <p>The page to confirm opened in a new tab. The link works once.</p>
        <div className="bar">
          <a className="button plain" href={url} target="_blank" rel="noopener">
            <Icon name="external" />
            Open it here
          </a>
          <Copy text={url} label="Copy link" />
        </div>
      </div>
    </div>
  )
}
