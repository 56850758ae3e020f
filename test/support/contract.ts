import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import type { OpenApiDocument } from '../../packages/server/src/contract/openapi.ts'

/** The generated documents, as a client reads them. */
const documents = ['bapi', 'fapi'].map(
  name =>
    JSON.parse(
      readFileSync(fileURLToPath(new URL(`../../openapi/${name}.json`, import.meta.url)), 'utf8'),
    ) as OpenApiDocument,
)

const ajv = new Ajv2020({ strict: false, allErrors: true })
documents.forEach((document, i) => {
  ajv.addSchema(document, `document-${i}`)
})

interface Route {
  method: string
  pattern: RegExp
  literal: boolean
  responses: Map<number, { json: (() => ValidateFunction) | undefined; page: boolean }>
}

const routes: Route[] = documents.flatMap((document, i) =>
  Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => ({
      method: method.toUpperCase(),
      pattern: new RegExp(
        `^${path
          .replaceAll('.', '\\.')
          .replace(/\{\w+_path\}/g, '.+')
          .replace(/\{\w+\}/g, '[^/]+')}$`,
      ),
      literal: !path.includes('{'),
      responses: new Map(
        Object.entries(operation.responses as Record<string, { content?: object }>).map(([status, { content }]) => [
          Number(status),
          {
            json:
              content && 'application/json' in content
                ? compiled(
                    `document-${i}#/paths/${pointer(path)}/${method}/responses/${status}/content/application~1json/schema`,
                  )
                : undefined,
            page: content !== undefined && 'text/html' in content,
          },
        ]),
      ),
    })),
  ),
)

/** Compiles a schema at its first use: there are hundreds, and a test needs few of them. */
function compiled($ref: string): () => ValidateFunction {
  let validate: ValidateFunction | undefined
  return () => (validate ??= ajv.compile({ $ref }))
}

function pointer(path: string): string {
  return encodeURIComponent(path.replaceAll('~', '~0').replaceAll('/', '~1'))
}

/**
 * Fails if the OpenAPI documents do not allow this answer to this request: another status, or another form.
 * Paths that are in neither document must be answered with 404. Files of npm packages are not part of the documents.
 */
export function assertInContract(method: string, path: string, status: number, body: unknown, isPage = false): void {
  const plain = path.split('?')[0] ?? ''
  // The console is in no document. Its own tests check its answers, and the server does so against the contract.
  if (plain === '/console' || plain.startsWith('/console/')) return
  const override =
    method === 'POST' && !plain.startsWith('/v1/users')
      ? /[?&]_method=(PATCH|PUT|DELETE)(&|$)/.exec(path)?.[1]
      : undefined
  const wanted = method === 'HEAD' ? 'GET' : (override ?? method)
  const atPath = routes.filter(route => route.pattern.test(plain))
  const literal = atPath.some(each => each.literal)
  const route = atPath.find(each => each.method === wanted && each.literal === literal)
  if (!route) {
    if (/^\/(npm\/|banner\.js$)/.test(plain) && status === 200 && ['GET', 'HEAD'].includes(method)) return
    const known = routes.some(each => each.pattern.test(plain))
    if (method === 'OPTIONS' ? [204, 400, 404].includes(status) : status === (known ? 405 : 404)) return
    // A file that the server serves in addition to the operations.
    if (/^\/(npm\/|banner\.js$)/.test(plain) && status === 405) return
    throw new Error(`${method} ${plain} is not in the contract, and was answered ${status}`)
  }
  if (!route.responses.has(status))
    throw new Error(`${method} ${plain} was answered ${status}, which the contract does not have`)
  const { json, page } = route.responses.get(status) ?? {}
  if (isPage) {
    if (page) return
    throw new Error(`${method} ${plain} was answered with a page, which the contract does not have`)
  }
  const validate = json?.()
  if (method === 'HEAD' || !validate || validate(body)) return
  throw new Error(
    `${method} ${plain} ${status} breaks the contract: ${ajv.errorsText(validate.errors)}\n${JSON.stringify(body)}`,
  )
}
