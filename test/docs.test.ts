import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { settings } from '../packages/server/src/config.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const tracked = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .trim()
  .split('\n')
  .filter(file => existsSync(join(root, file)))
const pages = tracked.filter(file => file.endsWith('.md') && !file.includes('/fixtures/'))

/** As links name them. */
const headingsOf = (text: string) =>
  [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  )

describe('the documentation', () => {
  it('has no link to a file or heading that is not there', () => {
    const broken: string[] = []
    for (const page of pages) {
      const text = readFileSync(join(root, page), 'utf8').replace(/```[\s\S]*?```/g, '')
      for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^https?:/.test(target)) continue
        const [file, heading] = target.split('#')
        const path = file ? join(root, dirname(page), file) : join(root, page)
        const there = existsSync(path)
        if (!there || (heading && !headingsOf(readFileSync(path, 'utf8')).includes(heading)))
          broken.push(`${page}: ${target}`)
      }
    }
    assert.ok(pages.length >= 12, `${pages.length} pages`)
    assert.deepEqual(broken, [])
  })

  it('names no setting and no npm script that is not there', () => {
    const scripts = Object.keys(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).scripts)
    const known = [...settings.map(setting => setting.env), 'STAGEDOOR_SERVER_URL']
    for (const page of pages) {
      const text = readFileSync(join(root, page), 'utf8')
      for (const [name] of text.matchAll(/STAGEDOOR_[A-Z_]*[A-Z]/g)) assert.ok(known.includes(name), `${page}: ${name}`)
      for (const [, script = ''] of text.matchAll(/npm run ([\w:]+)/g))
        assert.ok(scripts.includes(script), `${page}: npm run ${script}`)
    }
  })
})

describe('code in the documentation', () => {
  it('stands, line by line, in the file it says it is from', () => {
    let blocks = 0
    for (const page of pages) {
      const text = readFileSync(join(root, page), 'utf8')
      for (const [, file = '', code = ''] of text.matchAll(/^<!-- in (\S+) -->\n```\w*\n([\s\S]*?)```/gm)) {
        const lines = readFileSync(join(root, file), 'utf8')
          .split('\n')
          .map(line => line.trim())
        for (const shown of code.trim().split('\n')) {
          const line = shown.replace(/ \/\/ .*/, '').trim()
          assert.ok(
            lines.some(each => each.endsWith(line)),
            `${page}: ${file} has no line ${line}`,
          )
        }
        blocks++
      }
    }
    assert.ok(blocks >= 8, `${blocks} blocks`)
  })
})

describe('the repository', () => {
  it('names no registry in its lock file, so that any can be used', () => {
    const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { resolved?: string }>
    }
    const named = Object.entries(lock.packages).filter(([, { resolved }]) => resolved?.startsWith('http'))
    assert.deepEqual(
      named.map(([name]) => name),
      [],
    )
  })

  it('holds no secret: no private key, no API key, no database', () => {
    const pattern = /-----BEGIN [A-Z ]*PRIVATE KEY|sk_(live|test)_[0-9a-f]{40,}/
    for (const file of tracked) {
      assert.doesNotMatch(file, /\.(db|sqlite|pem|env)$/)
      if (/\.(png|jpg|ico|woff2)$/.test(file)) continue
      assert.doesNotMatch(readFileSync(join(root, file), 'utf8'), pattern, file)
    }
  })
})
