// Serves worker.js on Node. Other platforms need only worker.js.
import { serve } from '@hono/node-server'
import worker from './worker.js'

const { PORT = '3000' } = process.env
const server = serve({ fetch: worker.fetch, port: Number(PORT), hostname: '127.0.0.1' }, ({ port }) => {
  console.log(`http://127.0.0.1:${port}`)
})
process.on('SIGTERM', () => server.close())
