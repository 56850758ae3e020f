import { failure } from './errors.ts'

/** Normalizes the URL of a server: removes `/v1` and trailing slashes. @throws StagedoorError `server_url_invalid` */
export function originOf(serverURL: string): string {
  const url = URL.canParse(serverURL) ? new URL(serverURL) : undefined
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || url.search || url.hash) {
    throw failure(
      'server_url_invalid',
      'serverURL is not the address of a server',
      'Use a URL like http://127.0.0.1:4100 or https://stagedoor.example.com, without user name, query or fragment.',
    )
  }
  return url.origin + url.pathname.replace(/\/+$/, '').replace(/\/v1$/, '')
}
