// Mocked Z-Wave nodes, a stick that can be pulled, the real driver and server, and a port to control
// them all. README.md says how to use it. One line on stdout says that it is ready, and where.

import { createServer } from 'node:http'
import { once } from 'node:events'
import { json } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import { Mistake } from './mistake.mjs'
import { SerialPort } from './serial.mjs'
import { Server, freePort } from './server.mjs'

const HOME_ID = 0x7e570001
const KEYS = {
  S0_Legacy: '00112233445566778899aabbccddeeff',
  S2_Unauthenticated: '11112233445566778899aabbccddeeff',
  S2_Authenticated: '22112233445566778899aabbccddeeff',
  S2_AccessControl: '33112233445566778899aabbccddeeff',
}

const { values: options } = parseArgs({
  options: {
    cache: { type: 'string' },
    locks: { type: 'string', default: '0' },
    'clear-codes': { type: 'boolean', default: false },
    'report-timeout': { type: 'string', default: '5000' },
    'no-server': { type: 'boolean', default: false },
  },
})
if (!options.cache) {
  console.error('rig: --cache DIR is missing')
  process.exit(2)
}

// The rig ends with whoever started it; the server ends with the rig.
process.stdin.on('close', () => process.exit(0)).resume()
process.on('SIGTERM', () => process.exit(0))
// A driver that goes away leaves promises of the mock behind.
process.on('unhandledRejection', (error) => console.error(`rig: ${error?.message ?? error}`))

const reportTimeout = Number(options['report-timeout'])
const serial = new SerialPort()
await serial.plug()
const server = new Server({
  port: await freePort(),
  serialPath: serial.path,
  cache: options.cache,
  securityKeys: KEYS,
  queryAllUserCodes: !options['clear-codes'],
  reportTimeout,
})
if (!options['no-server']) await server.start(false)
// The mocks take as long to load as the driver does, so they load beside it.
const { mesh } = await import('./mesh.mjs')
const { locks, sent } = await mesh({
  serial,
  homeId: HOME_ID,
  securityKeys: Object.fromEntries(
    Object.entries(KEYS).map(([name, hex]) => [name, Buffer.from(hex, 'hex')]),
  ),
  moreLocks: Number(options.locks),
  reportTimeout,
})

const status = () => ({ server: server.pid ? { pid: server.pid } : null, stick: serial.plugged })

const CALLS = {
  'GET /': status,
  'POST /server/start': async ({ wait }) => (await server.start(wait), status()),
  'POST /server/kill': async () => (await server.kill(), status()),
  'POST /server/freeze': () => (server.freeze(), status()),
  'POST /server/thaw': () => (server.thaw(), status()),
  'POST /stick/unplug': async () => (await serial.unplug(), status()),
  'POST /stick/plug': async () => (await serial.plug(), status()),
  'GET /air': () => sent,
  'GET /nodes/ID/codes': (_, lock) => lock.codes(),
  'DELETE /nodes/ID/codes': async (_, lock) => (await lock.clear(), lock.codes()),
  'POST /nodes/ID/code': async (body, lock) => (await lock.changeCode(body), lock.codes()),
  'GET /nodes/ID/state': async (_, lock) => (await lock.quiet(), lock.state()),
  'GET /nodes/ID/frames': (_, lock) => lock.frames(),
  'DELETE /nodes/ID/frames': (_, lock) => (lock.resetFrames(), lock.frames()),
  'POST /nodes/ID/fault': (body, lock) => (lock.setFault(body), lock.state()),
  'POST /nodes/ID/keypad': async (body, lock) => ({ ...(await lock.keypad(body)), ...lock.state() }),
  'POST /nodes/ID/battery': async (body, lock) => (await lock.battery(body), lock.state()),
}

const answer = async (request) => {
  const id = /^\/nodes\/(\d+)\//.exec(request.url)?.[1]
  const call = CALLS[`${request.method} ${request.url.replace(/^\/nodes\/\d+\//, '/nodes/ID/')}`]
  const lock = id && locks.get(Number(id))
  if (!call || (id && !lock)) throw new Mistake(`no such call: ${request.method} ${request.url}`)
  const body = request.headers['content-length'] > 0 ? await json(request) : {}
  return call(body, lock)
}

const control = createServer(async (request, response) => {
  const [code, body] = await answer(request).then(
    (told) => [200, told],
    (error) => [error instanceof Mistake ? 400 : 500, { error: error.message }],
  )
  const text = JSON.stringify(body)
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }
  response.writeHead(code, headers).end(text)
})
control.listen(0, '127.0.0.1')
await once(control, 'listening')

if (!options['no-server']) await server.ready()
console.log(
  JSON.stringify({
    control: control.address().port,
    server: server.port,
    home_id: HOME_ID,
    nodes: [...locks.keys()],
  }),
)
