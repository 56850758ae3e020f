import * as contract from '../../contract/sign-in-tokens.ts'
import { createActorToken, findActorToken, listActorTokens, revokeActorToken } from '../../domain/actor-tokens.ts'
import { type Http, mount } from '../mount.ts'
import { mountList } from './lists.ts'
import { presentSignInToken } from './present.ts'

const signIn = { kind: 'sign_in_token' } as const

export function mountSignInTokens(http: Http): void {
  mount(http, contract.createSignInToken, {
    create: (ctx, { body: { user_id, expires_in_seconds } }, once) =>
      createActorToken(ctx, { ...signIn, user_id, expires_in_seconds, session_max_duration_in_seconds: 0 }, once),
    find: (ctx, id) => findActorToken(ctx, { ...signIn, id }),
    present: (ctx, record) => presentSignInToken(ctx, record, record.status === 'pending'),
  })
  mountList(
    http,
    contract.listSignInTokens,
    (ctx, input) => listActorTokens(ctx, { ...signIn, ...input }),
    (ctx, record) => presentSignInToken(ctx, record, false),
  )
  mount(http, contract.revokeSignInToken, async (ctx, { params, body }) =>
    presentSignInToken(ctx, await revokeActorToken(ctx, { ...signIn, id: params.sign_in_token_id, ...body }), false),
  )
}
