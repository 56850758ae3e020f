import { failure } from './errors.ts'

/** The address of a server, without `/v1` or a slash at its end. @throws StagedoorError `server_url_invalid` */
export function originOf(serverURL: string): string {
  const url = URL.canParse(serverURL) ? new URL(serverURL) : undefined
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || url.search || url.hash) {
    throw failure(
      'server_url_invalid',
      'serverURL is not the address of a server',
      'Give it like http://127.0.0.1:4100 or https://stagedoor.example.com, without user name, query or fragment.',
    )
  }
  return url.origin + url.pathname.replace(/\/+$/, '').replace(/\/v1$/, '')
}
