// Every refusal is the SDK's own error, says what is wrong, and changes nothing.

import {
  BACK, CELLAR, FRONT, NOBODY, SAFE, advance, client, insist, play, refused, same, time, words,
} from './stage.mjs'

const seam = client()
const codes = seam.accessCodes
const create = (what) => () => codes.createMultiple({ device_ids: [FRONT, BACK], ...what })

const everything = async () => {
  const all = []
  for (const device_id of [FRONT, BACK, CELLAR, SAFE]) {
    for (const code of await codes.list({ device_id }))
      all.push([code.access_code_id, code.code, code.name, code.starts_at, code.ends_at])
  }
  return all
}

const invalidInput = async () => {
  const [soon, later, past] = [await time(3600), await time(7200), await time(-3600)]
  const report = (what) => () => codes.reportDeviceConstraints({ device_id: CELLAR, ...what })
  for (const [what, call, field, says] of [
    ['no devices', create({ device_ids: [] }), 'device_ids', 'at least 1'],
    ['a device twice', create({ device_ids: [FRONT, BACK, FRONT] }), 'device_ids', FRONT],
    ['no UUID', create({ device_ids: ['the front door'] }), 'device_ids', 'the front door'],
    ['letters', create({ code: '12a4' }), 'code', '4 to 12 digits'],
    ['too short', create({ code: '123' }), 'code', '4 to 12 digits'],
    ['too long', create({ code: '1234567890123' }), 'code', '4 to 12 digits'],
    ['a number', create({ code: 1234 }), 'code', 'must be a string'],
    ['not for these locks', create({ code: '1234567' }), 'code', 'takes codes of 4, 5, 6 digits'],
    ['no end', create({ starts_at: soon }), 'ends_at', 'ends_at'],
    ['no start', create({ ends_at: later }), 'starts_at', 'starts_at'],
    ['a null for an end', create({ starts_at: soon, ends_at: null }), 'ends_at', 'ends_at'],
    ['the end before the start', create({ starts_at: later, ends_at: soon }), 'ends_at', 'after starts_at'],
    ['the end at the start', create({ starts_at: soon, ends_at: soon }), 'ends_at', 'after starts_at'],
    ['past', create({ starts_at: '2020-01-01T00:00:00Z', ends_at: past }), 'ends_at', 'ends_at'],
    ['no offset', create({ starts_at: soon.slice(0, -5), ends_at: later }), 'starts_at', 'offset'],
    ['a length that no code has', create({ preferred_code_length: 3 }), 'preferred_code_length', '4'],
    [
      'no such behavior',
      create({ behavior_when_code_cannot_be_shared: 'ask' }),
      'behavior_when_code_cannot_be_shared',
      'create_random_code',
    ],
    [
      'codes that locks make by themselves',
      create({ is_offline_access_code: true }),
      'is_offline_access_code',
      'is_offline_access_code',
    ],
    ['one code, no end', () => codes.create({ device_id: FRONT, starts_at: soon }), 'ends_at', 'ends_at'],
    ['codes of nothing', () => codes.list({ search: 'x' }), 'device_id', 'access_code_ids'],
    ['a PIN of no device', () => codes.get({ code: '1234' }), null, 'device_id'],
    ['events of any time', () => seam.events.list({ device_id: FRONT }), null, 'since'],
    ['lengths of another lock', report({ supported_code_lengths: [4] }), 'supported_code_lengths', '8 digits'],
    ['no constraints', report({}), null, 'code_length'],
  ]) {
    const error = await refused(what, call, 'invalid_input', 400, says, 'SeamHttpInvalidInputError')
    if (field)
      insist(error.getValidationErrorMessages(field).length > 0, `${what}: what is wrong with ${field}`)
  }
  const error = await refused(
    'not for two locks',
    create({ code: '1234567' }),
    'invalid_input',
    400,
    'Front door',
    'SeamHttpInvalidInputError',
  )
  same(words(error.data.reasons, 'device_id'), [FRONT, BACK], 'each of them objects')
}

const sharing = async () => {
  const apart = create({ device_ids: [FRONT, CELLAR, BACK] })
  const error = await refused('no PIN suits all', apart, 'cannot_share', 400, '')
  insist(error.message, 'a message')
  const { reasons } = error.data
  insist(words(reasons, 'device_id').includes(CELLAR), 'which door is in the way', reasons)
  insist(words(reasons, 'message').every(Boolean), 'and why', reasons)
}

const taken = async () => {
  const one = (what) => () => codes.create(what)
  for (const [what, call, code, says] of [
    ['many', create({ code: '314159' }), 'duplicate_access_code', 'Back door'],
    ['one', one({ device_id: BACK, code: '314159' }), 'duplicate_access_code', 'Back door'],
    ['many, full', create({ device_ids: [FRONT, SAFE] }), 'no_space_for_access_code_on_device', 'Safe'],
    ['one, full', one({ device_id: SAFE }), 'no_space_for_access_code_on_device', 'Safe'],
  ]) {
    const error = await refused(what, call, code, 409, says)
    insist(error.data.reasons.length === 1, `${what}: which door`, error.data)
  }
}

const unknown = async () => {
  const device_id = NOBODY
  for (const [what, call] of [
    ['createMultiple', create({ device_ids: [FRONT, NOBODY] })],
    ['create', () => codes.create({ device_id })],
    ['codes.list', () => codes.list({ device_id })],
    ['generateCode', () => codes.generateCode({ device_id })],
    ['constraints', () => codes.reportDeviceConstraints({ device_id, supported_code_lengths: [4] })],
    ['devices.get', () => seam.devices.get({ device_id })],
    ['devices.get by name', () => seam.devices.get({ name: 'Attic' })],
    ['devices.update', () => seam.devices.update({ device_id, name: 'x' })],
    ['simulate', () => seam.devices.simulate.disconnect({ device_id })],
    ['locks.get', () => seam.locks.get({ device_id })],
    ['unlockDoor', () => seam.locks.unlockDoor({ device_id })],
  ])
    await refused(what, call, 'device_not_found', 404, 'device')
  const access_code_id = NOBODY
  for (const [what, call] of [
    ['get', () => codes.get({ access_code_id })],
    ['get by PIN', () => codes.get({ device_id: FRONT, code: '0000' })],
    ['update', () => codes.update({ access_code_id, name: 'x' })],
    ['delete', () => codes.delete({ access_code_id })],
    ['a group', () => codes.updateMultiple({ common_code_key: "nobody's", name: 'x' })],
  ])
    await refused(what, call, 'access_code_not_found', 404, 'access code')
  await refused('an event', () => seam.events.get({ event_id: NOBODY }), 'event_not_found', 404, 'event')
}

const keys = async () => {
  const nobody = client('seam_1234567890')
  for (const call of [() => nobody.workspaces.get(), () => nobody.devices.list()])
    await refused('a wrong key', call, 'unauthorized', 401, '', 'SeamHttpUnauthorizedError')
  const forbidden = ['forbidden', 403]
  const [blind, mute] = [client(process.env.BLIND), client(process.env.MUTE)]
  const [code] = await blind.accessCodes.list({ device_id: BACK })
  same([code.name, code.code], ['taken', null], 'a key that may not see PINs')
  const byPin = { device_id: BACK, code: '314159' }
  await refused('try PINs', () => blind.accessCodes.get(byPin), ...forbidden, '`pins`')
  await refused('open doors', () => blind.locks.unlockDoor({ device_id: BACK }), ...forbidden, '`operate`')
  await refused('see codes', () => mute.accessCodes.list({ device_id: BACK }), ...forbidden, '`codes`')
  const make = () => mute.accessCodes.createMultiple({ device_ids: [BACK] })
  await refused('make codes', make, ...forbidden, '`codes`')
}

const tooMuch = () =>
  refused('far too long a name', create({ name: 'x'.repeat(300_000) }), 'payload_too_large', 413, '65536')

const removed = async () => {
  const device_id = CELLAR
  await seam.devices.simulate.remove({ device_id })
  const cellar = await seam.devices.get({ device_id })
  same(words(cellar.errors, 'error_code'), ['device_removed'], 'it is gone')
  for (const [what, call] of [
    ['createMultiple', create({ device_ids: [CELLAR] })],
    ['create', () => codes.create({ device_id })],
    ['lockDoor', () => seam.locks.lockDoor({ device_id })],
  ])
    await refused(what, call, 'device_removed', 409, 'Cellar')
}

await play(async () => {
  await codes.create({ device_id: BACK, code: '314159', name: 'taken' })
  await codes.create({ device_id: SAFE, code: '161803', name: 'full' })
  await advance(600)
  const before = await everything()
  same(before.length, 2, 'to begin with')
  for (const act of [invalidInput, sharing, taken, unknown, keys, tooMuch, removed]) {
    await act()
    same(await everything(), before, `after ${act.name}`)
  }
})
