/** Runs apps of the tests as separate processes with a separate environment. */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { until } from './time.ts'

/** What a child process gets even if it must know nothing else: where programs are, and the cache of compiled code. */
export const bareEnv: Record<string, string> = {
  PATH: process.env.PATH ?? '',
  ...(process.env.NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE }),
}

export interface App extends AsyncDisposable {
  url: string
  /** Its output so far. */
  output(): string
  /** Waits until its output matches. */
  printed(pattern: RegExp): Promise<void>
}

interface ProcessOptions {
  cwd?: string
  env?: Record<string, string>
}

export interface AppOptions extends ProcessOptions {
  url: string
  /** The output that shows that it listens. */
  ready: RegExp
}

/** Starts Node with these arguments and waits until it listens. It can reach only this machine. */
export async function startApp(args: string[], options: AppOptions): Promise<App> {
  return startProgram(process.execPath, ['--import', offline, ...args], options)
}

/** Starts a program and waits until it listens. */
export async function startProgram(
  program: string,
  args: string[],
  { url, ready, ...options }: AppOptions,
): Promise<App> {
  const { child, output } = spawned(program, args, options)
  const printed = async (pattern: RegExp) => {
    const failure = () => `${args.join(' ')} did not print ${pattern}: ${output()}`
    await until(() => pattern.test(output()) || child.exitCode !== null, failure, 30_000)
    if (!pattern.test(output())) throw new Error(failure())
  }
  const app: App = { url, output, printed, [Symbol.asyncDispose]: () => stopped(child) }
  try {
    await printed(ready)
  } catch (error) {
    await app[Symbol.asyncDispose]()
    throw error
  }
  return app
}

/** Runs Node with these arguments to its end. @returns what it printed */
export async function runNode(args: string[], options: ProcessOptions): Promise<string> {
  return runProgram(process.execPath, ['--import', offline, ...args], options)
}

/** Runs a program to its end in a separate process. @returns what it printed */
export async function runProgram(program: string, args: string[], options: ProcessOptions): Promise<string> {
  const { child, output } = spawned(program, args, options)
  const code = await new Promise(resolve => child.once('close', resolve))
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${output()}`)
  return output()
}

const offline = fileURLToPath(new URL('offline.ts', import.meta.url))

function spawned(program: string, args: string[], { cwd, env }: ProcessOptions) {
  const plain = Object.entries(process.env).filter(([name]) => !/^(STAGEDOOR|CLERK|NEXT|NODE)_/.test(name))
  const child = spawn(program, args, {
    env: { ...Object.fromEntries(plain), ...bareEnv, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(cwd === undefined ? {} : { cwd }),
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', chunk => {
      output += chunk
    })
  return { child, output: () => output }
}

function stopped(child: ChildProcess): Promise<void> {
  return new Promise(resolve => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once('close', () => resolve())
    child.kill('SIGKILL')
  })
}
