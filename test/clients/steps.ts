/** Runs programs in other languages as clients of a test server, and reads their output, one JSON line per step. */
import { spawn } from 'node:child_process'

/** The outcome of a step: a result or an error, as the client library returns it. */
// biome-ignore lint/suspicious/noExplicitAny: each client has its own shapes; tests look at single members
export type Step = { result?: any; error?: any }

/**
 * Runs a program to its end and reads its steps. It can reach only this machine: requests to other machines go to a proxy
 * that does not exist.
 * @param env overrides the machine's environment, which is passed on without settings of Stagedoor and Clerk
 * @returns the steps by name; asking for a missing step throws
 * @throws Error with the output of the program, if it ends with a code that is not 0
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
