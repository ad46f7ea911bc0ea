// Writes what the real server says to ../captured, for the tests of the parser: `node capture.mjs`.

import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pass } from 'node:timers/promises'
import WebSocket from 'ws'
import { Rig, directory } from './start.mjs'

const TARGET = join(import.meta.dirname, '../captured')
const rig = await Rig.start(directory(), '--report-timeout', '1000', '--no-server')

// Every message as it came, and the wish to see one.
class Tap {
  heard = []
  #waiting = () => {}
  #last = 0

  // Tries until the server is up.
  static async open() {
    const tap = new Tap()
    for (;;) {
      tap.socket = new WebSocket(`ws://127.0.0.1:${rig.server}`)
      tap.socket.on('message', (data) => {
        tap.heard.push(JSON.parse(data))
        tap.#waiting()
      })
      const up = await once(tap.socket, 'open').catch(() => undefined)
      if (up) break
      await pass(20)
    }
    tap.hello = await tap.see((message) => message.type === 'version')
    return tap
  }

  async see(fits) {
    for (;;) {
      const found = this.heard.find(fits)
      if (found) return found
      await new Promise((resolve) => (this.#waiting = resolve))
    }
  }

  event(fits) {
    return this.see((message) => message.type === 'event' && fits(message.event))
  }

  call(command, fields) {
    const messageId = `m${++this.#last}`
    this.socket.send(JSON.stringify({ messageId, command, ...fields }))
    return this.see((message) => message.messageId === messageId)
  }
}

await rig.post('/server/start', { wait: false })
const tap = await Tap.open()
const at = (nodeId) => ({ nodeId, endpoint: 0 })
const credential = { credentialType: 1, credentialSlot: 3 }
const place = { userId: 3, ...credential }
const access = (id, verb, fields) => tap.call(`endpoint.access_control.${verb}`, { ...at(id), ...fields })

// What the gateway looks at in a dump, with the first two slots only.
const SHOWN = {
  98: ['currentMode', 'targetMode', 'doorStatus', 'boltStatus'],
  99: ['userCode', 'userIdStatus'],
  113: ['Access Control'],
  128: ['level'],
}
const trimmed = (message) => {
  const { driver, nodes } = message.result.state
  // It names a directory of this machine.
  delete driver.logConfig
  for (const node of nodes) {
    node.values = node.values.filter(
      ({ commandClass, property, propertyKey }) =>
        SHOWN[commandClass]?.includes(property) && !(commandClass === 99 && propertyKey > 2),
    )
  }
  return message
}

const results = {}
const errors = {}
const events = {}

errors.schema = await tap.call('initialize', { schemaVersion: 999 })
results.initialize = await tap.call('initialize', { schemaVersion: 50 })
await tap.call('start_listening')
events.interviewed = await tap.event((each) => each.event === 'interview completed' && each.nodeId === 9)
events.all_nodes_ready = await tap.event((each) => each.event === 'all nodes ready')
await rig.post('/nodes/2/code', { op: 'add', slot: 1, code: '4711', notify: false })
await access(2, 'get_credential', { credentialType: 1, credentialSlot: 1 })
const dump = trimmed(await tap.call('start_listening'))

for (const id of [2, 5]) {
  results[`capabilities_${id}`] = await access(id, 'get_credential_capabilities_cached')
  results[`user_capabilities_${id}`] = await access(id, 'get_user_capabilities_cached')
}
for (const id of [4, 7, 9]) results[`supported_${id}`] = await access(id, 'is_supported')

results.set = await access(4, 'set_credential', { ...place, data: '4711' })
events.code_added = await tap.event((each) => each.args?.event === 14)
events.user_code_value = await tap.event(
  (each) => each.args?.property === 'userCode' && each.args.propertyKey === 3,
)
events.credential_added = await tap.event((each) => each.event === 'credential added')
results.get = await access(4, 'get_credential', credential)
results.set_duplicate = await access(4, 'set_credential', {
  userId: 4,
  credentialType: 1,
  credentialSlot: 4,
  data: '4711',
})
events.code_duplicate = await tap.event((each) => each.args?.event === 15)
await access(4, 'set_credential', { ...place, data: '4712' })
events.credential_modified = await tap.event((each) => each.event === 'credential modified')
results.clear = await access(4, 'delete_credential', place)
events.code_deleted = await tap.event((each) => each.args?.event === 13)
events.credential_deleted = await tap.event((each) => each.event === 'credential deleted')
results.get_empty = await access(4, 'get_credential', credential)

await access(3, 'set_credential', { ...place, data: '4711' })
results.get_masked = await access(3, 'get_credential', credential)

const user = { userId: 3, options: { active: true, userName: 'Cleaner' } }
results.add_user = await access(5, 'add_user', { ...user, credential: { ...credential, data: '4711' } })
events.user_added = await tap.event((each) => each.event === 'user added')
results.add_user_again = await access(5, 'add_user', { ...user, credential: { ...credential, data: '4712' } })
results.add_user_duplicate = await access(5, 'add_user', {
  ...user,
  userId: 4,
  credential: { credentialType: 1, credentialSlot: 4, data: '4711' },
})
results.get_user = await access(5, 'get_user', { userId: 3 })
results.get_credential_of_user = await access(5, 'get_credential', credential)
results.remove_user = await access(5, 'delete_user', { userId: 3 })
events.user_deleted = await tap.event((each) => each.event === 'user deleted' && each.nodeId === 5)
results.get_empty_of_user = await access(5, 'get_credential', credential)

const read = { ...at(8), commandClass: 99, methodName: 'get', args: [1] }
results.cc_get = await tap.call('endpoint.invoke_cc_api', read)
await rig.fault(8, 'mute')
results.cc_get_unanswered = await tap.call('endpoint.invoke_cc_api', read)
await rig.fault(8, 'none')

const target = { commandClass: 98, endpoint: 0, property: 'targetMode' }
results.unlock = await tap.call('node.set_value', { nodeId: 7, valueId: target, value: 0 })
events.rf_unlock = await tap.event((each) => each.nodeId === 7 && each.args?.event === 4)
events.bolt = await tap.event((each) => each.nodeId === 7 && each.args?.property === 'boltStatus')
events.mode = await tap.event((each) => each.nodeId === 7 && each.args?.property === 'currentMode')

for (const event of ['manual_unlock', 'manual_lock', 'auto_lock', 'jam', 'keypad_off', 'tamper']) {
  await rig.post('/nodes/2/keypad', { event })
}
await rig.post('/nodes/2/keypad', { code: '0000' })
await rig.post('/nodes/2/keypad', { code: '4711' })
await rig.post('/nodes/6/keypad', { event: 'lock', userId: 7 })
await rig.post('/nodes/2/battery', { level: 11 })
await rig.post('/nodes/2/battery', { low: true })
const access_control = (id, event) =>
  tap.event((each) => each.nodeId === id && each.args?.type === 6 && each.args.event === event)
events.manual_lock = await access_control(2, 1)
events.manual_unlock = await access_control(2, 2)
events.auto_lock = await access_control(2, 9)
events.keypad_unlock = await access_control(2, 6)
events.keypad_lock = await access_control(6, 5)
events.jam = await tap.event((each) => each.args?.propertyKey === 'Lock state' && each.args.newValue === 11)
events.keypad_off = await tap.event(
  (each) => each.args?.propertyKey === 'Keypad state' && each.args.newValue === 16,
)
events.cover = await tap.event(
  (each) => each.args?.propertyKey === 'Cover status' && each.args.newValue === 3,
)
events.wrong_code = await tap.event((each) => each.args?.type === 7)
events.battery = await tap.event((each) => each.args?.property === 'level' && each.args.newValue === 11)
events.battery_low = await tap.event((each) => each.ccId === 128)
events.statistics = await tap.event((each) => each.event === 'statistics updated' && each.nodeId === 2)

await rig.fault(6, 'dead', { ms: 0 })
errors.not_acknowledged = await access(6, 'set_credential', { ...place, data: '4711' })
events.dead = await tap.event((each) => each.event === 'dead')
results.ping_dead = await tap.call('node.ping', { nodeId: 6 })
await rig.fault(6, 'none')
results.ping = await tap.call('node.ping', { nodeId: 6 })
events.alive = await tap.event((each) => each.event === 'alive')

errors.slot_out_of_range = await access(4, 'set_credential', {
  userId: 99,
  credentialType: 1,
  credentialSlot: 99,
  data: '4711',
})
errors.code_too_short = await access(4, 'set_credential', { ...place, data: '12' })
errors.not_supported = await tap.call('endpoint.invoke_cc_api', {
  ...at(9),
  commandClass: 99,
  methodName: 'get',
  args: [1],
})
errors.node_not_found = await access(99, 'is_supported')
errors.endpoint_not_found = await tap.call('endpoint.access_control.is_supported', { nodeId: 4, endpoint: 3 })
errors.unknown_command = await tap.call('node.sing', { nodeId: 4 })
errors.no_codes = await access(7, 'set_credential', { ...place, data: '4711' })

// One message a line.
const lines = (messages) =>
  `{\n${Object.entries(messages)
    .map(([name, message]) => `${JSON.stringify(name)}: ${JSON.stringify(message)}`)
    .join(',\n')}\n}\n`

mkdirSync(TARGET, { recursive: true })
const write = (name, text) => writeFileSync(join(TARGET, `${name}.json`), text)
write('hello', `${JSON.stringify(tap.hello)}\n`)
write(
  'dump',
  `${JSON.stringify(dump)}\n`.replaceAll(
    /\{"nodeId":\d+,"index":0,("installerIcon":0,"userIcon":0,)?"status"/g,
    '\n$&',
  ),
)
write('results', lines(results))
write('errors', lines(errors))
write('events', lines(events))
tap.socket.close()
await rig.end()
