import { loadConfig } from '../packages/server/src/config.ts'
import { createStagedoor } from '../packages/server/src/server.ts'
import { answer } from './child.ts'

/** The server under test: the real one, in production mode, with settings from the environment. Says its port. */

/** All of the load comes from one address, with one key. */
const unlimited = {
  STAGEDOOR_RATE_LIMIT_KEY: 'none',
  STAGEDOOR_RATE_LIMIT_ADDRESS: 'none',
  STAGEDOOR_RATE_LIMIT_REDEEM: 'none',
  STAGEDOOR_RATE_LIMIT_FAILURES: 'none',
}
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('STAGEDOOR_')))
const stagedoor = await createStagedoor(loadConfig({ ...unlimited, ...environment }))
const { port } = await stagedoor.listen()
answer(
  () => port,
  () => stagedoor.close(),
)
