import { connect, type Socket } from 'node:net'
import { patience, until } from '../../../test/support/time.ts'

/** Sends HTTP that client libraries would not send. */

export interface Heard {
  /** Everything received. */
  text: string
  /** The status of each answer, in order. */
  statuses: number[]
  /** Whether the other side closed the connection within the timeout. */
  closed: boolean
}

/** Sends these bytes and reads until the server closes the connection or the timeout passes. */
export async function sendRaw(port: number, bytes: string | Buffer, milliseconds = patience(2_000)): Promise<Heard> {
  const peer = await rawPeer(port)
  peer.socket.write(bytes)
  await peer.closed(milliseconds)
  const heard = peer.heard()
  peer.socket.destroy()
  return heard
}

/** Sends these bytes and reads until there is an answer, even if the server keeps the connection. */
export async function askRaw(port: number, bytes: string | Buffer): Promise<Heard> {
  const peer = await rawPeer(port)
  peer.socket.write(bytes)
  await until(() => peer.heard().statuses.length > 0 || peer.heard().closed, 'there is no answer')
  const heard = peer.heard()
  peer.socket.destroy()
  return heard
}

export interface Peer {
  socket: Socket
  heard(): Heard
  /** Resolves when the server has closed the connection, or when the timeout passes. */
  closed(milliseconds: number): Promise<void>
}

export async function rawPeer(port: number): Promise<Peer> {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  let gone = false
  socket.setEncoding('latin1')
  socket.on('data', chunk => {
    text += chunk
  })
  socket.on('error', () => {})
  const close = new Promise<void>(resolve => {
    socket.once('close', () => {
      gone = true
      resolve()
    })
  })
  await new Promise(resolve => socket.once('connect', resolve))
  return {
    socket,
    heard: () => ({
      text,
      statuses: [...text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status)),
      closed: gone,
    }),
    closed: milliseconds =>
      Promise.race([close, new Promise<void>(resolve => setTimeout(resolve, milliseconds).unref())]),
  }
}
