/** Programs in other languages, each a client of a server of the tests: what they print, one JSON line a step. */
import { spawn } from 'node:child_process'

/** What came of a step: a result or an error, as the client shows it to its caller. */
// biome-ignore lint/suspicious/noExplicitAny: each client has its own shapes; tests look at single members
export type Step = { result?: any; error?: any }

/**
 * Runs a program to its end and reads its steps. It reaches this machine only: whatever it asks of another goes to a proxy
 * that is not there.
 * @param env over the machine's, which is handed on but for settings of Stagedoor and Clerk
 * @returns the steps by name; one that is not there is an error to ask for
 * @throws Error if it ends with another code than 0, with what it printed
 */
export async function runSteps(command: string, args: string[], env: Record<string, string>) {
  const nowhere = 'http://127.0.0.1:9'
  const proxies = { HTTP_PROXY: nowhere, HTTPS_PROXY: nowhere, NO_PROXY: '127.0.0.1' }
  const { code, stdout, stderr } = await runProgram(command, args, { env: { ...proxies, ...env } })
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${stderr}\n${stdout}`)
  const lines = stdout.split('\n').filter(line => line.startsWith('{"'))
  const steps = new Map(lines.map(line => JSON.parse(line)).map(({ step, ...came }) => [step as string, came as Step]))
  return (name: string): Step => {
    const found = steps.get(name)
    if (!found) throw new Error(`There is no step ${name}. There are: ${[...steps.keys()].join(', ')}`)
    return found
  }
}

/** Runs a program to its end. */
export async function runProgram(
  command: string,
  args: string[],
  { env = {}, cwd }: { env?: Record<string, string>; cwd?: string } = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const plain = Object.entries(process.env).filter(([name]) => !/^(STAGEDOOR|CLERK)_/.test(name))
  const child = spawn(command, args, {
    env: { ...Object.fromEntries(plain), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(cwd === undefined ? {} : { cwd }),
  })
  const printed = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', chunk => {
      printed[name] += chunk
    })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  return { code, ...printed }
}
