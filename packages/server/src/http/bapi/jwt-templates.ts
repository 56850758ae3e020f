import * as contract from '../../contract/jwt-templates.ts'
import {
  createJwtTemplate,
  deleteJwtTemplate,
  getJwtTemplate,
  listJwtTemplates,
  updateJwtTemplate,
} from '../../domain/jwt-templates.ts'
import { type Http, mount } from '../mount.ts'
import { countedIn, presentDeleted, presentJwtTemplate, presentList } from './present.ts'

export function mountJwtTemplates(http: Http): void {
  mount(http, contract.listJwtTemplates, async (ctx, { query }) =>
    presentList(await listJwtTemplates(ctx, { ...query, ...countedIn(query) }), query, record =>
      presentJwtTemplate(ctx, record),
    ),
  )
  mount(http, contract.createJwtTemplate, async (ctx, { body, once }) =>
    presentJwtTemplate(
      ctx,
      await once(
        key => createJwtTemplate(ctx, body, key),
        id => getJwtTemplate(ctx, { id }),
      ),
    ),
  )
  mount(http, contract.getJwtTemplate, async (ctx, { param }) =>
    presentJwtTemplate(ctx, await getJwtTemplate(ctx, { id: param('template_id') })),
  )
  mount(http, contract.updateJwtTemplate, async (ctx, { param, body }) =>
    presentJwtTemplate(ctx, await updateJwtTemplate(ctx, { ...body, id: param('template_id') })),
  )
  mount(http, contract.deleteJwtTemplate, async (ctx, { param }) => {
    await deleteJwtTemplate(ctx, { id: param('template_id') })
    return presentDeleted('jwt_template', param('template_id'))
  })
}
