/** A TCP proxy that loses answers or switches to another target. */
import { connect, createServer, type Socket } from 'node:net'

export interface LossyProxy extends AsyncDisposable {
  port: number
  /** Whether answers are lost: the request arrives, and the connection breaks when the answer comes. */
  loses: boolean
  /** Switches to this target and closes open connections. */
  turn(target: { port: number }): void
}

export async function lossyProxy(to: { port: number }): Promise<LossyProxy> {
  let target = to
  const open = new Set<Socket>()
  const server = createServer(client => {
    const upstream = connect({ port: target.port, host: '127.0.0.1' })
    for (const socket of [client, upstream]) {
      open.add(socket)
      socket.on('error', () => {})
      socket.once('close', () => {
        open.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    client.pipe(upstream)
    upstream.on('data', chunk => {
      if (proxy.loses) client.destroy()
      else client.write(chunk)
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const proxy: LossyProxy = {
    port: (server.address() as { port: number }).port,
    loses: true,
    turn(next) {
      target = next
      for (const socket of open) socket.destroy()
    },
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  }
  return proxy
}
