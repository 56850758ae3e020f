import { getInstance } from '../../contract/instance.ts'
import { type Http, mount } from '../mount.ts'

export function mountInstance(http: Http): void {
  mount(http, getInstance, async ctx => ({
    object: 'instance' as const,
    id: ctx.settings.instance_id,
    version: ctx.settings.version,
    environment: ctx.settings.environment,
    public_url: ctx.settings.public_url,
    settings: ctx.settings.changed.map(setting => ({ ...setting })),
    findings: await ctx.examine(ctx),
  }))
}
