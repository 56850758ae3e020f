import { getInstance } from '../../contract/instance.ts'
import { type Http, mount } from '../mount.ts'

export function mountInstance(http: Http): void {
  mount(http, getInstance, async ({ settings }) => ({
    object: 'instance' as const,
    id: settings.instance_id,
    version: settings.version,
    environment: settings.environment,
    public_url: settings.public_url,
    settings: settings.changed.map(setting => ({ ...setting })),
  }))
}
