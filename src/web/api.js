// The gateway's API: calls, and the events as they happen.

// Longer than that no call takes, however busy the gateway is.
const PATIENCE = 20000
// The stream shows a sign of life every 15 seconds: after three times that the line is dead.
const DEAD = 45000

// A refusal, or an answer that did not come. Shown to people as it is.
class Refused extends Error {
  constructor(status, error, after) {
    super(error.message)
    this.status = status
    this.type = error.type
    const reasons = error.data?.reasons ?? []
    const fields = Object.entries(error.validation_errors ?? {})
    this.details = [
      ...reasons.map(({ device_id: id, message, hint }) => [id && `${called(id)}:`, message, hint].filter(Boolean).join(' ')),
      ...fields.flatMap(([name, { _errors: errors }]) => (errors ?? []).map((text) => `${name}: ${text}`)),
      after && `Try again in ${after} seconds.`,
    ].filter(Boolean)
  }
}

// What devices are called, for refusals that name them by their id.
const names = new Map()
export const called = (id) => names.get(id) ?? 'A door'
export const remember = (doors) => doors.forEach(({ device_id: id, name }) => names.set(id, name))

const AWAY = {
  type: 'away',
  message: 'The gateway does not answer. Are you on its network, and is it switched on?',
}

let signedOut = () => {}
export const whenSignedOut = (deed) => (signedOut = deed)

export const call = async (method, path, body, headers) => {
  let answer, told
  try {
    answer = await fetch(path, {
      method,
      headers: { 'content-type': 'application/json', ...headers },
      body: method === 'GET' ? undefined : JSON.stringify(body ?? {}),
      cache: 'no-store',
      signal: AbortSignal.timeout(PATIENCE),
    })
    told = await answer.json()
  } catch {
    throw new Refused(0, answer ? { ...AWAY, message: `The gateway's answer was cut short (${answer.status}).` } : AWAY)
  }
  if (answer.ok) return told
  const refusal = new Refused(
    answer.status,
    told.error ?? { message: `The gateway answered ${answer.status}.` },
    answer.headers.get('retry-after'),
  )
  if (answer.status === 401 && path !== SESSION) signedOut()
  throw refusal
}

export const SESSION = '/lockbridge/v1/session'
export const OURS = '/lockbridge/v1'

export const get = (path) => call('GET', path)
export const post = (path, body, headers) => call('POST', path, body, headers)

// A name for a request, so that its repeat is no second one. Not `randomUUID`, which browsers keep
// from pages without TLS.
export const onceOnly = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16)).join('-')

// Follows the events, over cut lines, until it is stopped. Not an EventSource: that one neither
// notices a line that died silently nor tells events of kinds that it was not told of.
export const follow = (heard, isLive) => {
  const stop = new AbortController()
  let after = null
  const read = async () => {
    const line = new AbortController()
    const cut = () => line.abort()
    stop.signal.addEventListener('abort', cut)
    let watch = setTimeout(cut, DEAD)
    try {
      const path = after === null ? `${OURS}/stream` : `${OURS}/stream?after=${after}`
      const answer = await fetch(path, { cache: 'no-store', signal: line.signal })
      if (answer.status === 401) return signedOut()
      if (!answer.ok) return
      isLive(true)
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
      let text = ''
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return
        clearTimeout(watch)
        watch = setTimeout(cut, DEAD)
        const messages = (text + value).split('\n\n')
        text = messages.pop()
        for (const message of messages) {
          const part = (name) => message.match(new RegExp(`^${name}: ?(.*)$`, 'm'))?.[1]
          after = part('id') ?? after
          const data = part('data')
          if (data) heard(JSON.parse(data))
        }
      }
    } catch {
      // The line was cut. The next one begins where this one ended.
    } finally {
      clearTimeout(watch)
      stop.signal.removeEventListener('abort', cut)
    }
  }
  const go = async () => {
    for (let wait = 1000; !stop.signal.aborted; wait = Math.min(2 * wait, 15000)) {
      const since = Date.now()
      await read()
      if (stop.signal.aborted) return
      isLive(false)
      if (Date.now() - since > 30000) wait = 1000
      await new Promise((resolve) => setTimeout(resolve, wait))
    }
  }
  go()
  return () => stop.abort()
}
