import type { Http } from '../mount.ts'
import { mountAssets } from './assets.ts'
import { mountLogin } from './login.ts'
import { mountMe } from './me.ts'
import { mountPasskeys } from './passkeys.ts'
import { IdentityProvider } from './provider.ts'

/** Serves the console. `mount` connects the Backend API for operators. */
export function mountConsole(http: Http): void {
  const { options, services } = http
  if (!options.console) return
  const { provider: settings } = options.console
  const { console_url } = services.settings
  const provider =
    settings && new IdentityProvider(settings, `${console_url}/console/callback`, () => services.clock.now())
  mountLogin(http, provider)
  mountPasskeys(http)
  mountMe(http)
  mountAssets(http)
}
