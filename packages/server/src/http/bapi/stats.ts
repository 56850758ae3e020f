import { getStats } from '../../contract/stats.ts'
import { type Http, mount } from '../mount.ts'

export function mountStats(http: Http): void {
  mount(http, getStats, async ctx => ({ object: 'stats' as const, minutes: await ctx.stats.read() }))
}
