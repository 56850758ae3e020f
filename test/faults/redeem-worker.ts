/**
 * A second process for races and crashes. It redeems the tickets of a file on the database of the environment,
 * eight at a time, and writes one line for each answer as soon as it arrives: `<id> <status> <code>`.
 */
import { readFileSync, writeSync } from 'node:fs'
import { pino } from 'pino'
import { loadConfig } from '../../packages/server/src/config.ts'
import { createStagedoor } from '../../packages/server/src/server.ts'

const tickets = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as { id: string; token: string }[]
const stagedoor = await createStagedoor(loadConfig(stagedoorSettings()), {
  log: pino({ level: 'silent' }),
  // Open the database like a command: a SQLite file has only one server, and this process races another one.
  serves: false,
})

say('ready')
await new Promise(resolve => process.stdin.once('data', resolve))
let next = 0
await Promise.all(
  Array.from({ length: 8 }, async () => {
    for (let ticket = tickets[next++]; ticket; ticket = tickets[next++]) {
      const response = await stagedoor.fetch(
        new Request('http://127.0.0.1:4100/v1/client/sign_ins', {
          method: 'POST',
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          body: new URLSearchParams({ strategy: 'ticket', ticket: ticket.token }).toString(),
        }),
      )
      const body = (await response.json()) as { errors?: { code: string }[] }
      say(`${ticket.id} ${response.status} ${body.errors?.[0]?.code ?? '-'}`)
    }
  }),
)
await stagedoor.close()
process.stdin.destroy()

/** Written synchronously: no output is lost when the process is killed. */
function say(line: string): void {
  writeSync(1, `${line}\n`)
}

function stagedoorSettings(): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('STAGEDOOR_')))
}
