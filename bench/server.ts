import { loadConfig } from '../packages/server/src/config.ts'
import { createStagedoor } from '../packages/server/src/server.ts'
import { answer } from './child.ts'

/** The server under test: the real one, in production mode, with settings from the environment. Says its port. */

const environment = Object.entries(process.env).filter(([name]) => name.startsWith('STAGEDOOR_'))
const stagedoor = await createStagedoor(loadConfig(Object.fromEntries(environment)))
const { port } = await stagedoor.listen()
answer(
  () => port,
  () => stagedoor.close(),
)
