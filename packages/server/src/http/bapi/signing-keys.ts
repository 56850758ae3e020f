import * as contract from '../../contract/signing-keys.ts'
import type { Context } from '../../domain/context.ts'
import { listSigningKeys, removeSigningKey, rotateSigningKeys } from '../../domain/signing-keys.ts'
import { type Http, mount } from '../mount.ts'
import { presentSigningKeys } from './present.ts'

export function mountSigningKeys(http: Http): void {
  mount(http, contract.listSigningKeys, async ctx => presentSigningKeys(await listSigningKeys(ctx)))
  mount(http, contract.rotateSigningKeys, async (ctx, { body }) =>
    presentSigningKeys(await rotateSigningKeys(ctx, { ...keysOf(ctx), atOnce: body.at_once })),
  )
  mount(http, contract.removeSigningKey, async (ctx, { params, body }) =>
    presentSigningKeys(
      await removeSigningKey(ctx, { ...keysOf(ctx), id: params.signing_key_id, emergency: body.emergency }),
    ),
  )
}

const keysOf = ({ settings, makeSigningKey }: Context) => ({ alg: settings.signing_alg, make: makeSigningKey })
