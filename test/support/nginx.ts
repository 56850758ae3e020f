/** A real nginx in front of the servers of a test, with its default limits. */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from './time.ts'

const NGINX = ['/usr/sbin/nginx', '/usr/local/bin/nginx', '/opt/homebrew/bin/nginx'].find(path => existsSync(path))

/** Why the tests with nginx are skipped, or false. */
export const noNginx = NGINX === undefined && 'nginx is not installed (apt-get install nginx-light)'

export interface Nginx extends AsyncDisposable {
  accessLog(): string
}

/**
 * @param ports each port it listens on with the port behind it; or several ports behind it, as in docs/guides/postgresql.md
 * @param settings more lines of its `http` block
 * @param prefix a path under which it serves, and which it strips
 */
export async function startNginx(ports: Record<number, number | number[]>, settings = '', prefix = ''): Promise<Nginx> {
  const folder = mkdtempSync(join(tmpdir(), 'stagedoor-nginx-'))
  const servers = Object.entries(ports).map(
    ([port, behind]) => `upstream nodes_${port} {
      ${[behind]
        .flat()
        .map(each => `server 127.0.0.1:${each} max_fails=0;`)
        .join(' ')}
      ${Array.isArray(behind) ? 'keepalive 32; keepalive_timeout 8s;' : ''}
    }
    server {
      listen 127.0.0.1:${port};
      location ${prefix}/ {
        proxy_pass http://nodes_${port}${prefix === '' ? '' : '/'}; proxy_set_header Host $http_host;
        ${Array.isArray(behind) ? 'proxy_http_version 1.1; proxy_set_header Connection "";' : ''}
      }
    }`,
  )
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(kind => `${kind}_temp_path ${folder};`)
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log;
    events {}
    http { access_log ${folder}/access.log; ${temporary.join(' ')} ${settings} ${servers.join('\n')} }`,
  )
  const child = spawn(NGINX ?? '', ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')], {
    stdio: 'ignore',
  })
  await Promise.all(Object.keys(ports).map(port => answers(Number(port))))
  return {
    accessLog: () => readFileSync(join(folder, 'access.log'), 'utf8'),
    async [Symbol.asyncDispose]() {
      const ended = new Promise(resolve => child.once('close', resolve))
      child.kill('SIGKILL')
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function answers(port: number): Promise<boolean> {
  const connects = () =>
    new Promise<boolean>(resolve => {
      const socket = connect(port, '127.0.0.1')
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
      socket.unref()
    })
  return until(connects, `nginx does not listen on ${port}`)
}
