/** Secret keys, and the keys that sign session tokens. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { api } from '../api.ts'
import { absolute } from '../format.ts'
import { Button, Check, Copy, Field, Note, Tag } from '../parts/controls.tsx'
import { Dialog } from '../parts/popups.tsx'
import { Empty, Failed, Loading, Wrong } from '../parts/states.tsx'
import { Table } from '../parts/table.tsx'
import { Ago, useNow } from '../parts/time.tsx'
import { useSession } from '../session.tsx'
import type { CreatedSecretKey, Page, Right, SecretKey, SigningKey } from '../wire.ts'

const RIGHTS: readonly (readonly [Right, string])[] = [
  ['act', 'Act: create actor tokens, end sessions'],
  ['users', 'Users: create and change them'],
  ['audit', 'Audit: read the log'],
  ['policy', 'Policy: read and change it'],
  ['everything', 'Everything'],
]

export function Keys() {
  const { may } = useSession()
  const [creating, setCreating] = useState(false)
  const { data, error, refetch } = useQuery({
    queryKey: ['secret-keys'],
    queryFn: ({ signal }) => api.get<Page<SecretKey>>('/v1/secret_keys', { limit: 100, paginated: true }, signal),
  })
  return (
    <div className="stack sections">
      <section className="stack">
        <div className="spread">
          <div>
            <h2>Secret keys</h2>
            <p className="dim">
              Your backends call the API with them.
              {!may('CreateSecretKey') && (
                <>
                  {' '}
                  Create one next to the server: <code>stagedoor keys create</code>
                </>
              )}
            </p>
          </div>
          {may('CreateSecretKey') && (
            <Button look="primary" icon="plus" onClick={() => setCreating(true)}>
              Create key
            </Button>
          )}
        </div>
        {!data &&
          (error ? (
            <Failed what="The keys could not be read." error={error} again={() => void refetch()} />
          ) : (
            <Loading rows={3} what="Loading the keys" />
          ))}
        {data && data.data.length === 0 && (
          <Empty icon="key" title="There are no secret keys yet.">
            <p className="dim">Create one for each backend, with the rights that it needs: stagedoor keys create.</p>
          </Empty>
        )}
        {data && data.data.length > 0 && <KeyTable keys={data.data} />}
      </section>
      {may('ListSigningKeys') && <SigningKeys />}
      {creating && <CreateKey onClose={() => setCreating(false)} />}
    </div>
  )
}

function KeyTable({ keys }: { keys: SecretKey[] }) {
  const { may, withStepUp } = useSession()
  const client = useQueryClient()
  const [asked, setAsked] = useState<SecretKey>()
  const now = useNow()
  const revoke = useMutation({
    mutationFn: ({ id }: SecretKey) => withStepUp(() => api.post<SecretKey>(`/v1/secret_keys/${id}/revoke`)),
    onSuccess: () => {
      setAsked(undefined)
      return client.invalidateQueries({ queryKey: ['secret-keys'] })
    },
  })
  const isOver = ({ revoked_at, expires_at }: SecretKey) =>
    revoked_at !== null || (expires_at !== null && expires_at < now)
  return (
    <>
      <Table
        caption="Secret keys"
        rows={keys}
        idOf={key => key.id}
        classOf={key => (isOver(key) ? 'gone' : undefined)}
        columns={[
          {
            head: 'Name',
            className: 'name-cell',
            cell: ({ name, hint }) => (
              <span className="who">
                <span className="who-name">{name}</span>
                <span className="id">{hint}</span>
              </span>
            ),
          },
          {
            head: 'Rights',
            cell: ({ rights }) => (
              <span className="bar tight">
                {rights.map(right => (
                  <Tag key={right}>{right}</Tag>
                ))}
              </span>
            ),
          },
          { head: 'Created', className: 'nowrap', cell: ({ created_at }) => <Ago at={created_at} /> },
          {
            head: 'Expires',
            className: 'nowrap',
            cell: ({ expires_at }) =>
              expires_at === null ? <span className="dim">Never</span> : <Ago at={expires_at} />,
          },
          {
            head: 'Revoke',
            hideHead: true,
            className: 'actions',
            cell: key =>
              isOver(key) ? (
                <Tag tone="stop" icon="stop">
                  {key.revoked_at === null ? 'Expired' : 'Revoked'}
                </Tag>
              ) : (
                may('RevokeSecretKey') && (
                  <Button look="stop-quiet" onClick={() => setAsked(key)}>
                    Revoke key
                  </Button>
                )
              ),
          },
        ]}
      />
      <Dialog
        title={`Revoke ${asked?.name ?? 'key'}?`}
        lead="Every request with this key is refused at once, and its event streams end. This cannot be undone."
        open={asked !== undefined}
        onClose={() => setAsked(undefined)}
      >
        <Wrong error={revoke.error} />
        <div className="bar end">
          <Button onClick={() => setAsked(undefined)}>Cancel</Button>
          <Button
            look="stop"
            busy={revoke.isPending}
            disabled={revoke.isPending}
            onClick={() => asked && revoke.mutate(asked)}
          >
            Revoke key
          </Button>
        </div>
      </Dialog>
    </>
  )
}

function CreateKey({ onClose }: { onClose(): void }) {
  const { withStepUp } = useSession()
  const client = useQueryClient()
  const [name, setName] = useState('')
  const [rights, setRights] = useState<Right[]>(['act'])
  const [days, setDays] = useState('')
  const create = useMutation({
    mutationFn: () =>
      withStepUp(() =>
        api.post<CreatedSecretKey>('/v1/secret_keys', {
          name: name.trim(),
          rights,
          ...(days === '' ? {} : { expires_in_seconds: Number(days) * 86_400 }),
        }),
      ),
    onSuccess: () => client.invalidateQueries({ queryKey: ['secret-keys'] }),
  })
  const toggle = (right: Right) =>
    setRights(before => {
      if (before.includes(right)) return before.filter(each => each !== right)
      return right === 'everything' ? ['everything'] : [...before.filter(each => each !== 'everything'), right]
    })
  if (create.data)
    return (
      <Dialog title="The new key" lead="It is shown only now: the server stores a hash of it." open onClose={onClose}>
        <div className="copy-field">
          <input
            className="input mono"
            readOnly
            aria-label="Secret key"
            value={create.data.secret}
            onFocus={event => event.target.select()}
          />
          <Copy text={create.data.secret} look="primary" />
        </div>
        <div className="bar end">
          <Button onClick={onClose}>I have stored it</Button>
        </div>
      </Dialog>
    )
  return (
    <Dialog title="Create a secret key" open onClose={onClose}>
      <form
        className="stack"
        onSubmit={event => {
          event.preventDefault()
          create.mutate()
        }}
      >
        <Field label="Name" hint="What the key is for.">
          {control => (
            <input
              {...control}
              className="input"
              maxLength={255}
              autoComplete="off"
              value={name}
              onChange={event => setName(event.target.value)}
            />
          )}
        </Field>
        <fieldset className="choices">
          <legend>Rights</legend>
          {RIGHTS.map(([right, label]) => (
            <Check key={right} label={label} checked={rights.includes(right)} onChange={() => toggle(right)} />
          ))}
        </fieldset>
        {rights.includes('act') && rights.includes('users') && (
          <Note tone="acting" icon="alert">
            A key that acts and changes users can change what the policy decides about. Use two keys.
          </Note>
        )}
        <Field label="Expires after" hint="Days. Empty: never.">
          {control => (
            <input
              {...control}
              className="input"
              inputMode="numeric"
              value={days}
              onChange={event => setDays(event.target.value.replaceAll(/\D/g, '').slice(0, 4))}
            />
          )}
        </Field>
        <Wrong error={create.error} />
        <div className="bar end">
          <Button onClick={onClose}>Cancel</Button>
          <Button
            look="primary"
            type="submit"
            busy={create.isPending}
            disabled={name.trim() === '' || rights.length === 0 || create.isPending}
          >
            Create key
          </Button>
        </div>
      </form>
    </Dialog>
  )
}

const STEPS = [
  ['next', 'Next', 'Published, signs nothing yet'],
  ['active', 'Active', 'Signs session tokens'],
  ['retiring', 'Retiring', 'Its last tokens are still valid'],
] as const

/** The life of a signing key as a line: next, active, retiring. */
function SigningKeys() {
  const { may, withStepUp } = useSession()
  const client = useQueryClient()
  const [asked, setAsked] = useState(false)
  const { data, error, refetch } = useQuery({
    queryKey: ['signing-keys'],
    queryFn: ({ signal }) => api.get<Page<SigningKey> | SigningKey[]>('/v1/signing_keys', {}, signal),
  })
  const rotate = useMutation({
    mutationFn: () => withStepUp(() => api.post('/v1/signing_keys/rotate')),
    onSuccess: () => {
      setAsked(false)
      return client.invalidateQueries({ queryKey: ['signing-keys'] })
    },
  })
  const keys = data && (Array.isArray(data) ? data : data.data)
  return (
    <section className="stack">
      <div className="spread">
        <div>
          <h2>Signing keys</h2>
          <p className="dim">They sign session tokens. Your apps fetch the public halves by themselves.</p>
        </div>
        {may('RotateSigningKeys') && (
          <Button icon="refresh" onClick={() => setAsked(true)}>
            Rotate
          </Button>
        )}
      </div>
      {!keys &&
        (error ? (
          <Failed what="The signing keys could not be read." error={error} again={() => void refetch()} />
        ) : (
          <Loading rows={1} />
        ))}
      {keys && (
        <ol className="key-line">
          {STEPS.map(([status, label, what]) => {
            const there = keys.filter(key => key.status === status)
            return (
              <li key={status} className={status === 'active' ? 'card padded here' : 'card padded'}>
                <p className="strong">{label}</p>
                <p className="meta">{what}</p>
                {there.length === 0 && <p className="dim">None</p>}
                {there.map(key => (
                  <p key={key.id} title={`Created ${absolute(key.created_at)}`}>
                    <span className="id">{key.id}</span> <span className="meta">{key.alg}</span>
                  </p>
                ))}
              </li>
            )
          })}
        </ol>
      )}
      <Dialog
        title="Rotate the signing keys?"
        lead="The next key becomes active, and the active one retires when its last token has expired. Apps need no change."
        open={asked}
        onClose={() => setAsked(false)}
      >
        <Wrong error={rotate.error} />
        <div className="bar end">
          <Button onClick={() => setAsked(false)}>Cancel</Button>
          <Button look="primary" busy={rotate.isPending} disabled={rotate.isPending} onClick={() => rotate.mutate()}>
            Rotate
          </Button>
        </div>
      </Dialog>
    </section>
  )
}
