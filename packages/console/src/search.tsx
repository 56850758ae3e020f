/** One box for users, sessions and actor tokens. `/` or `Ctrl K` goes to it. */
import { useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useEffect, useMemo, useRef, useState } from 'react'
import { api } from './api.ts'
import { actorName, userDetail, userName } from './format.ts'
import { useKeys } from './keys.ts'
import { Combo, type Option, useLater } from './parts/combo.tsx'
import type { SearchResult } from './wire.ts'

interface Found extends Option {
  go(): void
}

export function Search() {
  const navigate = useNavigate()
  const [text, setText] = useState('')
  const input = useRef<HTMLInputElement>(null)
  const query = useLater(text.trim())
  const { data, isFetching, error } = useQuery({
    queryKey: ['search', query],
    enabled: query.length > 1,
    queryFn: ({ signal }) => api.get<SearchResult>('/v1/search', { query }, signal),
  })
  const focus = useMemo(() => ({ '/': () => input.current?.focus() }), [])
  useKeys(focus)
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== 'k') return
      event.preventDefault()
      input.current?.focus()
      input.current?.select()
    }
    document.addEventListener('keydown', press)
    return () => document.removeEventListener('keydown', press)
  }, [])
  const options = useMemo((): Found[] => {
    if (!data || query.length < 2) return []
    const to = (path: string, search: object = {}) => void navigate({ to: path as never, search: search as never })
    return [
      ...data.users.map(user => ({
        id: user.id,
        group: 'Users',
        label: userName(user),
        detail: userDetail(user) ?? user.id,
        go: () => to(`/users/${user.id}`),
      })),
      ...data.sessions.map(session => ({
        id: session.id,
        group: 'Sessions',
        label: session.actor ? `${actorName(session.actor)}, ${session.status}` : `The user’s own, ${session.status}`,
        detail: session.id,
        go: () => to('/audit', { session_id: session.id }),
      })),
      ...data.actor_tokens.map(token => ({
        id: token.id,
        group: 'Actor tokens',
        label: `${actorName(token.actor)}, ${token.status}`,
        detail: token.id,
        go: () => to('/audit', { actor_token_id: token.id }),
      })),
    ]
  }, [data, query, navigate])
  return (
    <div className="search">
      <Combo
        label="Search users, sessions and tokens"
        placeholder="Search"
        icon="search"
        hint="/"
        text={text}
        onText={setText}
        options={options}
        state={
          error
            ? 'The search failed.'
            : query.length > 1 && !isFetching && data
              ? `Nothing matches “${query}”.`
              : undefined
        }
        inputRef={input}
        onChoose={({ go }) => {
          setText('')
          input.current?.blur()
          go()
        }}
      />
    </div>
  )
}
