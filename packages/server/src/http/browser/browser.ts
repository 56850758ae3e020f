import type { ClientClaims } from '../../domain/context.ts'

/** The browser that sent a request: its page, its route to this server, and its client. */
export interface Browser {
  /** Origin of the page that sent the request, if it is an allowed one. */
  origin: string | undefined
  /** URL at which the browser reaches this server. Behind Clerk's proxy, it is an address of the app. */
  serverURL: string
  /** How the browser presents its client token. */
  clientToken: ClientToken
  /** The claims of every presented client token that this server signed, in the order of the cookies. */
  presented: readonly ClientClaims[]
  /** Sets the cookie that tells the app's server when the client last changed, in seconds; 0 means signed out. */
  setClientUat(clientUat: number): void
}

/** How a browser sends its client token, and receives a new one. */
export interface ClientToken {
  kind: 'cookie' | 'header'
  /** Every token in the request. There may be several, because another site of the domain can set a cookie too. */
  presented: string[]
  keep(token: string): void
  forget(): void
}
