// Checks the rig itself with a raw client, each kind of node and each switch once: `node check.mjs`.
// What the answers are is what the driver of lockbridge may rely on.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, beforeEach, describe, test } from 'node:test'
import { Rig, directory } from './start.mjs'

const PIN = 1
const ENABLED = 1
const SECURED = 255
const UNSECURED = 0

const until = async (holds, what, seconds = 60) => {
  const deadline = Date.now() + seconds * 1000
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, `${what}: not within ${seconds} s`)
    await new Promise((again) => setTimeout(again, 20))
  }
}

const at = (nodeId) => ({ nodeId, endpoint: 0 })

// The unified API, as the gateway uses it.
const access = (client, id) => {
  const call = (verb, fields) => client.result(`endpoint.access_control.${verb}`, { ...at(id), ...fields })
  const place = (slot) => ({ userId: slot, credentialType: PIN, credentialSlot: slot })
  return {
    supported: async () => (await call('is_supported')).supported,
    capabilities: async () =>
      (await call('get_credential_capabilities_cached')).capabilities.supportedCredentialTypes[PIN],
    change: async (slot, data) => (await call('set_credential', { ...place(slot), data })).result,
    set: async (slot, data) => {
      if (id !== 5) return (await call('set_credential', { ...place(slot), data })).result
      const credential = { credentialType: PIN, credentialSlot: slot, data }
      const { result } = await call('add_user', {
        userId: slot,
        options: { active: true, userName: 'Guest' },
        credential,
      })
      return result.credential
    },
    get: async (slot) =>
      (await call('get_credential', { credentialType: PIN, credentialSlot: slot })).credential?.data,
    clear: async (slot) => (await call('delete_credential', place(slot))).result,
    removeUser: async (slot) => (await call('delete_user', { userId: slot })).result,
  }
}

const notified = (client, id, event, from, type = 6) =>
  client.event(
    (each) =>
      each.event === 'notification' &&
      each.nodeId === id &&
      each.args.type === type &&
      each.args.event === event,
    from,
  )

const updated = (client, id, property, newValue, from) =>
  client.event(
    (each) =>
      each.event.startsWith('value ') &&
      each.nodeId === id &&
      [each.args.propertyKey, each.args.property].includes(property) &&
      each.args.newValue === newValue,
    from,
  )

// Longer than any of it takes; what hangs shall say so.
const PATIENCE = { timeout: 580_000 }

describe('one server, all nodes', PATIENCE, () => {
  let rig
  let client
  let state

  before(async () => {
    rig = await Rig.start(directory(), '--locks', '2')
    client = await rig.connect()
    state = await client.listen()
  })

  after(async () => {
    await client.close()
    await rig.end()
  })

  beforeEach(async () => {
    for (const id of rig.nodes) await rig.fault(id, 'none')
  })

  // Leaves a lock empty whatever the test before left there, and the driver knows.
  const emptied = async (id) => {
    const codes = access(client, id)
    for (const { slot, user } of await rig.codes(id)) {
      assert.equal(await (user ? codes.removeUser(user) : codes.clear(slot)), 0)
    }
    return codes
  }

  test('the first words and the dump', () => {
    assert.deepEqual(client.hello, {
      type: 'version',
      homeId: rig.home_id,
      driverVersion: '15.29.0',
      serverVersion: '3.10.2',
      minSchemaVersion: 0,
      maxSchemaVersion: 50,
    })
    const nodes = Object.fromEntries(
      state.nodes.map((node) => [
        node.nodeId,
        [node.ready, node.status, node.isSecure, node.highestSecurityClass, node.name, node.location],
      ]),
    )
    assert.deepEqual(nodes, {
      1: [true, 4, undefined, undefined, undefined, undefined],
      2: [true, 4, true, 7, 'Front door', 'Hall'],
      3: [true, 4, true, 2, 'Back door', 'Yard'],
      4: [true, 4, true, 2, 'Cellar', ''],
      5: [true, 4, true, 2, 'Office', ''],
      6: [true, 4, true, 2, 'Suite', 'First floor'],
      7: [true, 4, true, 2, 'Gate', ''],
      8: [true, 4, false, -1, undefined, undefined],
      9: [true, 4, false, -1, 'Lamp', ''],
      10: [true, 4, true, 2, 'Room 10', ''],
      11: [true, 4, true, 2, 'Room 11', ''],
    })
  })

  test('who takes codes, and how many', async () => {
    const slots = {}
    for (const id of rig.nodes) {
      const codes = access(client, id)
      if (await codes.supported()) slots[id] = (await codes.capabilities()).numberOfCredentialSlots
    }
    assert.deepEqual(slots, { 2: 20, 3: 20, 4: 30, 5: 30, 6: 30, 8: 20, 10: 30, 11: 30 })
  })

  for (const id of [2, 4, 5, 6, 8, 10]) {
    test(`node ${id}: a code is set, read, and cleared`, async () => {
      const codes = await emptied(id)
      await rig.call('DELETE', `/nodes/${id}/frames`)
      assert.equal(await codes.set(3, '4711'), 0)
      const who = id === 5 ? { user: 3, name: 'Guest' } : {}
      assert.deepEqual(await rig.codes(id), [{ slot: 3, code: '4711', status: ENABLED, ...who }])
      assert.equal(await codes.get(3), '4711')
      assert.deepEqual(
        await rig.post(`/nodes/${id}/keypad`, { code: '4711' }).then((door) => [door.opened, door.locked]),
        [true, false],
      )
      assert.equal((await rig.post(`/nodes/${id}/keypad`, { code: '4712' })).opened, false)
      assert.equal(await codes.clear(3), 0)
      assert.deepEqual(await rig.codes(id), [])
      const { sets, clears, clear_alls } = await rig.get(`/nodes/${id}/frames`)
      assert.deepEqual([sets, clears, clear_alls], [1, 1, undefined])
    })
  }

  test('node 2 takes four digits and nothing else, without a word', async () => {
    const codes = await emptied(2)
    const from = client.events.length
    assert.equal(await codes.set(1, '12345'), 255)
    assert.equal(await codes.set(1, '1234'), 0)
    assert.equal(await codes.set(2, '1234'), 255, 'another slot has it')
    assert.deepEqual(await rig.codes(2), [{ slot: 1, code: '1234', status: ENABLED }])
    assert.ok(!client.events.slice(from).some((each) => each.event === 'notification'))
  })

  test('node 3 shows asterisks, and the driver takes them for proof', async () => {
    const codes = await emptied(3)
    assert.equal(await codes.set(1, '4711'), 0)
    assert.equal(await codes.get(1), '**********')
    await rig.fault(3, 'refuse')
    assert.equal(await codes.set(1, '4712'), 0, 'the old code is still there')
    assert.deepEqual(await rig.codes(3), [{ slot: 1, code: '4711', status: ENABLED }])
  })

  test('node 5 says why it refuses', async () => {
    const codes = await emptied(5)
    assert.equal(await codes.set(1, '4711'), 0)
    assert.equal(await codes.set(2, '4711'), 3)
    assert.equal(await codes.removeUser(2), 0)
    await rig.fault(5, 'refuse', { count: 1 })
    assert.equal(await codes.set(2, '4712'), 4)
    assert.equal(await codes.removeUser(2), 0)
    assert.equal(await codes.set(2, '4712'), 0)
    assert.equal(await codes.removeUser(2), 0, 'a user takes its codes along')
    assert.deepEqual(
      (await rig.codes(5)).map((row) => row.slot),
      [1],
    )
  })

  test('node 5: the driver changes what it believes is there, and adds what it believes is not', async () => {
    const codes = await emptied(5)
    assert.equal(await codes.set(1, '4711'), 0)
    await rig.post('/nodes/5/code', { op: 'remove', slot: 1, notify: false })
    assert.equal(await codes.set(1, '4712'), 2, 'a change of an empty place')
    assert.ok(!(await codes.get(1)))
    assert.equal(await codes.change(1, '4712'), 0, 'the read told it')
    await emptied(5)
    await rig.post('/nodes/5/code', { op: 'add', slot: 1, code: '4711', notify: false })
    assert.equal(await codes.change(1, '4712'), 1, 'an addition to a place that is taken')
    assert.equal(await codes.get(1), '4711')
    assert.equal(await codes.change(1, '4712'), 0)
  })

  test('locks that tell, tell', async () => {
    const codes = await emptied(6)
    const from = client.events.length
    await codes.set(1, '4711')
    assert.deepEqual((await notified(client, 6, 14, from)).args.parameters, { userId: 1 })
    assert.equal(await codes.set(2, '4711'), 255)
    assert.deepEqual((await notified(client, 6, 15, from)).args.parameters, { userId: 2 })
    await codes.clear(1)
    assert.deepEqual((await notified(client, 6, 13, from)).args.parameters, { userId: 1 })
  })

  test('a clear without a slot erases everything and is counted apart', async () => {
    for (const id of [2, 4]) {
      await emptied(id)
      await rig.post(`/nodes/${id}/code`, { op: 'add', slot: 7, code: '4711', notify: false })
      await rig.call('DELETE', `/nodes/${id}/frames`)
      await client.result('endpoint.invoke_cc_api', {
        ...at(id),
        commandClass: 99,
        methodName: 'clear',
        args: [],
      })
      assert.deepEqual(await rig.codes(id), [])
      assert.equal((await rig.get(`/nodes/${id}/frames`)).clear_alls, 1)
    }
  })

  test('ignore and corrupt: noticed where the driver reads back, not where it trusts Supervision', async () => {
    const results = {}
    for (const id of [2, 4, 5, 6]) {
      const codes = await emptied(id)
      await rig.fault(id, 'ignore', { count: 1 })
      const ignored = await codes.set(1, '4711')
      assert.deepEqual(await rig.codes(id), [])
      assert.ok(!(await codes.get(1)))
      // The user was added; it is the code that was not kept.
      if (id === 5) await codes.removeUser(1)
      await rig.fault(id, 'corrupt', { count: 1 })
      const corrupted = await codes.set(2, '4711')
      assert.deepEqual(
        (await rig.codes(id)).map((row) => [row.slot, row.code]),
        [[2, '4712']],
      )
      assert.equal(await codes.get(2), '4712')
      await rig.fault(id, 'ignore', { count: 1 })
      results[id] = [ignored, corrupted, await codes.clear(2)]
      assert.equal((await rig.codes(id)).length, 1, 'still there')
    }
    assert.deepEqual(results, { 2: [255, 255, 255], 4: [255, 255, 255], 5: [0, 0, 0], 6: [0, 0, 0] })
  })

  test('refuse', async () => {
    const results = {}
    for (const id of [2, 4, 5, 6]) {
      const codes = await emptied(id)
      await rig.post(`/nodes/${id}/code`, { op: 'add', slot: 1, code: '4711', notify: false })
      await rig.fault(id, 'refuse')
      results[id] = [await codes.set(2, '4712'), await codes.clear(1)]
      assert.deepEqual(
        (await rig.codes(id)).map((row) => row.code),
        ['4711'],
      )
    }
    assert.deepEqual(results, { 2: [255, 255], 4: [255, 255], 5: [4, 4], 6: [255, 255] })
  })

  test('drop_after: there when it is read, gone when it is read again', async () => {
    for (const id of [5, 6]) {
      const codes = await emptied(id)
      await rig.fault(id, 'drop_after', { count: 1, reads: 1 })
      assert.equal(await codes.set(1, '4711'), 0)
      assert.equal(await codes.get(1), '4711')
      assert.ok(!(await codes.get(1)))
      assert.deepEqual(await rig.codes(id), [])
    }
  })

  test('dead: 204 after three tries, each time; the next answer makes it alive', async () => {
    const codes = await emptied(6)
    const from = client.events.length
    await rig.fault(6, 'dead', { count: 7 })
    await rig.call('DELETE', '/nodes/6/frames')
    for (const _ of [1, 2]) {
      const told = await client.call('endpoint.access_control.set_credential', {
        ...at(6),
        userId: 1,
        credentialType: PIN,
        credentialSlot: 1,
        data: '4711',
      })
      assert.equal(told.zwaveErrorCode, 204)
    }
    assert.equal((await client.result('node.ping', { nodeId: 6 })).responded, false)
    await client.event((each) => each.event === 'dead' && each.nodeId === 6, from)
    assert.deepEqual(await rig.get('/nodes/6/frames'), { unheard: 7 })
    assert.equal(
      (await rig.get('/nodes/6/state')).fault,
      'none',
      'two writes of three tries, and a ping of one',
    )
    assert.equal((await client.result('node.ping', { nodeId: 6 })).responded, true)
    await client.event((each) => each.event === 'alive' && each.nodeId === 6, from)
    assert.equal(await codes.set(1, '4711'), 0)
  })

  test('dead for one frame is healed by the next try', async () => {
    const codes = await emptied(4)
    await rig.fault(4, 'dead', { count: 1, ms: 0 })
    assert.equal(await codes.set(1, '4711'), 0)
  })

  test('mute: carried out, and no word of it', async () => {
    const codes = await emptied(4)
    const supervised = await emptied(6)
    await rig.fault(4, 'mute')
    await rig.fault(6, 'mute')
    const read = { ...at(4), commandClass: 99, methodName: 'get', args: [1] }
    assert.deepEqual(await client.result('endpoint.invoke_cc_api', read), {})
    const told = [await codes.set(1, '4711'), await supervised.set(1, '4711')]
    assert.deepEqual(told, [255, 255])
    assert.deepEqual(
      (await rig.codes(4)).map((row) => row.code),
      ['4711'],
    )
    assert.deepEqual(
      (await rig.codes(6)).map((row) => row.code),
      ['4711'],
    )
  })

  test('slow answers still count; a late one comes as an event', async () => {
    const codes = await emptied(8)
    await rig.fault(8, 'slow', { ms: 100 })
    assert.equal(await codes.set(1, '4711'), 0)
    await rig.fault(8, 'late', { count: 1 })
    const from = client.events.length
    const read = { ...at(8), commandClass: 99, methodName: 'get', args: [1] }
    assert.deepEqual(await client.result('endpoint.invoke_cc_api', read), {})
    await updated(client, 8, 1, '4711', from)
  })

  test('duplicate: each event twice, unless the encryption tells that it is the same', async () => {
    for (const [id, times] of [
      [2, 1],
      [6, 1],
      [8, 2],
    ]) {
      const from = client.events.length
      await rig.fault(id, 'duplicate', { count: 2 })
      await rig.post(`/nodes/${id}/keypad`, { userId: 9 })
      await rig.post(`/nodes/${id}/keypad`, { userId: 10 })
      await client.event((each) => each.nodeId === id && each.args?.parameters?.userId === 10, from)
      const nines = client.events
        .slice(from)
        .filter((each) => each.nodeId === id && each.args?.parameters?.userId === 9)
      assert.equal(nines.length, times, `node ${id}`)
    }
  })

  test('what happens at the door', async () => {
    for (const id of [2, 5, 7]) {
      const from = client.events.length
      for (const [event, number] of [
        ['manual_unlock', 2],
        ['manual_lock', 1],
        ['auto_lock', 9],
      ]) {
        const door = await rig.post(`/nodes/${id}/keypad`, { event })
        assert.equal(door.locked, event !== 'manual_unlock')
        await notified(client, id, number, from)
      }
      await rig.post(`/nodes/${id}/keypad`, { event: 'lock', userId: 4 })
      assert.deepEqual((await notified(client, id, 5, from)).args.parameters, { userId: 4 })
      await rig.post(`/nodes/${id}/keypad`, { code: '0000' })
      await notified(client, id, 4, from, 7)
      assert.equal((await rig.post(`/nodes/${id}/keypad`, { event: 'jam' })).jammed, true)
      await updated(client, id, 'Lock state', 11, from)
      await rig.post(`/nodes/${id}/keypad`, { event: 'keypad_off' })
      await updated(client, id, 'Keypad state', 16, from)
      await rig.post(`/nodes/${id}/keypad`, { event: 'tamper' })
      await updated(client, id, 'Cover status', 3, from)
      await rig.post(`/nodes/${id}/battery`, { level: 11 })
      await updated(client, id, 'level', 11, from)
      await rig.post(`/nodes/${id}/battery`, { low: true })
      const low = await client.event((each) => each.nodeId === id && each.ccId === 128, from)
      assert.deepEqual([low.event, low.args], ['notification', { eventType: 'battery low', urgency: 1 }])
    }
  })

  test('a code changed at the lock, told and untold', async () => {
    for (const id of [2, 4, 5]) {
      await emptied(id)
      const from = client.events.length
      await rig.post(`/nodes/${id}/code`, { op: 'add', slot: 5, code: '1111' })
      assert.deepEqual((await notified(client, id, 14, from)).args.parameters, { userId: 5 })
      await rig.post(`/nodes/${id}/code`, { op: 'change', slot: 5, code: '2222', notify: false })
      assert.equal(await access(client, id).get(5), '2222')
      await rig.post(`/nodes/${id}/code`, { op: 'remove', slot: 5 })
      assert.deepEqual((await notified(client, id, 13, from)).args.parameters, { userId: 5 })
      const notes = client.events
        .slice(from)
        .filter((each) => each.event === 'notification' && each.nodeId === id)
      assert.equal(notes.length, 2)
    }
  })

  test('the bolt, by radio', async () => {
    for (const id of [2, 7]) {
      await rig.post(`/nodes/${id}/keypad`, { event: 'manual_lock' })
      const from = client.events.length
      const move = (value) =>
        client.result('node.set_value', {
          nodeId: id,
          valueId: { commandClass: 98, endpoint: 0, property: 'targetMode' },
          value,
        })
      await move(UNSECURED)
      await notified(client, id, 4, from)
      assert.equal((await rig.get(`/nodes/${id}/state`)).locked, false)
      await move(SECURED)
      await notified(client, id, 3, from)
      assert.equal((await rig.get(`/nodes/${id}/state`)).locked, true)
    }
  })

  test('a call that makes no sense is refused with its reason', async () => {
    for (const [method, path, body] of [
      ['GET', '/nodes/99/codes'],
      ['GET', '/nodes/7/codes'],
      ['POST', '/nodes/4/fault', { kind: 'sulk' }],
      ['POST', '/nodes/9/keypad', {}],
    ]) {
      await assert.rejects(rig.call(method, path, body), /no such call|no codes|fault kinds|no lock/)
    }
  })
})

describe('server and stick come and go', PATIENCE, () => {
  let cache
  let rig

  before(async () => {
    cache = directory()
    rig = await Rig.start(cache)
  })

  after(() => rig.end())

  const survives = async (id, slot) => {
    const codes = await rig.codes(id)
    assert.ok(codes.some((row) => row.slot === slot))
    assert.equal((await rig.get(`/nodes/${id}/frames`)).clear_alls, undefined)
  }

  test('killed and started again, the server forgets nothing and erases nothing', async () => {
    const first = await rig.connect()
    await first.listen()
    for (const id of [2, 5, 6]) assert.equal(await access(first, id).set(1, '4711'), 0)
    const { server } = await rig.post('/server/kill')
    assert.equal(server, null)
    await first.closed
    await assert.rejects(rig.connect())
    await rig.post('/server/start')
    const second = await rig.connect()
    const state = await second.listen()
    assert.ok(state.driver.allNodesReady)
    for (const id of [2, 5, 6]) {
      await survives(id, 1)
      assert.equal(await access(second, id).get(1), '4711')
    }
    await second.close()
  })

  test('the first word of a secure lock reaches a driver that was started anew', async () => {
    await rig.post('/server/kill')
    await rig.post('/server/start')
    const client = await rig.connect()
    await client.listen()
    for (const id of [2, 5, 6, 7]) {
      await rig.post(`/nodes/${id}/keypad`, { userId: 3 })
      await notified(client, id, 6, 0)
    }
    await client.close()
  })

  test('frozen, it says nothing; thawed, it goes on', async () => {
    const client = await rig.connect()
    await client.listen()
    await rig.post('/server/freeze')
    const answer = client.call('controller.get_state')
    const silent = Symbol()
    assert.equal(
      await Promise.race([answer, new Promise((done) => setTimeout(() => done(silent), 300))]),
      silent,
    )
    await rig.post('/server/thaw')
    assert.ok((await answer).success)
    await client.close()
  })

  test('unplugged, the server closes its clients; plugged again, it takes them again', async () => {
    const client = await rig.connect()
    await client.listen()
    await rig.post('/stick/unplug')
    // Mostly 202; sometimes nothing but the end of the connection, and sometimes 322, as if the slot were wrong.
    const told = await client
      .call('endpoint.access_control.get_credential', {
        ...at(6),
        credentialType: PIN,
        credentialSlot: 1,
      })
      .catch(() => ({ success: false }))
    assert.equal(told.success, false)
    await client.closed
    await rig.post('/stick/plug')
    let again
    await until(async () => (again = await rig.connect().catch(() => undefined)), 'the server takes clients')
    const state = await again.listen()
    if (!state.driver.allNodesReady) await again.event((each) => each.event === 'all nodes ready')
    await survives(6, 1)
    assert.equal(await access(again, 6).get(1), '4711')
    await again.close()
  })

  test('unplugged and back at once, clients notice nothing', async () => {
    const client = await rig.connect()
    await client.listen()
    await rig.post('/stick/unplug')
    await rig.post('/stick/plug')
    await until(async () => (await client.result('node.ping', { nodeId: 6 })).responded, 'node 6 answers')
    assert.equal(await access(client, 6).get(1), '4711')
    await client.close()
  })
})

describe('the first meeting', PATIENCE, () => {
  for (const [args, left] of [
    [[], 1],
    [['--clear-codes'], 0],
  ]) {
    test(`with [${args}] leaves ${left} code of before`, async (t) => {
      const rig = await Rig.start(directory(), '--no-server', ...args)
      t.after(() => rig.end())
      for (const id of [2, 4, 6]) await rig.post(`/nodes/${id}/code`, { op: 'add', slot: 1, code: '4711' })
      await rig.post('/server/start')
      for (const id of [2, 4, 6]) assert.equal((await rig.codes(id)).length, left, `node ${id}`)
    })
  }
})

describe('the end', PATIENCE, () => {
  const alive = (pid) => {
    try {
      return process.kill(pid, 0)
    } catch {
      return false
    }
  }

  for (const [how, end] of [
    ['its stdin closes', (rig) => rig.child.stdin.end()],
    ['SIGTERM', (rig) => rig.child.kill('SIGTERM')],
    ['SIGKILL', (rig) => rig.child.kill('SIGKILL')],
  ]) {
    test(`${how}: nothing is left behind`, async () => {
      const rig = await Rig.start(directory(), '--no-server')
      await rig.post('/server/start', { wait: false })
      const { server } = await rig.get('/')
      end(rig)
      await once(rig.child, 'exit')
      await until(() => !alive(server.pid), 'the server is gone', 10)
    })
  }
})
