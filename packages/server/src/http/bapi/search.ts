import * as contract from '../../contract/search.ts'
import { search } from '../../domain/search.ts'
import { type Http, mount } from '../mount.ts'
import { presentActorToken, presentSession, presentUser } from './present.ts'

export function mountSearch(http: Http): void {
  mount(http, contract.search, (ctx, { query }) =>
    http.options.lists.run(async () => {
      const { users, sessions, actor_tokens } = await search(ctx, query)
      return {
        object: 'search' as const,
        users: users.map(presentUser),
        sessions: sessions.map(session => presentSession(ctx, session)),
        actor_tokens: actor_tokens.map(token => presentActorToken(ctx, token, false)),
      }
    }),
  )
}
