import { setPriority } from 'node:os'
import { answer } from './child.ts'
import { answerIn, get, opened } from './http.ts'

/** The clients of listing.ts that list, search and export without pause. */

interface Listing {
  port: number
  /** Ids of users. */
  users: string[]
  authorization: string
  seconds: number
}

const LISTERS = 10

/** What each lister requests in turn. */
const pathsFor = (user: string) => [
  `/v1/sessions?user_id=${user}`,
  '/v1/sessions?status=active&limit=100',
  '/v1/actor_tokens?limit=100',
  `/v1/users?query=${user.slice(-6)}`,
  '/v1/audit_events?outcome=refused&limit=100',
  '/v1/audit_events?limit=500',
]

/** Lists without pause. @returns the number of answers */
async function list({ port, users, authorization, seconds }: Listing): Promise<number> {
  const end = performance.now() + seconds * 1_000
  const socket = await opened(port)
  socket.setEncoding('latin1')
  let [answers, received] = [0, '']
  let paths: string[] = []
  const ask = () => {
    if (paths.length === 0) paths = pathsFor(users[answers % users.length] as string)
    socket.write(get(paths.pop() as string, authorization), 'latin1')
  }
  ask()
  for await (const chunk of socket) {
    received += chunk
    const found = answerIn(received)
    if (found === undefined) continue
    if (found.answer.status !== 200) throw new Error(received)
    received = ''
    answers += 1
    if (performance.now() > end) break
    ask()
  }
  return answers
}

// Clients whose answers are timed run on the same core: they must not wait for these.
if (process.platform === 'linux') setPriority(10)

answer(async (listing: Listing) => {
  const answers = await Promise.all(Array.from({ length: LISTERS }, () => list(listing)))
  return answers.reduce((sum, each) => sum + each, 0)
})
