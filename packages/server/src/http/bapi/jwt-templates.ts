import * as contract from '../../contract/jwt-templates.ts'
import {
  createJwtTemplate,
  deleteJwtTemplate,
  getJwtTemplate,
  listJwtTemplates,
  updateJwtTemplate,
} from '../../domain/jwt-templates.ts'
import { type Http, mount } from '../mount.ts'
import { mountList } from './lists.ts'
import { presentDeleted, presentJwtTemplate } from './present.ts'

export function mountJwtTemplates(http: Http): void {
  mountList(http, contract.listJwtTemplates, listJwtTemplates, presentJwtTemplate)
  mount(http, contract.createJwtTemplate, {
    create: (ctx, { body }, once) => createJwtTemplate(ctx, body, once),
    find: (ctx, id) => getJwtTemplate(ctx, { id }),
    present: presentJwtTemplate,
  })
  mount(http, contract.getJwtTemplate, async (ctx, { params }) =>
    presentJwtTemplate(ctx, await getJwtTemplate(ctx, { id: params.template_id })),
  )
  mount(http, contract.updateJwtTemplate, async (ctx, { params, body }) =>
    presentJwtTemplate(ctx, await updateJwtTemplate(ctx, { ...body, id: params.template_id })),
  )
  mount(http, contract.deleteJwtTemplate, async (ctx, { params }) => {
    await deleteJwtTemplate(ctx, { id: params.template_id })
    return presentDeleted('jwt_template', params.template_id)
  })
}
