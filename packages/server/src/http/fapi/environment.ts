import { createDevBrowser, getEnvironment, updateEnvironment } from '../../contract/environment.ts'
import { type Http, mount } from '../mount.ts'
import { presentEnvironment } from './present.ts'

export function mountEnvironment(http: Http): void {
  for (const operation of [getEnvironment, updateEnvironment]) {
    mount(http, operation, async ctx => presentEnvironment(ctx.settings))
  }
  mount(http, createDevBrowser, async ctx => ({ id: ctx.random.id('dvb', ctx.clock.now()) }))
}
