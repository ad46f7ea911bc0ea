// What every scenario needs: the SDK's client, words to insist with, and hands on the locks.
//
// Endpoint and keys come in the environment, where no list of processes shows them.

import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'

const { ENDPOINT, GATEWAY, KEY, VERSION } = process.env

const home = new URL(`./node_modules/seam-${VERSION}/`, import.meta.url)
const { version } = JSON.parse(readFileSync(new URL('package.json', home), 'utf8'))
if (version !== VERSION) throw new Error(`installed is ${version}`)

export const sdk = await import(`seam-${VERSION}`)
export const today = VERSION === '1.245.0'

export const FRONT = '8e94044d-a4d1-4691-9f7e-e97d3e8a0b73'
export const BACK = 'd87eea5d-71c6-4633-a966-396c5ac51177'
export const CELLAR = '11111111-0000-4000-8000-000000000001'
export const SAFE = '11111111-0000-4000-8000-000000000002'
export const NOBODY = '99999999-0000-4000-8000-000000000009'

export const client = (apiKey = KEY, options = {}) =>
  new sdk.Seam({ apiKey, endpoint: ENDPOINT, ...options })

export const insist = (holds, what, told) => {
  if (!holds) throw new Error(`${what}; told: ${JSON.stringify(told)}`)
}

export const same = (got, wanted, what) =>
  insist(isDeepStrictEqual(got, wanted), `${what}: not ${JSON.stringify(wanted)}`, got)

// Insists that the SDK throws its own error, and returns it.
export const refused = async (what, call, code, status, says, kind = 'SeamHttpApiError') => {
  let told
  try {
    told = await call()
  } catch (error) {
    insist(error.constructor === sdk[kind], `${what}: ${error}: not a ${kind}`, error.name)
    same([error.code, error.statusCode], [code, status], `${what}: ${error}: type and status`)
    insist(error.message.includes(says), `${what}: the message does not say \`${says}\``, error.message)
    insist(error.requestId, `${what}: no request id`)
    return error
  }
  throw new Error(`${what}: not refused; told: ${JSON.stringify(told)}`)
}

// One call by plain HTTP, at the gateway itself.
export const http = async (method, path, body, key = KEY) => {
  const headers = key ? { authorization: `Bearer ${key}` } : {}
  if (body != null) headers['content-type'] = 'application/json'
  const answer = await fetch(`http://${GATEWAY}${path}`, {
    method,
    headers,
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(60_000),
  })
  const told = await answer.json()
  insist(answer.status === 200 && told.ok === true, `${method} ${path}`, told)
  return told
}

const SIM = '/lockbridge/v1/sim'

// Moves simulated time on; all that falls due on the way is done.
export const advance = (seconds) => http('POST', `${SIM}/clock`, { advance_s: seconds })

// The gateway's own time, in whole seconds, so many from now.
export const time = async (seconds) => {
  const { now } = await http('GET', `${SIM}/clock`)
  return new Date((Math.floor(Date.parse(now) / 1000) + seconds) * 1000).toISOString()
}

export const fault = (device, kind) => http('POST', `${SIM}/devices/${device}/fault`, kind)

// The truth about a lock.
export const lock = (device) => http('GET', `${SIM}/devices/${device}/table`)

export const pins = async (device) => (await lock(device)).codes.map((row) => row.code).sort()

export const opens = async (device, code) =>
  (await http('POST', `${SIM}/devices/${device}/keypad`, { code })).opened

export const words = (objects, key) => objects.map((one) => one[key])

export const play = async (scenario) => {
  await scenario()
  console.log('played to the end')
}
